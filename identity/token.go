package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"slipway/audit"
)

// TokenPrefix begins every personal token, so that secret scanners know one.
const TokenPrefix = "slip_"

// Bounds of personal tokens.
const (
	DefaultTokenValid = 90 * 24 * time.Hour
	MaxTokenValid     = 366 * 24 * time.Hour
	MaxTokens         = 50 // of one person at a time
	maxLabel          = 80
)

// TokenInfo is what may be told about a token.
type TokenInfo struct {
	ID      string    `json:"id"`
	Label   string    `json:"label"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
}

type token struct {
	owner   string
	info    TokenInfo
	vouched []string
}

// IssueToken makes a personal token for p and returns it; it cannot be shown
// again. A token made with a token ends with it at the latest, so that a leaked
// one cannot renew itself, and rests on the word of the same people.
func (s *Service) IssueToken(ctx context.Context, p Person, label string, valid time.Duration) (string, error) {
	label = strings.TrimSpace(label)
	if label == "" || len([]rune(label)) > maxLabel || strings.ContainsFunc(label, unicode.IsControl) {
		return "", fmt.Errorf("%w: give the token a name of at most %d characters, such as “laptop”", ErrInvalid, maxLabel)
	}
	switch {
	case valid <= 0:
		valid = DefaultTokenValid
	case valid > MaxTokenValid:
		return "", fmt.Errorf("%w: a token can be valid for 366 days at most", ErrInvalid)
	}
	expires := s.now().Add(valid).UTC().Truncate(time.Second)
	if p.Via == "token" && expires.After(p.Expires) {
		expires = p.Expires
	}
	mine, err := s.Tokens(ctx, p)
	if err != nil {
		return "", err
	}
	if len(mine) >= MaxTokens {
		return "", fmt.Errorf("%w: you have %d tokens already; revoke one that you no longer use", ErrInvalid, len(mine))
	}
	if s.isDisabled(p.ID) {
		return "", fmt.Errorf("%w: your account is disabled", ErrForbidden)
	}
	if err := s.ensureAccount(ctx, System, p.ID, p.Role); err != nil {
		return "", err
	}
	secret := TokenPrefix + newSecret()
	err = s.record(ctx, audit.Event{
		Actor:    audit.Actor{ID: p.ID, Role: s.role(p.ID)},
		Action:   audit.IssueToken,
		Resource: audit.Resource{Name: label},
	}, tokenDetails{ID: newID(), Digest: digestOf(secret), Expires: expires, Vouched: p.Vouched})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// Token returns the person whose token it is.
func (s *Service) Token(ctx context.Context, secret string) (Person, error) {
	if !strings.HasPrefix(secret, TokenPrefix) {
		return Person{}, ErrNoToken
	}
	s.mu.RLock()
	t := s.tokens[digestOf(secret)]
	s.mu.RUnlock()
	if t == nil || !s.now().Before(t.info.Expires) {
		return Person{}, ErrNoToken
	}
	p, err := s.Person(ctx, t.owner)
	if errors.Is(err, ErrNoSession) {
		return Person{}, ErrNoToken
	}
	p.Via, p.Expires, p.Vouched = "token", t.info.Expires, slices.Clone(t.vouched)
	return p, err
}

// Tokens lists p's tokens that are valid, newest first.
func (s *Service) Tokens(ctx context.Context, p Person) ([]TokenInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []TokenInfo{}
	for digest, t := range s.tokens {
		switch {
		case !s.now().Before(t.info.Expires):
			delete(s.tokens, digest)
		case t.owner == p.ID:
			list = append(list, t.info)
		}
	}
	slices.SortFunc(list, func(a, b TokenInfo) int {
		return cmp.Or(b.Issued.Compare(a.Issued), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// RevokeToken ends one of p's tokens; an administrator may end anyone's.
func (s *Service) RevokeToken(ctx context.Context, p Person, id string) error {
	s.mu.RLock()
	var found *token
	for _, t := range s.tokens {
		if t.info.ID == id && (t.owner == p.ID || p.Admin) {
			found = t
		}
	}
	s.mu.RUnlock()
	if found == nil {
		return ErrNoToken
	}
	return s.record(ctx, audit.Event{
		Actor:    audit.Actor{ID: p.ID, Role: s.role(p.ID)},
		Action:   audit.RevokeToken,
		Resource: audit.Resource{Name: found.info.Label},
		Once:     "revoke-token:" + id,
	}, revokeDetails{ID: id, Owner: found.owner})
}
