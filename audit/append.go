package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/transparency-dev/tessera"
)

// sortInterval is how often the log is looked at again that could not be read.
const sortInterval = 100 * time.Millisecond

// ErrClosed is what Append answers after Close.
var ErrClosed = errors.New("the audit log is closed")

// pending is an event on its way into the log. Its fields are owned by whoever handles
// it until answered is closed, and are only read from then on.
type pending struct {
	receipt  Receipt
	raw      []byte
	entry    *tessera.Entry
	weight   int // see follower.reserve
	err      error
	answered chan struct{}
}

func newPending(e Event) *pending {
	return &pending{receipt: Receipt{Event: e}, weight: weigh(&e), answered: make(chan struct{})}
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

// Append signs an event and appends it. When it returns without error, the event is
// synced to disk in an entry bundle and is integrated into the Merkle tree, whose state
// is synced as well; whoever then asks the Index finds it. A checkpoint that covers it is
// published within CheckpointInterval, or by the next Open when the process is killed
// before.
//
// An event whose Once is already in the log is not added again: the first one comes
// back. That holds across crashes and between concurrent callers.
//
// Append waits when events come faster than they can be written and indexed. When ctx
// ends while the event is on its way, it may or may not be in the log: only an event with
// Once can be safely appended again.
func (l *Log) Append(ctx context.Context, e Event) (Receipt, error) {
	if err := e.Validate(); err != nil {
		return Receipt{}, fmt.Errorf("event %s: %w", e.Action, err)
	}
	if e.Action == RotateKey {
		return Receipt{}, fmt.Errorf("event %s: only Rotate appends it", e.Action)
	}
	p := newPending(e)
	if e.Once == "" {
		return l.submit(ctx, p)
	}
	for holder := l.claims.take(e.Once, p); holder != nil; holder = l.claims.take(e.Once, p) {
		// Another caller's failure, or its impatience, is not this one's.
		if r, err := holder.wait(ctx); err == nil || ctx.Err() != nil {
			return r, err
		}
	}
	// Only after the claim: it is not released before the index has the event, so what is
	// neither claimed nor in the index is not in the log. There is nothing to wait for.
	if !l.onces.lacks(e.Once) {
		first, found, err := l.index.once(ctx, e.Once)
		if err != nil || found {
			p.receipt, p.err = first, err
			l.claims.release(e.Once)
			p.answer()
			return first, err
		}
	}
	return l.submit(ctx, p)
}

// submit signs the event and puts it into the queue. From there on it goes its way
// whether or not the caller waits for it.
func (l *Log) submit(ctx context.Context, p *pending) (Receipt, error) {
	if err := l.follower.reserve(ctx, p.weight); err != nil {
		l.fail(p, fmt.Errorf("event %s: %w", p.receipt.Event.Action, err))
		return Receipt{}, p.err
	}
	if err := l.enqueue(ctx, p); err != nil {
		l.refuse(p, err)
		return Receipt{}, err
	}
	return p.wait(ctx)
}

// refuse answers for an event that has room, and is not in the log and will not be.
func (l *Log) refuse(p *pending, err error) {
	l.follower.release(p.weight)
	l.fail(p, err)
}

func (l *Log) fail(p *pending, err error) {
	p.err = err
	if once := p.receipt.Event.Once; once != "" {
		l.claims.release(once)
	}
	p.answer()
}

func (l *Log) enqueue(ctx context.Context, p *pending) error {
	// Signed within the gate, so that a key that is replaced signs nothing that comes after
	// the event that replaces it.
	l.gate.RLock()
	defer l.gate.RUnlock()
	select {
	case l.signing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	err := l.admit(p)
	<-l.signing
	if err != nil {
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
	p.entry = tessera.NewEntry(p.raw)
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

// sequence hands everything that waits to Tessera at once, waits until it is durable and
// answers. The callers sign the next batch meanwhile, and the index learns of the last.
func (l *Log) sequence() {
	defer l.follower.close()
	futures := make([]tessera.IndexFuture, 0, DefaultBatchMaxSize)
	var lost error // nobody knows what is in the log
	for p := range l.queue {
		if lost != nil {
			l.refuse(p, lost)
			continue
		}
		batch := []*pending{p}
		for len(batch) < DefaultBatchMaxSize && len(l.queue) > 0 {
			// Nobody else receives, so this does not block.
			batch = append(batch, <-l.queue)
		}
		futures = futures[:0]
		for _, p := range batch {
			futures = append(futures, l.appender.Add(l.ctx, p.entry))
		}
		failed := false
		for i, p := range batch {
			index, err := futures[i]()
			p.receipt.Index, p.err, p.entry = index.Index, err, nil
			failed = failed || err != nil
		}
		if failed {
			batch, lost = l.sort(batch)
		}
		l.durable += uint64(len(batch))
		// The index is told before the caller is, so that the caller finds the event.
		l.follower.hand(batch)
		for _, p := range batch {
			p.answer()
		}
	}
}

// sort returns those events of a batch that came into the log although Tessera failed, and
// refuses the others. Nothing else is written before that is known: it is an error when
// the log is closed before.
func (l *Log) sort(batch []*pending) ([]*pending, error) {
	tick := time.NewTicker(sortInterval)
	defer tick.Stop()
	found, err := l.arrived()
	for err != nil {
		l.o.Logger.Error("the audit log cannot be read to find out what a failed write has left; it takes no events until it can", "error", err)
		select {
		case <-tick.C:
			found, err = l.arrived()
		case <-l.closing:
			lost := fmt.Errorf("it is not known which events are in the log: %w", err)
			for _, p := range batch {
				l.refuse(p, fmt.Errorf("event %s: %w", p.receipt.Event.Action, errors.Join(lost, p.err)))
			}
			return nil, lost
		}
	}
	var arrived []*pending
	for _, p := range batch {
		if index, ok := found[p.receipt.Event.EventID]; ok {
			p.receipt.Index, p.err = index, nil
			arrived = append(arrived, p)
		} else {
			l.refuse(p, fmt.Errorf("event %s was not recorded: %w", p.receipt.Event.Action, p.err))
		}
	}
	return arrived, nil
}

// arrived are the events that came into the log after those that are known to be in it,
// by their IDs.
func (l *Log) arrived() (map[string]uint64, error) {
	path := filepath.Join(l.o.Dir, logDir)
	// What a failed write leaves must be gone before the tree grows over it. Tessera is
	// idle: it has answered for all that it was given.
	if _, err := sweep(path); err != nil {
		return nil, err
	}
	size, err := l.reader.IntegratedSize(l.ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]uint64{}
	for e, err := range entries(l.ctx, path, l.durable, size) {
		if err != nil {
			return nil, err
		}
		r, err := e.receipt()
		if err != nil {
			return nil, err
		}
		found[r.Event.EventID] = e.index
	}
	return found, nil
}

// Erase records that a document may not be kept any more, by whose decision and why, and
// then removes it. The log stays whole: it has the document's digest only. Erasing again
// finishes what an interrupted one began.
func (l *Log) Erase(ctx context.Context, by Actor, digest, because string) (Receipt, error) {
	once := "erase-document:" + digest
	if _, erased, err := l.index.Once(ctx, once); err != nil {
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
