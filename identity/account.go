package identity

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"slipway/audit"
)

// maxReason bounds, in characters, why an account is disabled.
const maxReason = 500

// DisableAccount ends everything that somebody can act by, at once: sessions, tokens
// and links that were not used. What they did stays as it is, and their votes count on: who
// doubts one rejects or cancels the change. by is an administrator; nobody disables
// their own account, so that one administrator is always left.
func (s *Service) DisableAccount(ctx context.Context, by Person, id, reason string) error {
	id, err := s.known(ctx, by, id, "disable an account")
	if err != nil {
		return err
	}
	reason = strings.Join(strings.Fields(reason), " ")
	switch {
	case id == by.ID:
		return fmt.Errorf("%w: you cannot disable your own account; ask another administrator", ErrForbidden)
	case len([]rune(reason)) > maxReason:
		return fmt.Errorf("%w: the reason can have %d characters at most", ErrInvalid, maxReason)
	case s.isDisabled(id):
		return nil
	}
	if err := s.recordStop(ctx, by, audit.DisableAccount, id, reason); err != nil {
		return err
	}
	return s.sessions.endAll(id)
}

// EnableAccount lets a disabled account be used again. Nothing that ended comes back:
// the person needs a new link.
func (s *Service) EnableAccount(ctx context.Context, by Person, id string) error {
	id, err := s.known(ctx, by, id, "enable an account")
	if err != nil || !s.isDisabled(id) {
		return err
	}
	return s.recordStop(ctx, by, audit.EnableAccount, id, "")
}

func (s *Service) recordStop(ctx context.Context, by Person, action audit.Action, id, reason string) error {
	return s.record(ctx, audit.Event{
		Actor: audit.Actor{ID: by.ID, Role: s.role(by.ID)}, Action: action, Resource: audit.Resource{Name: id},
	}, stopDetails{Reason: reason})
}

// known checks that by is an administrator and that there is such an account.
func (s *Service) known(ctx context.Context, by Person, id, what string) (string, error) {
	if err := s.needAdmin(ctx, by, what); err != nil {
		return "", err
	}
	id, err := ParseID(id)
	if err != nil {
		return "", err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.accounts[id] == nil {
		return "", fmt.Errorf("%w: there is no account for %s", ErrNoAccount, id)
	}
	return id, nil
}

// needAdmin asks the directory, which is what slipway.yaml says now, and not the person.
func (s *Service) needAdmin(ctx context.Context, by Person, what string) error {
	if by.ID == System {
		return nil
	}
	_, _, admin, err := s.dir(ctx, by.ID)
	if err != nil {
		return fmt.Errorf("groups of %s: %w", by.ID, err)
	}
	if !admin {
		return fmt.Errorf("%w: only an administrator can %s", ErrForbidden, what)
	}
	return nil
}

func (s *Service) isDisabled(id string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a := s.accounts[id]
	return a != nil && a.disabled
}

// stoppedSince reports whether an account was disabled after a moment.
func (s *Service) stoppedSince(id string, t time.Time) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a := s.accounts[id]
	return a != nil && a.stopped.ever && t.Before(a.stopped.at)
}

// stoppedAfter reports whether an account was disabled after an event. s.mu is held.
func (s *Service) stoppedAfter(id string, index uint64) bool {
	a := s.accounts[id]
	return a != nil && a.stopped.ever && index < a.stopped.index
}

// foldStop folds disable-account and enable-account. s.mu is held. Two events that are
// recorded at once may come in either order; the log's order counts.
func (s *Service) foldStop(r audit.Receipt) {
	id := r.Event.Resource.Name
	a := s.accounts[id]
	if a == nil || s.stoppedAfter(id, r.Index) {
		return
	}
	if a.disabled = r.Event.Action == audit.DisableAccount; !a.disabled {
		return
	}
	a.stopped = stop{at: r.Event.Timestamp, index: r.Index, ever: true}
	maps.DeleteFunc(s.tokens, func(_ string, t *token) bool { return t.owner == id })
	maps.DeleteFunc(s.links, func(_ string, l *link) bool { return l.account == id })
}
