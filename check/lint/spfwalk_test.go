package lint

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"slipway/change"
	"slipway/check/internal/scenario"
	"slipway/check/spf"
)

// An SPF record is evaluated through what was seen outside and through our own zones.
func TestSPFWalk(t *testing.T) {
	w := world(t)
	many := func(n int, term string) string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf(term, i))
		}
		return strings.Join(out, " ")
	}
	var wide []string
	wide = append(wide, "wide.test MX NOERROR")
	for i := range 11 {
		wide = append(wide, fmt.Sprintf("wide.test. MX 10 mx%d.wide.test.", i))
	}
	for _, c := range []struct {
		name, spf string
		seen      []string
		lookups   int
		voids     []string
		broken    []string
		open      string
		missing   bool
	}{
		{name: "addresses alone", spf: "v=spf1 ip4:9.9.9.9 ip6:2620:fe::fe -all"},
		{name: "includes within includes count", spf: "v=spf1 include:a.test -all", lookups: 5,
			seen: []string{"a.test TXT NOERROR", `a.test. TXT "v=spf1 include:b.test a:b.test -all"`, "b.test TXT NOERROR", `b.test. TXT "v=spf1 mx ptr -all"`, "b.test A NOERROR", "b.test. A 9.9.9.9", "b.test AAAA NOERROR", "b.test MX NOERROR", "b.test. MX 10 mx.b.test.", "mx.b.test A NOERROR", "mx.b.test. A 9.9.9.9", "mx.b.test AAAA NOERROR"}},
		{name: "the same include twice counts twice", spf: "v=spf1 include:a.test include:a.test -all", lookups: 4,
			seen: []string{"a.test TXT NOERROR", `a.test. TXT "v=spf1 ptr -all"`}},
		{name: "strings of one record are joined", spf: "v=spf1 include:a.test -all", lookups: 2,
			seen: []string{"a.test TXT NOERROR", `a.test. TXT "v=spf1 p" "tr -all"`, `a.test. TXT "something=else"`}},
		{name: "through an alias outside", spf: "v=spf1 include:a.test -all", lookups: 1,
			seen: []string{"a.test TXT NOERROR", "a.test. CNAME b.test.", `b.test. TXT "v=spf1 -all"`}},
		{name: "redirect", spf: "v=spf1 redirect=a.test", lookups: 2, seen: []string{"a.test TXT NOERROR", `a.test. TXT "v=spf1 ptr -all"`}},
		{name: "redirect after all is not followed", spf: "v=spf1 -all redirect=a.test"},
		{name: "redirect to nothing", spf: "v=spf1 redirect=a.test", lookups: 1, seen: []string{"a.test TXT NXDOMAIN"}, voids: []string{"redirect=a.test"}, broken: []string{"a.test has no SPF record, where one is needed"}},
		{name: "include of two", spf: "v=spf1 include:a.test -all", lookups: 1, seen: []string{"a.test TXT NOERROR", `a.test. TXT "v=spf1 -all"`, `a.test. TXT "v=spf1 ~all"`}, broken: []string{"a.test has several SPF records, where one is needed"}},
		{name: "include of a void one", spf: "v=spf1 include:a.test -all", lookups: 1, seen: []string{"a.test TXT NOERROR", `a.test. TXT "v=spf1 ip5:1 -all"`}, broken: []string{`the SPF record of a.test is void: "ip5:1" is no term of SPF`}},
		{name: "a loop outside", spf: "v=spf1 include:a.test -all", lookups: 3, seen: []string{"a.test TXT NOERROR", `a.test. TXT "v=spf1 include:b.test -all"`, "b.test TXT NOERROR", `b.test. TXT "v=spf1 include:a.test -all"`}, broken: []string{"a.test leads back to itself (shop.finmicro.example → a.test → b.test → a.test)"}},
		{name: "exists, a and mx that find nothing", spf: "v=spf1 exists:a.test a:a.test mx:a.test -all", lookups: 3, seen: []string{"a.test A NXDOMAIN", "a.test AAAA NXDOMAIN", "a.test MX NXDOMAIN"}, voids: []string{"exists:a.test", "a:a.test", "mx:a.test"}},
		{name: "a of IPv6 alone is not void", spf: "v=spf1 a:a.test -all", lookups: 1, seen: []string{"a.test A NOERROR", "a.test AAAA NOERROR", "a.test. AAAA 2620:fe::fe"}},
		{name: "macros count and are not followed", spf: "v=spf1 include:%{o}._spf.a.test exists:%{i}.a.test -all", lookups: 2},
		{name: "too many mail servers", spf: "v=spf1 mx:wide.test -all", lookups: 1, seen: wide, broken: []string{"wide.test has 11 mail servers; receivers stop at 10"}},
		{name: "anybody by an include", spf: "v=spf1 include:a.test -all", lookups: 1, seen: []string{"a.test TXT NOERROR", `a.test. TXT "v=spf1 all"`}, open: "+all at a.test"},
		{name: "anybody by an include that does not pass", spf: "v=spf1 ?include:a.test -all", lookups: 1, seen: []string{"a.test TXT NOERROR", `a.test. TXT "v=spf1 all"`}},
		{name: "our own zone answers before what was seen", spf: "v=spf1 a:www.finmicro.example -all", lookups: 1, seen: []string{"www.finmicro.example A NXDOMAIN"}},
		{name: "not recorded", spf: "v=spf1 include:a.test include:b.test -all", lookups: 2, seen: []string{"b.test TXT NOERROR", `b.test. TXT "v=spf1 -all"`}, missing: true},
		{name: "no answer", spf: "v=spf1 include:a.test -all", lookups: 1, seen: []string{"a.test TXT SERVFAIL"}, missing: true},
		{name: "without end", spf: "v=spf1 " + many(70, "exists:%%{i}.x%d.test") + " -all", lookups: spf.MaxFollowed + 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			archive, _, seen := split(t, observed(c.seen...)+"-- zones/finmicro.example.yaml --\nwww: {type: A, ttl: 300, value: 9.9.9.8}\nshop: {type: TXT, ttl: 300, value: '"+c.spf+"'}\n")
			head := w.Head(t, []byte(archive))
			ch, err := change.Compute(t.Context(), w.Repo, w.Base, head)
			if err != nil {
				t.Fatal(err)
			}
			settings, err := w.Base.Settings(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			p, err := newPass(t.Context(), Input{Change: ch, Base: w.Base, Head: head, Settings: settings, AsOf: scenario.Now, Observed: replay(seen)})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range ch.Edits {
				if e.After == nil || e.Type != "TXT" {
					continue
				}
				walk, err := p.walk(*e.After)
				if err != nil {
					t.Fatal(err)
				}
				if walk.Lookups != c.lookups || !slices.Equal(walk.Voids, c.voids) || !slices.Equal(walk.Broken, c.broken) || walk.Open != c.open {
					t.Errorf("got %d look-ups, voids %q, broken %q, open %q", walk.Lookups, walk.Voids, walk.Broken, walk.Open)
				}
				if (len(p.found) > 0) != c.missing {
					t.Errorf("found %+v", p.found)
				}
			}
		})
	}
}
