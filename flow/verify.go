package flow

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"slipway/audit"
	"slipway/lifecycle"
	"slipway/repo"
	"slipway/zone"
)

// verifyFor bounds one round of asking the servers; after it the step fails and is tried again.
const verifyFor = 30 * time.Second

// finish sees the change answered by the name servers, and only then says that it is live.
func (s *Service) finish(ctx context.Context, id string) error {
	st, err := s.load(ctx, id)
	if err != nil || st.Next(s.now()).Do != lifecycle.DoVerify {
		return err
	}
	var details lifecycle.LiveDetails
	err = s.step(ctx, id, "verify", func() error {
		zones, err := s.wanted(ctx, st)
		if err != nil {
			return err
		}
		details = lifecycle.LiveDetails{}
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(zonesAtOnce)
		for _, w := range zones {
			details.Verified, details.Gone = details.Verified+len(w.sets), details.Gone+len(w.gone)
			g.Go(func() error {
				ctx, cancel := context.WithTimeout(ctx, verifyFor)
				defer cancel()
				return s.o.Verify(ctx, w.named, w.zone, w.sets, w.gone)
			})
		}
		return g.Wait()
	})
	if err != nil {
		return err
	}
	return s.step(ctx, id, "live", func() error {
		refs := st.Artifacts
		if len(st.Receipts) == 1 {
			receipt, err := s.keep(ctx, "receipt", st.Receipts[0])
			if err != nil {
				return err
			}
			refs = withRef(refs, "receipt", receipt)
		}
		_, err := s.record(ctx, st, audit.Event{
			Action: audit.GoLive, ArtifactRefs: refs, Resource: audit.Resource{Zone: only(st.Zones)},
			Once: id + "/live",
		}, details)
		return err
	})
}

// wanted is what the servers of one zone must answer.
type wanted struct {
	named *repo.Tree // whose settings name the zone's provider
	zone  zone.Name
	sets  []zone.RRSet
	gone  []zone.Key
}

// wanted is what the servers must answer for the names of a change: what was last applied to
// their zones, which is this change or one that came after it.
func (s *Service) wanted(ctx context.Context, st lifecycle.State) ([]wanted, error) {
	p, err := s.committed(ctx, st)
	if err != nil {
		return nil, err
	}
	var out []wanted
	for _, z := range p.change.Zones() {
		last, err := s.lastApplied(ctx, z)
		if err != nil {
			return nil, err
		}
		commit, err := s.later(ctx, st.Commit, last.commit)
		if err != nil {
			return nil, err
		}
		t, err := s.targetAt(ctx, commit, z)
		if err != nil {
			return nil, err
		}
		w := wanted{zone: z}
		if w.named, err = p.names(ctx, z, t); err != nil {
			return nil, err
		}
		served := make(map[zone.Key]zone.RRSet, len(t.sets))
		for _, set := range t.sets {
			served[set.Key()] = set
		}
		for _, e := range p.change.Edits {
			key := zone.Key{Name: e.Name, Type: e.Type}
			if set, ok := served[key]; ok && e.Zone == z {
				w.sets = append(w.sets, set)
			} else if e.Zone == z {
				w.gone = append(w.gone, key)
			}
		}
		if len(w.sets)+len(w.gone) > 0 {
			out = append(out, w)
		}
	}
	return out, nil
}
