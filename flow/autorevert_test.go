package flow

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"slipway/audit"
	"slipway/drift"
	"slipway/lifecycle"
	"slipway/provider"
	"slipway/repo"
	"slipway/zone"
)

const appsZone = zone.Name("apps.finmicro.example")

// settings changes slipway.yaml, past all rules: what a rule allows is the point, not how it came there.
func (w *world) settings(from, to string) string {
	w.t.Helper()
	ctx := context.Background()
	main, err := w.repo.Tree(ctx, "refs/heads/main")
	w.must(err)
	src, err := main.ReadFile(ctx, repo.SettingsPath)
	w.must(err)
	if !strings.Contains(string(src), from) {
		w.t.Fatalf("%q is not in the settings:\n%s", from, src)
	}
	head, err := w.repo.Propose(ctx, repo.Proposal{Base: main.Commit(), Files: map[string][]byte{repo.SettingsPath: []byte(strings.Replace(string(src), from, to, 1))},
		Author: repo.Person{Name: "Test", Email: "test@finmicro.example"}, Message: "Settings", When: w.now()})
	w.must(err)
	out, err := exec.Command("git", "-C", w.repo.Dir(), "update-ref", "refs/heads/main", head).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%v: %s", err, out)
	}
	return head
}

// through hands providers out as something else.
func (w *world) through(wrap func(provider.Provider) provider.Provider) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrap = wrap
}

// puts lists the decisions by rule on record.
func (w *world) puts() (out []lifecycle.DriftEndDetails) {
	w.t.Helper()
	events, err := w.log.Index().Events(context.Background(), audit.Query{Action: audit.ResolveDrift})
	w.must(err)
	for _, r := range events {
		d, err := lifecycle.Decode[lifecycle.DriftEndDetails](r.Event)
		w.must(err)
		if d.Rule != "" {
			out = append(out, d)
		}
	}
	return out
}

func TestAutoRevert(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	st := w.submit(green("apart", "192.0.2.40"))
	w.reaches(st.ID, lifecycle.Live)
	commit := w.settings("  apps.finmicro.example: {", "  apps.finmicro.example: {auto-revert: {most: 1, a-day: 2}, ")

	edit := func(to string) drift.Report {
		t.Helper()
		w.edited(appsZone, "192.0.2.40", to)
		return w.compared(appsZone)
	}
	for range 2 {
		if rep := edit("192.0.2.66"); len(rep.Differences) != 0 || len(rep.Notes) != 1 || rep.Notes[0].Kind != drift.Attention {
			t.Fatalf("%+v", rep)
		}
		w.resolves("apart.apps.finmicro.example", "192.0.2.40")
	}
	done := w.puts()
	if len(done) != 2 || done[0].Rule != "zones: apps.finmicro.example: auto-revert: {most: 1, a-day: 2}" || done[0].Allowed != commit || done[0].Sets != 1 || done[0].How != driftOverwrite {
		t.Fatalf("on record: %+v", done)
	}

	// The limit is counted in the log: a server that starts anew has not forgotten it.
	w.must(w.flow.Stop(ctx))
	w.startFlow()
	rep := edit("192.0.2.66")
	if len(rep.Differences) != 1 || len(rep.Notes) != 1 || !strings.Contains(rep.Notes[0].Detail, "2 times in 24 hours") {
		t.Fatalf("beyond the limit: %+v", rep)
	}
	found, err := w.log.Index().Events(ctx, audit.Query{Action: audit.DetectDrift, Newest: true, Limit: 1})
	w.must(err)
	if d, err := lifecycle.Decode[lifecycle.DriftDetails](found[0].Event); err != nil || d.Held == "" || d.Kinds["changed"] != 1 {
		t.Errorf("on record: %+v, %v", d, err)
	}
	w.compared(appsZone)
	if again, err := w.log.Index().Events(ctx, audit.Query{Action: audit.DetectDrift, Newest: true, Limit: 1}); err != nil || again[0].Index != found[0].Index {
		t.Errorf("said twice: %+v, %v", again, err)
	}
	// A person may still decide, and a day later so may the rule.
	w.must(w.flow.RevertDrift(ctx, ivy, appsZone, rep.Live))
	w.later(25 * time.Hour)
	if rep := edit("192.0.2.66"); len(rep.Differences) != 0 || len(w.puts()) != 3 {
		t.Errorf("a day later: %+v", rep)
	}

	// More than the settings say is for a person.
	file := w.path("zones/" + string(appsZone) + ".zone")
	raw, err := os.ReadFile(file)
	w.must(err)
	w.must(os.WriteFile(file, append(raw, "a.apps.finmicro.example. 60 IN A 192.0.2.1\nb.apps.finmicro.example. 60 IN A 192.0.2.1\n"...), 0o644))
	if rep := w.compared(appsZone); len(rep.Differences) != 2 || len(rep.Notes) != 1 || !strings.Contains(rep.Notes[0].Detail, "at most 1") || len(w.puts()) != 3 {
		t.Errorf("a large edit: %+v", rep)
	}
	// And so is what cannot be read.
	w.must(os.WriteFile(file, []byte("(\n"), 0o644))
	if rep := w.compared(appsZone); len(rep.Differences) != 1 || rep.Differences[0].Kind != drift.Damaged || len(w.puts()) != 3 {
		t.Errorf("a damaged zone: %+v", rep)
	}
}

