package main

import (
	"bytes"
	"os/exec"
	"testing"
	"time"
)

// A fresh process plans a change of one record against zone files, as octoDNS and DNSControl were measured: how long
// it takes, what it costs the processor, how much memory it holds at most. Nothing is remembered from one run to the
// next. The change is that of a commit, or of files on disk, which Git has to look through first.

func BenchmarkPlanOneZoneOf100k(b *testing.B)  { benchmarkPlans(b, 1, 100_000) }
func BenchmarkPlan1000ZonesOf100(b *testing.B) { benchmarkPlans(b, 1000, 100) }

func benchmarkPlans(b *testing.B, zones, records int) {
	binary := build(b)
	dir, live := generate(b, zones, records), b.TempDir()
	if err := publishZones(b.Context(), live, dir, "HEAD~1"); err != nil {
		b.Fatal(err)
	}
	for name, commit := range map[string]string{"commit": "HEAD", "worktree": ""} {
		b.Run(name, func(b *testing.B) {
			var walls, cpus []time.Duration
			peak := int64(0)
			for b.Loop() {
				out, wall, cpu, memory := measured(b, exec.Command(binary, "plan", dir, "--zone-files", live, "--format", "json", "--cache", "off", "--commit", commit))
				if !bytes.Contains(out, []byte(`"creates": 1,`)) {
					b.Fatalf("not the change that was made:\n%.2000s", out)
				}
				walls, cpus, peak = append(walls, wall), append(cpus, cpu), max(peak, memory)
			}
			summarise(b, walls, cpus, peak)
		})
	}
}
