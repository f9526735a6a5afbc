// Package lifecycle says where a change stands: a state folded from its events
// alone. It is pure, and free of the workflow engine, so that the command line,
// the portal and the workflow all read a change in the same way. Read
// lifecycle.go for the words, fold.go for how events move a change, next.go for
// what comes after, details.go for what each event carries.
package lifecycle

import (
	"time"

	"slipway/approval"
	"slipway/provider"
)

type Phase string

const (
	Submitted Phase = "submitted" // recorded, not judged yet
	Denied    Phase = "denied"    // judged and refused; a revision or a cancel may follow
	Waiting   Phase = "waiting"   // for approvers
	Scheduled Phase = "scheduled" // approved, waiting for its time
	Approved  Phase = "approved"  // may merge
	Merged    Phase = "merged"    // on main, being applied
	Held      Phase = "held"      // on main; what is left to apply waits for a person to release it
	Applied   Phase = "applied"   // at the provider; getting its certificates, being verified
	Live      Phase = "live"      // end
	Rejected  Phase = "rejected"  // end
	Cancelled Phase = "cancelled" // end
	Expired   Phase = "expired"   // end
	Failed    Phase = "failed"    // a step cannot go on; retried, a person is told
)

// Ended reports whether nothing can happen to a change any more.
func (p Phase) Ended() bool { return p == Live || p == Rejected || p == Cancelled || p == Expired }

// State is one change.
type State struct {
	ID        string             `json:"id"`
	Title     string             `json:"title"`
	Phase     Phase              `json:"phase"`
	Requester string             `json:"requester"`
	Role      string             `json:"role"`
	Via       string             `json:"via"` // cli | portal | push | api
	Ticket    string             `json:"ticket,omitempty"`
	Undoes    string             `json:"undoes,omitempty"` // ID of the change that this one takes back
	Adopts    string             `json:"adopts,omitempty"` // content digest of the live zone that it makes the approved one
	App       string             `json:"app,omitempty"`    // when the change touches exactly one
	Zones     []string           `json:"zones,omitempty"`  // the first MaxListed
	Head      string             `json:"head"`             // the proposal's commit
	Revision  int                `json:"revision"`         // 1, 2, …
	Base      string             `json:"base"`             // main when it was judged
	Tier      string             `json:"tier,omitempty"`
	Score     int                `json:"score"`
	Verdict   string             `json:"verdict,omitempty"` // document digest of the check.Verdict
	Subject   approval.Subject   `json:"subject"`
	Votes     []approval.Vote    `json:"votes,omitempty"` // on the current content, in the log's order
	Missing   []approval.Missing `json:"missing,omitempty"`
	Deadline  time.Time          `json:"deadline,omitzero"` // expires then unless decided
	NotBefore time.Time          `json:"not_before,omitzero"`
	Commit    string             `json:"commit,omitempty"` // on main
	Receipts  []provider.Receipt `json:"receipts,omitempty"`
	Held      []Hold             `json:"held,omitempty"` // applies that were stopped, and are not made yet
	Submitted time.Time          `json:"submitted"`
	Updated   time.Time          `json:"updated"`
	Problem   string             `json:"problem,omitempty"` // why denied, rejected or failed, for people
	Events    []string           `json:"events"`            // event IDs in order

	ByRule     bool              `json:"by_rule,omitempty"`     // approved by rule: no person was needed
	Vouched    []string          `json:"vouched,omitempty"`     // whose word the requester's sign-ins rest on, of every revision
	ThirdParty bool              `json:"third_party,omitempty"` // the requester counted as one when they asked
	Artifacts  map[string]string `json:"artifacts,omitempty"`   // name -> document digest: the request, the verdict, SBOMs, …
	ZoneCount  int               `json:"zone_count"`            // zones that the merge changed
	Certify    []string          `json:"certify,omitempty"`     // apps that still wait for their certificate
	Step       string            `json:"step,omitempty"`        // the step that failed, while failed
	Resume     Phase             `json:"resume,omitempty"`      // where a failed change goes on
}

// Hold is an apply of one zone that was stopped because it would take too much of the zone, and
// what became of that. It ends when the zone is applied.
type Hold struct {
	HoldDetails
	Zone     string    `json:"zone"`
	Document string    `json:"document,omitempty"` // digest of the plan's document
	At       time.Time `json:"at"`
	EventID  string    `json:"event_id"`
	Release  *Release  `json:"release,omitempty"` // nil: it waits for a person
}

// Release is a person's decision that a plan which was stopped may be applied.
type Release struct {
	By      string    `json:"by"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
	EventID string    `json:"event_id"`
}

// Hold returns the apply of a zone that was stopped; false when none is.
func (s State) Hold(zone string) (Hold, bool) {
	for _, h := range s.Held {
		if h.Zone == zone {
			return h, true
		}
	}
	return Hold{}, false
}

// Progress says how many of the zones of a merged change are applied, and how many there are.
func (s State) Progress() (done, all int) { return len(s.Receipts), s.ZoneCount }

// Waits lists the zones whose apply waits for a person.
func (s State) Waits() []string {
	var zones []string
	for _, h := range s.Held {
		if h.Release == nil {
			zones = append(zones, h.Zone)
		}
	}
	return zones
}

// ReleaseOf is what a person decides on who releases a plan: an approval of just that plan, by one
// member of the groups that could, and by nobody who has had a part in the change.
func (s State) ReleaseOf(h Hold) approval.Subject {
	return approval.Subject{
		ChangeDigest: h.Plan, PolicyDigest: h.Plan,
		Requester: s.Requester, Authors: s.Subject.Authors, Vouched: s.Subject.Vouched,
		Requirements: []approval.Requirement{{Rule: ReleaseRule, AnyOf: h.Groups, Count: 1, Reason: true, Why: []string{h.Why}}},
		Open:         true, Opened: h.At,
	}
}

// ReleaseRule is the rule of slipway.yaml that names who may release an apply.
const ReleaseRule = "yellow"

// MaxListed bounds the names that an event lists; counts beside them are exact.
const MaxListed = 50

// Chain is the people whose approval stands, in the order in which they gave it.
// It is empty for an approval by rule, never nil.
func (s State) Chain() []string {
	chain := []string{}
	for _, seat := range approval.Tally(s.Subject, s.Votes, s.Updated).Seats {
		chain = append(chain, seat.Person)
	}
	return chain
}

// BeforeMerge reports whether the change may still be stopped, revised or rescheduled.
func (s State) BeforeMerge() bool { return s.Commit == "" && !s.Phase.Ended() }
