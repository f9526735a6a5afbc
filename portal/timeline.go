package portal

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"slipway/approval"
	"slipway/audit"
	"slipway/drift"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/zone"
)

// moment of a change's life, told for people.
type timelineEntry struct {
	Index  uint64 // in the log
	At     time.Time
	Who    string // "" for Slipway itself
	What   string
	Reason string // in the words of whoever did it
	SignIn string // whose link they signed in by
	Tone   string // good | bad | "" : colours the mark beside it, never the only sign
}

// timeline tells events oldest first.
func timeline(events []audit.Receipt) []timelineEntry {
	out := make([]timelineEntry, 0, len(events))
	for _, r := range events {
		entry := tell(r.Event)
		entry.Index, entry.At = r.Index, r.Event.Timestamp
		if id := r.Event.Actor.ID; id != "slipway" {
			entry.Who = id
		}
		out = append(out, entry)
	}
	return out
}

// tell puts one event into a sentence. Details that cannot be read are left
// out: the sentence is then shorter, and the event itself is in the log as it is.
func tell(e audit.Event) timelineEntry {
	switch e.Action {
	case audit.SubmitChange:
		d, _ := lifecycle.Decode[lifecycle.SubmitDetails](e)
		return timelineEntry{What: "asked for this" + through(d.Via) + ".", SignIn: signIn(d.Vouched)}
	case audit.ReviseChange:
		d, _ := lifecycle.Decode[lifecycle.SubmitDetails](e)
		return timelineEntry{What: fmt.Sprintf("sent a new version (number %d)%s.", d.Revision, through(d.Via)), SignIn: signIn(d.Vouched)}
	case audit.CheckChange:
		return tellCheck(e)
	case audit.ApproveByRule:
		return timelineEntry{What: "Approved by rule: the risk is low, so nobody has to be asked.", Tone: "good"}
	case audit.ApproveChange:
		d, _ := lifecycle.Decode[lifecycle.VoteDetails](e)
		return timelineEntry{What: "approved it" + through(d.Via) + ".", Reason: d.Reason, SignIn: signIn(d.Vouched), Tone: "good"}
	case audit.RejectChange:
		d, _ := lifecycle.Decode[lifecycle.VoteDetails](e)
		return timelineEntry{What: "rejected it" + through(d.Via) + ".", Reason: d.Reason, SignIn: signIn(d.Vouched), Tone: "bad"}
	case audit.WithdrawApproval:
		d, _ := lifecycle.Decode[lifecycle.VoteDetails](e)
		return timelineEntry{What: "took their approval back" + through(d.Via) + ".", Reason: d.Reason, SignIn: signIn(d.Vouched)}
	case audit.RefuseVote:
		d, _ := lifecycle.Decode[lifecycle.RefusalDetails](e)
		return timelineEntry{What: "tried to decide, which was refused.", Reason: d.Text, SignIn: signIn(d.Vouched), Tone: "bad"}
	case audit.VoidApprovals:
		d, _ := lifecycle.Decode[lifecycle.VoidDetails](e)
		return timelineEntry{What: "Earlier approvals no longer count: " + strings.Join(d.People, ", ") + ".", Reason: d.Reason}
	case audit.ScheduleChange:
		d, _ := lifecycle.Decode[lifecycle.ScheduleDetails](e)
		if d.NotBefore.IsZero() {
			return timelineEntry{What: "asked for it to go ahead as soon as it is approved."}
		}
		return timelineEntry{What: "asked for it not to go ahead before " + moment(d.NotBefore) + "."}
	case audit.CancelChange:
		d, _ := lifecycle.Decode[lifecycle.EndDetails](e)
		return timelineEntry{What: "cancelled it.", Reason: d.Reason, Tone: "bad"}
	case audit.ExpireChange:
		d, _ := lifecycle.Decode[lifecycle.EndDetails](e)
		return timelineEntry{What: "It expired.", Reason: d.Reason, Tone: "bad"}
	case audit.FailChange:
		d, _ := lifecycle.Decode[lifecycle.FailDetails](e)
		return timelineEntry{What: "The step “" + stepName(d.Step) + "” did not succeed.", Reason: d.Problem, Tone: "bad"}
	}
	if entry, ok := tellCertificate(e); ok {
		return entry
	}
	return tellEffect(e)
}

