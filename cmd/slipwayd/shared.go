package main

import (
	"context"
	"errors"

	"slipway/audit"
	"slipway/lifecycle"
	"slipway/provider"
	"slipway/provider/partial"
	"slipway/repo"
	"slipway/zone"
)

// sharedZone is a provider of a zone that Slipway manages in part.
type sharedZone struct{ *partial.Provider }

// Unmanaged lists what others have in the zone.
func (s sharedZone) Unmanaged(ctx context.Context, z zone.Name) ([]provider.Unmanaged, error) {
	_, others, err := s.Look(ctx, z)
	return others, err
}

// shared shows of a provider's zone what is Slipway's: what t says of it, and what was applied last.
func (srv *server) shared(t *repo.Tree, whole provider.Provider) provider.Provider {
	return sharedZone{partial.New(whole, func(ctx context.Context, z zone.Name) (claims partial.Claims, err error) {
		if claims.Approved, err = said(ctx, t, z); err != nil {
			return claims, err
		}
		last, err := srv.record.Index().Events(ctx, audit.Query{Zone: string(z), Action: audit.ApplyZone, Newest: true, Limit: 1})
		if err != nil {
			return claims, err
		}
		claims.Applied = partial.Keys{}
		if len(last) == 0 {
			return claims, srv.ownProofs(ctx, z, claims.Applied)
		}
		d, err := lifecycle.Decode[lifecycle.ApplyDetails](last[0].Event)
		if err != nil {
			return claims, err
		}
		was, err := srv.zones.Tree(ctx, d.Commit)
		if err != nil {
			return claims, err
		}
		if claims.Applied, err = said(ctx, was, z); err != nil {
			return claims, err
		}
		return claims, srv.ownProofs(ctx, z, claims.Applied)
	})}
}

// maxProofs bounds the proofs of one zone that are looked through for those that are still there.
const maxProofs = 500

// ownProofs adds the records that Slipway has written to prove a name to an authority and has not taken out again. They
// never stand in the repository; other people's of the same kind stay theirs.
func (srv *server) ownProofs(ctx context.Context, z zone.Name, keys partial.Keys) error {
	latest := map[string]audit.Receipt{}
	for _, action := range []audit.Action{audit.WriteChallenge, audit.RemoveChallenge} {
		events, err := srv.record.Index().Events(ctx, audit.Query{Zone: string(z), Action: action, Newest: true, Limit: maxProofs})
		if err != nil {
			return err
		}
		for _, r := range events {
			if had, ok := latest[r.Event.Resource.Record]; !ok || had.Index < r.Index {
				latest[r.Event.Resource.Record] = r
			}
		}
	}
	for name, r := range latest {
		if r.Event.Action == audit.WriteChallenge {
			keys[zone.Key{Name: zone.Name(name), Type: "TXT"}] = struct{}{}
		}
	}
	return nil
}

// said names the record sets that a tree says of a zone.
func said(ctx context.Context, t *repo.Tree, z zone.Name) (partial.Keys, error) {
	sets, err := t.Served(ctx, z)
	if errors.Is(err, repo.ErrNotFound) {
		return partial.Keys{}, nil
	}
	return partial.KeysOf(sets), err
}
