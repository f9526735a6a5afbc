package flow

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"slipway/approval"
	"slipway/audit"
	"slipway/check"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/zone"
)

const heldZone = "apps.finmicro.example"

// hosts is an internal app with so many addresses, the first of them from.
func hosts(from, n int) map[string][]byte {
	files := appFile("many", ana.ID, "many."+heldZone, "internal", "none", "192.0.2.19")
	var b strings.Builder
	for i := from; i < min(from+n, 19); i++ {
		fmt.Fprintf(&b, "  - {name: h%02d.many.%s, type: A, ttl: 300, values: [192.0.2.%d]}\n", i, heldZone, i)
	}
	for path := range files {
		files[path] = append(files[path], b.String()...)
	}
	return files
}

// allGreen are the policies of an organisation that asks nobody, whatever a change takes away.
func allGreen() map[string][]byte {
	return map[string][]byte{"policies/tier.rego": []byte(`package slipway.tier

tier := "green"

reasons := {"Everything is green here."}

score := 0

weights := {}

approvals := set()
`)}
}

// asks submits files as somebody, and returns the state once judged.
func (w *world) asks(by identity.Person, files map[string][]byte) lifecycle.State {
	w.t.Helper()
	st, _, err := w.flow.Submit(context.Background(), Submission{By: by, Via: "cli", Files: files}, nil)
	w.must(err)
	return st
}

// peopled brings twenty addresses into a zone of a world where the rules approve everything.
func (w *world) peopled() {
	w.t.Helper()
	st := w.asks(omar, allGreen())
	for _, by := range []identity.Person{lena, sam, pia} {
		_, err := w.approve(by, st)
		w.must(err)
	}
	w.reaches(st.ID, lifecycle.Live)
	st = w.asks(ana, hosts(0, 20))
	w.reaches(st.ID, lifecycle.Live)
}

func (w *world) release(by identity.Person, st lifecycle.State, plan, reason string) (lifecycle.State, error) {
	return w.flow.ReleaseApply(context.Background(), by, st.ID, heldZone, plan, reason, "api")
}

func TestHeldApply(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	w.peopled()
	within := w.asks(ana, hosts(6, 14))
	w.reaches(within.ID, lifecycle.Live)

	st := w.asks(ana, hosts(11, 9))
	st = w.reaches(st.ID, lifecycle.Held)
	hold, ok := st.Hold(heldZone)
	if !ok || !st.ByRule || hold.Deletes != 5 || hold.Live != 16 || hold.Limit != "30% deletes" || !strings.Contains(hold.Why, "delete 5 of its 16 record sets") ||
		!slicesEqual(hold.Groups, "infosec", "platform-ops") {
		t.Fatalf("%+v", st.Held)
	}
	raw, err := w.log.Documents().Get(ctx, hold.Document)
	w.must(err)
	var plan heldPlan
	w.must(json.Unmarshal(raw, &plan))
	if plan.Digest != hold.Plan || len(plan.Edits) != 5 || plan.Edits[0].Op != zone.Delete {
		t.Errorf("the plan on record: %s", raw)
	}
	w.resolves("h06.many."+heldZone, "192.0.2.6")

	for who, tt := range map[string]struct {
		by           identity.Person
		plan, reason string
		code         string
	}{
		"nobody":                               {identity.Person{}, hold.Plan, "x", Forbidden},
		"the requester":                        {ana, hold.Plan, "x", approval.SelfApproval},
		"an administrator":                     {admin, hold.Plan, "x", approval.NotAMember},
		"legal":                                {lena, hold.Plan, "x", approval.NotAMember},
		"somebody from outside":                {identity.Person{ID: "tess@studio.example", ThirdParty: true}, hold.Plan, "x", approval.NotAMember},
		"somebody whom the requester let in":   {identity.Person{ID: ivy.ID, Vouched: []string{ana.ID}}, hold.Plan, "x", approval.SelfApproval},
		"somebody who saw another plan":        {ivy, "sha256:other", "x", approval.StaleContent},
		"somebody who saw none":                {ivy, "", "x", approval.StaleContent},
		"somebody who does not say why":        {ivy, hold.Plan, "", approval.NoReason},
		"somebody who says far too much of it": {ivy, hold.Plan, strings.Repeat("x", approval.MaxReason+1), approval.NoReason},
	} {
		t.Run(who, func(t *testing.T) {
			_, err := w.release(tt.by, st, tt.plan, tt.reason)
			w.refused(err, tt.code)
		})
	}
	if n := w.count(st.ID); n[audit.RefuseVote] < 5 || n[audit.HoldApply] != 1 || n[audit.ReleaseApply] != 0 {
		t.Errorf("on record: %v", n)
	}
	_, err = w.flow.ReleaseApply(ctx, ivy, st.ID, "finmicro.example", hold.Plan, "x", "api")
	w.refused(err, Conflict)
	_, err = w.flow.ReleaseApply(ctx, ivy, "nothing", heldZone, hold.Plan, "x", "api")
	w.refused(err, NotFound)

	for by, want := range map[*identity.Person]int{&ivy: 1, &omar: 1, &ana: 0, &lena: 0} {
		if inbox, err := w.flow.Inbox(ctx, *by); err != nil || len(inbox) != want {
			t.Errorf("%s has %d in the inbox, want %d (%v)", by.ID, len(inbox), want, err)
		}
	}
	_, err = w.release(ivy, st, hold.Plan, "The old machines are gone.")
	w.must(err)
	w.reaches(st.ID, lifecycle.Live)
	w.liveOnce(st.ID)
	w.resolves("h11.many."+heldZone, "192.0.2.11")
	_, err = w.release(omar, st, hold.Plan, "x")
	w.refused(err, Conflict)
	if n := w.count(st.ID); n[audit.HoldApply] != 1 || n[audit.ReleaseApply] != 1 || n[audit.DeleteDNSRecord] != 5 || n[audit.FailChange] != 0 {
		t.Errorf("on record: %v", n)
	}
}

