package provider_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gowebpki/jcs"

	"slipway/provider"
	"slipway/zone"
)

func addresses(from, n int) []zone.RRSet {
	sets := make([]zone.RRSet, n)
	for i := range sets {
		sets[i] = zone.RRSet{Name: zone.Name(fmt.Sprintf("h%d.example", from+i)), Type: "A", TTL: 300, Values: []string{"192.0.2.1"}}
	}
	return sets
}

func TestPlanDigest(t *testing.T) {
	live := &provider.Live{Zone: "example", Exists: true, Sets: addresses(0, 3)}
	live.Digest = provider.Digest(live.Sets)
	p := provider.NewPlan("example", addresses(1, 3), live, "change", "commit")
	raw, err := json.Marshal(map[string]string{"zone": "example", "expect": live.Digest, "desired": provider.Digest(p.Desired)})
	if err != nil {
		t.Fatal(err)
	}
	form, err := jcs.Transform(raw)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256(form)); p.Digest() != want {
		t.Errorf("%s, want %s", p.Digest(), want)
	}
	same := provider.NewPlan("example", addresses(1, 3), live, "another change", "another commit")
	if same.Digest() != p.Digest() {
		t.Error("who asks for it matters")
	}
	for what, other := range map[string]provider.Plan{
		"live content":    provider.NewPlan("example", addresses(1, 3), nil, "change", "commit"),
		"desired content": provider.NewPlan("example", addresses(1, 2), live, "change", "commit"),
		"zone":            {Zone: "example.net", Desired: p.Desired, Expect: p.Expect},
	} {
		if other.Digest() == p.Digest() {
			t.Errorf("with another %s the digest is the same", what)
		}
	}
}

func TestExceeds(t *testing.T) {
	usual := provider.Limits{Deletes: 30, Updates: 30, From: 10}
	other := func(sets []zone.RRSet, n int) []zone.RRSet {
		for i := range n {
			sets[i].Values = []string{"192.0.2.2"}
		}
		return sets
	}
	for _, tt := range []struct {
		name          string
		live, desired []zone.RRSet
		limits        provider.Limits
		want          string
	}{
		{"nothing", addresses(0, 20), addresses(0, 20), usual, ""},
		{"just the share", addresses(0, 10), addresses(3, 7), usual, ""},
		{"one more", addresses(0, 10), addresses(4, 6), usual, "in zone example it would delete 4 of its 10 record sets (40%), where at most 30% are expected at once"},
		{"a little more", addresses(0, 303), addresses(91, 212), usual, "in zone example it would delete 91 of its 303 record sets (30.1%), where at most 30% are expected at once"},
		{"a small zone", addresses(0, 9), nil, usual, ""},
		{"all of a zone", addresses(0, 10), nil, usual, "in zone example it would delete 10 of its 10 record sets (100%), where at most 30% are expected at once"},
		{"all of it, and nothing stops it", addresses(0, 10), nil, provider.Limits{Deletes: 100, Updates: 100}, ""},
		{"a new zone", nil, addresses(0, 100), provider.Limits{Deletes: 1, Updates: 1}, ""},
		{"more than there was", addresses(0, 10), addresses(0, 500), usual, ""},
		{"updates", addresses(0, 20), other(addresses(0, 20), 7), usual, "in zone example it would change 7 of its 20 record sets (35%), where at most 30% are expected at once"},
		{"both", addresses(0, 10), other(addresses(5, 5), 5), usual, "in zone example it would delete 5 of its 10 record sets (50%), where at most 30% are expected at once; and change 5 of its 10 record sets (50%), where at most 30% are expected at once"},
		{"no limits", addresses(0, 10), nil, provider.Limits{}, ""},
	} {
		live := &provider.Live{Zone: "example", Exists: len(tt.live) > 0, Sets: tt.live}
		p := provider.NewPlan("example", tt.desired, live, "change", "commit")
		got, exceeds := p.Exceeds(tt.limits)
		if got != tt.want || exceeds != (tt.want != "") {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, exceeds, tt.want)
		}
		if c := p.Counts(); c.Live != len(tt.live) || c.Edits() != len(p.Edits) {
			t.Errorf("%s: %+v of %d live sets and %d edits", tt.name, c, len(tt.live), len(p.Edits))
		}
	}
}

func TestPercent(t *testing.T) {
	for _, tt := range []struct {
		n, of int
		want  string
	}{{0, 0, "0%"}, {0, 7, "0%"}, {7, 7, "100%"}, {3, 10, "30%"}, {91, 303, "30.1%"}, {1, 100_000, "0.1%"}, {30_001, 100_000, "30.1%"}, {2, 3, "66.7%"}} {
		if got := provider.Percent(tt.n, tt.of); got != tt.want {
			t.Errorf("%d of %d: %s, want %s", tt.n, tt.of, got, tt.want)
		}
	}
}

func TestInOrder(t *testing.T) {
	in := edits(t, "-old.example A 192.0.2.1\n+www.example CNAME new.example\n+new.example A 192.0.2.2")
	var got []string
	for _, e := range (provider.Plan{Zone: "example", Edits: in}).InOrder() {
		got = append(got, string(e.Op)+" "+string(e.Name))
	}
	if want := "create new.example, create www.example, delete old.example"; strings.Join(got, ", ") != want {
		t.Errorf("%s, want %s", strings.Join(got, ", "), want)
	}
}
