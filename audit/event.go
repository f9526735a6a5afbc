// Package audit owns the record: signed events in a log that cannot be
// rewritten (Tessera, C2SP tlog-tiles), documents beside it by digest, an index
// that is rebuilt from the log alone, and offline verification. It never decides
// what an event means for a change: package lifecycle folds events into states.
// Read event.go first, then log.go for writing and verify.go for checking.
package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
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
	Signature     string            `json:"signature"`         // detached JWS (RFC 7515 appendix F), EdDSA or ES256, over the RFC 8785 form of all other fields
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
	DisableAccount   Action = "disable-account"
	EnableAccount    Action = "enable-account"
	SignIn           Action = "sign-in"
	IssueToken       Action = "issue-token"
	RevokeToken      Action = "revoke-token"
	RefusePush       Action = "refuse-push"
	RefuseVote       Action = "refuse-vote"
	EraseDocument    Action = "erase-document"
	RotateKey        Action = "rotate-key"

	OrderCertificate  Action = "order-certificate"
	WriteChallenge    Action = "write-challenge"
	RemoveChallenge   Action = "remove-challenge"
	IssueCertificate  Action = "issue-certificate"
	RevokeCertificate Action = "revoke-certificate"
	FailCertificate   Action = "fail-certificate" // a renewal that did not succeed; it is tried again
	WarnCertificate   Action = "warn-certificate"
	DetectCertificate Action = "detect-certificate" // seen in a CT log, and not from here
	AcceptCertificate Action = "accept-certificate"
	DestroyKey        Action = "destroy-key"
	ProveCertificate  Action = "prove-certificate" // a CT log shows it, as promised

	AttributeDrift      Action = "attribute-drift" // a provider's own log says who made an edit
	ReportDrift         Action = "report-drift"    // of one month
	HoldApply           Action = "hold-apply"      // it would take away more than the settings allow
	ReleaseApply        Action = "release-apply"   // a person has looked at just that
	WarnRecord          Action = "warn-record"     // a guard of the record does not do its work
	RecoverRecord       Action = "recover-record"  // and does it again
	TimestampCheckpoint Action = "timestamp-checkpoint"
	ReceiveReport       Action = "receive-report"     // from a source outside
	MatchReport         Action = "match-report"       // it belongs to a change, as was found out later
	DetectOutOfBand     Action = "detect-out-of-band" // no approved change explains a report
	ExportEvidence      Action = "export-evidence"
)

// MaxEvent bounds an event's canonical form. C2SP tlog-tiles gives an entry's length
// 16 bits.
const MaxEvent = 1<<16 - 1

const maxField = 1024 // bytes of one name, identity or key

const digestPrefix = "sha256:"

// validDigest says whether a text names a document by its content: "sha256:" and 64 hex
// digits.
func validDigest(text string) bool {
	digits, ok := strings.CutPrefix(text, digestPrefix)
	if !ok || len(digits) != 64 {
		return false
	}
	for i := range len(digits) {
		if c := digits[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Validate says what is wrong with an event that a caller wants to append. The
// fields that Append sets are not looked at.
func (e *Event) Validate() error {
	if _, known := actions[e.Action]; !known {
		return fmt.Errorf("the action %q is not one of those in the table of actions", e.Action)
	}
	if e.Actor.ID == "" || e.Actor.Role == "" {
		return errors.New("an event names who did it (actor.id) and in which role (actor.role)")
	}
	for _, f := range [...]struct{ name, value string }{
		{"actor.id", e.Actor.ID}, {"actor.role", e.Actor.Role}, {"change", e.Change}, {"once", e.Once}, {"git_commit", e.GitCommit},
		{"resource.zone", e.Resource.Zone}, {"resource.record", e.Resource.Record}, {"resource.type", e.Resource.Type},
		{"resource.app", e.Resource.App}, {"resource.name", e.Resource.Name},
	} {
		if err := validateField(f.name, f.value); err != nil {
			return err
		}
	}
	for _, approver := range e.ApprovalChain {
		if err := validateField("an entry of approval_chain", approver); err != nil {
			return err
		}
	}
	for name, digest := range e.ArtifactRefs {
		if err := validateField("a name in artifact_refs", name); err != nil {
			return err
		}
		if !validDigest(digest) {
			return fmt.Errorf("artifact_refs: %q is %q, which is not a digest of the form sha256:<64 hex digits>", name, digest)
		}
	}
	if len(e.Details) > 0 && !strings.HasPrefix(strings.TrimSpace(string(e.Details)), "{") {
		return errors.New("details must be a JSON object")
	}
	return nil
}

func validateField(name, value string) error {
	if len(value) > maxField {
		return fmt.Errorf("%s has %d bytes, and at most %d are allowed", name, len(value), maxField)
	}
	if !utf8.ValidString(value) {
		return fmt.Errorf("%s is not valid UTF-8", name)
	}
	return nil
}

// normalise gives an event the one form that it is signed in: names that are always
// there are there, and the time is UTC in milliseconds.
func (e *Event) normalise() {
	if e.ApprovalChain == nil {
		e.ApprovalChain = []string{}
	}
	if e.ArtifactRefs == nil {
		e.ArtifactRefs = map[string]string{}
	}
	e.Timestamp = e.Timestamp.UTC().Truncate(time.Millisecond)
}

// ends says whether nothing more is expected of a change after this action.
func (a Action) ends() bool {
	return a == GoLive || a == RejectChange || a == CancelChange || a == ExpireChange
}
