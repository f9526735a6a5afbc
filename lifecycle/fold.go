package lifecycle

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"slipway/approval"
	"slipway/audit"
)

// ErrNoChange is returned for events that do not begin with a submit-change.
var ErrNoChange = errors.New("no such change is on record")

// Fold replays a change's events, oldest first. now decides only what time alone
// decides: whether an approved change still waits for its hour. Events that
// cannot follow (a vote after the end, a second submission) move nothing: the
// log may hold them, for example when two people act at once, and the first counts.
func Fold(events []audit.Receipt, now time.Time) (State, error) {
	if len(events) == 0 || events[0].Event.Action != audit.SubmitChange {
		return State{}, ErrNoChange
	}
	f := folder{applied: make(map[string]bool)}
	for _, r := range events {
		if err := f.take(r.Event); err != nil {
			return State{}, fmt.Errorf("change %s: %w", events[0].Event.Change, err)
		}
	}
	f.finish(now)
	return f.State, nil
}

// folder is a state in the making.
type folder struct {
	State
	denied  bool            // by the latest verdict
	judged  bool            // the current revision has a verdict
	since   time.Time       // of the latest verdict
	applied map[string]bool // zones with a receipt
	failed  *FailDetails    // since the last step that succeeded
}

func (f *folder) take(e audit.Event) error {
	f.Events = append(f.Events, e.EventID)
	if f.Phase.Ended() {
		return nil
	}
	f.Updated = e.Timestamp
	switch e.Action {
	case audit.SubmitChange, audit.ReviseChange:
		return f.submit(e)
	case audit.CheckChange:
		return f.check(e)
	case audit.ApproveByRule:
		return f.rule(e)
	case audit.ApproveChange, audit.RejectChange, audit.WithdrawApproval:
		return f.vote(e)
	case audit.VoidApprovals:
		return f.void(e)
	case audit.ScheduleChange:
		d, err := Decode[ScheduleDetails](e)
		if err == nil && f.BeforeMerge() {
			f.NotBefore = d.NotBefore
		}
		return err
	case audit.CancelChange:
		return f.end(e, Cancelled)
	case audit.ExpireChange:
		return f.end(e, Expired)
	case audit.MergeChange:
		return f.merge(e)
	case audit.ApplyZone:
		return f.apply(e)
	case audit.HoldApply:
		return f.hold(e)
	case audit.ReleaseApply:
		return f.release(e)
	case audit.IssueCertificate:
		if app := e.Resource.App; slices.Contains(f.Certify, app) {
			f.Certify = slices.DeleteFunc(slices.Clone(f.Certify), func(a string) bool { return a == app })
			f.failed, f.Problem = nil, ""
		}
	case audit.GoLive:
		if f.Commit != "" {
			f.Phase, f.failed, f.Problem = Live, nil, ""
		}
	case audit.FailChange:
		d, err := Decode[FailDetails](e)
		f.failed = &d
		return err
	}
	return nil
}

func (f *folder) submit(e audit.Event) error {
	d, err := Decode[SubmitDetails](e)
	if err != nil {
		return err
	}
	first := f.ID == ""
	if first != (e.Action == audit.SubmitChange) || f.Commit != "" {
		return nil
	}
	if first {
		f.ID, f.Requester, f.Role, f.Submitted = e.Change, e.Actor.ID, e.Actor.Role, e.Timestamp
		f.ThirdParty, f.Undoes, f.Adopts = d.ThirdParty, d.Undoes, d.Adopts
	}
	f.Title, f.Ticket, f.Via, f.Head, f.NotBefore = d.Title, d.Ticket, d.Via, d.Head, d.NotBefore
	for _, p := range d.Vouched {
		if !slices.Contains(f.Vouched, p) {
			f.Vouched = append(f.Vouched, p)
		}
	}
	f.Revision++
	f.judged, f.denied, f.failed, f.Problem = false, false, nil, ""
	f.forgetApproval()
	f.addArtifacts(e)
	return nil
}

