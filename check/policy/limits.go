package policy

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"time"
)

// Limits bound what one rule may take on one zone. What is 0 has its default.
type Limits struct {
	Time   time.Duration
	Memory int64 // bytes by which the heap may grow while the rule is asked
}

// The defaults. A rule of the shipped packs takes under a millisecond and a megabyte. A text that doubles
// can be at four times the limit before it is stopped: what lived, its copy, and the next copy, which had begun.
const (
	DefaultTime   = 2 * time.Second
	DefaultMemory = 96 << 20
)

// TestTimeout is how long one test of a policy may take.
const TestTimeout = 5 * time.Second

// Within returns the policies with other limits.
func (p *Policies) Within(l Limits) *Policies {
	bounded := *p
	bounded.limits = l
	return &bounded
}

// sampling is how often the heap is looked at. In so short a time a query allocates some ten megabytes.
const sampling = 2 * time.Millisecond

// watch is one query under its limits. OPA bounds no memory itself, so the heap is sampled while the query runs,
// and the query is cancelled when what lives has grown past the limit. docs/decisions/0014 says what this cannot bound.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	stop   context.CancelFunc
	timer  *time.Timer
	limits Limits

	base    uint64 // heap at the first sample
	alarm   uint64 // heap from which garbage is collected, to see what lives
	ceiling uint64 // heap that garbage alone does not come to
}

// exceeded is a limit that a query went past.
type exceeded string

func (e exceeded) Error() string { return string(e) }

// guard begins to watch. The query must run under the watch's context, and end it.
func (l Limits) guard(ctx context.Context) *watch {
	if l.Time == 0 {
		l.Time = DefaultTime
	}
	if l.Memory == 0 {
		l.Memory = DefaultMemory
	}
	w := &watch{limits: l}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.ctx, w.stop = context.WithTimeoutCause(w.ctx, l.Time, exceeded(fmt.Sprintf("took longer than %s", l.Time)))
	w.timer = time.AfterFunc(time.Hour, w.sample)
	w.timer.Reset(sampling) // not before w.timer is set; most queries have ended by then
	return w
}

// end stops watching, and returns the limit that the query went past, nil for none.
func (w *watch) end() error {
	var past exceeded
	errors.As(context.Cause(w.ctx), &past)
	w.cancel(nil)
	w.stop()
	w.timer.Stop()
	if past == "" {
		return nil
	}
	return past
}

// sample runs one at a time: each run sets the timer for the next.
func (w *watch) sample() {
	if w.ctx.Err() != nil {
		return
	}
	objects, live, goal := heap()
	limit := uint64(w.limits.Memory)
	switch {
	case w.base == 0:
		// The collector lets garbage grow until the heap is twice what lived; all of it may have lived.
		w.base, w.alarm, w.ceiling = objects, objects+limit, max(goal, 2*objects)+limit
	case objects > w.ceiling, live > w.base+limit:
		w.cancel(exceeded(fmt.Sprintf("took more than %d MB of memory", limit>>20)))
		return
	case objects > w.alarm:
		runtime.GC()
		objects, _, _ = heap()
		w.alarm = objects + limit
	}
	w.timer.Reset(sampling)
}

// heap is how many bytes are allocated now, how many lived when garbage was last collected, and how many
// there will be when it is collected next.
func heap() (objects, live, goal uint64) {
	m := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/goal:bytes"}}
	metrics.Read(m)
	return m[0].Value.Uint64(), m[1].Value.Uint64(), m[2].Value.Uint64()
}
