// Package identity owns people: accounts, one-time sign-in links, sessions and
// personal tokens. Accounts, links and tokens are events in the log, folded from
// its index when the service starts, so that they survive the loss of everything
// but the log. Of every secret only the SHA-256 digest is kept; the secret itself
// is returned once and is never in an event, an error or a message to the
// operator. What groups a person has is asked of the Directory each time and
// never remembered: who leaves a group loses its rights with the next request.
// The package decides nothing about changes. Read this file, then link.go.
//
// Whoever makes a link for somebody could use it up and act as that person. So
// every session and token remembers who it descends from (Person.Vouched), and
// votes are held against that.
package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/audit"
)

// What a caller branches on. The texts are for people.
var (
	ErrInvalid     = errors.New("not valid")
	ErrForbidden   = errors.New("not allowed")
	ErrNoSession   = errors.New("you are not signed in, or your session has ended")
	ErrNoToken     = errors.New("this token is not known, has expired or was revoked")
	ErrNoLink      = errors.New("this sign-in link is not known")
	ErrLinkUsed    = errors.New("this sign-in link has already been used")
	ErrLinkExpired = errors.New("this sign-in link has expired")
	ErrNoAccount   = errors.New("not known")
)

// System is the actor of what Slipway does by itself.
const System = "slipway"

// DefaultRole is the role of an account that was made without one.
const DefaultRole = "member"

// Person is someone who has signed in, or a token's owner.
type Person struct {
	ID         string   `json:"id"` // e-mail address, lower case
	Role       string   `json:"role"`
	Groups     []string `json:"groups"`
	ThirdParty bool     `json:"third_party"`
	Admin      bool     `json:"admin"`
	Disabled   bool     `json:"disabled,omitempty"` // in lists only: a disabled account's person is never returned otherwise

	// Vouched names everyone whose word this session or token rests on: who issued the
	// link that it began with, whose word that one's own session rested on, and so on. System
	// stands for a link that the server itself printed.
	Vouched []string `json:"vouched,omitempty"`

	Via     string    `json:"-"` // session | token; "" when nobody has signed in
	Expires time.Time `json:"-"` // when that session or token ends at the latest
}

// Directory says what groups a person has, from slipway.yaml on main.
type Directory func(ctx context.Context, id string) (groups []string, thirdParty, admin bool, err error)

// Service answers who someone is. It is safe for concurrent use.
type Service struct {
	log *audit.Log
	dir Directory
	now func() time.Time

	// mu guards what is folded from the log. It is held for map reads and
	// writes only, never while the log or the directory is asked.
	mu       sync.RWMutex
	accounts map[string]*account
	links    map[string]*link  // by digest
	tokens   map[string]*token // by digest

	sessions *sessions
}

type account struct {
	id, role string
	created  time.Time
	disabled bool
	stopped  stop     // when it was disabled last
	vouched  []string // everyone that a sign-in of it rested on so far
}

// stop is a moment before which nothing of an account counts any more.
type stop struct {
	at    time.Time
	index uint64 // in the log
	ever  bool
}

