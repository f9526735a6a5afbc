package mirror

import (
	"context"
	"time"
)

const (
	// DefaultPoll is how often Run looks whether the log has grown. It reads one small
	// file for that, and so needs nothing of the log's writer.
	DefaultPoll = 5 * time.Second

	maxPause = 5 * time.Minute // between two attempts while the store fails
)

// Run makes passes until ctx ends, and tells how each one went. While the store fails
// it tries less and less often.
func (m *Mirror) Run(ctx context.Context, poll time.Duration, report func(context.Context, Status, error)) {
	if poll <= 0 {
		poll = DefaultPoll
	}
	pause := poll
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		status, err := m.Pass(ctx, false)
		if ctx.Err() != nil {
			return
		}
		report(ctx, status, err)
		if err == nil {
			pause = poll
		} else {
			pause = min(2*pause, maxPause)
		}
		timer.Reset(pause)
	}
}
