package identity_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/audit"
	"slipway/audit/audittest"
	"slipway/identity"
	"slipway/key"
)

// world is a real log in a temporary directory, and a clock that stands still.
type world struct {
	dir  string
	log  *audit.Log
	opts audit.Options
	mu   sync.Mutex
	t    time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: audittest.TempDir(t), t: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}
	store, err := key.OpenStore(filepath.Join(w.dir, "keys"), []byte("a test's passphrase"))
	if err != nil {
		t.Fatal(err)
	}
	signer := func(name string) *key.Signer {
		s, err := store.Signer(t.Context(), name, true)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	w.opts = audit.Options{Dir: filepath.Join(w.dir, "audit"), Origin: "slipway.example/log", Events: signer("events"), Log: signer("log"), Now: w.now}
	w.open(t)
	t.Cleanup(func() { w.log.Close(context.Background()) })
	return w
}

func (w *world) open(t *testing.T) {
	t.Helper()
	log, err := audit.Open(t.Context(), w.opts)
	if err != nil {
		t.Fatal(err)
	}
	w.log = log
}

// reopen is a restart.
func (w *world) reopen(t *testing.T) *identity.Service {
	t.Helper()
	if err := w.log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.open(t)
	return w.service(t)
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.t
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t = w.t.Add(d)
}

