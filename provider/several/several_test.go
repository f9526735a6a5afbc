package several_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipway/provider"
	"slipway/provider/providertest"
	"slipway/provider/providertest/servers"
	"slipway/provider/rfc2136"
	"slipway/provider/several"
	"slipway/provider/zonefile"
	"slipway/zone"
)

const z = zone.Name("finmicro.example")

// place is where two zone-file providers keep their zones, and several its journal.
type place struct {
	t      testing.TB
	dir    string
	faults map[string]func(plan provider.Plan) (before bool, err error) // by provider: instead of an apply, or after it
	took   []string                                                     // what was made where, in order
}

func newPlace(t testing.TB) *place {
	return &place{t: t, dir: t.TempDir(), faults: map[string]func(provider.Plan) (bool, error){}}
}

func (w *place) file(name string) *zonefile.Provider {
	w.t.Helper()
	p, err := zonefile.New(zonefile.Options{Dir: filepath.Join(w.dir, name), Name: name})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// faulty is a real provider that is cut off at an apply.
type faulty struct {
	*zonefile.Provider
	name string
	w    *place
}

func (f faulty) Apply(ctx context.Context, plan provider.Plan) (*provider.Receipt, error) {
	cut := f.w.faults[f.name]
	if cut != nil {
		if before, err := cut(plan); before && err != nil {
			return nil, err
		}
	}
	r, err := f.Provider.Apply(ctx, plan)
	if err == nil {
		for _, e := range plan.Edits {
			f.w.took = append(f.w.took, fmt.Sprintf("%s %s %s", f.name, e.Op, e.Name))
		}
		if cut != nil {
			if _, err := cut(plan); err != nil {
				return nil, err
			}
		}
	}
	return r, err
}

// open opens both on the same directories, as another process would.
func (w *place) open(names ...string) *several.Provider {
	w.t.Helper()
	if len(names) == 0 {
		names = []string{"one", "two"}
	}
	var o several.Options
	for _, name := range names {
		o.Members = append(o.Members, several.Member{Name: name, Provider: faulty{w.file(name), name, w}})
	}
	return w.of(o)
}

func (w *place) of(o several.Options) *several.Provider {
	w.t.Helper()
	j, err := several.OpenJournal(filepath.Join(w.dir, "journal"))
	if err != nil {
		w.t.Fatal(err)
	}
	o.Journal = j
	p, err := several.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *place) read(p provider.Provider) *provider.Live {
	w.t.Helper()
	live, err := p.Read(w.t.Context(), z)
	if err != nil {
		w.t.Fatal(err)
	}
	return live
}

func (w *place) plan(change string, desired ...zone.RRSet) provider.Plan {
	w.t.Helper()
	return provider.NewPlan(z, desired, w.read(w.open()), change, "commit-of-"+change)
}

func (w *place) apply(change string, desired ...zone.RRSet) *provider.Receipt {
	w.t.Helper()
	r, err := w.open().Apply(w.t.Context(), w.plan(change, desired...))
	if err != nil {
		w.t.Fatalf("%s: %v", change, err)
	}
	return r
}

// edit changes what one of them has, as somebody does who goes past Slipway.
func (w *place) edit(name string, desired ...zone.RRSet) {
	w.t.Helper()
	p := w.file(name)
	if _, err := p.Apply(w.t.Context(), provider.NewPlan(z, desired, w.read(p), "by-hand", "none")); err != nil {
		w.t.Fatal(err)
	}
}

func a(host, value string) zone.RRSet {
	return zone.RRSet{Name: zone.Name(host) + "." + z, Type: "A", TTL: 300, Values: []string{value}}
}

func cname(host, to string) zone.RRSet {
	return zone.RRSet{Name: zone.Name(host) + "." + z, Type: "CNAME", TTL: 300, Values: []string{to + "." + string(z) + "."}}
}

func TestProvider(t *testing.T) {
	providertest.Run(t, func(t *testing.T) func() provider.Provider {
		w := newPlace(t)
		return func() provider.Provider { return w.open() }
	})
}

// BIND and Knot serve the same zones.
func TestServers(t *testing.T) {
	bind, knot := servers.StartBIND(t), servers.StartKnot(t, "other.example")
	providertest.Suite{
		Backend: func(t *testing.T) func() provider.Provider {
			w := newPlace(t)
			return func() provider.Provider {
				var o several.Options
				for name, at := range map[string]servers.Server{"bind": bind.Server, "knot": knot.Server} {
					p, err := rfc2136.New(t.Context(), rfc2136.Settings{
						Name: name, Server: at.Address, Journal: filepath.Join(w.dir, name),
						KeyName: at.TSIG.Name, KeyAlgorithm: at.TSIG.Algorithm, KeySecret: at.TSIG.Secret,
					})
					if err != nil {
						t.Fatal(err)
					}
					o.Members = append(o.Members, several.Member{Name: name, Provider: p})
				}
				slices.SortFunc(o.Members, func(a, b several.Member) int { return strings.Compare(a.Name, b.Name) })
				return w.of(o)
			}
		},
		Prepare: func(_ *testing.T, z zone.Name) bool { return bind.Reset(z) && knot.Reset(z) },
	}.Run(t)
}

func TestReceiptHasParts(t *testing.T) {
	w := newPlace(t)
	r := w.apply("first", a("www", "192.0.2.1"))
	if r.Provider != "one, two" || len(r.Parts) != 2 || !r.Applied || !r.Parts[0].Applied || !r.Parts[1].Applied ||
		r.Parts[0].Provider != "one" || r.Parts[1].Provider != "two" || !strings.Contains(r.ProviderChange, "one zonefile:") || !strings.Contains(r.ProviderChange, "two zonefile:") {
		t.Errorf("%+v", r)
	}
}

// One provider cannot be reached: what the other has is told, nothing counts as live, and the
// same apply goes on from there.
func TestOneIsDown(t *testing.T) {
	w := newPlace(t)
	first := w.apply("first", a("www", "192.0.2.1"))
	down := errors.New("no route to host")
	w.faults["two"] = func(provider.Plan) (bool, error) { return true, down }
	plan := w.plan("second", a("www", "192.0.2.2"))
	_, err := w.open().Apply(t.Context(), plan)
	var partial *several.PartialError
	if !errors.As(err, &partial) || !errors.Is(err, down) || len(partial.Done) != 1 || partial.Done[0].Provider != "one" || !strings.Contains(err.Error(), "provider two: no route to host") {
		t.Fatalf("%v", err)
	}
	if live := w.read(w.open()); live.Digest != first.After || len(live.Parts) != 0 {
		t.Errorf("counted as live, or as drift, before both have it: %+v", live)
	}
	if one := w.read(w.file("one")); one.Digest == first.After {
		t.Error("the first provider does not have it")
	}
	// Another change comes meanwhile, and one that takes it back.
	if _, err := w.open().Apply(t.Context(), w.plan("third", a("www", "192.0.2.3"), a("api", "192.0.2.3"))); !errors.As(err, &partial) {
		t.Fatalf("%v", err)
	}
	if live := w.read(w.open()); live.Digest != first.After || len(live.Parts) != 0 {
		t.Errorf("%+v", live)
	}
	delete(w.faults, "two")
	r := w.apply("third", a("www", "192.0.2.3"), a("api", "192.0.2.3"))
	if r.Before != first.After || len(r.Parts) != 2 {
		t.Errorf("%+v", r)
	}
	for _, name := range []string{"one", "two"} {
		if live := w.read(w.file(name)); live.Digest != r.After {
			t.Errorf("%s has %v", name, live.Sets)
		}
	}
	// Half-way, it is taken back: both are what they were.
	w.faults["two"] = func(provider.Plan) (bool, error) { return true, down }
	if _, err := w.open().Apply(t.Context(), w.plan("fourth", a("www", "192.0.2.4"))); !errors.As(err, &partial) {
		t.Fatalf("%v", err)
	}
	delete(w.faults, "two")
	back := w.apply("undo", a("www", "192.0.2.3"), a("api", "192.0.2.3"))
	if one := w.read(w.file("one")); one.Digest != r.After || back.After != r.After {
		t.Errorf("%+v", one)
	}
}

// cutOff is a process that dies: the context ends for good, and a new one begins.
func TestCutOffAnywhere(t *testing.T) {
	for _, at := range []string{"one", "two"} {
		for _, before := range []bool{true, false} {
			for step := 1; step <= 3; step++ {
				t.Run(fmt.Sprintf("%s step %d before %v", at, step, before), func(t *testing.T) { cutOff(t, at, before, step) })
			}
		}
	}
}

func cutOff(t *testing.T, at string, before bool, step int) {
	w := newPlace(t)
	old := []zone.RRSet{a("old", "192.0.2.1"), cname("www", "old"), a("stays", "192.0.2.9")}
	next := []zone.RRSet{a("new", "192.0.2.2"), cname("www", "new"), a("stays", "192.0.2.9")}
	first := w.apply("first", old...)
	seen := 0
	w.faults[at] = func(provider.Plan) (bool, error) {
		if before { // asked before, and again after: only the first counts
			if seen++; seen < 2*step-1 {
				return true, nil
			}
			return true, errors.New("killed")
		}
		if seen++; seen < 2*step {
			return false, nil
		}
		return false, errors.New("killed")
	}
	_, err := w.open().Apply(t.Context(), w.plan("second", next...))
	if err == nil {
		t.Fatal("not killed")
	}
	live := w.read(w.open())
	if live.Digest != first.After && live.Digest != provider.Digest(next) || len(live.Parts) != 0 {
		t.Errorf("half-way it is seen as %+v", live)
	}
	delete(w.faults, at)
	r := w.apply("second", next...)
	if !r.Applied || r.Before != first.After || r.After != provider.Digest(next) || len(r.Parts) != 2 || !r.Parts[0].Applied || !r.Parts[1].Applied ||
		r.Parts[0].Before != first.After || r.Parts[1].Before != first.After {
		t.Errorf("%+v", r)
	}
	for _, name := range []string{"one", "two"} {
		if live := w.read(w.file(name)); live.Digest != r.After {
			t.Errorf("%s has %v", name, live.Sets)
		}
		if n := len(slices.DeleteFunc(slices.Clone(w.took), func(s string) bool { return s != name+" update www."+string(z) })); n != 1 {
			t.Errorf("%s switched %d times: %v", name, n, w.took)
		}
	}
	if again := w.apply("second", next...); again.Serial != r.Serial || again.ProviderChange != r.ProviderChange || !again.At.Equal(r.At) {
		t.Errorf("run again: %+v, first %+v", again, r)
	}
}

// Nobody who asks one server for a name and the other for what it points at finds it broken.
func TestOrderAcross(t *testing.T) {
	w := newPlace(t)
	w.apply("first", a("old", "192.0.2.1"), cname("www", "old"))
	w.took = nil
	w.apply("second", a("new", "192.0.2.2"), cname("www", "new"), cname("alias", "new"))
	want := []string{
		"one create new.finmicro.example", "two create new.finmicro.example",
		"one create alias.finmicro.example", "two create alias.finmicro.example",
		"one update www.finmicro.example", "two update www.finmicro.example",
		"one delete old.finmicro.example", "two delete old.finmicro.example",
	}
	if !slices.Equal(w.took, want) {
		t.Errorf("%v", w.took)
	}
}

// A difference is somebody's edit, and names the provider.
func TestApart(t *testing.T) {
	w := newPlace(t)
	first := w.apply("first", a("www", "192.0.2.1"), a("api", "192.0.2.1"))
	w.edit("two", a("www", "192.0.2.66"), a("api", "192.0.2.1"))
	live := w.read(w.open())
	if len(live.Parts) != 2 || live.Digest == first.After {
		t.Fatalf("%+v", live)
	}
	if edits := live.Edits(z, []zone.RRSet{a("www", "192.0.2.1"), a("api", "192.0.2.1")}); len(edits) != 1 || edits[0].Name != "www."+z || edits[0].Before.Values[0] != "192.0.2.66" {
		t.Errorf("%+v", edits)
	}
	sum, err := w.open().Summary(t.Context(), z)
	if err != nil || sum.Digest != live.Digest || len(sum.Sets) != 0 {
		t.Errorf("%+v, %v", sum, err)
	}
	stale := w.plan("second", a("www", "192.0.2.2"), a("api", "192.0.2.1"))
	stale.Expect = first.After
	if _, err := w.open().Apply(t.Context(), stale); !errors.Is(err, provider.ErrDrifted) {
		t.Errorf("%v", err)
	}
	// It is nobody's half-made plan.
	p := w.plan("second", a("www", "192.0.2.2"), a("api", "192.0.2.1"))
	before := &provider.Live{Zone: z, Sets: []zone.RRSet{a("www", "192.0.2.1"), a("api", "192.0.2.1")}}
	if ok, err := w.open().Resumes(p, live, before); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	// Decided on by a person, on just this content, it is put back.
	r := w.apply("back", a("www", "192.0.2.1"), a("api", "192.0.2.1"))
	if r.After != first.After || !r.Applied || r.Parts[0].Applied || !r.Parts[1].Applied {
		t.Errorf("%+v", r)
	}
}

// The journal is lost half-way, or another provider joins: what is live tells enough.
func TestResumesWithoutJournal(t *testing.T) {
	w := newPlace(t)
	before := []zone.RRSet{a("www", "192.0.2.1")}
	w.apply("first", before...)
	w.edit("one", a("www", "192.0.2.2")) // as the plan below would have left it
	p := w.plan("second", a("www", "192.0.2.2"))
	live := w.read(w.open())
	if ok, err := w.open().Resumes(p, live, &provider.Live{Zone: z, Sets: before}); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if r, err := w.open().Apply(t.Context(), p); err != nil || !r.Applied {
		t.Errorf("%+v, %v", r, err)
	}
	live = w.read(w.open("one", "two", "three"))
	if len(live.Parts) != 3 || live.Empty() {
		t.Fatalf("a third that is empty: %+v", live)
	}
	p = provider.NewPlan(z, []zone.RRSet{a("www", "192.0.2.2")}, live, "third", "commit")
	if len(p.Edits) != 1 || p.Edits[0].Op != zone.Create {
		t.Errorf("%+v", p.Edits)
	}
	three := w.open("one", "two", "three")
	if ok, err := three.Resumes(p, live, &provider.Live{Zone: z, Sets: []zone.RRSet{a("www", "192.0.2.2")}}); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if r, err := three.Apply(t.Context(), p); err != nil || len(r.Parts) != 3 || !r.Parts[2].Applied || r.Parts[0].Applied {
		t.Errorf("%+v, %v", r, err)
	}
}

// own is a provider with name servers of its own, as the services have them.
type own struct {
	*zonefile.Provider
	ns zone.RRSet
}

func (o own) Read(ctx context.Context, z zone.Name) (*provider.Live, error) {
	live, err := o.Provider.Read(ctx, z)
	if err != nil || !live.Exists {
		return live, err
	}
	ns := o.ns
	for _, set := range live.Sets {
		if set.Name == z && set.Type == "NS" {
			ns = set
		}
	}
	live.Sets = append(slices.DeleteFunc(slices.Clone(live.Sets), func(r zone.RRSet) bool { return r.Name == z && r.Type == "NS" }), ns)
	live.ApexNS, live.Digest = &ns, provider.Digest(live.Sets)
	return live, nil
}

func (o own) Apply(ctx context.Context, plan provider.Plan) (*provider.Receipt, error) {
	now, err := o.Read(ctx, plan.Zone)
	if err != nil {
		return nil, err
	}
	if plan.Expect != now.Digest && now.Digest != provider.Digest(plan.Desired) {
		return nil, &provider.DriftedError{Zone: plan.Zone, Expect: plan.Expect, Found: now.Digest}
	}
	plan.Expect = provider.ExpectAnything
	r, err := o.Provider.Apply(ctx, plan)
	if err == nil {
		if now, err = o.Read(ctx, plan.Zone); err == nil {
			r.After = now.Digest
		}
	}
	return r, err
}

func (o own) Summary(ctx context.Context, z zone.Name) (*provider.Live, error) {
	live, err := o.Read(ctx, z)
	if err == nil {
		live.Sets = nil
	}
	return live, err
}

// Each service has name servers of its own at the top of the zone. That is no difference, until
// somebody has all of them approved as the zone's.
func TestOwnNameServers(t *testing.T) {
	w := newPlace(t)
	ns := func(values ...string) zone.RRSet { return zone.RRSet{Name: z, Type: "NS", TTL: 3600, Values: values} }
	p := w.of(several.Options{Members: []several.Member{
		{Name: "one", Provider: own{w.file("one"), ns("ns.one.example.")}},
		{Name: "two", Provider: own{w.file("two"), ns("ns.two.example.")}},
		{Name: "none", Provider: w.file("none")},
	}})
	apply := func(change string, desired ...zone.RRSet) *provider.Receipt {
		t.Helper()
		r, err := p.Apply(t.Context(), provider.NewPlan(z, desired, w.read(p), change, "commit"))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := apply("first", a("www", "192.0.2.1"))
	live := w.read(p)
	if len(live.Parts) != 0 || live.Digest != first.After || provider.Digest(live.WithTTLs([]zone.RRSet{a("www", "192.0.2.1")})) != live.Digest {
		t.Fatalf("%+v", live)
	}
	if r := apply("same", a("www", "192.0.2.1")); r.Applied {
		t.Errorf("%+v", r)
	}
	apply("second", a("www", "192.0.2.2"))
	all := ns("ns.one.example.", "ns.two.example.")
	if live = w.read(p); provider.Digest([]zone.RRSet{a("www", "192.0.2.2"), all}) == live.Digest {
		t.Error("their own name servers count as the approved ones")
	}
	r := apply("all", a("www", "192.0.2.2"), all)
	if !r.Applied || r.After != provider.Digest([]zone.RRSet{a("www", "192.0.2.2"), all}) {
		t.Errorf("%+v", r)
	}
	for _, name := range []string{"one", "two", "none"} {
		if got := w.read(w.file(name)); got.Digest != r.After {
			t.Errorf("%s: %+v", name, got.Sets)
		}
	}
	if sum, err := p.Summary(t.Context(), z); err != nil || sum.Digest != r.After || sum.ApexNS == nil {
		t.Errorf("%+v, %v", sum, err)
	}
}

// What one of them could never hold is refused before another one has it.
func TestCheckedFirst(t *testing.T) {
	w := newPlace(t)
	s := servers.StartBIND(t, z)
	dns, err := rfc2136.New(t.Context(), rfc2136.Settings{Name: "bind", Server: s.Address, KeyName: s.TSIG.Name, KeyAlgorithm: s.TSIG.Algorithm, KeySecret: s.TSIG.Secret})
	if err != nil {
		t.Fatal(err)
	}
	one := w.file("one")
	p := w.of(several.Options{Members: []several.Member{{Name: "one", Provider: one}, {Name: "bind", Provider: dns}}})
	alias := zone.RRSet{Name: "www." + z, Type: "ALIAS", TTL: 300, Values: []string{"host.example.net."}}
	_, err = p.Apply(t.Context(), provider.NewPlan(z, []zone.RRSet{alias}, w.read(p), "change", "commit"))
	if err == nil || !strings.Contains(err.Error(), "because bind could not hold it") {
		t.Errorf("%v", err)
	}
	if live := w.read(one); live.Exists {
		t.Errorf("%+v", live)
	}
}

func TestNew(t *testing.T) {
	w := newPlace(t)
	for _, o := range []several.Options{
		{},
		{Members: []several.Member{{Name: "one", Provider: w.file("one")}}},
		{Members: []several.Member{{Name: "one", Provider: w.file("one")}, {Name: "one", Provider: w.file("one")}}},
		{Members: []several.Member{{Name: "one", Provider: w.file("one")}, {Name: "two"}}},
	} {
		if p, err := several.New(o); err == nil {
			t.Errorf("%+v", p)
		}
	}
}
