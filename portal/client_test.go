package portal_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"slipway/approval"
	"slipway/audit"
	"slipway/client"
	"slipway/lifecycle"
	"slipway/repo"
	"slipway/zone"
)

// The command line's client and this server agree on every call.
func TestTheClientIsUnderstood(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	server := httptest.NewServer(b.handler)
	defer server.Close()
	as := func(id string) *client.Client {
		c, err := client.New(server.URL, b.token(id))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ctx, anas, ivys := context.Background(), as(ana), as(ivy)
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	me, err := anas.Me(ctx)
	must("me", err)
	if me.ID != ana || me.Role != "product-manager" {
		t.Errorf("me: %+v", me)
	}
	rr, err := zone.NewRRSet("shop.finmicro-apps.example", "A", 300, []string{"192.0.2.10"})
	must("record", err)
	request := client.Request{
		App:       &repo.App{Name: "shop", Team: "web", Purpose: "Sells things", Exposure: "external", Data: []string{"none"}, Hostname: "shop.finmicro-apps.example", Records: []zone.RRSet{rr}},
		NotBefore: b.now().Add(time.Hour), Ticket: "CHG-1", RequestID: "r1",
	}
	v, err := anas.Preview(ctx, request)
	must("preview", err)
	if v.Tier != "yellow" {
		t.Errorf("tier %s", v.Tier)
	}
	d, err := anas.Submit(ctx, request)
	must("submit", err)
	id := d.Change.ID
	if d.Change.Via != "cli" || d.Verdict == nil || !d.Change.NotBefore.Equal(request.NotBefore) {
		t.Errorf("submitted: %+v", d.Change)
	}
	_, err = anas.Schedule(ctx, id, time.Time{})
	must("schedule", err)
	mine, err := anas.Changes(ctx, client.ChangesQuery{Mine: true, Open: true, Limit: 5})
	must("changes", err)
	inbox, err := ivys.Inbox(ctx)
	must("inbox", err)
	if len(mine) != 1 || len(inbox) != 1 {
		t.Errorf("%d mine, %d in the inbox", len(mine), len(inbox))
	}
	vote := client.Vote{Decision: approval.Approve, ChangeDigest: d.Change.Subject.ChangeDigest, PolicyDigest: d.Change.Subject.PolicyDigest}
	var refused *client.Error
	if _, err := anas.Vote(ctx, id, vote); !errors.As(err, &refused) || refused.Code != "refused" {
		t.Errorf("self-approval: %v", err)
	}
	_, err = ivys.Vote(ctx, id, vote)
	must("vote", err)
	d, err = anas.Wait(ctx, id, lifecycle.Live, 10*time.Second)
	must("wait", err)
	if d.Change.Phase != lifecycle.Live || len(d.Events) == 0 {
		t.Errorf("after the wait: %s", d.Change.Phase)
	}
	app, err := anas.App(ctx, "shop")
	must("app", err)
	apps, err := anas.Apps(ctx)
	must("apps", err)
	if app.App.Owner != ana || len(apps) != 1 {
		t.Errorf("app: %+v of %d", app.App, len(apps))
	}
	if _, err := anas.Cancel(ctx, id, "late"); !errors.As(err, &refused) || refused.Code != "conflict" {
		t.Errorf("cancel after it went live: %v", err)
	}
	undo, err := anas.Rollback(ctx, id, "OPS-12")
	must("rollback", err)
	if undo.Change.Undoes != id || undo.Change.ID == id || undo.Change.Ticket != "OPS-12" || undo.Verdict == nil {
		t.Errorf("rollback: %+v", undo.Change)
	}
	b.desk.reports = driftReports(b.now())
	adopted, err := anas.AdoptDrift(ctx, "apps.finmicro.example", digest("live"), "")
	must("adopt", err)
	if adopted.Change.Adopts != digest("live") {
		t.Errorf("adopt: %+v", adopted.Change)
	}
	must("revert", ivys.RevertDrift(ctx, "apps.finmicro.example", digest("live")))
	if err := ivys.RevertDrift(ctx, "apps.finmicro.example", "other"); !errors.As(err, &refused) || refused.Code != "conflict" {
		t.Errorf("revert of what was not seen: %v", err)
	}
	if err := anas.RevertDrift(ctx, "apps.finmicro.example", digest("live")); !errors.As(err, &refused) || refused.Code != "forbidden" {
		t.Errorf("revert by a requester: %v", err)
	}
	_, err = anas.Drift(ctx, nil)
	must("drift", err)
	_, err = anas.LastDrift(ctx)
	must("last drift", err)
	if m, err := anas.DriftMonth(ctx, "2026-10"); err != nil || m.Month != "2026-10" || m.Found != 1 {
		t.Errorf("drift of a month: %+v, %v", m, err)
	}
	token, err := anas.NewToken(ctx, "ci", 30)
	must("new token", err)
	tokens, err := anas.Tokens(ctx)
	must("tokens", err)
	if token == "" || len(tokens) != 2 {
		t.Errorf("%d tokens", len(tokens))
	}
	must("revoke", anas.RevokeToken(ctx, tokens[0].ID))
	if _, err := as(admin).Link(ctx, "new@finmicro.example", "designer"); err != nil {
		t.Errorf("link: %v", err)
	}
	n := 0
	for r, err := range ivys.Events(ctx, audit.Query{Change: id}) {
		must("events", err)
		if r.Event.Change != id {
			t.Errorf("an event of %s", r.Event.Change)
		}
		n++
	}
	if n != len(d.Events) {
		t.Errorf("%d events, want %d", n, len(d.Events))
	}
	_, err = anas.Keys(ctx)
	must("keys", err)
	signers, err := anas.AllowedSigners(ctx)
	must("signers", err)
	if signers == "" {
		t.Error("no signers")
	}
}
