package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"slipway/audit"
	"slipway/drift"
	"slipway/lifecycle"
	"slipway/provider"
	"slipway/repo"
	"slipway/zone"
)

// This file puts zones back. What is put back has been decided before, on record: by a person (mend.go), or by
// the rule that the settings of the zone make. Whoever is killed between the decision and the apply leaves
// all that is needed to go on: the next start, and every pass after it, does.

// allowed is what lets a zone be put back without a person.
type allowed struct {
	rule   string // the setting, as it is written
	commit string // that it is in
}

// aDay is the time in which a rule may act only so often.
const aDay = 24 * time.Hour

// mayPutBack decides whether the settings allow what differs to be put back without a person. held says why
// they do not, where they allow it in other cases.
func (s *Service) mayPutBack(ctx context.Context, main *repo.Tree, rep *drift.Report) (may *allowed, held string, err error) {
	settings, err := main.Settings(ctx)
	if err != nil {
		return nil, "", err
	}
	of := settings.Zones[rep.Zone]
	if of.AutoRevert.Most == 0 || rep.Scope != drift.Content {
		return nil, "", nil
	}
	if n := len(rep.Differences); n > of.AutoRevert.Most {
		return nil, fmt.Sprintf("%d record sets differ, and the settings let at most %d be put back without a person. Decide whether to put the zone back, or to adopt what is live.", n, of.AutoRevert.Most), nil
	}
	if of.Partial {
		return nil, "The zone is managed in part, so nothing of it is put back without a person.", nil
	}
	for _, n := range rep.Notes {
		switch {
		case n.Kind == drift.Pending:
			return nil, "A change is on its way to the zone, so nothing is put back without a person.", nil
		case n.Kind == drift.Unmanaged && slices.ContainsFunc(rep.Differences, func(d drift.Difference) bool { return d.Name == n.Name }):
			return nil, fmt.Sprintf("There is something at %s that Slipway does not manage, so nothing is put back without a person.", n.Name.Unicode()), nil
		}
	}
	if slices.ContainsFunc(rep.Differences, func(d drift.Difference) bool { return d.Kind == drift.Damaged }) {
		return nil, "The zone cannot be read, so nothing is put back without a person.", nil
	}
	// Counted in the log, so that neither a restart nor a lost database gives the rule another try.
	ended, err := s.o.Log.Index().Events(ctx, audit.Query{Zone: string(rep.Zone), Action: audit.ResolveDrift, From: s.now().Add(-aDay), Newest: true})
	if err != nil {
		return nil, "", err
	}
	times := 0
	for _, r := range ended {
		d, err := lifecycle.Decode[lifecycle.DriftEndDetails](r.Event)
		if err != nil {
			return nil, "", err
		}
		if d.Rule != "" {
			times++
		}
	}
	if times >= of.AutoRevert.ADay {
		return nil, fmt.Sprintf("The zone was put back without a person %d times in 24 hours, as often as the settings allow. Somebody or something keeps changing it: find out who, then decide.", times), nil
	}
	if decided, err := s.overwritable(ctx, rep.Zone, rep.Live); err != nil || decided {
		return nil, "", err // gone on with elsewhere
	}
	return &allowed{
		rule:   fmt.Sprintf("zones: %s: auto-revert: {most: %d, a-day: %d}", rep.Zone, of.AutoRevert.Most, of.AutoRevert.ADay),
		commit: main.Commit(),
	}, "", nil
}

// putBackByRule puts a zone back as the settings allow. The caller holds the zone's lock.
func (s *Service) putBackByRule(ctx context.Context, main *repo.Tree, by *allowed, rep *drift.Report, p provider.Provider) (*drift.Report, error) {
	live, err := p.Read(ctx, rep.Zone)
	if err != nil {
		return nil, err
	}
	if live.Digest != rep.Live {
		return rep, nil // edited again just now; the next look decides on that
	}
	want, err := s.approvedOf(ctx, main, rep.Zone)
	if err != nil {
		return nil, err
	}
	end := lifecycle.DriftEndDetails{How: driftOverwrite, Rule: by.rule, Allowed: by.commit, Sets: len(rep.Differences)}
	if err := s.endDrift(ctx, rep.Zone, system, "", end); err != nil {
		return nil, err
	}
	if err := s.replace(ctx, rep.Zone, p, live, want); err != nil {
		return nil, fmt.Errorf("put zone %s back by rule: %w", rep.Zone, err)
	}
	s.o.Logger.Warn("a live zone was put back by rule", "zone", rep.Zone, "differences", len(rep.Differences), "rule", by.rule, "commit", by.commit)
	after := &drift.Report{Zone: rep.Zone, Commit: want.tree.Commit(), Serial: live.Serial, Differences: []drift.Difference{}, At: s.now()}
	for _, d := range rep.Differences {
		after.Notes = append(after.Notes, drift.Note{Kind: drift.Attention, Name: d.Name, Type: d.Type, Approved: d.Approved, Live: d.Live, Detail: "It was edited past Slipway, and has been put back by rule (" + by.rule + ")."})
	}
	s.lastRun.put(*after)
	return after, nil
}

// approvedOf is what a zone was approved and applied as last.
func (s *Service) approvedOf(ctx context.Context, main *repo.Tree, z zone.Name) (*target, error) {
	last, err := s.lastApplied(ctx, z)
	if err != nil {
		return nil, err
	}
	commit := main.Commit()
	if last.commit != "" {
		commit = last.commit
	}
	return s.targetAt(ctx, commit, z)
}

