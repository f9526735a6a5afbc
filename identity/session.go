package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// How long a session lasts: from signing in, and without a request.
const (
	SessionValid = 12 * time.Hour
	SessionIdle  = 2 * time.Hour
)

const (
	maxSessionsEach = 20     // of one person: the oldest ends
	maxSessions     = 50_000 // of everyone: nobody new is let in until some end
	saveEvery       = time.Minute
)

// session is one signed-in browser. JSON names are those of the kept file.
type session struct {
	Account string    `json:"account"`
	Started time.Time `json:"started"`
	Seen    time.Time `json:"seen"`
	Vouched []string  `json:"vouched"`
}

// sessions are the one thing here that is no event: they are short-lived and
// nobody has to prove them later. They can be kept in a file of digests so
// that a restart does not send everyone to an administrator for a new link.
type sessions struct {
	now func() time.Time

	mu       sync.Mutex // guards all below; held while the small file is written
	byDigest map[string]session
	file     string // "" while they are in memory only
	saved    time.Time
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, byDigest: map[string]session{}}
}

// KeepSessions reads sessions from file, if it exists, and keeps them there
// from now on (mode 0600; digests, not secrets). An unreadable file is an error
// rather than a silent sign-out of everyone.
func (s *Service) KeepSessions(file string) error {
	ss := s.sessions
	ss.mu.Lock()
	defer ss.mu.Unlock()
	raw, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("sessions: %w", err)
	default:
		if err := json.Unmarshal(raw, &ss.byDigest); err != nil {
			return fmt.Errorf("sessions: %s: %w; delete the file to sign everyone out", file, err)
		}
		// Nobody knows whose word a session without names rests on, so it ends.
		maps.DeleteFunc(ss.byDigest, func(_ string, se session) bool { return len(se.Vouched) == 0 })
	}
	ss.file = file
	return ss.save()
}

func (s *Service) startSession(ctx context.Context, id string, vouched []string) (string, Person, error) {
	secret := newSecret()
	now := s.now()
	se := session{Account: id, Started: now, Seen: now, Vouched: vouched}
	p, err := s.sessionPerson(ctx, se)
	if err != nil {
		return "", Person{}, err
	}
	if err := s.sessions.add(digestOf(secret), se); err != nil {
		return "", Person{}, err
	}
	return secret, p, nil
}

func (s *Service) sessionPerson(ctx context.Context, se session) (Person, error) {
	p, err := s.Person(ctx, se.Account)
	p.Via, p.Expires, p.Vouched = "session", se.Started.Add(SessionValid), slices.Clone(se.Vouched)
	return p, err
}

// Session returns the person who is signed in, and counts as a sign of life.
func (s *Service) Session(ctx context.Context, secret string) (Person, error) {
	se, err := s.sessions.touch(digestOf(secret))
	if err != nil {
		return Person{}, err
	}
	if s.stoppedSince(se.Account, se.Started) {
		return Person{}, errors.Join(ErrNoSession, s.SignOut(ctx, secret))
	}
	return s.sessionPerson(ctx, se)
}

// endAll ends every session of an account.
func (ss *sessions) endAll(account string) error {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	maps.DeleteFunc(ss.byDigest, func(_ string, se session) bool { return se.Account == account })
	return ss.save()
}

// SignOut ends a session. To end one that has ended is no error.
func (s *Service) SignOut(ctx context.Context, secret string) error {
	ss := s.sessions
	ss.mu.Lock()
	defer ss.mu.Unlock()
	delete(ss.byDigest, digestOf(secret))
	return ss.save()
}

func (ss *sessions) ended(se session) bool {
	now := ss.now()
	return now.Sub(se.Started) >= SessionValid || now.Sub(se.Seen) >= SessionIdle
}

func (ss *sessions) add(digest string, se session) error {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	oldest, count := "", 0
	for d, other := range ss.byDigest {
		switch {
		case ss.ended(other):
			delete(ss.byDigest, d)
		case other.Account == se.Account:
			count++
			if oldest == "" || other.Started.Before(ss.byDigest[oldest].Started) {
				oldest = d
			}
		}
	}
	if count >= maxSessionsEach {
		delete(ss.byDigest, oldest)
	}
	if len(ss.byDigest) >= maxSessions {
		return errors.New("too many people are signed in at once")
	}
	ss.byDigest[digest] = se
	return ss.save()
}

func (ss *sessions) touch(digest string) (session, error) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	se, ok := ss.byDigest[digest]
	if !ok {
		return session{}, ErrNoSession
	}
	if ss.ended(se) {
		delete(ss.byDigest, digest)
		return session{}, ErrNoSession
	}
	se.Seen = ss.now()
	ss.byDigest[digest] = se
	if ss.now().Sub(ss.saved) >= saveEvery {
		return se, ss.save()
	}
	return se, nil
}

// save writes the file whole and renames it into place. ss.mu is held.
func (ss *sessions) save() error {
	if ss.file == "" {
		return nil
	}
	raw, err := json.Marshal(ss.byDigest)
	if err != nil {
		return fmt.Errorf("sessions: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(ss.file), ".sessions-*") // mode 0600
	if err != nil {
		return fmt.Errorf("sessions: %w", err)
	}
	defer os.Remove(f.Name()) // fails after the rename, as it should
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), ss.file)
	}
	if err != nil {
		return fmt.Errorf("sessions: %w", err)
	}
	ss.saved = ss.now()
	return nil
}
