package partial

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"slipway/provider"
	"slipway/provider/service"
	"slipway/zone"
)

// merger makes a provider.Scoper of a provider that knows only whole zones. What is not in
// scope is put into each plan as it was read, and the provider's own promise, to change
// nothing when the zone is another one by then, keeps it from being lost: the plan is made
// anew from what is live now.
type merger struct{ whole provider.Provider }

// Scoped implements provider.Scoper.
func (m merger) Scoped(scope provider.Scope) provider.Provider { return &merged{m.whole, scope} }

// An apply is tried again while others keep changing the zone.
const (
	tries     = 30
	firstWait = 2 * time.Millisecond
	maxWait   = time.Second
)

type merged struct {
	whole provider.Provider
	scope provider.Scope
}

func (m *merged) Read(ctx context.Context, z zone.Name) (*provider.Live, error) {
	live, err := m.whole.Read(ctx, z)
	if err != nil {
		return nil, err
	}
	ours, _ := m.scope(live.Sets)
	return live.Within(ours), nil
}

func (m *merged) Apply(ctx context.Context, plan provider.Plan) (*provider.Receipt, error) {
	for i, wait := 0, firstWait; i < tries; i, wait = i+1, min(2*wait, maxWait) {
		receipt, moved, err := m.apply(ctx, plan)
		if !moved {
			return receipt, err
		}
		if err := service.Pause(ctx, wait); err != nil {
			return nil, fmt.Errorf("zone %s: %w", plan.Zone, err)
		}
	}
	return nil, fmt.Errorf("zone %s was not changed: others changed it each of the %d times that this was tried; run it again when there is less going on", plan.Zone, tries)
}

// apply tries once. moved: the zone was changed by somebody between looking at it and
// applying, and nothing was done.
func (m *merged) apply(ctx context.Context, plan provider.Plan) (receipt *provider.Receipt, moved bool, err error) {
	if err := plan.Validate(); err != nil {
		return nil, false, err
	}
	whole, err := m.whole.Read(ctx, plan.Zone)
	if errors.Is(err, provider.ErrDamaged) && plan.Expect == provider.ExpectAnything {
		return nil, false, fmt.Errorf("zone %s was not replaced: others keep records in it, and what cannot be read cannot be kept; repair it by hand: %w", plan.Zone, err)
	}
	if err != nil {
		return nil, false, err
	}
	ours, others := m.scope(whole.Sets)
	shown := whole.Within(ours)
	plan.Desired = shown.WithTTLs(plan.Desired)
	before, after := shown.Digest, provider.Digest(plan.Desired)
	if plan.Expect != provider.ExpectAnything && plan.Expect != before && !(whole.Exists && before == after) {
		// An apply of this plan that stopped half-way goes on from there.
		base := plan.Base()
		if base == nil || !provider.Mixture(ours, base, plan.Desired) {
			return nil, false, &provider.DriftedError{Zone: plan.Zone, Expect: plan.Expect, Found: before}
		}
		before = plan.Expect
	}
	var come []zone.RRSet
	for _, e := range zone.Diff(plan.Zone, ours, plan.Desired) {
		if e.After != nil {
			come = append(come, *e.After)
		}
	}
	if err := provider.Blocked(come, others); err != nil {
		return nil, false, fmt.Errorf("zone %s was not changed: %w", plan.Zone, err)
	}
	mine := KeysOf(ours)
	rest := slices.DeleteFunc(slices.Clone(whole.Sets), func(set zone.RRSet) bool { return mine.has(set.Key()) })
	full := provider.NewPlan(plan.Zone, append(rest, plan.Desired...), whole, plan.ChangeID, plan.Commit)
	all, err := m.whole.Apply(ctx, full)
	if err != nil {
		return nil, errors.Is(err, provider.ErrDrifted), err
	}
	part := *all
	part.Before, part.After = after, after
	switch {
	case !all.Applied:
	case before == after && plan.Expect != provider.ExpectAnything:
		part.Before = plan.Expect // run again, after the same apply was killed when it was done
	default:
		part.Before = before
	}
	return &part, false, nil
}
