package zone

import (
	"strings"
	"testing"
)

// TestEditsKeepTheLayout shows, for every way that people lay a file out, what an
// edit does to it. Each edit is "name type ttl value | value", or "-name type".
func TestEditsKeepTheLayout(t *testing.T) {
	for _, tt := range []struct{ name, src, edit, want string }{
		{"ttl only, comment and quotes stay",
			"a:\n  # why\n  ttl: 300 # five minutes\n  type: \"A\"\n  value: '192.0.2.1'\n", "a A 60 192.0.2.1",
			"a:\n  # why\n  ttl: 60 # five minutes\n  type: \"A\"\n  value: '192.0.2.1'\n"},
		{"ttl added",
			"a:\n  type: A\n  value: 192.0.2.1\n", "a A 60 192.0.2.1",
			"a:\n  ttl: 60\n  type: A\n  value: 192.0.2.1\n"},
		{"ttl added to a list's item",
			"a:\n  - type: A\n    value: 192.0.2.1\n  - type: TXT\n    value: x\n", "a A 60 192.0.2.1",
			"a:\n  - ttl: 60\n    type: A\n    value: 192.0.2.1\n  - type: TXT\n    value: x\n"},
		{"ttl taken out of a list's item",
			"a:\n  - ttl: 60\n    type: A\n    value: 192.0.2.1\n", "a A -1 192.0.2.1",
			"a:\n  - type: A\n    value: 192.0.2.1\n"},
		{"value with a comment behind it",
			"a:\n  ttl: 5\n  type: A\n  value: 192.0.2.1  # web\n", "a A 5 192.0.2.2",
			"a:\n  ttl: 5\n  type: A\n  value: 192.0.2.2  # web\n"},
		{"one value becomes two",
			"a:\n  ttl: 5\n  type: A\n  value: 192.0.2.1\nb:\n  type: A\n  values:\n  - 192.0.2.1\n", "a A 5 192.0.2.1 | 192.0.2.2",
			"a:\n  ttl: 5\n  type: A\n  values:\n  - 192.0.2.1\n  - 192.0.2.2\nb:\n  type: A\n  values:\n  - 192.0.2.1\n"},
		{"one of several goes, comments and order stay",
			"a:\n  ttl: 5\n  type: A\n  values:\n    # old\n    - 192.0.2.3\n    - 192.0.2.1 # first\n    - '192.0.2.2'\n", "a A 5 192.0.2.1 | 192.0.2.2",
			"a:\n  ttl: 5\n  type: A\n  values:\n    # old\n    - 192.0.2.1 # first\n    - '192.0.2.2'\n"},
		{"one more among sorted ones",
			"a:\n  ttl: 5\n  type: A\n  values:\n    - 192.0.2.1\n    - 192.0.2.3\n", "a A 5 192.0.2.1 | 192.0.2.2 | 192.0.2.3",
			"a:\n  ttl: 5\n  type: A\n  values:\n    - 192.0.2.1\n    - 192.0.2.2\n    - 192.0.2.3\n"},
		{"one more among unsorted ones",
			"a:\n  ttl: 5\n  type: A\n  values:\n    - 192.0.2.3\n    - 192.0.2.1\n", "a A 5 192.0.2.1 | 192.0.2.2 | 192.0.2.3",
			"a:\n  ttl: 5\n  type: A\n  values:\n    - 192.0.2.3\n    - 192.0.2.1\n    - 192.0.2.2\n"},
		{"mappings as values",
			"a:\n- ttl: 5\n  type: MX\n  values:\n  - preference: 10\n    exchange: a.example.com\n  - exchange: b.\n    preference: 20\n", "a MX 5 10 a.example.com. | 30 c.",
			"a:\n- ttl: 5\n  type: MX\n  values:\n  - preference: 10\n    exchange: a.example.com\n  - exchange: c.\n    preference: 30\n"},
		{"a second type makes a list",
			"# top\na: # web\n  # first\n  ttl: 5\n  type: TXT\n  value: x\n\n# next\nb:\n  type: A\n  value: 192.0.2.1\n", "a A 5 192.0.2.1",
			"# top\na: # web\n  - ttl: 5\n    type: A\n    value: 192.0.2.1\n    # first\n  - ttl: 5\n    type: TXT\n    value: x\n\n# next\nb:\n  type: A\n  value: 192.0.2.1\n"},
		{"a second type beside a flow mapping",
			"a: {type: A, value: 192.0.2.1} # web\n", "a TXT 5 \"x\"",
			"a:\n  - {type: A, value: 192.0.2.1} # web\n  - ttl: 5\n    type: TXT\n    value: x\n"},
		{"a flow mapping is written anew",
			"a: {type: A, value: 192.0.2.1}\nb: {type: A, value: 192.0.2.2}\n", "a A 5 192.0.2.9",
			"a:\n  ttl: 5\n  type: A\n  value: 192.0.2.9\nb: {type: A, value: 192.0.2.2}\n"},
		{"flow values are written anew",
			"a:\n  ttl: 5\n  type: A\n  values: [192.0.2.1, 192.0.2.2]\n", "a A 5 192.0.2.9 | 192.0.2.1",
			"a:\n  ttl: 5\n  type: A\n  values:\n    - 192.0.2.1\n    - 192.0.2.9\n"},
		{"a third type, in order",
			"a:\n- type: A\n  value: 192.0.2.1\n# about text\n- type: TXT\n  value: x\n", "a MX 5 1 m.",
			"a:\n- type: A\n  value: 192.0.2.1\n- ttl: 5\n  type: MX\n  value:\n    exchange: m.\n    preference: 1\n# about text\n- type: TXT\n  value: x\n"},
		{"one type goes, the list stays",
			"a:\n- type: A\n  value: 192.0.2.1\n# about text\n- type: TXT\n  value: x\n", "-a A",
			"a:\n# about text\n- type: TXT\n  value: x\n"},
		{"a dash on its own line",
			"a:\n  -\n    type: A\n    value: 192.0.2.1\n  -\n    type: TXT\n    value: x\n", "a TXT 5 \"z\"",
			"a:\n  -\n    type: A\n    value: 192.0.2.1\n  -\n    ttl: 5\n    type: TXT\n    value: z\n"},
		{"a name goes, comments stay",
			"a:\n  type: A\n  value: 192.0.2.1\n\n# about b\nb:\n  type: A\n  value: 192.0.2.2\n# about c\nc:\n  type: A\n  value: 192.0.2.3\n", "-b A",
			"a:\n  type: A\n  value: 192.0.2.1\n\n# about b\n# about c\nc:\n  type: A\n  value: 192.0.2.3\n"},
		{"a new name in natural order",
			"---\na1:\n  type: A\n  value: 192.0.2.1\na10:\n  type: A\n  value: 192.0.2.1\n", "a2 A 5 192.0.2.2",
			"---\na1:\n  type: A\n  value: 192.0.2.1\na2:\n  ttl: 5\n  type: A\n  value: 192.0.2.2\na10:\n  type: A\n  value: 192.0.2.1\n"},
		{"a new name before all, below the file's comment",
			"---\n# zone of the web team\nb:\n  type: A\n  value: 192.0.2.1\n", "* A 5 192.0.2.2",
			"---\n# zone of the web team\n'*':\n  ttl: 5\n  type: A\n  value: 192.0.2.2\nb:\n  type: A\n  value: 192.0.2.1\n"},
		{"a new name where blocks are set apart",
			"a:\n  type: A\n  value: 192.0.2.1\n\n# about c\nc:\n  type: A\n  value: 192.0.2.3\n", "b A 5 192.0.2.2",
			"a:\n  type: A\n  value: 192.0.2.1\n\nb:\n  ttl: 5\n  type: A\n  value: 192.0.2.2\n\n# about c\nc:\n  type: A\n  value: 192.0.2.3\n"},
		{"a new name at the end of a file without a last line break",
			"a:\n  type: A\n  value: 192.0.2.1", "b A 5 192.0.2.2",
			"a:\n  type: A\n  value: 192.0.2.1\nb:\n  ttl: 5\n  type: A\n  value: 192.0.2.2"},
		{"carriage returns",
			"a:\r\n  type: A\r\n  value: 192.0.2.1\r\n", "a TXT 5 \"x\"",
			"a:\r\n  - type: A\r\n    value: 192.0.2.1\r\n  - ttl: 5\r\n    type: TXT\r\n    value: x\r\n"},
		{"four spaces",
			"a:\n    type: A\n    value: 192.0.2.1\nb:\n    type: MX\n    value:\n        exchange: m.\n        preference: 1\n", "c MX 5 2 n.",
			"a:\n    type: A\n    value: 192.0.2.1\nb:\n    type: MX\n    value:\n        exchange: m.\n        preference: 1\nc:\n    ttl: 5\n    type: MX\n    value:\n        exchange: n.\n        preference: 2\n"},
		{"a block scalar is text to its end",
			"a:\n- type: TXT\n  value: |-\n    # not a comment\n- type: A\n  value: 192.0.2.1\n", "a A 5 192.0.2.2",
			"a:\n- type: TXT\n  value: |-\n    # not a comment\n- ttl: 5\n  type: A\n  value: 192.0.2.2\n"},
		{"the first record of an empty zone", "--- {}\n", "@ A 5 192.0.2.1", "---\n'':\n  ttl: 5\n  type: A\n  value: 192.0.2.1\n"},
		{"the first record of nothing", "", "a A 5 192.0.2.1", "---\na:\n  ttl: 5\n  type: A\n  value: 192.0.2.1\n"},
		{"the key as it is written",
			"WWW:\n  type: A\n  value: 192.0.2.1\n", "www A 5 192.0.2.1",
			"WWW:\n  ttl: 5\n  type: A\n  value: 192.0.2.1\n"},
		{"text that YAML would take for something else",
			"a:\n  type: TXT\n  value: x\n", "a TXT -1 \"yes\" | \"1e3\" | \"2001:1:2\" | \"a: b\" | \"# c\" | \"x;\" | \"it's\"",
			"a:\n  type: TXT\n  values:\n    - '# c'\n    - '1e3'\n    - '2001:1:2'\n    - 'a: b'\n    - it's\n    - x\\;\n    - 'yes'\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := parseFile(t, tt.src)
			before, err := f.RRSets()
			if err != nil {
				t.Fatal(err)
			}
			k := applyEdit(t, f, tt.edit)
			if got := string(f.Bytes()); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			after, err := f.RRSets()
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range Diff("example.com", before, after) {
				if (Key{e.Name, e.Type}) != k {
					t.Errorf("%s %s changed too", e.Name, e.Type)
				}
			}
			checkFile(t, tt.name, f, after)
		})
	}
}

