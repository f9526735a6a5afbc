package zone

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestFormat(t *testing.T) {
	for _, tt := range []struct{ name, src, want string }{
		{"names, keys, types and values in order",
			"www:\n  type: A\n  values: [192.0.2.2, 192.0.2.1]\n  ttl: 300\na10:\n- type: TXT\n  value: x\n- type: A\n  value: 192.0.2.1\na9: {type: A, value: 192.0.2.1}\n",
			"---\na9:\n  type: A\n  value: 192.0.2.1\na10:\n  - type: A\n    value: 192.0.2.1\n  - type: TXT\n    value: x\nwww:\n  ttl: 300\n  type: A\n  values:\n    - 192.0.2.1\n    - 192.0.2.2\n"},
		{"one value, and a list of one",
			"---\na:\n  - type: MX\n    values:\n      - preference: 10\n        exchange: m.example.\n",
			"---\na:\n  type: MX\n  value:\n    exchange: m.example.\n    preference: 10\n"},
		{"quotes only where they are needed",
			"---\n\"\":\n  'ttl': '300'\n  \"type\": \"TXT\"\n  values: ['yes', \"plain\", '300', '# no comment', \"it's\"]\n1:\n  type: A\n  value: \"192.0.2.1\"\n",
			"---\n'':\n  ttl: 300\n  type: TXT\n  values:\n    - '# no comment'\n    - '300'\n    - it's\n    - plain\n    - 'yes'\n'1':\n  type: A\n  value: 192.0.2.1\n"},
		{"comments go where their name goes",
			"# The zone of the shop.\n\n# web\nwww: # the shop\n  # for now\n  ttl: 60 # short\n  type: A\n  values:\n  # second\n  - 192.0.2.2 # b\n  - 192.0.2.1\n\n# mail\nmail:\n  type: A\n  value: 192.0.2.3\n\n\n# the end\n",
			"# The zone of the shop.\n---\n# mail\nmail:\n  type: A\n  value: 192.0.2.3\n# web\nwww: # the shop\n  # for now\n  ttl: 60 # short\n  type: A\n  values:\n    - 192.0.2.1\n    # second\n    - 192.0.2.2 # b\n\n# the end\n"},
		{"blank lines and ends of lines",
			"---\r\na:\r\n  type: A\r\n  value: 192.0.2.1\r\n\r\n \r\nb:\r\n  type: A\r\n  value: 192.0.2.1",
			"---\na:\n  type: A\n  value: 192.0.2.1\n\nb:\n  type: A\n  value: 192.0.2.1\n"},
		{"other settings",
			"---\na:\n  type: A\n  octodns: {healthcheck: {protocol: TCP, host: x}, cloudflare: {proxied: true}}\n  value: 192.0.2.1\n",
			"---\na:\n  octodns:\n    cloudflare:\n      proxied: true\n    healthcheck:\n      host: x\n      protocol: TCP\n  type: A\n  value: 192.0.2.1\n"},
		{"a long text over several lines",
			"---\na:\n  type: TXT\n  value: >-\n    one\n    two\n",
			"---\na:\n  type: TXT\n  value: one two\n"},
		{"nothing in it", "--- {}\n", "--- {}\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Format("example.com", "example.com.yaml", []byte(tt.src))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			again, err := Format("example.com", "example.com.yaml", got)
			if err != nil || !bytes.Equal(again, got) {
				t.Errorf("not stable: %v\n%s", err, again)
			}
		})
	}
}

// TestFormatRefuses shows what is an error: faults, and files in which a name's lines can mean
// something under another name.
func TestFormatRefuses(t *testing.T) {
	for _, src := range []string{
		"a: &x\n  type: A\n  value: 192.0.2.1\nb: *x\n",
		"a:\n  ttl: 300\n",
		"{a: {type: A, value: 192.0.2.1}}\n",
		"a:\n  type: A\n  value: [192.0.2.1\n",
	} {
		if out, err := Format("example.com", "f.yaml", []byte(src)); err == nil {
			t.Errorf("%q became %q", src, out)
		}
	}
}

