package zone

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// byParser reads every block with the YAML parser.
func byParser(f *File) ([]RRSet, error) {
	var sets []RRSet
	for _, b := range f.blocks() {
		got, err := f.readBlock(b)
		if err != nil {
			return nil, err
		}
		sets = append(sets, got...)
	}
	sortSets(sets)
	return sets, nil
}

// sameByParser says how the two ways of reading a file differ.
func sameByParser(t *testing.T, f *File) (plain int) {
	t.Helper()
	if f.isWhole {
		return 0
	}
	for _, b := range f.blocks() {
		r, ok := f.plainSet(b)
		if !ok {
			continue
		}
		plain++
		want, err := f.readBlock(b)
		if err != nil || len(want) != 1 || !reflect.DeepEqual(r, want[0]) {
			t.Fatalf("%q reads\n%+v, and by the parser\n%+v, %v", b.text, r, want, err)
		}
	}
	return plain
}

func TestPlainSet(t *testing.T) {
	for _, tt := range []struct {
		src   string
		plain bool
	}{
		{"www:\n  ttl: 300\n  type: A\n  value: 192.0.2.1\n", true},
		{"www:\n  type: A\n  value: 192.0.2.1", true},
		{"www:\n  value: 192.0.2.1\n  type: A\n  ttl: 0\n", true},
		{"www:\n  ttl: 300\n  type: AAAA\n  values:\n  - 2001:db8::1\n  - 2001:db8::2\n", true},
		{"www:\n  ttl: 300\n  type: A\n  values:\n    - 192.0.2.2\n    - 192.0.2.1\n    - 192.0.2.2\n", true},
		{"'*':\n  type: A\n  value: 192.0.2.1\n", true},
		{"'':\n  type: A\n  value: 192.0.2.1\n", true},
		{"\"www\":\n  type: A\n  value: 192.0.2.1\n", false},
		{"'www' :\n  type: A\n  value: 192.0.2.1\n", false},
		{"www:\n  type: CNAME\n  value: a.example.\n", true},
		{"www:\n  type: CNAME\n  value: a.example\n", true},
		{"www:\n  type: CNAME\n  value: a\n", false},
		{"www:\n  type: PTR\n  value: 1.5\n", true},
		{"www:\n  type: CNAME\n  value: null.\n", true},
		{"www:\n  type: CNAME\n  value: -a.example.\n", false},
		{"www:\n  type: TXT\n  value: v=spf1 -all\n", true},
		{"www:\n  type: TXT\n  value: null\n", false},
		{"www:\n  type: TXT\n  value: 'quoted'\n", false},
		{"www:\n  type: TXT\n  value: two  spaces\n", true},
		{"www:\n  type: TXT\n  value: v=DKIM1\\; k=rsa\\; p=MIIB\n", true},
		{"www:\n  type: TXT\n  value: a:b#c [d] {e} & *f !g %h @i `j`\n", true},
		{"www:\n  type: TXT\n  value: a: b\n", false},
		{"www:\n  type: TXT\n  value: a:\n", false},
		{"www:\n  type: TXT\n  value: say \"hi\"\n", false},
		{"www:\n  type: TXT\n  value: a # comment\n", false},
		{"www:\n  type: TXT\n  value: a \n", false},
		{"www:\n  type: TXT\n  value: 1e3\n", true},
		{"www:\n  type: AAAA\n  value: 2001:db8:0::1\n", false},
		{"www:\n  type: AAAA\n  value: \"2001:db8::\"\n", false},
		{"www:\n  type: AAAA\n  value: 2001:DB8::1\n", false},
		{"www:\n  type: A\n  value: 192.0.2.300\n", false},
		{"www:\n  type: A\n  value: 192.0.2.01\n", false},
		{"www:\n  ttl: 0300\n  type: A\n  value: 192.0.2.1\n", false},
		{"www:\n  ttl: 3_00\n  type: A\n  value: 192.0.2.1\n", false},
		{"www:\n  ttl: 99999999999\n  type: A\n  value: 192.0.2.1\n", false},
		{"www:\n  ttl: 300\n  ttl: 300\n  type: A\n  value: 192.0.2.1\n", false},
		{"www:\n  type: A\n  value: 192.0.2.1\n  values:\n  - 192.0.2.2\n", false},
		{"www:\n  type: A\n  values:\n", false},
		{"www:\n  type: A\n", false},
		{"www:\n  value: 192.0.2.1\n", false},
		{"www:\n  type: A\n  value: 192.0.2.1\n  octodns:\n    x: y\n", false},
		{"www:\n- type: A\n  value: 192.0.2.1\n", false},
		{"www:\n   type: A\n   value: 192.0.2.1\n", false},
		{"www:\n  type: A\n  values:\n  - 192.0.2.1\n    - 192.0.2.2\n", false},
		{"www:\n  type: A\n  values:\n  - 192.0.2.1\n  # one more\n  - 192.0.2.2\n", false},
		{"www: {type: A, value: 192.0.2.1}\n", false},
		{"www:\r\n  type: A\r\n  value: 192.0.2.1\r\n", false},
		{"www:\n  type: A\n  value: *x\n", false},
	} {
		f, err := ParseYAML("example.com", "example.com.yaml", tt.src)
		if err != nil {
			if tt.plain {
				t.Errorf("%q: %v", tt.src, err)
			}
			continue
		}
		if got := sameByParser(t, f) > 0; got != tt.plain {
			t.Errorf("%q: plain %v, want %v", tt.src, got, tt.plain)
		}
	}
}

// Whatever a file holds, what is read of it without the parser is what the parser reads.
func FuzzPlainSet(f *testing.F) {
	f.Add("www:\n  ttl: 300\n  type: A\n  value: 192.0.2.1\n")
	f.Add("www:\n  ttl: 300\n  type: AAAA\n  values:\n  - 2001:db8::1\n  - 2001:db8::2\n")
	f.Add("a:\n  type: CNAME\n  value: a.example.\nb:\n  type: TXT\n  value: v=spf1 -all\n")
	f.Add("a:\n  type: TXT\n  values:\n    - null\n    - y\n    - 0x1f\n    - 1:20\n")
	f.Add("'':\n  type: NS\n  values:\n    - a.example\n    - b.example.\n'a':\n  type: TXT\n  value: x\n")
	f.Add("a:\n  type: PTR\n  value: ~\n  ttl: 1\n")
	f.Fuzz(func(t *testing.T, src string) {
		if z, err := ParseYAML("example.com", "x", src); err == nil {
			sameByParser(t, z)
		}
	})
}

// All of the real zones read the same, and how much of them is in plain form.
func TestPlainRealZones(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join("..", "..", "shared", "data", "octodns-zones", "hostedzones", "*.yaml"))
	if len(files) == 0 {
		files, _ = filepath.Glob(filepath.Join("..", "..", "shared", "data", "octodns-zones", "*.yaml"))
	}
	if len(files) == 0 {
		t.Skip("the real zones are not beside the checkout")
	}
	plain, blocks := 0, 0
	for _, path := range files {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := ParseYAML(Name(strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".yaml"), ".")), path, src)
		if err != nil {
			continue
		}
		plain, blocks = plain+sameByParser(t, f), blocks+f.length()
		got, err := f.RRSets()
		if err != nil {
			continue
		}
		if want, err := byParser(f); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: other sets than by the parser, %v", path, err)
		}
	}
	t.Logf("%d of %d names in plain form", plain, blocks)
}
