package identity

import (
	"context"
	"crypto/subtle"
	"fmt"
	"slices"
	"time"

	"slipway/audit"
)

// How long a sign-in link is valid when nothing is said, and at most.
const (
	DefaultLinkValid = 24 * time.Hour
	MaxLinkValid     = 7 * 24 * time.Hour
)

type link struct {
	account string
	expires time.Time
	used    bool
	vouched []string
}

// maxVouched bounds how many people a session may rest on the word of. It is met only
// by administrators who let one another in, one after the other, that many times.
const maxVouched = 50

// descent is whom a link made by p rests on: p, and everyone p's own session rests on. It
// is transitive on purpose: who makes a link for a second administrator, and in their
// name one for an approver, is still behind the approver's vote.
func descent(p Person) []string {
	return distinct(append([]string{p.ID}, p.Vouched...))
}

func distinct(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// IssueLink makes a one-time sign-in token for a person (an account is made if
// there is none) and gives them role, unless that is empty. by is an
// administrator as signed in, or System; anyone else gets ErrForbidden.
func (s *Service) IssueLink(ctx context.Context, by Person, id, role string, valid time.Duration) (string, error) {
	id, err := ParseID(id)
	if err != nil {
		return "", err
	}
	role, err = parseRole(role)
	if err != nil {
		return "", err
	}
	if err := s.needAdmin(ctx, by, "make a sign-in link"); err != nil {
		return "", err
	}
	if s.isDisabled(id) {
		return "", fmt.Errorf("%w: the account of %s is disabled; enable it first", ErrInvalid, id)
	}
	vouched := descent(by)
	if len(vouched) > maxVouched {
		return "", fmt.Errorf("%w: your own sign-in rests on the word of %d people; sign in anew by a link from an administrator who is nearer to the server's first link", ErrInvalid, len(vouched)-1)
	}
	switch {
	case valid <= 0:
		valid = DefaultLinkValid
	case valid > MaxLinkValid:
		return "", fmt.Errorf("%w: a sign-in link can be valid for 7 days at most", ErrInvalid)
	}
	if err := s.ensureAccount(ctx, by.ID, id, role); err != nil {
		return "", err
	}
	secret := newSecret()
	err = s.record(ctx, audit.Event{
		Actor:    audit.Actor{ID: by.ID, Role: s.role(by.ID)},
		Action:   audit.IssueLink,
		Resource: audit.Resource{Name: id},
	}, linkDetails{Digest: digestOf(secret), Expires: s.now().Add(valid).UTC(), Role: role, Vouched: vouched})
	if err != nil {
		return "", err
	}
	s.forgetExpiredLinks()
	return secret, nil
}

// LinkValid says whether a link could be redeemed now, without using it up.
func (s *Service) LinkValid(token string) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.checkLink(s.links[digestOf(token)])
}

// checkLink is called with s.mu held.
func (s *Service) checkLink(l *link) error {
	switch {
	case l == nil:
		return ErrNoLink
	case l.used:
		return ErrLinkUsed
	case !s.now().Before(l.expires):
		return ErrLinkExpired
	}
	return nil
}

// RedeemLink signs a person in. However many try at once, and whatever is
// restarted in between, one sign-in at most comes of a link: the log holds one
// event with the link's key, and the one whose nonce stands in it has won.
func (s *Service) RedeemLink(ctx context.Context, token string) (string, Person, error) {
	digest := digestOf(token)
	s.mu.RLock()
	l := s.links[digest]
	err := s.checkLink(l)
	s.mu.RUnlock()
	if err != nil {
		return "", Person{}, err
	}
	// Asked before the link is used up, so that a directory that cannot answer costs nobody a link.
	if _, err := s.Person(ctx, l.account); err != nil {
		return "", Person{}, err
	}
	nonce := newID()
	r, err := s.recorded(ctx, audit.Event{
		Actor:    audit.Actor{ID: l.account, Role: s.role(l.account)},
		Action:   audit.SignIn,
		Resource: audit.Resource{Name: l.account},
		Once:     "sign-in:" + digest,
	}, signInDetails{Link: digest, Nonce: nonce, Vouched: l.vouched})
	if err != nil {
		return "", Person{}, err
	}
	won, err := details[signInDetails](r)
	if err != nil {
		return "", Person{}, err
	}
	if subtle.ConstantTimeCompare([]byte(won.Nonce), []byte(nonce)) != 1 {
		return "", Person{}, ErrLinkUsed
	}
	return s.startSession(ctx, l.account, l.vouched)
}

// forgetExpiredLinks keeps the table from growing: a link that has long
// expired is refused in the same way whether it is known or not.
func (s *Service) forgetExpiredLinks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for digest, l := range s.links {
		if s.now().Sub(l.expires) > MaxLinkValid {
			delete(s.links, digest)
		}
	}
}
