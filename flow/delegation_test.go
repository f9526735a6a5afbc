package flow

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"

	"slipway/audit"
	"slipway/drift"
	"slipway/lifecycle"
	"slipway/repo"
	"slipway/zone"
)

// upper is what the zones above say. What is asked of real servers is tested where it is asked: package drift.
type upper struct {
	mu    sync.Mutex
	says  *drift.Delegated
	once  bool // says it once, and then nothing
	asked int
}

func (u *upper) look(_ context.Context, _ *repo.Tree, z zone.Name) (*drift.Delegated, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked++
	switch {
	case z != appsZone:
		return nil, drift.ErrNoParent
	case u.says == nil:
		return nil, errors.New("the zone above does not answer")
	}
	says := *u.says
	if u.once && u.asked%2 == 0 {
		says.Servers = nil
	}
	return &says, nil
}

func (u *upper) set(d *drift.Delegated) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.says = d
}

// What is wrong above a zone is a drift of its own: it goes on record, stays apart from what differs in the zone, and
// ends by itself.
func TestParentDrift(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	up := new(upper)
	w.must(w.flow.Stop(ctx))
	w.parents = up.look
	w.startFlow()

	dead := drift.ServerState{Name: "ns2.finmicro.example", Address: netip.MustParseAddr("192.0.2.53"), Problem: "does not answer"}
	right := &drift.Delegated{Zone: appsZone, Parent: "finmicro.example", Found: true, NS: []zone.Name{"ns.example"}, OwnNS: []zone.Name{"ns.example"}}
	wrong := *right
	wrong.Servers = []drift.ServerState{dead}
	scopes := func() (out []string) {
		t.Helper()
		found, err := w.flow.Drift(ctx, []zone.Name{appsZone})
		w.must(err)
		for _, r := range found {
			if len(r.Differences) > 0 {
				out = append(out, string(r.Scope)+" "+string(r.Differences[0].Kind))
			}
		}
		return out
	}
	st := w.submit(green("apart", "192.0.2.40"))
	w.reaches(st.ID, lifecycle.Live)

	// A parent that cannot be asked, and one that is wrong once, are no findings.
	if got := scopes(); len(got) != 0 {
		t.Errorf("found %q", got)
	}
	up.set(&wrong)
	up.mu.Lock()
	up.once, up.asked = true, 0
	up.mu.Unlock()
	if got := scopes(); len(got) != 0 {
		t.Errorf("found %q", got)
	}
	up.mu.Lock()
	up.once = false
	up.mu.Unlock()

	for range 2 {
		if got := scopes(); len(got) != 1 || got[0] != "parent delegation" {
			t.Fatalf("found %q", got)
		}
	}
	w.edited(appsZone, "192.0.2.40", "192.0.2.66")
	if got := scopes(); len(got) != 2 {
		t.Fatalf("found %q", got)
	}
	open, err := w.flow.LastDrift(ctx)
	w.must(err)
	n := 0
	for _, r := range open {
		if len(r.Differences) > 0 {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d open", n)
	}
	w.must(w.flow.RevertDrift(ctx, ivy, appsZone, w.contentOf(appsZone).Live))
	if got := scopes(); len(got) != 1 || got[0] != "parent delegation" {
		t.Errorf("found %q", got)
	}
	up.set(right)
	if got := scopes(); len(got) != 0 {
		t.Errorf("found %q", got)
	}
	events := func(a audit.Action) (out []string) {
		found, err := w.log.Index().Events(ctx, audit.Query{Action: a})
		w.must(err)
		for _, r := range found {
			d, err := lifecycle.Decode[struct{ Scope string }](r.Event)
			w.must(err)
			out = append(out, d.Scope)
		}
		return out
	}
	found, ended := events(audit.DetectDrift), events(audit.ResolveDrift)
	if len(found) != 2 || found[0] != "parent" || found[1] != "" || len(ended) != 2 || ended[0] != "" || ended[1] != "parent" {
		t.Errorf("on record: found %q, ended %q", found, ended)
	}
}

// contentOf compares a zone's content now.
func (w *world) contentOf(z zone.Name) drift.Report {
	w.t.Helper()
	found, err := w.flow.Drift(context.Background(), []zone.Name{z})
	w.must(err)
	for _, r := range found {
		if r.Scope == drift.Content {
			return r
		}
	}
	w.t.Fatalf("%s was not compared", z)
	return drift.Report{}
}
