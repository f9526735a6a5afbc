package flow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"slipway/audit"
	"slipway/drift"
	"slipway/lifecycle"
	"slipway/provider"
	"slipway/repo"
	"slipway/zone"
)

// How a drift ended.
const (
	driftGone      = "gone"      // the zone is as approved again
	driftChanged   = "changed"   // it differs in another way now, which has its own event
	driftOverwrite = "overwrite" // a person decided that the approved content replaces it
)

// reports are the latest comparisons, by zone.
type reports struct {
	mu sync.Mutex // held for the length of a map operation
	by map[zone.Name]drift.Report
}

func newReports() *reports { return &reports{by: make(map[zone.Name]drift.Report)} }

func (r *reports) put(rep drift.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.by[rep.Zone] = rep
}

func (r *reports) all() map[zone.Name]drift.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.by)
}

// Drift compares zones with main now; none named means all. What differs, or differs no more, becomes
// an event. A zone with a merged change that is still on its way to the provider is left
// out: it differs because it is about to change.
func (s *Service) Drift(ctx context.Context, zones []zone.Name) ([]drift.Report, error) {
	main, err := s.main(ctx)
	if err != nil {
		return nil, explain("read the zones repository", err)
	}
	named := len(zones) > 0
	if !named {
		if zones, err = allZones(ctx, main); err != nil {
			return nil, explain("read the zones repository", err)
		}
	}
	var found []drift.Report
	var trouble zoneTrouble
	for _, z := range zones {
		rep, err := s.driftOf(ctx, main, z)
		switch {
		case err == nil && rep != nil:
			found = append(found, *rep)
		case err == nil:
		case named || ctx.Err() != nil:
			return nil, explain(fmt.Sprintf("compare the zone %s", z), err)
		default:
			trouble.add(z, err)
		}
	}
	trouble.tell(s, "zones could not be compared")
	return found, nil
}

// allZones lists the zones that main serves: those with a file, and those of the settings, which apps alone may fill.
func allZones(ctx context.Context, main *repo.Tree) ([]zone.Name, error) {
	names, err := main.ZoneNames(ctx)
	if err != nil {
		return nil, err
	}
	settings, err := main.Settings(ctx)
	if err != nil {
		return nil, err
	}
	all := slices.AppendSeq(slices.Clone(names), maps.Keys(settings.Zones))
	slices.Sort(all)
	return slices.Compact(all), nil
}

// zoneTrouble gathers what went wrong with zones, to be told in one line: a repository may have hundreds that no
// provider is set for.
type zoneTrouble struct {
	n     int
	first zone.Name
	err   error
}

func (t *zoneTrouble) add(z zone.Name, err error) {
	if t.n++; t.n == 1 {
		t.first, t.err = z, err
	}
}

func (t *zoneTrouble) tell(s *Service, what string) {
	if t.n > 0 {
		s.o.Logger.Warn(what, "count", t.n, "zone", t.first, "error", t.err)
	}
}

// driftOf compares one zone. nil: there is nothing to compare now.
func (s *Service) driftOf(ctx context.Context, main *repo.Tree, z zone.Name) (*drift.Report, error) {
	unlock, err := s.zones.take(ctx, string(z))
	if err != nil {
		return nil, err
	}
	defer unlock()
	p, err := s.provider(ctx, main, z)
	if err != nil {
		return nil, err
	}
	live, err := drift.Glance(ctx, p, z)
	if errors.Is(err, provider.ErrDamaged) {
		digest := "damaged"
		return &drift.Report{Zone: z, Commit: main.Commit(), Digest: digest, At: s.now()},
			s.recordDrift(ctx, z, lifecycle.DriftDetails{Digest: digest, Live: digest, Commit: main.Commit()}, nil)
	}
	if err != nil {
		return nil, err
	}
	if !live.Exists {
		if last, err := s.lastApplied(ctx, z); err != nil || last.commit == "" {
			return nil, err // never served yet
		}
	}
	// Only a zone that differs is worth the question whether it is about to change.
	same, err := s.scanner.Same(ctx, main, z, live)
	if err != nil {
		return nil, err
	}
	if !same {
		want, err := s.targetAt(ctx, main.Commit(), z)
		if err != nil {
			return nil, err
		}
		if !want.is(live) {
			if busy, err := s.onItsWay(ctx, z); err != nil || busy {
				return nil, err
			}
		}
	}
	return s.compare(ctx, main, z, p, live)
}

