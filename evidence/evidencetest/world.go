// Package evidencetest makes small records for tests of evidence: a real log and a real
// zones repository in which an app was asked for, judged, approved, merged, applied,
// certified and went live, as the server records it. It runs no server. Read World.
package evidencetest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"slipway/approval"
	"slipway/audit"
	"slipway/audit/audittest"
	"slipway/cert"
	"slipway/check/finding"
	"slipway/key"
	"slipway/lifecycle"
	"slipway/provider"
	"slipway/repo"
	"slipway/starter"
	"slipway/zone"
)

// The people and things of the record.
var (
	System = audit.Actor{ID: "slipway", Role: "system"}
	Ana    = audit.Actor{ID: "ana@finmicro.example", Role: "product-manager"}
	Ivy    = audit.Actor{ID: "ivy@finmicro.example", Role: "infosec"}
	Adam   = audit.Actor{ID: "adam@finmicro.example", Role: "administrator"}
)

const (
	App  = "expense-tracker"
	Zone = "finmicro.example"
	Name = "expenses.finmicro.example"
)

// World is a record.
type World struct {
	T      testing.TB
	Dir    string // like a server's data directory: audit/, zones.git/, keys/
	Keys   *key.Store
	Log    *audit.Log
	Repo   *repo.Repo
	Signer ssh.Signer
	Now    time.Time

	PublicKeys audit.Keys // of the log, after Close
	Ticks      bool       // the clock goes on with each event; else many may append at once

	changes int
}

// New makes an empty record.
func New(t testing.TB) *World {
	t.Helper()
	w := &World{T: t, Dir: audittest.TempDir(t), Now: time.Date(2026, 7, 1, 9, 0, 0, 0, time.UTC), Ticks: true}
	var err error
	w.Keys, err = key.OpenStore(filepath.Join(w.Dir, "keys"), []byte("only for a test"))
	w.must(err)
	w.Open()
	kit, err := starter.Kit(starter.Sample())
	w.must(err)
	commits, err := w.Keys.Signer(t.Context(), "commits", true)
	w.must(err)
	w.Signer, err = commits.SSH()
	w.must(err)
	w.Repo, err = repo.Create(t.Context(), filepath.Join(w.Dir, "zones.git"), kit, repo.Person{Name: "Slipway", Email: "slipway@finmicro.example"}, w.Now, w.Signer)
	w.must(err)
	t.Cleanup(func() { w.Close(); w.Repo.Close() })
	return w
}

// Open opens the log, with the event key that began it.
func (w *World) Open() { w.ReopenWith("events") }

// ReopenWith opens the log again after Close, with the event key whose turn it is.
func (w *World) ReopenWith(events string) {
	w.T.Helper()
	ctx := context.Background()
	o := audit.Options{Dir: filepath.Join(w.Dir, "audit"), Origin: "slipway.finmicro.example/log",
		Logger: slog.New(slog.DiscardHandler), Now: w.tick}
	for name, signer := range map[string]**key.Signer{events: &o.Events, "log": &o.Log} {
		k, err := w.Keys.Signer(ctx, name, true)
		w.must(err)
		*signer = k
	}
	var err error
	w.Log, err = audit.Open(ctx, o)
	w.must(err)
}

func (w *World) tick() time.Time {
	if w.Ticks {
		w.Now = w.Now.Add(time.Second)
	}
	return w.Now
}

// Close closes the log, so that its files are whole.
func (w *World) Close() {
	if w.Log == nil {
		return
	}
	w.PublicKeys = w.Log.PublicKeys()
	if err := w.Log.Close(context.Background()); err != nil {
		w.T.Error(err)
	}
	w.Log = nil
}

// Signers is the list of who may sign commits.
func (w *World) Signers() []byte {
	return repo.AllowedSigners("slipway@finmicro.example", w.Signer.PublicKey())
}

func (w *World) must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// Append records an event.
func (w *World) Append(e audit.Event, details any) audit.Receipt {
	w.T.Helper()
	if details != nil {
		raw, err := json.Marshal(details)
		w.must(err)
		e.Details = raw
	}
	r, err := w.Log.Append(context.Background(), e)
	w.must(err)
	return r
}

