package evidence_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"slipway/audit"
	"slipway/evidence"
	"slipway/evidence/evidencetest"
)

// BenchmarkExportApp takes one app out of a log of many events, by the index and the tiles, and verifies
// it. An app that was launched and changed twice has about 30 events wherever they lie.
func BenchmarkExportApp(b *testing.B) {
	for _, events := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint(events), func(b *testing.B) {
			w := long(b, events)
			src := source(b, w)
			subject := evidence.Options{Subject: evidence.Subject{App: evidencetest.App}}
			b.Run("export", func(b *testing.B) {
				for b.Loop() {
					// The whole of it: a new reader, as a process that has just started has one.
					r, err := audit.OpenReader(b.Context(), filepath.Join(w.Dir, "audit"))
					if err != nil {
						b.Fatal(err)
					}
					from := src
					from.Log = r
					x, err := evidence.Export(b.Context(), io.Discard, from, subject)
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(x.Events), "events")
					r.Close()
				}
			})
			bundle, _ := export(b, src, subject)
			b.Run("verify", func(b *testing.B) {
				b.ReportMetric(float64(len(bundle))/1024, "KiB")
				for b.Loop() {
					r, err := evidence.Verify(b.Context(), bytes.NewReader(bundle), int64(len(bundle)), evidence.VerifyOptions{Trust: trust(src.Keys)})
					if err != nil || !r.OK() {
						b.Fatal(r, err)
					}
				}
			})
		})
	}
}

// long is a record with that many events, and those of the app spread over it.
func long(b *testing.B, events int) *evidencetest.World {
	b.Helper()
	w := evidencetest.New(b)
	w.Close()
	w.Ticks = false
	w.Open()
	fill := func(n int) {
		var wg sync.WaitGroup
		for worker := range 1024 {
			wg.Go(func() {
				for i := worker; i < n; i += 1024 {
					app := fmt.Sprintf("app-%d", i%5000)
					_, err := w.Log.Append(context.Background(), audit.Event{Actor: evidencetest.Ana, Action: audit.UpdateDNSRecord, Change: fmt.Sprintf("x-%d", i/7),
						Resource:  audit.Resource{App: app, Zone: fmt.Sprintf("zone-%d.example", i%1000), Record: app + ".example", Type: "A"},
						Timestamp: w.Now, Details: []byte(`{"after":{"ttl":300,"values":["192.0.2.10"]}}`), GitCommit: "0123456789abcdef0123456789abcdef01234567"})
					if err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
	began := time.Now()
	w.Launch(evidencetest.App, "192.0.2.10")
	for i := range 3 {
		fill(events / 3)
		w.Submit(evidencetest.App, fmt.Sprintf("192.0.2.%d", 20+i)).Check("green").Merge().Apply().Certify().Live()
	}
	w.Drift()
	b.Logf("%d events were written in %s", events, time.Since(began).Round(time.Second))
	return w
}
