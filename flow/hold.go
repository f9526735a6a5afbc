package flow

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/approval"
	"slipway/audit"
	"slipway/check/risk"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/provider"
	"slipway/repo"
	"slipway/zone"
)

// This file is about an apply that would take more of a zone than its settings allow without a person
// looking: it stops, says so, and is made when somebody who may has released just that plan.

// heldPlan is the document "plan" of a held apply: all that a person decides on.
type heldPlan struct {
	provider.Plan
	Digest string          `json:"digest"`
	Counts provider.Counts `json:"counts"`
	Why    string          `json:"why"`
}

// maxHolds bounds the times that the applies of one change are held: a zone that is another one each
// time is a matter for who runs it.
const maxHolds = 100

// held stops the apply of a plan that exceeds the zone's limits, unless a person has looked at it. resumed:
// the provider knows the plan as begun. The caller holds the zone's lock.
func (s *Service) held(ctx context.Context, st lifecycle.State, committed *proposal, plan provider.Plan, live *provider.Live, resumed bool) (bool, error) {
	// The limits in force before the change: none raises its own.
	inForce, err := committed.base.Settings(ctx)
	if err != nil {
		return false, err
	}
	limits := provider.Limits(inForce.Limits(plan.Zone))
	why, exceeds := plan.Exceeds(limits)
	if !exceeds {
		return false, nil
	}
	hold, stopped := st.Hold(string(plan.Zone))
	if stopped && hold.Release != nil {
		if ok, err := s.releases(ctx, hold, plan, resumed); err != nil || ok {
			return false, err
		}
	}
	now, err := s.settings(ctx)
	if err != nil {
		return false, err
	}
	groups := releasers(now)
	if ok, err := s.approvedInView(ctx, st, committed, plan, live, groups, resumed); err != nil || ok {
		return false, err
	}
	s.relooks.note(st.ID, s.now())
	if stopped && hold.Release == nil && hold.Plan == plan.Digest() && st.Phase != lifecycle.Failed {
		return true, nil // it waits already
	}
	return true, s.recordHold(ctx, st, plan, limits, why, groups, hold.EventID)
}

// releasers are the groups whose members may release an apply.
func releasers(settings *repo.Settings) []string {
	r := settings.Approvals[lifecycle.ReleaseRule]
	return slices.Concat(r.AnyOf, r.AllOf)
}

func (s *Service) recordHold(ctx context.Context, st lifecycle.State, plan provider.Plan, limits provider.Limits, why string, groups []string, before string) error {
	counts := plan.Counts()
	holds, err := s.o.Log.Index().Events(ctx, audit.Query{Change: st.ID, Action: audit.HoldApply, Limit: maxHolds})
	if err != nil {
		return err
	}
	if len(holds) >= maxHolds {
		return &stuckError{fmt.Sprintf("The zone %s was another one each of the %d times that this change was about to be applied, and each time it would have taken too much of it. "+
			"Find out who keeps changing the zone, then ask for the change anew.", plan.Zone, maxHolds)}
	}
	document, err := s.keep(ctx, "plan", heldPlan{plan, plan.Digest(), counts, why})
	if err != nil {
		return err
	}
	var exceeded []string
	for _, l := range []struct {
		what     string
		n, limit int
	}{{"deletes", counts.Deletes, limits.Deletes}, {"updates", counts.Updates, limits.Updates}} {
		if l.limit > 0 && l.n*100 > l.limit*counts.Live {
			exceeded = append(exceeded, fmt.Sprintf("%d%% %s", l.limit, l.what))
		}
	}
	_, err = s.record(ctx, st, audit.Event{
		Action: audit.HoldApply, Resource: audit.Resource{Zone: string(plan.Zone)}, GitCommit: plan.Commit,
		ArtifactRefs: map[string]string{"plan": document},
		// After the hold before it: the same plan may come back once another one was seen.
		Once: fmt.Sprintf("%s/hold/%s/%s/%s", st.ID, plan.Zone, plan.Digest(), before),
	}, lifecycle.HoldDetails{
		Plan: plan.Digest(), Deletes: counts.Deletes, Updates: counts.Updates, Live: counts.Live,
		Limit: strings.Join(exceeded, ", "), Why: short(why, 1000), Groups: groups,
	})
	if err == nil {
		s.o.Logger.Warn("an apply waits for a person: it would take too much of a zone", "change", st.ID, "zone", plan.Zone, "deletes", counts.Deletes, "updates", counts.Updates, "live", counts.Live)
	}
	return err
}

