package flow

import (
	"sync"
	"time"
)

// waits keeps until when each authority asked to be left alone. It is not on record: after a
// restart an authority is asked once more, and says so again.
type waits struct {
	mu sync.Mutex // held for the length of a map operation
	by map[string]time.Time
}

func newWaits() *waits { return &waits{by: make(map[string]time.Time)} }

func (w *waits) set(name string, until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.by[name] = until
}

func (w *waits) until(name string, now time.Time) (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	until, ok := w.by[name]
	return until, ok && now.Before(until)
}
