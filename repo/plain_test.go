package repo

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// sameSettings parses a source in both ways.
func sameSettings(t *testing.T, src string) (plain bool) {
	t.Helper()
	read := func(plain bool) (*Settings, error) {
		s := defaultSettings()
		p := settingsParser{document: &document{path: SettingsPath}, s: s}
		root := p.parse([]byte(src), maxSettings)
		if quick := plainZones([]byte(src), 0); plain && quick != nil {
			p.document, root = &document{path: SettingsPath}, quick
		}
		p.all(root)
		return s, p.result()
	}
	want, wantErr := read(false)
	got, gotErr := read(true)
	if !reflect.DeepEqual(gotErr, wantErr) || gotErr == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("%s\nplainly: %+v, %v\nas YAML: %+v, %v", src, got, gotErr, want, wantErr)
	}
	return plainZones([]byte(src), 0) != nil
}

var zoneLists = []struct {
	src   string
	plain bool
}{
	{"zones:\n  a.example: {visibility: internal, owner: example.org}\n", true},
	{"organisation: Fin\nzones:\n  directory: zones\n  a.example: {parked: true, max-edits: 7}\n  b.example: {visibility: external}\nproviders:\n  local: {type: zonefile}\n", true},
	{"zones:\n  a.example: {visibility: internal}\n  b.example:\n    visibility: internal\n  c.example: {visibility: internal}\n", true},
	{"zones:\n  a.example: {visibility: internal}\n  # why\n  b.example: {visibility: internal} # because\n", true},
	{"zones:\n  a.example: {visibility: internal}\n  a.example: {visibility: external}\n", true},
	{"zones:\n  a.example: {visibility: internal}\n  b.example: {visibility: external}\n  'a.example': {}\n", true},
	{"zones:\n  a.example: {visibilty: internal}\n", true},
	{"zones:\n  a.example: {visibility: secret}\n", true},
	{"zones:\n  a.example: {provider: none}\n", true},
	{"zones:\n  yes: {parked: yes}\n  1: {max-edits: 0x10}\n  2026-01-01: {owner: 1.5}\n  null: {parked: null, owner: null}\n", true},
	{"brands: [\"a\nzones:\n  a.example: {visibility: internal}\n\"]\n", false},
	{"brands: |\n  a\nzones:\n  a.example: {visibility: internal}\nbroken: [\n", false},
	{"zones:\n  a.example: {visibility: internal}\n   b: {}\n", false},
	{"zones:\n  a.example: {visibility: internal}\n    owner: x\n", false},
	{"zones:\n  a.example: {visibility: internal}\n - b\n", false},
	{"zones:\n  a.example: {visibility: internal}\n &x b: {}\n", false},
	{"zones:\n  a.example: {visibility: internal}\n    \n  b.example: {owner: \"x\ny\"}\n", true},
	{"zones: {}\n", false},
	{"zones:\n", true},
	{"", false},
}

func TestPlainZones(t *testing.T) {
	for _, test := range zoneLists {
		if got := sameSettings(t, test.src); got != test.plain {
			t.Errorf("read plainly: %t, want %t:\n%s", got, test.plain, test.src)
		}
	}
}

func FuzzPlainZones(f *testing.F) {
	for _, test := range zoneLists {
		f.Add(test.src)
	}
	f.Fuzz(func(t *testing.T, src string) { sameSettings(t, src) })
}

func BenchmarkParseSettings10kZones(b *testing.B) {
	var src strings.Builder
	src.WriteString("domain: finmicro.example\nzones:\n")
	for i := range 10_000 {
		fmt.Fprintf(&src, "  z%d.finmicro.example: {visibility: internal, owner: finmicro.example, provider: local}\n", i)
	}
	src.WriteString("providers:\n  local: {type: zonefile}\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseSettings(SettingsPath, []byte(src.String())); err != nil {
			b.Fatal(err)
		}
	}
}
