package zone

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// realZones returns the real octoDNS files that lie beside the checkout.
func realZones(t testing.TB) []*File {
	t.Helper()
	paths, err := filepath.Glob("../../shared/data/octodns-zones/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var files []*File
	for _, p := range paths {
		if filepath.Base(p) == "octodns.yaml" { // octoDNS's own settings
			continue
		}
		src, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		name, err := ParseName(strings.TrimSuffix(filepath.Base(p), ".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		f, err := ParseYAML(name, filepath.Base(p), src)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		t.Skip("the real zones (shared/data/octodns-zones beside the checkout) are not there")
	}
	return files
}

func TestRealZonesAreReadWithoutLoss(t *testing.T) {
	sets, odd := 0, 0
	for _, f := range realZones(t) {
		src, _ := os.ReadFile("../../shared/data/octodns-zones/" + f.Path())
		if !bytes.Equal(f.Bytes(), src) {
			t.Errorf("%s: Bytes differ from the source", f.Path())
		}
		if f.isWhole {
			t.Errorf("%s: not cut: %s", f.Path(), f.uncut)
		}
		got, err := f.RRSets()
		if err != nil {
			t.Error(err)
		}
		var plain map[string]any
		if err := yaml.Unmarshal(src, &plain); err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, v := range plain {
			if list, ok := v.([]any); ok {
				want += len(list)
			} else {
				want++
			}
		}
		if len(got) != want {
			t.Errorf("%s: %d record sets, a YAML parser finds %d", f.Path(), len(got), want)
		}
		sets += len(got)
		for _, r := range got {
			if err := r.Validate(); err != nil {
				odd++
				t.Logf("%v", err)
			}
		}
	}
	t.Logf("%d record sets, %d not valid", sets, odd)
}

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// golden compares got with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; run go test -update and look at the difference:\n%s", path, lineDiff(string(want), string(got)))
	}
}
