package evidence

import (
	"fmt"
	"slices"
	"strings"

	"slipway/approval"
	"slipway/audit"
	"slipway/lifecycle"
)

// changes checks what the events of each change must fit together to: that what was merged had
// been approved, and that no step is missing on the way to going live.
func (v *verifier) changes() error {
	if v.data == nil {
		return nil
	}
	of := map[string][]audit.Receipt{}
	for i := range v.events {
		if e := &v.events[i]; e.Why == WhySubject && e.Event.Change != "" {
			of[e.Event.Change] = append(of[e.Event.Change], audit.Receipt{Index: e.Index, Event: e.Event})
		}
	}
	var merged, live, open int
	approvedGood, err := v.passed(func() error {
		for i := range v.data.Changes {
			if c := &v.data.Changes[i]; c.Merge != nil {
				merged++
				v.approved(c, of[c.State.ID])
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	completeGood, err := v.passed(func() error {
		for i := range v.data.Changes {
			c := &v.data.Changes[i]
			if c.Live != nil {
				live++
				v.complete(c)
			} else if !c.State.Phase.Ended() {
				open++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if approvedGood && merged > 0 {
		v.proven(CheckApproval, "The %s had been approved before, under the very content and rules of the merge, by the rules alone or by people who neither asked for it nor wrote a part of it.", count(merged, "merged change"))
	}
	if completeGood && live > 0 {
		v.proven(CheckLifecycle, "No step of the %s that went live is missing: request, checks, approval, merge, every record set, every zone's receipt, every certificate.", count(live, "change"))
	}
	if open > 0 {
		v.notProven(CheckLifecycle, "What becomes of %s: by these events, not all has happened yet.", count(open, "change"))
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// approved counts the votes again as they stood just before the merge.
func (v *verifier) approved(c *Change, events []audit.Receipt) {
	at := slices.IndexFunc(events, func(r audit.Receipt) bool { return r.Event.Action == audit.MergeChange })
	merge := events[at].Event
	place := events[at].Index
	wrong := func(what string, args ...any) {
		v.inEvent(CheckApproval, place, "The change "+c.State.ID+" "+what, args...)
	}
	st, err := lifecycle.Fold(events[:at], merge.Timestamp)
	if err != nil {
		wrong("was merged before it was asked for.")
		return
	}
	phase := st.Phase
	if phase == lifecycle.Failed {
		phase = st.Resume
	}
	if phase != lifecycle.Approved {
		wrong("was merged when it was not approved: by its events it was %s.", phase)
		return
	}
	if c.Merge.ChangeDigest != st.Subject.ChangeDigest || c.Merge.PolicyDigest != st.Subject.PolicyDigest {
		wrong("was merged with another content, or under other rules, than it was approved with.")
	}
	if !slices.Equal(merge.ApprovalChain, st.Chain()) {
		wrong("was merged in the name of %s, and those who had approved it are %s.", people(merge.ApprovalChain), people(st.Chain()))
	}
	// Once more without counting, so that this much does not rest on how votes are counted.
	for _, who := range merge.ApprovalChain {
		if strings.EqualFold(who, st.Requester) || slices.ContainsFunc(st.Subject.Authors, func(a string) bool { return strings.EqualFold(a, who) }) {
			wrong("was approved by %s, who asked for it or wrote a part of it.", who)
		}
		if !slices.ContainsFunc(c.Approvals, func(a Approval) bool {
			return a.Index < place && a.Person == who && a.Decision == approval.Approve && a.ChangeDigest == c.Merge.ChangeDigest && a.PolicyDigest == c.Merge.PolicyDigest
		}) {
			wrong("was merged in the name of %s, of whom there is no approval before that.", who)
		}
	}
	if len(merge.ApprovalChain) == 0 && !slices.ContainsFunc(c.Approvals, func(a Approval) bool {
		return a.Index < place && a.ByRule && a.ChangeDigest == c.Merge.ChangeDigest && a.PolicyDigest == c.Merge.PolicyDigest
	}) {
		wrong("was merged without an approval of anybody or by rule.")
	}
}

func people(list []string) string {
	if len(list) == 0 {
		return "nobody"
	}
	return strings.Join(list, ", ")
}

// complete looks for the steps of a change that went live.
func (v *verifier) complete(c *Change) {
	missing := func(what string, args ...any) {
		v.inEvent(CheckLifecycle, c.Live.Index, "The change %s went live, but %s: an event was left out.", c.State.ID, fmt.Sprintf(what, args...))
	}
	if c.Merge == nil {
		missing("it was never put on main")
		return
	}
	edits := map[string]int{}
	for _, e := range c.Edits {
		edits[e.Zone]++
	}
	zones := map[string]bool{}
	for _, a := range c.Applies {
		if a.Index > c.Live.Index {
			continue
		}
		zones[a.Zone] = true
		if edits[a.Zone] != a.Edits {
			missing("of the zone %s there are %d edits of record sets where its receipt is for %d", a.Zone, edits[a.Zone], a.Edits)
		}
	}
	if len(zones) < c.Merge.ZoneCount {
		missing("there are receipts of %d zones where it changed %d", len(zones), c.Merge.ZoneCount)
	}
	for _, z := range c.Merge.Zones {
		if !zones[z] && len(zones) >= c.Merge.ZoneCount {
			missing("there is no receipt of the zone %s", z)
		}
	}
	for _, app := range c.Merge.Certify {
		if !slices.ContainsFunc(v.data.Certificates, func(cert Certificate) bool {
			return cert.App == app && cert.Change == c.State.ID && cert.IssuedAt.Index < c.Live.Index
		}) {
			missing("the certificate of the app %s is not there", app)
		}
	}
}