// tellEffect is for what is done to the world after an approval.
func tellEffect(e audit.Event) timelineEntry {
	record := strings.TrimSpace(e.Resource.Record + " " + e.Resource.Type)
	switch e.Action {
	case audit.MergeChange:
		return timelineEntry{What: "Put on record in the zones repository, signed (commit " + short(e.GitCommit) + ").", Tone: "good"}
	case audit.CreateDNSRecord:
		return timelineEntry{What: "New in the DNS: " + record + "."}
	case audit.UpdateDNSRecord:
		return timelineEntry{What: "Changed in the DNS: " + record + "."}
	case audit.DeleteDNSRecord:
		return timelineEntry{What: "Removed from the DNS: " + record + "."}
	case audit.ApplyZone:
		d, _ := lifecycle.Decode[lifecycle.ApplyDetails](e)
		if len(d.Receipt.Parts) > 0 {
			return timelineEntry{What: fmt.Sprintf("Published the domain %s at %s.", e.Resource.Zone, d.Receipt.Provider), Tone: "good"}
		}
		return timelineEntry{What: fmt.Sprintf("Published the domain %s (version %d).", e.Resource.Zone, d.Receipt.Serial), Tone: "good"}
	case audit.HoldApply:
		d, _ := lifecycle.Decode[lifecycle.HoldDetails](e)
		return timelineEntry{What: "Publishing was stopped until somebody has looked at it.", Reason: sentence(d.Why), Tone: "bad"}
	case audit.ReleaseApply:
		d, _ := lifecycle.Decode[lifecycle.ReleaseDetails](e)
		return timelineEntry{What: "looked at what would go from the domain " + e.Resource.Zone + " and released it" + through(d.Via) + ".", Reason: d.Reason, SignIn: signIn(d.Vouched), Tone: "good"}
	case audit.GoLive:
		return timelineEntry{What: "Live: the names answer as approved.", Tone: "good"}
	case audit.DetectDrift:
		d, _ := lifecycle.Decode[lifecycle.DriftDetails](e)
		if d.Scope == string(drift.Parent) {
			return timelineEntry{What: fmt.Sprintf("What the zone above says of %s was found to be wrong (%d).", e.Resource.Zone, d.Count), Tone: "bad"}
		}
		return timelineEntry{What: fmt.Sprintf("The domain %s was found to differ from what was approved (%d).", e.Resource.Zone, d.Count), Reason: d.Held, Tone: "bad"}
	case audit.ResolveDrift:
		d, err := lifecycle.Decode[lifecycle.DriftEndDetails](e)
		if err == nil && d.Rule != "" {
			return timelineEntry{What: "The domain " + e.Resource.Zone + " is made as approved again, as the settings allow without a person.", Reason: d.Rule}
		}
		if err == nil && d.How == "overwrite" {
			return timelineEntry{What: "It was decided that the domain " + e.Resource.Zone + " is made as approved again, whatever was changed by hand."}
		}
		return timelineEntry{What: "The domain " + e.Resource.Zone + " is as approved again.", Tone: "good"}
	}
	return timelineEntry{What: sentence(strings.ReplaceAll(string(e.Action), "-", " "))}
}

func tellCheck(e audit.Event) timelineEntry {
	d, err := lifecycle.Decode[lifecycle.CheckDetails](e)
	switch {
	case err != nil:
		return timelineEntry{What: "Checked."}
	case d.Denied:
		return timelineEntry{What: "Checked: something has to be corrected.", Reason: d.Problem, Tone: "bad"}
	case d.Tier == "":
		return timelineEntry{What: "Checked.", Tone: "good"}
	}
	return timelineEntry{What: fmt.Sprintf("Checked: tier %s, risk score %d of 100.", d.Tier, d.Score), Tone: "good"}
}

func through(via string) string {
	if w := viaWords[via]; w != "" {
		return " through " + w
	}
	return ""
}

func short(commit string) string {
	if len(commit) > 10 {
		return commit[:10]
	}
	return commit
}

// stage is one station of a change's way, for the row of steps at the top.
type stage struct {
	Label string
	State string // done | now | stopped | ""
}

// stages shows how far a change has come.
func stages(st lifecycle.State) []stage {
	labels := []string{"Request", "Checks", "Approval", "On record", "Publishing", "Live"}
	phase, stopped := st.Phase, false
	switch phase {
	case lifecycle.Failed:
		phase, stopped = st.Resume, true
	case lifecycle.Denied:
		phase, stopped = lifecycle.Submitted, true
	case lifecycle.Rejected, lifecycle.Cancelled, lifecycle.Expired:
		stopped = true
		phase = lifecycle.Submitted
		if st.Verdict != "" {
			phase = lifecycle.Waiting
		}
	}
	at, ok := map[lifecycle.Phase]int{
		lifecycle.Submitted: 1, lifecycle.Waiting: 2, lifecycle.Scheduled: 3, lifecycle.Approved: 3, lifecycle.Merged: 4, lifecycle.Held: 4, lifecycle.Applied: 5, lifecycle.Live: 6,
	}[phase]
	if !ok {
		at = 1
	}
	out := make([]stage, len(labels))
	for i, l := range labels {
		out[i].Label = l
		switch {
		case i < at:
			out[i].State = "done"
		case i == at && stopped:
			out[i].State = "stopped"
		case i == at:
			out[i].State = "now"
		}
	}
	return out
}

