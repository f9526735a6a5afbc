package main

import (
	"context"
	"fmt"
	"net"

	"slipway/drift"
	"slipway/repo"
	"slipway/zone"
)

// parent asks the zone above a zone what it says of it. One that is served here is asked at its own servers; others
// are found through the resolver that the server was told, and nobody is asked without one. An internal zone
// that is below none of ours has no parent that would know of it.
func (srv *server) parent(ctx context.Context, t *repo.Tree, z zone.Name) (*drift.Delegated, error) {
	settings, err := t.Settings(ctx)
	if err != nil {
		return nil, err
	}
	p := drift.Parents{Resolver: srv.settings.resolver}
	if p.Resolver != "" {
		if _, _, err := net.SplitHostPort(p.Resolver); err != nil {
			p.Resolver = net.JoinHostPort(p.Resolver, "53")
		}
	}
	var above drift.Above
	if name, ok := settings.ZoneOf(z.Parent()); ok && z != "." {
		above.Zone = name
		if above.Servers, err = srv.answering(ctx, t, name); err != nil {
			return nil, err
		}
		if len(above.Servers) == 0 {
			return nil, fmt.Errorf("zone %s has no server that could be asked about %s", name, z)
		}
	} else if settings.Zones[z].Visibility == "internal" {
		return nil, drift.ErrNoParent
	}
	return p.Look(ctx, z, above)
}
