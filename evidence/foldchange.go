package evidence

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipway/audit"
	"slipway/lifecycle"
)

// change folds one change. Without its beginning it cannot be.
func (f *folder) change(events []Event) (Change, bool, error) {
	receipts := make([]audit.Receipt, len(events))
	for i, e := range events {
		receipts[i] = audit.Receipt{Index: e.Index, Event: e.Event}
	}
	last := events[len(events)-1].Event.Timestamp
	st, err := lifecycle.Fold(receipts, last)
	if errors.Is(err, lifecycle.ErrNoChange) {
		return Change{}, false, nil
	}
	if err != nil {
		return Change{}, false, err
	}
	c := Change{State: st, Revisions: []Revision{}, Verdicts: []Verdict{}, Approvals: []Approval{}, Refusals: []Refusal{}, Edits: []Edit{},
		Applies: []Applied{}, Holds: []Hold{}, Certificates: []string{}, Failures: []Failure{}, Timeline: []Step{}}
	for i := range events {
		if err := f.step(&c, &events[i]); err != nil {
			return c, false, fmt.Errorf("event %d (%s): %w", events[i].Index, events[i].Event.Action, err)
		}
	}
	if st.Phase.Ended() {
		c.Ended = st.Updated
	}
	return c, true, nil
}

func (f *folder) step(c *Change, e *Event) error {
	c.Timeline = append(c.Timeline, Step{Place: e.place(), EventID: e.Event.EventID, Action: e.Event.Action,
		Actor: e.Event.Actor.ID, Role: e.Event.Actor.Role, Text: sentence(&e.Event)})
	switch e.Event.Action {
	case audit.SubmitChange, audit.ReviseChange:
		d, err := lifecycle.Decode[lifecycle.SubmitDetails](e.Event)
		r := Revision{Place: e.place(), Number: d.Revision, By: e.Event.Actor.ID, Role: e.Event.Actor.Role, Via: d.Via, Title: d.Title,
			Ticket: d.Ticket, Head: d.Head, Request: e.Event.ArtifactRefs["request"]}
		r.Document = f.asked(r.Request)
		c.Revisions = append(c.Revisions, r)
		return err
	case audit.CheckChange:
		d, err := lifecycle.Decode[lifecycle.CheckDetails](e.Event)
		v := Verdict{Place: e.place(), CheckDetails: d, Document: e.Event.ArtifactRefs["verdict"]}
		f.judged(&v)
		c.Verdicts = append(c.Verdicts, v)
		return err
	case audit.ApproveByRule:
		d, err := lifecycle.Decode[lifecycle.RuleDetails](e.Event)
		c.Approvals = append(c.Approvals, Approval{Place: e.place(), EventID: e.Event.EventID, Groups: []string{}, Decision: decisions[e.Event.Action],
			ByRule: true, Tier: d.Tier, ChangeDigest: d.ChangeDigest, PolicyDigest: d.PolicyDigest, Vouched: []string{}})
		return err
	case audit.ApproveChange, audit.RejectChange, audit.WithdrawApproval:
		d, err := lifecycle.Decode[lifecycle.VoteDetails](e.Event)
		c.Approvals = append(c.Approvals, Approval{Place: e.place(), EventID: e.Event.EventID, Person: e.Event.Actor.ID, Role: e.Event.Actor.Role,
			Groups: orEmpty(d.Groups), Decision: decisions[e.Event.Action], Reason: d.Reason, Via: d.Via,
			ChangeDigest: d.ChangeDigest, PolicyDigest: d.PolicyDigest, Vouched: orEmpty(d.Vouched)})
		return err
	case audit.VoidApprovals:
		d, err := lifecycle.Decode[lifecycle.VoidDetails](e.Event)
		for i := range c.Approvals {
			if a := &c.Approvals[i]; a.Voided == nil && slices.Contains(d.Votes, a.EventID) {
				index := e.Index
				a.Voided, a.VoidedWhy = &index, d.Reason
			}
		}
		return err
	case audit.RefuseVote:
		d, err := lifecycle.Decode[lifecycle.RefusalDetails](e.Event)
		c.Refusals = append(c.Refusals, Refusal{Place: e.place(), Person: e.Event.Actor.ID, Code: d.Code, Text: d.Text})
		return err
	case audit.MergeChange:
		d, err := lifecycle.Decode[lifecycle.MergeDetails](e.Event)
		if c.Merge == nil {
			c.Merge = &Merge{Place: e.place(), MergeDetails: d, Commit: e.Event.GitCommit, Approvers: orEmpty(e.Event.ApprovalChain)}
		}
		return err
	case audit.CreateDNSRecord, audit.UpdateDNSRecord, audit.DeleteDNSRecord:
		d, err := lifecycle.Decode[lifecycle.RecordDetails](e.Event)
		r := e.Event.Resource
		c.Edits = append(c.Edits, Edit{Place: e.place(), Action: e.Event.Action, Zone: r.Zone, Record: r.Record, Type: r.Type, App: r.App,
			Commit: e.Event.GitCommit, Before: d.Before, After: d.After})
		return err
	case audit.ApplyZone:
		a, err := applied(e)
		c.Applies = append(c.Applies, a)
		return err
	case audit.HoldApply, audit.ReleaseApply:
		c.Holds = append(c.Holds, Hold{Place: e.place(), Zone: e.Event.Resource.Zone, By: e.Event.Actor.ID,
			Release: e.Event.Action == audit.ReleaseApply, Plan: e.Event.ArtifactRefs["plan"], Details: object(e)})
	case audit.IssueCertificate:
		var d struct {
			Certificate struct{ ID string } `json:"certificate"`
		}
		err := unmarshal(e, &d)
		c.Certificates = append(c.Certificates, d.Certificate.ID)
		return err
	case audit.GoLive:
		d, err := lifecycle.Decode[lifecycle.LiveDetails](e.Event)
		if c.Live == nil {
			c.Live = &Live{e.place(), d}
		}
		return err
	case audit.FailChange:
		d, err := lifecycle.Decode[lifecycle.FailDetails](e.Event)
		c.Failures = append(c.Failures, Failure{e.place(), d.Step, d.Problem})
		return err
	}
	return nil
}

