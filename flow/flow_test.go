package flow

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"slipway/approval"
	"slipway/audit"
	"slipway/check"
	"slipway/lifecycle"
	"slipway/nameserver"
)

func TestWays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()

	t.Run("green goes live by rule", func(t *testing.T) {
		st := w.submit(green("expenses", "192.0.2.10"))
		if st.Tier != string(check.Green) || st.Phase == lifecycle.Denied {
			t.Fatalf("tier %s, phase %s: %s", st.Tier, st.Phase, st.Problem)
		}
		st = w.reaches(st.ID, lifecycle.Live)
		w.liveOnce(st.ID)
		w.resolves("expenses.apps.finmicro.example", "192.0.2.10")
		n := w.count(st.ID)
		if n[audit.ApproveByRule] != 1 || n[audit.CreateDNSRecord] != 1 || n[audit.ApproveChange] != 0 {
			t.Errorf("events %v", n)
		}
		if len(st.Receipts) != 1 || st.App != "expenses" || st.Commit == "" {
			t.Errorf("state %+v", st)
		}
	})

	t.Run("yellow waits for one approver, who is not the requester", func(t *testing.T) {
		st := w.submit(yellow("feedback", "203.0.113.7"))
		w.expect(st, lifecycle.Waiting, check.Yellow)
		_, err := w.approve(ana, st)
		w.refused(err, approval.SelfApproval)
		_, err = w.approve(lena, st)
		w.refused(err, approval.NotAMember)
		_, err = w.flow.Vote(ctx, ivy, st.ID, approval.Approve, "", "", "", "api")
		w.refused(err, approval.StaleContent)
		_, err = w.flow.Vote(ctx, ivy, st.ID, approval.Reject, "", st.Subject.ChangeDigest, st.Subject.PolicyDigest, "api")
		w.refused(err, approval.NoReason)
		inbox, err := w.flow.Inbox(ctx, ivy)
		if err != nil || len(inbox) != 1 || inbox[0].ID != st.ID {
			t.Errorf("ivy's inbox: %v (%v)", inbox, err)
		}
		if inbox, err := w.flow.Inbox(ctx, ana); err != nil || len(inbox) != 0 {
			t.Errorf("ana's inbox: %v (%v)", inbox, err)
		}
		_, err = w.approve(ivy, st)
		w.must(err)
		st = w.reaches(st.ID, lifecycle.Live)
		w.liveOnce(st.ID)
		w.resolves("feedback.finmicro-apps.example", "203.0.113.7")
		w.commitTells(st, "Change-Id: "+st.ID, "Requested-by: "+ana.ID, "Approved-by: "+ivy.ID, "Tier: yellow",
			"Change-Digest: "+st.Subject.ChangeDigest, "Policy-Digest: "+st.Subject.PolicyDigest,
			"Event-Id: "+st.Events[0], "Event-Id: "+st.Votes[0].EventID)
		w.eventsTell(st, ivy.ID)
		if n := w.count(st.ID); n[audit.RefuseVote] != 4 {
			t.Errorf("%d refused votes on record, want 4", n[audit.RefuseVote])
		}
	})

	t.Run("red waits for three different people", func(t *testing.T) {
		st := w.submit(red("payroll", "203.0.113.8"))
		w.expect(st, lifecycle.Waiting, check.Red)
		st2, err := w.approve(lena, st)
		w.must(err)
		_, err = w.approve(lena, st)
		w.refused(err, approval.AlreadyVoted)
		if st2.Phase != lifecycle.Waiting || len(st2.Missing) == 0 {
			t.Fatalf("after one of three: %s, missing %v", st2.Phase, st2.Missing)
		}
		_, err = w.approve(sam, st)
		w.must(err)
		_, err = w.approve(pia, st)
		w.must(err)
		st = w.reaches(st.ID, lifecycle.Live)
		w.liveOnce(st.ID)
		if got := strings.Join(st.Chain(), " "); got != "lena@finmicro.example sam@finmicro.example pia@finmicro.example" {
			t.Errorf("chain %s", got)
		}
	})

	t.Run("an app changes, and is retired", func(t *testing.T) {
		st := w.submit(green("expenses", "192.0.2.11"))
		w.reaches(st.ID, lifecycle.Live)
		w.resolves("expenses.apps.finmicro.example", "192.0.2.11")
		st = w.submit(map[string][]byte{"apps/expenses.yaml": nil})
		if st.Phase == lifecycle.Denied || st.Phase == lifecycle.Waiting {
			t.Fatalf("%s: %s", st.Phase, st.Problem)
		}
		st = w.reaches(st.ID, lifecycle.Live)
		if n := w.count(st.ID); n[audit.DeleteDNSRecord] != 1 {
			t.Errorf("events %v", n)
		}
		if got, err := nameserver.Resolve(ctx, w.names.Internal(), "expenses.apps.finmicro.example", "A", time.Second); err == nil && len(got) > 0 {
			t.Errorf("still resolves to %v", got)
		}
		app, changes, events, err := w.flow.App(ctx, "expenses")
		if err != nil || app != nil || len(changes) != 3 || len(events) == 0 {
			t.Errorf("the app's page: %v, %d changes, %d events (%v)", app, len(changes), len(events), err)
		}
	})

	t.Run("one change, two zones", func(t *testing.T) {
		files := green("both", "192.0.2.12")
		for name, content := range yellow("both-public", "203.0.113.12") {
			files[name] = content
		}
		st := w.submit(files)
		w.expect(st, lifecycle.Waiting, check.Yellow)
		_, err := w.approve(omar, st)
		w.must(err)
		st = w.reaches(st.ID, lifecycle.Live)
		if n := w.count(st.ID); n[audit.ApplyZone] != 2 || n[audit.GoLive] != 1 || len(st.Receipts) != 2 {
			t.Errorf("events %v, receipts %v", n, st.Receipts)
		}
		w.resolves("both.apps.finmicro.example", "192.0.2.12")
		w.resolves("both-public.finmicro-apps.example", "203.0.113.12")
	})

	t.Run("a rejection ends it", func(t *testing.T) {
		st := w.submit(yellow("noise", "203.0.113.9"))
		st, err := w.flow.Vote(ctx, omar, st.ID, approval.Reject, "The name is taken by a partner.", st.Subject.ChangeDigest, st.Subject.PolicyDigest, "portal")
		w.must(err)
		if st.Phase != lifecycle.Rejected || !strings.Contains(st.Problem, "partner") {
			t.Errorf("phase %s, problem %q", st.Phase, st.Problem)
		}
		_, err = w.approve(ivy, st)
		w.refused(err, approval.Closed)
	})

	t.Run("the requester cancels, nobody else", func(t *testing.T) {
		st := w.submit(yellow("idea", "203.0.113.10"))
		_, err := w.flow.Cancel(ctx, ivy, st.ID, "no", "api")
		w.refused(err, Forbidden)
		_, err = w.flow.Cancel(ctx, admin, st.ID, "no", "api")
		w.refused(err, Forbidden)
		st, err = w.flow.Cancel(ctx, ana, st.ID, "not needed", "api")
		w.must(err)
		if st.Phase != lifecycle.Cancelled {
			t.Errorf("phase %s", st.Phase)
		}
		_, err = w.flow.Cancel(ctx, ana, st.ID, "again", "api")
		w.refused(err, Conflict)
	})

	t.Run("a denied change is revised", func(t *testing.T) {
		_, _, err := w.flow.Submit(ctx, Submission{By: ana, Via: "api", Files: map[string][]byte{"apps/wrong.yaml": []byte("owner: [")}}, nil)
		w.refused(err, Invalid)
		files := green("wrong", "192.0.2.20")
		files["zones/finmicro.example.yaml"] = []byte("'':\n  type: MX\n  values:\n  - {preference: 10, exchange: mx.elsewhere.example.}\n")
		st := w.submit(files)
		if st.Phase != lifecycle.Denied || st.Problem == "" {
			t.Fatalf("phase %s: %s", st.Phase, st.Problem)
		}
		_, err = w.approve(ivy, st)
		w.refused(err, approval.Closed)
		_, _, err = w.flow.Submit(ctx, Submission{By: ivy, Via: "api", Files: green("wrong", "192.0.2.20"), Revises: st.ID}, nil)
		w.refused(err, Forbidden)
		st, _, err = w.flow.Submit(ctx, Submission{By: ana, Via: "api", Files: green("wrong", "192.0.2.20"), Revises: st.ID}, nil)
		w.must(err)
		if st.Revision != 2 {
			t.Errorf("revision %d", st.Revision)
		}
		w.reaches(st.ID, lifecycle.Live)
		w.liveOnce(st.ID)
	})

	t.Run("a revision voids approvals", func(t *testing.T) {
		st := w.submit(red("ledger", "203.0.113.11"))
		seen := st
		_, err := w.approve(lena, st)
		w.must(err)
		st, _, err = w.flow.Submit(ctx, Submission{By: ana, Via: "api", Files: red("ledger", "203.0.113.12"), Revises: st.ID}, nil)
		w.must(err)
		if len(st.Votes) != 0 || st.Phase != lifecycle.Waiting {
			t.Errorf("phase %s with votes %v", st.Phase, st.Votes)
		}
		_, err = w.approve(sam, seen)
		w.refused(err, approval.StaleContent)
		if n := w.count(st.ID); n[audit.VoidApprovals] != 1 {
			t.Errorf("events %v", n)
		}
		_, err = w.flow.Cancel(ctx, ana, st.ID, "", "api")
		w.must(err)
	})

	t.Run("a repeated request is one change", func(t *testing.T) {
		sub := Submission{By: ana, Via: "api", Files: yellow("twice", "203.0.113.13"), RequestID: "r-1"}
		first, _, err := w.flow.Submit(ctx, sub, nil)
		w.must(err)
		second, _, err := w.flow.Submit(ctx, sub, nil)
		w.must(err)
		if first.ID != second.ID {
			t.Errorf("%s and %s", first.ID, second.ID)
		}
		_, err = w.flow.Cancel(ctx, ana, first.ID, "", "api")
		w.must(err)
	})

	t.Run("nothing to do is refused with words", func(t *testing.T) {
		_, _, err := w.flow.Submit(ctx, Submission{By: ana, Via: "api", Files: green("both", "192.0.2.12")}, nil)
		w.refused(err, Refused)
	})

	t.Run("the log verifies", func(t *testing.T) {
		report, err := audit.Verify(ctx, w.path("audit"), w.log.PublicKeys(), nil)
		w.must(err)
		if len(report.Problems) != 0 {
			t.Errorf("problems: %v", report.Problems)
		}
	})

	t.Run("the progress is plain sentences", func(t *testing.T) {
		var progress bytes.Buffer
		st, v, err := w.flow.Submit(ctx, Submission{By: ana, Via: "cli", Files: yellow("words", "203.0.113.14")}, &progress)
		w.must(err)
		if v == nil || v.Tier != check.Yellow || !strings.Contains(progress.String(), st.ID) {
			t.Errorf("verdict %v, progress:\n%s", v, &progress)
		}
		t.Logf("\n%s", &progress)
		_, err = w.flow.Cancel(ctx, ana, st.ID, "", "api")
		w.must(err)
	})
}

func TestClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()

	t.Run("expiry", func(t *testing.T) {
		st := w.submit(yellow("slow", "203.0.113.20"))
		w.expect(st, lifecycle.Waiting, check.Yellow)
		w.later(8 * 24 * time.Hour)
		_, err := w.approve(ivy, st)
		w.refused(err, approval.Expired)
		w.flow.wake(ctx, st.ID) // its timer runs on the real clock
		w.reaches(st.ID, lifecycle.Expired)
	})

	t.Run("not before", func(t *testing.T) {
		at := w.now().Add(1500 * time.Millisecond)
		st, _, err := w.flow.Submit(ctx, Submission{By: ana, Via: "cli", Files: green("launch", "192.0.2.21"), NotBefore: at}, nil)
		w.must(err)
		w.reaches(st.ID, lifecycle.Scheduled)
		st = w.reaches(st.ID, lifecycle.Live)
		if st.Updated.Before(at.Truncate(time.Millisecond)) {
			t.Errorf("live at %s, before %s", st.Updated, at)
		}
		w.liveOnce(st.ID)
	})

	t.Run("scheduled by its requester only, then at once", func(t *testing.T) {
		st, _, err := w.flow.Submit(ctx, Submission{By: ana, Via: "cli", Files: green("later", "192.0.2.22"), NotBefore: w.now().Add(time.Hour)}, nil)
		w.must(err)
		w.reaches(st.ID, lifecycle.Scheduled)
		_, err = w.flow.Schedule(ctx, omar, st.ID, time.Time{}, "api")
		w.refused(err, Forbidden)
		_, err = w.flow.Schedule(ctx, ana, st.ID, time.Time{}, "api")
		w.must(err)
		w.reaches(st.ID, lifecycle.Live)
		w.liveOnce(st.ID)
	})
}

func TestMainMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()

	t.Run("approvals hold when the content stays", func(t *testing.T) {
		waiting := w.submit(red("steady", "203.0.113.30"))
		_, err := w.approve(lena, waiting)
		w.must(err)
		other := w.submit(green("mover", "192.0.2.30"))
		w.reaches(other.ID, lifecycle.Live)
		_, err = w.approve(sam, waiting)
		w.must(err)
		_, err = w.approve(pia, waiting)
		w.must(err)
		st := w.reaches(waiting.ID, lifecycle.Live)
		w.liveOnce(st.ID)
		if n := w.count(st.ID); n[audit.VoidApprovals] != 0 || n[audit.CheckChange] < 2 {
			t.Errorf("events %v", n)
		}
	})

	t.Run("a conflict is denied with the word rebase", func(t *testing.T) {
		waiting := w.submit(yellow("clash", "203.0.113.31"))
		w.expect(waiting, lifecycle.Waiting, check.Yellow)
		second := w.submit(yellow("clash", "203.0.113.32"))
		_, err := w.approve(ivy, second)
		w.must(err)
		w.reaches(second.ID, lifecycle.Live)
		st := w.reaches(waiting.ID, lifecycle.Denied)
		if !strings.Contains(st.Problem, "Rebase") {
			t.Errorf("problem %q", st.Problem)
		}
	})

	t.Run("many changes to one zone at once", func(t *testing.T) {
		const many = 8
		ids := make(chan string, many)
		for i := range many {
			go func() {
				st, _, err := w.flow.Submit(ctx, Submission{By: ana, Via: "api", Files: green(fmt.Sprint("crowd-", i), fmt.Sprint("192.0.2.", 30+i))}, nil)
				if err != nil {
					t.Error(err)
				}
				ids <- st.ID
			}()
		}
		for range many {
			id := <-ids
			w.reaches(id, lifecycle.Live)
			w.liveOnce(id)
		}
		for i := range many {
			w.resolves(fmt.Sprintf("crowd-%d.apps.finmicro.example", i), fmt.Sprint("192.0.2.", 30+i))
		}
	})
}

