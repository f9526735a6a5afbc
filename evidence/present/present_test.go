package present_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"slipway/evidence"
	"slipway/evidence/controls"
	"slipway/evidence/present"
)

var update = flag.Bool("update", false, "write the golden files anew")

func mapping(t testing.TB) *controls.Mapping {
	t.Helper()
	m, err := controls.Default()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func files(t testing.TB, d *evidence.Data, m *controls.Mapping) map[string][]byte {
	t.Helper()
	f, err := present.Files(d, m)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// small is a mapping that does not change with the built-in one.
func small(t testing.TB) *controls.Mapping {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("testdata", "controls.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := mapping(t).Extend(controls.Path, src)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestWarningsAreForEverybody(t *testing.T) {
	t.Parallel()
	f, err := present.Files(stories["green"](t), small(t), "controls.yaml could not be read.")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{present.HTMLFile, present.OSCALFile, present.ControlsFile} {
		if !bytes.Contains(f[name], []byte("could not be read")) {
			t.Errorf("%s does not say it", name)
		}
	}
}

// What the reports add to an export: of one change, and of as many events as one bundle shows.
func BenchmarkFiles(b *testing.B) {
	one := stories["yellow"](b)
	many := stories["yellow"](b)
	for i := range 10_000 {
		e := many.Events[i%len(many.Events)]
		e.Index = uint64(1000 + i)
		many.Events = append(many.Events, e)
	}
	m := mapping(b)
	for name, d := range map[string]*evidence.Data{"one change": one, "10,000 events": many} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := present.Files(d, m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The golden files are what an auditor gets; the PDF is held to them by its text.
func TestStories(t *testing.T) {
	t.Parallel()
	for story, tell := range stories {
		t.Run(story, func(t *testing.T) {
			made := files(t, tell(t), small(t))
			again := files(t, tell(t), small(t))
			for name, content := range made {
				if !bytes.Equal(content, again[name]) {
					t.Errorf("%s is another one each time", name)
				}
				golden := filepath.Join("testdata", story+"-"+filepath.Base(name))
				if filepath.Ext(name) == ".pdf" {
					continue
				}
				if *update {
					if err := os.WriteFile(golden, content, 0o644); err != nil {
						t.Fatal(err)
					}
					continue
				}
				want, err := os.ReadFile(golden)
				if err != nil || !bytes.Equal(content, want) {
					t.Errorf("%s is not %s (%v); run go test ./evidence/present -run Stories -update and look at the difference", name, golden, err)
				}
			}
		})
	}
}
