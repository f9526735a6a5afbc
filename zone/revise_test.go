package zone

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// sameCut fails unless a file that was cut as a version of another is what cutting it anew gives.
func sameCut(t *testing.T, got, want *File) {
	t.Helper()
	if got.src != want.src || !slices.Equal(got.parts.starts, want.parts.starts) || !slices.Equal(got.parts.lines, want.parts.lines) ||
		got.parts.names.used != want.parts.names.used || got.crlf != want.crlf || got.isWhole != want.isWhole {
		t.Fatalf("of\n%s\ngot %+v\nwant %+v", want.src, got.parts, want.parts)
	}
	for i := range want.length() {
		b := want.blockAt(i)
		if twin := got.blockOf(want.zone.below(want.relativeOf(b.key, b.line))); !reflect.DeepEqual(twin, b) {
			t.Fatalf("block %q is found as %+v", b.key, twin)
		}
	}
}

func TestRevised(t *testing.T) {
	base := "---\n# about a\na:\n  type: A\n  value: 192.0.2.1\nb:\n  type: TXT\n  value: q&a\n\n# about c\nc:\n  - type: A\n    value: 192.0.2.3\nd: {type: CNAME, value: x.}\n"
	for _, test := range []struct {
		name, old, now string
		known          bool // the old cut is of use
	}{
		{"a value", "192.0.2.3", "192.0.2.4", true},
		{"one more at the end", "value: x.}\n", "value: x.}\ne: {type: A, value: 192.0.2.5}\n", true},
		{"one more in the middle", "b:\n", "aa: {type: A, value: 192.0.2.5}\nb:\n", true},
		{"one less", "b:\n  type: TXT\n  value: q&a\n", "", true},
		{"a comment", "# about c", "# of c", true},
		{"renamed", "\nb:", "\nbb:", true},
		{"the last without its line end", "x.}\n", "x.}", true},
		{"the last one goes", "d: {type: CNAME, value: x.}\n", "", true},
		{"twice among those that stay", "\nb:", "\nd:", false},
		{"twice in what is new", "d: {type: CNAME, value: x.}\n", "e: {type: A, value: 192.0.2.5}\ne: {type: A, value: 192.0.2.5}\n", false},
		{"an anchor", "value: 192.0.2.3", "value: &x 192.0.2.3", false},
		{"a carriage return", "192.0.2.3\n", "192.0.2.3\r\n", false},
		{"a line separator", "q&a", "q\u2028a", false},
		{"above the first", "---\n", "---\n---\n", false},
		{"no key any more", "\nb:\n  type: TXT\n  value: q&a\n", "\n  type: TXT\n  value: q&a\n", true},
		{"a document's end", "b:\n", "...\nb:\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := ParseYAML("example.com", "x.yaml", base)
			if err != nil {
				t.Fatal(err)
			}
			now := strings.Replace(base, test.old, test.now, 1)
			got := f.revised("y.yaml", now)
			if (got != nil) != test.known {
				t.Fatalf("known: %t", got != nil)
			}
			if got == nil {
				return
			}
			want, err := ParseYAML("example.com", "y.yaml", now)
			if err != nil {
				t.Fatal(err)
			}
			sameCut(t, got, want)
		})
	}
}

// FuzzRevised replaces a piece of a source, and compares with cutting the result anew.
func FuzzRevised(f *testing.F) {
	src := "---\n# a\na:\n  type: A\n  value: 192.0.2.1\n'':\n  type: TXT\n  value: x\n\nc:\n  - type: A\n    value: 192.0.2.3\nd: {type: A, value: 192.0.2.4}\n"
	for _, s := range []string{"", "e:\n  type: A\n", "\n", "a: {}\n", "  x\n", "...\n", "&x ", "\r", "'", "b: [\nc: ]\n", "# c\n", "---\n"} {
		f.Add(src, s, uint16(30), uint16(10))
	}
	f.Fuzz(func(t *testing.T, src, piece string, at, cut uint16) {
		file, err := ParseYAML("example.com", "x.yaml", src)
		if err != nil {
			return
		}
		from := min(int(at), len(src))
		now := src[:from] + piece + src[min(len(src), from+int(cut)):]
		got := file.revised("x.yaml", now)
		if got == nil {
			return
		}
		want, err := ParseYAML("example.com", "x.yaml", now)
		if err != nil || want.isWhole {
			t.Fatalf("%q is known, but cut anew it is %v, %v", now, want, err)
		}
		sameCut(t, got, want)
	})
}

