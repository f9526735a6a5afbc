package audit

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// The index follows the log: an event is acknowledged when it is durable, and comes into
// the index right after. Whoever asks the index waits until everything is in it that was
// acknowledged before the question (await), so nobody can tell the difference. What is on
// its way is bounded by its size in memory (reserve): when the index cannot keep up,
// appending waits for it.

const (
	// maxOnTheWay bounds the events from Append until they are in the index, by their
	// size in memory.
	maxOnTheWay = 128 << 20
	// In a rush, with this many events and more on their way into the log at once, the index
	// lets them pass: for maxDelay at most, until half of the room is taken, or until somebody
	// asks. A rush is over when there was none for lull.
	rush     = 256
	maxDelay = time.Second
	lull     = 50 * time.Millisecond
	// followBatch is how many events come into the index in one transaction, at most.
	followBatch = 4 * DefaultBatchMaxSize
	// retryAfter is how long the follower rests after a failure, when nobody asks.
	retryAfter = time.Second
)

// follower is what the index is still to be told. The log's sequencer hands events over
// to it, and Log.follow takes them away.
type follower struct {
	mu      sync.Mutex    // held for the length of a few operations in memory
	tail    []*pending    // durable and not in the index, in the order of the log
	handed  uint64        // events that came in, ever
	due     uint64        // of these, those that shall wait no longer
	coming  int           // events that have room and did not come in yet
	rushed  time.Time     // when there was a rush last
	asking  int           // how many wait for the index
	settled uint64        // of these, those that are in the index
	since   time.Time     // when the first of the others came in, or some were tried last
	weight  int           // of all events on their way
	tries   uint64        // that failed, ever
	err     error         // of the last try; nil when it succeeded
	closed  bool          // nothing more comes in
	changed chan struct{} // closed and replaced when somebody may wait for what is above

	room int           // see maxOnTheWay
	wake chan struct{} // to Log.follow: there is something, or somebody is waiting
}

func newFollower() *follower {
	return &follower{room: maxOnTheWay, changed: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// weigh is roughly what an event holds in memory until it is in the index.
func weigh(e *Event) int { return 2<<10 + 2*len(e.Details) }

// reserve waits until there is room for an event. When there is none because the index
// cannot be written, it says so instead.
func (f *follower) reserve(ctx context.Context, weight int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.weight > 0 && f.weight+weight > f.room {
		if f.err != nil {
			return fmt.Errorf("too many events wait for the index, and it could not be written: %w", f.err)
		}
		if err := f.wait(ctx); err != nil {
			return err
		}
	}
	f.weight += weight
	if f.coming++; f.coming >= rush {
		f.rushed = time.Now()
	}
	return nil
}

// release gives back the room of an event that did not become part of the log.
func (f *follower) release(weight int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.weight, f.coming = f.weight-weight, f.coming-1
	f.notify()
}

// wait is for the next notify. It is called with mu held, and holds it again after.
func (f *follower) wait(ctx context.Context) error {
	changed := f.changed
	f.mu.Unlock()
	defer f.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *follower) notify() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *follower) poke() {
	select {
	case f.wake <- struct{}{}:
	default: // it is awake
	}
}

// hand takes over events that have become durable.
func (f *follower) hand(events []*pending) {
	f.mu.Lock()
	if len(f.tail) == 0 {
		f.since = time.Now()
	}
	f.coming -= len(events)
	f.tail = append(f.tail, events...)
	f.handed += uint64(len(events))
	f.mu.Unlock()
	f.poke()
}

// next waits for events, and returns none when none will come.
func (f *follower) next() []*pending {
	for {
		f.mu.Lock()
		events, patience, closed := f.tail[:min(len(f.tail), followBatch)], f.patience(), f.closed
		f.mu.Unlock()
		switch {
		case closed:
			return events
		case len(events) == 0:
			<-f.wake
		case patience <= 0:
			return events
		default:
			select {
			case <-f.wake:
			case <-time.After(patience):
			}
		}
	}
}

// patience is for how long what is there may wait. It is called with mu held.
func (f *follower) patience() time.Duration {
	now := time.Now()
	switch {
	case f.asking > 0:
		return 0
	case f.err != nil:
		return f.since.Add(retryAfter).Sub(now)
	case f.settled < f.due || f.weight > f.room/2:
		return 0
	}
	left := min(f.since.Add(maxDelay).Sub(now), f.rushed.Add(lull).Sub(now))
	if left <= 0 {
		f.due, f.since = f.handed, now
	}
	return left
}

// settle says how a try with the first events went, and whether there shall be others.
func (f *follower) settle(events int, err error) (more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err = err; err != nil {
		f.tries, f.since = f.tries+1, time.Now()
		f.notify()
		return !f.closed
	}
	for _, p := range f.tail[:events] {
		f.weight -= p.weight
	}
	clear(f.tail[:events])
	if f.tail = f.tail[events:]; len(f.tail) == 0 {
		f.tail = nil
	}
	f.settled += uint64(events)
	f.notify()
	return !f.closed || len(f.tail) > 0
}

func (f *follower) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *follower) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.poke()
}

