package inbound

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/audit"
	"slipway/audit/audittest"
	"slipway/key"
	"slipway/lifecycle"
	"slipway/provider"
	"slipway/provider/providertest/servers"
	"slipway/provider/rfc2136"
	"slipway/repo"
	"slipway/zone"
)

const z = zone.Name("finmicro.example")

const settings = `organisation: Fin Micro Ltd
domain: finmicro.example
zones:
  directory: zones
  finmicro.example: {visibility: external, owner: finmicro.example, provider: local}
  shared.example: {visibility: external, owner: finmicro.example, provider: local, partial: true}
providers:
  local: {type: zonefile}
record:
  sources:
    trail: {type: cloudtrail, token: env:INBOUND_TOKEN}
    hub: {type: github, secret: env:INBOUND_SECRET}
    registrar: {type: report, secret: env:INBOUND_SECRET}
    nothing: {type: bind, path: /var/log/named.log}
`

const approvedZone = `www:
  type: A
  ttl: 300
  value: 192.0.2.1
`

const app = `owner: ana@finmicro.example
team: finance
purpose: Shows the shop to those who want to buy something
exposure: external
data: [none]
hostname: shop.finmicro.example
records:
  - {name: shop.finmicro.example, type: A, ttl: 300, values: [192.0.2.10]}
`

type world struct {
	t    *testing.T
	log  *audit.Log
	s    *Service
	tree *repo.Tree
	now  time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Setenv("INBOUND_TOKEN", "a token of the tests")
	t.Setenv("INBOUND_SECRET", "a secret of the tests")
	dir := t.TempDir()
	for name, text := range map[string]string{"slipway.yaml": settings, "zones/finmicro.example.yaml": approvedZone, "zones/shared.example.yaml": approvedZone, "apps/shop.yaml": app} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("git", "init", "-q", dir).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v\n%s", err, out)
	}
	r, err := repo.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	tree, err := r.WorkTree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := key.OpenStore(filepath.Join(t.TempDir(), "keys"), []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, tree: tree, now: time.Date(2026, 6, 30, 9, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return w.now }
	o := audit.Options{Dir: audittest.TempDir(t), Origin: "slipway.finmicro.example/log", Logger: slog.New(slog.DiscardHandler), Now: clock}
	if o.Events, err = keys.Signer(t.Context(), "events", true); err == nil {
		o.Log, err = keys.Signer(t.Context(), "log", true)
	}
	if err == nil {
		w.log, err = audit.Open(t.Context(), o)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.log.Close(context.Background()) })
	w.s = New(Options{Log: w.log, Dir: t.TempDir(), Now: clock, Logger: slog.New(slog.DiscardHandler), Main: func(ctx context.Context) (*repo.Tree, *repo.Settings, error) {
		s, err := tree.Settings(ctx)
		return tree, s, err
	}})
	return w
}

