package ctwatch

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// observer is what a watcher tells.
type observer struct {
	t        testing.TB
	dir      string
	logs     []Log
	known    map[string]bool // by Found.ID
	found    []Found
	problems []Problem
	slept    []time.Duration
	fail     error // of the next report
	options  func(*Options)
}

func observe(t testing.TB, logs ...Log) *observer {
	return &observer{t: t, dir: t.TempDir(), logs: logs, known: map[string]bool{}}
}

// watcher begins a new one, as after a restart.
func (o *observer) watcher() *Watcher {
	o.t.Helper()
	options := Options{
		Dir: o.dir, Logs: o.logs, Zones: zonesOf("finmicro.example", "bücher.example"), From: FromStart, Rate: 1e6, Stale: 100 * 365 * 24 * time.Hour,
		Known: func(_ context.Context, f Found) (bool, error) { return o.known[f.ID], nil },
		Found: func(_ context.Context, f Found) error {
			if err := o.fail; err != nil {
				return err
			}
			o.found = append(o.found, f)
			return nil
		},
		Problem: func(_ context.Context, p Problem) error { o.problems = append(o.problems, p); return nil },
		Sleep:   func(ctx context.Context, d time.Duration) error { o.slept = append(o.slept, d); return ctx.Err() },
		Jitter:  func() float64 { return 0.5 },
		Now:     func() time.Time { return epoch.Add(time.Hour) },
	}
	if o.options != nil {
		o.options(&options)
	}
	w, err := New(options)
	if err != nil {
		o.t.Fatal(err)
	}
	return w
}

// pass makes one pass with a new watcher.
func (o *observer) pass() ([]Status, error) {
	o.t.Helper()
	return o.watcher().Pass(o.t.Context())
}

// clean makes a pass that must go well, and returns what it told.
func (o *observer) clean() []Found {
	o.t.Helper()
	before := len(o.found)
	if _, err := o.pass(); err != nil {
		o.t.Fatal(err)
	}
	return o.found[before:]
}

func summary(list []Found) string {
	var out []string
	for _, f := range list {
		kind := "cert"
		if f.Precert {
			kind = "precert"
		}
		out = append(out, fmt.Sprintf("%d %s %s", f.Index, kind, strings.Join(f.Names, ",")))
	}
	return strings.Join(out, "; ")
}
