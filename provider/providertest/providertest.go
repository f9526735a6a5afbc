// Package providertest is the suite that every provider passes. It says in tests
// what package provider says in words: what was planned is what becomes live or
// nothing is, an apply that is run again does nothing twice and returns the same
// receipt, and nobody's change is undone unseen. Read Suite first; content.go has what
// zones can hold, interrupt.go what can come between, and package servers, below, starts
// real servers.
package providertest

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"slipway/provider"
	"slipway/zone"
)

// Backend makes an empty place for zones that lives as long as t, and returns a
// function that opens the provider on it. Opening it again is what a restarted
// process does.
type Backend func(t *testing.T) (open func() provider.Provider)

const z = zone.Name("apps.finmicro.example")

// Suite is the suite for providers that need something set up, or cannot do something
// that DNS can. The zero of everything but Backend is a provider that makes its own zones
// and holds every type.
type Suite struct {
	Backend Backend

	// Prepare makes an empty zone where the zones lie, in place of the one that is there.
	// It is for providers that cannot make a zone. False: no zone can be called that
	// there.
	Prepare func(t *testing.T, z zone.Name) bool

	Lacks []string               // record types that the server does not know
	Holds func(z zone.Name) bool // whether the server takes a name; nil: every one

	MinTTL int // seconds: the lowest TTL that the service takes

	Texts func(text string) bool // whether the service takes a text in a TXT record; nil: every one
}

// Run runs the whole suite for a provider that needs nothing.
func Run(t *testing.T, backend Backend) { Suite{Backend: backend}.Run(t) }

// Run runs the whole suite.
func (suite Suite) Run(t *testing.T) {
	for name, test := range map[string]func(*testing.T, *subject){
		"AbsentZone":      absentZone,
		"CreateToDelete":  createToDelete,
		"SameContent":     sameContent,
		"RunAgain":        runAgain,
		"Drifted":         drifted,
		"ExpectAnything":  expectAnything,
		"DefaultTTL":      defaultTTL,
		"EveryType":       everyType,
		"Text":            text,
		"Names":           names,
		"ZoneNames":       zoneNames,
		"Refused":         refused,
		"Cancelled":       cancelled,
		"Interrupted":     interrupted,
		"DifferentZones":  differentZones,
		"OneZoneAtATime":  oneZoneAtATime,
		"ManyRecordSets":  manyRecordSets,
		"ApexNameServers": apexNameServers,
	} {
		t.Run(name, func(t *testing.T) {
			open := suite.Backend(t)
			s := &subject{T: t, p: open(), open: open, suite: suite}
			if name != "AbsentZone" {
				s.prepare(z)
			}
			test(t, s)
		})
	}
}

// subject is a provider under test with the steps that the tests share.
type subject struct {
	*testing.T
	p     provider.Provider
	open  func() provider.Provider
	suite Suite
}

// prepare makes an empty zone where the provider cannot, and says whether there can be
// one.
func (s *subject) prepare(z zone.Name) bool {
	s.Helper()
	return s.suite.Prepare == nil || s.suite.Prepare(s.T, z)
}

func (s *subject) holds(n zone.Name) bool { return s.suite.Holds == nil || s.suite.Holds(n) }

func (s *subject) read(z zone.Name) *provider.Live {
	s.Helper()
	live, err := s.p.Read(s.Context(), z)
	if err != nil {
		s.Fatalf("read %s: %v", z, err)
	}
	if live.Zone != z {
		s.Errorf("read %s: it is called %q", z, live.Zone)
	}
	if d := provider.Digest(live.Sets); live.Digest != d {
		s.Errorf("read %s: digest %s is not that of the sets, %s", z, live.Digest, d)
	}
	if sum, ok := s.p.(provider.Summariser); ok {
		got, err := sum.Summary(s.Context(), z)
		if err != nil {
			s.Fatalf("summary %s: %v", z, err)
		}
		if got.Digest != live.Digest || got.Serial != live.Serial || got.Exists != live.Exists || got.DefaultTTL != live.DefaultTTL {
			s.Errorf("summary %s: %+v is not what Read returns", z, got)
		}
	}
	return live
}

func (s *subject) plan(z zone.Name, change string, desired ...zone.RRSet) provider.Plan {
	s.Helper()
	return provider.NewPlan(z, desired, s.read(z), change, "commit-of-"+change)
}

func (s *subject) apply(p provider.Plan) *provider.Receipt {
	s.Helper()
	r, err := s.p.Apply(s.Context(), p)
	if err != nil {
		s.Fatalf("apply %s to %s: %v", p.ChangeID, p.Zone, err)
	}
	if r.Zone != p.Zone || r.Provider == "" || r.ProviderChange == "" || r.At.IsZero() {
		s.Errorf("receipt of %s lacks something: %+v", p.ChangeID, r)
	}
	live := s.read(p.Zone)
	if want := provider.Digest(live.WithTTLs(p.Desired)); r.After != want {
		s.Errorf("receipt of %s: after %s, want %s", p.ChangeID, r.After, want)
	}
	if live.Digest != r.After || live.Serial != r.Serial || !live.Exists {
		s.Errorf("after %s: live %s serial %d, receipt says %s serial %d", p.ChangeID, live.Digest, live.Serial, r.After, r.Serial)
		for _, e := range zone.Diff(p.Zone, p.Desired, live.Sets) {
			s.Errorf("  %s %s %s: %+v -> %+v", e.Op, e.Name, e.Type, e.Before, e.After)
		}
	}
	return r
}

