package portal_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/approval"
	"slipway/audit"
	"slipway/change"
	"slipway/check"
	"slipway/drift"
	"slipway/flow"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/provider"
	"slipway/repo"
	"slipway/zone"
)

// desk is a Service without engine, repository and name server: what it is
// told becomes events in a real log, and states are folded from them. Its checks are
// simple enough to be predicted by a test.
type desk struct {
	log      *audit.Log
	settings *repo.Settings
	now      func() time.Time

	mu      sync.Mutex
	apps    map[string]*repo.App
	reports []drift.Report
	held    bool // approved changes stay so, until release
	broken  error
}

var _ interface {
	Retry(context.Context, identity.Person, string) (lifecycle.State, error)
} = (*desk)(nil)

func (d *desk) record(ctx context.Context, id string, by identity.Person, a audit.Action, details any, fill func(*audit.Event)) error {
	raw, err := json.Marshal(details)
	if err != nil {
		return err
	}
	role := by.Role
	if role == "" {
		by.ID, role = "slipway", "system"
	}
	e := audit.Event{Timestamp: d.now(), Actor: audit.Actor{ID: by.ID, Role: role}, Action: a, Change: id, ApprovalChain: []string{}, ArtifactRefs: map[string]string{}, Details: raw}
	if fill != nil {
		fill(&e)
	}
	_, err = d.log.Append(ctx, e)
	return err
}

// verdict judges one manifest: external is yellow, sensitive data or a brand red.
func (d *desk) verdict(by identity.Person, files map[string][]byte) (*check.Verdict, error) {
	v := &check.Verdict{
		Tier: check.Green, TierReasons: []string{"only people in the company can reach it, and it handles no sensitive data"},
		PolicyDigest: digest("policy"), AsOf: d.now(), Change: &change.Change{},
		Requester: check.Requester{ID: by.ID, Role: by.Role, Groups: by.Groups, ThirdParty: by.ThirdParty},
	}
	for _, path := range slices.Sorted(func(yield func(string) bool) {
		for p := range files {
			if !yield(p) {
				return
			}
		}
	}) {
		if !strings.HasPrefix(path, "apps/") {
			d.require(v, check.Red, "red", "it touches the rules themselves")
			v.Change.Files = append(v.Change.Files, change.FileEdit{Op: zone.Update, Path: path, Kind: "policy", Digest: digest(string(files[path]))})
			continue
		}
		app, err := repo.ParseApp(path, files[path])
		if err != nil {
			return nil, &flow.Error{Code: flow.Invalid, Message: err.Error(), Detail: err}
		}
		d.judgeApp(v, app)
	}
	v.Change.Creates = len(v.Change.Edits)
	raw, err := json.Marshal(v.Change)
	if err != nil {
		return nil, err
	}
	v.Change.Digest = digest(string(raw))
	return v, nil
}

func (d *desk) judgeApp(v *check.Verdict, app *repo.App) {
	v.Change.Apps = append(v.Change.Apps, change.AppEdit{Op: zone.Create, Name: app.Name, After: app})
	z, _ := d.settings.ZoneOf(app.Hostname)
	for _, rr := range app.Records {
		v.Change.Edits = append(v.Change.Edits, zone.Edit{Op: zone.Create, Zone: z, Name: rr.Name, Type: rr.Type, After: &rr})
		if rr.TTL > 86400 {
			v.Findings = append(v.Findings, check.Finding{Rule: "ttl-bounds", Severity: check.Warn, Message: "Others may remember this answer for longer than a day.", Help: "Use at most 86400 seconds.", Path: app.Path, Line: app.Lines["records"] + 1, Record: string(rr.Name) + " " + rr.Type, Controls: []string{"SOC2:CC8.1"}})
		}
	}
	if strings.Contains(app.Purpose, "nothing") {
		v.Denied = true
		v.Findings = append(v.Findings, check.Finding{Rule: "purpose-says-nothing", Severity: check.Deny, Message: "The purpose says nothing, so nobody can judge what the app is for.", Help: "Say in a sentence what it is for.", Path: app.Path, Line: app.Lines["purpose"], Controls: []string{"ISO27001:A.5.9"}})
	}
	switch {
	case !slices.Equal(app.Data, []string{"none"}):
		v.Score = 70
		v.Signals = []check.Signal{{Name: "sensitive-data", Value: 1, Weight: 70, Reason: "it handles data that the law protects"}}
		d.require(v, check.Red, "red", "it handles sensitive data")
	case app.Exposure == "external":
		v.Score = 40
		d.require(v, check.Yellow, "yellow", "anyone on the internet can reach it")
	}
}