func slicesEqual(got []string, want ...string) bool {
	return strings.Join(got, " ") == strings.Join(want, " ")
}

// Who could release it has approved just this, and was told: nobody is asked a second time. The verdict says so
// by a signal, which also keeps the rules from approving it alone.
func TestApprovedInView(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	st := w.asks(ana, hosts(0, 20))
	w.reaches(st.ID, lifecycle.Live)
	st = w.asks(ana, hosts(8, 12))
	w.expect(st, lifecycle.Waiting, check.Yellow)
	_, _, v, err := w.flow.Change(context.Background(), st.ID)
	w.must(err)
	if !strings.Contains(strings.Join(v.TierReasons, " "), "it would delete 8 of its 22 record sets (36.4%)") {
		t.Errorf("%q", v.TierReasons)
	}
	_, err = w.approve(ivy, st)
	w.must(err)
	w.reaches(st.ID, lifecycle.Live)
	if n := w.count(st.ID); n[audit.HoldApply] != 0 || n[audit.DeleteDNSRecord] != 8 {
		t.Errorf("on record: %v", n)
	}
}

// Another plan waits again: what was released was another content of the zone.
func TestHeldAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.peopled()
	st := w.asks(ana, hosts(10, 10))
	st = w.reaches(st.ID, lifecycle.Held)
	first, _ := st.Hold(heldZone)
	w.edited(heldZone, "192.0.2.15", "192.0.2.66")
	_, err := w.release(ivy, st, first.Plan, "The old machines are gone.")
	w.must(err)
	st = w.reaches(st.ID, lifecycle.Failed)
	if !strings.Contains(st.Problem, "changed by hand") {
		t.Errorf("%s", st.Problem)
	}
	_, err = w.flow.Retry(context.Background(), ana, st.ID)
	w.must(err)
	st = w.until(st.ID, "held again", func(st lifecycle.State) bool { h, _ := st.Hold(heldZone); return h.Plan != first.Plan })
	second, _ := st.Hold(heldZone)
	if st.Phase != lifecycle.Held || second.Release != nil || second.Updates != 1 || second.Deletes != 10 {
		t.Errorf("%s %+v", st.Phase, second)
	}
	_, err = w.release(ivy, st, first.Plan, "x")
	w.refused(err, approval.StaleContent)
	_, err = w.release(ivy, st, second.Plan, "Nobody needs the edit.")
	w.must(err)
	w.reaches(st.ID, lifecycle.Live)
	w.resolves("h15.many."+heldZone, "192.0.2.15")
}

// Nobody releases it, and it is taken back: nothing of it ever happens, and nothing says that it did.
func TestHeldAndUndone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.peopled()
	st := w.asks(ana, hosts(10, 10))
	w.reaches(st.ID, lifecycle.Held)
	undo, _, err := w.flow.Rollback(context.Background(), ana, st.ID, "", "cli")
	w.must(err)
	w.reaches(undo.ID, lifecycle.Live)
	w.reaches(st.ID, lifecycle.Live)
	w.resolves("h03.many."+heldZone, "192.0.2.3")
	if n := w.count(st.ID); n[audit.DeleteDNSRecord] != 0 || n[audit.HoldApply] != 1 {
		t.Errorf("on record: %v", n)
	}
}

