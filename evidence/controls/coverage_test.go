package controls_test

import (
	"strings"
	"testing"
	"time"

	"slipway/audit"
	"slipway/evidence/controls"
)

func row(t *testing.T, c *controls.Coverage, id string) controls.Row {
	t.Helper()
	for _, r := range c.Controls {
		if r.ID == id {
			return r
		}
	}
	t.Fatalf("%s has no row", id)
	return controls.Row{}
}

func TestStates(t *testing.T) {
	t.Parallel()
	m := builtIn(t)
	june := &controls.Period{From: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)}
	judge := controls.Check{ID: "wildcard", Title: "A wildcard", From: "lint", Controls: []string{"SOC2:A1.3"}}
	for _, tt := range []struct {
		name   string
		id     string
		checks []controls.Check
		counts map[audit.Action]int
		period *controls.Period
		want   controls.State
		events int
	}{
		{"mapped", "SOC2:CC8.1", nil, nil, nil, controls.Covered, 0},
		{"mapped, and it happened", "SOC2:C1.2", nil, map[audit.Action]int{audit.EraseDocument: 2}, june, controls.Covered, 2},
		{"mapped, and other things happened", "SOC2:C1.2", nil, map[audit.Action]int{audit.SignIn: 2}, june, controls.Silent, 0},
		{"mapped, and nothing happened", "SOC2:CC8.1", nil, nil, june, controls.Silent, 0},
		{"not mapped", "SOC2:A1.3", nil, nil, nil, controls.None, 0},
		{"not mapped, but a rule names it", "SOC2:A1.3", []controls.Check{judge}, nil, nil, controls.Covered, 0},
		{"a rule names it, and changes were judged", "SOC2:A1.3", []controls.Check{judge}, map[audit.Action]int{audit.CheckChange: 7}, june, controls.Covered, 7},
		{"a rule names it, and nothing was judged", "SOC2:A1.3", []controls.Check{judge}, map[audit.Action]int{audit.SignIn: 7}, june, controls.Silent, 0},
		{"elsewhere", "SOC2:CC6.4", nil, nil, june, controls.Elsewhere, 0},
		{"what counts only with its documents is not counted", "SOX:ITGC-SD-2", nil, map[audit.Action]int{audit.SubmitChange: 5}, june, controls.Covered, 0},
		{"an action in two pieces counts once", "SOC2:CC3.2", nil, map[audit.Action]int{audit.CheckChange: 5, audit.ApproveByRule: 1}, june, controls.Covered, 6},
	} {
		r := row(t, m.Cover(tt.checks, tt.counts, tt.period), tt.id)
		if r.State != tt.want || r.Events != tt.events {
			t.Errorf("%s: %s with %d events, want %s with %d", tt.name, r.State, r.Events, tt.want, tt.events)
		}
	}
}

func TestChecksThatPacksAdd(t *testing.T) {
	t.Parallel()
	m := builtIn(t)
	without, err := controls.Shipped(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plain, with := m.Cover(without, nil, nil), m.Cover(all(t), nil, nil)
	if r := row(t, plain, "PCI-DSS:5.4.1"); len(r.Checks) == 0 || r.State != controls.Covered {
		t.Errorf("mail is judged without packs too: %+v", r)
	}
	if r := row(t, with, "PCI-DSS:6.5.1"); !r.Every {
		t.Error("the pack pci-dss says that every rule is evidence for 6.5.1")
	}
	if r := row(t, plain, "PCI-DSS:6.5.1"); r.Every || len(r.Checks) > 0 {
		t.Errorf("a pack that is not in force adds %d checks", len(r.Checks))
	}
	if r := row(t, plain, "PCI-DSS:12.8.1"); r.State != controls.Elsewhere {
		t.Errorf("%s", r.State)
	}
	if r := row(t, with, "PCI-DSS:12.8.1"); r.State != controls.Covered || r.Elsewhere == "" {
		t.Errorf("a check that names a control is evidence: %s", r.State)
	}
	tiers := row(t, plain, "NIST-800-53:RA-3").Checks
	if len(tiers) != 1 || tiers[0].ID != "slipway.tier" {
		t.Errorf("the policy that decides the tier is no check: %v", tiers)
	}
	for _, c := range all(t) {
		want := "policies"
		switch {
		case strings.HasPrefix(c.ID, "packs.email_auth/"):
			want = "pack email-auth"
		case strings.HasPrefix(c.ID, "packs.tls/"):
			want = "pack tls"
		case !strings.ContainsAny(c.ID, "./"):
			continue
		case strings.HasPrefix(c.ID, "packs."):
			continue
		}
		if c.From != want {
			t.Errorf("%s is from %s, want %s", c.ID, c.From, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	m, err := builtIn(t).Extend(controls.Path, []byte("controls:\n  SOC2:CC8.1: {checks: [own/typo]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	checks := []controls.Check{
		{ID: "own/a", Controls: []string{"SCO2:CC8.1", "SOC2:CC8.1"}}, {ID: "own/b", Controls: []string{"SCO2:CC8.1"}},
		{ID: "own/c", Controls: []string{"SOC2:CC99.1"}},
	}
	got := strings.Join(m.Cover(checks, nil, nil).Warnings, "\n")
	for _, want := range []string{"2 rules, own/a among them, name the control SCO2:CC8.1", "The rule own/c names the control SOC2:CC99.1", "controls.yaml:2: the control SOC2:CC8.1 names the check own/typo"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	shipped, err := controls.Shipped(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if w := builtIn(t).Cover(shipped, nil, nil).Warnings; len(w) > 0 {
		t.Errorf("what comes with Slipway warns: %v", w)
	}
	left, err := builtIn(t).Extend(controls.Path, []byte("frameworks:\n  soc2: {leave-out: true}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if w := left.Cover(shipped, nil, nil).Warnings; len(w) > 0 {
		t.Errorf("rules name a framework that was left out on purpose, and that warns: %v", w)
	}
}

func TestCounting(t *testing.T) {
	t.Parallel()
	c := builtIn(t).Cover(nil, nil, nil)
	n := c.Count("soc2")
	if n[controls.None]+n[controls.Silent]+n[controls.Elsewhere]+n[controls.Covered] != 61 || n[controls.None] != len(c.Of("soc2", controls.None)) {
		t.Errorf("%v", n)
	}
	only := c.Only("sox")
	if len(only.Frameworks) != 1 || only.Count("")[controls.Covered] != c.Count("sox")[controls.Covered] {
		t.Errorf("%+v", only.Frameworks)
	}
}

// What the first page of coverage costs.
func BenchmarkCover(b *testing.B) {
	m, err := controls.Default()
	if err != nil {
		b.Fatal(err)
	}
	checks, err := controls.All(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		m.Cover(checks, nil, nil)
	}
}

func BenchmarkDefault(b *testing.B) {
	for b.Loop() {
		if _, err := controls.Default(); err != nil {
			b.Fatal(err)
		}
	}
}
