package zone

import (
	"slices"
	"strings"
	"testing"
)

// TestEditsOfRealZones changes one record set of a large sample in every way,
// and checks that nothing but its lines changed and that the file reads back
// as exactly what was meant.
func TestEditsOfRealZones(t *testing.T) {
	edits := 0
	for _, f := range realZones(t) {
		src := f.Bytes()
		sets, err := f.RRSets()
		if err != nil {
			t.Fatal(err)
		}
		step := 1 + len(sets)/6
		for i := 0; i < len(sets); i += step {
			r := sets[i]
			for name, edit := range editsOf(r) {
				g, err := ParseYAML(f.Zone(), f.Path(), src)
				if err != nil {
					t.Fatal(err)
				}
				want := slices.Clone(sets)
				place := Key{r.Name, r.Type}
				if edit == nil {
					ok, err := g.Remove(r.Key())
					if err != nil || !ok {
						t.Fatalf("%s %s: %v %v", r.Place, name, ok, err)
					}
					want = slices.Delete(want, i, i+1)
				} else {
					if err := g.Put(*edit); err != nil {
						t.Fatalf("%s %s: %v", r.Place, name, err)
					}
					if edit.Key() == r.Key() {
						want[i] = *edit
					} else {
						want = append(want, *edit)
						place = edit.Key()
					}
				}
				edits++
				checkFile(t, name, g, want)
				checkConfined(t, name, f, g, sets, r, place)
				if t.Failed() {
					t.Fatalf("%s %s:\n%s", r.Place, name, lineDiff(string(src), string(g.Bytes())))
				}
			}
		}
	}
	t.Logf("%d edits", edits)
}

// editsOf are an edit of each kind; nil stands for taking the set out.
func editsOf(r RRSet) map[string]*RRSet {
	ttl, longer, kind, name := r, r, r, r
	ttl.TTL = 123
	longer.Values = []string{`"one"`, `"two; three"`}
	if r.Type != "TXT" {
		longer, _ = NewRRSet(r.Name, r.Type, r.TTL, r.Values)
		switch r.Type {
		case "A":
			longer.Values = append(longer.Values, "192.0.2.77")
		case "MX":
			longer.Values = append(slices.DeleteFunc(longer.Values, func(v string) bool { return v == "0 ." }), "99 mail.example.")
		case "NS":
			longer.Values = longer.Values[1:]
		case "CNAME", "PTR":
			longer.Values = []string{"other.example."}
		default:
			longer.TTL = 77
		}
		if len(longer.Values) == 0 {
			longer.Values = []string{"other.example."}
		}
		longer.Values = sortedSet(slices.Clone(longer.Values))
	}
	kind.Type, kind.Values, kind.Extra = "LOC", []string{"51 30 12.748 N 0 7 39.611 W 0m 1m 10m 10m"}, ""
	name = kind
	name.Name = Name("slipway-7." + string(r.Name))
	return map[string]*RRSet{"ttl": &ttl, "values": &longer, "another type": &kind, "another name": &name, "remove": nil}
}

// checkFile says whether a file, and its bytes read anew, hold exactly want, on the same lines.
func checkFile(t *testing.T, what string, f *File, want []RRSet) {
	t.Helper()
	want = slices.Clone(want)
	sortSets(want)
	got, err := f.RRSets()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	fresh, err := ParseYAML(f.Zone(), f.Path(), f.Bytes())
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	again, err := fresh.RRSets()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if !slices.EqualFunc(got, want, RRSet.Equal) {
		t.Errorf("%s: the edited file does not hold what it should:\n got %v\nwant %v", what, got, want)
	}
	if !slices.EqualFunc(got, again, func(a, b RRSet) bool { return a.Equal(b) && a.Place == b.Place }) {
		t.Errorf("%s: the file reads differently from its bytes", what)
	}
}

// checkConfined says whether the lines that differ between f and g lie in r's
// lines: in f, or (for what is new) in g.
func checkConfined(t *testing.T, what string, f, g *File, sets []RRSet, r RRSet, now Key) {
	t.Helper()
	a, b := strings.SplitAfter(string(f.Bytes()), "\n"), strings.SplitAfter(string(g.Bytes()), "\n")
	if now == r.Key() {
		from, to := extent(f, sets, r)
		if !isPrefix(b, a[:from-1]) || !isSuffix(b, a[to:]) {
			t.Errorf("%s: lines outside of the record set's (%d-%d) changed", what, from, to)
		}
		return
	}
	pre := 0
	for pre < len(a) && pre < len(b) && a[pre] == b[pre] {
		pre++
	}
	if now.Name != r.Name && !isSuffix(b, a[pre:]) {
		t.Errorf("%s: a new name did more than add lines", what)
	}
}

func isPrefix(of, lines []string) bool {
	return len(of) >= len(lines) && slices.Equal(of[:len(lines)], lines)
}

func isSuffix(of, lines []string) bool {
	return len(of) >= len(lines) && slices.Equal(of[len(of)-len(lines):], lines)
}

// extent returns the lines of a record set.
func extent(f *File, sets []RRSet, r RRSet) (from, to int) {
	to = strings.Count(string(f.Bytes()), "\n") + 1
	for _, o := range sets {
		if o.Place.Line > r.Place.Line {
			to = min(to, o.Place.Line-1)
		}
	}
	from = r.Place.Line
	if under, _ := f.At(r.Name); len(under) == 1 {
		from = f.blockOf(r.Name).line // the key goes with its only record set
	}
	return from, to
}

// lineDiff shows what differs, for a person who reads a failure.
func lineDiff(a, b string) string {
	x, y := strings.SplitAfter(a, "\n"), strings.SplitAfter(b, "\n")
	pre := 0
	for pre < len(x) && pre < len(y) && x[pre] == y[pre] {
		pre++
	}
	for len(x) > pre && len(y) > pre && x[len(x)-1] == y[len(y)-1] {
		x, y = x[:len(x)-1], y[:len(y)-1]
	}
	return "-" + strings.Join(x[pre:], "-") + "+" + strings.Join(y[pre:], "+")
}
