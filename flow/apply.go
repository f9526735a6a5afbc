package flow

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"slipway/audit"
	"slipway/lifecycle"
	"slipway/provider"
	"slipway/repo"
	"slipway/zone"
)

const (
	maxSnapshot  = 5_000 // record sets of a zone that is kept whole at each apply; of a larger one only what changes
	maxRecord    = 4096  // bytes of a record set's values in an event; a longer one is named by digest
	appendAtOnce = 32    // events of one apply on their way together
	zonesAtOnce  = 8     // zones whose servers are asked together
)

// pendingZones lists the zones of a merged change that have no receipt yet.
func (s *Service) pendingZones(ctx context.Context, st lifecycle.State) ([]zone.Name, error) {
	p, err := s.committed(ctx, st)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(p.change.Zones(), func(z zone.Name) bool {
		return slices.ContainsFunc(st.Receipts, func(r provider.Receipt) bool { return r.Zone == z })
	}), nil
}

// apply brings one zone of a merged change to its provider.
func (s *Service) apply(ctx context.Context, id string, z zone.Name) error {
	unlock, err := s.zones.take(ctx, string(z))
	if err != nil {
		return err
	}
	defer unlock()
	st, err := s.load(ctx, id)
	if err != nil || st.Next(s.now()).Do != lifecycle.DoApply && !slices.Contains(st.Waits(), string(z)) {
		return err
	}
	if pending, err := s.pendingZones(ctx, st); err != nil || !slices.Contains(pending, z) {
		return err
	}
	return s.step(ctx, id, "apply", func() error { return s.applyZone(ctx, st, z) })
}

// target is what a zone is to be: the record sets of one commit of main.
type target struct {
	tree *repo.Tree
	sets []zone.RRSet
}

func (s *Service) targetAt(ctx context.Context, commit string, z zone.Name) (*target, error) {
	tree, err := s.o.Repo.Tree(ctx, commit)
	if err != nil {
		return nil, err
	}
	sets, err := tree.Served(ctx, z)
	if errors.Is(err, repo.ErrNotFound) {
		sets, err = nil, nil // the zone was removed: nothing is served
	}
	return &target{tree, sets}, err
}

// names returns the tree whose settings name the provider of a zone that is to be t.
func (p *proposal) names(ctx context.Context, z zone.Name, t *target) (*repo.Tree, error) {
	home, err := p.home(ctx, z)
	if err != nil || home != p.base {
		return t.tree, err
	}
	return home, nil // the change takes the zone away
}

// is reports whether the live zone is just this.
func (t *target) is(live *provider.Live) bool {
	return live.Exists && provider.Digest(live.WithTTLs(t.sets)) == live.Digest
}

// applyZone makes a zone what the change's commit says, or leaves it when a later commit has been
// applied: a zone never goes back. The caller holds the zone's lock.
func (s *Service) applyZone(ctx context.Context, st lifecycle.State, z zone.Name) error {
	committed, err := s.committed(ctx, st)
	if err != nil {
		return err
	}
	last, err := s.lastApplied(ctx, z)
	if err != nil {
		return err
	}
	commit, err := s.later(ctx, st.Commit, last.commit)
	if err != nil {
		return err
	}
	want, err := s.targetAt(ctx, commit, z)
	if err != nil {
		return err
	}
	named, err := committed.names(ctx, z, want)
	if err != nil {
		return err
	}
	p, err := s.provider(ctx, named, z)
	if err != nil {
		return err
	}
	live, err := p.Read(ctx, z)
	if errors.Is(err, provider.ErrDamaged) {
		return s.damaged(ctx, st, z, p, want, err)
	}
	if err != nil {
		return err
	}
	plan := provider.NewPlan(z, want.sets, live, st.ID, commit)
	resumed := false
	if !want.is(live) {
		expected, err := s.expected(ctx, st, z, live, last)
		if err != nil {
			return err
		}
		if !expected {
			if resumed, err = s.resumes(ctx, st, p, plan, live, last); err != nil {
				return err
			}
			expected = resumed
		}
		if !expected {
			if err := s.drifted(ctx, want.tree, z, p, live); err != nil {
				return err
			}
		}
		if held, err := s.held(ctx, st, committed, plan, live, resumed); err != nil || held {
			return err
		}
	}
	if err := s.applyPlan(ctx, st, committed, p, plan, live); err != nil {
		return err
	}
	return s.lookAgain(ctx, z, st.ID)
}