// await waits until everything is in the index that was acknowledged before the call. It
// is an error when that is tried and does not succeed.
func (f *follower) await(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	handed, tries := f.handed, f.tries
	f.asking++
	defer func() { f.asking-- }()
	for f.settled < handed {
		if f.err != nil && f.tries > tries {
			return fmt.Errorf("the index could not be brought up to the log: %w", f.err)
		}
		f.poke()
		if err := f.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// follow brings the index up to the log for as long as there is something to come.
func (l *Log) follow() {
	defer close(l.done)
	for failed := false; ; {
		events := l.follower.next()
		if len(events) == 0 {
			return
		}
		err := l.record(l.ctx, events, failed)
		if failed = err != nil; failed {
			l.o.Logger.Error("the index could not be brought up to the audit log. Nothing is lost: it is tried again, and at the next start", "error", err)
		} else {
			l.settled(events)
		}
		if !l.follower.settle(len(events), err) {
			return
		}
	}
}

// settled lets go of the keys of events that the index knows by now.
func (l *Log) settled(events []*pending) {
	for _, p := range events {
		if once := p.receipt.Event.Once; once != "" {
			l.claims.release(once)
		}
	}
}

// record adds events to the index. After a failure it asks the index first what is in it,
// since a transaction may have been done for which no answer came.
func (l *Log) record(ctx context.Context, events []*pending, failedBefore bool) error {
	if failedBefore {
		size, err := l.index.size(ctx)
		if err != nil {
			return err
		}
		l.indexed = size
	}
	next := make([]indexed, 0, len(events))
	for _, p := range events {
		if p.receipt.Index >= l.indexed {
			next = append(next, indexed{p.receipt, p.raw})
		}
	}
	slices.SortFunc(next, func(a, b indexed) int { return cmp.Compare(a.Index, b.Index) })
	for i, r := range next {
		if r.Index != l.indexed+uint64(i) {
			// The log's own files know what lies between.
			return l.catchUp(ctx, next[len(next)-1].Index+1)
		}
	}
	return l.advance(ctx, next)
}

// catchUp adds to the index, from the log's files, what it does not have of the first
// size events.
func (l *Log) catchUp(ctx context.Context, size uint64) error {
	return follow(ctx, filepath.Join(l.o.Dir, logDir), l.indexed, size, func(next []indexed) error {
		return l.advance(ctx, next)
	})
}

func (l *Log) advance(ctx context.Context, next []indexed) error {
	if len(next) == 0 {
		return nil
	}
	if err := l.index.add(ctx, next); err != nil {
		return err
	}
	for _, r := range next {
		if r.Event.Once != "" {
			l.onces.add(r.Event.Once) // before its claim is released
		}
	}
	l.indexed += uint64(len(next))
	return nil
}
