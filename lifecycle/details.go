package lifecycle

import (
	"encoding/json"
	"fmt"
	"time"

	"slipway/approval"
	"slipway/audit"
	"slipway/provider"
)

// SubmitDetails goes with submit-change and revise-change. The whole request is the document "request".
type SubmitDetails struct {
	Revision   int       `json:"revision"`
	Head       string    `json:"head"`
	Title      string    `json:"title"`
	Ticket     string    `json:"ticket,omitempty"`
	Via        string    `json:"via"`
	NotBefore  time.Time `json:"not_before,omitzero"`
	ThirdParty bool      `json:"third_party,omitempty"`
	Vouched    []string  `json:"vouched,omitempty"` // whose word the requester's sign-in rests on
	Undoes     string    `json:"undoes,omitempty"`  // ID of the change that this one takes back
	Adopts     string    `json:"adopts,omitempty"`  // content digest of the live zone that this one makes the approved one
}

// CheckDetails goes with check-change. The whole verdict is the document "verdict".
type CheckDetails struct {
	Revision     int                    `json:"revision"`
	Base         string                 `json:"base"` // main when judged
	Head         string                 `json:"head"`
	ChangeDigest string                 `json:"change_digest,omitempty"`
	PolicyDigest string                 `json:"policy_digest,omitempty"`
	Tier         string                 `json:"tier,omitempty"`
	Score        int                    `json:"score"`
	Denied       bool                   `json:"denied"`
	Problem      string                 `json:"problem,omitempty"` // why denied, for people
	Requirements []approval.Requirement `json:"requirements,omitempty"`
	Authors      []string               `json:"authors,omitempty"`
	Creates      int                    `json:"creates"`
	Updates      int                    `json:"updates"`
	Deletes      int                    `json:"deletes"`
	App          string                 `json:"app,omitempty"`
	Zones        []string               `json:"zones,omitempty"` // the first MaxListed
	ZoneCount    int                    `json:"zone_count"`
}

// RuleDetails goes with approve-by-rule.
type RuleDetails struct {
	ChangeDigest string `json:"change_digest"`
	PolicyDigest string `json:"policy_digest"`
	Tier         string `json:"tier"`
}

// VoteDetails goes with approve-change, reject-change and withdraw-approval; the person is the event's actor.
type VoteDetails struct {
	Groups       []string `json:"groups"`
	Reason       string   `json:"reason,omitempty"`
	ChangeDigest string   `json:"change_digest"`
	PolicyDigest string   `json:"policy_digest"`
	Via          string   `json:"via"`
	Vouched      []string `json:"vouched,omitempty"` // whose word the person's sign-in rests on
}

// RefusalDetails goes with refuse-vote.
type RefusalDetails struct {
	Code     string   `json:"code"`
	Text     string   `json:"text"`
	Decision string   `json:"decision"`
	Via      string   `json:"via"`
	Vouched  []string `json:"vouched,omitempty"`
}

// VoidDetails goes with void-approvals: the votes named here count no more.
type VoidDetails struct {
	Reason string   `json:"reason"` // for people
	Votes  []string `json:"votes"`  // event IDs
	People []string `json:"people"`
}

// ScheduleDetails goes with schedule-change. The zero time means: as soon as approved.
type ScheduleDetails struct {
	NotBefore time.Time `json:"not_before,omitzero"`
	Via       string    `json:"via"`
}

// EndDetails goes with cancel-change and expire-change.
type EndDetails struct {
	Reason string `json:"reason,omitempty"`
	Via    string `json:"via,omitempty"`
}

// MergeDetails goes with merge-change.
type MergeDetails struct {
	Base         string   `json:"base"` // main before
	Head         string   `json:"head"`
	ChangeDigest string   `json:"change_digest"`
	PolicyDigest string   `json:"policy_digest"`
	Zones        []string `json:"zones,omitempty"` // the first MaxListed
	ZoneCount    int      `json:"zone_count"`
	Certify      []string `json:"certify,omitempty"` // apps that need a certificate which they do not have
}

// RecordDetails goes with create-, update- and delete-dns-record.
type RecordDetails struct {
	Before *Record `json:"before,omitempty"`
	After  *Record `json:"after,omitempty"`
}

