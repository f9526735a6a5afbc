package flow

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/audit"
	"slipway/audit/audittest"
	"slipway/cert"
	"slipway/cert/stepca"
	"slipway/key"
	"slipway/lifecycle"
	"slipway/nameserver"
	"slipway/repo"
	"slipway/zone"
)

// issuer is the embedded authority and its key store, as the server has them.
type issuer struct {
	keys *key.Files
	ca   *stepca.CA

	mu        sync.Mutex
	served    []Certified
	authority *cert.Authority
	down      error  // what asking the authority gives
	gone      string // an authority that cannot be reached
	proofs    []Proof
	seen      []cert.Seen // in a log
}

func (i *issuer) start(w *world) *Certificates {
	w.t.Helper()
	ctx := context.Background()
	var err error
	i.keys, err = key.OpenFiles(w.path("certificate-keys"), []byte("test"))
	w.must(err)
	i.ca, err = stepca.Start(ctx, stepca.Options{
		Dir: w.path("ca"), Keys: i.keys, Name: "Fin Micro Ltd", Logger: w.logger,
		Resolve: func(ctx context.Context, name string) ([]string, error) {
			n, err := zone.ParseName(strings.TrimSuffix(name, "."))
			if err != nil {
				return nil, err
			}
			texts, err := nameserver.Resolve(ctx, w.names.Internal(), n, "TXT", 5*time.Second)
			for j := range texts {
				texts[j], _ = strconv.Unquote(texts[j])
			}
			return texts, err
		},
	})
	w.must(err)
	_, account, err := i.keys.Create(ctx, "account", key.ECDSAP256)
	w.must(err)
	i.authority = nil
	return &Certificates{
		Keys: i.keys,
		Authority: func(ctx context.Context, _ *repo.Tree, name string) (Authority, error) {
			i.mu.Lock()
			defer i.mu.Unlock()
			if i.down != nil || name == i.gone {
				return nil, cmp.Or(i.down, errors.New("no such host"))
			}
			if i.authority == nil || i.authority.Name() != name {
				i.authority, err = cert.Connect(ctx, cert.Config{Name: name, Directory: i.ca.Directory(), RootsPEM: i.ca.Root(), AccountKey: account})
				if err != nil {
					return nil, err
				}
			}
			return i.authority, nil
		},
		Serve: func(_ context.Context, _ *repo.Tree, apps []Certified) error {
			i.mu.Lock()
			defer i.mu.Unlock()
			i.served = apps
			return nil
		},
		Prove: func(_ context.Context, _ *repo.Tree, _ [][]byte, have map[string]string) ([]Proof, error) {
			return slices.DeleteFunc(slices.Clone(i.proofs), func(p Proof) bool { return have[p.LogID] != "" }), nil
		},
		Watch: func(ctx context.Context, _ *repo.Tree, _ []zone.Name, found func(context.Context, cert.Seen) error) error {
			i.mu.Lock()
			seen := slices.Clone(i.seen)
			i.mu.Unlock()
			for _, s := range seen {
				if err := found(ctx, s); err != nil && !errors.Is(err, errNotYet) {
					return err
				}
			}
			return nil
		},
	}
}

func (i *issuer) set(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

func newCertifiedWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: audittest.TempDir(t), logger: testLogger(t), issuer: &issuer{}}
	w.open()
	t.Cleanup(w.stop)
	return w
}

// certified is an internal app that asks for a certificate.
func certified(name, address string) map[string][]byte {
	files := green(name, address)
	for path, text := range files {
		files[path] = []byte(strings.Replace(string(text), "certificate: false\n", "certificate: true\nupstream: http://127.0.0.1:9000\n", 1))
	}
	return files
}

// live submits an app and sees it live.
func (w *world) live(files map[string][]byte) lifecycle.State {
	w.t.Helper()
	st := w.submit(files)
	return w.until(st.ID, "live", func(st lifecycle.State) bool { return st.Phase == lifecycle.Live })
}

func (w *world) recorded(action audit.Action) int {
	w.t.Helper()
	found, err := w.log.Index().Events(context.Background(), audit.Query{Action: action, Limit: 10_000})
	w.must(err)
	return len(found)
}

func (w *world) one(app string) cert.Certificate {
	w.t.Helper()
	c, ok := w.flow.current(app)
	if !ok {
		w.t.Fatalf("%s has no certificate", app)
	}
	return c
}

