package audit

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// indexedEvents are n events as a company's server has them: changes of eight events
// each, by fifty people, about two thousand apps.
func indexedEvents(tb testing.TB, first uint64, n int) []indexed {
	tb.Helper()
	actions := []Action{SubmitChange, CheckChange, ApproveChange, MergeChange, CreateDNSRecord, ApplyZone, IssueCertificate, GoLive}
	batch := make([]indexed, n)
	for i := range batch {
		index := first + uint64(i)
		change := index / 8
		e := Event{
			EventID: fmt.Sprintf("%08x-%04x-7000-8000-%012x", (1<<40+index/40)>>16, (1<<40+index/40)&0xffff, index), Timestamp: time.UnixMilli(int64(1<<40 + index/40)).UTC(),
			Actor: Actor{ID: fmt.Sprintf("person-%d@finmicro.example", index%50), Role: "product-manager"}, Action: actions[index%8],
			Change: fmt.Sprintf("c-0197d2b4%08x", change), GitCommit: fmt.Sprintf("%040x", change*0x9e3779b97f4a7c15), ApprovalChain: []string{},
			Resource:     Resource{Zone: "apps.finmicro.example.", Record: fmt.Sprintf("name-%d.apps.finmicro.example.", change%5000), Type: "A", App: fmt.Sprintf("app-%d", change%2000)},
			ArtifactRefs: map[string]string{"verdict": fmt.Sprintf("sha256:%064x", change*0x9e3779b97f4a7c15)}, Once: fmt.Sprintf("c-0197d2b4%08x/%d", change, index%8),
			Details: []byte(`{"change_digest":"` + exampleDigest + `","policy_digest":"` + exampleDigest + `","tier":"green","score":35,"title":"a title of a change that somebody has asked for"}`), KeyID: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", Signature: string(make([]byte, 0, 200)),
		}
		raw, err := Canonical(e)
		if err != nil {
			tb.Fatal(err)
		}
		batch[i] = indexed{Receipt{index, e}, raw}
	}
	return batch
}

// What following the log costs the index, for an event of a rush and for one that comes
// alone.
func BenchmarkIndexAdd(b *testing.B) {
	for _, together := range []int{maxSpan, 64, 1} {
		b.Run(fmt.Sprintf("together=%d", together), func(b *testing.B) {
			x, err := createIndex(b.Context(), sqliteFile(filepath.Join(b.TempDir(), indexFile)))
			if err != nil {
				b.Fatal(err)
			}
			defer x.close()
			var used time.Duration
			var wall time.Duration
			for at := 0; at < b.N; at += maxSpan {
				batch := indexedEvents(b, uint64(at), maxSpan)
				began, t0 := cpu(), time.Now()
				for i := 0; i < len(batch); i += together {
					if err := x.add(b.Context(), batch[i:i+together]); err != nil {
						b.Fatal(err)
					}
				}
				used += cpu() - began
				wall += time.Since(t0)
			}
			n := float64((b.N + maxSpan - 1) / maxSpan * maxSpan)
			b.ReportMetric(float64(used.Nanoseconds())/1000/n, "cpu-µs/event")
			b.ReportMetric(float64(wall.Nanoseconds())/1000/n, "µs/event")
		})
	}
}

// cpu is the processor time of this process so far.
func cpu() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