// What comes later to the same zone waits too, since main says both; releasing it makes both.
func TestLaterChangeWaitsToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.peopled()
	first := w.asks(ana, hosts(10, 10))
	w.reaches(first.ID, lifecycle.Held)
	later := w.submit(green("later", "192.0.2.90"))
	later = w.reaches(later.ID, lifecycle.Held)
	hold, _ := later.Hold(heldZone)
	if hold.Deletes != 10 {
		t.Errorf("%+v", hold)
	}
	elsewhere := w.submit(yellow("elsewhere", "203.0.113.90")) // green here
	w.reaches(elsewhere.ID, lifecycle.Live)
	_, err := w.release(ivy, later, hold.Plan, "The old machines are gone.")
	w.must(err)
	w.reaches(later.ID, lifecycle.Live)
	w.reaches(first.ID, lifecycle.Live)
	w.resolves("later."+heldZone, "192.0.2.90")
	if n := w.count(first.ID); n[audit.DeleteDNSRecord] != 10 || n[audit.ApplyZone] != 1 {
		t.Errorf("on record of the first: %v", n)
	}
}

// A held apply is planned again after a while, and what it was held for may have gone meanwhile, by somebody's own hand.
func TestHeldIsPlannedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.peopled()
	st := w.asks(ana, hosts(10, 10))
	st = w.reaches(st.ID, lifecycle.Held)
	file := w.path("zones/" + heldZone + ".zone")
	raw, err := os.ReadFile(file)
	w.must(err)
	var kept strings.Builder
	for line := range strings.Lines(string(raw)) {
		if !strings.HasPrefix(line, "h0") {
			kept.WriteString(line)
		}
	}
	if len(raw) == kept.Len() {
		t.Fatalf("nothing was taken out of\n%s", raw)
	}
	w.must(os.WriteFile(file, []byte(kept.String()), 0o644))
	w.flow.wake(context.Background(), st.ID) // not yet: it was planned a moment ago
	if n, err := (&acts{w.flow}).Next(context.Background(), st.ID); err != nil || n.Do != lifecycle.DoWait || n.Wait <= 0 || n.Wait > relookEvery {
		t.Errorf("%+v, %v", n, err)
	}
	w.later(relookEvery)
	w.flow.wake(context.Background(), st.ID)
	w.reaches(st.ID, lifecycle.Live)
	if n := w.count(st.ID); n[audit.HoldApply] != 1 || n[audit.ReleaseApply] != 0 {
		t.Errorf("on record: %v", n)
	}
}

// holding is a server with a change whose apply was held and then released, and that dies before it is made.
func holding(dir string) int {
	w := &world{t: childT{}, dir: dir, logger: slog.New(slog.DiscardHandler)}
	w.open()
	w.peopled()
	st := w.asks(ana, hosts(10, 10))
	st = w.reaches(st.ID, lifecycle.Held)
	w.mu.Lock()
	w.hold = func(ctx context.Context, _ zone.Name) error { <-ctx.Done(); return ctx.Err() }
	w.mu.Unlock()
	h, _ := st.Hold(heldZone)
	_, err := w.release(ivy, st, h.Plan, "The old machines are gone.")
	w.must(err)
	fmt.Println("RELEASED", st.ID)
	select {}
}

// TestKilledAfterRelease kills a process with SIGKILL between a release and the apply: the next one makes it, once,
// and asks nobody again.
func TestKilledAfterRelease(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a process")
	}
	dir := t.TempDir()
	id := ""
	if !killed(t, "holding "+dir, func(line string) (ok bool) { id, ok = strings.CutPrefix(line, "RELEASED "); return ok }) {
		t.Fatal("the server did not come so far")
	}
	w := &world{t: t, dir: dir, logger: testLogger(t)}
	w.open()
	defer w.stop()
	w.reaches(id, lifecycle.Live)
	w.liveOnce(id)
	if n := w.count(id); n[audit.HoldApply] != 1 || n[audit.ReleaseApply] != 1 || n[audit.DeleteDNSRecord] != 10 {
		t.Errorf("on record: %v", n)
	}
}
