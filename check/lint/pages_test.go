package lint

import (
	"os"
	"path/filepath"
	"testing"
)

const pagesDir = "../../docs/rules"

// The manual's pages are what the rules say today; -update writes them.
func TestPages(t *testing.T) {
	if *update {
		if err := os.MkdirAll(pagesDir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	known := map[string]bool{"README.md": true}
	golden(t, filepath.Join(pagesDir, "README.md"), []byte(Index(Rules())))
	for _, r := range Rules() {
		golden(t, filepath.Join(pagesDir, r.ID+".md"), []byte(r.Page()))
		known[r.ID+".md"] = true
	}
	files, err := os.ReadDir(pagesDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !known[f.Name()] {
			t.Errorf("%s is of no rule; remove it", f.Name())
		}
	}
}