// replace makes a zone what was approved, as somebody has decided who is on record as having done so. It may be
// done again: the decision has one apply. The caller holds the zone's lock.
func (s *Service) replace(ctx context.Context, z zone.Name, p provider.Provider, live *provider.Live, want *target) error {
	decision, ok, err := s.newestDrift(ctx, subject{zone: z}, audit.ResolveDrift)
	if err != nil || !ok {
		return errors.Join(err, errors.New("nobody has decided that the zone is put back"))
	}
	refs := make(map[string]string)
	touched := make(map[zone.Name]bool)
	plan := provider.NewPlan(z, want.sets, live, "", want.tree.Commit())
	for _, e := range plan.Edits {
		touched[e.Name] = true
	}
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
	raw, err := lifecycle.Encode(lifecycle.ApplyDetails{Receipt: *receipt, Commit: want.tree.Commit(), Edits: len(plan.Edits)})
	if err != nil {
		return err
	}
	_, err = s.o.Log.Append(ctx, audit.Event{
		Actor: decision.Event.Actor, Action: audit.ApplyZone, Timestamp: s.now(), Resource: audit.Resource{Zone: string(z)}, GitCommit: want.tree.Commit(),
		ArtifactRefs: refs, Details: raw, Once: "put-back/" + decision.Event.EventID,
	})
	if err == nil {
		s.lastRun.put(drift.Report{Zone: z, Commit: want.tree.Commit(), Serial: receipt.Serial, At: s.now()})
	}
	return err
}

// resumeReverts goes on with every zone that was decided to be put back and has not been applied since.
func (s *Service) resumeReverts(ctx context.Context) error {
	q := audit.Query{Action: audit.ResolveDrift, Newest: true}
	seen := make(map[zone.Name]bool)
	var trouble zoneTrouble
	for {
		page, err := s.o.Log.Index().Events(ctx, q)
		if err != nil {
			return err
		}
		for _, r := range page {
			z := zone.Name(r.Event.Resource.Zone)
			d, err := lifecycle.Decode[lifecycle.DriftEndDetails](r.Event)
			if err != nil || d.Scope != string(drift.Content) || seen[z] {
				continue
			}
			seen[z] = true
			if d.How != driftOverwrite || r.Event.Change != "" { // the change goes on with it
				continue
			}
			if err := s.resumeRevert(ctx, z, d); err != nil {
				if ctx.Err() != nil {
					return err
				}
				trouble.add(z, err)
			}
		}
		if len(page) < 1000 {
			break
		}
		q.Next(page[len(page)-1])
	}
	trouble.tell(s, "zones that are to be put back could not be")
	return nil
}

// resumeRevert goes on with one zone, if what is live is what the decision was about, or what putting it back
// has left half-way. Anything else is somebody's newer edit, and drift of its own.
func (s *Service) resumeRevert(ctx context.Context, z zone.Name, decided lifecycle.DriftEndDetails) error {
	unlock, err := s.zones.take(ctx, string(z))
	if err != nil {
		return err
	}
	defer unlock()
	if open, err := s.overwritable(ctx, z, decided.Live); err != nil || !open {
		return err
	}
	main, err := s.main(ctx)
	if err != nil {
		return err
	}
	if busy, err := s.onItsWay(ctx, z); err != nil || busy {
		return err // its apply finds the decision
	}
	p, err := s.provider(ctx, main, z)
	if err != nil {
		return err
	}
	live, err := p.Read(ctx, z)
	if err != nil {
		return err
	}
	want, err := s.approvedOf(ctx, main, z)
	if err != nil {
		return err
	}
	if live.Digest != decided.Live && !want.is(live) {
		half, err := s.halfBack(ctx, z, p, live, want, decided)
		if err != nil || !half {
			return err
		}
	}
	s.o.Logger.Info("putting back a zone as was decided before", "zone", z)
	return s.replace(ctx, z, p, live, want)
}

// halfBack reports whether a zone is between what was live when it was decided on and what was approved.
func (s *Service) halfBack(ctx context.Context, z zone.Name, p provider.Provider, live *provider.Live, want *target, decided lifecycle.DriftEndDetails) (bool, error) {
	r, ok := p.(provider.Resumer)
	if !ok {
		return false, nil
	}
	found, ok, err := s.newestDrift(ctx, subject{zone: z}, audit.DetectDrift)
	if err != nil || !ok {
		return false, err
	}
	raw, err := s.o.Log.Documents().Get(ctx, found.Event.ArtifactRefs["drift"])
	if err != nil {
		return false, nil // erased: a person looks at it again
	}
	var rep drift.Report
	if err := json.Unmarshal(raw, &rep); err != nil || rep.Digest != decided.Digest {
		return false, nil
	}
	before := &provider.Live{Zone: z, Exists: true, Sets: slices.Clone(live.WithTTLs(want.sets))}
	for _, d := range rep.Differences {
		key := zone.Key{Name: d.Name, Type: d.Type}
		before.Sets = slices.DeleteFunc(before.Sets, func(set zone.RRSet) bool { return set.Key() == key })
		if d.Live != nil {
			before.Sets = append(before.Sets, *d.Live)
		}
	}
	return r.Resumes(provider.NewPlan(z, want.sets, live, "", want.tree.Commit()), live, before)
}

func (a *acts) ResumeReverts(ctx context.Context) error {
	return a.chore(ctx, "the zones that are to be put back could not be looked up", a.s.resumeReverts)
}
