// Package evidence owns bundles: what the record holds about one app, change,
// zone or period, with the proofs that it is in the log, in one file that anybody
// can verify offline (docs/evidence.md is its format). It makes bundles from a log,
// verifies them from the bundle alone, and says what was proven and what was not.
// It never writes into the log and trusts nothing that a bundle says of itself.
// Read data.go for what a bundle tells, export.go for how one is made, verify.go
// for how one is checked.
//
// Package evidence/present shows the data to people, evidence/controls maps it to
// the controls of standards; both build on data.go.
package evidence

import (
	"encoding/json"
	"time"

	"slipway/approval"
	"slipway/audit"
	"slipway/cert"
	"slipway/check/finding"
	"slipway/lifecycle"
	"slipway/provider"
)

// Format names the form of a bundle and of its data. Another number is another form.
const Format = "slipway-evidence/1"

// Data is all that a bundle tells, in the order of the log. It is made from the events and
// documents of the bundle alone (Fold), so whoever has verified those can make it again.
// Lists are never null in JSON.
type Data struct {
	Format     string     `json:"format"`
	Subject    Subject    `json:"subject"`
	Checkpoint Checkpoint `json:"checkpoint"` // the events below are proven against it
	From       time.Time  `json:"from"`       // of the first event of the subject
	To         time.Time  `json:"to"`         // of the last one

	Keys         []Key         `json:"keys"` // that signed the log's events, one after the other
	Changes      []Change      `json:"changes"`
	Certificates []Certificate `json:"certificates"`
	Drift        []Drift       `json:"drift"`
	DriftMonths  []DriftMonth  `json:"drift_months"`
	Reports      []Reported    `json:"reports"` // from sources outside, and what no approved change explains
	Zones        []Applied     `json:"zones"`   // every apply, also those of no change (a zone served for the first time)
	Artifacts    []Artifact    `json:"artifacts"`
	Timestamps   []Timestamp   `json:"timestamps"` // of checkpoints, by RFC 3161 authorities

	Events    []Event    `json:"events"`    // all that are in the bundle
	Documents []Document `json:"documents"` // all that those refer to, whether they are in the bundle or not
	Missing   []Gap      `json:"missing"`   // what a reader might look for in vain, and why
}

// Subject is what a bundle is about. Exactly one of App, Change and Zone is set, or
// none for everything in a period.
type Subject struct {
	App    string    `json:"app,omitempty"`
	Change string    `json:"change,omitempty"`
	Zone   string    `json:"zone,omitempty"`
	From   time.Time `json:"from,omitzero"` // recorded not before
	To     time.Time `json:"to,omitzero"`   // recorded before
	// Complete: the bundle has every event of the log from the first one of the subject on,
	// so that its reader can see that none of the subject's was left out.
	Complete bool `json:"complete,omitempty"`
}

// Checkpoint is the log's state that events are proven against.
type Checkpoint struct {
	Origin string `json:"origin"`
	Size   uint64 `json:"size"`
	Root   string `json:"root"` // base64
	// Signatures names those who signed the checkpoint's file: the log first, then witnesses. Whose
	// signatures are right is for the one who verifies to say.
	Signatures []string `json:"signatures"`
}

// Key is one event key and its turn.
type Key struct {
	ID        string          `json:"id"` // RFC 7638 thumbprint
	Algorithm string          `json:"algorithm"`
	Public    json.RawMessage `json:"public"`                // JWK
	After     *uint64         `json:"after,omitempty"`       // the event that handed over to it; absent for the first
	Until     *uint64         `json:"until,omitempty"`       // the last event that it signs; absent while it is its turn
	By        string          `json:"replaced_by,omitempty"` // the person who replaced it
	Because   string          `json:"because,omitempty"`
}

// Why an event is in a bundle.
const (
	WhySubject  = "subject"  // it is about what the bundle is about
	WhyKeys     = "keys"     // it says which keys sign the log
	WhyErasure  = "erasure"  // it says that a document was erased
	WhyTime     = "time"     // it holds a timestamp of the log
	WhyBoundary = "boundary" // it comes just before or after a period, or between the subject's events
)

// Event is one event of the log with its place.
type Event struct {
	Index uint64      `json:"index"`
	Why   string      `json:"why"`
	Event audit.Event `json:"event"`
}