// forgetApproval drops all that was decided about earlier content.
func (f *folder) forgetApproval() {
	f.Votes, f.ByRule = nil, false
	f.Subject = approval.Subject{}
}

func (f *folder) check(e audit.Event) error {
	d, err := Decode[CheckDetails](e)
	if err != nil {
		return err
	}
	if f.Commit != "" || d.Revision != f.Revision {
		return nil // the verdict on an earlier revision, overtaken
	}
	f.judged, f.denied, f.failed, f.Problem = true, d.Denied, nil, d.Problem
	f.since = e.Timestamp
	f.Base, f.Tier, f.Score, f.App, f.Zones, f.ZoneCount = d.Base, d.Tier, d.Score, d.App, d.Zones, d.ZoneCount
	f.Verdict = e.ArtifactRefs["verdict"]
	f.addArtifacts(e)

	// An approval is of content: under the same digests it stands, whatever else moved.
	if d.ChangeDigest != f.Subject.ChangeDigest || d.PolicyDigest != f.Subject.PolicyDigest {
		f.forgetApproval()
		f.Subject.Opened = e.Timestamp
	}
	f.Subject.ChangeDigest, f.Subject.PolicyDigest = d.ChangeDigest, d.PolicyDigest
	f.Subject.Requester, f.Subject.Authors, f.Subject.Requirements = f.Requester, d.Authors, d.Requirements
	f.Subject.Vouched = f.Vouched
	if len(d.Requirements) > 0 {
		f.ByRule = false
	}
	return nil
}

func (f *folder) rule(e audit.Event) error {
	d, err := Decode[RuleDetails](e)
	if err != nil {
		return err
	}
	f.ByRule = f.judged && !f.denied && len(f.Subject.Requirements) == 0 && f.Commit == "" &&
		d.ChangeDigest == f.Subject.ChangeDigest && d.PolicyDigest == f.Subject.PolicyDigest
	if f.ByRule {
		f.failed, f.Problem = nil, ""
	}
	return nil
}

func (f *folder) vote(e audit.Event) error {
	d, err := Decode[VoteDetails](e)
	if err != nil {
		return err
	}
	if !f.judged || f.denied || f.Commit != "" {
		return nil
	}
	decision := map[audit.Action]approval.Decision{
		audit.ApproveChange: approval.Approve, audit.RejectChange: approval.Reject, audit.WithdrawApproval: approval.Withdraw,
	}[e.Action]
	f.Votes = append(f.Votes, approval.Vote{
		Person: e.Actor.ID, Groups: d.Groups, Decision: decision, Reason: d.Reason,
		ChangeDigest: d.ChangeDigest, PolicyDigest: d.PolicyDigest,
		At: e.Timestamp, Via: d.Via, Vouched: d.Vouched, EventID: e.EventID,
	})
	// The count decides, not the event: a rejection that could not have been cast ends nothing.
	if decision == approval.Reject && approval.Tally(f.Subject, f.Votes, e.Timestamp).Rejected {
		f.Phase, f.failed, f.Problem = Rejected, nil, d.Reason
	}
	return nil
}

func (f *folder) void(e audit.Event) error {
	d, err := Decode[VoidDetails](e)
	if err != nil {
		return err
	}
	if f.Commit == "" {
		f.Votes = slices.DeleteFunc(f.Votes, func(v approval.Vote) bool { return slices.Contains(d.Votes, v.EventID) })
	}
	return nil
}

func (f *folder) end(e audit.Event, p Phase) error {
	d, err := Decode[EndDetails](e)
	if err == nil && f.BeforeMerge() {
		f.Phase, f.failed, f.Problem = p, nil, d.Reason
	}
	return err
}

func (f *folder) merge(e audit.Event) error {
	d, err := Decode[MergeDetails](e)
	if err != nil {
		return err
	}
	if f.Commit == "" {
		f.Commit, f.failed, f.Problem = e.GitCommit, nil, ""
		f.Zones, f.ZoneCount, f.Certify = d.Zones, d.ZoneCount, d.Certify
	}
	return nil
}