// TestFormatRealZones lays every real zone out: the same records, every comment, and stable. The
// form that Put and WriteYAML write is the one that Format leaves alone.
func TestFormatRealZones(t *testing.T) {
	changed := 0
	files := realZones(t)
	for _, real := range files {
		name, file, src := real.Zone(), real.Path(), real.Bytes()
		out, err := Format(name, file, src)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out, src) {
			changed++
		}
		if again, err := Format(name, file, out); err != nil || !bytes.Equal(again, out) {
			t.Errorf("%s: not stable: %v", file, err)
		}
		if a, b := strings.Count(string(src), "#"), strings.Count(string(out), "#"); a != b {
			t.Errorf("%s: %d number signs became %d", file, a, b)
		}
		f, err := ParseYAML(name, file, out)
		if err != nil {
			t.Fatal(err)
		}
		sets, err := f.RRSets()
		if err != nil {
			t.Fatal(err)
		}
		sets = slices.DeleteFunc(sets, func(r RRSet) bool { return r.Validate() != nil })
		var b bytes.Buffer
		if err := WriteYAML(&b, name, sets); err != nil {
			t.Fatal(err)
		}
		if again, err := Format(name, file, b.Bytes()); err != nil || !bytes.Equal(again, b.Bytes()) {
			t.Errorf("%s: what WriteYAML writes is laid out otherwise: %v", file, err)
		}
		g, err := ParseYAML(name, file, b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		got, err := g.RRSets()
		if err != nil || !slices.EqualFunc(got, sets, RRSet.Equal) {
			t.Errorf("%s: what WriteYAML writes reads back otherwise: %v", file, err)
		}
		if put, err := ParseYAML(name, file, ""); err != nil {
			t.Fatal(err)
		} else if len(sets) > 0 && len(sets) < 200 {
			for _, r := range sets {
				if err := put.Put(r); err != nil {
					t.Fatal(err)
				}
			}
			if out, err := Format(name, file, put.Bytes()); err != nil || !bytes.Equal(out, put.Bytes()) {
				t.Errorf("%s: what Put writes is laid out otherwise: %v", file, err)
			}
		}
	}
	t.Logf("%d of %d files would change", changed, len(files))
}

func FuzzFormat(f *testing.F) {
	f.Add("---\na:\n  type: A\n  values: [192.0.2.2, 192.0.2.1]\n")
	f.Add("# c\n\n# d\nb: # e\n  - type: TXT # f\n    # g\n    value: |\n      x\n      # y\na:\n  type: MX\n  value: {preference: 1, exchange: m.}\n# h")
	f.Add("1: {type: A, value: '192.0.2.1'}\r\n'*':\r\n  type: CNAME\r\n  value: a.\r\n")
	f.Fuzz(func(t *testing.T, src string) {
		out, err := Format("example.com", "f.yaml", []byte(src))
		if err != nil {
			return
		}
		again, err := Format("example.com", "f.yaml", out)
		if err != nil {
			t.Fatalf("%q became %q, which cannot be laid out: %v", src, out, err)
		}
		if third, err := Format("example.com", "f.yaml", again); err != nil || !bytes.Equal(third, again) {
			t.Fatalf("%q became %q, then %q, then %q (%v)", src, out, again, third, err)
		}
	})
}

// BenchmarkFormat lays out a file of 10,000 names that is laid out already.
func BenchmarkFormat(b *testing.B) {
	var src bytes.Buffer
	src.WriteString("---\n")
	for i := range 10_000 {
		fmt.Fprintf(&src, "host-%06d:\n  ttl: 300\n  type: A\n  value: 10.0.%d.%d\n", i, i/250, i%250)
	}
	for b.Loop() {
		out, err := Format("example.com", "example.com.yaml", src.Bytes())
		if err != nil || !bytes.Equal(out, src.Bytes()) {
			b.Fatal("it was changed: ", err)
		}
	}
}
