package partial

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"slipway/zone"
)

func made(text string) []zone.RRSet {
	var sets []zone.RRSet
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		set := zone.RRSet{Name: zone.Name(words[0]), Type: words[1], TTL: 300, Values: []string{"x"}}
		if words[1] == "MARK" {
			set.Type, set.Values = "TXT", []string{`"heritage=external-dns,external-dns/owner=k8s,external-dns/resource=ingress/shop/web"`}
		}
		sets = append(sets, set)
	}
	return sets
}

// The forms of marks, as external-dns's documentation of its TXT registry has them.
func TestRegistry(t *testing.T) {
	for _, tt := range []struct{ name, sets, owned string }{
		{"nobody's", "www.example A\nwww.example TXT", ""},
		{"the old form", "www.example A\nwww.example MARK", "www.example A"},
		{"the old form says nothing of mail", "example A\nexample MX\nexample NS\nexample MARK", "example A"},
		{"the new form", "www.example A\na-www.example MARK", "www.example A"},
		{"the new form says which type", "www.example A\nwww.example AAAA\naaaa-www.example MARK", "www.example AAAA"},
		{"both forms", "www.example A\nwww.example MARK\na-www.example MARK", "www.example A"},
		{"an alias", "www.example CNAME\ncname-www.example MARK", "www.example CNAME"},
		{"an alias record of Route 53", "www.example Route53Provider/ALIAS\ncname-www.example MARK", "www.example Route53Provider/ALIAS"},
		{"mail", "www.example MX\nmx-www.example MARK", "www.example MX"},
		{"a prefix, new form", "www.example A\nk8s-a-www.example MARK", "www.example A"},
		{"a prefix with a dot, new form", "www.example A\nk8s.a-www.example MARK", "www.example A"},
		{"a prefix with the type in it", "www.example A\nk8s-a.www.example MARK", "www.example A"},
		{"the zone's top, by a prefix with the type in it", "example A\nexample MX\nk8s-a.example MARK", "example A"},
		{"a suffix, new form", "www.example A\na-www-k8s.example MARK", "www.example A"},
		{"a suffix with the type in it", "www.example A\nwww-k8s-a.example MARK", "www.example A"},
		{"a label with hyphens", "my-web-shop.example A\nshop.example A\na-my-web-shop.example MARK", "my-web-shop.example A"},
		{"deeper names", "www.shop.example A\na-www.shop.example MARK", "www.shop.example A"},
		{"the old form with a prefix that two have", "www.example A\nshop.example CNAME\nk8s-www.example MARK\nk8s-shop.example MARK", "shop.example CNAME, www.example A"},
		{"the old form with a prefix that speaks for itself", "www.example A\nextdns-www.example MARK", "www.example A"},
		{"a mark of something that has gone is none of another", "shop.example A\ntest-shop.example MARK", ""},
		{"nor is that of a neighbour", "shop.example A\nmyshop.example A\na-myshop.example MARK", "myshop.example A"},
		{"a wildcard as it is", "*.example A\na-*.example MARK", "*.example A"},
		{"a wildcard as a word", "*.example A\na-any.example MARK", "*.example A"},
		{"a label that is a type", "a.example A\na-shop.example MARK\nshop.example A", "shop.example A"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sets := made(tt.sets)
			r := readRegistry(sets)
			var got []string
			for k := range r.owned {
				got = append(got, fmt.Sprint(k.Name, " ", k.Type))
			}
			slices.Sort(got)
			if strings.Join(got, ", ") != tt.owned {
				t.Errorf("owned: %v, want %s", got, tt.owned)
			}
		})
	}
}

// What is asked for and not there yet is external-dns's all the same, when there is a mark for it.
func TestRegistryOfWhatIsAsked(t *testing.T) {
	r := readRegistry(made("a-www.example MARK"), Keys{{Name: "www.example", Type: "A"}: {}, {Name: "www.example", Type: "MX"}: {}})
	if r.why(zone.Key{Name: "www.example", Type: "A"}) == "" || r.why(zone.Key{Name: "www.example", Type: "MX"}) != "" {
		t.Errorf("%+v", r.owned)
	}
}

func TestOwnerOf(t *testing.T) {
	for _, tt := range []struct {
		value, owner string
		ok           bool
	}{
		{`"heritage=external-dns,external-dns/owner=k8s"`, "k8s", true},
		{`"\"heritage=external-dns,external-dns/owner=k8s,external-dns/resource=service/x/y\""`, "k8s", true},
		{`"heritage=external-dns" ",external-dns/owner=two"`, "two", true},
		{`"heritage=external-dns"`, "", true},
		{`"heritage=external-dns-not,external-dns/owner=k8s"`, "", false},
		{`"text with heritage=external-dns in it"`, "", false},
		{`"v=spf1 -all"`, "", false},
		{`"heritage=external-dns`, "", false},
	} {
		owner, ok := ownerOf(zone.RRSet{Type: "TXT", Values: []string{tt.value}})
		if owner != tt.owner || ok != tt.ok {
			t.Errorf("%s: %q, %v", tt.value, owner, ok)
		}
	}
}

// Whatever names there are: everything is of one side or the other, and a mark is never Slipway's.
func FuzzScope(f *testing.F) {
	f.Add("www.example", "a-www.example", `"heritage=external-dns,external-dns/owner=k8s"`, true)
	f.Add("*.example", "a---_-.example", `"heritage=external-dns`, false)
	f.Add("", ".", "\"\\", true)
	f.Add("example", "a.b.c.d.e.f.example", `"heritage=external-dns"`, true)
	f.Fuzz(func(t *testing.T, name, marked, value string, claimed bool) {
		sets := []zone.RRSet{
			{Name: zone.Name(name), Type: "A", Values: []string{"192.0.2.1"}},
			{Name: zone.Name(marked), Type: "TXT", Values: []string{value}},
		}
		claims := Claims{}
		if claimed {
			claims.Approved = KeysOf(sets)
		}
		ours, others := Scope(claims, nil)(sets)
		if len(ours)+len(others) != len(sets) {
			t.Fatalf("%d sets: %+v, %+v", len(sets), ours, others)
		}
		_, isMark := ownerOf(sets[1])
		for _, set := range ours {
			if set.Type == "TXT" && isMark || !claimed {
				t.Errorf("%+v is Slipway's", set)
			}
		}
	})
}

func BenchmarkScope(b *testing.B) {
	sets := make([]zone.RRSet, 0, 100_000)
	claims := Claims{Applied: Keys{}}
	for i := range cap(sets) / 4 {
		name := zone.Name(fmt.Sprintf("host-%06d.example", i))
		sets = append(sets,
			zone.RRSet{Name: name, Type: "A", TTL: 300, Values: []string{"192.0.2.1"}},
			zone.RRSet{Name: "a-" + name, Type: "TXT", TTL: 300, Values: []string{`"heritage=external-dns,external-dns/owner=k8s"`}},
			zone.RRSet{Name: "own-" + name, Type: "A", TTL: 300, Values: []string{"192.0.2.2"}},
			zone.RRSet{Name: "own-" + name, Type: "TXT", TTL: 300, Values: []string{`"x"`}},
		)
		claims.Applied[zone.Key{Name: "own-" + name, Type: "A"}] = struct{}{}
	}
	scope := Scope(claims, nil)
	for b.Loop() {
		if ours, others := scope(sets); len(ours) != len(sets)/4 || len(others) != len(sets)/4*3 {
			b.Fatal(len(ours), len(others))
		}
	}
}
