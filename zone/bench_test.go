package zone

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// bigZone is the source of a sorted zone of n names, with one record changed at i if i >= 0.
func bigZone(n, changed int) []byte {
	var b bytes.Buffer
	b.WriteString("---\n")
	for i := range n {
		ttl := 300
		if i == changed {
			ttl = 60
		}
		switch i % 4 {
		case 0:
			fmt.Fprintf(&b, "host%d:\n  ttl: %d\n  type: A\n  value: 192.0.2.%d\n", i, ttl, i%250)
		case 1:
			fmt.Fprintf(&b, "host%d:\n  ttl: %d\n  type: CNAME\n  value: target%d.example.net.\n", i, ttl, i)
		case 2:
			fmt.Fprintf(&b, "host%d:\n  ttl: %d\n  type: TXT\n  value: v=DKIM1\\; k=rsa\\; p=%s\n", i, ttl, strings.Repeat("MIIB", 50))
		default:
			fmt.Fprintf(&b, "host%d:\n  - ttl: %d\n    type: A\n    values:\n      - 192.0.2.1\n      - 192.0.2.2\n  - ttl: 300\n    type: MX\n    value:\n      exchange: mail.example.net.\n      preference: 10\n", i, ttl)
		}
	}
	return b.Bytes()
}

const benchNames = 80_000 // 100,000 record sets

func BenchmarkParseYAML100k(b *testing.B) {
	src := bigZone(benchNames, -1)
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseYAML("example.com", "example.com.yaml", src); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDiffFilesOneRecord100k is what one change costs in a zone of 100,000 record sets:
// both versions from their bytes, and the difference.
func BenchmarkDiffFilesOneRecord100k(b *testing.B) {
	base, head := bigZone(benchNames, -1), bigZone(benchNames, benchNames/2)
	b.ReportAllocs()
	for b.Loop() {
		f, err := ParseYAML("example.com", "example.com.yaml", base)
		if err != nil {
			b.Fatal(err)
		}
		g, err := ParseYAML("example.com", "example.com.yaml", head)
		if err != nil {
			b.Fatal(err)
		}
		edits, err := DiffFiles(f, g)
		if err != nil || len(edits) != 1 {
			b.Fatal(len(edits), err)
		}
	}
}

func BenchmarkDiffFilesAlone100k(b *testing.B) {
	f, _ := ParseYAML("example.com", "example.com.yaml", bigZone(benchNames, -1))
	g, _ := ParseYAML("example.com", "example.com.yaml", bigZone(benchNames, benchNames/2))
	b.ReportAllocs()
	for b.Loop() {
		if edits, err := DiffFiles(f, g); err != nil || len(edits) != 1 {
			b.Fatal(len(edits), err)
		}
	}
}

func BenchmarkAt100k(b *testing.B) {
	f, _ := ParseYAML("example.com", "example.com.yaml", bigZone(benchNames, -1))
	b.ReportAllocs()
	for b.Loop() {
		if sets, err := f.At("host777.example.com"); err != nil || len(sets) != 1 {
			b.Fatal(sets, err)
		}
	}
}

func BenchmarkRRSets100k(b *testing.B) {
	f, _ := ParseYAML("example.com", "example.com.yaml", bigZone(benchNames, -1))
	b.ReportAllocs()
	for b.Loop() {
		if sets, err := f.RRSets(); err != nil || len(sets) != 100_000 {
			b.Fatal(len(sets), err)
		}
	}
}

func BenchmarkPut100k(b *testing.B) {
	f, _ := ParseYAML("example.com", "example.com.yaml", bigZone(benchNames, -1))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r, _ := NewRRSet("host40000.example.com", "A", 100+i, []string{"192.0.2.9"})
		if err := f.Put(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWriteMaster100k(b *testing.B) {
	f, _ := ParseYAML("example.com", "example.com.yaml", bigZone(benchNames, -1))
	sets, _ := f.RRSets()
	b.ReportAllocs()
	for b.Loop() {
		var out bytes.Buffer
		if err := WriteMaster(&out, "example.com", testSOA, sets, 300); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadMaster100k(b *testing.B) {
	f, _ := ParseYAML("example.com", "example.com.yaml", bigZone(benchNames, -1))
	sets, _ := f.RRSets()
	var out bytes.Buffer
	if err := WriteMaster(&out, "example.com", testSOA, sets, 300); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, got, err := ReadMaster(bytes.NewReader(out.Bytes()), "example.com", "x"); err != nil || len(got) != len(sets) {
			b.Fatal(len(got), err)
		}
	}
}

func BenchmarkParseName(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseName("expenses.apps.finmicro.example."); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRevised100k is what a new version of a large zone costs where the one before is known.
func BenchmarkRevised100k(b *testing.B) {
	f, _ := ParseYAML("example.com", "example.com.yaml", bigZone(benchNames, -1))
	head := string(bigZone(benchNames, benchNames/2))
	b.ReportAllocs()
	for b.Loop() {
		if g, err := f.Revised("example.com.yaml", head); err != nil || g.length() != f.length() {
			b.Fatal(err)
		}
	}
}

// BenchmarkMentioning100k looks for what points at one name.
func BenchmarkMentioning100k(b *testing.B) {
	f, _ := ParseYAML("example.com", "example.com.yaml", bigZone(benchNames, -1))
	s := NewSearch(map[Name]bool{"target41.example.net": true})
	b.ReportAllocs()
	for b.Loop() {
		if sets, err := f.Mentioning(s); err != nil || len(sets) != 1 {
			b.Fatal(sets, err)
		}
	}
}

func BenchmarkNewDigest100k(b *testing.B) {
	src := string(bigZone(benchNames, -1))
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if d := NewDigest(src); len(d) == 0 {
			b.Fatal("nothing is spoken of")
		}
	}
}
