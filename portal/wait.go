package portal

import (
	"context"
	"slices"
	"time"

	"slipway/audit"
	"slipway/lifecycle"
)

// hold returns a change as soon as enough says so, or as it is after at most d.
// When too many requests are held already it answers at once.
func (s *server) hold(ctx context.Context, id string, d time.Duration, enough func(lifecycle.State) bool) (lifecycle.State, error) {
	ctx, stop := context.WithTimeout(ctx, max(d, 0))
	defer stop()
	appended := s.Record.Index().Watch(ctx) // before the first look, so that nothing falls in between
	st, events, _, err := s.Service.Change(context.WithoutCancel(ctx), id)
	if err != nil || enough(st) || d <= 0 {
		return st, err
	}
	select {
	case s.waits <- struct{}{}:
		defer func() { <-s.waits }()
	default:
		return st, nil
	}
	for {
		select {
		case _, open := <-appended:
			if !open {
				return st, nil // the time is over, the caller has gone, or the server stops
			}
		case <-ctx.Done():
			return st, nil
		}
		// Most of what is appended is about other changes, which one small query tells.
		if fresh, err := s.happened(ctx, id, events); err != nil || !fresh {
			continue
		}
		if st, events, _, err = s.Service.Change(context.WithoutCancel(ctx), id); err != nil || enough(st) {
			return st, err
		}
	}
}

// happened reports whether a change has more events than those.
func (s *server) happened(ctx context.Context, id string, known []audit.Receipt) (bool, error) {
	q := audit.Query{Change: id, Limit: 1}
	if len(known) > 0 {
		q.After, q.HasAfter = known[len(known)-1].Index, true
	}
	more, err := s.Record.Index().Events(ctx, q)
	return len(more) > 0, err
}

// forward is the order in which a change that goes well passes its phases.
var forward = []lifecycle.Phase{lifecycle.Submitted, lifecycle.Waiting, lifecycle.Scheduled, lifecycle.Approved, lifecycle.Merged, lifecycle.Applied, lifecycle.Live}

// reached reports whether waiting for a phase makes no more sense: the change
// is there or past it, or it does not move without a person or a later hour.
func reached(st lifecycle.State, phase lifecycle.Phase) bool {
	switch st.Phase {
	case lifecycle.Denied, lifecycle.Scheduled, lifecycle.Held, lifecycle.Failed:
		return true
	case lifecycle.Waiting:
		// An approval by rule comes by itself; people take their time.
		if len(st.Subject.Requirements) > 0 {
			return true
		}
	}
	return st.Phase.Ended() || slices.Index(forward, st.Phase) >= slices.Index(forward, phase)
}
