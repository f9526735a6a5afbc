// Package forward takes the events of the record to those who watch elsewhere: a SIEM
// over syslog, an HTTP event collector, a webhook, OpenTelemetry, a file. It owns the
// formats and the way there; it decides nothing, and it never holds up the writer of the
// record: every destination follows the log at its own pace, from a position of its own
// that survives restarts. Each event arrives at least once and in the order of the log;
// event_id tells a reader which it has already. Read this file first, then open.go for
// the settings, the formats in ocsf.go, ecs.go and cef.go, and one file for each way.
package forward

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"slipway/audit"
	"slipway/internal/durable"
)

// Source is the record as a destination follows it: an *audit.Index.
type Source interface {
	Events(context.Context, audit.Query) ([]audit.Receipt, error)
	Watch(context.Context) <-chan struct{}
}

// sink is one way out.
type sink interface {
	// send hands over events in their order. It returns when the other side has taken
	// them all, as far as the way there can tell.
	send(context.Context, []audit.Receipt) error
	// unsettled is the index of the first event that was sent and may still be lost, if
	// there is one: a way without answers cannot know at once. again is when to ask next.
	unsettled() (first uint64, any bool, again time.Duration)
	close() error
}

// Destination is one reader elsewhere.
type Destination struct {
	name     string
	sink     sink
	only     map[audit.Action]bool // nil: all
	position string                // file
	fromNow  bool                  // where to begin when there is no position
	batch    int
	backoff  time.Duration // the first; it doubles

	// Report is told how each attempt went; see audit.Guard.
	Report func(context.Context, error)
	Log    *slog.Logger
}

// position is the file that says how far a destination has been served.
type position struct {
	Next uint64    `json:"next"` // index of the first event that may not have arrived
	At   time.Time `json:"at"`
}

const (
	maxPosition  = 4096
	firstBackoff = time.Second
	maxBackoff   = 5 * time.Minute
	sendTimeout  = time.Minute
)

// Run serves the destination until ctx ends. What fails is tried again, later and later,
// and nothing is left out meanwhile.
func (d *Destination) Run(ctx context.Context, from Source) error {
	defer d.sink.close()
	watch := from.Watch(ctx)
	saved, err := d.load(ctx, from)
	if err != nil {
		return err
	}
	backoff := d.backoff
	for next := saved; ctx.Err() == nil; {
		sent, more, err := d.step(ctx, from, next)
		if ctx.Err() != nil {
			break
		}
		if d.Report != nil {
			d.Report(ctx, err)
		}
		if err != nil {
			d.Log.Warn("events of the record could not be handed on, and will be", "destination", d.name, "event", saved, "error", err)
			next = saved // what was sent without an answer may be lost: again
			pause(ctx, nil, backoff/2+rand.N(backoff/2))
			backoff = min(2*backoff, maxBackoff)
			continue
		}
		backoff = d.backoff
		next = sent
		arrived, again := next, time.Duration(0)
		if first, some, later := d.sink.unsettled(); some {
			arrived, again = first, later
		}
		if arrived > saved {
			if err := d.save(arrived); err != nil {
				return err // its disk is full or gone: the server says so and stops handing on
			}
			saved = arrived
		}
		if !more && !pause(ctx, watch, again) {
			return nil // the record is closed
		}
	}
	return nil
}

// pause waits for the channel, or at most for so long; 0 is for ever. It says whether
// there is anything more to wait for.
func pause(ctx context.Context, c <-chan struct{}, most time.Duration) bool {
	var timer <-chan time.Time
	if most > 0 {
		t := time.NewTimer(most)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
		return false
	case _, open := <-c:
		return open
	case <-timer:
		return true
	}
}

// step sends the next batch. more says whether there may be another one already.
func (d *Destination) step(ctx context.Context, from Source, next uint64) (after uint64, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	q := audit.Query{Limit: d.batch}
	if next > 0 {
		q.After, q.HasAfter = next-1, true
	}
	events, err := from.Events(ctx, q)
	if err != nil || len(events) == 0 {
		return next, false, err
	}
	after = events[len(events)-1].Index + 1
	more = len(events) == d.batch
	if d.only != nil {
		wanted := events[:0:0]
		for _, r := range events {
			if d.only[r.Event.Action] {
				wanted = append(wanted, r)
			}
		}
		if events = wanted; len(events) == 0 {
			return after, more, nil
		}
	}
	return after, more, d.sink.send(ctx, events)
}

func (d *Destination) load(ctx context.Context, from Source) (uint64, error) {
	raw, err := os.ReadFile(d.position)
	if errors.Is(err, fs.ErrNotExist) {
		if !d.fromNow {
			return 0, nil
		}
		newest, err := from.Events(ctx, audit.Query{Newest: true, Limit: 1})
		if err != nil || len(newest) == 0 {
			return 0, err
		}
		return newest[0].Index + 1, d.save(newest[0].Index + 1)
	}
	if err != nil {
		return 0, fmt.Errorf("destination %s: %w", d.name, err)
	}
	var p position
	if err := json.Unmarshal(raw, &p); err != nil || len(raw) > maxPosition {
		return 0, fmt.Errorf("destination %s: %s does not say how far events were handed on (%w). Remove the file to hand on all events again; readers tell by event_id what they have",
			d.name, filepath.Base(d.position), err)
	}
	return p.Next, nil
}

func (d *Destination) save(next uint64) error {
	raw, err := json.Marshal(position{Next: next, At: time.Now().UTC()})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(d.position), 0o700); err != nil {
		return fmt.Errorf("destination %s: %w", d.name, err)
	}
	if err := durable.Write(d.position, raw, 0o600); err != nil {
		return fmt.Errorf("destination %s: %w", d.name, err)
	}
	return nil
}