func (f *folder) apply(e audit.Event) error {
	d, err := Decode[ApplyDetails](e)
	if err != nil {
		return err
	}
	if f.Commit != "" && !f.applied[e.Resource.Zone] {
		f.applied[e.Resource.Zone] = true
		f.Receipts = append(f.Receipts, d.Receipt)
		f.Held = slices.DeleteFunc(f.Held, func(h Hold) bool { return h.Zone == e.Resource.Zone })
		f.failed, f.Problem = nil, ""
	}
	return nil
}

// hold notes that an apply was stopped; of a zone, only the newest plan counts.
func (f *folder) hold(e audit.Event) error {
	d, err := Decode[HoldDetails](e)
	if err != nil || f.Commit == "" || f.applied[e.Resource.Zone] {
		return err
	}
	f.Held = slices.DeleteFunc(f.Held, func(h Hold) bool { return h.Zone == e.Resource.Zone })
	f.Held = append(f.Held, Hold{HoldDetails: d, Zone: e.Resource.Zone, Document: e.ArtifactRefs["plan"], At: e.Timestamp, EventID: e.EventID})
	f.failed, f.Problem = nil, ""
	return nil
}

// release notes a person's release of a plan. The count decides, not the event: one that could not
// have been given releases nothing.
func (f *folder) release(e audit.Event) error {
	d, err := Decode[ReleaseDetails](e)
	if err != nil {
		return err
	}
	for i, h := range f.Held {
		if h.Zone != e.Resource.Zone || h.Plan != d.Plan || h.Release != nil {
			continue
		}
		vote := approval.Vote{
			Person: e.Actor.ID, Groups: d.Groups, Decision: approval.Approve, Reason: d.Reason,
			ChangeDigest: d.Plan, PolicyDigest: d.Plan, At: e.Timestamp, Via: d.Via, Vouched: d.Vouched, EventID: e.EventID,
		}
		if approval.Check(f.ReleaseOf(h), nil, vote, e.Timestamp) == nil {
			f.Held[i].Release = &Release{By: e.Actor.ID, Reason: d.Reason, At: e.Timestamp, EventID: e.EventID}
			f.failed, f.Problem = nil, ""
		}
	}
	return nil
}

func (f *folder) addArtifacts(e audit.Event) {
	if len(e.ArtifactRefs) == 0 {
		return
	}
	all := maps.Clone(f.Artifacts)
	if all == nil {
		all = make(map[string]string)
	}
	maps.Copy(all, e.ArtifactRefs)
	f.Artifacts = all
}

// finish derives what follows from the facts.
func (f *folder) finish(now time.Time) {
	if f.Phase.Ended() {
		return
	}
	f.Phase = f.reached(now)
	switch f.Phase {
	case Waiting, Scheduled, Approved:
		o := approval.Tally(f.Subject, f.Votes, now)
		f.Missing, f.Deadline = o.Missing, o.Deadline
		f.Subject.Open = len(f.Subject.Requirements) > 0
	case Denied:
		f.Deadline = f.since.Add(DeniedFor)
	}
	if f.failed != nil {
		f.Resume, f.Phase = f.Phase, Failed
		f.Step, f.Problem = f.failed.Step, f.failed.Problem
	}
}

// reached is the phase that the facts give, failures aside.
func (f *folder) reached(now time.Time) Phase {
	switch {
	case f.Commit != "" && len(f.applied) >= f.ZoneCount:
		return Applied
	case f.Commit != "" && len(f.applied)+len(f.Waits()) >= f.ZoneCount:
		return Held
	case f.Commit != "":
		return Merged
	case !f.judged:
		return Submitted
	case f.denied:
		return Denied
	case len(f.Subject.Requirements) == 0 && !f.ByRule:
		return Waiting // for the rule, which comes at once
	case !approval.Tally(f.Subject, f.Votes, now).Approved:
		return Waiting
	case now.Before(f.NotBefore):
		return Scheduled
	}
	return Approved
}