// Change is one change from request to end.
type Change struct {
	State lifecycle.State `json:"state"` // folded from its events, as of the last one in the bundle
	Ended time.Time       `json:"ended,omitzero"`

	Revisions    []Revision `json:"revisions"`
	Verdicts     []Verdict  `json:"verdicts"`
	Approvals    []Approval `json:"approvals"` // every vote and every approval by rule, also those that no longer count
	Refusals     []Refusal  `json:"refusals"`  // of votes
	Merge        *Merge     `json:"merge,omitempty"`
	Edits        []Edit     `json:"edits"`   // record sets
	Applies      []Applied  `json:"applies"` // zones
	Holds        []Hold     `json:"holds"`   // applies that were stopped, and released
	Certificates []string   `json:"certificates"`
	Live         *Live      `json:"live,omitempty"`
	Failures     []Failure  `json:"failures"`
	Timeline     []Step     `json:"timeline"` // all of it, for people
}

// Place is where something stands in the log, and when it happened.
type Place struct {
	Index uint64    `json:"index"`
	At    time.Time `json:"at"`
}

// Revision is one content that was asked for.
type Revision struct {
	Place
	Number   int    `json:"number"`
	By       string `json:"by"`
	Role     string `json:"role"`
	Via      string `json:"via"`
	Title    string `json:"title"`
	Ticket   string `json:"ticket,omitempty"`
	Head     string `json:"head"`              // commit
	Request  string `json:"request,omitempty"` // document
	Document *Asked `json:"asked,omitempty"`   // what the document says; nil when it is erased or missing
}

// Asked is the part of the document "request" that is worth reading.
type Asked struct {
	Base  string            `json:"base"`
	Head  string            `json:"head"`
	Files map[string]string `json:"files,omitempty"`
}

// Verdict is one judgement.
type Verdict struct {
	Place
	lifecycle.CheckDetails
	Document string            `json:"document,omitempty"`
	Reasons  []string          `json:"tier_reasons"` // with the next two from the document: empty when it is erased or missing
	Findings []finding.Finding `json:"findings"`
	Signals  []Signal          `json:"signals"`
	Version  string            `json:"version,omitempty"` // of the rules
}

// Signal is a fact that bore on risk.
type Signal struct {
	Name   string `json:"name"`
	Weight int    `json:"weight"`
	Reason string `json:"reason"`
	Record string `json:"record,omitempty"`
}

// Approval is one vote, or an approval by rule (ByRule, with no person).
type Approval struct {
	Place
	EventID      string            `json:"event_id"`
	Person       string            `json:"person,omitempty"`
	Role         string            `json:"role,omitempty"`
	Groups       []string          `json:"groups"`
	Decision     approval.Decision `json:"decision"`
	ByRule       bool              `json:"by_rule,omitempty"`
	Tier         string            `json:"tier,omitempty"` // of an approval by rule
	Reason       string            `json:"reason,omitempty"`
	Via          string            `json:"via,omitempty"`
	ChangeDigest string            `json:"change_digest"`
	PolicyDigest string            `json:"policy_digest"`
	Vouched      []string          `json:"vouched"` // on whose word the person's sign-in rests
	Voided       *uint64           `json:"voided,omitempty"`
	VoidedWhy    string            `json:"voided_why,omitempty"`
}

// Refusal is a vote that the rules did not let count.
type Refusal struct {
	Place
	Person string `json:"person"`
	Code   string `json:"code"`
	Text   string `json:"text"`
}

// Merge is how a change came onto main.
type Merge struct {
	Place
	lifecycle.MergeDetails
	Commit    string   `json:"commit"`
	Approvers []string `json:"approvers"` // empty: approved by rule
}

// Edit is one record set as it was changed at a provider.
type Edit struct {
	Place
	Action audit.Action      `json:"action"` // create-, update- or delete-dns-record
	Zone   string            `json:"zone"`
	Record string            `json:"record"`
	Type   string            `json:"type"`
	App    string            `json:"app,omitempty"`
	Commit string            `json:"commit"`
	Before *lifecycle.Record `json:"before,omitempty"`
	After  *lifecycle.Record `json:"after,omitempty"`
}

// Applied is one apply of a zone, with what the provider said.
type Applied struct {
	Place
	Zone       string           `json:"zone"`
	Change     string           `json:"change,omitempty"`
	Commit     string           `json:"commit"`
	Edits      int              `json:"edits"`
	Receipt    provider.Receipt `json:"receipt"` // has the provider's own change ID
	ReceiptDoc string           `json:"receipt_document,omitempty"`
	ZoneBefore string           `json:"zone_before,omitempty"` // documents: the zone as it was and as it became
	ZoneAfter  string           `json:"zone_after,omitempty"`
}

