package evidence

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"slipway/audit"
)

// collection is what goes into a bundle, before any of it is read.
type collection struct {
	src       Source
	subject   Subject
	why       map[uint64]string // of each event
	events    []Event           // in the order of the log
	documents []string          // digests, sorted
	erased    map[string]bool
}

// rank orders the reasons: an event that is there for several has the first.
var rank = []string{WhySubject, WhyKeys, WhyErasure, WhyTime, WhyBoundary}

func (c *collection) add(index uint64, why string) {
	if now, there := c.why[index]; !there || slices.Index(rank, why) < slices.Index(rank, now) {
		c.why[index] = why
	}
}

// collect finds the events of a subject and everything that they need to be understood.
func collect(ctx context.Context, src Source, s Subject) (*collection, error) {
	c := &collection{src: src, subject: s, why: map[uint64]string{}, erased: map[string]bool{}}
	size := src.Log.Tree().Size
	if s.period() {
		from, to, err := span(ctx, src.Log, s)
		if err != nil {
			return nil, err
		}
		if to <= from {
			return nil, fmt.Errorf("%s: %w", s, ErrNothing)
		}
		if to-from > MaxEvents {
			return nil, tooMany()
		}
		for i := from; i < to; i++ {
			c.add(i, WhySubject)
		}
		// One on either side shows that the period has no more.
		if from > 0 {
			c.add(from-1, WhyBoundary)
		}
		if to < size {
			c.add(to, WhyBoundary)
		}
	} else {
		about, err := find(ctx, src.Log, s)
		if err != nil {
			return nil, err
		}
		if len(about) == 0 {
			return nil, fmt.Errorf("%s: %w", s, ErrNothing)
		}
		for _, i := range about {
			c.add(i, WhySubject)
		}
		if s.Complete {
			if size-about[0] > MaxEvents {
				return nil, ask("The log has %d events since the first one about %s, more than the %d that a complete bundle holds: take one that is not complete, or periods.", size-about[0], s, MaxEvents)
			}
			for i := about[0]; i < size; i++ {
				c.add(i, WhyBoundary)
			}
		}
	}
	for _, a := range []audit.Action{audit.StartLog, audit.RotateKey} {
		if err := c.query(ctx, audit.Query{Action: a}, func(r audit.Receipt) { c.add(r.Index, WhyKeys) }); err != nil {
			return nil, err
		}
	}
	if err := c.timestamps(ctx); err != nil {
		return nil, err
	}
	if err := c.read(ctx); err != nil {
		return nil, err
	}
	return c, c.erasures(ctx)
}

// query hands on all that the index finds below the checkpoint.
func (c *collection) query(ctx context.Context, q audit.Query, use func(audit.Receipt)) error {
	f := finder{log: c.src.Log, found: map[uint64]*audit.Event{}, size: c.src.Log.Tree().Size}
	if err := f.query(ctx, q, nil); err != nil {
		return err
	}
	for _, i := range slices.Sorted(maps.Keys(f.found)) {
		use(audit.Receipt{Index: i, Event: *f.found[i]})
	}
	return nil
}

// timestamps takes the first timestamp of each authority that covers the subject's last event.
func (c *collection) timestamps(ctx context.Context) error {
	last := uint64(0)
	for i, why := range c.why {
		if why == WhySubject {
			last = max(last, i)
		}
	}
	const near = 100 // authorities are a few, and each stamps every checkpoint that is due
	found, err := c.src.Log.Index().Events(ctx, audit.Query{Action: audit.TimestampCheckpoint, After: last, HasAfter: true, Limit: near})
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, r := range found {
		if d := detail(&r.Event); r.Index < c.src.Log.Tree().Size && d.Size > last && !seen[r.Event.Resource.Name] {
			seen[r.Event.Resource.Name] = true
			c.add(r.Index, WhyTime)
		}
	}
	return nil
}

// read takes the events out of the log itself: what the index says of them counts for nothing.
func (c *collection) read(ctx context.Context) error {
	c.events = make([]Event, 0, len(c.why))
	for _, i := range slices.Sorted(maps.Keys(c.why)) {
		if err := c.readOne(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (c *collection) readOne(ctx context.Context, index uint64) error {
	raw, err := c.src.Log.Entry(ctx, index)
	if err != nil {
		return err
	}
	e, err := audit.OpenEntry(raw)
	if err != nil {
		return fmt.Errorf("log: event %d: %w", index, err)
	}
	c.events = append(c.events, Event{Index: index, Why: c.why[index], Event: e.Event})
	return nil
}

// erasures lists the documents, and adds the events that say which of them were erased.
func (c *collection) erasures(ctx context.Context) error {
	digests := map[string]bool{}
	for i := range c.events {
		if c.events[i].Why == WhyBoundary {
			continue
		}
		for _, digest := range c.events[i].Event.ArtifactRefs {
			digests[digest] = true
		}
	}
	if len(digests) > MaxDocuments {
		return ask("It has %d documents, more than the %d that one bundle holds: take it out in periods (--from, --to).", len(digests), MaxDocuments)
	}
	c.documents = slices.Sorted(maps.Keys(digests))
	for _, digest := range c.documents {
		r, found, err := c.src.Log.Index().Once(ctx, "erase-document:"+digest)
		if err != nil {
			return err
		}
		if !found || r.Index >= c.src.Log.Tree().Size {
			continue
		}
		c.erased[digest] = true
		_, there := c.why[r.Index]
		c.add(r.Index, WhyErasure)
		if there {
			continue
		}
		if err := c.readOne(ctx, r.Index); err != nil {
			return err
		}
	}
	slices.SortFunc(c.events, func(a, b Event) int { return int(int64(a.Index) - int64(b.Index)) })
	for i := range c.events {
		c.events[i].Why = c.why[c.events[i].Index]
	}
	return nil
}