// Put keeps a document.
func (w *World) Put(content any) string {
	w.T.Helper()
	raw, ok := content.([]byte)
	if !ok {
		var err error
		raw, err = json.Marshal(content)
		w.must(err)
	}
	digest, err := w.Log.Documents().Put(context.Background(), raw)
	w.must(err)
	return digest
}

// Rotate hands over to a new event key.
func (w *World) Rotate(name string) {
	w.T.Helper()
	next, err := w.Keys.Signer(context.Background(), name, true)
	w.must(err)
	_, err = w.Log.Rotate(context.Background(), Adam, next, "Yearly change of keys.")
	w.must(err)
}

// digest stands for a content that the tests do not compute.
func digest(s string) string { return fmt.Sprintf("sha256:%064x", []byte(fmt.Sprintf("%-32.32s", s))) }

// Change is one change in the making.
type Change struct {
	w          *World
	ID         string
	App        string
	Head, Base string
	Commit     string
	Chain      []string
	refs       map[string]string
	events     []string
	requires   []approval.Requirement
}

// Submit asks for a change to an app's address.
func (w *World) Submit(app, address string) *Change {
	w.T.Helper()
	ctx := context.Background()
	w.changes++
	base, err := w.Repo.Resolve(ctx, repo.Main)
	w.must(err)
	manifest := fmt.Sprintf("owner: ana@finmicro.example\nteam: finance\npurpose: Tracks expenses\nexposure: internal\ndata: [none]\nexpires: 2027-06-30\n"+
		"records:\n  - {name: expenses.finmicro.example, type: A, ttl: 300, values: [%s]}\n", address)
	head, err := w.Repo.Propose(ctx, repo.Proposal{Base: base, Files: map[string][]byte{"apps/" + app + ".yaml": []byte(manifest)},
		Author: repo.Person{Name: "Ana", Email: Ana.ID}, Message: "New app " + app, When: w.Now})
	w.must(err)
	c := &Change{w: w, ID: fmt.Sprintf("c-%04d", w.changes), App: app, Head: head, Base: base, Chain: []string{}, refs: map[string]string{}}
	c.refs["request"] = w.Put(map[string]any{"requester": Ana.ID, "via": "portal", "title": "New app " + app, "base": base, "head": head,
		"files": map[string]string{"apps/" + app + ".yaml": manifest}})
	c.record(audit.Event{Actor: Ana, Action: audit.SubmitChange, GitCommit: head, ArtifactRefs: map[string]string{"request": c.refs["request"]}},
		lifecycle.SubmitDetails{Revision: 1, Head: head, Title: "New app " + app, Via: "portal"})
	return c
}

// record appends an event of the change, as flow does.
func (c *Change) record(e audit.Event, details any) audit.Receipt {
	c.w.T.Helper()
	e.Change, e.ApprovalChain = c.ID, c.Chain
	if e.Actor.ID == "" {
		e.Actor = System
	}
	if e.GitCommit == "" {
		if e.GitCommit = c.Commit; e.GitCommit == "" {
			e.GitCommit = c.Head
		}
	}
	if e.Resource.App == "" && e.Action != audit.SubmitChange {
		e.Resource.App = c.App
	}
	r := c.w.Append(e, details)
	if e.Action != audit.RefuseVote {
		c.events = append(c.events, r.Event.EventID)
	}
	return r
}

func (c *Change) digests() (change, policy string) { return digest("change " + c.ID), digest("policy") }

