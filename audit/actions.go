package audit

import (
	"encoding/json"
	"maps"
)

// Meaning is what the documentation says of an action.
type Meaning struct {
	Text    string // plainly, what has happened when this is in the log
	Example Event  // without the fields that Append sets
}

// Actions is the table of all actions: what each means, with an example. docs/events.md
// is made from it.
func Actions() map[Action]Meaning { return maps.Clone(actions) }

// The people, things and digests of the examples.
var (
	slipway = Actor{ID: "slipway", Role: "system"}
	ana     = Actor{ID: "ana@finmicro.example", Role: "product-manager"}
	ivy     = Actor{ID: "ivy@finmicro.example", Role: "infosec"}
	adam    = Actor{ID: "adam@finmicro.example", Role: "administrator"}
)

const (
	exampleChange = "c-0197d2b4"
	exampleCommit = "3f786850e387550fdab836ed7e6dc881de23001b"
	exampleDigest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0bb822cd15d6c15b0f00a8"
	exampleApp    = "expense-tracker"
	exampleZone   = "finmicro.example."
	exampleName   = "expenses.finmicro.example."
)

// of is the example of an event about a change.
func of(actor Actor, resource Resource, details string) Event {
	return Event{Actor: actor, Change: exampleChange, Resource: resource, Details: json.RawMessage(details)}
}

// about is the example of an event about something else.
func about(actor Actor, resource Resource, details string) Event {
	e := of(actor, resource, details)
	e.Change = ""
	return e
}

func (e Event) with(commit string, refs ...string) Event {
	e.GitCommit, e.ArtifactRefs = commit, map[string]string{}
	for _, name := range refs {
		e.ArtifactRefs[name] = exampleDigest
	}
	return e
}

func (e Event) approvedBy(people ...string) Event {
	e.ApprovalChain = people
	return e
}

var (
	inApp    = Resource{App: exampleApp}
	inZone   = Resource{Zone: exampleZone}
	onRecord = Resource{Zone: exampleZone, Record: exampleName, Type: "A", App: exampleApp}
)