// Without the setting nothing is put back, whatever differs.
func TestNoAutoRevert(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	st := w.submit(green("apart", "192.0.2.40"))
	w.reaches(st.ID, lifecycle.Live)
	for _, settings := range []string{"", "partial: true, auto-revert: {most: 5, a-day: 9}, "} {
		w.settings("  apps.finmicro.example: {", "  apps.finmicro.example: {"+settings)
		w.edited(appsZone, "192.0.2.40", "192.0.2.66")
		if rep := w.compared(appsZone); len(rep.Differences) != 1 || len(w.puts()) != 0 {
			t.Errorf("%q: %+v", settings, rep)
		}
		w.edited(appsZone, "192.0.2.66", "192.0.2.40")
	}
}

// What a change that is on its way will do is shown, and is no drift; what somebody does meanwhile is.
func TestPendingIsNoDrift(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	st := w.submit(green("apart", "192.0.2.40"))
	w.reaches(st.ID, lifecycle.Live)
	w.through(func(p provider.Provider) provider.Provider { return refusing{p} })
	next := w.submit(green("beside", "192.0.2.41"))
	w.until(next.ID, "merged", func(st lifecycle.State) bool { return st.Commit != "" })
	rep := w.compared(appsZone)
	if len(rep.Differences) != 0 || len(rep.Notes) != 1 || rep.Notes[0].Kind != drift.Pending || rep.Notes[0].Change != next.ID || rep.Notes[0].Name != "beside.apps.finmicro.example" {
		t.Errorf("%+v", rep)
	}
	w.edited(appsZone, "192.0.2.40", "192.0.2.66")
	rep = w.compared(appsZone)
	if len(rep.Differences) != 1 || rep.Differences[0].Name != "apart.apps.finmicro.example" || len(rep.Notes) != 1 {
		t.Errorf("%+v", rep)
	}
	w.edited(appsZone, "192.0.2.66", "192.0.2.40")
	w.through(nil)
	w.reaches(next.ID, lifecycle.Live)
	if rep := w.compared(appsZone); len(rep.Differences)+len(rep.Notes) != 0 {
		t.Errorf("%+v", rep)
	}
}

// refusing is a provider that changes nothing.
type refusing struct{ provider.Provider }

func (refusing) Apply(context.Context, provider.Plan) (*provider.Receipt, error) {
	return nil, errors.New("the provider is on strike")
}

// stuck is a provider that never comes back from an apply, once something was decided.
type stuck struct{ provider.Provider }

func (stuck) Apply(ctx context.Context, _ provider.Plan) (*provider.Receipt, error) {
	os.Stdout.WriteString("DECIDED\n")
	select {}
}

// deciding is a server that is about to put a zone back, because a person or a rule says so.
func deciding(spec string) int {
	who, dir, _ := strings.Cut(spec, " ")
	w := &world{t: childT{}, dir: dir, logger: slog.New(slog.DiscardHandler)}
	w.open()
	st := w.submit(green("apart", "192.0.2.40"))
	w.reaches(st.ID, lifecycle.Live)
	w.edited(appsZone, "192.0.2.40", "192.0.2.66")
	if who == "person" {
		seen := w.compared(appsZone)
		w.through(func(p provider.Provider) provider.Provider { return stuck{p} })
		_ = w.flow.RevertDrift(context.Background(), ivy, appsZone, seen.Live)
		return 4
	}
	w.settings("  apps.finmicro.example: {", "  apps.finmicro.example: {auto-revert: {most: 1, a-day: 2}, ")
	w.through(func(p provider.Provider) provider.Provider { return stuck{p} })
	_, _ = w.flow.Drift(context.Background(), []zone.Name{appsZone})
	return 4
}

// TestKilledBeforePuttingBack kills a process between the decision to put a zone back and the apply: the next one
// goes on by itself, in the name of who decided, and once.
func TestKilledBeforePuttingBack(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts processes")
	}
	for _, who := range []string{"person", "rule"} {
		t.Run(who, func(t *testing.T) {
			dir := t.TempDir()
			if !killed(t, "deciding "+who+" "+dir, func(line string) bool { return line == "DECIDED" }) {
				t.Fatal("the process ended before it decided")
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			w := &world{t: t, dir: dir, logger: testLogger(t)}
			w.open()
			defer w.stop()
			applied := w.log.Index().Watch(ctx)
			var events []audit.Receipt
			for {
				var err error
				if events, err = w.log.Index().Events(ctx, audit.Query{Zone: string(appsZone), Action: audit.ApplyZone, Newest: true}); err != nil {
					t.Fatal(err)
				}
				if len(events) > 0 && events[0].Event.Change == "" && strings.HasPrefix(events[0].Event.Once, "put-back/") {
					break
				}
				select {
				case <-applied:
				case <-ctx.Done():
					t.Fatal("it was not put back")
				}
			}
			by := map[string]string{"person": ivy.ID, "rule": system.ID}[who]
			if events[0].Event.Actor.ID != by {
				t.Errorf("put back by %s, want %s", events[0].Event.Actor.ID, by)
			}
			w.resolves("apart.apps.finmicro.example", "192.0.2.40")
			if rep := w.compared(appsZone); len(rep.Differences) != 0 {
				t.Errorf("still apart: %+v", rep)
			}
			w.must(w.flow.resumeReverts(ctx))
			again, err := w.log.Index().Events(ctx, audit.Query{Zone: string(appsZone), Action: audit.ApplyZone})
			ended, err2 := w.log.Index().Events(ctx, audit.Query{Zone: string(appsZone), Action: audit.ResolveDrift})
			if err != nil || err2 != nil || len(again) != len(events) || len(ended) != 1 {
				t.Errorf("%d applies and %d decisions, %v %v", len(again), len(ended), err, err2)
			}
		})
	}
}
