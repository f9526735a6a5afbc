package partial_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"slipway/provider"
	"slipway/provider/partial"
	"slipway/provider/providertest"
	"slipway/provider/providertest/servers"
	"slipway/provider/rfc2136"
	"slipway/provider/zonefile"
	"slipway/zone"
)

const z = zone.Name("apps.finmicro.example")

func set(host, typ string, values ...string) zone.RRSet {
	name := zone.Name(host) + "." + z
	if host == "@" {
		name = z
	}
	r, err := zone.NewRRSet(name, typ, 300, values)
	if err != nil {
		panic(err)
	}
	return r
}

// ledger is who uses a partial zone: it knows what was approved and what was applied before, and the zone's own NS
// set is its own.
type ledger struct {
	*partial.Provider
	mu      *sync.Mutex
	applied map[zone.Name]partial.Keys
}

func newLedger(whole provider.Provider, mu *sync.Mutex, applied map[zone.Name]partial.Keys) *ledger {
	l := &ledger{mu: mu, applied: applied}
	l.Provider = partial.New(whole, func(_ context.Context, z zone.Name) (partial.Claims, error) {
		mu.Lock()
		defer mu.Unlock()
		keys := partial.Keys{{Name: z, Type: "NS"}: {}}
		for k := range applied[z] {
			keys[k] = struct{}{}
		}
		return partial.Claims{Applied: keys}, nil
	})
	return l
}

func (l *ledger) Apply(ctx context.Context, p provider.Plan) (*provider.Receipt, error) {
	r, err := l.Provider.Apply(ctx, p)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.applied[p.Zone] == nil {
		l.applied[p.Zone] = partial.Keys{}
	}
	// Also of an apply that failed: it may have been made all the same.
	for k := range partial.KeysOf(p.Desired) {
		l.applied[p.Zone][k] = struct{}{}
	}
	return r, err
}

// others is what somebody else has in the zone.
func others() []zone.RRSet {
	return []zone.RRSet{
		set("console", "A", "203.0.113.1"), set("console", "TXT", "made by hand"), set("*.wild", "CNAME", "elsewhere.example.net."),
		set("_acme-challenge.shop", "TXT", "token"), set("shop", "A", "203.0.113.2"), set("a-shop", "TXT", "heritage=external-dns,external-dns/owner=k8s"),
	}
}

// suite is every provider's suite, run on a part of zones in which somebody else has records too. They are to be
// there at the end.
func suite(open func(t *testing.T) func() provider.Provider, prepare func(z zone.Name) bool) providertest.Suite {
	var raw func() provider.Provider
	return providertest.Suite{
		Backend: func(t *testing.T) func() provider.Provider {
			raw = open(t)
			var mu sync.Mutex
			applied := map[zone.Name]partial.Keys{}
			return func() provider.Provider { return newLedger(raw(), &mu, applied) }
		},
		Prepare: func(t *testing.T, at zone.Name) bool {
			if prepare != nil && !prepare(at) {
				return false
			}
			if at != z {
				return true
			}
			live, err := raw().Read(t.Context(), z)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := raw().Apply(t.Context(), provider.NewPlan(z, append(live.Sets, others()...), live, "others", "")); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				live, err := raw().Read(context.Background(), z)
				if err != nil {
					t.Fatal(err)
				}
				has := map[zone.Key]zone.RRSet{}
				for _, set := range live.Sets {
					has[set.Key()] = set
				}
				for _, set := range others() {
					if !has[set.Key()].Equal(set) {
						t.Errorf("somebody else's %s %s is lost or another: %+v", set.Type, set.Name, has[set.Key()])
					}
				}
			})
			return true
		},
	}
}

func TestZoneFiles(t *testing.T) {
	suite(func(t *testing.T) func() provider.Provider {
		dir := t.TempDir()
		return func() provider.Provider { return files(t, dir) }
	}, nil).Run(t)
}

// A provider that knows only whole zones.
type wholeZones struct{ provider.Provider }

func TestWholeZones(t *testing.T) {
	suite(func(t *testing.T) func() provider.Provider {
		dir := t.TempDir()
		return func() provider.Provider { return wholeZones{files(t, dir)} }
	}, nil).Run(t)
}

func TestBIND(t *testing.T) {
	s := servers.StartBIND(t)
	suite(func(t *testing.T) func() provider.Provider {
		dir := t.TempDir()
		return func() provider.Provider { return update(t, s.Server, dir) }
	}, s.Reset).Run(t)
}