// compare compares one zone with a commit and records what differs, or no longer does.
func (s *Service) compare(ctx context.Context, approved *repo.Tree, z zone.Name, p provider.Provider, live *provider.Live) (*drift.Report, error) {
	rep, err := s.scanner.CompareLive(ctx, approved, z, p, live, drift.Circumstances{}, s.now())
	if err != nil {
		return nil, err
	}
	s.lastRun.put(*rep)
	if len(rep.Differences) == 0 {
		return rep, s.endDrift(ctx, z, system, "", lifecycle.DriftEndDetails{How: driftGone})
	}
	d := lifecycle.DriftDetails{Digest: rep.Digest, Live: live.Digest, Commit: rep.Commit, Serial: rep.Serial, Count: len(rep.Differences)}
	for _, x := range rep.Differences[:min(len(rep.Differences), lifecycle.MaxListed)] {
		d.Differences = append(d.Differences, lifecycle.Differs{Kind: string(x.Kind), Name: string(x.Name), Type: x.Type})
	}
	return rep, s.recordDrift(ctx, z, d, rep)
}

// openDrift is the drift of a zone that is on record and has not ended.
func (s *Service) openDrift(ctx context.Context, z zone.Name) (d lifecycle.DriftDetails, since string, open bool, err error) {
	found, ok, err := s.newest(ctx, audit.Query{Zone: string(z), Action: audit.DetectDrift})
	if err != nil || !ok {
		return d, "", false, err
	}
	ended, ok, err := s.newest(ctx, audit.Query{Zone: string(z), Action: audit.ResolveDrift})
	if err != nil || ok && ended.Index > found.Index {
		return d, ended.Event.EventID, false, err
	}
	d, err = lifecycle.Decode[lifecycle.DriftDetails](found.Event)
	return d, found.Event.EventID, err == nil, err
}

// recordDrift records a difference, once for as long as it stays the same.
func (s *Service) recordDrift(ctx context.Context, z zone.Name, d lifecycle.DriftDetails, rep *drift.Report) error {
	now, since, open, err := s.openDrift(ctx, z)
	if err != nil || open && now.Digest == d.Digest && now.Live == d.Live {
		return err
	}
	if open {
		if err := s.endDrift(ctx, z, system, "", lifecycle.DriftEndDetails{How: driftChanged}); err != nil {
			return err
		}
	}
	// A person has already decided on this very content, and nothing has been applied since.
	if ok, err := s.overwritable(ctx, z, d.Live); err != nil || ok && !open {
		return err
	}
	refs := make(map[string]string)
	if rep != nil {
		if refs["drift"], err = s.keep(ctx, "drift report", rep); err != nil {
			return err
		}
	}
	resource := audit.Resource{Zone: string(z)}
	if len(d.Differences) == 1 {
		resource.Record, resource.Type = d.Differences[0].Name, d.Differences[0].Type
	}
	raw, err := lifecycle.Encode(d)
	if err != nil {
		return err
	}
	_, err = s.o.Log.Append(ctx, audit.Event{
		Actor: system, Action: audit.DetectDrift, Timestamp: s.now(), Resource: resource, GitCommit: d.Commit, ArtifactRefs: refs, Details: raw,
		Once: fmt.Sprintf("drift/%s/%s/%s/%s", z, d.Digest, d.Live, since),
	})
	if err == nil {
		s.o.Logger.Warn("a live zone is not as approved", "zone", z, "differences", d.Count)
	}
	return err
}

// endDrift ends a zone's drift, if there is one on record.
func (s *Service) endDrift(ctx context.Context, z zone.Name, by audit.Actor, change string, end lifecycle.DriftEndDetails) error {
	d, since, open, err := s.openDrift(ctx, z)
	if err != nil || !open {
		return err
	}
	end.Digest, end.Live = d.Digest, d.Live
	raw, err := lifecycle.Encode(end)
	if err != nil {
		return err
	}
	_, err = s.o.Log.Append(ctx, audit.Event{
		Actor: by, Action: audit.ResolveDrift, Timestamp: s.now(), Resource: audit.Resource{Zone: string(z)}, GitCommit: d.Commit, Change: change, Details: raw,
		Once: "drift-end/" + since,
	})
	return err
}