// applyPlan applies and records: the documents first, then the record sets, then the receipt that ends it.
func (s *Service) applyPlan(ctx context.Context, st lifecycle.State, committed *proposal, p provider.Provider, plan provider.Plan, live *provider.Live) error {
	z := plan.Zone
	var edits []zone.Edit
	touched := make(map[zone.Name]bool)
	for _, e := range committed.change.Edits {
		if e.Zone == z {
			touched[e.Name] = true
			if plan.Commit == st.Commit || inEffect(e, plan, live) {
				edits = append(edits, e)
			}
		}
	}
	refs := make(map[string]string)
	var err error
	if refs["zone-before"], err = s.snapshot(ctx, z, live.Sets, touched); err != nil {
		return err
	}
	if refs["zone-after"], err = s.snapshot(ctx, z, plan.Desired, touched); err != nil {
		return err
	}
	receipt, err := p.Apply(ctx, plan)
	if err != nil {
		return err
	}
	if refs["receipt"], err = s.keep(ctx, "receipt", receipt); err != nil {
		return err
	}
	if err := s.recordEdits(ctx, st, edits); err != nil {
		return err
	}
	_, err = s.record(ctx, st, audit.Event{
		Action: audit.ApplyZone, Resource: audit.Resource{Zone: string(z)}, ArtifactRefs: refs,
		Once: st.ID + "/apply/" + string(z),
	}, lifecycle.ApplyDetails{Receipt: *receipt, Commit: plan.Commit, Edits: len(edits)})
	return err
}

// inEffect reports whether what a change says of a record set is what a plan for a later commit makes
// of it. What a later change has taken back before it was ever made did not happen.
func inEffect(e zone.Edit, plan provider.Plan, live *provider.Live) bool {
	for i := range plan.Desired {
		if set := &plan.Desired[i]; set.Name == e.Name && set.Type == e.Type {
			return sameSet(asServed(live, e.After), set)
		}
	}
	return e.After == nil
}

// applied is the last apply of a zone, by any change.
type applied struct {
	commit string // "" when there is none
	after  string // content digest
}

func (s *Service) lastApplied(ctx context.Context, z zone.Name) (applied, error) {
	e, ok, err := s.newest(ctx, audit.Query{Zone: string(z), Action: audit.ApplyZone})
	if err != nil || !ok {
		return applied{}, err
	}
	d, err := lifecycle.Decode[lifecycle.ApplyDetails](e.Event)
	return applied{d.Commit, d.Receipt.After}, err
}

func (s *Service) newest(ctx context.Context, q audit.Query) (audit.Receipt, bool, error) {
	q.Newest, q.Limit = true, 1
	found, err := s.o.Log.Index().Events(ctx, q)
	if err != nil || len(found) == 0 {
		return audit.Receipt{}, false, err
	}
	return found[0], true, nil
}

// later is the later of two commits of main.
func (s *Service) later(ctx context.Context, commit, other string) (string, error) {
	if other == "" || other == commit {
		return commit, nil
	}
	base, err := s.o.Repo.MergeBase(ctx, commit, other)
	if err != nil {
		return "", err
	}
	if base == commit {
		return other, nil
	}
	return commit, nil
}

// expected reports whether the live zone is as Slipway left it, so that applying undoes nobody's work.
func (s *Service) expected(ctx context.Context, st lifecycle.State, z zone.Name, live *provider.Live, last applied) (bool, error) {
	switch {
	case last.commit == "" && live.Empty(), live.Digest == last.after:
		return true, nil
	}
	if last.commit == "" {
		// Never applied by Slipway, yet there: fine if it is what the repository said before this change.
		before, err := s.targetAt(ctx, st.Base, z)
		if err != nil || before.is(live) {
			return err == nil, err
		}
	}
	if ok, err := s.overwritable(ctx, z, live.Digest); err != nil || ok {
		return ok, err
	}
	// Killed between an apply and its event, the zone may be what another merged change asks for.
	open, err := s.openChanges(ctx)
	if err != nil {
		return false, err
	}
	for _, o := range open {
		if o.Commit == "" {
			continue
		}
		t, err := s.targetAt(ctx, o.Commit, z)
		if err != nil || t.is(live) {
			return err == nil, err
		}
	}
	return false, nil
}

// resumes reports whether the live zone is what an apply of this very plan has left half-way.
func (s *Service) resumes(ctx context.Context, st lifecycle.State, p provider.Provider, plan provider.Plan, live *provider.Live, last applied) (bool, error) {
	r, ok := p.(provider.Resumer)
	if !ok {
		return false, nil
	}
	before := &provider.Live{Zone: plan.Zone}
	was := last.commit
	if was == "" && len(live.Parts) > 0 {
		was = st.Base // one provider had the zone before Slipway came, and another has joined it
	}
	if was != "" {
		t, err := s.targetAt(ctx, was, plan.Zone)
		if err != nil {
			return false, err
		}
		before.Sets = t.sets
	}
	return r.Resumes(plan, live, before)
}

// overwritable reports whether a person or a rule has decided that this very live content is to be replaced. That
// holds for one apply: the same edit made again is drift again.
func (s *Service) overwritable(ctx context.Context, z zone.Name, live string) (bool, error) {
	e, ok, err := s.newestDrift(ctx, subject{zone: z}, audit.ResolveDrift)
	if err != nil || !ok {
		return false, err
	}
	last, ok, err := s.newest(ctx, audit.Query{Zone: string(z), Action: audit.ApplyZone})
	if err != nil || ok && last.Index > e.Index {
		return false, err
	}
	d, err := lifecycle.Decode[lifecycle.DriftEndDetails](e.Event)
	return d.How == driftOverwrite && d.Live == live, err
}