// Record is a record set's content, or its digest when it is too long for an event.
type Record struct {
	TTL    int      `json:"ttl"`
	Values []string `json:"values,omitempty"`
	Digest string   `json:"digest,omitempty"`
}

// ApplyDetails goes with apply-zone.
type ApplyDetails struct {
	Receipt provider.Receipt `json:"receipt"`
	Commit  string           `json:"commit"` // that the zone is now as: the change's, or a later one
	Edits   int              `json:"edits"`  // record sets of this change in the zone
}

// HoldDetails goes with hold-apply. The plan is the document "plan".
type HoldDetails struct {
	Plan    string   `json:"plan"` // digest: just this plan can be released
	Deletes int      `json:"deletes"`
	Updates int      `json:"updates"`
	Live    int      `json:"live"`   // record sets of the zone as it is
	Limit   string   `json:"limit"`  // for people: what is allowed without a person looking
	Why     string   `json:"why"`    // for people: what it would do
	Groups  []string `json:"groups"` // whose members may release it
}

// ReleaseDetails goes with release-apply; the person is the event's actor.
type ReleaseDetails struct {
	Plan    string   `json:"plan"`
	Reason  string   `json:"reason"`
	Groups  []string `json:"groups"` // of the person
	Via     string   `json:"via"`
	Vouched []string `json:"vouched,omitempty"` // whose word the person's sign-in rests on
}

// LiveDetails goes with go-live.
type LiveDetails struct {
	Verified int      `json:"verified"`          // record sets that answered as wanted
	Gone     int      `json:"gone"`              // names that no longer answer, as wanted
	Skipped  []string `json:"skipped,omitempty"` // the first MaxListed that no resolver can be asked for
}

// FailDetails goes with fail-change.
type FailDetails struct {
	Step    string `json:"step"`
	Problem string `json:"problem"` // for people: what is wrong and what to do
}

// DriftDetails goes with detect-drift. The whole report is the document "drift".
type DriftDetails struct {
	Digest      string    `json:"digest"` // of the differences
	Live        string    `json:"live"`   // content digest of the live zone
	Commit      string    `json:"commit"` // the approved one
	Serial      uint32    `json:"serial"`
	Count       int       `json:"count"`
	Differences []Differs `json:"differences"` // the first MaxListed

	Scope string         `json:"scope,omitempty"` // parent: what the zone above says of it; else its record sets
	Kinds map[string]int `json:"kinds,omitempty"` // differences by kind
	Notes map[string]int `json:"notes,omitempty"` // what differs and is no drift, by kind
	Held  string         `json:"held,omitempty"`  // why the zone is not put back by rule, for people
}

// Differs names one record set that is not as approved.
type Differs struct {
	Kind string `json:"kind"` // changed | missing | extra | damaged | delegation | ds | glue
	Name string `json:"name"`
	Type string `json:"type"`
}

// DriftEndDetails goes with resolve-drift.
type DriftEndDetails struct {
	Digest string `json:"digest"` // of the differences that are no more, or are given up
	Live   string `json:"live,omitempty"`
	How    string `json:"how"` // gone | changed | overwrite
	Scope  string `json:"scope,omitempty"`

	// Of a zone that is put back by rule.
	Rule    string `json:"rule,omitempty"`    // the setting that allows it, as it is written
	Allowed string `json:"allowed,omitempty"` // the commit that the setting is in
	Sets    int    `json:"sets,omitempty"`    // record sets that are put back
}

// Encode makes an event's details.
func Encode[T any](details T) (json.RawMessage, error) {
	raw, err := json.Marshal(details)
	if err != nil {
		return nil, fmt.Errorf("details of an event: %w", err)
	}
	return raw, nil
}

// Decode reads an event's details. An event without any gives the zero value.
func Decode[T any](e audit.Event) (T, error) {
	var details T
	if len(e.Details) == 0 {
		return details, nil
	}
	if err := json.Unmarshal(e.Details, &details); err != nil {
		return details, fmt.Errorf("event %s: details of %s: %w", e.EventID, e.Action, err)
	}
	return details, nil
}
