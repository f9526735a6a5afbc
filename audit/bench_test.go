package audit

import (
	"context"
	"crypto"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
)

// concurrently runs b.N calls by a number of callers and what comes then, and reports how
// they went.
func concurrently(b *testing.B, callers int, call func(i int) error, then func() error) {
	b.Helper()
	latencies := make([]time.Duration, b.N)
	b.ResetTimer()
	before := processorTime(b)
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
	if err := then(); err != nil {
		b.Error(err)
	}
	b.StopTimer()
	slices.Sort(latencies)
	perEvent(b, before)
	b.ReportMetric(float64(latencies[b.N/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(latencies[b.N*99/100].Microseconds())/1000, "p99-ms")
}

// processorTime is what this process has used so far. It tells more than the clock where
// others are at work on the same machine.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

var benchCallers = []int{1, 64, 1024}

// benchEntry is how many bytes the entries of the benchmarks have, a few more or less.
const benchEntry = 1 << 10

// benchEvent is an event that lies in the log with that many bytes.
func benchEvent(i int) Event {
	e := benchSample
	e.Change = "c" + strconv.Itoa(i)
	e.Once = e.Change + "/submit"
	return e
}

var benchSample = func() Event {
	e := submitted("c")
	e.Details = json.RawMessage(`{"revision":1,"title":"` + strings.Repeat("x", 218) + `"}`)
	return e
}()

func TestBenchmarksEventsHaveOneKilobyte(t *testing.T) {
	o := options(t)
	l := openLog(t, o)
	add(t, l, benchEvent(1000))
	for e, err := range entries(t.Context(), filepath.Join(o.Dir, logDir), 1, 2) {
		if err != nil || len(e.raw) < benchEntry-8 || len(e.raw) > benchEntry+8 {
			t.Errorf("%d bytes (%v)", len(e.raw), err)
		}
	}
}

// From a call to an event that is signed and durable. A burst is what the index lets pass
// before it; sustained is, with the index brought up to it in the end, what can go on for
// ever: give the second more events than have room.
func BenchmarkAppendBurst(b *testing.B) {
	benchAppend(b, func(context.Context, *Log) error { return nil })
}

func BenchmarkAppendSustained(b *testing.B) {
	benchAppend(b, func(ctx context.Context, l *Log) error { return l.follower.await(ctx) })
}

func benchAppend(b *testing.B, then func(context.Context, *Log) error) {
	for _, callers := range benchCallers {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			l := openLog(b, options(b))
			ctx := context.Background()
			concurrently(b, callers, func(i int) error {
				_, err := l.Append(ctx, benchEvent(i))
				return err
			}, func() error { return then(ctx, l) })
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
			entry := make([]byte, benchEntry-8)
			concurrently(b, callers, func(i int) error {
				_, err := appender.Add(ctx, tessera.NewEntry(binary.BigEndian.AppendUint64(slices.Clip(entry), uint64(i))))()
				return err
			}, func() error { return nil })
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
	var peak uint64
	before := processorTime(b)
	report, err := Verify(b.Context(), o.Dir, keys, func(done, _ uint64) {
		if done%(100*width) == 0 || done == uint64(b.N) {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
	})
	b.StopTimer()
	if err != nil || len(report.Problems) > 0 {
		b.Fatal(err, report)
	}
	perEvent(b, before)
	b.ReportMetric(float64(peak)/(1<<20), "heap-MB")
}

// perEvent reports what b.N events took, in all.
func perEvent(b *testing.B, before time.Duration) {
	b.Helper()
	b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/event")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkReindex(b *testing.B) {
	o, _ := benchLog(b, b.N)
	before := processorTime(b)
	if err := Reindex(b.Context(), o, nil); err != nil {
		b.Fatal(err)
	}
	perEvent(b, before)
}

func BenchmarkRead(b *testing.B) {
	o, _ := benchLog(b, b.N)
	before := processorTime(b)
	readAll(b, o.Dir)
	perEvent(b, before)
}

// A key that takes 20 ms, as one of a key service does.
func BenchmarkSlowKey(b *testing.B) {
	for _, callers := range benchCallers {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			o := options(b)
			o.Events = withSigner(b, func(s crypto.Signer) crypto.Signer { return slowSigner{s, 20 * time.Millisecond} })
			l := openLog(b, o)
			ctx := context.Background()
			concurrently(b, callers, func(i int) error {
				_, err := l.Append(ctx, benchEvent(i))
				return err
			}, func() error { return nil })
		})
	}
}

// slowSigner takes its time.
type slowSigner struct {
	crypto.Signer
	takes time.Duration
}

func (s slowSigner) Sign(rand io.Reader, message []byte, o crypto.SignerOpts) ([]byte, error) {
	time.Sleep(s.takes)
	return s.Signer.Sign(rand, message, o)
}