func (w *world) add(e audit.Event, d any) audit.Receipt {
	w.t.Helper()
	raw, err := json.Marshal(d)
	if err != nil {
		w.t.Fatal(err)
	}
	e.Details, e.Actor = raw, system
	r, err := w.log.Append(w.t.Context(), e)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) report(reports ...Report) {
	w.t.Helper()
	raw, err := json.Marshal(reports)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.s.Receive(w.t.Context(), "registrar", "report", raw); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) settle(later time.Duration) {
	w.t.Helper()
	w.now = w.now.Add(later)
	if err := w.s.Settle(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// events are those of an action: "change how-or-kind" each.
func (w *world) events(action audit.Action) []audit.Event {
	w.t.Helper()
	found, err := w.log.Index().Events(w.t.Context(), audit.Query{Action: action})
	if err != nil {
		w.t.Fatal(err)
	}
	var out []audit.Event
	for _, r := range found {
		out = append(out, r.Event)
	}
	return out
}

// change is what Slipway records when it makes www 192.0.2.7 as change c-1.
func (w *world) change() {
	w.t.Helper()
	w.add(audit.Event{Action: audit.UpdateDNSRecord, Change: "c-1", Resource: audit.Resource{Zone: string(z), Record: "www.finmicro.example", Type: "A"}},
		lifecycle.RecordDetails{Before: &lifecycle.Record{TTL: 300, Values: []string{"192.0.2.1"}}, After: &lifecycle.Record{TTL: 300, Values: []string{"192.0.2.7"}}})
	w.add(audit.Event{Action: audit.ApplyZone, Change: "c-1", Resource: audit.Resource{Zone: string(z)}},
		lifecycle.ApplyDetails{Receipt: provider.Receipt{ProviderChange: "/change/C1,/change/C2", Zone: z}})
}

// What explains a report, and what does not.
func TestCorrelate(t *testing.T) {
	at := time.Date(2026, 6, 30, 8, 58, 0, 0, time.UTC)
	www := func(values ...string) []Edit {
		return []Edit{{Name: "www.finmicro.example", Type: "A", Values: values}}
	}
	for name, c := range map[string]struct {
		report    Report
		change    string
		outOfBand bool
	}{
		"the provider's change ID":                {Report{Kind: DNSChange, ProviderChange: "C2", Edits: www("198.51.100.66")}, "c-1", false},
		"the values of the change":                {Report{Kind: DNSChange, Edits: www("192.0.2.7")}, "c-1", false},
		"the record set, no values told":          {Report{Kind: DNSChange, Edits: www()}, "c-1", false},
		"other values at the same time":           {Report{Kind: DNSChange, Edits: www("198.51.100.66")}, "", true},
		"other values beside those of the change": {Report{Kind: DNSChange, Edits: www("192.0.2.7", "198.51.100.66")}, "", true},
		"another provider change":                 {Report{Kind: DNSChange, ProviderChange: "C9", Edits: www("198.51.100.66")}, "", true},
		"one of two":                              {Report{Kind: DNSChange, Edits: append(www("192.0.2.7"), Edit{Name: "evil.finmicro.example", Type: "A", Values: []string{"198.51.100.66"}})}, "", true},
		"back to what is approved":                {Report{Kind: DNSChange, Edits: www("192.0.2.1")}, "", false},
		"what is not approved is removed":         {Report{Kind: DNSChange, Edits: []Edit{{Name: "old.finmicro.example", Type: "A", Delete: true}}}, "", false},
		"what is approved is removed":             {Report{Kind: DNSChange, Edits: []Edit{{Name: "shop.finmicro.example", Type: "A", Delete: true}}}, "", true},
		"it failed":                               {Report{Kind: DNSChange, Outcome: "failure: AccessDenied", Edits: www("198.51.100.66")}, "", false},
		"what servers write themselves":           {Report{Kind: DNSChange, Edits: append(www("192.0.2.7"), Edit{Name: z, Type: "SOA", Values: []string{"x"}})}, "c-1", false},
		"the zone alone":                          {Report{Kind: DNSChange, Zone: z}, "c-1", false},
		"more than was told":                      {Report{Kind: DNSChange, More: 3, Edits: www("192.0.2.1")}, "", true},
		"not Slipway's, in a shared zone":         {Report{Kind: DNSChange, Edits: []Edit{{Name: "x.shared.example", Type: "A", Values: []string{"192.0.2.9"}}}}, "", false},
		"Slipway's, in a shared zone":             {Report{Kind: DNSChange, Edits: []Edit{{Name: "www.shared.example", Type: "A", Values: []string{"192.0.2.9"}}}}, "", true},
		"an app's name in a cluster":              {Report{Kind: Cluster, Hosts: []zone.Name{"shop.finmicro.example"}}, "", false},
		"a name without an app":                   {Report{Kind: Cluster, Hosts: []zone.Name{"shop.finmicro.example", "evil.finmicro.example"}}, "", true},
		"a domain":                                {Report{Kind: Domain, Zone: z}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.report.ID, c.report.At, c.report.By = "r-1", at, "olga"
			for _, first := range []bool{true, false} { // before Slipway's own event, and after it
				r := c.report
				if !first {
					w.change()
					r.ID = "r-2"
				}
				w.report(r)
			}
			w.settle(Grace + time.Second)
			w.settle(time.Minute)
			got := w.events(audit.ReceiveReport)
			if len(got) != 2 || got[0].Change != "" && c.change == "" || got[1].Change != c.change {
				t.Fatalf("received: %+v", got)
			}
			settled := 2 // those that no change explains at once
			if c.change != "" {
				settled = 1
			}
			matched, detected := w.events(audit.MatchReport), w.events(audit.DetectOutOfBand)
			if !settles[c.report.Kind] {
				settled = 0
			}
			if c.outOfBand && (len(detected) != settled || len(matched) != 0) || !c.outOfBand && (len(matched) != settled || len(detected) != 0) {
				t.Errorf("matched %+v, out of band %+v", matched, detected)
			}
			if c.change != "" && len(matched) == 1 && matched[0].Change != c.change {
				t.Errorf("matched %+v", matched)
			}
		})
	}
}

// A report long before or after the change is not explained by it.
func TestCorrelateTime(t *testing.T) {
	w := newWorld(t)
	w.change()
	w.report(Report{Kind: DNSChange, ID: "r", At: w.now.Add(-time.Hour), Edits: []Edit{{Name: "www.finmicro.example", Type: "A", Values: []string{"192.0.2.7"}}}})
	w.settle(Grace + time.Second)
	if got := w.events(audit.DetectOutOfBand); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// CI results and decisions find their change by commit and ticket, and are never out of band.
func TestCommitAndTicket(t *testing.T) {
	w := newWorld(t)
	const commit = "0123456789abcdef0123456789abcdef01234567"
	w.add(audit.Event{Action: audit.SubmitChange, Change: "c-2", GitCommit: commit, Resource: audit.Resource{App: "shop"}}, lifecycle.SubmitDetails{Ticket: "OPS-4711"})
	at := w.now
	w.report(Report{Kind: CIResult, ID: "a", At: at, Commit: commit, Outcome: "success"}, Report{Kind: Decision, ID: "b", At: at, Ticket: "ops-4711", Outcome: "approved"},
		Report{Kind: CIResult, ID: "c", At: at, Commit: strings.Repeat("f", 40)}, Report{Kind: Decision, ID: "d", At: at, Ticket: "OPS-1"})
	got := w.events(audit.ReceiveReport)
	if len(got) != 4 || got[0].Change != "c-2" || got[0].Resource.App != "shop" || got[1].Change != "c-2" || got[2].Change != "" || got[3].Change != "" {
		t.Errorf("%+v", got)
	}
	w.settle(Grace + time.Second)
	if got := w.events(audit.DetectOutOfBand); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	// An approval elsewhere is a report, and no approval.
	if got := w.events(audit.ApproveChange); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// What concerns nothing of ours leaves no trace, and the same act told again leaves one.
func TestReceiveOnce(t *testing.T) {
	w := newWorld(t)
	raw, err := os.ReadFile("testdata/cloudtrail.json")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := w.s.Receive(t.Context(), "trail", "cloudtrail", raw); err != nil {
			t.Fatal(err)
		}
	}
	got := w.events(audit.ReceiveReport)
	if len(got) != 2 {
		t.Fatalf("%d events", len(got))
	}
	kept, err := w.log.Documents().Get(t.Context(), got[0].ArtifactRefs["report"])
	if err != nil || string(kept) != string(raw) {
		t.Errorf("the raw form is not kept: %v", err)
	}
	w.report(Report{Kind: DNSChange, ID: "x", At: w.now, Edits: []Edit{{Name: "www.elsewhere.example", Type: "A"}}})
	if n := len(w.events(audit.ReceiveReport)); n != 2 {
		t.Errorf("a report about another organisation's zone is on record: %d", n)
	}
}

// Drift gets its author from the report about the same record set.
func TestAttribute(t *testing.T) {
	w := newWorld(t)
	raw, err := os.ReadFile("testdata/cloudtrail.json")
	if err != nil {
		t.Fatal(err)
	}
	drift := w.add(audit.Event{Action: audit.DetectDrift, Resource: audit.Resource{Zone: string(z)}},
		lifecycle.DriftDetails{Digest: "sha256:1", Differences: []lifecycle.Differs{{Kind: "changed", Name: "www.finmicro.example", Type: "A"}, {Kind: "extra", Name: "x.finmicro.example", Type: "A"}}})
	if err := w.s.Receive(t.Context(), "trail", "cloudtrail", raw); err != nil {
		t.Fatal(err)
	}
	w.settle(time.Minute)
	w.settle(time.Minute)
	got := w.events(audit.AttributeDrift)
	var a attributed
	if len(got) != 1 || json.Unmarshal(got[0].Details, &a) != nil || a.Drift != drift.Event.EventID || len(a.Edits) != 1 ||
		a.Edits[0].By != "arn:aws:sts::123456789012:assumed-role/Console/olga" || a.Edits[0].Name != "www.finmicro.example" {
		t.Errorf("%+v", got)
	}
}

// Nobody reports without the credential of a source, and nobody learns which sources there are.
func TestAuthenticate(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewServer(w.s)
	defer server.Close()
	body := `{"kind":"domain","id":"order-77","at":"2026-06-30T08:58:00Z","zone":"finmicro.example"}`
	mac := func(key, text string) []byte {
		h := hmac.New(sha256.New, []byte(key))
		io.WriteString(h, text)
		return h.Sum(nil)
	}
	standard := func(key, id string, at time.Time) map[string]string {
		stamp := fmt.Sprint(at.Unix())
		return map[string]string{"Webhook-Id": id, "Webhook-Timestamp": stamp, "Webhook-Signature": "v1,AAAA v1," + base64.StdEncoding.EncodeToString(mac(key, id+"."+stamp+"."+body))}
	}
	const token, secret = "a token of the tests", "a secret of the tests"
	for name, c := range map[string]struct {
		source string
		header map[string]string
		want   int
	}{
		"bearer":                   {"trail", map[string]string{"Authorization": "Bearer " + token}, 204},
		"API key":                  {"trail", map[string]string{"X-Api-Key": token}, 204},
		"GitHub's signature":       {"hub", map[string]string{"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac(secret, body))}, 204},
		"standard signature":       {"registrar", standard(secret, "m1", w.now), 204},
		"nothing":                  {"trail", nil, 401},
		"empty bearer":             {"trail", map[string]string{"Authorization": "Bearer "}, 401},
		"another token":            {"trail", map[string]string{"Authorization": "Bearer x"}, 401},
		"the token for a secret":   {"hub", map[string]string{"Authorization": "Bearer " + secret}, 401},
		"signature of another key": {"hub", map[string]string{"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac("x", body))}, 401},
		"signature of other text":  {"hub", map[string]string{"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac(secret, body+" "))}, 401},
		"no signature":             {"registrar", nil, 401},
		"an old signature":         {"registrar", standard(secret, "m1", w.now.Add(-time.Hour)), 401},
		"a signature of tomorrow":  {"registrar", standard(secret, "m1", w.now.Add(24*time.Hour)), 401},
		"one that is followed":     {"nothing", map[string]string{"Authorization": "Bearer "}, 401},
		"unknown":                  {"nobody", map[string]string{"Authorization": "Bearer " + token}, 401},
		"another source's token":   {"registrar", map[string]string{"Authorization": "Bearer " + token}, 401},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+Path+c.source, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range c.header {
			r.Header.Set(k, v)
		}
		before := len(w.events(audit.ReceiveReport))
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		said, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != c.want || c.want == 401 && strings.TrimSpace(string(said)) != errRefused.Error() {
			t.Errorf("%s: %d %s", name, res.StatusCode, said)
		}
		if c.want == 401 && len(w.events(audit.ReceiveReport)) != before {
			t.Errorf("%s: refused, and yet on record", name)
		}
	}
	for name, c := range map[string]struct {
		method, body string
		want         int
	}{"GET": {"GET", "", 405}, "not a report": {"POST", "{", 422}, "too large": {"POST", strings.Repeat(" ", maxBody+1), 413}} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, server.URL+Path+"trail", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != c.want {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
	}
}

// A real BIND's log is followed, through its being rotated: an edit by hand with the
// right key is out of band, one that Slipway recorded is not.
func TestFollowBIND(t *testing.T) {
	bind := servers.StartBIND(t, z)
	w := newWorld(t)
	w.now = time.Now().UTC()
	path := filepath.Join(t.TempDir(), "named.log")
	copied := 0
	flush := func() {
		t.Helper()
		text := bind.Log()
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.WriteString(text[copied:])
			copied = len(text)
			f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	p, err := rfc2136.New(t.Context(), rfc2136.Settings{Name: "bind", Server: bind.Address, KeyName: bind.TSIG.Name, KeyAlgorithm: bind.TSIG.Algorithm, KeySecret: bind.TSIG.Secret})
	if err != nil {
		t.Fatal(err)
	}
	apply := func(sets ...zone.RRSet) {
		t.Helper()
		live, err := p.Read(t.Context(), z)
		if err == nil {
			_, err = p.Apply(t.Context(), provider.NewPlan(z, sets, live, "c", "commit"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	run, err := w.s.Open(t.Context(), "named", repo.Part{Type: "bind", Params: map[string]string{"path": path}}, func(context.Context, error) {})
	if err != nil {
		t.Fatal(err)
	}
	flush()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()

	www := zone.RRSet{Name: "www.finmicro.example", Type: "A", TTL: 300, Values: []string{"192.0.2.7"}}
	w.change()
	apply(www)
	flush()
	eventually(t, func() bool { return len(w.events(audit.ReceiveReport)) == 1 })
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	www.Values = []string{"198.51.100.66"}
	apply(www)
	flush()
	eventually(t, func() bool { return len(w.events(audit.ReceiveReport)) == 2 })
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	w.settle(Grace + time.Second)
	got := w.events(audit.DetectOutOfBand)
	if received := w.events(audit.ReceiveReport); received[0].Change != "c-1" || len(got) != 1 || got[0].Resource.Record != "www.finmicro.example" || !strings.Contains(string(got[0].Details), "key slipway.test") {
		t.Errorf("received %+v, out of band %+v", received, got)
	}
}

func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within 20 seconds")
		}
	}
}

// CloudTrail's own API is asked for what is new, page by page.
func TestLookup(t *testing.T) {
	raw, err := os.ReadFile("testdata/cloudtrail.json")
	if err != nil {
		t.Fatal(err)
	}
	var trail struct{ Records []json.RawMessage }
	if err := json.Unmarshal(raw, &trail); err != nil {
		t.Fatal(err)
	}
	// As its API reference has it: JSON 1.1, X-Amz-Target, NextToken.
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked++
		var in struct {
			NextToken        string
			LookupAttributes []struct{ AttributeKey, AttributeValue string }
			StartTime        float64
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || !strings.HasSuffix(r.Header.Get("X-Amz-Target"), "CloudTrail_20131101.LookupEvents") || in.LookupAttributes[0].AttributeKey != "EventSource" || in.StartTime == 0 {
			t.Errorf("%v %+v %v", r.Header, in, err)
		}
		rw.Header().Set("Content-Type", "application/x-amz-json-1.1")
		out := map[string]any{"Events": []any{}}
		if in.LookupAttributes[0].AttributeValue == awsRoute53 {
			if in.NextToken == "" {
				out = map[string]any{"Events": []any{map[string]any{"CloudTrailEvent": string(trail.Records[1])}}, "NextToken": "two"}
			} else {
				out = map[string]any{"Events": []any{map[string]any{"CloudTrailEvent": string(trail.Records[0])}}}
			}
		}
		json.NewEncoder(rw).Encode(out)
	}))
	defer server.Close()
	w := newWorld(t)
	ctx, stop := context.WithCancel(t.Context())
	looked := make(chan error, 10)
	run, err := w.s.Open(ctx, "aws", repo.Part{Type: "cloudtrail", Params: map[string]string{
		"region": "us-east-1", "access-key": "env:INBOUND_TOKEN", "secret-key": "env:INBOUND_SECRET", "endpoint": server.URL,
	}}, func(_ context.Context, err error) { looked <- err })
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	if err := <-looked; err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := w.events(audit.ReceiveReport); len(got) != 1 || asked != 3 {
		t.Errorf("%d events after %d questions", len(got), asked)
	}
}

func TestOpenRefuses(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		part repo.Part
		want string
	}{
		"type":          {repo.Part{Type: "pigeon"}, `the type "pigeon" is none of`},
		"no way":        {repo.Part{Type: "bind", Params: map[string]string{}}, "has just one of"},
		"two ways":      {repo.Part{Type: "bind", Params: map[string]string{"path": "/x", "token": "env:INBOUND_TOKEN"}}, "has just one of"},
		"relative":      {repo.Part{Type: "bind", Params: map[string]string{"path": "x"}}, "give the whole path"},
		"path of a hub": {repo.Part{Type: "github", Params: map[string]string{"path": "/x"}}, "there is no such setting"},
		"in the clear":  {repo.Part{Type: "github", Params: map[string]string{"secret": "hunter2hunter2"}}, "secret: "},
	} {
		_, err := w.s.Open(t.Context(), "s", c.part, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// However many reports there are and whenever they come, each is concluded, once.
func TestSettleAll(t *testing.T) {
	w := newWorld(t)
	w.s.page = 2
	for round := range 3 {
		for i := range 5 {
			w.report(Report{Kind: Domain, ID: fmt.Sprint(round, "-", i), At: w.now, Zone: z})
		}
		w.settle(Grace / 2) // some are due, some are not yet
	}
	w.settle(2 * Grace)
	w.settle(time.Minute)
	if n := len(w.events(audit.DetectOutOfBand)); n != 15 {
		t.Errorf("%d of 15 reports are concluded", n)
	}
	// Another server process begins anew, and repeats nothing.
	w.s = New(w.s.o)
	w.settle(time.Minute)
	if n := len(w.events(audit.DetectOutOfBand)); n != 15 {
		t.Errorf("%d conclusions after a restart", n)
	}
}

// What explains the first record sets of a long report does not explain the last, neither
// when it comes nor later, when only its document has them all.
func TestLongReports(t *testing.T) {
	for name, c := range map[string]struct {
		last      string
		outOfBand int
	}{"all of the change": {"192.0.2.7", 0}, "one that is not": {"198.51.100.66", 1}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var edits []Edit
			for i := range maxEdits + 5 {
				edits = append(edits, Edit{Name: zone.Name(fmt.Sprintf("n%d.finmicro.example", i)), Type: "A", Values: []string{"192.0.2.7"}})
			}
			edits[len(edits)-1].Values = []string{c.last}
			w.report(Report{Kind: DNSChange, ID: "early", At: w.now, Edits: edits})
			for _, e := range edits {
				w.add(audit.Event{Action: audit.CreateDNSRecord, Change: "c-1", Resource: audit.Resource{Zone: string(z), Record: string(e.Name), Type: "A"}},
					lifecycle.RecordDetails{After: &lifecycle.Record{TTL: 300, Values: []string{"192.0.2.7"}}})
			}
			w.report(Report{Kind: DNSChange, ID: "late", At: w.now, Edits: edits})
			w.settle(2 * Grace)
			received, detected, matched := w.events(audit.ReceiveReport), w.events(audit.DetectOutOfBand), w.events(audit.MatchReport)
			if len(detected) != 2*c.outOfBand || len(matched) != 1-c.outOfBand || (received[1].Change == "c-1") != (c.outOfBand == 0) {
				t.Errorf("%d out of band, %d matched, %+v", len(detected), len(matched), received)
			}
		})
	}
	w := newWorld(t)
	hosts := slices.Repeat([]zone.Name{"shop.finmicro.example"}, maxHosts)
	w.report(Report{Kind: Cluster, ID: "many", At: w.now, Hosts: append(hosts, "evil.finmicro.example")})
	w.settle(2 * Grace)
	if got := w.events(audit.DetectOutOfBand); len(got) != 1 {
		t.Errorf("a name without an app behind many others: %+v", got)
	}
}