// set makes a record set from values that are valid.
func (s *subject) set(name zone.Name, typ string, ttl int, values ...string) zone.RRSet {
	s.Helper()
	set, err := zone.NewRRSet(name, typ, ttl, values)
	if err != nil {
		s.Fatal(err)
	}
	return set
}

func (s *subject) a(host string, values ...string) zone.RRSet {
	s.Helper()
	return s.set(zone.Name(host)+"."+z, "A", 300, values...)
}

func absentZone(t *testing.T, s *subject) {
	live := s.read("absent.example") // one that no other test makes
	if live.Exists || len(live.Sets) != 0 || live.Digest != provider.Digest(nil) {
		t.Errorf("a zone that is not there exists (%v) with %d sets and digest %s", live.Exists, len(live.Sets), live.Digest)
	}
}

func createToDelete(t *testing.T, s *subject) {
	before := s.read(z).Digest
	var serial uint32
	for i, desired := range [][]zone.RRSet{
		{s.a("expenses", "192.0.2.10")},                                                  // create
		{s.a("expenses", "192.0.2.10"), s.a("menu", "192.0.2.20")},                       // add
		{s.a("expenses", "192.0.2.11"), s.a("menu", "192.0.2.20", "192.0.2.21")},         // change
		{s.set("expenses."+z, "A", 60, "192.0.2.11"), s.a("menu", "192.0.2.20")},         // TTL, fewer values
		{s.set("expenses."+z, "CNAME", 60, "host.example.net."), s.a("x", "192.0.2.30")}, // another type
		{}, // everything goes
		{s.a("expenses", "192.0.2.10")},
	} {
		r := s.apply(s.plan(z, fmt.Sprintf("change-%d", i), desired...))
		if !r.Applied || r.Before != before {
			t.Errorf("step %d: applied %v, before %s, want true and %s", i, r.Applied, r.Before, before)
		}
		// RFC 1982: greater, in a circle.
		if i > 0 && int32(r.Serial-serial) <= 0 && r.Serial != 0 { // 0: the service counts no versions
			t.Errorf("step %d: serial %d does not follow %d", i, r.Serial, serial)
		}
		before, serial = r.After, r.Serial
	}
}

func sameContent(t *testing.T, s *subject) {
	first := s.apply(s.plan(z, "first", s.a("expenses", "192.0.2.10")))
	second := s.apply(s.plan(z, "second", s.a("expenses", "192.0.2.10")))
	if second.Applied || second.Serial != first.Serial || second.Before != second.After {
		t.Errorf("a change to what is live already: %+v after %+v", second, first)
	}
}

func runAgain(t *testing.T, s *subject) {
	s.apply(s.plan(z, "before", s.a("menu", "192.0.2.20")))
	p := s.plan(z, "change", s.a("expenses", "192.0.2.10"))
	first := s.apply(p)
	s.p = s.open()
	again := s.apply(p)
	if !again.At.Equal(first.At) {
		t.Errorf("the second run is of %v, the first of %v", again.At, first.At)
	}
	again.At = first.At
	if !reflect.DeepEqual(again, first) {
		t.Errorf("run again after a kill, the receipt is another one:\n%+v\n%+v", first, again)
	}
}

func drifted(t *testing.T, s *subject) {
	s.apply(s.plan(z, "first", s.a("expenses", "192.0.2.10")))
	stale := s.plan(z, "stale", s.a("expenses", "192.0.2.11"))
	s.apply(s.plan(z, "other", s.a("expenses", "192.0.2.99")))
	before := s.read(z)
	_, err := s.p.Apply(t.Context(), stale)
	var d *provider.DriftedError
	if !errors.Is(err, provider.ErrDrifted) || !errors.As(err, &d) || d.Zone != z || d.Expect != stale.Expect || d.Found != before.Digest {
		t.Errorf("a plan against an older zone: %v", err)
	}
	if after := s.read(z); after.Digest != before.Digest || after.Serial != before.Serial {
		t.Errorf("a refused plan changed the zone: %+v, was %+v", after, before)
	}
	// What a stale plan asks for is there already: nothing to refuse.
	stale.Desired = before.Sets
	if r := s.apply(stale); r.Applied {
		t.Errorf("nothing to do, and applied: %+v", r)
	}
	// A plan for a zone that is not there, while it is.
	if _, err := s.p.Apply(t.Context(), provider.NewPlan(z, nil, nil, "new", "commit")); !errors.Is(err, provider.ErrDrifted) {
		t.Errorf("a plan for a new zone that exists: %v", err)
	}
}

func expectAnything(t *testing.T, s *subject) {
	s.apply(s.plan(z, "first", s.a("expenses", "192.0.2.10")))
	p := provider.NewPlan(z, []zone.RRSet{s.a("expenses", "192.0.2.11")}, nil, "second", "commit")
	p.Expect = provider.ExpectAnything
	if r := s.apply(p); !r.Applied {
		t.Errorf("not applied: %+v", r)
	}
}

