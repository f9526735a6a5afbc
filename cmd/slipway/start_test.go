package main

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSmall keeps the tool small: it must never link the workflow engine or the server's pages, nor
// any package of Slipway's that is for tests.
func TestSmall(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", `{{.ImportPath}} {{join .Imports " "}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		for _, never := range []string{"slipway/flow", "slipway/portal", "slipway/nameserver", "go.temporal.io/", "github.com/coredns/"} {
			if words[0] == never || strings.HasSuffix(never, "/") && strings.HasPrefix(words[0], never) {
				t.Errorf("slipway imports %s", words[0])
			}
		}
		if strings.HasPrefix(words[0], "slipway/") && slices.Contains(words[1:], "testing") {
			t.Errorf("%s imports testing", words[0])
		}
	}
}

// BenchmarkStart is the time of a whole process; the aim is under 50 ms.
func BenchmarkStart(b *testing.B) {
	binary := build(b)
	for b.Loop() {
		if err := exec.Command(binary, "version").Run(); err != nil {
			b.Fatal(err)
		}
	}
}

// build makes the real binary: the test binary is larger and starts slower.
func build(t testing.TB) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "slipway")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}
