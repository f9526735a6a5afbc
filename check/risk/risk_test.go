package risk

import (
	"testing"
	"time"

	"slipway/change"
	"slipway/repo"
	"slipway/zone"
)

var now = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

// reasons are the signals of one name, strongest first.
func reasons(in Input, name string) (out []string) {
	for _, s := range Signals(in) {
		if s.Name == name {
			out = append(out, s.Reason)
		}
	}
	return out
}

func edits(op zone.Op, z zone.Name, n int) *change.Change {
	c := &change.Change{}
	for range n {
		set := zone.RRSet{Name: "a." + z, Type: "A", TTL: 300}
		c.Edits = append(c.Edits, zone.Edit{Op: op, Zone: z, Name: set.Name, Type: "A", Before: &set, After: &set})
		if op == zone.Delete {
			c.Deletes++
		}
	}
	return c
}

func TestZoneLimits(t *testing.T) {
	s := &repo.Settings{Zones: map[zone.Name]repo.Zone{"busy.example": {MaxEdits: 20, MaxDeletes: 2}, "calm.example": {}}}
	for _, c := range []struct {
		op   zone.Op
		z    zone.Name
		n    int
		name string
		want int // signals
	}{
		{zone.Update, "busy.example", 20, BulkChange, 1},
		{zone.Update, "busy.example", 21, BulkChange, 2},
		{zone.Update, "calm.example", 21, BulkChange, 1},
		{zone.Delete, "busy.example", 2, Deletion, 1},
		{zone.Delete, "busy.example", 3, Deletion, 2},
		{zone.Delete, "calm.example", 3, Deletion, 1},
	} {
		if got := reasons(Input{Change: edits(c.op, c.z, c.n), Settings: s}, c.name); len(got) != c.want {
			t.Errorf("%s %d in %s: %q, want %d", c.op, c.n, c.z, got, c.want)
		}
	}
}

// So much of a zone that an apply of it waits for a person is told before anybody approves.
func TestApplyLimits(t *testing.T) {
	s := &repo.Settings{Apply: repo.ApplyLimits{Deletes: 30, Updates: 30, From: 10}, Zones: map[zone.Name]repo.Zone{
		"usual.example": {}, "free.example": {Apply: repo.ApplyLimits{Deletes: 100, Updates: 100}},
	}}
	for _, c := range []struct {
		op      zone.Op
		z       zone.Name
		n, size int
		want    string
	}{
		{zone.Delete, "usual.example", 3, 10, ""},
		{zone.Delete, "usual.example", 4, 10, "In zone usual.example it would delete 4 of its 10 record sets (40%), where at most 30% are expected at once. So much is applied only when somebody who may release it has looked at it."},
		{zone.Update, "usual.example", 40, 100, "In zone usual.example it would change 40 of its 100 record sets (40%), where at most 30% are expected at once. So much is applied only when somebody who may release it has looked at it."},
		{zone.Create, "usual.example", 90, 100, ""},
		{zone.Delete, "usual.example", 9, 9, ""},
		{zone.Delete, "usual.example", 9, 0, ""}, // not asked
		{zone.Delete, "free.example", 90, 100, ""},
	} {
		got := ""
		if r := reasons(Input{Change: edits(c.op, c.z, c.n), Settings: s, Sizes: map[zone.Name]int{c.z: c.size}}, ApplyLimit); len(r) > 0 {
			got = r[0]
		}
		if got != c.want {
			t.Errorf("%s %d of %d in %s: %q, want %q", c.op, c.n, c.size, c.z, got, c.want)
		}
	}
}

func TestPasts(t *testing.T) {
	app := &repo.App{Name: "x", Path: "apps/x.yaml"}
	in := Input{Change: &change.Change{Apps: []change.AppEdit{{Op: zone.Update, Name: "x", Before: app, After: app}}}, Settings: &repo.Settings{}, AsOf: now}
	for _, c := range []struct {
		past             repo.Past
		young, unsettled int
	}{
		{repo.Past{}, 0, 0},
		{repo.Past{Changes: 2}, 0, 0},
		{repo.Past{Changes: 3}, 0, 1},
		{repo.Past{Created: now.Add(-time.Hour), Changes: 1}, 1, 0},
		{repo.Past{Created: now.Add(-29 * 24 * time.Hour), Changes: 12}, 1, 1},
		{repo.Past{Created: now.Add(-31 * 24 * time.Hour), Changes: 1}, 0, 0},
		{repo.Past{Created: now.Add(time.Hour), Changes: 1}, 0, 0}, // judged as of a time before it
	} {
		in.Pasts = map[string]repo.Past{app.Path: c.past}
		if young, unsettled := reasons(in, YoungApp), reasons(in, UnsettledApp); len(young) != c.young || len(unsettled) != c.unsettled {
			t.Errorf("%+v: %q, %q", c.past, young, unsettled)
		}
	}
}

func TestDependants(t *testing.T) {
	set := func(name string) zone.RRSet { return zone.RRSet{Name: zone.Name(name), Type: "CNAME"} }
	in := Input{Change: &change.Change{}, Settings: &repo.Settings{}, Dependants: map[zone.Name][]zone.RRSet{
		"www.finmicro.example": {set("a.example")},
		"db.finmicro.example":  {set("a.example"), set("b.example"), set("c.example")},
		"no.finmicro.example":  nil,
	}}
	got := reasons(in, Dependants)
	if len(got) != 2 || got[0] != "a.example CNAME and 2 others depend on db.finmicro.example, which this changes." ||
		got[1] != "a.example CNAME depends on www.finmicro.example, which this changes." {
		t.Errorf("got %q", got)
	}
}
