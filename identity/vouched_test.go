package identity_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipway/audit"
	"slipway/identity"
)

// enter signs somebody in by a link from another person's session.
func enter(t *testing.T, s *identity.Service, by identity.Person, id string) (string, identity.Person) {
	t.Helper()
	link, err := s.IssueLink(t.Context(), by, id, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	session, p, err := s.RedeemLink(t.Context(), link)
	if err != nil {
		t.Fatal(err)
	}
	return session, p
}

// Whoever makes a link can act as its person, and so can whoever let them in.
// The names stay with sessions and tokens, over a restart and without the sessions' file.
func TestSessionsAndTokensRememberWhoseWordTheyRestOn(t *testing.T) {
	w := newWorld(t)
	s := w.service(t)
	if err := s.KeepSessions(filepath.Join(w.dir, "sessions.json")); err != nil {
		t.Fatal(err)
	}
	server := identity.Person{ID: identity.System}
	_, root := enter(t, s, server, "root@example.com")
	session, ivy := enter(t, s, root, "ivy@example.com")
	if want := []string{identity.System}; !slices.Equal(root.Vouched, want) {
		t.Errorf("root rests on %v, want %v", root.Vouched, want)
	}
	want := []string{"root@example.com", identity.System}
	if !slices.Equal(ivy.Vouched, want) {
		t.Errorf("ivy rests on %v, want %v", ivy.Vouched, want)
	}
	token, err := s.IssueToken(t.Context(), ivy, "laptop", 0)
	if err != nil {
		t.Fatal(err)
	}
	byToken, err := s.Token(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.IssueToken(t.Context(), byToken, "from a token", 0)
	if err != nil {
		t.Fatal(err)
	}
	// A token of a person whose session is not known rests on all that there were.
	unknown, err := s.IssueToken(t.Context(), identity.Person{ID: "ivy@example.com"}, "old", 0)
	if err != nil {
		t.Fatal(err)
	}
	s = w.reopen(t)
	if err := s.KeepSessions(filepath.Join(w.dir, "sessions.json")); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Session(t.Context(), session); err != nil || !slices.Equal(p.Vouched, want) {
		t.Errorf("session after a restart: %v, %v", p.Vouched, err)
	}
	for _, secret := range []string{token, second, unknown} {
		if p, err := s.Token(t.Context(), secret); err != nil || !slices.Equal(p.Vouched, want) {
			t.Errorf("token after a restart: %v, %v", p.Vouched, err)
		}
	}
}

func TestADisabledAccountStopsAtOnce(t *testing.T) {
	w := newWorld(t)
	s := w.service(t)
	server := identity.Person{ID: identity.System}
	_, root := enter(t, s, server, "root@example.com")
	session, ivy := enter(t, s, root, "ivy@example.com")
	token, err := s.IssueToken(t.Context(), ivy, "laptop", 0)
	if err != nil {
		t.Fatal(err)
	}
	unused, err := s.IssueLink(t.Context(), root, "ivy@example.com", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		by   identity.Person
		id   string
		why  string
		want error
	}{
		{ivy, "root@example.com", "", identity.ErrForbidden},
		{root, "root@example.com", "", identity.ErrForbidden},
		{root, "nobody@example.com", "", identity.ErrNoAccount},
		{root, "not an address", "", identity.ErrInvalid},
		{root, "ivy@example.com", strings.Repeat("x", 501), identity.ErrInvalid},
	} {
		if err := s.DisableAccount(t.Context(), c.by, c.id, c.why); !errors.Is(err, c.want) {
			t.Errorf("%s disables %s: %v, want %v", c.by.ID, c.id, err, c.want)
		}
	}
	if err := s.DisableAccount(t.Context(), root, "Ivy@example.com", "left\nthe company"); err != nil {
		t.Fatal(err)
	}
	stopped := func(s *identity.Service, when string) {
		t.Helper()
		if _, err := s.Session(t.Context(), session); !errors.Is(err, identity.ErrNoSession) {
			t.Errorf("%s, session: %v", when, err)
		}
		if _, err := s.Token(t.Context(), token); !errors.Is(err, identity.ErrNoToken) {
			t.Errorf("%s, token: %v", when, err)
		}
		if _, _, err := s.RedeemLink(t.Context(), unused); !errors.Is(err, identity.ErrNoLink) {
			t.Errorf("%s, link: %v", when, err)
		}
	}
	stopped(s, "disabled")
	if _, err := s.IssueLink(t.Context(), root, "ivy@example.com", "", 0); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("link for a disabled account: %v", err)
	}
	if _, err := s.IssueToken(t.Context(), ivy, "another", 0); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("token for a disabled account: %v", err)
	}
	s = w.reopen(t)
	stopped(s, "after a restart")
	people, err := s.Accounts(t.Context())
	if err != nil || len(people) != 2 || !people[0].Disabled || people[1].Disabled {
		t.Errorf("accounts: %+v, %v", people, err)
	}
	if err := s.EnableAccount(t.Context(), ivy, "ivy@example.com"); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("enabling one's own account: %v", err)
	}
	for range 2 { // the second changes nothing
		if err := s.EnableAccount(t.Context(), root, "ivy@example.com"); err != nil {
			t.Fatal(err)
		}
	}
	stopped(s, "enabled again")
	stopped(w.reopen(t), "enabled again, after a restart")
	s = w.reopen(t)
	if _, p := enter(t, s, root, "ivy@example.com"); p.ID != "ivy@example.com" {
		t.Errorf("signed in anew: %+v", p)
	}
	for action, n := range map[audit.Action]int{audit.DisableAccount: 1, audit.EnableAccount: 1} {
		if events, err := w.log.Index().Events(t.Context(), audit.Query{Action: action}); err != nil || len(events) != n {
			t.Errorf("%d events %s, %v", len(events), action, err)
		}
	}
}
