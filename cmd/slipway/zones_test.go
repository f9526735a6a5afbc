package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// realZonesDir holds the real octoDNS zones, beside the checkout.
var realZonesDir = filepath.Join("..", "..", "..", "shared", "data", "octodns-zones")

// generate makes a zones repository of so many zones with so many records each, and
// changes one record of one zone in a second commit: the case that a gate meets every day.
func generate(t testing.TB, zones, records int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "zones"), 0o755); err != nil {
		t.Fatal(err)
	}
	settings := "organisation: Fin Micro Ltd\ndomain: finmicro.example\nbrands: [finmicro]\nzones:\n  directory: zones\n"
	for z := range zones {
		settings += fmt.Sprintf("  z%d.finmicro.example: {visibility: internal, owner: finmicro.example, provider: local}\n", z)
		if err := os.WriteFile(zonePath(dir, z), generateZone(z, records), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	settings += "providers:\n  local: {type: zonefile}\n"
	if err := os.WriteFile(filepath.Join(dir, "slipway.yaml"), []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	commit(t, dir, "Everything")

	f, err := os.OpenFile(zonePath(dir, zones/2), os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("zz-new:\n  ttl: 300\n  type: A\n  value: 192.0.2.10\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	commit(t, dir, "One record more")
	return dir
}

func zonePath(dir string, z int) string {
	return filepath.Join(dir, "zones", fmt.Sprintf("z%d.finmicro.example.yaml", z))
}

// generateZone writes one octoDNS zone of n record sets, of the types that real zones mostly hold.
func generateZone(z, n int) []byte {
	b := []byte("---\n")
	for i := range n {
		b = fmt.Appendf(b, "host-%06d:\n", i)
		switch i % 4 {
		case 0:
			b = fmt.Appendf(b, "  ttl: 300\n  type: A\n  values:\n  - 10.%d.%d.%d\n", z%200, i>>8%250, i%250+1)
		case 1:
			address := fmt.Sprintf("2001:db8::%x:%x", z+1, i+1)
			if i >= 1<<16-1 {
				address = fmt.Sprintf("2001:db8::%x:%x:%x", z+1, (i+1)>>16, (i+1)&0xffff)
			}
			b = fmt.Appendf(b, "  ttl: 300\n  type: AAAA\n  value: %s\n", address)
		case 2:
			b = fmt.Appendf(b, "  ttl: 3600\n  type: CNAME\n  value: host-%06d.z%d.finmicro.example.\n", i-2, z)
		case 3:
			b = fmt.Appendf(b, "  ttl: 300\n  type: TXT\n  value: owner=team-%d\n", i%17)
		}
	}
	return b
}

func commit(t testing.TB, dir, message string) {
	t.Helper()
	commands := [][]string{{"add", "-A"}, {"commit", "-q", "-m", message}}
	if _, err := os.Stat(filepath.Join(dir, ".git")); err != nil {
		commands = append([][]string{{"init", "-q", "-b", "main"}}, commands...)
	}
	for _, args := range commands {
		c := exec.Command("git", append([]string{"-C", dir, "-c", "gc.auto=0"}, args...)...)
		c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
			"GIT_AUTHOR_NAME=Ana", "GIT_AUTHOR_EMAIL=ana@finmicro.example", "GIT_COMMITTER_NAME=Ana", "GIT_COMMITTER_EMAIL=ana@finmicro.example")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
}