func (w *world) service(t *testing.T) *identity.Service {
	t.Helper()
	s, err := identity.New(t.Context(), w.log, directory, w.now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func directory(_ context.Context, id string) (groups []string, third, admin bool, err error) {
	if id == "broken@example.com" {
		return nil, false, false, errors.New("slipway.yaml cannot be read")
	}
	if id == "ivy@example.com" {
		groups = []string{"infosec"}
	}
	return groups, !strings.HasSuffix(id, "@example.com"), id == "root@example.com", nil
}

func signIn(t *testing.T, s *identity.Service, id, role string) (string, identity.Person) {
	t.Helper()
	link, err := s.IssueLink(t.Context(), identity.Person{ID: identity.System}, id, role, 0)
	if err != nil {
		t.Fatal(err)
	}
	session, p, err := s.RedeemLink(t.Context(), link)
	if err != nil {
		t.Fatal(err)
	}
	return session, p
}

func TestALinkSignsInOnce(t *testing.T) {
	w := newWorld(t)
	s := w.service(t)
	link, err := s.IssueLink(t.Context(), identity.Person{ID: identity.System}, " Ivy@Example.com", "infosec", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.LinkValid(link); err != nil {
		t.Fatalf("a fresh link: %v", err)
	}
	session, p, err := s.RedeemLink(t.Context(), link)
	if err != nil {
		t.Fatal(err)
	}
	if p.ID != "ivy@example.com" || p.Role != "infosec" || len(p.Groups) != 1 || p.ThirdParty || p.Admin || p.Via != "session" {
		t.Errorf("redeemed as %+v", p)
	}
	if again, err := s.Session(t.Context(), session); err != nil || again.ID != p.ID {
		t.Errorf("session: %+v, %v", again, err)
	}
	if _, _, err := s.RedeemLink(t.Context(), link); !errors.Is(err, identity.ErrLinkUsed) {
		t.Errorf("second use: %v, want ErrLinkUsed", err)
	}
	s = w.reopen(t)
	if _, _, err := s.RedeemLink(t.Context(), link); !errors.Is(err, identity.ErrLinkUsed) {
		t.Errorf("second use after a restart: %v, want ErrLinkUsed", err)
	}
	if _, _, err := s.RedeemLink(t.Context(), "guess"); !errors.Is(err, identity.ErrNoLink) {
		t.Errorf("a guess: %v, want ErrNoLink", err)
	}
}

func TestARacedLinkSignsInOnce(t *testing.T) {
	w := newWorld(t)
	// Two services over one log have nothing but the log to agree by.
	services := []*identity.Service{w.service(t), nil}
	link, err := services[0].IssueLink(t.Context(), identity.Person{ID: identity.System}, "ana@example.com", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	services[1] = w.service(t)
	var wins, used sync.Map
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			session, _, err := services[i%2].RedeemLink(t.Context(), link)
			switch {
			case err == nil:
				wins.Store(session, true)
			case errors.Is(err, identity.ErrLinkUsed):
				used.Store(i, true)
			default:
				t.Errorf("redeem: %v", err)
			}
		})
	}
	wg.Wait()
	if n, m := count(&wins), count(&used); n != 1 || m != 7 {
		t.Errorf("%d signed in and %d were told that the link is used; want 1 and 7", n, m)
	}
	events, err := w.log.Index().Events(t.Context(), audit.Query{Action: audit.SignIn})
	if err != nil || len(events) != 1 {
		t.Errorf("%d sign-in events, %v; want 1", len(events), err)
	}
}

func count(m *sync.Map) (n int) {
	m.Range(func(any, any) bool { n++; return true })
	return n
}

func TestLinksExpire(t *testing.T) {
	w := newWorld(t)
	s := w.service(t)
	link, err := s.IssueLink(t.Context(), identity.Person{ID: identity.System}, "ana@example.com", "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	w.pass(time.Hour)
	if _, _, err := s.RedeemLink(t.Context(), link); !errors.Is(err, identity.ErrLinkExpired) {
		t.Errorf("after its hour: %v, want ErrLinkExpired", err)
	}
	if _, err := s.IssueLink(t.Context(), identity.Person{ID: identity.System}, "ana@example.com", "", 30*24*time.Hour); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("a link for a month: %v, want ErrInvalid", err)
	}
}

func TestWhoMayIssueALink(t *testing.T) {
	s := newWorld(t).service(t)
	for by, want := range map[string]error{identity.System: nil, "root@example.com": nil, "ana@example.com": identity.ErrForbidden, "ivy@example.com": identity.ErrForbidden, "": identity.ErrForbidden} {
		if _, err := s.IssueLink(t.Context(), identity.Person{ID: by}, "new@example.com", "", 0); !errors.Is(err, want) {
			t.Errorf("by %q: %v, want %v", by, err, want)
		}
	}
}

func TestABrokenDirectoryCostsNoLink(t *testing.T) {
	w := newWorld(t)
	broken := true
	s, err := identity.New(t.Context(), w.log, func(ctx context.Context, id string) ([]string, bool, bool, error) {
		if broken {
			return nil, false, false, errors.New("no settings")
		}
		return directory(ctx, id)
	}, w.now)
	if err != nil {
		t.Fatal(err)
	}
	link, err := s.IssueLink(t.Context(), identity.Person{ID: identity.System}, "ana@example.com", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.RedeemLink(t.Context(), link); err == nil {
		t.Fatal("signed in without knowing the groups")
	}
	broken = false
	if _, _, err := s.RedeemLink(t.Context(), link); err != nil {
		t.Errorf("once the directory answers: %v", err)
	}
}

func TestSessionsEnd(t *testing.T) {
	w := newWorld(t)
	s := w.service(t)
	alive := func(session string) bool { _, err := s.Session(t.Context(), session); return err == nil }

	idle, _ := signIn(t, s, "ana@example.com", "")
	w.pass(identity.SessionIdle)
	if alive(idle) {
		t.Error("an idle session lives on")
	}
	busy, _ := signIn(t, s, "ana@example.com", "")
	for range 11 {
		w.pass(time.Hour)
		if !alive(busy) {
			t.Fatal("a session in use ended early")
		}
	}
	w.pass(time.Hour)
	if alive(busy) {
		t.Error("a session lives longer than 12 hours")
	}
	out, _ := signIn(t, s, "ana@example.com", "")
	if err := s.SignOut(t.Context(), out); err != nil || alive(out) {
		t.Errorf("after signing out: %v, alive %v", err, alive(out))
	}
}

func TestKeptSessionsSurviveARestart(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(w.dir, "sessions.json")
	s := w.service(t)
	if err := s.KeepSessions(file); err != nil {
		t.Fatal(err)
	}
	session, _ := signIn(t, s, "ana@example.com", "")
	gone, _ := signIn(t, s, "ana@example.com", "")
	if err := s.SignOut(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file: %v, %v; want mode 0600", info, err)
	}
	s = w.reopen(t)
	if err := s.KeepSessions(file); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Session(t.Context(), session); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if _, err := s.Session(t.Context(), gone); !errors.Is(err, identity.ErrNoSession) {
		t.Errorf("signed out before the restart: %v", err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.service(t).KeepSessions(file); err == nil {
		t.Error("a broken file was taken for an empty one")
	}
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	s := w.service(t)
	_, ana := signIn(t, s, "ana@example.com", "product-manager")
	_, bob := signIn(t, s, "bob@example.com", "")
	_, root := signIn(t, s, "root@example.com", "administrator")
	secret, err := s.IssueToken(t.Context(), ana, "laptop", 30*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(secret, "slip_") || len(secret) != len("slip_")+43 {
		t.Errorf("token has %d characters", len(secret))
	}
	p, err := s.Token(t.Context(), secret)
	if err != nil || p.ID != ana.ID || p.Role != "product-manager" || p.Via != "token" {
		t.Fatalf("token of %+v, %v", p, err)
	}

	child, err := s.IssueToken(t.Context(), p, "made with a token", 365*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := s.Token(t.Context(), child); err != nil || !c.Expires.Equal(p.Expires) {
		t.Errorf("a token made with a token ends %v, its maker %v (%v)", c.Expires, p.Expires, err)
	}

	s = w.reopen(t)
	if _, err := s.Token(t.Context(), secret); err != nil {
		t.Fatalf("after a restart: %v", err)
	}
	list, err := s.Tokens(t.Context(), ana)
	if err != nil || len(list) != 2 {
		t.Fatalf("%d tokens, %v; want 2", len(list), err)
	}
	if other, _ := s.Tokens(t.Context(), bob); len(other) != 0 {
		t.Errorf("bob sees %v", other)
	}
	if err := s.RevokeToken(t.Context(), bob, list[0].ID); !errors.Is(err, identity.ErrNoToken) {
		t.Errorf("bob revokes ana's: %v, want ErrNoToken", err)
	}
	for i, by := range []identity.Person{ana, root} {
		if err := s.RevokeToken(t.Context(), by, list[i].ID); err != nil {
			t.Errorf("revoked by %s: %v", by.ID, err)
		}
	}
	s = w.reopen(t)
	for _, gone := range []string{secret, child, "slip_guess", "", "guess"} {
		if _, err := s.Token(t.Context(), gone); !errors.Is(err, identity.ErrNoToken) {
			t.Errorf("revoked or guessed: %v, want ErrNoToken", err)
		}
	}

	short, err := s.IssueToken(t.Context(), ana, "short", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	w.pass(time.Hour)
	if _, err := s.Token(t.Context(), short); !errors.Is(err, identity.ErrNoToken) {
		t.Errorf("expired: %v, want ErrNoToken", err)
	}
	for label, valid := range map[string]time.Duration{"": 0, "too\nwide": 0, strings.Repeat("x", 81): 0, "two years": 2 * 366 * 24 * time.Hour} {
		if _, err := s.IssueToken(t.Context(), ana, label, valid); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("label %q: %v, want ErrInvalid", label, err)
		}
	}
}

func TestRolesFollowTheNewestLink(t *testing.T) {
	w := newWorld(t)
	s := w.service(t)
	signIn(t, s, "ana@example.com", "product-manager")
	signIn(t, s, "ana@example.com", "")
	if _, p := signIn(t, s, "ana@example.com", ""); p.Role != "product-manager" {
		t.Errorf("role %q after links that name none", p.Role)
	}
	signIn(t, s, "ana@example.com", "legal")
	people, err := w.reopen(t).Accounts(t.Context())
	if err != nil || len(people) != 1 || people[0].Role != "legal" {
		t.Errorf("accounts %+v, %v", people, err)
	}
}

// No secret may be found in anything that is written down.
func TestSecretsAreNotWrittenDown(t *testing.T) {
	w := newWorld(t)
	s := w.service(t)
	if err := s.KeepSessions(filepath.Join(w.dir, "sessions.json")); err != nil {
		t.Fatal(err)
	}
	link, err := s.IssueLink(t.Context(), identity.Person{ID: identity.System}, "ana@example.com", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	session, p, err := s.RedeemLink(t.Context(), link)
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.IssueToken(t.Context(), p, "laptop", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _, used := s.RedeemLink(t.Context(), link)
	if strings.Contains(used.Error(), link) {
		t.Error("the error names the link")
	}
	if err := w.log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(w.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for name, secret := range map[string]string{"link": link, "session": session, "token": token, "token's random part": strings.TrimPrefix(token, "slip_")} {
			if strings.Contains(string(raw), secret) {
				t.Errorf("the %s stands in %s", name, path)
			}
		}
		return nil
	})
	if err != nil || files < 3 {
		t.Errorf("looked at %d files, %v", files, err)
	}
	w.open(t)
}

func TestParseID(t *testing.T) {
	for in, want := range map[string]string{
		"ana@example.com": "ana@example.com", " Ana.B+x@Example.COM ": "ana.b+x@example.com",
		"": "", "ana": "", "ana@": "", "@example.com": "", "Ana <ana@example.com>": "", "ana@example.com, bob@example.com": "",
		`"a b"@example.com`: "", "ana@exämple.com": "", "аna@example.com": "", "ana@[192.0.2.1]": "", "a\nb@example.com": "",
		strings.Repeat("a", 250) + "@example.com": "",
	} {
		got, err := identity.ParseID(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("ParseID(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func FuzzParseID(f *testing.F) {
	for _, s := range []string{"ana@example.com", "Ana <a@b>", `"x"@y`, "a@b\r\nc", "é@x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := identity.ParseID(s)
		if err != nil {
			return
		}
		if again, err := identity.ParseID(id); err != nil || again != id {
			t.Errorf("ParseID(%q) = %q, which parses to %q, %v", s, id, again, err)
		}
		if strings.ContainsAny(id, " \r\n<>\"") || strings.Count(id, "@") != 1 {
			t.Errorf("accepted %q", id)
		}
	})
}
