package flow

import (
	"context"
	"fmt"
	"slices"
	"time"

	"slipway/approval"
	"slipway/audit"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/zone"
)

// over says why a change can no longer be stopped or altered.
func over(st lifecycle.State) *Error {
	if st.Phase.Ended() && st.Phase != lifecycle.Live {
		return fault(Conflict, "Ask again with a new change if it is still wanted.", "This change has ended: it is %s.", st.Phase)
	}
	return fault(Conflict, "Ask for a new change that undoes it.", "This change is on main already.")
}

// Vote casts a person's vote. It is the one core for every interface: the state is read from the log and the
// groups from the settings on main, under the change's lock, so that two votes at once are counted
// one after the other and a vote is never counted on content that its caster did not name.
func (s *Service) Vote(ctx context.Context, by identity.Person, id string, d approval.Decision, reason, changeDigest, policyDigest, via string) (lifecycle.State, error) {
	if by.ID == "" {
		return lifecycle.State{}, fault(Forbidden, "Sign in first.", "Nobody is signed in.")
	}
	unlock, err := s.changes.take(ctx, id)
	if err != nil {
		return lifecycle.State{}, explain("take the vote", err)
	}
	defer unlock()
	st, err := s.load(ctx, id)
	if err != nil {
		return st, explain("read the change", err)
	}
	settings, err := s.settings(ctx)
	if err != nil {
		return st, explain("read the settings", err)
	}
	v := approval.Vote{
		Person: by.ID, Groups: settings.GroupsOf(by.ID), Decision: d, Reason: reason,
		ChangeDigest: changeDigest, PolicyDigest: policyDigest, At: s.now(), Via: short(via, 20), Vouched: by.Vouched,
	}
	if refusal := approval.Check(st.Subject, st.Votes, v, v.At); refusal != nil {
		return st, s.refuseVote(ctx, st, by, v, refusal)
	}
	actions := map[approval.Decision]audit.Action{
		approval.Approve: audit.ApproveChange, approval.Reject: audit.RejectChange, approval.Withdraw: audit.WithdrawApproval,
	}
	// The key is the vote's place in the change's history: should a second process vote on the same
	// state, one of the two is refused here and asked to look again.
	r, err := s.record(ctx, st, audit.Event{
		Actor: actor(by.ID, by.Role), Action: actions[d], Timestamp: v.At, ArtifactRefs: pick(st.Artifacts, "verdict"),
		Resource: audit.Resource{Zone: only(st.Zones)}, Once: fmt.Sprintf("%s/vote/%d", id, len(st.Events)),
	}, lifecycle.VoteDetails{Groups: v.Groups, Reason: reason, ChangeDigest: changeDigest, PolicyDigest: policyDigest, Via: v.Via, Vouched: v.Vouched})
	if err != nil {
		return st, explain("record the vote", err)
	}
	if r.Event.Actor.ID != by.ID || r.Event.Action != actions[d] {
		return st, fault(Conflict, "Look at the change again, then decide.", "Somebody else decided at the same moment.")
	}
	return s.moved(ctx, id)
}

// refuseVote records that a vote was refused, once for each person, reason and content, and returns the refusal.
func (s *Service) refuseVote(ctx context.Context, st lifecycle.State, by identity.Person, v approval.Vote, refusal *approval.Refusal) error {
	_, err := s.record(ctx, st, audit.Event{
		Actor: actor(by.ID, by.Role), Action: audit.RefuseVote, Timestamp: v.At,
		Once: fmt.Sprintf("%s/refuse/%s/%s/%s/%s", st.ID, by.ID, refusal.Code, short(string(v.Decision), 20), st.Subject.ChangeDigest),
	}, lifecycle.RefusalDetails{Code: refusal.Code, Text: refusal.Text, Decision: short(string(v.Decision), 20), Via: v.Via, Vouched: v.Vouched})
	if err != nil {
		s.o.Logger.Warn("a refused vote could not be recorded", "change", st.ID, "error", err)
	}
	return refusedVote(refusal)
}

// moved wakes the workflow and returns the state as it is now.
func (s *Service) moved(ctx context.Context, id string) (lifecycle.State, error) {
	s.wake(ctx, id)
	st, err := s.load(ctx, id)
	return st, explain("read the change", err)
}