// sentence says in a few plain words what an event of a change says.
func sentence(e *audit.Event) string {
	r := e.Resource
	record := strings.TrimSuffix(r.Record, ".") + " " + r.Type
	zone := strings.TrimSuffix(r.Zone, ".")
	var d struct {
		Revision int
		Title    string
		Tier     string
		Denied   bool
		Problem  string
		Reason   string
		Groups   []string
		Code     string
		Text     string
		Step     string
		Receipt  struct {
			Provider string
			Change   string `json:"provider_change"`
		}
	}
	_ = unmarshal(&Event{Event: *e}, &d) // what cannot be read is not said
	switch e.Action {
	case audit.SubmitChange:
		return fmt.Sprintf("Asked for “%s”.", d.Title)
	case audit.ReviseChange:
		return fmt.Sprintf("Replaced what was asked for by revision %d: “%s”.", d.Revision, d.Title)
	case audit.CheckChange:
		if d.Denied {
			return "The checks denied it: " + d.Problem
		}
		return fmt.Sprintf("The checks passed; the tier is %s.", d.Tier)
	case audit.ApproveByRule:
		return "Approved by rule: no person was needed."
	case audit.ApproveChange:
		return because(fmt.Sprintf("Approved as a member of %s", strings.Join(d.Groups, ", ")), d.Reason)
	case audit.RejectChange:
		return because("Rejected", d.Reason)
	case audit.WithdrawApproval:
		return because("Took the approval back", d.Reason)
	case audit.VoidApprovals:
		return "Approvals no longer count: " + d.Reason
	case audit.RefuseVote:
		return "A vote was refused: " + d.Text
	case audit.MergeChange:
		if len(e.ApprovalChain) == 0 {
			return "Put on main, approved by rule."
		}
		return "Put on main, approved by " + strings.Join(e.ApprovalChain, ", ") + "."
	case audit.CreateDNSRecord:
		return "Created " + record + "."
	case audit.UpdateDNSRecord:
		return "Changed " + record + "."
	case audit.DeleteDNSRecord:
		return "Deleted " + record + "."
	case audit.ApplyZone:
		return fmt.Sprintf("The provider %s took the zone %s (its change %s).", d.Receipt.Provider, zone, d.Receipt.Change)
	case audit.GoLive:
		return "The name servers answer as wanted: live."
	case audit.FailChange:
		return fmt.Sprintf("The step %s could not go on: %s", d.Step, d.Problem)
	case audit.CancelChange, audit.ExpireChange:
		return because(map[audit.Action]string{audit.CancelChange: "Cancelled", audit.ExpireChange: "Expired"}[e.Action], d.Reason)
	case audit.IssueCertificate:
		return "A certificate was issued, serial number " + r.Name + "."
	}
	return audit.Actions()[e.Action].Text
}

func because(what, why string) string {
	if why == "" {
		return what + "."
	}
	return what + ": " + why
}
