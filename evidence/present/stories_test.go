package present_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"slipway/approval"
	"slipway/audit"
	"slipway/cert"
	"slipway/check/finding"
	"slipway/evidence"
	"slipway/lifecycle"
	"slipway/provider"
)

// The people of the stories.
var (
	system = audit.Actor{ID: "slipway", Role: "system"}
	ana    = audit.Actor{ID: "ana@finmicro.example", Role: "product-manager"}
	ivy    = audit.Actor{ID: "ivy@finmicro.example", Role: "infosec"}
	lena   = audit.Actor{ID: "lena@finmicro.example", Role: "legal"}
	sam    = audit.Actor{ID: "sam@finmicro.example", Role: "security"}
	pia    = audit.Actor{ID: "pia@finmicro.example", Role: "product"}
)

const (
	change = "c-0001"
	app    = "expense-tracker"
	zone   = "finmicro.example."
	name   = "expenses.finmicro.example."
	base   = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"
	head   = "1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e"
	commit = "2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d"
)

// tale is a record in the making: what flow would have written, with a clock of its own.
type tale struct {
	t       testing.TB
	events  []evidence.Event
	papers  map[string][]byte
	now     time.Time
	title   string
	chain   []string
	refs    map[string]string
	subject evidence.Subject
}

func newTale(t testing.TB) *tale {
	return &tale{t: t, papers: map[string][]byte{}, now: time.Date(2026, 7, 1, 9, 0, 0, 0, time.UTC), title: "New app " + app, refs: map[string]string{}, subject: evidence.Subject{App: app}}
}