func (w *world) texts(name zone.Name) []string {
	w.t.Helper()
	texts, err := nameserver.Resolve(context.Background(), w.names.Internal(), name, "TXT", 5*time.Second)
	w.must(err)
	return texts
}

func TestCertify(t *testing.T) {
	w := newCertifiedWorld(t)
	ctx := context.Background()
	st := w.live(certified("expenses", "192.0.2.10"))
	c := w.one("expenses")

	text, leaf, err := w.flow.chain(ctx, c)
	w.must(err)
	x, err := x509.ParseCertificate(leaf)
	w.must(err)
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(w.issuer.ca.Root())
	between.AppendCertsFromPEM(text)
	if _, err := x.Verify(x509.VerifyOptions{DNSName: "expenses.apps.finmicro.example", Roots: roots, Intermediates: between}); err != nil {
		t.Error(err)
	}
	if c.Change != st.ID || c.Authority != repo.EmbeddedAuthority || c.KeyRef == "" || c.KeyKind != "ecdsa-p256" {
		t.Errorf("registry: %+v", c)
	}
	signer, err := w.issuer.keys.Signer(ctx, c.KeyRef)
	w.must(err)
	if !x.PublicKey.(*ecdsa.PublicKey).Equal(signer.Public()) {
		t.Error("the certificate is for another key")
	}
	if texts := w.texts("_acme-challenge.expenses.apps.finmicro.example"); len(texts) != 0 {
		t.Errorf("the proof is still there: %v", texts)
	}
	if n := len(w.issuer.served); n != 1 || w.issuer.served[0].Certificate.ID != c.ID {
		t.Errorf("the gateway was told of %d apps", n)
	}

	t.Run("no drift, and an edit of the app that keeps its names gets no other certificate", func(t *testing.T) {
		reports, err := w.flow.Drift(ctx, []zone.Name{"apps.finmicro.example"})
		w.must(err)
		for _, r := range reports {
			if len(r.Differences) > 0 {
				t.Errorf("drift: %+v", r.Differences)
			}
		}
		w.live(certified("expenses", "192.0.2.11"))
		if again := w.one("expenses"); again.ID != c.ID {
			t.Error("a second certificate")
		}
	})

	t.Run("renewed when due, with another key, and the old key is destroyed", func(t *testing.T) {
		w.must(w.flow.keepCertificates(ctx))
		if w.one("expenses").ID != c.ID {
			t.Fatal("renewed too early")
		}
		// The authority's own clock stays; it is its window that says when.
		w.flow.certs.Suggest(c.ID, cert.Window{Start: w.now().Add(-2 * time.Hour), End: w.now().Add(-time.Hour), Again: w.now().Add(time.Hour)})
		w.must(w.flow.keepCertificates(ctx))
		fresh := w.one("expenses")
		if fresh.ID == c.ID || fresh.Replaces != c.ID || fresh.KeyRef == c.KeyRef || fresh.Change != st.ID {
			t.Fatalf("after the renewal: %+v", fresh)
		}
		if _, err := w.issuer.keys.Signer(ctx, c.KeyRef); err != nil {
			t.Error("the old key is gone before gateways can have the new one")
		}
		w.later(2 * time.Hour)
		w.must(w.flow.keepCertificates(ctx))
		if _, err := w.issuer.keys.Signer(ctx, c.KeyRef); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the old key: %v", err)
		}
		w.must(w.flow.keepCertificates(ctx))
		if n := w.recorded(audit.IssueCertificate); n != 2 {
			t.Errorf("%d certificates", n)
		}
	})

	t.Run("revoked when the app is no more", func(t *testing.T) {
		old := w.one("expenses")
		w.live(map[string][]byte{"apps/expenses.yaml": nil})
		w.must(w.flow.keepCertificates(ctx))
		gone, _ := w.flow.certs.Get(old.ID)
		if gone.Status(w.now()) != cert.Revoked || gone.Reason != reasonCeased || !gone.KeyDestroyed {
			t.Errorf("%+v", gone)
		}
	})
}