// New folds every account, link and token from the log's index.
func New(ctx context.Context, log *audit.Log, dir Directory, now func() time.Time) (*Service, error) {
	s := &Service{
		log: log, dir: dir, now: now,
		accounts: map[string]*account{},
		links:    map[string]*link{},
		tokens:   map[string]*token{},
		sessions: newSessions(now),
	}
	if err := s.replay(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// ParseID returns the canonical form of a person's identity: a lower-case
// e-mail address. Addresses outside ASCII and quoted local parts are refused,
// since two that look the same would be two people.
func ParseID(s string) (string, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	if len(s) > 254 { // RFC 5321 section 4.5.3.1.3, less the angle brackets
		return "", fmt.Errorf("%w: this e-mail address is longer than 254 characters", ErrInvalid)
	}
	a, err := mail.ParseAddress(s)
	if err != nil || a.Name != "" || a.Address != s {
		return "", fmt.Errorf("%w: write one e-mail address, such as ana@example.com", ErrInvalid)
	}
	for _, r := range s {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune(`"\()<>,:;[]`, r) {
			return "", fmt.Errorf("%w: this e-mail address contains %q, which is not accepted here", ErrInvalid, r)
		}
	}
	return s, nil
}

// parseRole accepts words such as "product-manager".
func parseRole(s string) (string, error) {
	ok := len(s) <= 64
	for i, r := range s {
		letter := r >= 'a' && r <= 'z'
		ok = ok && (letter || i > 0 && (r == '-' || r >= '0' && r <= '9'))
	}
	if !ok {
		return "", fmt.Errorf("%w: a role is written in small letters and hyphens, such as product-manager", ErrInvalid)
	}
	return s, nil
}

// Person returns an account's person without asking for a secret. It is for
// those who have established by other means who acts, such as the Git host.
func (s *Service) Person(ctx context.Context, id string) (Person, error) {
	s.mu.RLock()
	a := s.accounts[id]
	off := a != nil && a.disabled
	s.mu.RUnlock()
	switch {
	case a == nil:
		return Person{}, fmt.Errorf("%w: there is no account for %s", ErrNoSession, id)
	case off:
		return Person{}, fmt.Errorf("%w: the account of %s is disabled", ErrNoSession, id)
	}
	return s.person(ctx, id)
}

// person is an account's person, whatever has become of the account.
func (s *Service) person(ctx context.Context, id string) (Person, error) {
	groups, third, admin, err := s.dir(ctx, id)
	if err != nil {
		return Person{}, fmt.Errorf("groups of %s: %w", id, err)
	}
	if groups == nil {
		groups = []string{}
	}
	return Person{ID: id, Role: s.role(id), Groups: groups, ThirdParty: third, Admin: admin}, nil
}

// Accounts lists everyone who has an account, by ID.
func (s *Service) Accounts(ctx context.Context) ([]Person, error) {
	s.mu.RLock()
	disabled := make(map[string]bool, len(s.accounts))
	for id, a := range s.accounts {
		disabled[id] = a.disabled
	}
	s.mu.RUnlock()
	people := make([]Person, 0, len(disabled))
	for _, id := range slices.Sorted(maps.Keys(disabled)) {
		p, err := s.person(ctx, id)
		if err != nil {
			return nil, err
		}
		p.Disabled = disabled[id]
		people = append(people, p)
	}
	return people, nil
}

// role returns an account's role as of now; "system" for Slipway itself.
func (s *Service) role(id string) string {
	if id == System {
		return "system"
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if a := s.accounts[id]; a != nil {
		return a.role
	}
	return DefaultRole
}

// ensureAccount records an account unless there is one. Once makes a race harmless.
func (s *Service) ensureAccount(ctx context.Context, by, id, role string) error {
	s.mu.RLock()
	_, known := s.accounts[id]
	s.mu.RUnlock()
	if known {
		return nil
	}
	return s.record(ctx, audit.Event{
		Actor:    audit.Actor{ID: by, Role: s.role(by)},
		Action:   audit.CreateAccount,
		Resource: audit.Resource{Name: id},
		Once:     "create-account:" + id,
	}, accountDetails{Role: role})
}

// record appends an event and folds what the log holds for it, which is an
// earlier event when Once had been used before.
func (s *Service) record(ctx context.Context, e audit.Event, details any) error {
	_, err := s.recorded(ctx, e, details)
	return err
}

func (s *Service) recorded(ctx context.Context, e audit.Event, details any) (audit.Receipt, error) {
	raw, err := json.Marshal(details)
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("%s: details: %w", e.Action, err)
	}
	e.Timestamp = s.now().UTC()
	e.ApprovalChain = []string{}
	e.ArtifactRefs = map[string]string{}
	e.Details = raw
	r, err := s.log.Append(ctx, e)
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("record %s: %w", e.Action, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return r, s.fold(r)
}

// newSecret returns 256 random bits as text. crypto/rand.Read never fails
// (it ends the program instead), so there is no error to return.
func newSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// newID returns a short random name for something that is not secret.
func newID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// digestOf is what is kept of a secret. Looking a secret up by its digest takes
// time that says nothing about the secret; a plain digest is enough because
// there are 256 random bits to guess.
func digestOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return "sha256:" + hex.EncodeToString(sum[:])
}