var actions = map[Action]Meaning{
	StartLog: {"The log begins, or its keys are others from here on. The details are the keys that verify it.",
		about(slipway, Resource{Name: "slipway.finmicro.example/log"}, `{"origin":"slipway.finmicro.example/log","log":"slipway.finmicro.example/log+1a2b3c4d+…","events":{"keys":[]}}`)},
	SubmitChange: {"Somebody asked for a change. The whole request is the document “request”.",
		of(ana, inApp, `{"revision":1,"head":"`+exampleCommit+`","title":"New app expense-tracker","via":"portal"}`).with(exampleCommit, "request")},
	ReviseChange: {"The requester replaced the content of a change. Votes on the earlier content no longer count.",
		of(ana, inApp, `{"revision":2,"head":"`+exampleCommit+`","title":"New app expense-tracker","via":"push"}`).with(exampleCommit, "request")},
	CheckChange: {"The change was judged. The whole verdict, with every finding and the tier's reasons, is the document “verdict”.",
		of(slipway, inApp, `{"revision":1,"base":"`+exampleCommit+`","head":"`+exampleCommit+`","change_digest":"`+exampleDigest+`","policy_digest":"`+exampleDigest+`","tier":"yellow","score":35,"denied":false,"creates":1,"updates":0,"deletes":0,"zone_count":1}`).with(exampleCommit, "verdict")},
	ApproveByRule: {"The rules alone approved the change: its tier is green.",
		of(slipway, inZone, `{"change_digest":"`+exampleDigest+`","policy_digest":"`+exampleDigest+`","tier":"green"}`).with("", "verdict")},
	ApproveChange: {"A person approved the change as it is: the approval is of this change digest under this policy digest.",
		of(ivy, inApp, `{"groups":["infosec"],"change_digest":"`+exampleDigest+`","policy_digest":"`+exampleDigest+`","via":"cli"}`).approvedBy(ivy.ID)},
	RejectChange: {"A person rejected the change. Nothing more happens to it.",
		of(ivy, inApp, `{"groups":["infosec"],"reason":"The name looks like our sign-in page.","change_digest":"`+exampleDigest+`","policy_digest":"`+exampleDigest+`","via":"portal"}`)},
	WithdrawApproval: {"A person took back an approval before the change was merged.",
		of(ivy, inApp, `{"groups":["infosec"],"change_digest":"`+exampleDigest+`","policy_digest":"`+exampleDigest+`","via":"api"}`)},
	VoidApprovals: {"Approvals no longer count, because the content or the policy is another, or they are too old.",
		of(slipway, inApp, `{"reason":"The policy was changed, and judges this change otherwise.","votes":["0197d2b4-7c1e-7000-8000-000000000001"],"people":["ivy@finmicro.example"]}`)},
	ScheduleChange: {"The requester asked that the change goes live not before a time.",
		of(ana, inApp, `{"not_before":"2026-07-01T06:00:00Z","via":"portal"}`)},
	CancelChange: {"The requester withdrew the change. Nothing more happens to it.",
		of(ana, inApp, `{"reason":"Not needed any more.","via":"portal"}`)},
	ExpireChange: {"Nobody decided in time. Nothing more happens to the change.",
		of(slipway, inApp, `{"reason":"Nobody approved it within 7 days."}`)},
	MergeChange: {"The change became a commit on main, signed by Slipway: this is now what DNS should be.",
		of(slipway, inZone, `{"base":"`+exampleCommit+`","head":"`+exampleCommit+`","change_digest":"`+exampleDigest+`","policy_digest":"`+exampleDigest+`","zones":["`+exampleZone+`"],"zone_count":1}`).with(exampleCommit, "request", "verdict").approvedBy(ivy.ID)},
	CreateDNSRecord: {"A record set was created at the DNS provider.",
		of(slipway, onRecord, `{"after":{"ttl":300,"values":["192.0.2.10"]}}`).with(exampleCommit, "verdict").approvedBy(ivy.ID)},
	UpdateDNSRecord: {"A record set was changed at the DNS provider.",
		of(slipway, onRecord, `{"before":{"ttl":300,"values":["192.0.2.10"]},"after":{"ttl":300,"values":["192.0.2.11"]}}`).with(exampleCommit, "verdict").approvedBy(ivy.ID)},
	DeleteDNSRecord: {"A record set was deleted at the DNS provider.",
		of(slipway, onRecord, `{"before":{"ttl":300,"values":["192.0.2.10"]}}`).with(exampleCommit, "verdict").approvedBy(ivy.ID)},
	ApplyZone: {"The provider's zone was made equal to the committed one. The provider's receipt is in the details and is the document “receipt”.",
		of(slipway, inZone, `{"receipt":{},"commit":"`+exampleCommit+`","edits":1}`).with(exampleCommit, "receipt", "zone-before", "zone-after").approvedBy(ivy.ID)},
	GoLive: {"The name servers were asked, and answer as the change wants it. This ends a change well.",
		of(slipway, inZone, `{"verified":1,"gone":0}`).with(exampleCommit, "receipt").approvedBy(ivy.ID)},
	FailChange: {"A step after the merge cannot go on and needs a person. It is tried again, so this is not an end.",
		of(slipway, inZone, `{"step":"apply","problem":"The zone's folder cannot be written to. Make room on its disk and press “try again”."}`)},
	DetectDrift: {"A live zone is not what was last approved. The whole comparison is the document “drift”.",
		about(slipway, Resource{Zone: exampleZone, Record: exampleName, Type: "A"}, `{"digest":"`+exampleDigest+`","live":"`+exampleDigest+`","commit":"`+exampleCommit+`","serial":2026070101,"count":1,"differences":[{"kind":"changed","name":"`+exampleName+`","type":"A"}]}`).with(exampleCommit, "drift")},
	ResolveDrift: {"A drift is no more, or somebody decided that it may be overwritten.",
		about(adam, inZone, `{"digest":"`+exampleDigest+`","how":"overwrite"}`).with(exampleCommit)},
	CreateAccount: {"An account was made, or its role was changed.",
		about(adam, Resource{Name: ana.ID}, `{"role":"product-manager"}`)},
	IssueLink: {"A one-time link to sign in was made. The log has its digest only. “vouched” names whom whoever signs in by it rests on: the issuer, whom the issuer’s own session rested on, and so on.",
		about(adam, Resource{Name: ana.ID}, `{"digest":"`+exampleDigest+`","expires":"2026-07-02T06:00:00Z","vouched":["adam@finmicro.example","slipway"]}`)},
	DisableAccount: {"An account was disabled: its sessions, tokens and unused links ended at once.",
		about(adam, Resource{Name: ana.ID}, `{"reason":"left the company"}`)},
	EnableAccount: {"A disabled account may be used again. Nothing that ended came back.",
		about(adam, Resource{Name: ana.ID}, `{}`)},
	SignIn: {"Somebody signed in.",
		about(ana, Resource{}, `{"link":"`+exampleDigest+`","nonce":"Zk3p9w"}`)},
	IssueToken: {"A personal token was made. The log has its digest only.",
		about(ana, Resource{Name: "laptop"}, `{"id":"t-4711","digest":"`+exampleDigest+`","expires":"2026-12-31T00:00:00Z"}`)},
	RevokeToken: {"A personal token was revoked.",
		about(ana, Resource{Name: "laptop"}, `{"id":"t-4711","owner":"ana@finmicro.example"}`)},
	RefusePush: {"A Git push was refused, because it tried another way than a change.",
		about(ana, Resource{Name: "refs/heads/main"}, `{"reason":"Main is changed by approved changes only. Push to refs/for/main instead."}`)},
	RefuseVote: {"A vote was refused, because the rules do not let this person decide on this change.",
		of(ana, inApp, `{"code":"own-change","text":"You asked for this change, so somebody else has to approve it.","decision":"approve","via":"cli"}`)},
	EraseDocument: {"A document was erased from the store, because somebody decided that it may not be kept. What the log says of it stays. The resource's name is the document's digest.",
		about(adam, Resource{Name: exampleDigest}, `{"because":"Request for erasure of personal data, ticket 1234."}`)},
	RotateKey: {"Another key signs events from here on. This event is the last that the old key signs, and the resource's name is the ID of the new one.",
		about(adam, Resource{Name: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"}, `{"because":"Yearly change of keys.","key":{"use":"sig","kty":"OKP","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","crv":"Ed25519","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}`)},
	OrderCertificate: {"An authority took an order for a certificate. Its URL is all that is needed to go on with it after a crash.",
		of(slipway, inApp, `{"order":{"request":"`+exampleChange+`/`+exampleApp+`","authority":"internal","url":"https://ca.finmicro.example/acme/order/1","account":"https://ca.finmicro.example/acme/account/1","names":["`+exampleName+`"],"key_ref":"file:expense-tracker-1a2b3c4d","at":"2026-11-24T09:00:00Z"}}`)},
	WriteChallenge: {"Slipway is about to write a record that proves to an authority that the name is ours (RFC 8555 section 8.4). It never stands in the zones repository.",
		of(slipway, Resource{Zone: exampleZone, Record: "_acme-challenge." + exampleName, Type: "TXT", App: exampleApp}, `{"challenge":{"request":"`+exampleChange+`/`+exampleApp+`","name":"_acme-challenge.`+exampleName+`","value":"gfj9Xq…Rg85nM"}}`)},
	RemoveChallenge: {"The record that proved the name to the authority is gone from the zone again.",
		of(slipway, Resource{Zone: exampleZone, Record: "_acme-challenge." + exampleName, Type: "TXT", App: exampleApp}, `{"challenge":{"request":"`+exampleChange+`/`+exampleApp+`","name":"_acme-challenge.`+exampleName+`","value":"gfj9Xq…Rg85nM"},"serial":2026112402}`)},
	IssueCertificate: {"An authority issued a certificate. The chain is the document “certificate”. The resource's name is the serial number.",
		of(slipway, Resource{App: exampleApp, Name: "3fa9c1"}, `{"certificate":{"id":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0bb822cd15d6c15b0f00a8","request":"`+exampleChange+`/`+exampleApp+`","app":"`+exampleApp+`","names":["`+exampleName+`"],"serial":"3fa9c1","issuer":"CN=Fin Micro Ltd Intermediate CA","authority":"internal","key_ref":"file:expense-tracker-1a2b3c4d","key_kind":"ecdsa-p256","not_before":"2026-11-24T09:00:00Z","not_after":"2026-12-24T09:00:00Z","chain":"`+exampleDigest+`","issued":"2026-11-24T09:00:00Z"}}`).with(exampleCommit, "certificate")},
	RevokeCertificate: {"A certificate was revoked at its authority, with a reason of RFC 5280 section 5.3.1.",
		about(ivy, Resource{App: exampleApp, Name: "3fa9c1"}, `{"id":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0bb822cd15d6c15b0f00a8","reason":"key-compromise","why":"The app's server was broken into."}`)},
	FailCertificate: {"A certificate could not be renewed. It is tried again at the time given.",
		about(slipway, Resource{App: exampleApp, Name: "3fa9c1"}, `{"id":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0bb822cd15d6c15b0f00a8","problem":"The authority could not be reached.","next":"2026-12-14T10:00:00Z"}`)},
	WarnCertificate: {"A certificate needs a person: it expires soon and could not be renewed, or a CAA record forbids its authority.",
		about(slipway, Resource{App: exampleApp, Name: "3fa9c1"}, `{"id":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0bb822cd15d6c15b0f00a8","kind":"expiring","text":"The certificate of expense-tracker expires in 3 days, and renewing it has failed 4 times."}`)},
	DetectCertificate: {"A Certificate Transparency log holds a certificate for one of the organisation's names that did not come from here. It is the document “certificate”.",
		about(slipway, Resource{Zone: exampleZone, Record: exampleName, Name: "77ab01"}, `{"id":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0bb822cd15d6c15b0f00a8","names":["`+exampleName+`"],"serial":"77ab01","issuer":"CN=Some CA","log":"example-log-2026h2","index":4711}`).with("", "certificate")},
	AcceptCertificate: {"A person looked at a certificate that did not come from here, and says why it may be.",
		about(ivy, Resource{Name: "77ab01"}, `{"id":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0bb822cd15d6c15b0f00a8","reason":"The mail provider's own certificate, ticket 4711."}`)},
	ProveCertificate: {"A Certificate Transparency log proved that it shows a certificate, as it had promised. The proof, which holds without the log, is the document “ct-proof”.",
		about(slipway, Resource{App: exampleApp, Name: "3fa9c1"}, `{"id":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0bb822cd15d6c15b0f00a8","log":"example-2026h2","log_id":"5614069a","index":4711}`).with("", "ct-proof")},
	DestroyKey: {"The private key of a certificate that no longer serves was destroyed in its key store.",
		about(slipway, Resource{App: exampleApp, Name: "file:expense-tracker-1a2b3c4d"}, `{"key_ref":"file:expense-tracker-1a2b3c4d","certificate":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0bb822cd15d6c15b0f00a8"}`)},
	AttributeDrift: {"The log of a provider says who made an edit that was found as drift. What it says is the document “report”.",
		about(slipway, inZone, `{"digest":"`+exampleDigest+`","edits":[{"name":"`+exampleName+`","type":"A","by":"arn:aws:iam::123456789012:user/olga","at":"2026-06-30T08:58:00Z","source":"cloudtrail","id":"b6f0c1d2"}]}`).with("", "report")},
	ReportDrift: {"A month's drift: how often, where, how long, who, and whether it becomes more or less. The whole of it is the document “drift-report”.",
		about(slipway, Resource{Name: "2026-06"}, `{"month":"2026-06","found":4,"ended":3,"open":1,"zones":2,"before":6}`).with("", "drift-report")},
	HoldApply: {"An apply was stopped, because it would take away or change more of the zone than the settings allow without a person looking. The plan is the document “plan”.",
		of(slipway, inZone, `{"plan":"`+exampleDigest+`","deletes":40,"updates":2,"live":100,"limit":"30% deletes","why":"in zone `+exampleZone+` it would delete 40 of its 100 record sets (40%), where at most 30% are expected at once","groups":["infosec","platform-ops"]}`).with(exampleCommit, "plan")},
	ReleaseApply: {"A person looked at a plan that had been stopped, and says that just this plan may be applied.",
		of(adam, inZone, `{"plan":"`+exampleDigest+`","reason":"The old office is closed, ticket 4711.","groups":["platform-ops"],"via":"portal"}`)},
	WarnRecord: {"Something that guards the record, or takes it elsewhere, does not do its work: a witness, a mirror, a reader, a certificate log.",
		about(slipway, Resource{Name: "mirrors/vault"}, `{"guard":"mirrors","name":"vault","problem":"The bucket cannot be reached.","since":"2026-06-30T08:00:00Z"}`)},
	RecoverRecord: {"What was warned of does its work again, and has made up for the time between.",
		about(slipway, Resource{Name: "mirrors/vault"}, `{"guard":"mirrors","name":"vault"}`)},
	TimestampCheckpoint: {"A timestamp authority (RFC 3161) signed that a checkpoint existed. Its token is the document “timestamp”, the checkpoint is the document “checkpoint”.",
		about(slipway, Resource{Name: "timestamps/qualified"}, `{"size":4711,"root":"u6X0…=","time":"2026-06-30T09:15:00Z","signer":"CN=Time Stamping Unit 3,O=Example Trust"}`).with("", "timestamp", "checkpoint")},
	ReceiveReport: {"A source outside reported what happened there. What it sent is the document “report”; where it belongs to a change, the event names it.",
		of(slipway, Resource{Zone: exampleZone, Record: exampleName, Type: "A", Name: "cloudtrail"}, `{"source":"cloudtrail","kind":"change-record-sets","id":"b6f0c1d2","by":"arn:aws:iam::123456789012:role/slipway","at":"2026-06-30T09:14:58Z"}`).with("", "report")},
	MatchReport: {"A report that had come before Slipway's own event was found to belong to a change.",
		of(slipway, Resource{Zone: exampleZone, Name: "cloudtrail"}, `{"report":"0197d2b4-7c1e-7000-8000-000000000001","how":"the provider's change ID is that of an apply"}`)},
	DetectOutOfBand: {"A source outside reported an act that no approved change explains.",
		about(slipway, Resource{Zone: exampleZone, Record: exampleName, Type: "A", Name: "cloudtrail"}, `{"source":"cloudtrail","kind":"change-record-sets","id":"b6f0c1d2","by":"arn:aws:iam::123456789012:user/olga","at":"2026-06-30T08:58:00Z"}`).with("", "report")},
	ExportEvidence: {"Somebody took evidence out: of what, and as “bundle” the digest of its manifest, which lists every file in it. The event seals the bundle.",
		about(Actor{ID: "alma@finmicro.example", Role: "auditor"}, inApp, `{"app":"`+exampleApp+`","bundle":"`+exampleDigest+`","events":42}`)},
}
