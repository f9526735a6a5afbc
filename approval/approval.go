// Package approval decides whether a change may go ahead: requirements, votes
// and quorum. It is pure: no clock, no I/O. Every way to vote (command line, API,
// portal) comes through Check, so that none is more lenient than another, and
// Tally sifts the recorded votes by the very same rules. Read approval.go for the
// words, ballot.go for the rules, match.go for who counts for which group.
package approval

import "time"

// Requirement is one thing that must be approved, taken from slipway.yaml by the tier and its reasons.
// One that names no group at all can be met by nobody: a mistake in the settings must not open a door.
type Requirement struct {
	Rule    string        `json:"rule"`             // "yellow", "red", "new-domain"
	AnyOf   []string      `json:"any_of,omitempty"` // one vote from a member of any of these groups, Count times
	AllOf   []string      `json:"all_of,omitempty"` // one vote from each of these groups, each by a different person
	Count   int           `json:"count"`
	Expires time.Duration `json:"expires"`          // nanoseconds; after this long without a decision the change expires; 0 sets no limit
	Ticket  bool          `json:"ticket,omitempty"` // a ticket reference must come with the request
	Reason  bool          `json:"reason,omitempty"` // who approves must say why: the change goes against a rule
	Why     []string      `json:"why"`
}

type Decision string

const (
	Approve  Decision = "approve"
	Reject   Decision = "reject"
	Withdraw Decision = "withdraw" // takes the person's own earlier vote back
)

// Vote is a person's decision on one content under one policy.
type Vote struct {
	Person       string    `json:"person"`
	Groups       []string  `json:"groups"` // of the person, when they voted
	Decision     Decision  `json:"decision"`
	Reason       string    `json:"reason,omitempty"` // required to reject, and to override a rule
	ChangeDigest string    `json:"change_digest"`
	PolicyDigest string    `json:"policy_digest"`
	At           time.Time `json:"at"`
	Via          string    `json:"via"`               // cli | api | portal
	Vouched      []string  `json:"vouched,omitempty"` // everyone whose word the voter's sign-in rests on
	EventID      string    `json:"event_id,omitempty"`
}

// Subject is what is voted on.
type Subject struct {
	ChangeDigest string        `json:"change_digest"`
	PolicyDigest string        `json:"policy_digest"`
	Requester    string        `json:"requester"`
	Authors      []string      `json:"authors"`           // every commit's author and committer
	Vouched      []string      `json:"vouched,omitempty"` // everyone whose word the requester's sign-in rests on
	Requirements []Requirement `json:"requirements"`
	Open         bool          `json:"open"` // accepting votes
	Opened       time.Time     `json:"opened"`
}

// Outcome is where the votes stand.
type Outcome struct {
	Approved bool
	Rejected bool
	Expired  bool
	Missing  []Missing         // per requirement, what is still needed
	Counted  map[string]string // group -> person whose vote counts for it; the first, where a group holds several seats
	Seats    []Seat            // every seat that is filled, in the order of the requirements
	Voided   []Vote            // votes on other content, another policy, or from people who may not vote
	Deadline time.Time
}

// Seat is one needed approval and the person whose vote fills it. Nobody has two.
type Seat struct {
	Rule   string `json:"rule"`
	Group  string `json:"group"` // the group of the person that gives them the right to it
	Person string `json:"person"`
}

// Missing says what one requirement still needs, for people.
type Missing struct {
	Rule   string   `json:"rule"`
	Groups []string `json:"groups"`
	Count  int      `json:"count"`
	Text   string   `json:"text"` // "one approver from InfoSec or Platform Ops"
}

// The codes of a Refusal. They are a published interface: callers map codes, never texts.
const (
	SelfApproval      = "self-approval"       // the person asked for the change or wrote a commit of it, or may be acting as who did
	NotAMember        = "not-a-member"        // of no group that the change needs
	StaleContent      = "stale-content"       // the vote is on another content
	StalePolicy       = "stale-policy"        // the vote is under another policy
	Closed            = "closed"              // the change takes no votes
	Expired           = "expired"             // nobody decided in time
	NoReason          = "no-reason"           // a rejection, or the override of a rule, without a reason
	AlreadyVoted      = "already-voted"       // the same decision is on record already
	NothingToWithdraw = "nothing-to-withdraw" // no vote of this person stands
	BadDecision       = "bad-decision"        // neither approve, reject nor withdraw
)

// Refusal is why a vote is not accepted.
type Refusal struct {
	Code string // one of the constants above
	Text string // plain words with what to do
}

func (r *Refusal) Error() string { return r.Text }