// releases reports whether a person's release covers a plan: it is the very plan that was looked at, or
// what is left of it after an apply of it was cut off.
func (s *Service) releases(ctx context.Context, hold lifecycle.Hold, plan provider.Plan, resumed bool) (bool, error) {
	if hold.Plan == plan.Digest() {
		return true, nil
	}
	if !resumed {
		return false, nil
	}
	raw, err := s.o.Log.Documents().Get(ctx, hold.Document)
	if err != nil {
		// Erased since, perhaps. Then nobody knows any more what was looked at.
		s.o.Logger.Warn("the plan that was released cannot be read", "zone", plan.Zone, "error", err)
		return false, nil
	}
	var was heldPlan
	if err := json.Unmarshal(raw, &was); err != nil {
		return false, fmt.Errorf("plan %s: %w", hold.Document, err)
	}
	return within(plan.Edits, was.Edits, true), nil
}

// within reports whether all that edits take away or change was meant to be, by those that a person has
// seen. halfway: an apply of these has begun, so that what was there before may be gone in part.
func within(edits, seen []zone.Edit, halfway bool) bool {
	meant := make(map[zone.Key]zone.Edit, len(seen))
	for _, e := range seen {
		meant[zone.Key{Name: e.Name, Type: e.Type}] = e
	}
	return !slices.ContainsFunc(edits, func(e zone.Edit) bool {
		if e.Op == zone.Create {
			return false // takes nothing from anybody, and no limit counts it
		}
		was, ok := meant[zone.Key{Name: e.Name, Type: e.Type}]
		return !ok || !sameSet(was.After, e.After) || !halfway && !sameSet(was.Before, e.Before)
	})
}

func sameSet(a, b *zone.RRSet) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}

// approvedInView reports whether one who could release the plan has approved the change while its verdict
// said that it would take so much of this zone, and the plan takes nothing beyond what the change says.
// Such a person is not asked a second time.
func (s *Service) approvedInView(ctx context.Context, st lifecycle.State, committed *proposal, plan provider.Plan, live *provider.Live, groups []string, resumed bool) (bool, error) {
	var own []zone.Edit
	for _, e := range committed.change.Edits {
		if e.Zone == plan.Zone {
			e.Before, e.After = asServed(live, e.Before), asServed(live, e.After)
			own = append(own, e)
		}
	}
	if st.ByRule || !within(plan.Edits, own, resumed) {
		return false, nil
	}
	chain := st.Chain()
	_, events, err := s.loadEvents(ctx, st.ID)
	if err != nil {
		return false, err
	}
	for _, v := range st.Votes {
		if v.Decision != approval.Approve || !slices.Contains(chain, v.Person) ||
			!slices.ContainsFunc(v.Groups, func(g string) bool { return slices.Contains(groups, g) }) {
			continue
		}
		i := slices.IndexFunc(events, func(r audit.Receipt) bool { return r.Event.EventID == v.EventID })
		if i < 0 {
			continue
		}
		seen, err := s.verdict(ctx, events[i].Event.ArtifactRefs["verdict"])
		if err != nil || seen == nil {
			continue // erased: what the person saw is not known any more
		}
		if slices.ContainsFunc(seen.Signals, func(sig risk.Signal) bool { return sig.Name == risk.ApplyLimit && sig.Zone == plan.Zone }) {
			return true, nil
		}
	}
	return false, nil
}

// asServed is a record set of the repository with the TTL that the provider gives it.
func asServed(live *provider.Live, set *zone.RRSet) *zone.RRSet {
	if set == nil || set.TTL != zone.NoTTL {
		return set
	}
	one := (&provider.Live{DefaultTTL: live.DefaultTTL}).WithTTLs([]zone.RRSet{*set})[0]
	return &one
}

