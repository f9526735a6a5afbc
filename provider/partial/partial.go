// Package partial makes a provider of a zone that Slipway shares with others: operators at
// their consoles, external-dns, cert-manager. Of such a zone (`partial: true` in
// slipway.yaml) it shows the record sets that are Slipway's, and changes no other. Whose a
// set is stands in what was approved and what was applied before, which the caller
// knows, and in the records by which external-dns marks its own, which are in the zone.
// The package keeps nothing and opens no connection. Read this file first, then scope.go,
// which draws the line, externaldns.go, which reads those records, and merge.go, which is
// for providers that know only whole zones.
package partial

import (
	"context"
	"fmt"

	"slipway/provider"
	"slipway/zone"
)

// Keys name record sets.
type Keys map[zone.Key]struct{}

// KeysOf returns the keys of record sets.
func KeysOf(sets ...[]zone.RRSet) Keys {
	keys := make(Keys)
	for _, some := range sets {
		for i := range some {
			keys[some[i].Key()] = struct{}{}
		}
	}
	return keys
}

func (k Keys) has(key zone.Key) bool {
	_, ok := k[key]
	return ok
}

// Claims are what Slipway says is its own in one zone.
type Claims struct {
	Approved Keys // the commit in hand has them
	Applied  Keys // of the last commit that was applied: what is gone from Approved is to go from the zone
}

// Provider is a provider of partial zones. It implements provider.Provider,
// provider.Summariser and provider.Resumer, and is safe for concurrent use.
type Provider struct {
	whole  provider.Provider
	claims func(ctx context.Context, z zone.Name) (Claims, error)
}

// New makes a provider that shows what is claimed of the zones of whole. claims is asked each
// time, and must answer alike as long as nothing is approved or applied in between: a
// plan is bound to what was shown under it.
func New(whole provider.Provider, claims func(ctx context.Context, z zone.Name) (Claims, error)) *Provider {
	return &Provider{whole: whole, claims: claims}
}

// Read implements provider.Provider: the zone, with nothing in it but what is Slipway's.
func (p *Provider) Read(ctx context.Context, z zone.Name) (*provider.Live, error) {
	live, _, err := p.Look(ctx, z)
	return live, err
}

// Look is Read that also lists what else is in the zone, and why it is not Slipway's.
func (p *Provider) Look(ctx context.Context, z zone.Name) (*provider.Live, []provider.Unmanaged, error) {
	scope, err := p.scope(ctx, z, nil)
	if err != nil {
		return nil, nil, err
	}
	live, err := p.whole.Read(ctx, z)
	if err != nil {
		return nil, nil, err
	}
	ours, others := scope(live.Sets)
	return live.Within(ours), others, nil
}

// Summary implements provider.Summariser. A part has a digest only once the whole was read.
func (p *Provider) Summary(ctx context.Context, z zone.Name) (*provider.Live, error) {
	live, err := p.Read(ctx, z)
	if err != nil {
		return nil, err
	}
	live.Sets = nil
	return live, nil
}

// Apply implements provider.Provider: it makes Slipway's part of the zone equal to the plan's
// desired sets. What others do to their records meanwhile neither stops it nor is lost. A
// set that others have is not taken over: the apply is refused and says whose it is.
func (p *Provider) Apply(ctx context.Context, plan provider.Plan) (*provider.Receipt, error) {
	scope, err := p.scope(ctx, plan.Zone, plan.Desired)
	if err != nil {
		return nil, err
	}
	scoper, ok := p.whole.(provider.Scoper)
	if !ok {
		scoper = merger{p.whole}
	}
	return scoper.Scoped(scope).Apply(ctx, plan)
}

// Resumes implements provider.Resumer.
func (p *Provider) Resumes(plan provider.Plan, live, before *provider.Live) (bool, error) {
	scoper, ok := p.whole.(provider.Scoper)
	if !ok {
		scoper = merger{p.whole}
	}
	// What is shown of a zone to this question is a part already.
	if r, ok := scoper.Scoped(everything).(provider.Resumer); ok {
		return r.Resumes(plan, live, before)
	}
	return false, nil
}

func everything(sets []zone.RRSet) ([]zone.RRSet, []provider.Unmanaged) { return sets, nil }

func (p *Provider) scope(ctx context.Context, z zone.Name, desired []zone.RRSet) (provider.Scope, error) {
	claims, err := p.claims(ctx, z)
	if err != nil {
		return nil, fmt.Errorf("zone %s: which of its records are Slipway's: %w", z, err)
	}
	return Scope(claims, desired), nil
}