func digestOf(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

var (
	changeDigest = digestOf([]byte("the change"))
	policyDigest = digestOf([]byte("the policy"))
)

func (s *tale) put(what string, v any) string {
	raw, ok := v.([]byte)
	if !ok {
		var err error
		if raw, err = json.Marshal(v); err != nil {
			s.t.Fatal(err)
		}
	}
	digest := digestOf(raw)
	s.papers[digest] = raw
	s.refs[what] = digest
	return digest
}

func (s *tale) add(e audit.Event, details any) audit.Event {
	raw, err := json.Marshal(details)
	if err != nil {
		s.t.Fatal(err)
	}
	s.now = s.now.Add(7 * time.Minute)
	index := uint64(40 + 3*len(s.events))
	e.EventID, e.Timestamp, e.Details = fmt.Sprintf("0197d2b4-7c1e-7000-8000-%012d", index), s.now, raw
	if e.Actor.ID == "" {
		e.Actor = system
	}
	if e.ApprovalChain == nil {
		e.ApprovalChain = s.chain
	}
	if e.ArtifactRefs == nil {
		e.ArtifactRefs = map[string]string{}
	}
	s.events = append(s.events, evidence.Event{Index: index, Why: evidence.WhySubject, Event: e})
	return e
}

// step is an event of the change.
func (s *tale) step(action audit.Action, by audit.Actor, r audit.Resource, details any, refs ...string) audit.Event {
	e := audit.Event{Action: action, Actor: by, Change: change, Resource: r, GitCommit: head, ArtifactRefs: map[string]string{}}
	if r.App == "" {
		e.Resource.App = app
	}
	for _, name := range refs {
		e.ArtifactRefs[name] = s.refs[name]
	}
	return s.add(e, details)
}

func (s *tale) submit() *tale {
	s.put("request", map[string]any{"base": base, "head": head, "files": map[string]string{"apps/" + app + ".yaml": "owner: ana@finmicro.example\n"}})
	s.step(audit.SubmitChange, ana, audit.Resource{}, lifecycle.SubmitDetails{Revision: 1, Head: head, Title: s.title, Ticket: "CHG-7", Via: "portal", Vouched: []string{"slipway"}}, "request")
	return s
}

func (s *tale) check(tier, problem string, requires []approval.Requirement, findings ...finding.Finding) *tale {
	if findings == nil {
		findings = []finding.Finding{}
	}
	s.put("verdict", map[string]any{"tier": tier, "tier_reasons": []string{"The app is new."}, "findings": findings, "version": "3",
		"signals": []map[string]any{{"name": "new-app", "weight": 5, "reason": "There was no app of this name.", "record": "expenses.finmicro.example A"}}})
	s.step(audit.CheckChange, system, audit.Resource{}, lifecycle.CheckDetails{Revision: 1, Base: base, Head: head, ChangeDigest: changeDigest, PolicyDigest: policyDigest,
		Tier: tier, Score: 35, Denied: problem != "", Problem: problem, Requirements: requires, Authors: []string{ana.ID}, Creates: 1, App: app, Zones: []string{zone}, ZoneCount: 1}, "verdict")
	return s
}

func (s *tale) byRule() *tale {
	s.step(audit.ApproveByRule, system, audit.Resource{Zone: zone}, lifecycle.RuleDetails{ChangeDigest: changeDigest, PolicyDigest: policyDigest, Tier: "green"}, "verdict")
	return s
}

func (s *tale) vote(who audit.Actor, action audit.Action, group, reason string) audit.Event {
	if action == audit.ApproveChange {
		s.chain = append(append([]string{}, s.chain...), who.ID)
	}
	return s.step(action, who, audit.Resource{}, lifecycle.VoteDetails{Groups: []string{group}, Reason: reason, ChangeDigest: changeDigest, PolicyDigest: policyDigest, Via: "portal", Vouched: []string{"adam@finmicro.example", "slipway"}}, "verdict")
}

// finish takes an approved change all the way.
func (s *tale) finish() *tale {
	s.put("sbom", []byte(`{"bomFormat":"CycloneDX"}`))
	s.step(audit.MergeChange, system, audit.Resource{Zone: zone}, lifecycle.MergeDetails{Base: base, Head: head, ChangeDigest: changeDigest, PolicyDigest: policyDigest, Zones: []string{zone}, ZoneCount: 1, Certify: []string{app}}, "request", "verdict", "sbom")
	s.events[len(s.events)-1].Event.GitCommit = commit
	s.step(audit.CreateDNSRecord, system, audit.Resource{Zone: zone, Record: name, Type: "A"}, lifecycle.RecordDetails{After: &lifecycle.Record{TTL: 300, Values: []string{"192.0.2.10"}}}, "verdict")
	receipt := provider.Receipt{Provider: "zonefile", Zone: zone, ProviderChange: "serial-2026070101", Serial: 2026070101, Before: digestOf([]byte("before")), After: digestOf([]byte("after")), Applied: true, At: s.now}
	s.put("receipt", receipt)
	s.put("zone-before", []byte("; nothing\n"))
	s.put("zone-after", []byte(name+" 300 IN A 192.0.2.10\n"))
	s.step(audit.ApplyZone, system, audit.Resource{Zone: zone}, lifecycle.ApplyDetails{Receipt: receipt, Commit: commit, Edits: 1}, "receipt", "zone-before", "zone-after")
	c := cert.Certificate{ID: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0bb822cd15d6c15b0f00a8", Request: change + "/" + app, App: app, Change: change, Names: []string{"expenses.finmicro.example"}, Serial: "3fa9c1",
		Issuer: "CN=Fin Micro Ltd Intermediate CA", Authority: "internal", KeyKind: "ecdsa-p256", NotBefore: s.now, NotAfter: s.now.Add(720 * time.Hour), Issued: s.now}
	c.Chain = s.put("certificate", []byte("-----BEGIN CERTIFICATE-----\n"))
	s.step(audit.OrderCertificate, system, audit.Resource{}, cert.OrderDetails{Order: cert.Order{Request: c.Request, Authority: "internal"}})
	s.step(audit.IssueCertificate, system, audit.Resource{Name: c.Serial}, cert.IssueDetails{Certificate: c}, "certificate")
	s.step(audit.GoLive, system, audit.Resource{Zone: zone}, lifecycle.LiveDetails{Verified: 1}, "receipt")
	return s
}

// tell makes the data of a bundle of the tale.
func (s *tale) tell() *evidence.Data {
	s.t.Helper()
	sizes := map[string]int64{}
	for digest, content := range s.papers {
		sizes[digest] = int64(len(content))
	}
	d, err := evidence.Fold(s.events, evidence.Bundled{
		Subject:    s.subject,
		Checkpoint: evidence.Checkpoint{Origin: "slipway.finmicro.example/log", Size: 4711, Root: "CZU5R9Jk6GwYCr7Jf5hQjM3p5h0p0H1ZVvKqk8Q6mVw=", Signatures: []string{"slipway.finmicro.example/log", "witness.audit.example"}},
		Document:   func(digest string) ([]byte, bool) { c, ok := s.papers[digest]; return c, ok },
		Sizes:      sizes, Why: map[string]string{},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	d.Keys = []evidence.Key{{ID: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", Algorithm: "EdDSA", Public: json.RawMessage(`{"kty":"OKP"}`)}}
	return d
}

func mustDeny() finding.Finding {
	return finding.Finding{Rule: "spf-allows-everyone", Severity: finding.Deny, Message: "Everybody in the world may send mail in your name.", Help: "End the record in -all.", Path: "apps/expense-tracker.yaml", Line: 9,
		Record: "expenses.finmicro.example TXT", Controls: []string{"SOC2:CC6.6", "ISO27001:A.5.14"}}
}

func lowTTL() finding.Finding {
	return finding.Finding{Rule: "ttl-out-of-bounds", Severity: finding.Warn, Message: "The TTL is low.", Help: "Raise it.", Controls: []string{"SOC2:CC8.1"}}
}

var (
	yellow = []approval.Requirement{{Rule: "yellow", AnyOf: []string{"infosec"}, Count: 1, Expires: 7 * 24 * time.Hour, Why: []string{"It can be seen by the whole world."}}}
	red    = []approval.Requirement{{Rule: "red", AllOf: []string{"legal", "security", "product"}, Expires: 14 * 24 * time.Hour, Why: []string{"It handles financial data."}}}
)

// stories are the bundles that the golden files show.
var stories = map[string]func(testing.TB) *evidence.Data{
	"green": func(t testing.TB) *evidence.Data {
		return newTale(t).submit().check("green", "", nil).byRule().finish().tell()
	},
	"yellow": func(t testing.TB) *evidence.Data {
		s := newTale(t).submit().check("yellow", "", yellow, lowTTL())
		s.step(audit.RefuseVote, ana, audit.Resource{}, lifecycle.RefusalDetails{Code: "own-change", Text: "You asked for this change, so somebody else has to approve it.", Decision: "approve", Via: "portal"})
		s.vote(ivy, audit.ApproveChange, "infosec", "I looked at it.")
		return s.finish().tell()
	},
	"red": func(t testing.TB) *evidence.Data {
		s := newTale(t).submit().check("red", "", red, lowTTL())
		first := s.vote(lena, audit.ApproveChange, "legal", "Fine.")
		s.chain = nil
		s.step(audit.VoidApprovals, system, audit.Resource{}, lifecycle.VoidDetails{Reason: "The policy was changed, and judges this change otherwise.", Votes: []string{first.EventID}, People: []string{lena.ID}})
		s.check("red", "", red, lowTTL())
		s.vote(lena, audit.ApproveChange, "legal", "Still fine.")
		s.vote(sam, audit.ApproveChange, "security", "")
		s.vote(pia, audit.ApproveChange, "product", "")
		return s.finish().tell()
	},
	"denied": func(t testing.TB) *evidence.Data {
		return newTale(t).submit().check("yellow", "Everybody in the world may send mail in your name.", yellow, mustDeny()).tell()
	},
	"drift": func(t testing.TB) *evidence.Data {
		s := newTale(t)
		s.subject = evidence.Subject{Zone: zone}
		s.submit().check("green", "", nil).byRule().finish()
		d := lifecycle.DriftDetails{Digest: digestOf([]byte("drift")), Live: digestOf([]byte("live")), Commit: commit, Serial: 2026070102, Count: 1, Differences: []lifecycle.Differs{{Kind: "changed", Name: name, Type: "A"}}}
		s.put("drift", d)
		s.put("report", []byte(`{"eventName":"ChangeResourceRecordSets"}`))
		s.add(audit.Event{Action: audit.DetectDrift, Resource: audit.Resource{Zone: zone, Record: name, Type: "A"}, ArtifactRefs: maps.Clone(map[string]string{"drift": s.refs["drift"]}), ApprovalChain: []string{}}, d)
		s.add(audit.Event{Action: audit.AttributeDrift, Resource: audit.Resource{Zone: zone}, ArtifactRefs: map[string]string{"report": s.refs["report"]}, ApprovalChain: []string{}},
			map[string]any{"digest": d.Digest, "edits": []map[string]any{{"name": name, "type": "A", "by": "arn:aws:iam::123456789012:user/olga", "at": "2026-07-01T10:00:00Z", "source": "cloudtrail"}}})
		s.add(audit.Event{Action: audit.ResolveDrift, Actor: ivy, Resource: audit.Resource{Zone: zone}, ApprovalChain: []string{}}, lifecycle.DriftEndDetails{Digest: d.Digest, Live: d.Live, How: "overwrite"})
		return s.tell()
	},
}
