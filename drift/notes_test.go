package drift_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"slipway/drift"
	"slipway/provider"
	"slipway/zone"
)

// sets reads "name TTL TYPE value|value"; a TTL of - is none.
func sets(t testing.TB, lines ...string) (out []zone.RRSet) {
	t.Helper()
	for _, line := range lines {
		words := strings.SplitN(line, " ", 4)
		ttl := zone.NoTTL
		if words[1] != "-" {
			if _, err := fmt.Sscan(words[1], &ttl); err != nil {
				t.Fatal(err)
			}
		}
		// As written, and not as package zone would write it: providers differ in just that.
		out = append(out, zone.RRSet{Name: zone.Name(words[0]), Type: words[2], TTL: ttl, Values: strings.Split(words[3], "|")})
	}
	return out
}

func TestClassify(t *testing.T) {
	const www = "www.finmicro.example"
	coming := func(sets ...[]zone.RRSet) (out []drift.Coming) {
		for i, s := range sets {
			out = append(out, drift.Coming{Change: fmt.Sprintf("c-%d", i+1), Sets: s})
		}
		return out
	}
	for _, tt := range []struct {
		name           string
		approved, live []string
		c              drift.Circumstances
		serial         uint32
		ttl            int
		drift, notes   []string // kind, name and for notes the change
	}{
		{name: "as approved", approved: []string{www + " 300 A 192.0.2.1"}, live: []string{www + " 300 A 192.0.2.1"}},
		{name: "changed", approved: []string{www + " 300 A 192.0.2.1"}, live: []string{www + " 300 A 192.0.2.2"}, drift: []string{"changed " + www}},
		{name: "missing", approved: []string{www + " 300 A 192.0.2.1"}, drift: []string{"missing " + www}},
		{name: "extra", live: []string{www + " 300 A 192.0.2.1"}, drift: []string{"extra " + www}},

		{name: "only the serial", approved: []string{www + " 300 A 192.0.2.1"}, live: []string{www + " 300 A 192.0.2.1"}, serial: 7, c: drift.Circumstances{Serial: 5}, notes: []string{"serial-only "}},
		{name: "the serial, and content", approved: []string{www + " 300 A 192.0.2.1"}, live: []string{www + " 300 A 192.0.2.2"}, serial: 7, c: drift.Circumstances{Serial: 5}, drift: []string{"changed " + www}},
		{name: "the serial that was applied", approved: []string{www + " 300 A 192.0.2.1"}, live: []string{www + " 300 A 192.0.2.1"}, serial: 5, c: drift.Circumstances{Serial: 5}},
		{name: "a provider without serials", approved: []string{www + " 300 A 192.0.2.1"}, live: []string{www + " 300 A 192.0.2.1"}, c: drift.Circumstances{Serial: 5}},

		{name: "the case of a name", approved: []string{www + " 300 CNAME app.example.net."}, live: []string{www + " 300 CNAME App.Example.NET."}, notes: []string{"normalised " + www}},
		{name: "a trailing dot", approved: []string{www + " 300 CNAME app.example.net."}, live: []string{www + " 300 CNAME app.example.net"}, notes: []string{"normalised " + www}},
		{name: "a text cut otherwise", approved: []string{www + ` 300 TXT "v=spf1 -all"`}, live: []string{www + ` 300 TXT "v=spf1 " "-all"`}, notes: []string{"normalised " + www}},
		{name: "a text without quotes", approved: []string{www + ` 300 TXT "hello"`}, live: []string{www + ` 300 TXT hello`}, notes: []string{"normalised " + www}},
		{name: "the case of a text is content", approved: []string{www + ` 300 TXT "hello"`}, live: []string{www + ` 300 TXT "Hello"`}, drift: []string{"changed " + www}},
		{name: "an address written long", approved: []string{www + " 300 AAAA 2001:db8::1"}, live: []string{www + " 300 AAAA 2001:DB8:0:0:0:0:0:1"}, notes: []string{"normalised " + www}},
		{name: "spaces", approved: []string{www + " 300 MX 10 mail.example.net."}, live: []string{www + " 300 MX 10  mail.example.net."}, notes: []string{"normalised " + www}},
		{name: "a type without a name", approved: []string{www + ` 300 TYPE65400 \# 2 0A0B`}, live: []string{www + ` 300 TYPE65400 \# 2 0a0b`}, notes: []string{"normalised " + www}},
		{name: "the order of values", approved: []string{www + " 300 A 192.0.2.1|192.0.2.2"}, live: []string{www + " 300 A 192.0.2.2|192.0.2.1"}, notes: []string{"normalised " + www}},
		{name: "spelled otherwise with another TTL", approved: []string{www + " 300 CNAME app.example.net."}, live: []string{www + " 60 CNAME App.example.net."}, drift: []string{"changed " + www}},
		{name: "a provider's type", approved: []string{www + ` 300 X/ALIAS {"a":1}`}, live: []string{www + ` 300 X/ALIAS {"a":2}`}, drift: []string{"changed " + www}},
		{name: "the provider's TTL", approved: []string{www + " - A 192.0.2.1"}, live: []string{www + " 600 A 192.0.2.1"}, ttl: 600, notes: []string{"normalised "}},
		{name: "another TTL than the provider's", approved: []string{www + " - A 192.0.2.1"}, live: []string{www + " 60 A 192.0.2.1"}, ttl: 600, drift: []string{"changed " + www}, notes: []string{"normalised "}},

		{name: "on its way", approved: []string{www + " 300 A 192.0.2.1"}, live: []string{www + " 300 A 192.0.2.1"},
			c: drift.Circumstances{Coming: coming(sets(t, www+" 300 A 192.0.2.2"))}, notes: []string{"pending " + www + " c-1"}},
		{name: "there already", approved: []string{www + " 300 A 192.0.2.1"}, live: []string{www + " 300 A 192.0.2.2"},
			c: drift.Circumstances{Coming: coming(sets(t, www+" 300 A 192.0.2.2"))}, notes: []string{"pending " + www + " c-1"}},
		{name: "the first of two is there", approved: []string{www + " 300 A 192.0.2.1"}, live: []string{www + " 300 A 192.0.2.2"},
			c: drift.Circumstances{Coming: coming(sets(t, www+" 300 A 192.0.2.2"), sets(t, www+" 300 A 192.0.2.3"))}, notes: []string{"pending " + www + " c-2"}},
		{name: "a name that is to come", c: drift.Circumstances{Coming: coming(sets(t, www+" 300 A 192.0.2.2"))}, notes: []string{"pending " + www + " c-1"}},
		{name: "a name that is to go", approved: []string{www + " 300 A 192.0.2.1"}, live: []string{www + " 300 A 192.0.2.1"},
			c: drift.Circumstances{Coming: coming(nil)}, notes: []string{"pending " + www + " c-1"}},
		{name: "a name that is gone already", approved: []string{www + " 300 A 192.0.2.1"},
			c: drift.Circumstances{Coming: coming(nil)}, notes: []string{"pending " + www + " c-1"}},
		{name: "edited by hand while a change is on its way", approved: []string{www + " 300 A 192.0.2.1"}, live: []string{www + " 300 A 192.0.2.66"},
			c: drift.Circumstances{Coming: coming(sets(t, www+" 300 A 192.0.2.2"))}, drift: []string{"changed " + www}},
		{name: "another name edited meanwhile", approved: []string{"a.example 300 A 192.0.2.1", www + " 300 A 192.0.2.1"}, live: []string{"a.example 300 A 192.0.2.66", www + " 300 A 192.0.2.1"},
			c: drift.Circumstances{Coming: coming(sets(t, "a.example 300 A 192.0.2.1", www+" 300 A 192.0.2.2"))}, drift: []string{"changed a.example"}, notes: []string{"pending " + www + " c-1"}},
		{name: "removed by hand, though it is to stay", approved: []string{"a.example 300 A 192.0.2.1"},
			c: drift.Circumstances{Coming: coming(sets(t, "a.example 300 A 192.0.2.1"))}, drift: []string{"missing a.example"}},

		{name: "left alone", approved: []string{www + " 300 A 192.0.2.1"}, live: []string{www + " 300 A 192.0.2.1"},
			c: drift.Circumstances{Unmanaged: []provider.Unmanaged{{Name: "lb.finmicro.example", Type: "A", Why: "it is weighted"}}}, notes: []string{"unmanaged lb.finmicro.example"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			live := &provider.Live{Zone: z, Exists: true, Serial: tt.serial, DefaultTTL: tt.ttl, Sets: sets(t, tt.live...)}
			r := drift.Classify(z, "commit", sets(t, tt.approved...), live, tt.c, noon)
			var differences, notes []string
			for _, d := range r.Differences {
				differences = append(differences, string(d.Kind)+" "+string(d.Name))
				if d.Sentence() == "" || d.Kind.Words() == "" {
					t.Errorf("no words for %+v", d)
				}
			}
			for _, n := range r.Notes {
				s := string(n.Kind) + " " + string(n.Name)
				if n.Change != "" {
					s += " " + n.Change
				}
				notes = append(notes, s)
				if n.Sentence() == "" || n.Kind.Words() == string(n.Kind) && n.Kind != "" {
					t.Errorf("no words for %+v", n)
				}
			}
			if !slices.Equal(differences, tt.drift) || !slices.Equal(notes, tt.notes) || (r.Digest == "") != (len(tt.drift) == 0) {
				t.Errorf("drift %q, want %q; notes %q, want %q", differences, tt.drift, notes, tt.notes)
			}
		})
	}
}

