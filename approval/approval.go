// Package approval decides whether a change may go ahead: requirements, votes
// and quorum. It is pure: no clock, no I/O. Every way to vote (command line, API,
// portal) comes through Check, so that none is more lenient than another.
package approval

import "time"

// Requirement is one thing that must be approved, taken from slipway.yaml by the tier and its reasons.
type Requirement struct {
	Rule    string        `json:"rule"`             // "yellow", "red", "new-domain"
	AnyOf   []string      `json:"any_of,omitempty"` // one vote from a member of any of these groups, Count times
	AllOf   []string      `json:"all_of,omitempty"` // one vote from each of these groups, each by a different person
	Count   int           `json:"count"`
	Expires time.Duration `json:"expires"`          // nanoseconds; after this long without a decision the change expires
	Ticket  bool          `json:"ticket,omitempty"` // a ticket reference must come with the request
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
	Reason       string    `json:"reason,omitempty"` // required to reject
	ChangeDigest string    `json:"change_digest"`
	PolicyDigest string    `json:"policy_digest"`
	At           time.Time `json:"at"`
	Via          string    `json:"via"` // cli | api | portal
	EventID      string    `json:"event_id,omitempty"`
}

// Subject is what is voted on.
type Subject struct {
	ChangeDigest string        `json:"change_digest"`
	PolicyDigest string        `json:"policy_digest"`
	Requester    string        `json:"requester"`
	Authors      []string      `json:"authors"` // every commit's author and committer
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
	Counted  map[string]string // group -> person whose vote counts for it
	Voided   []Vote            // votes on other content, another policy, or from people who may not vote
	Deadline time.Time
}

// Missing says what one requirement still needs, for people.
type Missing struct {
	Rule   string   `json:"rule"`
	Groups []string `json:"groups"`
	Count  int      `json:"count"`
	Text   string   `json:"text"` // "one approver from InfoSec or Platform Ops"
}

// Refusal is why a vote is not accepted.
type Refusal struct {
	Code string // self-approval | not-a-member | stale-content | stale-policy | closed | expired | no-reason | already-voted | nothing-to-withdraw | bad-decision
	Text string // plain words with what to do
}

func (r *Refusal) Error() string { return r.Text }
