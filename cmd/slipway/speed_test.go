package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/pack"
)

// A fresh process judges a change of one record, with all rules and all packs that come with
// Slipway in force: how long it takes, what it costs the processor, how much memory it holds at most.
//
//   - cold: nothing is remembered.
//   - warm: main was looked through before, for another change. The change at hand was not.

func BenchmarkCheckOneZoneOf100k(b *testing.B)   { benchmarkChecks(b, 1, 100_000) }
func BenchmarkCheck1000ZonesOf100(b *testing.B)  { benchmarkChecks(b, 1000, 100) }
func BenchmarkCheck10000ZonesOf100(b *testing.B) { benchmarkChecks(b, 10_000, 100) }

func benchmarkChecks(b *testing.B, zones, records int) {
	binary := build(b)
	dir := generateChanges(b, binary, zones, records)
	main := filepath.Join(b.TempDir(), "main")
	measureCheck(b, binary, dir, "delete", main) // leaves what is known of main
	for _, change := range []string{"create", "update", "delete"} {
		b.Run(change+"/cold", func(b *testing.B) { benchmarkCheck(b, binary, dir, change, "") })
		b.Run(change+"/warm", func(b *testing.B) { benchmarkCheck(b, binary, dir, change, main) })
	}
	b.Run("worktree/warm", func(b *testing.B) { benchmarkCheck(b, binary, dir, workTree, main) })
}

// benchmarkCheck starts every check with the same cache: a copy of known, or none.
func benchmarkCheck(b *testing.B, binary, dir, change, known string) {
	var walls, cpus []time.Duration
	peak := int64(0)
	for b.Loop() {
		b.StopTimer()
		cache := filepath.Join(b.TempDir(), fmt.Sprint(len(walls)))
		if _, err := os.Stat(known); err == nil { // for one zone, nothing needs to be known of others
			if err := os.CopyFS(cache, os.DirFS(known)); err != nil {
				b.Fatal(err)
			}
			if err := os.Chmod(cache, 0o700); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		wall, cpu, memory := measureCheck(b, binary, dir, change, cache)
		walls, cpus, peak = append(walls, wall), append(cpus, cpu), max(peak, memory)
	}
	summarise(b, walls, cpus, peak)
}

// summarise gives the median and the least of what was measured: on a machine that does other work too, the least
// says more about the program.
func summarise(b *testing.B, walls, cpus []time.Duration, peakKiB int64) {
	slices.Sort(walls)
	b.ReportMetric(float64(walls[len(walls)/2].Microseconds())/1000, "ms/run")
	b.ReportMetric(float64(walls[0].Microseconds())/1000, "least-ms")
	b.ReportMetric(float64(slices.Min(cpus).Microseconds())/1000, "least-cpu-ms")
	b.ReportMetric(float64(peakKiB)/1024, "peak-MB")
}

// measureCheck runs one check. The processor's time is that of the process and of git below it.
func measureCheck(b *testing.B, binary, dir, change, cache string) (time.Duration, time.Duration, int64) {
	b.Helper()
	c := exec.Command(binary, "check", "--repo", dir, "--base", "main", "--head", change, "--as", "ana@finmicro.example", "--format", "json", "--cache", cache)
	out, wall, cpu, peakKiB := measured(b, c)
	if want := map[string]string{"create": `"creates": 1`, "update": `"updates": 1`, "delete": `"deletes": 1`, workTree: `"creates": 0`}[change]; !bytes.Contains(out, []byte(want)) {
		b.Fatalf("not the change that was made:\n%.2000s", out)
	}
	return wall, cpu, peakKiB
}

// measured runs a command. Its memory is looked at while it runs: what the system says of it afterwards is never less than
// what the test itself has held.
func measured(b *testing.B, c *exec.Cmd) (out []byte, wall, cpu time.Duration, peakKiB int64) {
	b.Helper()
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	began := time.Now()
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	ended, peak := make(chan struct{}), make(chan int64)
	go func() {
		most := int64(0)
		for tick := time.NewTicker(2 * time.Millisecond); ; {
			select {
			case <-ended:
				peak <- most
				return
			case <-tick.C:
				most = max(most, highWater(c.Process.Pid))
			}
		}
	}()
	err := c.Wait()
	wall = time.Since(began)
	close(ended)
	if peakKiB = <-peak; err != nil {
		b.Fatalf("%v\n%.2000s%s", err, stdout.String(), stderr.String())
	}
	return stdout.Bytes(), wall, c.ProcessState.UserTime() + c.ProcessState.SystemTime(), peakKiB
}

// highWater is the most memory that a running process has held, in KiB; 0 where there is no /proc.
func highWater(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	var kib int64
	fmt.Sscan(string(rest), &kib)
	return kib
}

// generateChanges makes a repository with every pack pinned, and a branch for each kind of change: a
// record more, another TTL of a record that others point at, an alias that goes.
func generateChanges(b *testing.B, binary string, zones, records int) (dir string) {
	dir = generate(b, zones, records)
	names, err := pack.BuiltinNames()
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range names {
		c := exec.Command(binary, "pack", "add", "builtin:"+name)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
	}
	commit(b, dir, "Pin packs")
	at := zonePath(dir, zones/2)
	src, err := os.ReadFile(at)
	if err != nil {
		b.Fatal(err)
	}
	block := func(i int) string {
		from := bytes.Index(src, fmt.Appendf(nil, "host-%06d:\n", i))
		to := bytes.Index(src, fmt.Appendf(nil, "host-%06d:\n", i+1))
		return string(src[from:to])
	}
	address := records / 8 * 4 // the alias two records on points at it
	for change, edit := range map[string][2]string{
		"create": {block(address), "host-new:\n  ttl: 300\n  type: A\n  value: 10.0.0.1\n" + block(address)},
		"update": {block(address), strings.Replace(block(address), "ttl: 300", "ttl: 600", 1)},
		"delete": {block(address + 2), ""},
	} {
		git(b, dir, "checkout", "-q", "-b", change, "main")
		if err := os.WriteFile(at, []byte(strings.Replace(string(src), edit[0], edit[1], 1)), 0o600); err != nil {
			b.Fatal(err)
		}
		commit(b, dir, change)
		git(b, dir, "checkout", "-q", "main")
	}
	return dir
}

func git(t testing.TB, dir string, args ...string) {
	t.Helper()
	if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}
