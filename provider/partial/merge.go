package partial

import (
	"context"
	"errors"
	"fmt"
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
	full, narrow, err := provider.Widen(plan, whole, m.scope)
	if err != nil {
		return nil, false, err
	}
	all, err := m.whole.Apply(ctx, full)
	if err != nil {
		return nil, errors.Is(err, provider.ErrDrifted), err
	}
	return narrow(all), false, nil
}
