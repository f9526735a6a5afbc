package change_test

import (
	"bytes"
	"fmt"
	"testing"

	"slipway/change"
	"slipway/repo"
)

// bigZone is a zone file of n record sets.
func bigZone(n int) []byte {
	var b bytes.Buffer
	b.WriteString("---\n")
	for i := range n {
		fmt.Fprintf(&b, "host-%06d:\n  ttl: 300\n  type: A\n  values:\n    - 192.0.2.%d\n    - 198.51.100.%d\n", i, i%250, i%249)
	}
	return b.Bytes()
}

// cold measures a change as the command line sees it: the repository is opened,
// both trees are read and compared, nothing is cached.
func cold(b *testing.B, files, changed map[string][]byte) {
	r := newRepo(b, files)
	base, head := tree(b, r, "main").Commit(), propose(b, r, "main", changed).Commit()
	for b.Loop() {
		r, err := repo.Open(b.Context(), r.Dir())
		if err != nil {
			b.Fatal(err)
		}
		c, err := change.Compute(b.Context(), r, tree(b, r, base), tree(b, r, head))
		if err != nil || c.Creates+c.Updates != 1 {
			b.Fatal(c, err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func settingsFor(zones ...string) []byte {
	var b bytes.Buffer
	b.WriteString("domain: finmicro.example\nzones:\n")
	for _, z := range zones {
		fmt.Fprintf(&b, "  %s: {owner: finmicro.example}\n", z)
	}
	return b.Bytes()
}

func BenchmarkComputeOneRecord100k(b *testing.B) {
	src := bigZone(100_000)
	cold(b, map[string][]byte{
		"slipway.yaml":                settingsFor("finmicro.example"),
		"zones/finmicro.example.yaml": src,
	}, map[string][]byte{
		"zones/finmicro.example.yaml": bytes.Replace(src, []byte("192.0.2.77\n"), []byte("203.0.113.1\n"), 1),
	})
}

func BenchmarkComputeOneRecord1000Zones(b *testing.B) {
	files := map[string][]byte{}
	var names []string
	src := bigZone(100)
	for i := range 1000 {
		name := fmt.Sprintf("z%04d.example", i)
		names = append(names, name)
		files["zones/"+name+".yaml"] = src
	}
	files["slipway.yaml"] = settingsFor(names...)
	cold(b, files, map[string][]byte{
		"zones/z0500.example.yaml": bytes.Replace(src, []byte("192.0.2.77\n"), []byte("203.0.113.1\n"), 1),
	})
}

// BenchmarkComputeNewApp1000Apps also looks for a second owner among all other apps.
func BenchmarkComputeNewApp1000Apps(b *testing.B) {
	files := map[string][]byte{"slipway.yaml": settingsFor("finmicro.example")}
	manifest := func(i int) []byte {
		return fmt.Appendf(nil, "owner: ana@finmicro.example\nteam: t\npurpose: p\nexposure: internal\nrecords:\n  - {name: app%d.finmicro.example, type: A, ttl: 300, values: [192.0.2.1]}\n", i)
	}
	for i := range 1000 {
		files[repo.AppPath(fmt.Sprint("app", i))] = manifest(i)
	}
	cold(b, files, map[string][]byte{repo.AppPath("newcomer"): manifest(5000)})
}

// BenchmarkComputeImport100k is a change of 100,000 record sets at once, as an import is.
func BenchmarkComputeImport100k(b *testing.B) {
	r := newRepo(b, map[string][]byte{
		"slipway.yaml":                settingsFor("finmicro.example"),
		"zones/finmicro.example.yaml": bigZone(100_000),
	})
	for b.Loop() {
		c, err := change.Compute(b.Context(), r, nil, tree(b, r, "main"))
		if err != nil || c.Creates != 100_000 {
			b.Fatal(err)
		}
	}
}