// own loads a change under its lock for its requester, who alone may do what follows.
func (s *Service) own(ctx context.Context, by identity.Person, id, what string) (lifecycle.State, func(), error) {
	unlock, err := s.changes.take(ctx, id)
	if err != nil {
		return lifecycle.State{}, nil, explain(what+" the change", err)
	}
	st, err := s.load(ctx, id)
	switch {
	case err != nil:
		err = explain("read the change", err)
	case by.ID == "" || st.Requester != by.ID:
		err = fault(Forbidden, "Ask them.", "Only %s, who asked for this change, may %s it.", st.Requester, what)
	case !st.BeforeMerge():
		err = over(st)
	}
	if err != nil {
		unlock()
		return st, nil, err
	}
	return st, unlock, nil
}

// Cancel ends a change at its requester's wish, until it is on main.
func (s *Service) Cancel(ctx context.Context, by identity.Person, id, reason, via string) (lifecycle.State, error) {
	st, unlock, err := s.own(ctx, by, id, "cancel")
	if err != nil {
		return st, err
	}
	defer unlock()
	_, err = s.record(ctx, st, audit.Event{
		Actor: actor(by.ID, by.Role), Action: audit.CancelChange, Once: id + "/cancel",
	}, lifecycle.EndDetails{Reason: short(line(reason, 1000), 4000), Via: short(via, 20)})
	if err != nil {
		return st, explain("record that the change is cancelled", err)
	}
	return s.moved(ctx, id)
}

// Schedule sets the time before which a change must not go live; the zero time means as soon as approved.
func (s *Service) Schedule(ctx context.Context, by identity.Person, id string, notBefore time.Time, via string) (lifecycle.State, error) {
	if notBefore.After(s.now().Add(MaxAhead)) {
		return lifecycle.State{}, fault(Invalid, "Choose a time within a year.", "The time is more than a year ahead.")
	}
	st, unlock, err := s.own(ctx, by, id, "schedule")
	if err != nil {
		return st, err
	}
	defer unlock()
	notBefore = notBefore.UTC()
	if notBefore.Equal(st.NotBefore) {
		return st, nil
	}
	_, err = s.record(ctx, st, audit.Event{
		Actor: actor(by.ID, by.Role), Action: audit.ScheduleChange, Once: fmt.Sprintf("%s/schedule/%d", id, len(st.Events)),
	}, lifecycle.ScheduleDetails{NotBefore: notBefore, Via: short(via, 20)})
	if err != nil {
		return st, explain("record the time", err)
	}
	return s.moved(ctx, id)
}

// Retry tries a failed step again at once. If a zone was changed by hand, it is also the decision that the
// approved content replaces the edit, which is recorded under the person's name. It approves nothing:
// what it brings to the name servers is on main.
func (s *Service) Retry(ctx context.Context, by identity.Person, id string) (lifecycle.State, error) {
	unlock, err := s.changes.take(ctx, id)
	if err != nil {
		return lifecycle.State{}, explain("try again", err)
	}
	defer unlock()
	st, err := s.load(ctx, id)
	if err != nil {
		return st, explain("read the change", err)
	}
	settings, err := s.settings(ctx)
	switch {
	case err != nil:
		return st, explain("read the settings", err)
	case by.ID == "" || by.ID != st.Requester && !slices.Contains(settings.Administrators, by.ID):
		return st, fault(Forbidden, "Ask one of them.", "Only %s, who asked for this change, and administrators may try it again.", st.Requester)
	case st.Phase != lifecycle.Failed:
		return st, fault(Conflict, "", "Nothing of this change has failed: it is %s.", st.Phase)
	}
	s.relooks.forget(id)
	if st.Resume == lifecycle.Merged || st.Resume == lifecycle.Held {
		pending, err := s.pendingZones(ctx, st)
		if err != nil {
			return st, explain("read the change", err)
		}
		for _, z := range pending {
			if err := s.overwrite(ctx, by, id, z); err != nil {
				return st, explain("record the decision", err)
			}
		}
	}
	return s.moved(ctx, id)
}

// overwrite records a person's decision to replace what was changed by hand in a zone.
func (s *Service) overwrite(ctx context.Context, by identity.Person, id string, z zone.Name) error {
	unlock, err := s.zones.take(ctx, string(z))
	if err != nil {
		return err
	}
	defer unlock()
	return s.endDrift(ctx, z, actor(by.ID, by.Role), id, lifecycle.DriftEndDetails{How: driftOverwrite})
}
