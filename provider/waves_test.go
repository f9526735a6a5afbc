package provider_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"slipway/provider"
	"slipway/zone"
)

func TestWaves(t *testing.T) {
	const ds = "60485 13 2 d4b7d520e7bb5f0f67674a0cceb1e3e0614b93c4f9e99b8383f6a1e4469da50a"
	for _, tt := range []struct{ name, edits, want string }{
		{"nothing", "", ""},
		{"one kind of edit is one wave", "+a.example A 192.0.2.1\n+b.example A 192.0.2.2", "+a A\n+b A\n"},
		{"adds before switches before deletes",
			"-old.example A 192.0.2.1\n~www.example CNAME old.example>new.example\n+new.example A 192.0.2.2\n+other.example A 192.0.2.3",
			"+new A\n+other A\n--\n~www CNAME\n--\n-old A\n"},
		{"a name everywhere before what points at it anywhere",
			"+a.example CNAME b.example\n+b.example CNAME c.example\n+c.example A 192.0.2.1\n+d.example A 192.0.2.2",
			"+c A\n+d A\n--\n+b CNAME\n--\n+a CNAME\n"},
		{"and the other way round when they go",
			"-a.example A 192.0.2.1\n-b.example MX 10 a.example\n-c.example CNAME b.example\n-d.example A 192.0.2.2",
			"-d A\n-c CNAME\n--\n-b MX\n--\n-a A\n"},
		{"what points at a name that stays needs no wave", "+a.example CNAME stays.example\n+b.example A 192.0.2.1", "+a CNAME\n+b A\n"},
		{"a circle", "+a.example CNAME b.example\n+b.example CNAME a.example", "+b CNAME\n--\n+a CNAME\n"},
		{"trust comes after what it vouches for, and goes before it",
			"+new.example DS " + ds + "\n+new.example NS ns.new.example\n+a.example A 192.0.2.1\n-gone.example DS " + ds + "\n-gone.example NS ns.gone.example\n-z.example A 192.0.2.1",
			"+a A\n--\n+new DS, +new NS\n--\n-gone DS, -gone NS\n--\n-z A\n"},
	} {
		var got []string
		for _, wave := range provider.Waves(edits(t, tt.edits)) {
			got = append(got, show(wave))
		}
		if s := strings.Join(got, "--\n"); s != tt.want {
			t.Errorf("%s:\n%swant\n%s", tt.name, s, tt.want)
		}
	}
}

// Waves are the parts of Order, each just once, and no more waves than a resolver would follow.
func TestWavesOfALongChain(t *testing.T) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "+n%d.example CNAME n%d.example\n-m%d.example CNAME m%d.example\n", i, i+1, i, i+1)
	}
	in := edits(t, text.String())
	waves := provider.Waves(in)
	if len(waves) > 16 {
		t.Errorf("%d waves", len(waves))
	}
	var all [][]zone.Edit
	for _, w := range waves {
		all = append(all, w...)
	}
	lines := func(parts [][]zone.Edit) []string {
		l := strings.Split(show(parts), "\n")
		slices.Sort(l)
		return l
	}
	if !slices.Equal(lines(all), lines(provider.Order(in))) {
		t.Error("the waves are not the parts of the order")
	}
}

// Where two providers differ, a plan says what has to change at either.
func TestEditsOfProvidersThatDisagree(t *testing.T) {
	at := func(sets ...zone.RRSet) *provider.Live {
		return &provider.Live{Zone: "example", Exists: true, Sets: sets, Digest: provider.Digest(sets)}
	}
	sets := addresses(0, 3)
	other := sets[0]
	other.Values = []string{"192.0.2.9"}
	live := at(sets...)
	live.Digest = "sha256:of-both"
	live.Parts = []provider.Part{{Provider: "one", Live: at(sets[1], sets[2])}, {Provider: "two", Live: at(other, sets[1], sets[2], addresses(9, 1)[0])}}
	p := provider.NewPlan("example", sets, live, "change", "commit")
	if got := show([][]zone.Edit{p.Edits}); got != "~h0 A, -h9 A\n" {
		t.Errorf("%s", got)
	}
	if p.Expect != "sha256:of-both" {
		t.Errorf("made against %s", p.Expect)
	}
}
