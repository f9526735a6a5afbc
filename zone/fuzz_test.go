package zone

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"", ".", "a", "WWW.Example.COM.", "bücher.example", "*.x", `a\.b.c`, `a\032b`, `\255.x`, "xn--bcher-kva.example", "a..b", "ａ。ｂ", strings.Repeat("a", 64), `a\.`, `\\.x`, "_dmarc.x", "ß.de", "faß.de"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			return
		}
		for _, again := range []string{string(n), n.FQDN()} {
			if m, err := ParseName(again); err != nil || m != n {
				t.Fatalf("ParseName(%q) = %q, but of that it is %q, %v", s, n, m, err)
			}
		}
		if plainName(s) && string(n) != strings.TrimSuffix(s, ".") && s != "." {
			t.Fatalf("%q is plain, but became %q", s, n)
		}
		wire := 1
		for _, l := range n.Labels() {
			octets, err := octetsOf(l)
			if err != nil || len(octets) == 0 || len(octets) > maxLabel {
				t.Fatalf("label %q of %q: %v", l, n, err)
			}
			wire += 1 + len(octets)
		}
		if wire > maxWire {
			t.Fatalf("%q has %d octets", n, wire)
		}
		if p := n.Parent(); !n.In(p) || n != p && p.In(n) {
			t.Fatalf("%q and its parent %q", n, p)
		}
		if n != "." {
			if got := n.Parent().below(n.Relative(n.Parent())); got != n {
				t.Fatalf("%q is %q below %q", n, got, n.Parent())
			}
		}
		n.Unicode()
	})
}

func FuzzParseYAML(f *testing.F) {
	for _, s := range []string{
		"", "---\n", "--- {}\n", "{}\n", "{}\t", "---\n'':\n  ttl: 60\n  type: A\n  value: 192.0.2.1\n",
		"www:\n- type: A\n  values:\n  - 192.0.2.1\n  - 192.0.2.2\n- type: TXT\n  value: v=spf1\\; -all\n",
		"a: {type: A, value: 192.0.2.1}\nb: [{type: A, value: 192.0.2.1}, {type: TXT, value: x}]\n",
		"# top\na:\n  # about\n  type: TXT # kind\n  value: |\n    # not a comment\n    text\n\n# next\nb:\n  type: A\n  value: 192.0.2.1",
		"a: &x\n  type: A\n  value: 192.0.2.1\nb: *x\n", "a:\r\n  type: A\r\n  value: 192.0.2.1\r\n",
		"a:\n  type: TXT\n  value: \"one\nb: two\"\n", "a:\n  type: A\na:\n  type: A\n", "\u2028a: {}\n", "? a\n: b\n",
		"a:\n  -\n    type: A\n    value: 192.0.2.1\n  -   type: MX\n      values:\n      - {exchange: a., preference: 1}\n",
		"\"a\\x62\":\n  type: A\n  value: 192.0.2.1\n", "  a:\n    type: A\n", "a:\n  ttl: '60'\n  type: CNAME\n  value: 'x'\n",
	} {
		f.Add([]byte(s))
	}
	if src, err := os.ReadFile("testdata/types.example.yaml"); err == nil {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		file, err := ParseYAML("example.com", "x.yaml", src)
		if err != nil {
			return
		}
		if !bytes.Equal(file.Bytes(), src) {
			t.Fatalf("bytes changed: %q", file.Bytes())
		}
		sets, err := file.RRSets()
		if err != nil {
			return
		}
		// A YAML parser that sees the whole file must see the same.
		whole := &File{zone: file.zone, path: file.path, whole: string(src)}
		all, err := whole.readWhole()
		if err != nil || !slices.EqualFunc(all, sets, RRSet.Equal) {
			t.Fatalf("cut: %v\nwhole: %v, %v", sets, all, err)
		}
		for _, r := range sets {
			at, err := file.At(r.Name)
			if err != nil || !slices.ContainsFunc(at, r.Equal) {
				t.Fatalf("At(%s): %v, %v", r.Name, at, err)
			}
		}
		fuzzEdits(t, file, src, sets)
	})
}

