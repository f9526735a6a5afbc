package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// Guard puts on record that something which guards the record or takes it elsewhere (a
// mirror, a witness, a SIEM) does not do its work, and that it does so again: each once
// for one outage, also across restarts. An outage shorter than Grace is nobody's business.
// It is safe for concurrent use.
type Guard struct {
	Log   *Log
	Kind  string        // what it is, as slipway.yaml calls it: "mirrors", "witnesses", "forward"
	Name  string        // which one of them
	Grace time.Duration // default five minutes; negative: an outage is told at once
	Now   func() time.Time

	mu     sync.Mutex // held while a report is made
	known  bool       // warned was read from the log
	warned bool       // the newest event about this guard is a warning
	since  time.Time  // when the outage began; zero: none
}

const (
	defaultGrace = 5 * time.Minute
	maxProblem   = 500 // bytes of a problem in an event
)

// GuardDetails goes with warn-record and recover-record.
type GuardDetails struct {
	Guard   string    `json:"guard"`
	Name    string    `json:"name"`
	Problem string    `json:"problem,omitempty"` // for people
	Since   time.Time `json:"since,omitzero"`
}

// Report says how the last attempt went: nil when it did its work.
func (g *Guard) Report(ctx context.Context, problem error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.recall(ctx); err != nil {
		return err
	}
	now := time.Now
	if g.Now != nil {
		now = g.Now
	}
	grace := g.Grace
	if grace == 0 {
		grace = defaultGrace
	}
	switch {
	case problem == nil && !g.warned:
		g.since = time.Time{}
		return nil
	case problem == nil:
		if err := g.append(ctx, RecoverRecord, GuardDetails{Since: g.since}); err != nil {
			return err
		}
		g.warned, g.since = false, time.Time{}
		return nil
	case g.since.IsZero():
		g.since = now()
	}
	if g.warned || now().Sub(g.since) < grace {
		return nil
	}
	text := problem.Error()
	if len(text) > maxProblem {
		text = text[:maxProblem] + "…"
	}
	if err := g.append(ctx, WarnRecord, GuardDetails{Problem: text, Since: g.since}); err != nil {
		return err
	}
	g.warned = true
	return nil
}

func (g *Guard) append(ctx context.Context, action Action, d GuardDetails) error {
	d.Guard, d.Name, d.Since = g.Kind, g.Name, d.Since.UTC().Truncate(time.Millisecond)
	raw, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = g.Log.Append(ctx, Event{
		Actor: Actor{ID: "slipway", Role: "system"}, Action: action, Resource: Resource{Name: g.resource()}, Details: raw,
		Once: fmt.Sprintf("%s/%s/%d", action, g.resource(), d.Since.UnixMilli()),
	})
	return err
}

func (g *Guard) resource() string { return g.Kind + "/" + g.Name }

// recall finds out from the log whether this guard was warned of before a restart.
func (g *Guard) recall(ctx context.Context) error {
	if g.known {
		return nil
	}
	warned, index, err := g.newest(ctx, WarnRecord)
	if err != nil {
		return err
	}
	recovered, after, err := g.newest(ctx, RecoverRecord)
	if err != nil {
		return err
	}
	g.known = true
	if warned != nil && (recovered == nil || index > after) {
		g.warned, g.since = true, warned.Since
	}
	return nil
}

func (g *Guard) newest(ctx context.Context, action Action) (*GuardDetails, uint64, error) {
	q := Query{Action: action, Newest: true}
	for {
		events, err := g.Log.Index().Events(ctx, q)
		if err != nil || len(events) == 0 {
			return nil, 0, err
		}
		for _, r := range events {
			if r.Event.Resource.Name != g.resource() {
				continue
			}
			var d GuardDetails
			return &d, r.Index, json.Unmarshal(r.Event.Details, &d)
		}
		q.Next(events[len(events)-1])
	}
}
