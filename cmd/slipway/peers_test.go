package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipway/internal/peer"
)

// The same repositories as in speed_test.go, looked through by conftest with three
// rules: what a team without Slipway would run in its pipeline. Conftest has no notion of
// a change, so it reads every zone every time.

func BenchmarkConftestOneZoneOf100k(b *testing.B)  { benchmarkConftest(b, 1, 100_000) }
func BenchmarkConftest1000ZonesOf100(b *testing.B) { benchmarkConftest(b, 1000, 100) }

const conftestRules = `package main

deny contains sprintf("%s: TTL below a minute", [name]) if {
	some name, set in input
	set.ttl < 60
}

deny contains sprintf("%s: a wildcard", [name]) if {
	some name, _ in input
	startswith(name, "*")
}

warn contains sprintf("%s: no TTL", [name]) if {
	some name, set in input
	not set.ttl
}
`

func benchmarkConftest(b *testing.B, zones, records int) {
	binary := peer.Find(b, "conftest")
	dir := generate(b, zones, records)
	rules := filepath.Join(b.TempDir(), "rules.rego")
	if err := os.WriteFile(rules, []byte(conftestRules), 0o600); err != nil {
		b.Fatal(err)
	}
	var walls, cpus []time.Duration
	peak := int64(0)
	for b.Loop() {
		began := time.Now()
		c := exec.Command(binary, "test", "--policy", rules, "--output", "json", filepath.Join(dir, "zones"))
		var stderr strings.Builder
		c.Stderr = &stderr
		if out, err := c.Output(); err != nil {
			b.Fatalf("%v\n%.2000s%s", err, out, stderr.String())
		}
		walls, cpus = append(walls, time.Since(began)), append(cpus, c.ProcessState.UserTime()+c.ProcessState.SystemTime())
		if usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
			peak = max(peak, usage.Maxrss) // KiB on Linux
		}
	}
	summarise(b, walls, cpus, peak)
}
