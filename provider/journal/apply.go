package journal

import (
	"context"
	"errors"
	"fmt"

	"slipway/provider"
	"slipway/zone"
)

// Server is what the zones lie on.
type Server interface {
	Read(ctx context.Context, z zone.Name) (*provider.Live, error)

	// Cut joins parts, in their order (see provider.Order), into steps that the server
	// makes each whole or not at all. A zone that is not there yet is made by the first
	// step; a server that cannot do that says so here.
	Cut(live *provider.Live, parts [][]zone.Edit) (steps [][]zone.Edit, err error)

	// Make makes one step of a zone and returns its serial then. It fails with
	// ErrConflict when live is not what the zone is now.
	Make(ctx context.Context, live *provider.Live, step []zone.Edit) (serial uint32, err error)
}

// ErrConflict: the zone was changed between being read and being changed.
var ErrConflict = errors.New("the zone was changed meanwhile")

// attempts is how often a step is tried when the zone changes in nothing but its serial,
// as one that is signed by its server does at any time.
const attempts = 4

// Apply implements provider.Provider for s.
func (j *Journal) Apply(ctx context.Context, plan provider.Plan, s Server) (*provider.Receipt, error) {
	if _, err := j.path(plan.Zone); err != nil {
		return nil, err
	}
	unlock, err := j.lock(ctx, plan.Zone)
	if err != nil {
		return nil, err
	}
	defer unlock()
	live, err := s.Read(ctx, plan.Zone)
	if err != nil {
		return nil, err
	}
	plan.Desired = live.WithTTLs(plan.Desired)
	if err := plan.Validate(); err != nil {
		return nil, err
	}
	last, err := j.last(plan.Zone)
	if err != nil {
		return nil, err
	}
	after := provider.Digest(plan.Desired)
	again := last.of(plan, after)
	if live.Exists && live.Digest == after {
		if again && !last.Done { // it happened, and nobody was told
			return j.finish(plan.Zone, last, live.Serial)
		}
		if again {
			return j.receipt(plan.Zone, last), nil
		}
		return j.unchanged(plan.Zone, live), nil
	}
	underWay := again && last.underWay(live.Digest)
	if plan.Expect != provider.ExpectAnything && plan.Expect != live.Digest && !underWay {
		return nil, &provider.DriftedError{Zone: plan.Zone, Expect: plan.Expect, Found: live.Digest}
	}
	steps, err := s.Cut(live, provider.Order(zone.Diff(plan.Zone, live.Sets, plan.Desired)))
	if err != nil {
		return nil, fmt.Errorf("zone %s was not changed: %w", plan.Zone, err)
	}
	if len(steps) == 0 {
		steps = [][]zone.Edit{nil} // a new zone without a record
	}
	digests := digestsOf(live.Sets, steps, after)
	r := record{Change: plan.ChangeID, Commit: plan.Commit, Before: live.Digest, After: after, SerialBefore: live.Serial, At: j.o.Now().UTC()}
	if underWay {
		r.Before, r.SerialBefore, r.At = last.Before, last.SerialBefore, last.At
	}
	// Where it was stays in, so that a kill between this and the first step changes nothing.
	if r.Steps = digests[:len(digests)-1]; underWay {
		r.Steps = append([]string{live.Digest}, r.Steps...)
	}
	if err := j.keep(plan.Zone, r); err != nil {
		return nil, err
	}
	for i, step := range steps {
		if live, err = j.make(ctx, s, live, step, digests[i]); err != nil {
			return nil, err
		}
	}
	// What the server says it did is one thing, what it serves is what counts.
	if live, err = s.Read(ctx, plan.Zone); err != nil {
		return nil, fmt.Errorf("zone %s was changed, but could not be read afterwards: %w", plan.Zone, err)
	}
	if live.Digest != after {
		return nil, &provider.DriftedError{Zone: plan.Zone, Expect: after, Found: live.Digest}
	}
	return j.finish(plan.Zone, r, live.Serial)
}

// make makes one step, and finds out what became of it when the server's answer does
// not say.
func (j *Journal) make(ctx context.Context, s Server, live *provider.Live, step []zone.Edit, after string) (*provider.Live, error) {
	for attempt := 1; ; attempt++ {
		serial, err := s.Make(ctx, live, step)
		if err == nil {
			next := *live
			next.Exists, next.Serial, next.Digest = true, serial, after
			return &next, nil
		}
		if ctx.Err() != nil { // nobody waits for an answer; the next run reads again
			return nil, fmt.Errorf("zone %s: %w", live.Zone, err)
		}
		now, readErr := s.Read(ctx, live.Zone)
		switch {
		case readErr != nil:
			return nil, fmt.Errorf("zone %s: %w", live.Zone, err)
		case now.Exists && now.Digest == after: // it timed out, but it happened
			return now, nil
		case now.Digest != live.Digest:
			return nil, &provider.DriftedError{Zone: live.Zone, Expect: live.Digest, Found: now.Digest}
		case !errors.Is(err, ErrConflict) || attempt == attempts:
			return nil, fmt.Errorf("zone %s was not changed: %w", live.Zone, err)
		}
		live = now
	}
}

func (j *Journal) finish(z zone.Name, r record, serial uint32) (*provider.Receipt, error) {
	r.Done, r.Serial, r.Steps = true, serial, nil
	if err := j.keep(z, r); err != nil {
		return nil, err
	}
	return j.receipt(z, r), nil
}

func (j *Journal) unchanged(z zone.Name, live *provider.Live) *provider.Receipt {
	return &provider.Receipt{
		Provider:       j.o.Name,
		Name:           j.o.Name,
		Zone:           z,
		ProviderChange: j.changeID(z, live.Serial),
		SerialBefore:   live.Serial,
		Serial:         live.Serial,
		Before:         live.Digest,
		After:          live.Digest,
		At:             j.o.Now().UTC(),
	}
}

// digestsOf returns the content digest after each step; that after the last is known.
func digestsOf(sets []zone.RRSet, steps [][]zone.Edit, after string) []string {
	out := make([]string, len(steps))
	out[len(out)-1] = after
	if len(steps) == 1 {
		return out
	}
	at := make(map[zone.Key]zone.RRSet, len(sets))
	for _, set := range sets {
		at[set.Key()] = set
	}
	for i, step := range steps[:len(steps)-1] {
		for _, e := range step {
			key := zone.Key{Name: e.Name, Type: e.Type}
			if e.After == nil {
				delete(at, key)
			} else {
				at[key] = *e.After
			}
		}
		now := make([]zone.RRSet, 0, len(at))
		for _, set := range at {
			now = append(now, set)
		}
		out[i] = provider.Digest(now)
	}
	return out
}
