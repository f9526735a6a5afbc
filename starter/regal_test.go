package starter_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"slipway/internal/peer"
	"slipway/starter"
)

// Regal, the Rego linter, finds nothing in what is shipped: neither here, with the
// settings of this repository, nor in a zones repository that has a copy of the
// policies to change and the settings of the starter kit.
func TestRegal(t *testing.T) {
	regal := peer.Find(t, "regal")
	kit, err := starter.Kit(starter.Sample())
	if err != nil {
		t.Fatal(err)
	}
	zones := t.TempDir()
	for to, files := range map[string]fs.FS{".": kit, "policies": starter.Policies()} {
		if err := os.CopyFS(filepath.Join(zones, to), files); err != nil {
			t.Fatal(err)
		}
	}
	for _, place := range []struct{ name, dir, settings, policies string }{
		{"policies and packs", ".", "../.regal/config.yaml", "."},
		{"policies", ".", "../.regal/config.yaml", "policies"},
		{"packs", ".", "../.regal/config.yaml", "packs"},
		{"a zones repository", zones, ".regal/config.yaml", "policies"},
	} {
		t.Run(place.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), regal, "lint", "--no-color", "--config-file", place.settings, place.policies)
			cmd.Dir = place.dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("regal lint: %v\n%s", err, out)
			}
		})
	}
}
