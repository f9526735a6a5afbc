package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"
)

// ErrClosed is what Append answers after Close.
var ErrClosed = errors.New("the audit log is closed")

// pending is an event on its way into the log. Its fields are owned by whoever handles
// it until answered is closed, and are read only from then on.
type pending struct {
	receipt  Receipt
	raw      []byte
	err      error
	answered chan struct{}
}

func (p *pending) answer() { close(p.answered) }

func (p *pending) wait(ctx context.Context) (Receipt, error) {
	select {
	case <-p.answered:
		return p.receipt, p.err
	case <-ctx.Done():
		return Receipt{}, ctx.Err()
	}
}

// claims are the Once keys of events that are on their way.
type claims struct {
	mu sync.Mutex // held for the length of a map operation
	by map[string]*pending
}

// take claims a key for p, or returns whoever has claimed it.
func (c *claims) take(once string, p *pending) (holder *pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if holder, taken := c.by[once]; taken {
		return holder
	}
	if c.by == nil {
		c.by = map[string]*pending{}
	}
	c.by[once] = p
	return nil
}

func (c *claims) release(once string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.by, once)
}

// Append signs an event and appends it. When it returns without error, the event is
// synced to disk in an entry bundle, is integrated into the Merkle tree, whose state
// is synced as well, and is in the index; a checkpoint that covers it is published
// within CheckpointInterval, or by the next Open when the process is killed before.
//
// An event whose Once is already in the log is not added again: the first one comes
// back. That holds across crashes and between concurrent callers.
//
// When ctx ends while the event is on its way, it may or may not be in the log: only
// an event with Once can be safely appended again.
func (l *Log) Append(ctx context.Context, e Event) (Receipt, error) {
	if err := e.Validate(); err != nil {
		return Receipt{}, fmt.Errorf("event %s: %w", e.Action, err)
	}
	if e.Action == RotateKey {
		return Receipt{}, fmt.Errorf("event %s: only Rotate appends it", e.Action)
	}
	p := &pending{answered: make(chan struct{})}
	if e.Once == "" {
		return l.submit(ctx, e, p)
	}
	for holder := l.claims.take(e.Once, p); holder != nil; holder = l.claims.take(e.Once, p) {
		// Another caller's failure, or its impatience, is not this one's.
		if r, err := holder.wait(ctx); err == nil || ctx.Err() != nil {
			return r, err
		}
	}
	// Only after the claim: an event with this key that was on its way is in the index
	// before its claim is released.
	first, found, err := l.once(ctx, e.Once)
	if err != nil || found {
		p.receipt, p.err = first, err
		l.claims.release(e.Once)
		p.answer()
		return first, err
	}
	return l.submit(ctx, e, p)
}

// once looks a key up, in an index that has all of the log.
func (l *Log) once(ctx context.Context, once string) (Receipt, bool, error) {
	if l.behind.Load() {
		l.indexing.Lock()
		err := l.catchUp(ctx, nil)
		l.indexing.Unlock()
		if err != nil {
			return Receipt{}, false, err
		}
	}
	return l.index.Once(ctx, once)
}

// submit signs the event and puts it into the queue. From there on it goes its way
// whether or not the caller waits for it.
func (l *Log) submit(ctx context.Context, e Event, p *pending) (Receipt, error) {
	p.receipt.Event = e
	if err := l.enqueue(ctx, p); err != nil {
		p.err = err
		l.finish(p)
		return Receipt{}, err
	}
	return p.wait(ctx)
}

