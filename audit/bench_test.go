package audit

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
)

// concurrently runs b.N calls by a number of callers, and reports how they went.
func concurrently(b *testing.B, callers int, call func(i int) error) {
	b.Helper()
	latencies := make([]time.Duration, b.N)
	b.ResetTimer()
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := caller; i < b.N; i += callers {
				start := time.Now()
				if err := call(i); err != nil {
					b.Error(err)
					return
				}
				latencies[i] = time.Since(start)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(latencies)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(latencies[b.N/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(latencies[b.N*99/100].Microseconds())/1000, "p99-ms")
}

var benchCallers = []int{1, 64, 1024}

// From a call to an event that is signed, durable and indexed.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range benchCallers {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			l := openLog(b, options(b))
			ctx := context.Background()
			concurrently(b, callers, func(i int) error {
				e := submitted(fmt.Sprint("c", i))
				e.Once = fmt.Sprint(i)
				_, err := l.Append(ctx, e)
				return err
			})
		})
	}
}

// What Tessera takes alone, at the batching that suits that number of callers best, for
// entries of the same size.
func BenchmarkTesseraAlone(b *testing.B) {
	for _, callers := range benchCallers {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			o := options(b)
			driver, err := posix.New(b.Context(), posix.Config{Path: o.Dir})
			if err != nil {
				b.Fatal(err)
			}
			signer, err := newNoteSigner(o.Origin, o.Log)
			if err != nil {
				b.Fatal(err)
			}
			quietKlog(o.Logger)
			ctx, stop := context.WithCancel(context.Background())
			defer stop()
			appender, _, _, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().
				WithCheckpointSigner(signer).WithCheckpointInterval(CheckpointInterval).WithBatching(uint(callers), 100*time.Millisecond))
			if err != nil {
				b.Fatal(err)
			}
			entry := make([]byte, 880)
			concurrently(b, callers, func(i int) error {
				_, err := appender.Add(ctx, tessera.NewEntry(fmt.Append(entry[:880:880], i)))()
				return err
			})
		})
	}
}

// benchLog is a closed log of n events. Give a number: -benchtime 1000000x.
func benchLog(b *testing.B, n int) (Options, Keys) {
	b.Helper()
	o := options(b)
	l := openLog(b, o)
	fill(b, l, n)
	closeLog(b, l)
	b.ResetTimer()
	return o, l.PublicKeys()
}

// A whole log of b.N events, offline.
func BenchmarkVerify(b *testing.B) {
	o, keys := benchLog(b, b.N)
	wantSound(b, o.Dir, keys)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkReindex(b *testing.B) {
	o, _ := benchLog(b, b.N)
	if err := Reindex(b.Context(), o, nil); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkRead(b *testing.B) {
	o, _ := benchLog(b, b.N)
	readAll(b, o.Dir)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