func (d *desk) require(v *check.Verdict, tier check.Tier, rule, reason string) {
	v.Tier, v.TierReasons = tier, []string{reason}
	r := d.settings.Approvals[rule]
	v.Approvals = []approval.Requirement{{Rule: rule, AnyOf: r.AnyOf, AllOf: r.AllOf, Count: r.Count, Expires: r.Expires, Why: v.TierReasons}}
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (d *desk) Preview(_ context.Context, by identity.Person, files map[string][]byte) (*check.Verdict, error) {
	if d.broken != nil {
		return nil, d.broken
	}
	return d.verdict(by, files)
}

func (d *desk) Submit(ctx context.Context, sub flow.Submission, _ io.Writer) (lifecycle.State, *check.Verdict, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, err := d.verdict(sub.By, sub.Files)
	if err != nil {
		return lifecycle.State{}, nil, err
	}
	once := ""
	if sub.RequestID != "" {
		once = "submit:" + digest(sub.By.ID+" "+sub.RequestID)
		if r, known, err := d.log.Index().Once(ctx, once); err != nil || known {
			st, _, v, _ := d.change(ctx, r.Event.Change)
			return st, v, err
		}
	}
	id, action, revision := strings.ToLower(rand.Text()[:12]), audit.SubmitChange, 1
	if sub.Revises != "" {
		st, _, _, err := d.change(ctx, sub.Revises)
		if err != nil {
			return st, nil, err
		}
		if st.Requester != sub.By.ID {
			return st, nil, &flow.Error{Code: flow.Forbidden, Message: "This is not yours."}
		}
		id, action, revision = st.ID, audit.ReviseChange, st.Revision+1
	}
	head := strings.Repeat("ab", 20)
	err = d.record(ctx, id, sub.By, action, lifecycle.SubmitDetails{Vouched: sub.By.Vouched, Revision: revision, Head: head, Title: sub.Title, Ticket: sub.Ticket, Undoes: sub.Undoes, Adopts: sub.Adopts, Via: sub.Via, NotBefore: sub.NotBefore, ThirdParty: sub.By.ThirdParty}, func(e *audit.Event) { e.Once = once })
	if err != nil {
		return lifecycle.State{}, nil, err
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return lifecycle.State{}, nil, err
	}
	doc, err := d.log.Documents().Put(ctx, raw)
	if err != nil {
		return lifecycle.State{}, nil, err
	}
	details := lifecycle.CheckDetails{Revision: revision, Head: head, ChangeDigest: v.Change.Digest, PolicyDigest: v.PolicyDigest, Tier: string(v.Tier), Score: v.Score, Denied: v.Denied, Requirements: v.Approvals, Authors: []string{sub.By.ID}, ZoneCount: 1}
	if v.Denied {
		details.Problem = v.Findings[0].Message
	}
	if len(v.Change.Apps) == 1 {
		details.App = v.Change.Apps[0].Name
	}
	err = d.record(ctx, id, identity.Person{}, audit.CheckChange, details, func(e *audit.Event) { e.ArtifactRefs["verdict"] = doc; e.Resource.App = details.App })
	if err != nil {
		return lifecycle.State{}, nil, err
	}
	if v.Tier == check.Green && !v.Denied {
		if err := d.record(ctx, id, identity.Person{}, audit.ApproveByRule, lifecycle.RuleDetails{ChangeDigest: v.Change.Digest, PolicyDigest: v.PolicyDigest, Tier: "green"}, nil); err != nil {
			return lifecycle.State{}, nil, err
		}
	}
	if err := d.advance(ctx, id); err != nil {
		return lifecycle.State{}, nil, err
	}
	st, _, _, err := d.change(ctx, id)
	return st, v, err
}

// advance takes an approved change live. d.mu is held.
func (d *desk) advance(ctx context.Context, id string) error {
	st, _, v, err := d.change(ctx, id)
	if err != nil || st.Phase != lifecycle.Approved || d.held {
		return err
	}
	var z string
	if len(v.Change.Edits) > 0 {
		z = string(v.Change.Edits[0].Zone)
	}
	steps := []struct {
		action  audit.Action
		details any
		fill    func(*audit.Event)
	}{
		{audit.MergeChange, lifecycle.MergeDetails{ZoneCount: 1, Zones: []string{z}}, func(e *audit.Event) { e.GitCommit = strings.Repeat("cd", 20); e.ApprovalChain = st.Chain() }},
		{audit.CreateDNSRecord, lifecycle.RecordDetails{}, func(e *audit.Event) {
			e.Resource = audit.Resource{Zone: z, Record: string(v.Change.Edits[0].Name), Type: v.Change.Edits[0].Type}
		}},
		{audit.ApplyZone, lifecycle.ApplyDetails{Receipt: provider.Receipt{Provider: "local", Zone: zone.Name(z), ProviderChange: "1", Serial: 2026112401, Applied: true, At: d.now()}, Edits: 1}, func(e *audit.Event) { e.Resource.Zone = z }},
		{audit.GoLive, lifecycle.LiveDetails{Verified: 1}, nil},
	}
	for _, s := range steps {
		if err := d.record(ctx, id, identity.Person{}, s.action, s.details, s.fill); err != nil {
			return err
		}
	}
	for _, a := range v.Change.Apps {
		d.apps[a.Name] = a.After
	}
	return nil
}

// fail makes a step of an approved change fail after its merge.
func (d *desk) fail(ctx context.Context, id, step, problem string) error {
	return d.record(ctx, id, identity.Person{}, audit.FailChange, lifecycle.FailDetails{Step: step, Problem: problem}, nil)
}

func (d *desk) change(ctx context.Context, id string) (lifecycle.State, []audit.Receipt, *check.Verdict, error) {
	events, err := d.log.Index().Events(ctx, audit.Query{Change: id})
	if err != nil {
		return lifecycle.State{}, nil, nil, err
	}
	st, err := lifecycle.Fold(events, d.now())
	if err != nil {
		return st, nil, nil, &flow.Error{Code: flow.NotFound, Message: "There is no such change.", Help: "Look at the list of changes for its ID."}
	}
	if st.Verdict == "" {
		return st, events, nil, nil
	}
	raw, err := d.log.Documents().Get(ctx, st.Verdict)
	if err != nil {
		return st, nil, nil, err
	}
	v := &check.Verdict{}
	return st, events, v, json.Unmarshal(raw, v)
}

func (d *desk) Vote(ctx context.Context, by identity.Person, id string, dec approval.Decision, reason, changeDigest, policyDigest, via string) (lifecycle.State, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	st, _, _, err := d.change(ctx, id)
	if err != nil {
		return st, err
	}
	vote := approval.Vote{Person: by.ID, Groups: by.Groups, Vouched: by.Vouched, Decision: dec, Reason: reason, ChangeDigest: changeDigest, PolicyDigest: policyDigest, At: d.now(), Via: via}
	if refusal := approval.Check(st.Subject, st.Votes, vote, d.now()); refusal != nil {
		return st, &flow.Error{Code: flow.Refused, Message: refusal.Text, Detail: refusal}
	}
	action := map[approval.Decision]audit.Action{approval.Approve: audit.ApproveChange, approval.Reject: audit.RejectChange, approval.Withdraw: audit.WithdrawApproval}[dec]
	if err := d.record(ctx, id, by, action, lifecycle.VoteDetails{Vouched: by.Vouched, Groups: by.Groups, Reason: reason, ChangeDigest: changeDigest, PolicyDigest: policyDigest, Via: via}, nil); err != nil {
		return st, err
	}
	if err := d.advance(ctx, id); err != nil {
		return st, err
	}
	st, _, _, err = d.change(ctx, id)
	return st, err
}

// own is what only the requester may do before the merge.
func (d *desk) own(ctx context.Context, by identity.Person, id string, a audit.Action, details any) (lifecycle.State, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	st, _, _, err := d.change(ctx, id)
	switch {
	case err != nil:
		return st, err
	case st.Requester != by.ID:
		return st, &flow.Error{Code: flow.Forbidden, Message: "Only " + st.Requester + " can do this.", Help: "Ask them."}
	case !st.BeforeMerge():
		return st, &flow.Error{Code: flow.Conflict, Message: "It is too late for this.", Help: "Ask for a new change."}
	}
	if err := d.record(ctx, id, by, a, details, nil); err != nil {
		return st, err
	}
	st, _, _, err = d.change(ctx, id)
	return st, err
}

func (d *desk) Cancel(ctx context.Context, by identity.Person, id, reason, via string) (lifecycle.State, error) {
	return d.own(ctx, by, id, audit.CancelChange, lifecycle.EndDetails{Reason: reason, Via: via})
}

func (d *desk) Schedule(ctx context.Context, by identity.Person, id string, at time.Time, via string) (lifecycle.State, error) {
	return d.own(ctx, by, id, audit.ScheduleChange, lifecycle.ScheduleDetails{NotBefore: at, Via: via})
}

func (d *desk) Retry(ctx context.Context, by identity.Person, id string) (lifecycle.State, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	st, _, _, err := d.change(ctx, id)
	switch {
	case err != nil:
	case st.Requester != by.ID && !by.Admin:
		err = &flow.Error{Code: flow.Forbidden, Message: "Only " + st.Requester + " and administrators may try it again.", Help: "Ask one of them."}
	case st.Phase != lifecycle.Failed:
		err = &flow.Error{Code: flow.Conflict, Message: "Nothing has failed here.", Help: "Look at its page for where it stands."}
	}
	return st, err
}

func (d *desk) Change(ctx context.Context, id string) (lifecycle.State, []audit.Receipt, *check.Verdict, error) {
	if d.broken != nil {
		return lifecycle.State{}, nil, nil, d.broken
	}
	return d.change(ctx, id)
}

func (d *desk) Changes(ctx context.Context, q audit.ChangeQuery) ([]lifecycle.State, error) {
	ids, err := d.log.Index().ChangeIDs(ctx, q)
	if err != nil {
		return nil, err
	}
	var states []lifecycle.State
	for _, id := range ids {
		st, _, _, err := d.change(ctx, id)
		if err != nil {
			return nil, err
		}
		states = append(states, st)
	}
	return states, nil
}

func (d *desk) Inbox(ctx context.Context, by identity.Person) ([]lifecycle.State, error) {
	open, err := d.Changes(ctx, audit.ChangeQuery{OpenOnly: true})
	return slices.DeleteFunc(open, func(st lifecycle.State) bool {
		v := approval.Vote{Person: by.ID, Groups: by.Groups, Decision: approval.Approve, ChangeDigest: st.Subject.ChangeDigest, PolicyDigest: st.Subject.PolicyDigest, At: d.now()}
		return st.Phase != lifecycle.Waiting || approval.Check(st.Subject, st.Votes, v, d.now()) != nil
	}), err
}

func (d *desk) Apps(context.Context) ([]*repo.App, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var apps []*repo.App
	for _, a := range d.apps {
		apps = append(apps, a)
	}
	slices.SortFunc(apps, func(a, b *repo.App) int { return strings.Compare(a.Name, b.Name) })
	return apps, nil
}

func (d *desk) App(ctx context.Context, name string) (*repo.App, []lifecycle.State, []audit.Receipt, error) {
	d.mu.Lock()
	app := d.apps[name]
	d.mu.Unlock()
	if events, err := d.log.Index().Events(ctx, audit.Query{App: name}); app == nil && (err != nil || len(events) == 0) {
		return nil, nil, nil, &flow.Error{Code: flow.NotFound, Message: fmt.Sprintf("There is no app %q.", name), Help: "Look at the list of apps."}
	}
	states, err := d.Changes(ctx, audit.ChangeQuery{App: name})
	if err != nil {
		return nil, nil, nil, err
	}
	events, err := d.log.Index().Events(ctx, audit.Query{App: name})
	return app, states, events, err
}

func (d *desk) Drift(context.Context, []zone.Name) ([]drift.Report, error) { return d.reports, nil }
func (d *desk) LastDrift(context.Context) ([]drift.Report, error)          { return d.reports, nil }

func (d *desk) DriftMonth(_ context.Context, month string) (*drift.Month, error) {
	if month == "" {
		month = "2026-10"
	}
	begin, err := drift.ParseMonth(month)
	if err != nil {
		return nil, &flow.Error{Code: flow.Invalid, Message: "That is not a month.", Help: "For example 2026-10."}
	}
	found := begin.AddDate(0, 0, 3)
	return drift.Monthly(begin, []drift.Incident{
		{Zone: "apps.finmicro.example", Found: found, Ended: found.Add(time.Hour), How: drift.EndedPerson, Kinds: map[string]int{"changed": 2}, People: []string{"<olga>"}},
		{Zone: "apps.finmicro.example", Found: begin.AddDate(0, -1, 3), Ended: found, How: drift.EndedRule, Kinds: map[string]int{"extra": 1}},
	}, begin.AddDate(0, -3, 0), d.now()), nil
}

func (d *desk) Rollback(ctx context.Context, by identity.Person, id, ticket, via string) (lifecycle.State, *check.Verdict, error) {
	st, _, _, err := d.change(ctx, id)
	switch {
	case err != nil:
		return st, nil, err
	case st.Commit == "":
		return st, nil, &flow.Error{Code: flow.Conflict, Message: "It is not on main.", Help: "Cancel it instead."}
	}
	return d.Submit(ctx, flow.Submission{By: by, Via: via, Ticket: ticket, Title: "Undo: " + st.Title, Undoes: id, Files: map[string][]byte{"undo": []byte(id)}}, io.Discard)
}

// seen checks that what a person saw of a zone is what its report says.
func (d *desk) seen(z zone.Name, live string) error {
	for _, r := range d.reports {
		if r.Zone == z && r.Live == live {
			return nil
		}
	}
	return &flow.Error{Code: flow.Conflict, Message: "The zone is not what you saw any more.", Help: "Compare it again."}
}

func (d *desk) RevertDrift(_ context.Context, by identity.Person, z zone.Name, live string) error {
	if !flow.MayRevertDrift(d.settings, by.ID) {
		return &flow.Error{Code: flow.Forbidden, Message: "Only InfoSec and Platform Ops may do this.", Help: "Ask them."}
	}
	return d.seen(z, live)
}

func (d *desk) AdoptDrift(ctx context.Context, by identity.Person, z zone.Name, live, ticket, via string) (lifecycle.State, *check.Verdict, error) {
	if err := d.seen(z, live); err != nil {
		return lifecycle.State{}, nil, err
	}
	return d.Submit(ctx, flow.Submission{By: by, Via: via, Ticket: ticket, Title: "Adopt " + string(z), Adopts: live, Files: map[string][]byte{"adopt": []byte(live)}}, io.Discard)
}

// expire ends a change that nobody decided on.
func (d *desk) expire(ctx context.Context, id string) error {
	return d.record(ctx, id, identity.Person{}, audit.ExpireChange, lifecycle.EndDetails{Reason: "Nobody decided within 7 days."}, nil)
}