func TestCertifyFailures(t *testing.T) {
	w := newCertifiedWorld(t)
	ctx := context.Background()
	w.issuer.set(func() { w.issuer.down = errors.New("connection refused") })
	st := w.submit(certified("late", "192.0.2.20"))
	st = w.until(st.ID, "failed at the certificate", func(st lifecycle.State) bool { return st.Phase == lifecycle.Failed && st.Step == "certify" })
	if !strings.Contains(st.Problem, "certificate") || !strings.Contains(st.Problem, "connection refused") {
		t.Errorf("problem: %s", st.Problem)
	}
	w.issuer.set(func() { w.issuer.down = nil })
	w.flow.wake(ctx, st.ID)
	w.until(st.ID, "live", func(st lifecycle.State) bool { return st.Phase == lifecycle.Live })

	// A renewal that fails is on record with the time of the next try, and told to people when the end comes near.
	c := w.one("late")
	w.issuer.set(func() { w.issuer.down = errors.New("connection refused") })
	w.later(c.NotAfter.Sub(w.now()) - 20*time.Hour)
	w.must(w.flow.keepCertificates(ctx))
	c = w.one("late")
	if !strings.Contains(c.Problem, "connection refused") || !c.RenewAt.After(w.now()) {
		t.Errorf("after a failed renewal: problem %q, next %s", c.Problem, c.RenewAt)
	}
	w.must(w.flow.keepCertificates(ctx))
	if n := w.recorded(audit.FailCertificate); n != 1 {
		t.Errorf("%d failures on record before it is time to try again", n)
	}
	warnings, err := w.flow.CertificateWarnings(ctx)
	w.must(err)
	if len(warnings) != 1 || !strings.Contains(warnings[0].Text, "late.apps.finmicro.example") {
		t.Errorf("warnings: %+v", warnings)
	}
	w.issuer.set(func() { w.issuer.down = nil })
	w.later(2 * time.Hour)
	w.must(w.flow.keepCertificates(ctx))
	if w.one("late").ID == c.ID {
		t.Error("not renewed once the authority was back")
	}
	if warnings, _ := w.flow.CertificateWarnings(ctx); len(warnings) != 0 {
		t.Errorf("still warned: %+v", warnings)
	}
}

// TestChallengesAreNobodysBusiness has proofs in a zone while other things happen to it: nobody else sees them.
func TestChallengesAreNobodysBusiness(t *testing.T) {
	w := newCertifiedWorld(t)
	ctx := context.Background()
	w.live(green("plain", "192.0.2.30"))
	const name = "_acme-challenge.x.apps.finmicro.example"
	p := &proving{s: w.flow, about: about{app: "x"}}
	proofs := []cert.Challenge{{Request: "r", Name: name, Value: "one"}, {Request: "r", Name: name, Value: "two"}}
	w.must(p.Present(ctx, proofs))
	w.must(p.Present(ctx, proofs)) // again, as after a kill
	if got := w.texts(name); !slices.Equal(slices.Sorted(slices.Values(got)), []string{`"one"`, `"two"`}) {
		t.Fatalf("the server answers %v", got)
	}
	reports, err := w.flow.Drift(ctx, []zone.Name{"apps.finmicro.example"})
	w.must(err)
	for _, r := range reports {
		if len(r.Differences) > 0 {
			t.Errorf("a proof is taken for drift: %+v", r.Differences)
		}
	}
	// A change of the zone leaves them, also after a restart.
	w.live(green("plain", "192.0.2.31"))
	w.stop()
	w.open()
	p.s = w.flow
	w.live(green("plain", "192.0.2.32"))
	if got := w.texts(name); len(got) != 2 {
		t.Errorf("a change took the proofs away: %v", got)
	}
	w.must(p.CleanUp(ctx, proofs[:1]))
	if got := w.texts(name); !slices.Equal(got, []string{`"two"`}) {
		t.Errorf("after removing one: %v", got)
	}
	w.must(p.CleanUp(ctx, proofs))
	w.must(p.CleanUp(ctx, proofs))
	if got := w.texts(name); len(got) != 0 {
		t.Errorf("after removing both: %v", got)
	}
	if n := w.recorded(audit.WriteChallenge); n != 2 {
		t.Errorf("%d records of writing", n)
	}
	if n := w.recorded(audit.RemoveChallenge); n != 2 {
		t.Errorf("%d records of removing", n)
	}
}