// Hold is an apply that was stopped for taking away too much, or its release.
type Hold struct {
	Place
	Zone    string          `json:"zone"`
	By      string          `json:"by"`
	Release bool            `json:"release,omitempty"`
	Plan    string          `json:"plan,omitempty"` // document
	Details json.RawMessage `json:"details"`
}

// Live is when the name servers answered as the change wants it.
type Live struct {
	Place
	lifecycle.LiveDetails
}

// Failure is a step that could not go on.
type Failure struct {
	Place
	Step    string `json:"step"`
	Problem string `json:"problem"`
}

// Step is one line of a timeline.
type Step struct {
	Place
	EventID string       `json:"event_id"`
	Action  audit.Action `json:"action"`
	Actor   string       `json:"actor"`
	Role    string       `json:"role"`
	Text    string       `json:"text"` // one plain sentence
}

// Certificate is one certificate and what became of it. Its chain is the document Certificate.Chain.
type Certificate struct {
	cert.Certificate
	Ordered   *Place     `json:"ordered,omitempty"`
	IssuedAt  Place      `json:"issued_event"`
	CTProofs  []CTProof  `json:"ct_proofs"`
	RevokedBy string     `json:"revoked_by,omitempty"`
	RevokedAt *Place     `json:"revoked_event,omitempty"`
	Destroyed *Place     `json:"key_destroyed_event,omitempty"`
	Problems  []CertNote `json:"problems"` // renewals that failed, and warnings
}

// CTProof is that a Certificate Transparency log shows a certificate.
type CTProof struct {
	Place
	Log      string `json:"log"`
	LogID    string `json:"log_id"`
	LogIndex uint64 `json:"log_index"`
	Document string `json:"document,omitempty"`
}

// CertNote is something that went wrong with a certificate.
type CertNote struct {
	Place
	Text string `json:"text"`
}

// Drift is one time that a live zone was not as approved.
type Drift struct {
	Place
	Zone     string `json:"zone"`
	Document string `json:"document,omitempty"` // the whole comparison
	lifecycle.DriftDetails
	Attributed []Attributed `json:"attributed"` // what providers' logs say of who did it
	Ended      *DriftEnd    `json:"ended,omitempty"`
}

// Attributed is what a provider's log says of an edit.
type Attributed struct {
	Place
	Document string          `json:"document,omitempty"`
	Edits    json.RawMessage `json:"edits"`
}

// DriftEnd is how a drift ended.
type DriftEnd struct {
	Place
	By  string `json:"by"`
	How string `json:"how"`
}

// DriftMonth is the monthly report of an organisation.
type DriftMonth struct {
	Place
	Month    string          `json:"month"`
	Document string          `json:"document,omitempty"`
	Details  json.RawMessage `json:"details"`
}

// Reported is what a source outside said, or an act that no approved change explains.
type Reported struct {
	Place
	Action   audit.Action    `json:"action"` // receive-report or detect-out-of-band
	Change   string          `json:"change,omitempty"`
	Resource audit.Resource  `json:"resource"`
	Document string          `json:"document,omitempty"`
	Details  json.RawMessage `json:"details"`
}

// Artifact is a file that an app's manifest names (an SBOM, a provenance statement, a scan report).
type Artifact struct {
	Name   string   `json:"name"`
	Digest string   `json:"digest"`
	Change string   `json:"change"`
	Events []uint64 `json:"events"`
}

// Timestamp is an RFC 3161 token over a checkpoint of the log.
type Timestamp struct {
	Place
	Authority  string `json:"authority"`
	Size       uint64 `json:"size"`
	Token      string `json:"token,omitempty"`      // document
	Checkpoint string `json:"checkpoint,omitempty"` // document
}

// Document is one document that events of the bundle refer to.
type Document struct {
	Digest   string   `json:"digest"` // "sha256:…"
	Names    []string `json:"names"`  // that events call it by
	Events   []uint64 `json:"events"`
	Size     int64    `json:"size,omitempty"`
	Included bool     `json:"included"`
	Erased   *Erased  `json:"erased,omitempty"`
}

// Erased is who had a document erased, and why.
type Erased struct {
	Place
	By      string `json:"by"`
	Because string `json:"because"`
}

// Gap is what is not in a bundle although events speak of it.
type Gap struct {
	What string `json:"what"` // for people: "The document sha256:… (request)"
	Why  string `json:"why"`
}