// Check judges the change as one that needs a person, or for tier green nobody.
func (c *Change) Check(tier string) *Change {
	c.w.T.Helper()
	change, policy := c.digests()
	if tier != "green" {
		c.requires = []approval.Requirement{{Rule: "yellow", AnyOf: []string{"infosec"}, Count: 1, Expires: 7 * 24 * time.Hour, Why: []string{"It is new."}}}
	}
	c.refs["verdict"] = c.w.Put(map[string]any{"tier": tier, "tier_reasons": []string{"It is new."}, "score": 35, "version": "test",
		"findings": []finding.Finding{{Rule: "ttl-low", Severity: finding.Warn, Message: "The TTL is low.", Help: "Raise it.", Controls: []string{"SOC2:CC8.1"}}},
		"signals":  []map[string]any{{"name": "new-name", "weight": 10, "reason": "Nobody had this name before."}}})
	c.record(audit.Event{Action: audit.CheckChange, GitCommit: c.Head, ArtifactRefs: map[string]string{"verdict": c.refs["verdict"]}},
		lifecycle.CheckDetails{Revision: 1, Base: c.Base, Head: c.Head, ChangeDigest: change, PolicyDigest: policy, Tier: tier, Score: 35,
			Requirements: c.requires, Authors: []string{Ana.ID}, Creates: 1, App: c.App, Zones: []string{Zone}, ZoneCount: 1})
	if tier == "green" {
		c.record(audit.Event{Action: audit.ApproveByRule, ArtifactRefs: map[string]string{"verdict": c.refs["verdict"]}},
			lifecycle.RuleDetails{ChangeDigest: change, PolicyDigest: policy, Tier: tier})
	}
	return c
}

// Vote is a person's decision.
func (c *Change) Vote(who audit.Actor, action audit.Action) *Change {
	c.w.T.Helper()
	change, policy := c.digests()
	if action == audit.ApproveChange {
		c.Chain = append(c.Chain, who.ID)
	}
	c.record(audit.Event{Actor: who, Action: action},
		lifecycle.VoteDetails{Groups: []string{"infosec"}, Reason: "I looked at it.", ChangeDigest: change, PolicyDigest: policy, Via: "portal"})
	return c
}

// Merge puts it on main.
func (c *Change) Merge() *Change {
	c.w.T.Helper()
	ctx := context.Background()
	change, policy := c.digests()
	tree, err := c.w.Repo.MergeTree(ctx, c.Base, c.Head)
	c.w.must(err)
	trailers := []repo.Trailer{{Key: "Change-Id", Value: c.ID}, {Key: "Requested-by", Value: Ana.ID}}
	for _, who := range c.Chain {
		trailers = append(trailers, repo.Trailer{Key: "Approved-by", Value: who})
	}
	trailers = append(trailers, repo.Trailer{Key: "Change-Digest", Value: change}, repo.Trailer{Key: "Policy-Digest", Value: policy})
	for _, id := range c.events {
		trailers = append(trailers, repo.Trailer{Key: "Event-Id", Value: id})
	}
	c.Commit, err = c.w.Repo.Merge(ctx, repo.Merge{ChangeID: c.ID, Expect: c.Base, Tree: tree, Head: c.Head,
		Author: repo.Person{Name: "Ana", Email: Ana.ID}, When: c.w.Now, Message: "New app " + c.App, Trailers: trailers}, c.w.Signer)
	c.w.must(err)
	c.record(audit.Event{Action: audit.MergeChange, Resource: audit.Resource{Zone: Zone}, ArtifactRefs: c.refs},
		lifecycle.MergeDetails{Base: c.Base, Head: c.Head, ChangeDigest: change, PolicyDigest: policy, Zones: []string{Zone}, ZoneCount: 1, Certify: []string{c.App}})
	return c
}

// Apply brings it to the provider.
func (c *Change) Apply() *Change {
	c.w.T.Helper()
	c.record(audit.Event{Action: audit.CreateDNSRecord, Resource: audit.Resource{Zone: Zone, Record: Name, Type: "A"}, ArtifactRefs: c.refs},
		lifecycle.RecordDetails{After: &lifecycle.Record{TTL: 300, Values: []string{"192.0.2.10"}}})
	receipt := provider.Receipt{Provider: "zonefile", Zone: zone.Name(Zone), ProviderChange: "serial-2026070101", Serial: 2026070101,
		Before: digest("before"), After: digest("after"), Applied: true, At: c.w.Now.UTC()}
	c.record(audit.Event{Action: audit.ApplyZone, Resource: audit.Resource{Zone: Zone}, ArtifactRefs: map[string]string{
		"receipt": c.w.Put(receipt), "zone-before": c.w.Put([]byte("; nothing\n")), "zone-after": c.w.Put([]byte(Name + " 300 IN A 192.0.2.10 ; " + c.ID + "\n")),
	}}, lifecycle.ApplyDetails{Receipt: receipt, Commit: c.Commit, Edits: 1})
	return c
}

