package portal

import (
	"context"
	"slices"
	"time"

	"slipway/lifecycle"
)

// How often a change is looked at while a request is held open. Looking folds
// some tens of events from the index; most changes move within the first second.
const (
	firstLook = 25 * time.Millisecond
	lastLook  = 500 * time.Millisecond
)

// hold returns a change as soon as enough says so, or as it is after at most d.
// When too many requests are held already it answers at once.
func (s *server) hold(ctx context.Context, id string, d time.Duration, enough func(lifecycle.State) bool) (lifecycle.State, error) {
	st, _, _, err := s.Service.Change(ctx, id)
	if err != nil || enough(st) || d <= 0 {
		return st, err
	}
	select {
	case s.waits <- struct{}{}:
		defer func() { <-s.waits }()
	default:
		return st, nil
	}
	end := time.NewTimer(d)
	defer end.Stop()
	for pause := firstLook; ; pause = min(pause*3/2, lastLook) {
		look := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			look.Stop()
			return st, ctx.Err()
		case <-end.C:
			look.Stop()
			return st, nil
		case <-look.C:
		}
		if st, _, _, err = s.Service.Change(ctx, id); err != nil || enough(st) {
			return st, err
		}
	}
}

// forward is the order in which a change that goes well passes its phases.
var forward = []lifecycle.Phase{lifecycle.Submitted, lifecycle.Waiting, lifecycle.Scheduled, lifecycle.Approved, lifecycle.Merged, lifecycle.Applied, lifecycle.Live}

// reached reports whether waiting for a phase makes no more sense: the change
// is there or past it, or it does not move without a person or a later hour.
func reached(st lifecycle.State, phase lifecycle.Phase) bool {
	switch st.Phase {
	case lifecycle.Denied, lifecycle.Scheduled, lifecycle.Failed:
		return true
	case lifecycle.Waiting:
		// An approval by rule comes by itself; people take their time.
		if len(st.Subject.Requirements) > 0 {
			return true
		}
	}
	return st.Phase.Ended() || slices.Index(forward, st.Phase) >= slices.Index(forward, phase)
}
