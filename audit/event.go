// Package audit owns the record: signed events in a log that cannot be
// rewritten (Tessera, C2SP tlog-tiles), documents beside it by digest, an index
// rebuilt from both, and offline verification. Read event.go, log.go, verify.go.
package audit

import (
	"encoding/json"
	"time"
)

// Event is one signed entry. JSON names are a published interface: more may be added, none renamed.
type Event struct {
	EventID       string            `json:"event_id"`  // UUID v7 (RFC 9562), set by Append
	Timestamp     time.Time         `json:"timestamp"` // RFC 3339, UTC, set by Append when zero
	Actor         Actor             `json:"actor"`
	Action        Action            `json:"action"`
	Resource      Resource          `json:"resource"`
	ApprovalChain []string          `json:"approval_chain"` // people, in order; empty for an approval by rule
	GitCommit     string            `json:"git_commit"`
	ArtifactRefs  map[string]string `json:"artifact_refs"`     // name -> "sha256:…" of a document
	Change        string            `json:"change,omitempty"`  // change ID
	Once          string            `json:"once,omitempty"`    // at most one event in the log has this key: makes a repeated step harmless
	Details       json.RawMessage   `json:"details,omitempty"` // a small object, documented per action
	KeyID         string            `json:"key_id"`            // RFC 7638 thumbprint of the signing key, set by Append
	Signature     string            `json:"signature"`         // detached JWS (RFC 7515 appendix F), EdDSA over the RFC 8785 form of all other fields
}

type Actor struct {
	ID   string `json:"id"`   // e-mail address, or "slipway" for the system itself
	Role string `json:"role"` // "product-manager", "infosec", "system"
}

type Resource struct {
	Zone   string `json:"zone,omitempty"`
	Record string `json:"record,omitempty"`
	Type   string `json:"type,omitempty"`
	App    string `json:"app,omitempty"`
	Name   string `json:"name,omitempty"` // whatever else: an account, a token's label
}

// Action is what happened. Every action is in Actions with its meaning.
type Action string

const (
	StartLog         Action = "start-log"
	SubmitChange     Action = "submit-change"
	ReviseChange     Action = "revise-change"
	CheckChange      Action = "check-change"
	ApproveByRule    Action = "approve-by-rule"
	ApproveChange    Action = "approve-change"
	RejectChange     Action = "reject-change"
	WithdrawApproval Action = "withdraw-approval"
	VoidApprovals    Action = "void-approvals"
	ScheduleChange   Action = "schedule-change"
	CancelChange     Action = "cancel-change"
	ExpireChange     Action = "expire-change"
	MergeChange      Action = "merge-change"
	CreateDNSRecord  Action = "create-dns-record"
	UpdateDNSRecord  Action = "update-dns-record"
	DeleteDNSRecord  Action = "delete-dns-record"
	ApplyZone        Action = "apply-zone"
	GoLive           Action = "go-live"
	FailChange       Action = "fail-change" // needs a person: says at which step and why; may be retried
	DetectDrift      Action = "detect-drift"
	ResolveDrift     Action = "resolve-drift"
	CreateAccount    Action = "create-account"
	IssueLink        Action = "issue-link"
	SignIn           Action = "sign-in"
	IssueToken       Action = "issue-token"
	RevokeToken      Action = "revoke-token"
	RefusePush       Action = "refuse-push"
	RefuseVote       Action = "refuse-vote"
)