// fuzzEdits makes edits of each kind and checks that every other set stays.
func fuzzEdits(t *testing.T, file *File, src []byte, sets []RRSet) {
	fresh := RRSet{Name: "new.example.com", Type: "TXT", TTL: 60, Values: []string{`"a; b: #c"`}}
	if slices.ContainsFunc(sets, func(r RRSet) bool { return r.Name == fresh.Name }) {
		return
	}
	edits := []RRSet{fresh}
	for _, r := range sets[:min(len(sets), 4)] {
		ttl, kind := r, r
		ttl.TTL = (r.TTL + 61) % 1000
		kind.Type, kind.Values, kind.Extra = "SSHFP", []string{"4 2 aa"}, ""
		edits = append(edits, ttl, kind)
		if r.Type == "A" || r.Type == "TXT" {
			more := r
			more.Values = append(slices.Clone(r.Values), map[string]string{"A": "192.0.2.200", "TXT": `"more; text"`}[r.Type])
			edits = append(edits, more)
		}
	}
	for _, e := range edits {
		g, err := ParseYAML(file.Zone(), file.Path(), src)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Put(e); err != nil {
			if !bytes.Equal(g.Bytes(), src) {
				t.Fatalf("a refused edit changed the file: %v", err)
			}
			continue
		}
		e.Values = sortedSet(slices.Clone(e.Values))
		want := slices.DeleteFunc(slices.Clone(sets), func(r RRSet) bool { return r.Key() == e.Key() })
		checkFile(t, "put", g, append(want, e))
		if t.Failed() {
			t.Fatalf("%+v:\n%s\n→\n%s", e, src, g.Bytes())
		}
	}
	for _, r := range sets[:min(len(sets), 4)] {
		g, err := ParseYAML(file.Zone(), file.Path(), src)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := g.Remove(r.Key()); err != nil || !ok {
			if !bytes.Equal(g.Bytes(), src) {
				t.Fatalf("a refused edit changed the file: %v", err)
			}
			continue
		}
		checkFile(t, "remove", g, slices.DeleteFunc(slices.Clone(sets), func(o RRSet) bool { return r.Key() == o.Key() }))
		if t.Failed() {
			t.Fatalf("without %s %s:\n%q\n→\n%q", r.Name, r.Type, src, g.Bytes())
		}
	}
}

func FuzzReadMaster(f *testing.F) {
	for _, s := range []string{"", "@ 300 IN A 192.0.2.1\n", "$TTL 60\nwww TXT \"a\" \"b\"\n", "; slipway:{}\n", "$ORIGIN x.example.com.\n@ 1 IN MX 10 a\n", "$GENERATE 1-3 h$ 300 A 192.0.2.$\n", "a 1 SVCB 1 . key667=\"a\"\n", "a 1 TYPE65280 \\# 1 00\n"} {
		f.Add([]byte(s))
	}
	if src, err := os.ReadFile("testdata/types.example.zone"); err == nil {
		f.Add(bytes.ReplaceAll(src, []byte("types.example"), []byte("example.com")))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		_, sets, err := ReadMaster(bytes.NewReader(src), "example.com", "x.zone")
		if err != nil {
			return
		}
		for _, r := range sets {
			if err := r.Validate(); err != nil {
				t.Skip(err) // well formed for the reader, but not for us: cannot be written
			}
		}
		var out bytes.Buffer
		if err := WriteMaster(&out, "example.com", testSOA, sets, 300); err != nil {
			t.Fatal(err)
		}
		_, again, err := ReadMaster(&out, "example.com", "x.zone")
		if err != nil {
			t.Fatalf("%v\n%s", err, out.Bytes())
		}
		for i, r := range sets {
			if i >= len(again) || !again[i].Equal(r) {
				t.Fatalf("%+v did not survive:\n%+v", r, again)
			}
		}
	})
}
