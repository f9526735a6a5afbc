package zone

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// show writes record sets one a line, for comparison.
func show(sets []RRSet) string {
	var b strings.Builder
	for _, r := range sets {
		fmt.Fprintf(&b, "%d %s %d %s %s", r.Place.Line, r.Name, r.TTL, r.Type, strings.Join(r.Values, " | "))
		if r.Extra != "" {
			b.WriteString(" + " + r.Extra)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestOctoDNSForms(t *testing.T) {
	for _, tt := range []struct{ name, src, want string }{
		{"nothing", "---\n", ""},
		{"empty mapping", "--- {}\n", ""},
		{"apex and wildcard", "'':\n  type: A\n  value: 192.0.2.1\n'*':\n  ttl: 60\n  type: A\n  value: 192.0.2.2\n",
			"4 *.example.com 60 A 192.0.2.2\n1 example.com -1 A 192.0.2.1\n"},
		{"list, values, legacy names", "www:\n- ttl: '60'\n  type: MX\n  values:\n  - {priority: '10', value: a.example}\n  - {preference: 5, exchange: B.example.}\n- type: A\n  value: [192.0.2.1]\n",
			"7 www.example.com -1 A 192.0.2.1\n2 www.example.com 60 MX 10 a.example. | 5 b.example.\n"},
		{"keys that are numbers or words", "18:\n  type: PTR\n  value: a\n1.5:\n  type: PTR\n  value: c\n'no':\n  type: PTR\n  value: b\n",
			"4 1.5.example.com -1 PTR c.\n1 18.example.com -1 PTR a.\n7 no.example.com -1 PTR b.\n"},
		{"absolute key and IDN", "www.example.com.:\n  type: CNAME\n  value: ü.example\nbücher:\n  type: CNAME\n  value: x\n",
			"1 www.example.com -1 CNAME xn--tda.example.\n4 xn--bcher-kva.example.com -1 CNAME x.\n"},
		{"text", "a:\n  type: TXT\n  values:\n    - v=DKIM1\\; k=rsa\n    - '\"quoted\"'\n    - \"one\\ttab\"\n    - 'a \"\" b'\n    - back\\slash\n    - 12\n",
			"1 a.example.com -1 TXT \"12\" | \"a \\\"\\\" b\" | \"back\\\\slash\" | \"one\\009tab\" | \"quoted\" | \"v=DKIM1; k=rsa\"\n"},
		{"text cut in two", "a:\n  type: TXT\n  value: " + strings.Repeat("x", 200) + `""` + strings.Repeat("y", 100) + "\n",
			"1 a.example.com -1 TXT \"" + strings.Repeat("x", 200) + strings.Repeat("y", 55) + `" "` + strings.Repeat("y", 45) + "\"\n"},
		{"provider's type, other keys", "a:\n  octodns: {lenient: true}\n  dynamic:\n    pools: {one: {values: [{value: x, weight: 1}]}}\n  type: P/X\n  value:\n    b: 1.0\n    a: null\n",
			"1 a.example.com -1 P/X {\"a\":null,\"b\":1} + {\"dynamic\":{\"pools\":{\"one\":{\"values\":[{\"value\":\"x\",\"weight\":1}]}}},\"octodns\":{\"lenient\":true}}\n"},
		{"malformed values are kept", "a:\n  type: MX\n  value: {exchange: x}\nb:\n  type: A\n  value:\nc:\n  type: CAA\n  value: {tag: issue, value: x, colour: red}\nd:\n  type: A\n  value: nonsense\n",
			"1 a.example.com -1 MX {\"exchange\":\"x\"}\n4 b.example.com -1 A null\n7 c.example.com -1 CAA {\"colour\":\"red\",\"tag\":\"issue\",\"value\":\"x\"}\n10 d.example.com -1 A \"nonsense\"\n"},
		{"old DS", "a:\n  type: DS\n  value: {flags: 1, protocol: 2, algorithm: 3, public_key: ABCD}\n", "1 a.example.com -1 DS 1 2 3 abcd\n"},
		{"CAA and TLSA defaults", "a:\n- type: CAA\n  value: {tag: issue, value: ;}\n- type: TLSA\n  value: {certificate_association_data: AB}\n",
			"2 a.example.com -1 CAA 0 issue \";\"\n4 a.example.com -1 TLSA 0 0 0 ab\n"},
		{"aliases and merges", "a: &x\n  type: A\n  value: 192.0.2.1\nb: *x\nc:\n  <<: *x\n  ttl: 5\n",
			"1 a.example.com -1 A 192.0.2.1\n4 b.example.com -1 A 192.0.2.1\n5 c.example.com 5 A 192.0.2.1\n"},
		{"flow", "{a: {type: A, value: 192.0.2.1}}\n", "1 a.example.com -1 A 192.0.2.1\n"},
		{"indented", "  a:\n    type: A\n    value: 192.0.2.1\n", "1 a.example.com -1 A 192.0.2.1\n"},
		{"line separator", "a: {type: A, value: 192.0.2.1}\u2028b: {type: A, value: 192.0.2.2}\n", "1 a.example.com -1 A 192.0.2.1\n2 b.example.com -1 A 192.0.2.2\n"},
		{"byte order mark", "\ufeffa:\n  type: A\n  value: 192.0.2.1\n", "1 a.example.com -1 A 192.0.2.1\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := ParseYAML("example.com", "x.yaml", []byte(tt.src))
			if err != nil {
				t.Fatal(err)
			}
			sets, err := f.RRSets()
			if err != nil || show(sets) != tt.want {
				t.Errorf("got %v\n%swant\n%s", err, show(sets), tt.want)
			}
			if string(f.Bytes()) != tt.src {
				t.Errorf("bytes: %q", f.Bytes())
			}
		})
	}
}

func TestMalformedValuesAreExplained(t *testing.T) {
	for _, tt := range []struct{ src, want string }{
		{"a:\n  type: MX\n  value: {exchange: x}\n", "x.yaml:1: MX of a.example.com: preference is missing"},
		{"a:\n  type: MX\n  value: 10 x.\n", "x.yaml:1: MX of a.example.com: it has 1 parts where MX has 2"},
		{"a:\n  type: A\n  value:\n", "x.yaml:1: A of a.example.com: it must be plain text"},
		{"a:\n  type: A\n  value: nonsense\n", `x.yaml:1: A of a.example.com: "nonsense" is not an IPv4 address`},
		{"a:\n  type: A\n", "x.yaml:1: A of a.example.com: it has no value"},
		{"a:\n  type: CAA\n  value: {tag: issue, value: x, colour: red}\n", "it has a key that CAA does not have"},
	} {
		f, err := ParseYAML("example.com", "x.yaml", []byte(tt.src))
		if err != nil {
			t.Fatal(err)
		}
		sets, err := f.RRSets()
		if err != nil {
			t.Fatal(err)
		}
		if err := sets[0].Validate(); err == nil || !strings.HasPrefix(err.Error(), tt.want) && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v; want %s", tt.src, err, tt.want)
		}
	}
}

func TestFileFaults(t *testing.T) {
	for _, tt := range []struct{ name, src, want string }{
		{"name twice", "a:\n  type: A\n  value: 192.0.2.1\nA:\n  type: TXT\n  value: x\n", "x.yaml:4: a stands twice in this file"},
		{"apex twice", "'':\n  type: A\nexample.com.:\n  type: A\n", "x.yaml:3: the zone's own name ('') stands twice"},
		{"type twice", "a:\n- type: A\n  value: 192.0.2.1\n- type: A\n  value: 192.0.2.2\n", "x.yaml:4: a.example.com has two record sets of type A"},
		{"key twice", "a:\n  type: A\n  value: 192.0.2.1\n  value: 192.0.2.2\n", `x.yaml:4: the key "value" is there twice`},
		{"both", "a:\n  type: A\n  value: 192.0.2.1\n  values: [192.0.2.2]\n", "x.yaml:4: a.example.com has both value and values"},
		{"no type", "a:\n  ttl: 5\n", "x.yaml:2: a record set of a.example.com has no type"},
		{"no records", "a:\n", "x.yaml:1: a.example.com has no records"},
		{"ttl", "\n\na:\n  ttl: soon\n  type: A\n", `x.yaml:4: the ttl is "soon"`},
		{"ttl in base 8", "a:\n  ttl: 0300\n  type: A\n", "x.yaml:2: the ttl 0300 begins with a zero"},
		{"truth value as a name", "a:\n  type: A\nno:\n  type: A\n", "x.yaml:3: octoDNS takes the key no for"},
		{"base 8 as a name", "010:\n  type: A\n", "x.yaml:1: octoDNS takes the key 010 for"},
		{"decimal as a name", "1.10:\n  type: A\n", "x.yaml:1: octoDNS takes the key 1.10 for"},
		{"outside", "www.example.net.:\n  type: A\n", "x.yaml:1: www.example.net is not in the zone example.com"},
		{"bad name", "ok: {type: A}\n'a b':\n  type: A\n", `x.yaml:2: "a b" is not a usable name`},
		{"bad YAML", "ok:\n  type: A\n  value: 192.0.2.1\na:\n  type: [\nb:\n  type: A\n", "x.yaml:"},
		{"tab", "a:\n\ttype: A\n", "x.yaml:2: this is not valid YAML"},
		{"text runs over a key", "a:\n  type: TXT\n  value: \"one\nb: two\"\n", "x.yaml:3: this is not valid YAML"},
		{"two documents", "a: {type: A}\n---\nb: {type: A}\n", "the file holds more than one YAML document"},
		{"a list", "- a\n", "x.yaml:1: a mapping (key: value) was expected here"},
		{"long line", "a: " + strings.Repeat("x", maxLine+1), "x.yaml:1: the line is"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := ParseYAML("example.com", "x.yaml", []byte(tt.src))
			if err == nil {
				_, err = f.RRSets()
			}
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func parseFile(t *testing.T, src string) *File {
	t.Helper()
	f, err := ParseYAML("example.com", "x.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestDiffFiles(t *testing.T) {
	base := "a:\n  type: A\n  value: 192.0.2.1\nb:\n  type: A\n  value: 192.0.2.2\nc:\n- type: A\n  value: 192.0.2.3\n- type: TXT\n  value: x\n"
	for _, tt := range []struct{ name, head, want string }{
		{"same", base, ""},
		{"layout only", "# new\n" + strings.ReplaceAll(base, "value: 192.0.2.2", "value: '192.0.2.2' # same"), ""},
		{"order only", "b:\n  type: A\n  value: 192.0.2.2\na:\n  type: A\n  value: 192.0.2.1\nc:\n- type: TXT\n  value: x\n- type: A\n  value: 192.0.2.3\n", ""},
		{"update", strings.Replace(base, "192.0.2.2", "192.0.2.9", 1), "update b.example.com A x.yaml:4"},
		{"create", base + "d:\n  type: A\n  value: 192.0.2.4\n", "create d.example.com A x.yaml:12"},
		{"delete", "a:\n  type: A\n  value: 192.0.2.1\nc:\n- type: A\n  value: 192.0.2.3\n- type: TXT\n  value: x\n", "delete b.example.com A x.yaml:4"},
		{"type", strings.Replace(base, "- type: TXT\n  value: x", "- type: MX\n  value: {preference: 1, exchange: m.}", 1), "create c.example.com MX x.yaml:10, delete c.example.com TXT x.yaml:10"},
		{"renamed by case", strings.Replace(base, "b:", "B:", 1), ""},
		{"whole file", "{a: {type: A, value: 192.0.2.1}}", "delete b.example.com A x.yaml:4, delete c.example.com A x.yaml:8, delete c.example.com TXT x.yaml:10"},
		{"anchored", "a: &x\n  type: A\n  value: 192.0.2.1\nb: *x\n", "update b.example.com A x.yaml:4, delete c.example.com A x.yaml:8, delete c.example.com TXT x.yaml:10"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, h := parseFile(t, base), parseFile(t, tt.head)
			edits, err := DiffFiles(b, h)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range edits {
				got = append(got, fmt.Sprintf("%s %s %s %s", e.Op, e.Name, e.Type, e.Place))
			}
			if s := strings.Join(got, ", "); s != tt.want {
				t.Errorf("got %s\nwant %s", s, tt.want)
			}
			all, _ := b.RRSets()
			now, _ := h.RRSets()
			if !slices.EqualFunc(edits, Diff("example.com", all, now), func(a, b Edit) bool {
				return a.Op == b.Op && a.Name == b.Name && a.Type == b.Type && a.Place == b.Place
			}) {
				t.Errorf("Diff of all record sets says otherwise")
			}
		})
	}
	whole, err := DiffFiles(nil, parseFile(t, base))
	if err != nil || len(whole) != 4 || whole[0].Op != Create {
		t.Errorf("from nothing: %v, %v", whole, err)
	}
	mended, err := DiffFiles(parseFile(t, "a:\n  value: 192.0.2.1\n"), parseFile(t, "a:\n  type: A\n  value: 192.0.2.1\n"))
	if err != nil || len(mended) != 1 || mended[0].Op != Create {
		t.Errorf("mending a base that cannot be read: %v, %v", mended, err)
	}
	gone, err := DiffFiles(parseFile(t, base), nil)
	if err != nil || len(gone) != 4 || gone[0].Op != Delete {
		t.Errorf("to nothing: %v, %v", gone, err)
	}
}

// TestDiffSeesThroughAnchors: an edit under one name that changes another name
// by an alias must not pass unseen because the other name's text is the same.
func TestDiffSeesThroughAnchors(t *testing.T) {
	base := "a: &x\n  type: A\n  value: 192.0.2.1\nb: *x\n"
	edits, err := DiffFiles(parseFile(t, base), parseFile(t, strings.Replace(base, ".1", ".66", 1)))
	if err != nil || len(edits) != 2 {
		t.Errorf("%v, %v", edits, err)
	}
}