// ReleaseApply lets a plan be applied that was held. It takes one person of the groups that the rule yellow
// names who has had no part in the change, and it holds for the plan that the person names and no other.
func (s *Service) ReleaseApply(ctx context.Context, by identity.Person, id string, z zone.Name, plan, reason, via string) (lifecycle.State, error) {
	if by.ID == "" {
		return lifecycle.State{}, fault(Forbidden, "Sign in first.", "Nobody is signed in.")
	}
	unlock, err := s.changes.take(ctx, id)
	if err != nil {
		return lifecycle.State{}, explain("release the apply", err)
	}
	defer unlock()
	st, err := s.load(ctx, id)
	if err != nil {
		return st, explain("read the change", err)
	}
	hold, ok := st.Hold(string(z))
	switch {
	case !ok:
		return st, fault(Conflict, "Look at the change again: slipway request show.", "Nothing of this change waits for a release in the zone %q.", short(string(z), 100))
	case hold.Release != nil:
		return st, fault(Conflict, "", "%s has released this already.", hold.Release.By)
	}
	settings, err := s.settings(ctx)
	if err != nil {
		return st, explain("read the settings", err)
	}
	v := releaseVote(settings, by, plan, reason, s.now())
	v.Via = short(via, 20)
	if refusal := approval.Check(st.ReleaseOf(hold), nil, v, v.At); refusal != nil {
		v.Decision = "release"
		return st, s.refuseVote(ctx, st, by, v, refusal)
	}
	_, err = s.record(ctx, st, audit.Event{
		Actor: actor(by.ID, by.Role), Action: audit.ReleaseApply, Timestamp: v.At, Resource: audit.Resource{Zone: string(z)},
		Once: fmt.Sprintf("%s/release/%s/%s", id, z, hold.EventID),
	}, lifecycle.ReleaseDetails{Plan: plan, Reason: reason, Groups: v.Groups, Via: v.Via, Vouched: v.Vouched})
	if err != nil {
		return st, explain("record the release", err)
	}
	return s.moved(ctx, id)
}

// releaseVote is a person's release of a plan. Only groups count that may release at this moment.
func releaseVote(settings *repo.Settings, by identity.Person, plan, reason string, at time.Time) approval.Vote {
	may := releasers(settings)
	groups := slices.DeleteFunc(settings.GroupsOf(by.ID), func(g string) bool { return !slices.Contains(may, g) })
	return approval.Vote{
		Person: by.ID, Groups: groups, Decision: approval.Approve, Reason: reason,
		ChangeDigest: plan, PolicyDigest: plan, At: at, Vouched: by.Vouched,
	}
}

// MayRelease says why a person may not release a held apply; nil: they may, with a reason.
func MayRelease(settings *repo.Settings, by identity.Person, st lifecycle.State, h lifecycle.Hold, at time.Time) *approval.Refusal {
	return approval.Check(st.ReleaseOf(h), nil, releaseVote(settings, by, h.Plan, "asked for", at), at)
}

// releasable reports whether some apply of a change waits for somebody like this person.
func releasable(settings *repo.Settings, by identity.Person, st lifecycle.State, at time.Time) bool {
	return by.ID != "" && slices.ContainsFunc(st.Held, func(h lifecycle.Hold) bool {
		return h.Release == nil && MayRelease(settings, by, st, h, at) == nil
	})
}

// relookEvery is how often a held apply is planned again: the live zone may have become another one, and
// what waits is then another plan, or none.
const relookEvery = 10 * time.Minute

// relooks keeps when the held applies of each change were planned last. It is not on record: after a
// restart they are planned once more.
type relooks struct {
	mu sync.Mutex // held for the length of a map operation
	at map[string]time.Time
}

func (r *relooks) note(id string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at == nil {
		r.at = make(map[string]time.Time)
	}
	r.at[id] = at
}

func (r *relooks) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.at, id)
}

// wait is how long until the change's held applies are planned again; not positive: now.
func (r *relooks) wait(id string, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, ok := r.at[id]
	if !ok {
		return 0
	}
	return last.Add(relookEvery).Sub(now)
}

// maxHeldZones bounds how many holds of a zone are looked through for changes that still wait there.
const maxHeldZones = 200

// lookAgain wakes the changes whose apply to a zone is held, after another change was applied there.
func (s *Service) lookAgain(ctx context.Context, z zone.Name, but string) error {
	holds, err := s.o.Log.Index().Events(ctx, audit.Query{Zone: string(z), Action: audit.HoldApply, Newest: true, Limit: maxHeldZones})
	if err != nil {
		return err
	}
	seen := map[string]bool{but: true}
	for _, r := range holds {
		id := r.Event.Change
		if seen[id] {
			continue
		}
		seen[id] = true
		st, err := s.load(ctx, id)
		if err != nil {
			return err
		}
		if !st.Phase.Ended() && slices.Contains(st.Waits(), string(z)) {
			s.relooks.forget(id)
			s.wake(ctx, id)
		}
	}
	return nil
}