func TestDrift(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	st := w.submit(green("apart", "192.0.2.40"))
	w.reaches(st.ID, lifecycle.Live)

	file := w.path("zones/apps.finmicro.example.zone")
	edit := func(from, to string) {
		raw, err := os.ReadFile(file)
		w.must(err)
		if !bytes.Contains(raw, []byte(from)) {
			t.Fatalf("%s is not in the zone file:\n%s", from, raw)
		}
		w.must(os.WriteFile(file, bytes.ReplaceAll(raw, []byte(from), []byte(to)), 0o644))
	}
	edit("192.0.2.40", "192.0.2.66")
	for range 2 { // said once
		found, err := w.flow.Drift(ctx, nil)
		w.must(err)
		n := 0
		for _, r := range found {
			n += len(r.Differences)
		}
		if n != 1 {
			t.Fatalf("%d differences, want 1: %+v", n, found)
		}
	}
	events, err := w.log.Index().Events(ctx, audit.Query{Action: audit.DetectDrift})
	w.must(err)
	if len(events) != 1 || events[0].Event.Resource.Record != "apart.apps.finmicro.example" {
		t.Fatalf("events %+v", events)
	}

	// A change to a zone that was edited by hand does not undo the edit unasked.
	next := w.submit(green("beside", "192.0.2.41"))
	failed := w.until(next.ID, "held up", func(st lifecycle.State) bool { return st.Phase == lifecycle.Failed })
	if !strings.Contains(failed.Problem, "by hand") {
		t.Errorf("problem %q", failed.Problem)
	}
	w.refused(func() error { _, err := w.flow.Retry(ctx, ivy, next.ID); return err }(), Forbidden)
	_, err = w.flow.Retry(ctx, admin, next.ID)
	w.must(err)
	w.reaches(next.ID, lifecycle.Live)
	w.liveOnce(next.ID)
	w.resolves("apart.apps.finmicro.example", "192.0.2.40")
	w.resolves("beside.apps.finmicro.example", "192.0.2.41")

	// Undone by hand, a drift ends by itself.
	edit("192.0.2.40", "192.0.2.66")
	_, err = w.flow.Drift(ctx, nil)
	w.must(err)
	edit("192.0.2.66", "192.0.2.40")
	_, err = w.flow.Drift(ctx, nil)
	w.must(err)
	latest, err := w.flow.LastDrift(ctx)
	w.must(err)
	for _, r := range latest {
		if len(r.Differences) != 0 {
			t.Errorf("still apart: %+v", r)
		}
	}
	ended, err := w.log.Index().Events(ctx, audit.Query{Action: audit.ResolveDrift})
	w.must(err)
	if len(ended) != 2 {
		t.Errorf("%d drifts ended, want 2", len(ended))
	}
}