func applyEdit(t *testing.T, f *File, edit string) Key {
	t.Helper()
	name := func(rel string) Name {
		if rel == "@" {
			return f.Zone()
		}
		return f.Zone().below(rel)
	}
	if rest, ok := strings.CutPrefix(edit, "-"); ok {
		rel, typ, _ := strings.Cut(rest, " ")
		k := Key{name(rel), typ}
		if ok, err := f.Remove(k); !ok || err != nil {
			t.Fatal(ok, err)
		}
		return k
	}
	words := strings.SplitN(edit, " ", 4)
	ttl := NoTTL
	switch words[2] {
	case "5":
		ttl = 5
	case "60":
		ttl = 60
	}
	r, err := NewRRSet(name(words[0]), words[1], ttl, strings.Split(words[3], " | "))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Put(r); err != nil {
		t.Fatal(err)
	}
	return r.Key()
}

func TestEditsThatAreRefused(t *testing.T) {
	a, _ := NewRRSet("a.example.com", "A", 5, []string{"192.0.2.1"})
	outside, _ := NewRRSet("a.example.net", "A", 5, []string{"192.0.2.1"})
	for _, tt := range []struct {
		name, src string
		r         RRSet
		want      string
	}{
		{"flow at the top", "{b: {type: A, value: 192.0.2.1}}\n", a, "cannot be edited without touching other lines"},
		{"anchors", "b: &x {type: A, value: 192.0.2.1}\nc: *x\n", a, "anchors"},
		{"outside", "b: {type: A, value: 192.0.2.1}\n", outside, "not in the zone"},
		{"not valid", "b: {type: A, value: 192.0.2.1}\n", RRSet{Name: "a.example.com", Type: "A", TTL: 1, Values: []string{"x"}}, "not an IPv4 address"},
		{"flow list", "a: [{type: TXT, value: x}, {type: MX, value: {preference: 1, exchange: m.}}]\n", a, "cannot be edited without touching others"},
		{"text that octoDNS has no form for", "b: {type: A, value: 192.0.2.1}\n", RRSet{Name: "a.example.com", Type: "TXT", TTL: 1, Values: []string{`"a\" \"b"`}}, "cannot hold this text"},
		{"octets that are not text", "b: {type: A, value: 192.0.2.1}\n", RRSet{Name: "a.example.com", Type: "TXT", TTL: 1, Values: []string{`"\255"`}}, "cannot be written"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := parseFile(t, tt.src)
			if err := f.Put(tt.r); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if string(f.Bytes()) != tt.src {
				t.Errorf("the file changed: %s", f.Bytes())
			}
		})
	}
	f := parseFile(t, "a: {type: A, value: 192.0.2.1}\n")
	if ok, err := f.Remove(Key{"a.example.com", "TXT"}); ok || err != nil {
		t.Error("removed what is not there", ok, err)
	}
	a.TTL = NoTTL
	if err := f.Put(a); err != nil || string(f.Bytes()) != "a: {type: A, value: 192.0.2.1}\n" {
		t.Errorf("putting what is there changed the file: %v\n%s", err, f.Bytes())
	}
}