// TestNoKeyInTheClear looks for every private key of the store in everything that was written.
func TestNoKeyInTheClear(t *testing.T) {
	w := newCertifiedWorld(t)
	for n := range 3 {
		w.live(certified(fmt.Sprintf("secret-%d", n), fmt.Sprintf("192.0.2.%d", 70+n)))
	}
	markers := [][]byte{[]byte("PRIVATE KEY-----"), {0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20}, {0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13}} // PEM, SEC 1 P-256, PKCS #8 P-256
	files := 0
	w.must(filepath.WalkDir(w.dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for _, m := range markers {
			if i := strings.Index(string(raw), string(m)); i >= 0 && !strings.Contains(string(raw[max(0, i-40):i]), "SLIPWAY SEALED") {
				t.Errorf("%s has what looks like a private key at byte %d", path, i)
			}
		}
		return nil
	}))
	if files < 20 {
		t.Errorf("only %d files", files)
	}
}

func TestCAAForbids(t *testing.T) {
	w := newCertifiedWorld(t)
	ctx := context.Background()
	settings, err := w.flow.settings(ctx)
	w.must(err)
	// The starter kit's CAA of finmicro.example names ca.finmicro.example alone; apps.finmicro.example is below it.
	for authority, forbidden := range map[string]bool{"": false, "ca.finmicro.example": false, "other.example": true} {
		why, err := w.flow.caaForbids(ctx, settings, authority, []zone.Name{"x.finmicro.example"})
		w.must(err)
		if (why != "") != forbidden {
			t.Errorf("%q: %q", authority, why)
		}
	}
	w.must(w.flow.warnOfCAA(ctx, about{app: "x"}, "other", "The CAA records say so."))
	w.must(w.flow.warnOfCAA(ctx, about{app: "x"}, "other", "The CAA records say so."))
	warnings, err := w.flow.CertificateWarnings(ctx)
	w.must(err)
	if len(warnings) != 1 || warnings[0].Kind != "caa" || !strings.Contains(warnings[0].Text, "The CAA records say so.") {
		t.Errorf("%+v", warnings)
	}
}

// TestFallBack asks the second authority when the first cannot be reached, and stays with an order that was taken.
func TestFallBack(t *testing.T) {
	w := newCertifiedWorld(t)
	ctx := context.Background()
	w.live(green("backed", "192.0.2.80"))
	main, err := w.flow.main(ctx)
	w.must(err)
	names := []zone.Name{"backed.apps.finmicro.example"}
	_, signer, err := w.issuer.keys.Create(ctx, "backed", key.ECDSAP256)
	w.must(err)
	w.issuer.set(func() { w.issuer.gone = "first" })
	p := &proving{s: w.flow, about: about{app: "backed"}}
	issued, by, err := w.flow.ask(ctx, main, []string{"first", "second"}, cert.Request{ID: "r1", Names: names, Signer: signer}, nil, p)
	w.must(err)
	if by != "second" || len(issued.Chain) < 2 {
		t.Errorf("issued by %s", by)
	}
	// The order is with the second now, which is away: nobody else is asked, or there might be two certificates.
	w.issuer.set(func() { w.issuer.gone = "second" })
	prior, _ := w.flow.certs.Order("r1")
	if prior == nil || prior.Authority != "second" {
		t.Fatalf("the order on record: %+v", prior)
	}
	if _, by, err := w.flow.ask(ctx, main, []string{"second", "first"}, cert.Request{ID: "r1", Names: names, Signer: signer}, prior, p); err == nil {
		t.Errorf("another certificate, from %s", by)
	}
}

func TestProofsOfLogs(t *testing.T) {
	w := newCertifiedWorld(t)
	ctx := context.Background()
	w.live(certified("logged", "192.0.2.90"))
	c := w.one("logged")
	c.ID, c.Request, c.SCTs = strings.Repeat("ab", 32), "public", []cert.SCT{{LogID: "AA==", At: w.now()}}
	w.must(w.flow.recordCertificate(ctx, about{app: "logged"}, audit.Event{Action: audit.IssueCertificate, ArtifactRefs: map[string]string{"certificate": c.Chain}}, cert.IssueDetails{Certificate: c}))
	w.issuer.set(func() { w.issuer.proofs = []Proof{{Log: "l", LogID: "00", Index: 7, Document: []byte(`{"log":"l"}`)}} })
	for range 2 {
		w.must(w.flow.watchLogs(ctx))
	}
	now, _ := w.flow.certs.Get(c.ID)
	if len(now.Proofs) != 1 || w.recorded(audit.ProveCertificate) != 1 {
		t.Errorf("proofs %v, %d on record", now.Proofs, w.recorded(audit.ProveCertificate))
	}
}