// onItsWay reports whether a merged change has still to be applied to a zone.
func (s *Service) onItsWay(ctx context.Context, z zone.Name) (bool, error) {
	open, err := s.openChanges(ctx)
	if err != nil {
		return false, err
	}
	for _, st := range open {
		if st.Commit == "" {
			continue
		}
		pending, err := s.pendingZones(ctx, st)
		if err != nil || slices.Contains(pending, z) {
			return err == nil, err
		}
	}
	return false, nil
}

// LastDrift is what the latest comparisons of this server found; for zones that it has not
// compared since it started, what is on record.
func (s *Service) LastDrift(ctx context.Context) ([]drift.Report, error) {
	latest := s.lastRun.all()
	events, err := s.o.Log.Index().Events(ctx, audit.Query{Action: audit.DetectDrift, Newest: true})
	if err != nil {
		return nil, explain("read the record", err)
	}
	for _, r := range events {
		z := zone.Name(r.Event.Resource.Zone)
		if _, known := latest[z]; known {
			continue
		}
		d, _, open, err := s.openDrift(ctx, z)
		if err != nil {
			return nil, explain("read the record", err)
		}
		rep := drift.Report{Zone: z, Commit: d.Commit, Serial: d.Serial, At: r.Event.Timestamp}
		if open {
			rep.Digest, rep.Live = d.Digest, d.Live
			for _, x := range d.Differences {
				rep.Differences = append(rep.Differences, drift.Difference{Kind: drift.Kind(x.Kind), Zone: z, Name: zone.Name(x.Name), Type: x.Type})
			}
		}
		latest[z] = rep
	}
	return slices.SortedFunc(maps.Values(latest), func(a, b drift.Report) int { return cmp.Compare(a.Zone, b.Zone) }), nil
}

// driftInterval is how often to compare, from the settings in force.
func (s *Service) driftInterval(ctx context.Context) (time.Duration, error) {
	settings, err := s.settings(ctx)
	if err != nil {
		return 0, err
	}
	if d := settings.Drift.Interval; d > 0 {
		return d, nil
	}
	return 5 * time.Minute, nil
}

// serveFirst applies the zones that no provider has yet and that Slipway never applied: a new
// organisation's first zones are on main without having been a change.
func (s *Service) serveFirst(ctx context.Context) error {
	main, err := s.main(ctx)
	if err != nil {
		return err
	}
	names, err := allZones(ctx, main)
	if err != nil {
		return err
	}
	var trouble zoneTrouble
	for _, z := range names {
		if err := s.serveFirstZone(ctx, main, z); err != nil {
			if ctx.Err() != nil {
				return err
			}
			trouble.add(z, err)
		}
	}
	trouble.tell(s, "zones that are not served yet could not be applied")
	return nil
}

func (s *Service) serveFirstZone(ctx context.Context, main *repo.Tree, z zone.Name) error {
	unlock, err := s.zones.take(ctx, string(z))
	if err != nil {
		return err
	}
	defer unlock()
	if last, err := s.lastApplied(ctx, z); err != nil || last.commit != "" {
		return err
	}
	p, err := s.provider(ctx, main, z)
	if err != nil {
		return err
	}
	live, err := drift.Glance(ctx, p, z)
	if err != nil || !live.Empty() {
		return err
	}
	want, err := s.targetAt(ctx, main.Commit(), z)
	if err != nil {
		return err
	}
	receipt, err := p.Apply(ctx, provider.NewPlan(z, want.sets, live, "", main.Commit()))
	if err != nil {
		return err
	}
	refs := make(map[string]string)
	if refs["receipt"], err = s.keep(ctx, "receipt", receipt); err != nil {
		return err
	}
	raw, err := lifecycle.Encode(lifecycle.ApplyDetails{Receipt: *receipt, Commit: main.Commit()})
	if err != nil {
		return err
	}
	_, err = s.o.Log.Append(ctx, audit.Event{
		Actor: system, Action: audit.ApplyZone, Timestamp: s.now(), Resource: audit.Resource{Zone: string(z)}, GitCommit: main.Commit(),
		ArtifactRefs: refs, Details: raw, Once: "first/" + string(z),
	})
	return err
}
