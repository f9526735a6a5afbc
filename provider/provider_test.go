package provider_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/gowebpki/jcs"

	"slipway/provider"
	"slipway/zone"
)

// reference is the digest as its definition reads, by the general canonicaliser.
func reference(t *testing.T, sets []zone.RRSet) string {
	t.Helper()
	sets = slices.Clone(sets)
	if sets == nil {
		sets = []zone.RRSet{}
	}
	slices.SortFunc(sets, func(a, b zone.RRSet) int {
		if a.Name != b.Name {
			return slices.Compare([]zone.Name{a.Name}, []zone.Name{b.Name})
		}
		return slices.Compare([]string{a.Type}, []string{b.Type})
	})
	for i := range sets {
		sets[i].Values = slices.Sorted(slices.Values(sets[i].Values))
		if sets[i].Values == nil {
			sets[i].Values = []string{}
		}
		if sets[i].TTL == zone.NoTTL {
			sets[i].TTL = provider.DefaultTTL
		}
	}
	raw, err := json.Marshal(sets)
	if err != nil {
		t.Fatal(err)
	}
	canonical, err := jcs.Transform(raw)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(canonical))
}

func TestDigest(t *testing.T) {
	a := zone.RRSet{Name: "a.example", Type: "A", TTL: 300, Values: []string{"192.0.2.1", "192.0.2.2"}}
	txt := zone.RRSet{Name: "a.example", Type: "TXT", TTL: zone.NoTTL, Values: []string{`"say \"hi\" \\ <b>&amp;"`, "\"\u00e9\u2028\u007f\t\""}}
	alias := zone.RRSet{Name: "example", Type: "Route53Provider/ALIAS", TTL: 0, Values: []string{`{"name":"x"}`}, Extra: `{"octodns":{"healthcheck":{"path":"/"}}}`}
	big := make([]zone.RRSet, 500)
	for i := range big {
		big[i] = zone.RRSet{Name: zone.Name(fmt.Sprintf("host%d.example", i)), Type: "A", TTL: i, Values: []string{fmt.Sprintf("192.0.2.%d", i%256)}}
	}
	for name, sets := range map[string][]zone.RRSet{"nothing": nil, "one": {a}, "three": {txt, alias, a}, "many": big} {
		if got, want := provider.Digest(sets), reference(t, sets); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if provider.Digest([]zone.RRSet{a, txt}) != provider.Digest([]zone.RRSet{txt, a}) {
		t.Error("the order of sets matters")
	}
	swapped := a
	swapped.Values = []string{"192.0.2.2", "192.0.2.1"}
	if provider.Digest([]zone.RRSet{a}) != provider.Digest([]zone.RRSet{swapped}) || swapped.Values[0] != "192.0.2.2" {
		t.Error("the order of values matters, or the values were sorted in place")
	}
	elsewhere := a
	elsewhere.Place = zone.Place{Path: "zones/example.yaml", Line: 3}
	if provider.Digest([]zone.RRSet{a}) != provider.Digest([]zone.RRSet{elsewhere}) {
		t.Error("the place matters")
	}
	for what, other := range map[string]zone.RRSet{
		"name":  {Name: "b.example", Type: "A", TTL: 300, Values: a.Values},
		"type":  {Name: "a.example", Type: "AAAA", TTL: 300, Values: a.Values},
		"TTL":   {Name: "a.example", Type: "A", TTL: 301, Values: a.Values},
		"value": {Name: "a.example", Type: "A", TTL: 300, Values: a.Values[:1]},
		"extra": {Name: "a.example", Type: "A", TTL: 300, Values: a.Values, Extra: "{}"},
	} {
		if provider.Digest([]zone.RRSet{a}) == provider.Digest([]zone.RRSet{other}) {
			t.Errorf("another %s has the same digest", what)
		}
	}
}

func FuzzDigest(f *testing.F) {
	f.Add("a.example", "TXT", 300, `"x"`, "")
	f.Add("\u00e9", "A", -1, "\x00\x1f\x7f", "{}")
	f.Add("\xff", "\"", 0, `\`, "\u2028")
	f.Fuzz(func(t *testing.T, name, typ string, ttl int, value, extra string) {
		if ttl < zone.NoTTL || ttl > 1<<31 {
			return
		}
		sets := []zone.RRSet{{Name: zone.Name(name), Type: typ, TTL: ttl, Values: []string{value}, Extra: extra}}
		if got, want := provider.Digest(sets), reference(t, sets); got != want {
			t.Errorf("%+v: %s, want %s", sets, got, want)
		}
	})
}

func TestNewPlan(t *testing.T) {
	const z = zone.Name("example")
	set := func(name zone.Name, ttl int, value string) zone.RRSet {
		return zone.RRSet{Name: name, Type: "A", TTL: ttl, Values: []string{value}}
	}
	live := &provider.Live{Zone: z, Exists: true, DefaultTTL: 120, Sets: []zone.RRSet{set("a.example", 120, "192.0.2.1"), set("b.example", 300, "192.0.2.1")}}
	live.Digest = provider.Digest(live.Sets)
	desired := []zone.RRSet{set("a.example", zone.NoTTL, "192.0.2.1"), set("c.example", 300, "192.0.2.1")}
	p := provider.NewPlan(z, desired, live, "change", "commit")
	if len(p.Edits) != 2 || p.Edits[0].Op != zone.Delete || p.Edits[1].Op != zone.Create {
		t.Errorf("edits: %+v", p.Edits)
	}
	if p.Expect != live.Digest || p.Desired[0].TTL != 120 || desired[0].TTL != zone.NoTTL {
		t.Errorf("plan: %+v, desired afterwards: %+v", p, desired)
	}
	if p := provider.NewPlan(z, desired, nil, "change", "commit"); p.Expect != provider.Digest(nil) || len(p.Edits) != 2 || p.Desired[0].TTL != provider.DefaultTTL {
		t.Errorf("plan for a zone that is not there: %+v", p)
	}
}

func TestEmpty(t *testing.T) {
	ns := zone.RRSet{Name: "example", Type: "NS", TTL: 300, Values: []string{"ns.example.net."}}
	a := zone.RRSet{Name: "a.example", Type: "A", TTL: 300, Values: []string{"192.0.2.1"}}
	for _, tt := range []struct {
		name string
		live provider.Live
		want bool
	}{
		{"not there", provider.Live{}, true},
		{"nothing in it", provider.Live{Exists: true, Digest: provider.Digest(nil)}, true},
		{"its own NS set", provider.Live{Exists: true, Digest: provider.Digest([]zone.RRSet{ns}), ApexNS: &ns}, true},
		{"an NS set of somebody's", provider.Live{Exists: true, Digest: provider.Digest([]zone.RRSet{ns})}, false},
		{"a record", provider.Live{Exists: true, Digest: provider.Digest([]zone.RRSet{ns, a}), ApexNS: &ns}, false},
	} {
		if got := tt.live.Empty(); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// Where the approved zone says nothing of its own NS set, the provider's stays.
func TestApexNS(t *testing.T) {
	ns := zone.RRSet{Name: "example", Type: "NS", TTL: 300, Values: []string{"ns.example.net."}}
	own := zone.RRSet{Name: "example", Type: "NS", TTL: 60, Values: []string{"ns.example.org."}}
	live := &provider.Live{Zone: "example", Exists: true, ApexNS: &ns, Sets: []zone.RRSet{ns}, Digest: provider.Digest([]zone.RRSet{ns})}
	if p := provider.NewPlan("example", nil, live, "c", "c"); len(p.Edits) != 0 || provider.Digest(p.Desired) != live.Digest {
		t.Errorf("nothing approved: %+v", p.Edits)
	}
	if p := provider.NewPlan("example", []zone.RRSet{own}, live, "c", "c"); len(p.Edits) != 1 || p.Edits[0].Op != zone.Update {
		t.Errorf("another set approved: %+v", p.Edits)
	}
}

func TestListing(t *testing.T) {
	many := make([]string, 20)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for want, values := range map[string][]string{
		"nothing":                             nil,
		"a, b":                                {"a", "b"},
		"0, 1, 2, 3, 4, 5, 6, 7, and 12 more": many,
	} {
		if got := provider.Listing(values); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	sets := make([]zone.RRSet, 100_000)
	for i := range sets {
		sets[i] = zone.RRSet{Name: zone.Name(fmt.Sprintf("host%06d.example", i)), Type: "A", TTL: 300, Values: []string{fmt.Sprintf("192.0.2.%d", i%256)}}
	}
	for b.Loop() {
		provider.Digest(sets)
	}
}