// Certify gets its certificate.
func (c *Change) Certify() *Change {
	c.w.T.Helper()
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	c.w.must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(4711 + c.w.changes)), Subject: pkix.Name{CommonName: "expenses"}, DNSNames: []string{"expenses.finmicro.example"},
		NotBefore: c.w.Now, NotAfter: c.w.Now.Add(720 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pub, private)
	c.w.must(err)
	described, err := cert.Describe([][]byte{der})
	c.w.must(err)
	var chain bytes.Buffer
	c.w.must(pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: der}))
	described.App, described.Change, described.Request, described.Authority, described.Chain = c.App, c.ID, c.ID+"/"+c.App, "internal", c.w.Put(chain.Bytes())
	described.Issued = c.w.Now.UTC()
	c.record(audit.Event{Action: audit.OrderCertificate}, cert.OrderDetails{Order: cert.Order{Request: described.Request, Authority: "internal"}})
	c.record(audit.Event{Action: audit.IssueCertificate, Resource: audit.Resource{Name: described.Serial}, ArtifactRefs: map[string]string{"certificate": described.Chain}},
		cert.IssueDetails{Certificate: described})
	return c
}

// Live ends it well.
func (c *Change) Live() *Change {
	c.w.T.Helper()
	c.record(audit.Event{Action: audit.GoLive, Resource: audit.Resource{Zone: Zone}, ArtifactRefs: c.refs}, lifecycle.LiveDetails{Verified: 1})
	return c
}

// Launch takes an app all the way with one approval.
func (w *World) Launch(app, address string) *Change {
	w.T.Helper()
	return w.Submit(app, address).Check("yellow").Vote(Ivy, audit.ApproveChange).Merge().Apply().Certify().Live()
}

// Drift finds a zone changed by hand, and mended.
func (w *World) Drift() {
	w.T.Helper()
	d := lifecycle.DriftDetails{Digest: digest("drift"), Live: digest("live"), Commit: "0123456789abcdef0123456789abcdef01234567", Count: 1,
		Differences: []lifecycle.Differs{{Kind: "changed", Name: Name, Type: "A"}}}
	w.Append(audit.Event{Actor: System, Action: audit.DetectDrift, Resource: audit.Resource{Zone: Zone, Record: Name, Type: "A"},
		ArtifactRefs: map[string]string{"drift": w.Put(map[string]any{"zone": Zone, "differences": d.Differences})}}, d)
	w.Append(audit.Event{Actor: System, Action: audit.ResolveDrift, Resource: audit.Resource{Zone: Zone}}, lifecycle.DriftEndDetails{Digest: d.Digest, Live: d.Live, How: "gone"})
	w.Append(audit.Event{Actor: System, Action: audit.ReportDrift, Resource: audit.Resource{Name: "2026-07"},
		ArtifactRefs: map[string]string{"drift-report": w.Put(map[string]any{"month": "2026-07", "found": 1})}}, map[string]any{"month": "2026-07", "found": 1})
}

// Noise records what has to do with nothing else.
func (w *World) Noise(n int) {
	w.T.Helper()
	for i := range n {
		w.Append(audit.Event{Actor: Ana, Action: audit.SignIn}, map[string]any{"nonce": fmt.Sprint(i)})
	}
}

// Sample is a record with an app that went live, was changed by rule, had a change rejected and
// drifted, among others; with a new key in the middle and a document that was erased.
func Sample(t testing.TB) (w *World, app *Change) {
	t.Helper()
	w = New(t)
	w.Noise(3)
	app = w.Launch(App, "192.0.2.10")
	w.Noise(2)
	w.Launch("holiday-planner", "192.0.2.20")
	w.Rotate("events-2")
	w.Submit(App, "192.0.2.11").Check("green").Merge().Apply().Certify().Live()
	w.Submit(App, "192.0.2.66").Check("yellow").Vote(Ivy, audit.RejectChange)
	w.Drift()
	w.Noise(2)
	_, err := w.Log.Erase(context.Background(), Adam, app.refs["request"], "Request for erasure of personal data, ticket 1234.")
	w.must(err)
	return w, app
}
