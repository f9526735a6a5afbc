package zonefile

import (
	"context"
	"errors"
	"fmt"

	"slipway/provider"
	"slipway/zone"
)

// Scoped implements provider.Scoper. What is not in scope is read again under the zone's
// lock and written back with the rest, so that nobody who changes the file by this package
// meanwhile, in whatever process, loses anything by it.
func (p *Provider) Scoped(scope provider.Scope) provider.Provider { return &part{p, scope} }

type part struct {
	p     *Provider
	scope provider.Scope
}

// Read implements provider.Provider.
func (s *part) Read(ctx context.Context, z zone.Name) (*provider.Live, error) {
	live, err := s.p.Read(ctx, z)
	if err != nil {
		return nil, err
	}
	ours, _ := s.scope(live.Sets)
	return live.Within(ours), nil
}

// Apply implements provider.Provider.
func (s *part) Apply(ctx context.Context, plan provider.Plan) (*provider.Receipt, error) {
	var receipt *provider.Receipt
	err := s.p.locked(ctx, plan, func(now *content) error {
		if err := s.p.parse(now); err != nil {
			if errors.Is(err, provider.ErrDamaged) && plan.Expect == provider.ExpectAnything {
				return fmt.Errorf("zone %s was not replaced: others keep records in it, and what cannot be read cannot be kept; repair it by hand: %w", plan.Zone, err)
			}
			return err
		}
		full, narrow, err := provider.Widen(plan, s.p.live(now), s.scope)
		if err != nil {
			return err
		}
		all, err := s.p.apply(ctx, now, full)
		if err == nil {
			receipt = narrow(all)
		}
		return err
	})
	return receipt, err
}
