package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestSmall keeps the tool small: it must never link the workflow engine or the server's pages.
func TestSmall(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range strings.Fields(string(out)) {
		for _, never := range []string{"slipway/flow", "slipway/portal", "slipway/nameserver", "go.temporal.io/", "github.com/coredns/", "testing"} {
			if p == never || strings.HasSuffix(never, "/") && strings.HasPrefix(p, never) {
				t.Errorf("slipway imports %s", p)
			}
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

// The cold checks: a fresh process judges a change of one record, with all rules.

func BenchmarkCheckOneZoneOf100k(b *testing.B)   { benchmarkCheck(b, 1, 100_000, "HEAD") }
func BenchmarkCheck1000ZonesOf100(b *testing.B)  { benchmarkCheck(b, 1000, 100, "HEAD") }
func BenchmarkCheck10000ZonesOf100(b *testing.B) { benchmarkCheck(b, 10_000, 100, "HEAD") }
func BenchmarkCheckWorkTreeOf100k(b *testing.B)  { benchmarkCheck(b, 1, 100_000, workTree) }
func BenchmarkCheckWorkTreeOf1000(b *testing.B)  { benchmarkCheck(b, 1000, 100, workTree) }

func benchmarkCheck(b *testing.B, zones, records int, head string) {
	binary := build(b)
	dir := generate(b, zones, records)
	peak := int64(0)
	for b.Loop() {
		c := exec.Command(binary, "check", "--repo", dir, "--base", "HEAD~1", "--head", head, "--as", "ana@finmicro.example", "--format", "json")
		var stderr strings.Builder
		c.Stderr = &stderr
		out, err := c.Output()
		if err != nil {
			b.Fatalf("%v\n%s%s", err, out, stderr.String())
		}
		if !strings.Contains(string(out), `"creates": 1`) {
			b.Fatalf("not the change that was made:\n%.2000s", out)
		}
		if usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
			peak = max(peak, usage.Maxrss) // KiB on Linux
		}
	}
	b.ReportMetric(float64(peak)/1024, "peak-MB")
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/check")
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