// Where several providers serve a zone, each difference says at which.
func TestClassifyProviders(t *testing.T) {
	approved := sets(t, "www.finmicro.example 300 A 192.0.2.1")
	live := &provider.Live{Zone: z, Exists: true, Parts: []provider.Part{
		{Provider: "one", Live: &provider.Live{Zone: z, Exists: true, Sets: approved}},
		{Provider: "two", Live: &provider.Live{Zone: z, Exists: true, Sets: sets(t, "www.finmicro.example 300 A 192.0.2.66")}},
	}}
	r := drift.Between(z, "commit", approved, live, noon)
	if len(r.Differences) != 1 || r.Differences[0].Provider != "two" || !strings.HasPrefix(r.Differences[0].Sentence(), "At the provider two: A www") {
		t.Errorf("%+v", r.Differences)
	}
}

// A report of a zone that is changed all over stays of a size.
func TestNotesAreBounded(t *testing.T) {
	var approved, live []string
	for i := range 500 {
		approved = append(approved, fmt.Sprintf("n%03d.finmicro.example 300 CNAME app.example.net.", i))
		live = append(live, fmt.Sprintf("n%03d.finmicro.example 300 CNAME APP.example.net.", i))
	}
	r := drift.Between(z, "commit", sets(t, approved...), &provider.Live{Zone: z, Exists: true, Sets: sets(t, live...)}, noon)
	if len(r.Differences) != 0 || len(r.Notes) != 51 || !strings.Contains(r.Notes[50].Sentence(), "450 more") {
		t.Errorf("%d differences, %d notes", len(r.Differences), len(r.Notes))
	}
}

// What differs in nothing but spelling is never drift, and what differs in a byte that counts always is.
func FuzzSameContent(f *testing.F) {
	f.Add("TXT", `"a" "b"`, `"ab"`)
	f.Add("CNAME", "App.Example.", "app.example.")
	f.Add("A", "192.0.2.1", "192.0.2.2")
	f.Add("TYPE65400", `\# 1 0A`, `\# 1 0a`)
	f.Add("HTTPS", `1 . alpn="h2"`, `1 . alpn=h2`)
	f.Fuzz(func(t *testing.T, typ, a, b string) {
		x, y := zone.RRSet{Name: z, Type: typ, Values: []string{a}}, zone.RRSet{Name: z, Type: typ, Values: []string{b}}
		if !drift.SameContent(x, x) {
			t.Errorf("%s %q is not itself", typ, a)
		}
		if drift.SameContent(x, y) != drift.SameContent(y, x) {
			t.Errorf("%s %q and %q", typ, a, b)
		}
	})
}
