package flow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"slipway/approval"
	"slipway/audit"
	"slipway/audit/audittest"
	"slipway/check"
	"slipway/drift"
	"slipway/identity"
	"slipway/key"
	"slipway/lifecycle"
	"slipway/nameserver"
	"slipway/provider"
	"slipway/provider/zonefile"
	"slipway/repo"
	"slipway/starter"
	"slipway/zone"
)

// The people of the starter kit.
var (
	ana   = identity.Person{ID: "ana@finmicro.example", Role: "product-manager"}
	ivy   = identity.Person{ID: "ivy@finmicro.example", Role: "infosec"}
	omar  = identity.Person{ID: "omar@finmicro.example", Role: "platform-ops"}
	lena  = identity.Person{ID: "lena@finmicro.example", Role: "legal"}
	sam   = identity.Person{ID: "sam@finmicro.example", Role: "security"}
	pia   = identity.Person{ID: "pia@finmicro.example", Role: "product"}
	admin = identity.Person{ID: "admin@finmicro.example", Role: "administrator", Admin: true}
)

// world is a whole Slipway of real parts: keys, log, repository, checks, zone files, the name server
// and the embedded engine.
type world struct {
	t       testing.TB
	dir     string
	keys    *key.Store
	commits ssh.Signer
	repo    *repo.Repo
	log     *audit.Log
	files   *zonefile.Provider
	names   *nameserver.Server
	flow    *Service
	logger  *slog.Logger
	cluster *engine // a Temporal elsewhere, instead of the embedded one
	issuer  *issuer // nil: no certificates are issued
	parents func(ctx context.Context, t *repo.Tree, z zone.Name) (*drift.Delegated, error)

	mu    sync.Mutex
	ahead time.Duration                                                    // of the real clock
	hold  func(ctx context.Context, z zone.Name) error                     // before a provider is handed out
	wrap  func(p provider.Provider) provider.Provider                      // as which it is handed out
	check func(ctx context.Context, sets []zone.RRSet, g []zone.Key) error // before verifying
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: audittest.TempDir(t), logger: testLogger(t)}
	w.open()
	t.Cleanup(w.stop)
	return w
}

// open opens the world in its directory, making what is not there yet.
func (w *world) open() {
	w.t.Helper()
	ctx := context.Background()
	var err error
	w.keys, err = key.OpenStore(filepath.Join(w.dir, "keys"), []byte("test"))
	w.must(err)
	signer, err := w.keys.Signer(ctx, "commits", true)
	w.must(err)
	w.commits, err = signer.SSH()
	w.must(err)
	if _, err := os.Stat(w.path("zones.git")); err == nil {
		w.start()
		return
	}
	kit, err := starter.Kit(starter.Organisation{Name: "Fin Micro Ltd", Domain: "finmicro.example"})
	w.must(err)
	made, err := repo.Create(ctx, w.path("zones.git"), kit, repo.Person{Name: "Slipway", Email: "slipway@finmicro.example"}, time.Now(), w.commits)
	w.must(err)
	w.must(made.Close())
	w.start()
}

