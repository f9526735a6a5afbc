package provider_test

import (
	"testing"

	"slipway/provider"
	"slipway/zone"
)

func set(host, typ string, ttl int, values ...string) zone.RRSet {
	return zone.RRSet{Name: zone.Name(host) + ".example", Type: typ, TTL: ttl, Values: values}
}

func TestBlocked(t *testing.T) {
	kept := []provider.Unmanaged{{Name: "shop.example", Type: "A", Why: "it is an alias"}, {Name: "www.example", Type: "CNAME", Why: "it is an alias"}}
	for _, tt := range []struct {
		set  zone.RRSet
		want bool
	}{
		{set("shop", "A", 300, "192.0.2.1"), true},
		{set("shop", "TXT", 300, `"x"`), false},
		{set("shop", "CNAME", 300, "x."), true},
		{set("www", "TXT", 300, `"x"`), true},
		{set("other", "A", 300, "192.0.2.1"), false},
	} {
		err := provider.Blocked([]zone.RRSet{tt.set}, kept)
		if (err != nil) != tt.want {
			t.Errorf("%s %s: %v", tt.set.Type, tt.set.Name, err)
		}
	}
}

func TestMixture(t *testing.T) {
	before := []zone.RRSet{set("same", "A", 300, "192.0.2.1"), set("goes", "A", 300, "192.0.2.2"), set("turns", "A", 300, "192.0.2.3", "192.0.2.4")}
	after := []zone.RRSet{set("same", "A", 300, "192.0.2.1"), set("comes", "A", 300, "192.0.2.5"), set("turns", "A", 60, "192.0.2.4", "192.0.2.6")}
	same := before[0]
	for _, tt := range []struct {
		name string
		live []zone.RRSet
		want bool
	}{
		{"before", before, true},
		{"after", after, true},
		{"added, not yet taken away", []zone.RRSet{same, before[1], before[2], after[1]}, true},
		{"half of a set", []zone.RRSet{same, before[1], set("turns", "A", 300, "192.0.2.4")}, true},
		{"records of both", []zone.RRSet{same, set("turns", "A", 60, "192.0.2.3", "192.0.2.6")}, true},
		{"a set on its way is away", []zone.RRSet{same}, true},
		{"one that nobody asked for", []zone.RRSet{same, set("other", "A", 300, "192.0.2.9")}, false},
		{"a value that nobody asked for", []zone.RRSet{same, set("turns", "A", 300, "192.0.2.66")}, false},
		{"a TTL that nobody asked for", []zone.RRSet{same, set("turns", "A", 5, "192.0.2.3")}, false},
		{"what should stay is away", before[1:], false},
		{"what should stay has another TTL", []zone.RRSet{set("same", "A", 60, "192.0.2.1")}, false},
		{"what should stay has one more", []zone.RRSet{set("same", "A", 300, "192.0.2.1", "192.0.2.2")}, false},
	} {
		if got := provider.Mixture(tt.live, before, after); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestBase(t *testing.T) {
	before := []zone.RRSet{set("goes", "A", 300, "192.0.2.2"), set("same", "A", 300, "192.0.2.1"), set("turns", "A", 300, "192.0.2.3")}
	after := []zone.RRSet{set("comes", "A", 300, "192.0.2.2"), set("same", "A", 300, "192.0.2.1"), set("turns", "A", 60, "192.0.2.3")}
	p := provider.NewPlan("example", after, &provider.Live{Zone: "example", Exists: true, Sets: before}, "change", "commit")
	if got := p.Base(); provider.Digest(got) != provider.Digest(before) {
		t.Errorf("%+v", got)
	}
	p.Expect = provider.Digest(after)
	if got := p.Base(); got != nil {
		t.Errorf("edits that do not lead from what is expected: %+v", got)
	}
}