func defaultTTL(t *testing.T, s *subject) {
	desired := []zone.RRSet{s.set("expenses."+z, "A", zone.NoTTL, "192.0.2.10"), s.set("zero."+z, "A", s.suite.MinTTL, "192.0.2.10")}
	s.apply(s.plan(z, "first", desired...))
	if p := s.plan(z, "second", desired...); len(p.Edits) != 0 {
		t.Errorf("a set without a TTL differs from itself once applied: %+v", p.Edits)
	}
	if r := s.apply(s.plan(z, "second", desired...)); r.Applied {
		t.Errorf("a set without a TTL was applied again: %+v", r)
	}
}

func refused(t *testing.T, s *subject) {
	good := s.plan(z, "good", s.a("expenses", "192.0.2.10"))
	s.apply(good)
	before := s.read(z)
	for what, desired := range map[string][]zone.RRSet{
		"outside the zone":    {s.set("www.example.net", "A", 300, "192.0.2.1")},
		"sibling zone":        {s.set("www.xapps.finmicro.example", "A", 300, "192.0.2.1")},
		"twice":               {s.a("a", "192.0.2.1"), s.a("a", "192.0.2.2")},
		"bad address":         {{Name: "a." + z, Type: "A", TTL: 300, Values: []string{"192.0.2.300"}}},
		"no values":           {{Name: "a." + z, Type: "A", TTL: 300}},
		"new line in data":    {{Name: "a." + z, Type: "TXT", TTL: 300, Values: []string{"\"x\"\nevil 300 IN A 192.0.2.66"}}},
		"new line in address": {{Name: "a." + z, Type: "A", TTL: 300, Values: []string{"192.0.2.1\nevil 300 IN A 192.0.2.66"}}},
		"comment in data":     {{Name: "a." + z, Type: "A", TTL: 300, Values: []string{"192.0.2.1 ; x"}}},
		"new line in name":    {{Name: "a\nevil." + z, Type: "A", TTL: 300, Values: []string{"192.0.2.1"}}},
		"directive as name":   {{Name: "$INCLUDE /etc/passwd." + z, Type: "A", TTL: 300, Values: []string{"192.0.2.1"}}},
		"new line in type":    {{Name: "a." + z, Type: "A\nevil 300 IN A", TTL: 300, Values: []string{"192.0.2.1"}}},
		"unknown type":        {{Name: "a." + z, Type: "NOSUCH", TTL: 300, Values: []string{"x"}}},
		"negative TTL":        {{Name: "a." + z, Type: "A", TTL: -5, Values: []string{"192.0.2.1"}}},
		"TTL over 31 bits":    {{Name: "a." + z, Type: "A", TTL: 1 << 31, Values: []string{"192.0.2.1"}}},
	} {
		p := good
		p.Desired, p.Expect, p.ChangeID = desired, before.Digest, what
		if r, err := s.p.Apply(t.Context(), p); err == nil {
			t.Errorf("%s: applied, %+v", what, r)
		}
	}
	p := s.plan(z, "no expectation", s.a("expenses", "192.0.2.11"))
	p.Expect = ""
	if _, err := s.p.Apply(t.Context(), p); err == nil {
		t.Error("a plan made against nothing was applied")
	}
	for _, bad := range []zone.Name{"", "UPPER.example", "dot.example.", "..", "a..b", "../x"} {
		p := provider.NewPlan(bad, nil, nil, "bad", "commit")
		if _, err := s.p.Apply(t.Context(), p); err == nil {
			t.Errorf("zone name %q was applied", bad)
		}
		if _, err := s.p.Read(t.Context(), bad); err == nil {
			t.Errorf("zone name %q was read", bad)
		}
	}
	if after := s.read(z); after.Digest != before.Digest || after.Serial != before.Serial {
		t.Errorf("a refused plan changed the zone: %+v, was %+v", after, before)
	}
}

func manyRecordSets(t *testing.T, s *subject) {
	desired := make([]zone.RRSet, 2000)
	for i := range desired {
		desired[i] = s.a(fmt.Sprintf("host-%d", i), fmt.Sprintf("192.0.2.%d", i%256))
	}
	s.apply(s.plan(z, "many", desired...))
	desired[1000] = s.a("host-1000", "198.51.100.1")
	p := s.plan(z, "one", desired...)
	if len(p.Edits) != 1 || p.Edits[0].Op != zone.Update {
		t.Errorf("one set of many changed: %d edits", len(p.Edits))
	}
	start := time.Now()
	s.apply(p)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("one set of 2,000 took %v", took)
	}
}

func apexNameServers(t *testing.T, s *subject) {
	ns := s.set(z, "NS", 300, "ns1.finmicro.example.")
	s.apply(s.plan(z, "own", s.a("a", "192.0.2.1"), ns))
	s.apply(s.plan(z, "none", s.a("a", "192.0.2.1")))
	s.apply(s.plan(z, "own again", s.a("a", "192.0.2.1"), ns))
}