func files(t testing.TB, dir string) *zonefile.Provider {
	t.Helper()
	p, err := zonefile.New(zonefile.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func update(t testing.TB, s servers.Server, journal string) *rfc2136.Provider {
	t.Helper()
	p, err := rfc2136.New(t.Context(), rfc2136.Settings{
		Name: "test", Server: s.Address, Journal: journal,
		KeyName: s.TSIG.Name, KeyAlgorithm: s.TSIG.Algorithm, KeySecret: s.TSIG.Secret,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fixed are claims that stay.
func fixed(c partial.Claims) func(context.Context, zone.Name) (partial.Claims, error) {
	return func(context.Context, zone.Name) (partial.Claims, error) { return c, nil }
}

// fill makes a zone file with sets in it, and nothing else.
func fill(t *testing.T, sets ...zone.RRSet) *zonefile.Provider {
	t.Helper()
	p := files(t, t.TempDir())
	if _, err := p.Apply(t.Context(), provider.NewPlan(z, sets, nil, "fill", "")); err != nil {
		t.Fatal(err)
	}
	return p
}

func read(t *testing.T, p provider.Provider) *provider.Live {
	t.Helper()
	live, err := p.Read(t.Context(), z)
	if err != nil {
		t.Fatal(err)
	}
	return live
}

// What is gone from the approved commit goes from the zone, if Slipway wrote it; what Slipway never wrote stays, even
// of the same name.
func TestWhatGoes(t *testing.T) {
	mine, also := set("app", "A", "192.0.2.1"), set("app", "TXT", "by hand")
	whole := fill(t, append(others(), mine, also)...)
	p := partial.New(whole, fixed(partial.Claims{Applied: partial.KeysOf([]zone.RRSet{mine})}))
	live := read(t, p)
	if len(live.Sets) != 1 || !live.Sets[0].Equal(mine) {
		t.Fatalf("what is shown: %+v", live.Sets)
	}
	plan := provider.NewPlan(z, nil, live, "goes", "commit")
	if r, err := p.Apply(t.Context(), plan); err != nil || !r.Applied || r.Before != live.Digest || r.After != provider.Digest(nil) {
		t.Fatalf("%+v, %v", r, err)
	}
	if got, want := read(t, whole), provider.Digest(append(others(), also)); got.Digest != want {
		t.Errorf("left: %+v", got.Sets)
	}
}

// What others have is not taken over, and the refusal says whose it is.
func TestTaken(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  zone.RRSet
		want string // "": it can be had
	}{
		{"external-dns's", set("shop", "A", "192.0.2.66"), `external-dns (owner "k8s") made it`},
		{"another type beside external-dns's", set("shop", "MX", "10 mail.finmicro.example."), ""},
		{"an alias in place of external-dns's", set("shop", "CNAME", "x.example.net."), `external-dns (owner "k8s") made it`},
		{"external-dns's mark", set("a-shop", "TXT", "mine"), "it is the mark of external-dns"},
		{"an alias in place of a stranger's", set("console", "CNAME", "x.example.net."), "was never asked for in Slipway"},
		{"beside an alias of a stranger's", set("*.wild", "TXT", "x"), "was never asked for in Slipway"},
		{"a free name", set("new", "A", "192.0.2.66"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			whole := fill(t, others()...)
			before := read(t, whole)
			p := partial.New(whole, fixed(partial.Claims{Approved: partial.KeysOf([]zone.RRSet{tt.set})}))
			plan := provider.NewPlan(z, []zone.RRSet{tt.set}, read(t, p), "takes", "commit")
			_, err := p.Apply(t.Context(), plan)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "was not changed") {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if after := read(t, whole); after.Serial != before.Serial {
				t.Error("the zone was changed")
			}
		})
	}
}

// A set that is live, that Slipway never wrote and that a change asks for is shown, so that it is nobody's surprise
// when it changes: the plan says so, and is bound to it.
func TestAdopted(t *testing.T) {
	asked := set("console", "A", "192.0.2.66")
	whole := fill(t, others()...)
	p := partial.New(whole, fixed(partial.Claims{Approved: partial.KeysOf([]zone.RRSet{asked})}))
	plan := provider.NewPlan(z, []zone.RRSet{asked}, read(t, p), "adopts", "commit")
	if len(plan.Edits) != 1 || plan.Edits[0].Op != zone.Update {
		t.Errorf("%+v", plan.Edits)
	}
	if r, err := p.Apply(t.Context(), plan); err != nil || !r.Applied {
		t.Errorf("%+v, %v", r, err)
	}
}

// Somebody who changes what is Slipway's is noticed, as in every zone.
func TestDrifted(t *testing.T) {
	mine := set("app", "A", "192.0.2.1")
	whole := fill(t, append(others(), mine)...)
	p := partial.New(whole, fixed(partial.Claims{Applied: partial.KeysOf([]zone.RRSet{mine})}))
	plan := provider.NewPlan(z, []zone.RRSet{set("app", "A", "192.0.2.2")}, read(t, p), "stale", "commit")
	live := read(t, whole)
	if _, err := whole.Apply(t.Context(), provider.NewPlan(z, append(others(), set("app", "A", "192.0.2.99")), live, "hand", "")); err != nil {
		t.Fatal(err)
	}
	var d *provider.DriftedError
	if _, err := p.Apply(t.Context(), plan); !errors.As(err, &d) || d.Expect != plan.Expect || d.Found != read(t, p).Digest {
		t.Errorf("%v", err)
	}
}

// An apply that stopped half-way goes on, whatever others did meanwhile.
func TestHalfWay(t *testing.T) {
	before := []zone.RRSet{set("goes", "A", "192.0.2.1"), set("turns", "A", "192.0.2.2")}
	after := []zone.RRSet{set("comes", "A", "192.0.2.3"), set("turns", "A", "192.0.2.4")}
	claims := partial.Claims{Approved: partial.KeysOf(after), Applied: partial.KeysOf(before)}
	plan := provider.NewPlan(z, after, &provider.Live{Zone: z, Exists: true, Sets: before}, "stops", "commit")
	whole := fill(t, append(others(), before[0], before[1], after[0])...)
	p := partial.New(whole, fixed(claims))
	r, err := p.Apply(t.Context(), plan)
	if err != nil || !r.Applied || r.Before != provider.Digest(before) || r.After != provider.Digest(after) {
		t.Fatalf("%+v, %v", r, err)
	}
	if live := read(t, whole); live.Digest != provider.Digest(append(others(), after...)) {
		t.Errorf("%+v", live.Sets)
	}
}

// A zone that cannot be read is not replaced, although somebody has decided that Slipway's part of it is to be: what
// others have in it would be lost.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	path, err := zonefile.Path(dir, z)
	if err != nil {
		t.Fatal(err)
	}
	whole := files(t, dir)
	if err := os.WriteFile(path, []byte("not a zone\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := partial.New(whole, fixed(partial.Claims{}))
	plan := provider.NewPlan(z, []zone.RRSet{set("app", "A", "192.0.2.1")}, nil, "replaces", "commit")
	plan.Expect = provider.ExpectAnything
	if _, err := p.Apply(t.Context(), plan); !errors.Is(err, provider.ErrDamaged) || !strings.Contains(err.Error(), "repair it by hand") {
		t.Errorf("%v", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "not a zone\n" {
		t.Errorf("the file is %q", got)
	}
}

func TestClaimsFail(t *testing.T) {
	p := partial.New(fill(t), func(context.Context, zone.Name) (partial.Claims, error) {
		return partial.Claims{}, errors.New("no log")
	})
	for what, err := range map[string]error{
		"read":    func() error { _, err := p.Read(t.Context(), z); return err }(),
		"summary": func() error { _, err := p.Summary(t.Context(), z); return err }(),
		"look":    func() error { _, _, err := p.Look(t.Context(), z); return err }(),
		"apply":   func() error { _, err := p.Apply(t.Context(), provider.NewPlan(z, nil, nil, "x", "")); return err }(),
	} {
		if err == nil || !strings.Contains(err.Error(), "no log") || !strings.Contains(err.Error(), string(z)) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Look tells what is left alone and why.
func TestLook(t *testing.T) {
	p := partial.New(fill(t, others()...), fixed(partial.Claims{}))
	live, got, err := p.Look(t.Context(), z)
	if err != nil || len(got) != len(others()) || len(live.Sets) != 0 {
		t.Fatalf("%+v, %+v, %v", live, got, err)
	}
	words := map[string]string{}
	for _, o := range got {
		words[fmt.Sprint(o.Name.Relative(z), " ", o.Type)] = o.Why
	}
	for what, want := range map[string]string{
		"console A":                "never asked for in Slipway",
		"_acme-challenge.shop TXT": "certificate authority",
		"shop A":                   `external-dns (owner "k8s") made it, as the record a-shop.apps.finmicro.example says`,
		"a-shop TXT":               "mark of external-dns",
	} {
		if !strings.Contains(words[what], want) {
			t.Errorf("%s: %q, want %q", what, words[what], want)
		}
	}
}