// Whatever points at a name is found, by each of the ways to look for it.
func TestMentioning(t *testing.T) {
	src := `---
plain: {type: CNAME, value: www.example.com.}
upper: {type: CNAME, value: WWW.Example.COM}
quoted: {type: MX, value: {preference: 10, exchange: 'www.example.com.'}}
escaped: {type: CNAME, value: "w\x77w.example.com."}
octets: {type: CNAME, value: \119ww.example.com.}
wide: {type: CNAME, value: ｗｗｗ。example.com}
longer: {type: CNAME, value: www.example.com.org.}
txt: {type: TXT, value: "v=DKIM1\\; p=x"}
other: {type: CNAME, value: ww.example.com.}
www: {type: A, value: 192.0.2.1}
`
	f, err := ParseYAML("example.com", "x.yaml", src)
	if err != nil {
		t.Fatal(err)
	}
	want := Name("www.example.com")
	s := NewSearch(map[Name]bool{want: true})
	all, err := f.RRSets()
	if err != nil {
		t.Fatal(err)
	}
	found, err := f.Mentioning(s)
	if err != nil {
		t.Fatal(err)
	}
	points := 0
	for _, r := range all {
		at := slices.IndexFunc(found, r.Equal)
		text := f.blockOf(r.Name).text
		if strings.Contains(strings.Join(r.Values, " "), string(want)+".") {
			if points++; at < 0 || !s.In(text) || !s.InDigest(NewDigest(text)) && !strings.Contains(text, ".org") {
				t.Errorf("%s is passed over", r.Name)
			}
		}
	}
	if points != 7 {
		t.Errorf("%d record sets of the test point there", points)
	}
	for _, name := range []Name{"other.example.com", "www.example.com"} {
		if slices.ContainsFunc(found, func(r RRSet) bool { return r.Name == name }) {
			t.Errorf("%s is read for nothing", name)
		}
	}
	if d := NewDigest("a: {type: CNAME, value: WWW.example.com.} # 192.0.2.1 v=DKIM1\\; e.g."); len(d) != 2 || !s.InDigest(d) {
		t.Errorf("digest %v", d)
	}
	if NewSearch(nil).In(src) || NewSearch(nil).InDigest(nil) {
		t.Error("no name is found")
	}
	for _, odd := range []Name{"localhost", "1.2.3.4", `a\.b.example`, "a+b.example", "."} {
		if s := NewSearch(map[Name]bool{odd: true}); !s.In("") || !s.InDigest(Digest{}) {
			t.Errorf("%s is looked for as if it could be", odd)
		}
	}
}

// FuzzMentioning reads everything, and checks that no value with the name in it was passed over.
func FuzzMentioning(f *testing.F) {
	f.Add("a: {type: CNAME, value: www.example.com.}\n", "www.example.com")
	f.Add("a: {type: MX, value: {exchange: WWW.example.com, preference: 1}}\nb: {type: TXT, value: \"\\x77.\"}\n", "www.example.com")
	f.Add("a: {type: CNAME, value: b\u00fccher.example}\n", "b\u00fccher.example")
	if files, err := filepath.Glob("testdata/*.yaml"); err == nil {
		for _, file := range files {
			if src, err := os.ReadFile(file); err == nil {
				f.Add(string(src), "mail.example.com")
			}
		}
	}
	f.Fuzz(func(t *testing.T, src, name string) {
		file, err := ParseYAML("example.com", "x.yaml", src)
		if err != nil {
			return
		}
		n, err := ParseName(name)
		if err != nil {
			return
		}
		all, err := file.RRSets()
		if err != nil {
			return
		}
		s := NewSearch(map[Name]bool{n: true})
		found, err := file.Mentioning(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			if !slices.ContainsFunc(r.Values, func(v string) bool {
				return slices.ContainsFunc(strings.Fields(v), func(w string) bool { return w == n.FQDN() })
			}) || !slices.Contains([]string{"CNAME", "NS", "MX", "SRV", "PTR", "ALIAS", "DNAME"}, r.Type) {
				continue
			}
			if !slices.ContainsFunc(found, r.Equal) || !s.In(src) || !s.InDigest(NewDigest(src)) {
				t.Fatalf("%+v is passed over in %q", r, src)
			}
		}
	})
}
