package service

import (
	"context"

	"slipway/provider"
	"slipway/zone"
)

// Scoped implements provider.Scoper: the same provider for that part of each zone which is
// in the scope. Its journal is that of the whole, since one zone is changed by one apply at
// a time.
func (p Provider) Scoped(scope provider.Scope) provider.Provider {
	s := p.service
	s.shared = true
	read := s.Read
	s.Read = func(ctx context.Context, z zone.Name) (Zone, error) {
		whole, err := read(ctx, z)
		if err != nil {
			return nil, err
		}
		return within(whole, scope), nil
	}
	return New(s)
}

// Shared is a Zone that others write to at any time. WriteSets is Write on the condition
// that the record sets which it edits are as they were read, whatever else of the zone is
// another by now.
type Shared interface {
	WriteSets(ctx context.Context, parts [][]zone.Edit) (change string, err error)
}

// part is what is in scope of one version of a zone.
type part struct {
	Zone
	live   *provider.Live
	others []Unmanaged
}

func within(whole Zone, scope provider.Scope) *part {
	ours, others := scope(whole.Live().Sets)
	return &part{whole, whole.Live().Within(ours), append(others, whole.Unmanaged()...)}
}

func (p *part) Live() *provider.Live   { return p.live }
func (p *part) Unmanaged() []Unmanaged { return p.others }

func (p *part) Write(ctx context.Context, parts [][]zone.Edit) (string, error) {
	if shared, ok := p.Zone.(Shared); ok {
		return shared.WriteSets(ctx, parts)
	}
	return p.Zone.Write(ctx, parts)
}