func (l *Log) enqueue(ctx context.Context, p *pending) error {
	// Signed within the gate, so that a key that is replaced signs nothing that comes after
	// the event that replaces it.
	l.gate.RLock()
	defer l.gate.RUnlock()
	if err := l.admit(p); err != nil {
		return err
	}
	select {
	case l.queue <- p: // waits when the log cannot keep up: back pressure, not loss
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// admit completes and signs an event. It is called within the gate.
func (l *Log) admit(p *pending) error {
	switch {
	case l.closed:
		return ErrClosed
	case l.halted != nil:
		return l.halted
	}
	e := &p.receipt.Event
	now := l.o.Now()
	if e.Timestamp.IsZero() {
		e.Timestamp = now
	}
	if e.Timestamp.After(now.Add(maxClockSkew)) {
		return fmt.Errorf("event %s: its time, %s, is still to come", e.Action, e.Timestamp)
	}
	e.normalise()
	var err error
	if e.EventID, err = newEventID(l.recording(now), l.o.Random); err != nil {
		return fmt.Errorf("event %s: %w", e.Action, err)
	}
	e.KeyID = l.o.Events.ID()
	if p.raw, err = sign(l.signer, e); err != nil {
		return fmt.Errorf("event %s: %w", e.Action, err)
	}
	return nil
}

// recording is the time that an event's ID gets: now, but never before that of an
// earlier event, as RFC 9562 section 6.2 has it for a clock that was put back. So an ID
// that does run backwards was not made here.
func (l *Log) recording(now time.Time) time.Time {
	ms := now.UnixMilli()
	for {
		latest := l.latest.Load()
		if ms <= latest {
			return time.UnixMilli(latest)
		}
		if l.latest.CompareAndSwap(latest, ms) {
			return time.UnixMilli(ms)
		}
	}
}

func (l *Log) finish(p *pending) {
	if once := p.receipt.Event.Once; once != "" {
		l.claims.release(once)
	}
	p.answer()
}

// sequence hands everything that waits to Tessera at once, waits until it is durable
// and passes it on to the index: one batch is indexed while the next is written.
func (l *Log) sequence() {
	durable := make(chan []*pending, 1)
	go func() {
		for batch := range durable {
			l.record(batch)
		}
		close(l.done)
	}()
	for p := range l.queue {
		batch := []*pending{p}
		for len(batch) < DefaultBatchMaxSize && len(l.queue) > 0 {
			// Nobody else receives, so this does not block.
			batch = append(batch, <-l.queue)
		}
		futures := make([]tessera.IndexFuture, len(batch))
		for i, p := range batch {
			futures[i] = l.appender.Add(l.ctx, tessera.NewEntry(p.raw))
		}
		failed := false
		for i, p := range batch {
			index, err := futures[i]()
			p.receipt.Index, p.err = index.Index, err
			failed = failed || err != nil
		}
		if failed {
			// What a failed write leaves must be gone before the tree grows over it.
			// Tessera is idle: it has answered for all that it was given.
			if _, err := sweep(filepath.Join(l.o.Dir, logDir)); err != nil {
				l.o.Logger.Error("the rest of a failed write could not be removed from the audit log", "error", err)
			}
		}
		durable <- batch
	}
	close(durable)
}

// record brings the index up to a batch that Tessera has answered for, and answers.
func (l *Log) record(batch []*pending) {
	l.indexing.Lock()
	err := l.catchUp(l.ctx, batch)
	l.indexing.Unlock()
	for _, p := range batch {
		switch {
		case err != nil:
			p.err = fmt.Errorf("event %s: it may be in the log, but the index could not be brought up to it: %w", p.receipt.Event.Action, err)
		case p.err != nil:
			// Tessera failed, but perhaps only after the event was in the log.
			p.settle(l.index.Event(l.ctx, p.receipt.Event.EventID))
		}
		l.finish(p)
	}
}

func (p *pending) settle(r Receipt, found bool, err error) {
	switch {
	case found:
		p.receipt, p.err = r, nil
	case err != nil:
		p.err = errors.Join(p.err, err)
	default:
		p.err = fmt.Errorf("event %s was not recorded: %w", p.receipt.Event.Action, p.err)
	}
}

// catchUp adds to the index what the log has and it has not. A batch that follows on
// what is indexed is taken as it is; after any failure the log's files are read. It
// needs l.indexing, but for Open, which is alone.
func (l *Log) catchUp(ctx context.Context, batch []*pending) error {
	if next, ok := l.following(batch); ok {
		return l.advance(ctx, next)
	}
	l.behind.Store(true)
	size, err := l.reader.IntegratedSize(ctx)
	if err != nil {
		return err
	}
	err = follow(ctx, filepath.Join(l.o.Dir, logDir), l.indexed, size, func(next []indexed) error {
		return l.advance(ctx, next)
	})
	l.behind.Store(err != nil)
	return err
}

// following returns a batch as what comes next in the index, if it is just that.
func (l *Log) following(batch []*pending) ([]indexed, bool) {
	if len(batch) == 0 || l.behind.Load() {
		return nil, false
	}
	next := make([]indexed, 0, len(batch))
	for _, p := range batch {
		if p.err != nil {
			return nil, false
		}
		next = append(next, indexed{p.receipt, p.raw})
	}
	slices.SortFunc(next, func(a, b indexed) int { return cmp.Compare(a.Index, b.Index) })
	for i, r := range next {
		if r.Index != l.indexed+uint64(i) {
			return nil, false
		}
	}
	return next, true
}

func (l *Log) advance(ctx context.Context, next []indexed) error {
	if err := l.index.add(ctx, next); err != nil {
		l.behind.Store(true)
		return err
	}
	l.indexed += uint64(len(next))
	return nil
}

// Erase records that a document may not be kept any more, by whose decision and why, and
// then removes it. The log stays whole: it has the document's digest only. Erasing again
// finishes what an interrupted one began.
func (l *Log) Erase(ctx context.Context, by Actor, digest, because string) (Receipt, error) {
	once := "erase-document:" + digest
	if _, erased, err := l.once(ctx, once); err != nil {
		return Receipt{}, err
	} else if !erased {
		there, err := l.docs.Has(digest)
		if err != nil {
			return Receipt{}, err
		}
		if !there {
			return Receipt{}, fmt.Errorf("document %s: %w", digest, fs.ErrNotExist)
		}
	}
	details, err := json.Marshal(struct {
		Because string `json:"because"`
	}{because})
	if err != nil {
		return Receipt{}, err
	}
	r, err := l.Append(ctx, Event{Actor: by, Action: EraseDocument, Resource: Resource{Name: digest}, Once: once, Details: details})
	if err != nil {
		return Receipt{}, err
	}
	return r, l.docs.remove(digest)
}