// drifted records what somebody changed by hand, and says what to do. nil: nothing that matters differs.
func (s *Service) drifted(ctx context.Context, main *repo.Tree, z zone.Name, p provider.Provider, live *provider.Live) error {
	last, err := s.lastApplied(ctx, z)
	if err != nil {
		return err
	}
	if last.commit != "" {
		if main, err = s.o.Repo.Tree(ctx, last.commit); err != nil {
			return err
		}
	}
	rep, err := s.compare(ctx, main, z, p, live)
	if err != nil || len(rep.Differences) == 0 {
		return err
	}
	return &stuckError{fmt.Sprintf("The zone %s was changed by hand, outside of Slipway, and applying this change would undo that. "+
		"Undo the edit by hand and Slipway goes on by itself; or, if nobody needs the edit, press “try again” (slipway request retry): "+
		"the zone is then made what the repository says.", z)}
}

// damaged is drifted for a zone that cannot be read at all.
func (s *Service) damaged(ctx context.Context, st lifecycle.State, z zone.Name, p provider.Provider, want *target, cause error) error {
	sum := sha256.Sum256([]byte(cause.Error()))
	digest := "damaged:" + hex.EncodeToString(sum[:])
	if ok, err := s.overwritable(ctx, z, digest); err != nil || ok {
		if err != nil {
			return err
		}
		committed, err := s.committed(ctx, st)
		if err != nil {
			return err
		}
		plan := provider.NewPlan(z, want.sets, nil, st.ID, want.tree.Commit())
		plan.Expect = provider.ExpectAnything
		return s.applyPlan(ctx, st, committed, p, plan, &provider.Live{Zone: z})
	}
	if err := s.recordDrift(ctx, z, lifecycle.DriftDetails{Digest: digest, Live: digest, Commit: want.tree.Commit()}, nil); err != nil {
		return err
	}
	return &stuckError{fmt.Sprintf("What is live of the zone %s cannot be read: %s. Repair it by hand and Slipway goes on by itself; or press “try again” "+
		"(slipway request retry): the zone is then made what the repository says.", z, short(cause.Error(), 500))}
}

// snapshot keeps a zone's content as a document. Of a large zone it holds what the change touches, so
// that evidence costs what the change costs; the rest is in the repository at the commit.
func (s *Service) snapshot(ctx context.Context, z zone.Name, sets []zone.RRSet, touched map[zone.Name]bool) (string, error) {
	var buf bytes.Buffer
	if len(sets) > maxSnapshot {
		fmt.Fprintf(&buf, "; The names that this change touches, of %d record sets.\n", len(sets))
		sets = slices.DeleteFunc(slices.Clone(sets), func(r zone.RRSet) bool { return !touched[r.Name] })
	}
	for _, set := range sets {
		for _, v := range set.Values {
			fmt.Fprintf(&buf, "%s %d IN %s %s\n", set.Name.FQDN(), max(set.TTL, 0), set.Type, v)
		}
	}
	digest, err := s.o.Log.Documents().Put(ctx, buf.Bytes())
	if err != nil {
		return "", fmt.Errorf("snapshot of zone %s: %w", z, err)
	}
	return digest, nil
}

var recordActions = map[zone.Op]audit.Action{
	zone.Create: audit.CreateDNSRecord, zone.Update: audit.UpdateDNSRecord, zone.Delete: audit.DeleteDNSRecord,
}

// recordEdits records each record set of the change in one zone.
func (s *Service) recordEdits(ctx context.Context, st lifecycle.State, edits []zone.Edit) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(appendAtOnce)
	for _, e := range edits {
		g.Go(func() error {
			app, _ := strings.CutPrefix(e.Place.Path, repo.AppsDirectory+"/")
			if app == e.Place.Path {
				app = ""
			}
			_, err := s.record(ctx, st, audit.Event{
				Action:       recordActions[e.Op],
				Resource:     audit.Resource{Zone: string(e.Zone), Record: string(e.Name), Type: e.Type, App: strings.TrimSuffix(app, ".yaml")},
				ArtifactRefs: st.Artifacts,
				Once:         fmt.Sprintf("%s/record/%s/%s/%s", st.ID, e.Zone, e.Name, e.Type),
			}, lifecycle.RecordDetails{Before: recordOf(e.Before), After: recordOf(e.After)})
			return err
		})
	}
	return g.Wait()
}

func recordOf(set *zone.RRSet) *lifecycle.Record {
	if set == nil {
		return nil
	}
	size := 0
	for _, v := range set.Values {
		size += len(v)
	}
	if size > maxRecord {
		return &lifecycle.Record{TTL: set.TTL, Digest: provider.Digest([]zone.RRSet{*set})}
	}
	return &lifecycle.Record{TTL: set.TTL, Values: set.Values}
}