// edit is one line of the before-and-after table.
type edit struct {
	Op, Name, Kind string
	Before, After  content
}

// content is a record set's values, and in words what else belongs to it.
type content struct{ Values, Notes []string }

// recordEdits lists record-set edits for people.
func recordEdits(edits []zone.Edit) []edit {
	out := make([]edit, 0, len(edits))
	for _, e := range edits {
		out = append(out, edit{Op: opWords[e.Op], Name: e.Name.Unicode(), Kind: e.Type, Before: contentOf(e.Before), After: contentOf(e.After)})
	}
	return out
}

func contentOf(rr *zone.RRSet) content {
	if rr == nil {
		return content{}
	}
	c := content{Values: rr.Values}
	if rr.TTL != zone.NoTTL {
		c.Notes = append(c.Notes, fmt.Sprintf("cached for %d seconds", rr.TTL))
	}
	if rr.Extra != "" {
		c.Notes = append(c.Notes, rr.Extra)
	}
	return c
}

// differences lists drift in the same form: approved before, live after.
func differences(list []drift.Difference) []edit {
	words := map[drift.Kind]string{drift.Changed: "Different", drift.Missing: "Missing", drift.Extra: "Not approved", drift.Damaged: "Cannot be read"}
	out := make([]edit, 0, len(list))
	for _, d := range list {
		e := edit{Op: words[d.Kind], Name: d.Name.Unicode(), Kind: d.Type, Before: contentOf(d.Approved), After: contentOf(d.Live)}
		if d.Provider != "" {
			e.Kind += " at " + d.Provider
		}
		if d.Detail != "" {
			e.After.Notes = append(e.After.Notes, d.Detail)
		}
		out = append(out, e)
	}
	return out
}

// need is one requirement and how far it is met.
type need struct {
	Text  string
	Why   []string
	Seats []seat
	Left  string // what is missing; "" when it is met
}

// seat is an approval that counts.
type seat struct{ Group, Person, SignIn string }

// signIn says whose link somebody is signed in by; "" when that is not on record.
func signIn(vouched []string) string {
	switch {
	case len(vouched) == 0:
		return ""
	case vouched[0] == identity.System:
		return "signed in by the server’s own link"
	}
	return "signed in by a link from " + vouched[0]
}

// together is people who signed in on one administrator's word.
type together struct{ By, People string }

// indistinct names, for those who check a change, the administrators who could have acted
// for more than one of the people in it. Accounts of Slipway's own cannot rule that out.
func indistinct(st lifecycle.State, counted []approval.Seat) []together {
	rests := map[string][]string{}
	note := func(person string, vouched []string) {
		for _, by := range vouched {
			if by != identity.System && !slices.Contains(rests[by], person) {
				rests[by] = append(rests[by], person)
			}
		}
	}
	note(st.Requester, st.Vouched)
	for _, v := range st.Votes {
		if slices.ContainsFunc(counted, func(s approval.Seat) bool { return s.Person == v.Person }) {
			note(v.Person, v.Vouched)
		}
	}
	var out []together
	for _, by := range slices.Sorted(maps.Keys(rests)) {
		if people := rests[by]; len(people) > 1 {
			out = append(out, together{by, strings.Join(people, ", ")})
		}
	}
	return out
}

// needs lists who must approve and who did.
func needs(st lifecycle.State, now time.Time) []need {
	outcome := approval.Tally(st.Subject, st.Votes, now)
	var out []need
	for _, r := range st.Subject.Requirements {
		n := need{Text: sentence(r.Text()), Why: r.Why}
		for _, filled := range outcome.Seats {
			if filled.Rule != r.Rule {
				continue
			}
			s := seat{Group: filled.Group, Person: filled.Person}
			for _, v := range st.Votes {
				if v.Person == s.Person && v.Decision == approval.Approve {
					s.SignIn = signIn(v.Vouched) // of the latest, which is the one that stands
				}
			}
			n.Seats = append(n.Seats, s)
		}
		for _, m := range outcome.Missing {
			if m.Rule == r.Rule {
				n.Left = m.Text
			}
		}
		out = append(out, n)
	}
	return out
}