func testLogger(t testing.TB) *slog.Logger {
	level := slog.LevelError
	if os.Getenv("SLIPWAY_TEST_LOG") != "" {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

// later moves the world's clock.
func (w *world) later(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead += d
}

// start opens every part on the world's directory.
func (w *world) start() {
	w.t.Helper()
	ctx := context.Background()
	events, err := w.keys.Signer(ctx, "events", true)
	w.must(err)
	checkpoints, err := w.keys.Signer(ctx, "log", true)
	w.must(err)
	w.log, err = audit.Open(ctx, audit.Options{Dir: w.path("audit"), Origin: "slipway.finmicro.example/log", Events: events, Log: checkpoints, Now: w.now, Logger: w.logger})
	w.must(err)
	w.repo, err = repo.Open(ctx, w.path("zones.git"))
	w.must(err)
	w.files, err = zonefile.New(zonefile.Options{Dir: w.path("zones"), Applied: func(z zone.Name) { w.names.Reload(z) }})
	w.must(err)
	w.names, err = nameserver.Start(ctx, nameserver.Options{
		Dir: w.path("zones"), KeyDir: w.path("dnssec"), Internal: "127.0.0.1:0", Log: w.logger,
		Zones: func(ctx context.Context) ([]nameserver.Zone, error) {
			t, err := w.repo.Tree(ctx, "refs/heads/main")
			if err != nil {
				return nil, err
			}
			settings, err := t.Settings(ctx)
			if err != nil {
				return nil, err
			}
			var all []nameserver.Zone
			for name, z := range settings.Zones {
				all = append(all, nameserver.Zone{Name: name, External: z.Visibility == "external", Signed: z.DNSSEC == "required"})
			}
			return all, nil
		},
	})
	w.must(err)
	w.startFlow()
}

func (w *world) startFlow() {
	w.t.Helper()
	var err error
	o := Options{}
	if w.cluster != nil {
		o.Temporal, o.TemporalTLS, o.Namespace = w.cluster.address, w.cluster.security.client(), "elsewhere"
	}
	if w.issuer != nil {
		o.Certificates = w.issuer.start(w)
	}
	w.flow, err = Start(context.Background(), Options{
		Certificates: o.Certificates,
		DataDir:      w.path("workflows"), Temporal: o.Temporal, TemporalTLS: o.TemporalTLS, Namespace: o.Namespace,
		Repo: w.repo, Log: w.log, Engine: check.NewEngine(), Signer: w.commits,
		Provider: func(ctx context.Context, t *repo.Tree, z zone.Name) (provider.Provider, error) {
			w.mu.Lock()
			hold, wrap := w.hold, w.wrap
			w.mu.Unlock()
			if hold != nil {
				if err := hold(ctx, z); err != nil {
					return nil, err
				}
			}
			if wrap != nil {
				return wrap(w.files), nil
			}
			return w.files, nil
		},
		Verify: func(ctx context.Context, _ *repo.Tree, _ zone.Name, sets []zone.RRSet, gone []zone.Key) error {
			w.mu.Lock()
			hold := w.check
			w.mu.Unlock()
			if hold != nil {
				if err := hold(ctx, sets, gone); err != nil {
					return err
				}
			}
			_, err := nameserver.Verify(ctx, w.names.Internal(), sets, gone)
			return err
		},
		Parents:   w.parents,
		MainMoved: func(ctx context.Context) error { return w.names.Refresh(ctx) },
		Now:       w.now, Logger: w.logger,
	})
	w.must(err)
}

func (w *world) stop() {
	w.t.Helper()
	w.must(w.flow.Stop(context.Background()))
	if w.issuer != nil {
		w.must(w.issuer.ca.Close())
	}
	w.must(w.names.Stop())
	w.must(w.repo.Close())
	w.must(w.log.Close(context.Background()))
}

// app is a manifest of the micro app name at hostname.
func appFile(name, owner, hostname, exposure, data, address string) map[string][]byte {
	return map[string][]byte{"apps/" + name + ".yaml": fmt.Appendf(nil, `owner: %s
team: finance-operations
purpose: Tracks team expenses before they reach the ledger
exposure: %s
data: [%s]
expires: 2027-06-30
hostname: %s
certificate: false
records:
  - {name: %s, type: A, ttl: 300, values: [%s]}
`, owner, exposure, data, hostname, hostname, address)}
}

// green is an internal app, which needs nobody's approval; yellow an external one.
func green(name, address string) map[string][]byte {
	return appFile(name, ana.ID, name+".apps.finmicro.example", "internal", "none", address)
}

func yellow(name, address string) map[string][]byte {
	return appFile(name, ana.ID, name+".finmicro-apps.example", "external", "none", address)
}

func red(name, address string) map[string][]byte {
	return appFile(name, ana.ID, name+".finmicro-apps.example", "external", "pii", address)
}

// submit submits files as ana and returns the state once judged.
func (w *world) submit(files map[string][]byte) lifecycle.State {
	w.t.Helper()
	var progress bytes.Buffer
	st, _, err := w.flow.Submit(context.Background(), Submission{By: ana, Via: "cli", Files: files}, &progress)
	if err != nil {
		w.t.Fatalf("submit: %v (%v)\n%s", err, errors.Unwrap(err), &progress)
	}
	return st
}

// until waits for a change to be as wanted.
func (w *world) until(id string, what string, done func(lifecycle.State) bool) lifecycle.State {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	appended := w.log.Index().Watch(ctx)
	for {
		st, _, _, err := w.flow.Change(ctx, id)
		if err != nil && ctx.Err() == nil {
			w.t.Fatal(err)
		}
		if err == nil && done(st) {
			return st
		}
		select {
		case <-appended:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			w.t.Fatalf("change %s is %s and not %s: %s", id, st.Phase, what, st.Problem)
		}
	}
}

func (w *world) reaches(id string, p lifecycle.Phase) lifecycle.State {
	w.t.Helper()
	return w.until(id, string(p), func(st lifecycle.State) bool { return st.Phase == p })
}

func (w *world) expect(st lifecycle.State, p lifecycle.Phase, tier check.Tier) {
	w.t.Helper()
	if st.Phase != p || st.Tier != string(tier) {
		w.t.Fatalf("change %s is %s and %s, want %s and %s: %s", st.ID, st.Phase, st.Tier, p, tier, st.Problem)
	}
}

func (w *world) approve(by identity.Person, st lifecycle.State) (lifecycle.State, error) {
	return w.flow.Vote(context.Background(), by, st.ID, approval.Approve, "", st.Subject.ChangeDigest, st.Subject.PolicyDigest, "api")
}

// refused checks that a person was told no, with this code of approval.Refusal (or of Error, without one).
func (w *world) refused(err error, code string) {
	w.t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		w.t.Fatalf("error %v, want a refusal with code %s", err, code)
	}
	got := e.Code
	var r *approval.Refusal
	if errors.As(err, &r) {
		got = r.Code
	}
	if got != code || e.Message == "" {
		w.t.Fatalf("refused as %s (%s), want %s", got, e.Message, code)
	}
}

// resolves asks the name server.
func (w *world) resolves(name, want string) {
	w.t.Helper()
	got, err := nameserver.Resolve(context.Background(), w.names.Internal(), zone.Name(name), "A", 2*time.Second)
	if err != nil || !slices.Equal(got, []string{want}) {
		w.t.Fatalf("%s resolves to %v (%v), want %s", name, got, err, want)
	}
}

// count counts a change's events by action.
func (w *world) count(id string) map[audit.Action]int {
	w.t.Helper()
	_, events, _, err := w.flow.Change(context.Background(), id)
	w.must(err)
	n := make(map[audit.Action]int)
	for _, r := range events {
		n[r.Event.Action]++
	}
	return n
}

// commitTells checks what the merge commit says.
func (w *world) commitTells(st lifecycle.State, lines ...string) {
	w.t.Helper()
	said, err := exec.Command("git", "-C", w.repo.Dir(), "log", "-1", "--format=%an <%ae>%n%cn%n%B", st.Commit).Output()
	w.must(err)
	for _, line := range append(lines, st.Title, "Slipway") {
		if !slices.Contains(strings.Split(string(said), "\n"), line) {
			w.t.Errorf("the commit does not say %q:\n%s", line, said)
		}
	}
}

// eventsTell checks that what happened after the approvals names the people, the commit and the documents.
func (w *world) eventsTell(st lifecycle.State, chain ...string) {
	w.t.Helper()
	_, events, _, err := w.flow.Change(context.Background(), st.ID)
	w.must(err)
	for _, r := range events {
		e := r.Event
		switch e.Action {
		case audit.MergeChange, audit.CreateDNSRecord, audit.ApplyZone, audit.GoLive:
			if !slices.Equal(e.ApprovalChain, chain) || e.GitCommit != st.Commit {
				w.t.Errorf("%s: approved by %v at %s, want %v at %s", e.Action, e.ApprovalChain, e.GitCommit, chain, st.Commit)
			}
		}
		for name, digest := range e.ArtifactRefs {
			if _, err := w.log.Documents().Get(context.Background(), digest); err != nil {
				w.t.Errorf("%s: %s: %v", e.Action, name, err)
			}
		}
	}
}

// liveOnce checks that a change ended live, and that nothing happened twice on its way.
func (w *world) liveOnce(id string) {
	w.t.Helper()
	n := w.count(id)
	for _, a := range []audit.Action{audit.SubmitChange, audit.MergeChange, audit.GoLive, audit.ApplyZone} {
		if n[a] != 1 {
			w.t.Errorf("change %s has %d events %s, want 1 (%v)", id, n[a], a, n)
		}
	}
	commit, ok, err := w.repo.Merged(context.Background(), id)
	if err != nil || !ok || commit == "" {
		w.t.Errorf("change %s is not merged: %v", id, err)
	}
}
