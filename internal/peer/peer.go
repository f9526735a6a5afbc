// Package peer finds the other tools that tests compare Slipway with. Nothing but
// tests imports it. `make peers` installs most of the tools.
package peer

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Find returns the path of a tool on PATH or where `go install` puts it, and skips
// the test where it is in neither.
func Find(t testing.TB, name string) string {
	t.Helper()
	if found, err := exec.LookPath(name); err == nil {
		return found
	}
	if out, err := exec.Command("go", "env", "GOPATH").Output(); err == nil {
		for _, dir := range filepath.SplitList(strings.TrimSpace(string(out))) {
			if found, err := exec.LookPath(filepath.Join(dir, "bin", name)); err == nil {
				return found
			}
		}
	}
	t.Skipf("%s is not installed; `make peers` installs what the Go module proxy has of these tools", name)
	return ""
}
