package flow

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"slipway/lifecycle"
)

// stopwatch adds up how long the steps themselves take, from the lines that they log.
type stopwatch struct {
	mu      sync.Mutex // held for the length of a map operation
	started map[string]time.Time
	spent   map[string]time.Duration // by step
}

func (s *stopwatch) Enabled(_ context.Context, level slog.Level) bool { return level == slog.LevelInfo }
func (s *stopwatch) WithGroup(string) slog.Handler                    { return s }
func (s *stopwatch) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		if a.Key == "step" {
			return &lap{s, a.Value.String()}
		}
	}
	return s
}
func (s *stopwatch) Handle(context.Context, slog.Record) error { return nil }

// lap is the stopwatch's hand for one run of one step.
type lap struct {
	*stopwatch
	step string
}

func (l *lap) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *lap) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch r.Message {
	case "step started":
		l.started[l.step] = r.Time
	case "step finished":
		l.spent[l.step] += r.Time.Sub(l.started[l.step])
	}
	return nil
}

// BenchmarkRequestToLive takes green apps from the request to the name server's answer. p50-ms is the
// whole, as the person who asks sees it; workflow-ms is what of it is neither a step's own work nor the
// submission's: the engine, and reading the log between the steps.
func BenchmarkRequestToLive(b *testing.B) {
	w := &world{t: b, dir: b.TempDir()}
	watch := &stopwatch{started: make(map[string]time.Time), spent: make(map[string]time.Duration)}
	w.logger = slog.New(watch)
	w.open()
	defer w.stop()
	warm := w.submit(green("warm", "192.0.2.1"))
	w.reaches(warm.ID, lifecycle.Live)

	var whole, share []time.Duration
	n := 0
	for b.Loop() {
		n++
		watch.mu.Lock()
		clear(watch.spent)
		watch.mu.Unlock()
		began := time.Now()
		st := w.submit(green(fmt.Sprintf("bench-%d", n), "192.0.2.2"))
		live := w.reaches(st.ID, lifecycle.Live)
		whole = append(whole, time.Since(began))

		engine := live.Updated.Sub(live.Submitted)
		watch.mu.Lock()
		for _, d := range watch.spent {
			engine -= d
		}
		watch.mu.Unlock()
		share = append(share, max(engine, 0))
	}
	b.ReportMetric(median(whole), "p50-ms")
	b.ReportMetric(median(share), "workflow-ms")
	watch.mu.Lock()
	defer watch.mu.Unlock()
	for step, d := range watch.spent { // of the last
		b.ReportMetric(float64(d.Microseconds())/1000, step+"-ms")
	}
}

func median(all []time.Duration) float64 {
	slices.Sort(all)
	return float64(all[len(all)/2].Microseconds()) / 1000
}

// BenchmarkEngineStart is the embedded engine's share of the server's start, on a file that is there.
func BenchmarkEngineStart(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		e, err := embed(context.Background(), dir, "slipway", testLogger(b))
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := e.stop(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
