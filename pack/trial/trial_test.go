package trial

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/check"
	"slipway/pack"
	"slipway/repo"
)

var now = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

// history makes a zones repository of these states, one commit each.
func history(t *testing.T, states ...map[string]string) *repo.Repo {
	t.Helper()
	dir := t.TempDir()
	git := func(when time.Time, args ...string) {
		t.Helper()
		c := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=Ana", "-c", "user.email=ana@finmicro.example"}, args...)...)
		c.Env = append(os.Environ(), "GIT_COMMITTER_DATE="+when.Format(time.RFC3339), "GIT_AUTHOR_DATE="+when.Format(time.RFC3339))
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git(now, "init", "-q", "-b", "main")
	for i, files := range states {
		for name, src := range files {
			at := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(src), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		git(now, "add", "-A")
		git(now.Add(time.Duration(i-len(states))*time.Hour), "commit", "-q", "-m", fmt.Sprintf("state %d", i))
	}
	r, err := repo.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

const settings = `organisation: Fin Micro Ltd
domain: finmicro.example
zones:
  finmicro.example: {visibility: external, owner: finmicro.example, provider: local}
allowed-external: [finmicro.example]
providers:
  local: {type: zonefile}
`

func builtin(t *testing.T, name string) *pack.Pack {
	t.Helper()
	_, p, err := pack.Builtin(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func has(list []check.Finding, rule string) bool {
	for _, f := range list {
		if f.Rule == rule {
			return true
		}
	}
	return false
}

func TestTrial(t *testing.T) {
	r := history(t,
		map[string]string{"slipway.yaml": settings, "zones/finmicro.example.yaml": "---\nmenu:\n  type: A\n  value: 198.51.100.7\n"},
		map[string]string{"zones/finmicro.example.yaml": "---\nmenu:\n  type: A\n  value: 198.51.100.7\njenkins:\n  type: A\n  value: 198.51.100.8\n"},
		map[string]string{"zones/finmicro.example.yaml": "---\nmenu: [\n"},
		map[string]string{"zones/finmicro.example.yaml": "---\nmenu:\n  type: A\n  value: 198.51.100.9\n"},
	)
	const console = "packs.exposure/console-name-public"
	before, after := Exchange(nil, nil, builtin(t, "exposure"))
	steps := 0
	report, err := Trial{
		Repo: r, Revision: "main", Before: before, After: after, Last: 20, Now: now,
		Progress: func(done, total int) {
			if total != 5 || done < 0 || done > total {
				t.Errorf("%d of %d", done, total)
			}
			steps++
		},
	}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if report.Judged != 3 || len(report.Unjudged) != 1 || steps != 6 {
		t.Errorf("%d judged, unjudged %+v, %d steps", report.Judged, report.Unjudged, steps)
	}
	if len(report.Cases) != 1 || report.Cases[0].Subject != "state 1" || !has(report.Cases[0].Appear, console) || len(report.Cases[0].Vanish) != 0 {
		t.Fatalf("got %+v", report.Cases)
	}
	if one := report.Cases[0]; one.Before.Denied || !one.After.Denied || !one.When.Equal(now.Add(-3*time.Hour)) {
		t.Errorf("got %+v", one)
	}
	// The repository as it is has no console any more.
	if report.AsItIs.differs() {
		t.Errorf("as it is: %+v", report.AsItIs)
	}

	// The other way round, the finding vanishes; with the same packs nothing differs; a look back of one sees only one.
	back, err := Trial{Repo: r, Revision: "main", Before: after, After: before, Last: 20, Now: now}.Run(t.Context())
	if err != nil || len(back.Cases) != 1 || !has(back.Cases[0].Vanish, console) || !back.Differs() {
		t.Errorf("%+v, %v", back, err)
	}
	same, err := Trial{Repo: r, Revision: "main", Before: after, After: after, Last: 1, Now: now}.Run(t.Context())
	if err != nil || same.Differs() || same.Judged+len(same.Unjudged) != 1 {
		t.Errorf("%+v, %v", same, err)
	}
}

// A regime decides nothing and adds control IDs: that is told apart.
func TestTrialOfRegime(t *testing.T) {
	r := history(t, map[string]string{"slipway.yaml": settings, "zones/finmicro.example.yaml": "---\n'*':\n  type: A\n  value: 10.0.0.1\n"})
	before, after := Exchange([]*pack.Pack{builtin(t, "exposure")}, nil, builtin(t, "nist-800-53"))
	report, err := Trial{Repo: r, Revision: "main", Before: before, After: after, Last: 5, Now: now}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := report.AsItIs
	if c.Controls == 0 || len(c.Appear)+len(c.Vanish) != 0 || c.Before != c.After {
		t.Errorf("got %+v", c)
	}
}

func TestCompareRules(t *testing.T) {
	tls, exposure := builtin(t, "tls"), builtin(t, "exposure")
	rules, err := CompareRules(t.Context(), nil, tls)
	if err != nil || len(rules.Added) < 5 || len(rules.Removed) != 0 {
		t.Fatalf("%+v, %v", rules, err)
	}
	for _, r := range rules.Added {
		if !strings.HasPrefix(r.ID, "packs.tls/") || r.Title == "" {
			t.Errorf("rule %+v", r)
		}
	}
	if rules, err = CompareRules(t.Context(), tls, exposure); err != nil || len(rules.Removed) < 5 || len(rules.Added) < 4 {
		t.Errorf("%+v, %v", rules, err)
	}
}
