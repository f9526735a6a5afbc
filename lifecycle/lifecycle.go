// Package lifecycle says where a change stands: a state folded from its events
// alone. It is pure, and free of the workflow engine, so that the command line,
// the portal and the workflow all read a change in the same way.
package lifecycle

import (
	"time"

	"slipway/approval"
	"slipway/audit"
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
	Applied   Phase = "applied"   // at the provider, being verified
	Live      Phase = "live"      // end
	Rejected  Phase = "rejected"  // end
	Cancelled Phase = "cancelled" // end
	Expired   Phase = "expired"   // end
	Failed    Phase = "failed"    // a step after merge cannot go on; retried, a person is told
)

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
	App       string             `json:"app,omitempty"`
	Zones     []string           `json:"zones,omitempty"`
	Head      string             `json:"head"`     // the proposal's commit
	Revision  int                `json:"revision"` // 1, 2, …
	Base      string             `json:"base"`     // main when it was judged
	Tier      string             `json:"tier,omitempty"`
	Score     int                `json:"score"`
	Verdict   string             `json:"verdict,omitempty"` // document digest of the check.Verdict
	Subject   approval.Subject   `json:"subject"`
	Votes     []approval.Vote    `json:"votes,omitempty"` // current ones
	Missing   []approval.Missing `json:"missing,omitempty"`
	NotBefore time.Time          `json:"not_before,omitzero"`
	Commit    string             `json:"commit,omitempty"` // on main
	Receipts  []provider.Receipt `json:"receipts,omitempty"`
	Submitted time.Time          `json:"submitted"`
	Updated   time.Time          `json:"updated"`
	Problem   string             `json:"problem,omitempty"` // why denied, rejected or failed, for people
	Events    []string           `json:"events"`            // event IDs in order
}

// CONTRACT: replace by the real code. Details payloads of each action are types in this package.

// Fold replays a change's events, oldest first.
func Fold(events []audit.Receipt, now time.Time) (State, error) { panic("contract") }
