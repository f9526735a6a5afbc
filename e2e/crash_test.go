//go:build integration

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/audit"
	"slipway/lifecycle"
)

// steps are the workflow's, as the server's log names them.
var steps = []string{"check", "approve", "merge", "apply", "verify", "live"}

// killsPerPoint times two moments (a step's start and its end) of each step, for two
// ways through, makes 72 kills.
const killsPerPoint = 3

// TestCrash kills the server with SIGKILL at each step of the workflow, starts it
// again, and checks that every change ends live once: one merge, one apply, one
// go-live event, one commit, and a log that verifies.
func TestCrash(t *testing.T) {
	w := newWorld(t)
	const (
		cora = "cora@finmicro.example"
		ivy  = "ivy@finmicro.example"
	)
	w.token(cora)
	w.token(ivy)
	kills := 0
	for round := range killsPerPoint {
		for _, step := range steps {
			for _, moment := range []string{"step started", "step finished"} {
				for _, exposure := range []string{"internal", "external"} {
					kills++
					name := fmt.Sprintf("crash-%d-%s-%s-%s", round, step, strings.TrimPrefix(moment, "step "), exposure[:3])
					t.Run(name, func(t *testing.T) {
						id := w.crashAt(t, name, exposure, moment, "step="+step, cora, ivy)
						endsOnce(t, w, id, name, exposure)
					})
				}
			}
		}
	}
	t.Logf("%d kills", kills)
	if kills < 50 {
		t.Errorf("only %d kills", kills)
	}
	if r := w.verify(); r.code != 0 {
		t.Errorf("verify: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// crashAt submits an app, kills the server when its log says that the step is there,
// starts it again, and sees the change to its end. It returns the change's ID.
func (w *world) crashAt(t *testing.T, name, exposure, moment, step, requester, approver string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	zone, address := "apps.finmicro.example", "192.0.2.77"
	if exposure == "external" {
		zone, address = "finmicro-apps.example", "198.51.100.77"
	}
	body := map[string]any{
		"request_id": name,
		"title":      name,
		"app": map[string]any{
			"name": name, "owner": requester, "team": "testing", "purpose": "Survives a crash",
			"exposure": exposure, "data": []string{"none"}, "expires": time.Now().AddDate(0, 6, 0).Format(time.DateOnly),
			"hostname": name + "." + zone,
			"records":  []map[string]any{{"name": name + "." + zone, "type": "A", "ttl": 300, "values": []string{address}}},
		},
	}
	// A person's vote is no step of the workflow: there, the kill comes while the vote is on its way, or right after it.
	vote := func(send func()) { send() }
	killed := make(chan error, 1)
	if exposure == "external" && step == "step=approve" {
		vote = func(send func()) {
			if moment == "step started" {
				go func() { w.kill(); killed <- nil }()
				send()
			} else {
				send()
				w.kill()
				killed <- nil
			}
		}
	} else {
		watch := w.lines.watch()
		go func() {
			err := seen(ctx, watch, moment, step)
			w.kill()
			killed <- err
		}()
	}

	// What a client with patience does: the same request ID until there is an answer.
	go w.drive(ctx, body, approver, vote)
	if err := <-killed; err != nil {
		t.Fatalf("%v\n%s", err, w.lines.tail(40))
	}
	w.start()

	var made answer
	w.api(w.tokens[requester], "POST", "/api/v1/changes", body, &made)
	id := made.Change.ID
	for {
		a := w.changeAs(requester, id)
		switch a.Change.Phase {
		case lifecycle.Live:
			return id
		case lifecycle.Waiting:
			w.vote(approver, a)
		case lifecycle.Denied, lifecycle.Rejected, lifecycle.Cancelled, lifecycle.Expired:
			t.Fatalf("change %s is %s: %s", id, a.Change.Phase, a.Change.Problem)
		}
		if ctx.Err() != nil {
			t.Fatalf("change %s is still %s: %s\n%s", id, a.Change.Phase, a.Change.Problem, w.lines.tail(60))
		}
		time.Sleep(30 * time.Millisecond)
	}
}

// drive submits and approves as far as the server lives; errors are what a crash looks like from outside.
func (w *world) drive(ctx context.Context, body any, approver string, vote func(send func())) {
	const requester = "cora@finmicro.example"
	code, raw, err := w.tryAPI(ctx, w.tokens[requester], "POST", "/api/v1/changes", body)
	var made answer
	if err != nil || code/100 != 2 || json.Unmarshal(raw, &made) != nil {
		return
	}
	for ctx.Err() == nil {
		code, raw, err := w.tryAPI(ctx, w.tokens[requester], "GET", "/api/v1/changes/"+made.Change.ID, nil)
		var a answer
		if err != nil || code != 200 || json.Unmarshal(raw, &a) != nil || a.Change.Phase.Ended() {
			return
		}
		if a.Change.Phase == lifecycle.Waiting {
			vote(func() {
				w.tryAPI(ctx, w.tokens[approver], "POST", "/api/v1/changes/"+made.Change.ID+"/votes", ballotOf(a))
			})
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func ballotOf(a answer) map[string]string {
	return map[string]string{"decision": "approve", "change_digest": a.Change.Subject.ChangeDigest, "policy_digest": a.Change.Subject.PolicyDigest}
}

// vote approves unless the vote is in already, which a crash can hide from the voter.
func (w *world) vote(approver string, a answer) {
	w.t.Helper()
	for _, v := range a.Change.Votes {
		if v.Person == approver {
			return
		}
	}
	code, raw := w.rawAPI(w.tokens[approver], "POST", "/api/v1/changes/"+a.Change.ID+"/votes", ballotOf(a))
	if code != 200 && code != 422 && code != 409 {
		w.t.Fatalf("vote on %s: %d %s", a.Change.ID, code, raw)
	}
}

func (w *world) changeAs(person, id string) answer {
	w.t.Helper()
	var a answer
	w.api(w.tokens[person], "GET", "/api/v1/changes/"+id, nil, &a)
	return a
}

// endsOnce checks that nothing happened twice and nothing was left out.
func endsOnce(t *testing.T, w *world, id, name, exposure string) {
	t.Helper()
	a := w.changeAs("cora@finmicro.example", id)
	count := map[audit.Action]int{}
	for _, e := range a.Events {
		count[e.Event.Action]++
	}
	want := map[audit.Action]int{audit.SubmitChange: 1, audit.MergeChange: 1, audit.CreateDNSRecord: 1, audit.ApplyZone: 1, audit.GoLive: 1}
	if exposure == "internal" {
		want[audit.ApproveByRule] = 1
	} else {
		want[audit.ApproveChange] = 1
	}
	for action, n := range want {
		if count[action] != n {
			t.Errorf("%s: %d events %s, want %d", id, count[action], action, n)
		}
	}
	merges := git(t, filepath.Join(w.data, "zones.git"), "log", "--format=%H", "--fixed-strings", "--grep", "Change-Id: "+id, "main")
	if n := len(strings.Fields(merges)); n != 1 {
		t.Errorf("%s: %d commits on main", id, n)
	}
	zone := "apps.finmicro.example"
	if exposure == "external" {
		zone = "finmicro-apps.example"
	}
	if got := w.dig(name+"."+zone, "A"); strings.Count(got, ".") != 3 || strings.Contains(got, "\n") {
		t.Errorf("%s: the nameserver answers %q", id, got)
	}
}
