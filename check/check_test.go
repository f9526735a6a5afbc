package check

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"slipway/check/internal/scenario"
	"slipway/zone"
)

var update = flag.Bool("update", false, "write golden verdicts anew")

// baseFiles is the zones repository of the lint rules' examples, with the files
// of a scenario's base/ laid over it.
func baseFiles(tb testing.TB, overlay *txtar.Archive) fstest.MapFS {
	tb.Helper()
	src, err := os.ReadFile("lint/testdata/base.txtar")
	if err != nil {
		tb.Fatal(err)
	}
	files := fstest.MapFS{}
	for _, f := range txtar.Parse(src).Files {
		files[f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
	}
	if overlay == nil {
		return files
	}
	for _, f := range overlay.Files {
		if name, ok := strings.CutPrefix(f.Name, "base/"); ok {
			files[name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
		}
	}
	return files
}

// load reads a scenario: who asks stands in its first line.
func load(tb testing.TB, name string, archive *txtar.Archive) Input {
	tb.Helper()
	w := scenario.FromFiles(tb, baseFiles(tb, archive))
	head := &txtar.Archive{}
	for _, f := range archive.Files {
		if !strings.HasPrefix(f.Name, "base/") && !strings.HasPrefix(f.Name, "want.") {
			head.Files = append(head.Files, f)
		}
	}
	first, _, _ := strings.Cut(string(archive.Comment), "\n")
	who, ok := strings.CutPrefix(first, "Asked for by ")
	if !ok {
		tb.Fatalf("%s does not begin with who asks", name)
	}
	who = strings.TrimSuffix(who, ".")
	if who == "nobody" {
		who = ""
	}
	return Input{Repo: w.Repo, Base: w.Base, Head: w.Head(tb, txtar.Format(head)), Requester: Requester{ID: who}, AsOf: scenario.Now}
}

// TestVerdicts judges the scenarios in testdata and compares the verdict, as
// JSON and as text, with what the scenario says.
func TestVerdicts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("no scenarios", err)
	}
	engine := NewEngine()
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			in := load(t, path, archive)
			v, err := engine.Run(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string][]byte{"want.txt": render(t, v, false), "want.json": render(t, v, true)}
			if !*update {
				for _, f := range archive.Files {
					if want, ok := got[f.Name]; ok {
						if !bytes.Equal(f.Data, want) {
							t.Errorf("%s differs, first in %s; run with -update to see it all", f.Name, firstDifference(f.Data, want))
						}
						delete(got, f.Name)
					}
				}
				if len(got) > 0 {
					t.Error("the scenario does not say what it expects; run with -update")
				}
				return
			}
			archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return got[f.Name] != nil })
			for _, name := range []string{"want.txt", "want.json"} {
				archive.Files = append(archive.Files, txtar.File{Name: name, Data: got[name]})
			}
			if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func firstDifference(got, want []byte) string {
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d is %q, want %q", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

// render gives a verdict without what differs from checkout to checkout.
func render(t *testing.T, v *Verdict, asJSON bool) []byte {
	t.Helper()
	c := *v.Change
	one := *v
	one.Change, one.PolicyDigest = &c, "…"
	c.Base, c.Head, c.Digest = "…", "…", "…"
	var out bytes.Buffer
	write := func() error { return WriteText(&out, &one, false) }
	if asJSON {
		write = func() error { return WriteJSON(&out, &one) }
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(out.Bytes(), []byte(": null")) {
		t.Errorf("null in the verdict:\n%s", out.Bytes())
	}
	return out.Bytes()
}

// The tiers as the programme defines them.
func TestTiers(t *testing.T) {
	const app = "-- apps/x.yaml --\nowner: ana@finmicro.example\npurpose: Shows things\nexpires: 2027-01-31\n"
	internal := func(name, rest string) string {
		return app + "exposure: internal\nhostname: " + name + ".apps.finmicro.example\nrecords: [{name: " + name + ".apps.finmicro.example, type: A, ttl: 300, values: [10.1.2.3]}]\n" + rest
	}
	external := func(name, rest string) string {
		return app + "exposure: external\nhostname: " + name + ".finmicro.example\nrecords: [{name: " + name + ".finmicro.example, type: A, ttl: 300, values: [9.9.9.10]}]\n" + rest
	}
	w := scenario.FromFiles(t, baseFiles(t, nil))
	engine := NewEngine()
	const ana, omar = "ana@finmicro.example", "omar@finmicro.example"
	for _, c := range []struct {
		name, who, archive string
		tier               Tier
		denied             bool
	}{
		{"internal, no data", ana, internal("things", "data: [none]\n"), Green, false},
		{"internal, brand in the name", ana, internal("finmicro", "data: [none]\n"), Green, false},
		{"internal, personal data", ana, internal("things", "data: [pii]\n"), Red, false},
		{"internal, financial data", ana, internal("things", "data: [financial]\n"), Red, false},
		{"internal, health data", ana, internal("things", "data: [pii, health]\n"), Red, false},
		{"internal, data undeclared", ana, internal("things", ""), Yellow, true},
		{"internal, nobody asks", "", internal("things", "data: [none]\n"), Yellow, false},
		{"internal, a third party asks", "eve@agency.example", internal("things", "data: [none]\n"), Red, false},
		{"internal, run by a third party", ana, internal("things", "data: [none]\nthird_party: Agency Ltd\n"), Red, false},
		{"external, no brand, no data", ana, external("things", "data: [none]\n"), Yellow, false},
		{"external, brand", ana, external("finmicro-shop", "data: [none]\n"), Red, false},
		{"external, lookalike", ana, external("f1nmicro", "data: [none]\n"), Red, false},
		{"external, bait", ana, external("login-finpay", "data: [none]\n"), Red, false},
		{"external, personal data", ana, external("things", "data: [pii]\n"), Red, false},
		{"platform's internal zone, by the platform", omar, "-- zones/apps.finmicro.example.yaml --\nmenu: {type: A, ttl: 300, value: 10.1.2.10}\n", Green, false},
		{"platform's internal zone, by another", ana, "-- zones/apps.finmicro.example.yaml --\nmenu: {type: A, ttl: 300, value: 10.1.2.10}\n", Yellow, false},
		{"settings", omar, "-- slipway.yaml --\ndomain: finmicro.example\n", Red, false},
		{"policy", omar, "-- policies/x.rego --\npackage x\n", Red, false},
		{"policy that is broken", omar, "-- policies/x.rego --\npackage x\ndeny contains\n", Red, true},
		{"packs", omar, "-- policies/packs.lock --\nversion: 1\npacks: []\n", Red, false},
		{"packs that are broken", omar, "-- policies/packs.lock --\nx\n", Red, true},
		{"domain", omar, "-- domains/finmicro-pay.example.yaml --\nregistrar: x\n", Red, false},
		{"domain without a brand", omar, "-- domains/things.example.yaml --\nregistrar: x\n", Yellow, false},
		{"documentation", ana, "-- README.md --\nx\n", Green, false},
		{"a file of unknown use", ana, "-- .github/workflows/ci.yml --\nx\n", Yellow, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := engine.Run(t.Context(), Input{Repo: w.Repo, Base: w.Base, Head: w.Head(t, []byte(c.archive)), Requester: Requester{ID: c.who}, AsOf: scenario.Now})
			if err != nil {
				t.Fatal(err)
			}
			if v.Tier != c.tier || v.Denied != c.denied {
				var text bytes.Buffer
				_ = WriteText(&text, v, false)
				t.Errorf("got %s, denied %v; want %s, %v\n%s", v.Tier, v.Denied, c.tier, c.denied, text.String())
			}
			if (v.Tier == Green) != (len(v.Approvals) == 0) {
				t.Errorf("%s with approvals %+v", v.Tier, v.Approvals)
			}
		})
	}
}

// The same input gives the same bytes: with a new engine, with a warm one, and
// after the repository has been read in another order.
func TestReplay(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/denied.txtar")
	if err != nil {
		t.Fatal(err)
	}
	in := load(t, "denied", archive)
	engine := NewEngine()
	var first []byte
	for i := range 5 {
		if i == 3 {
			engine = NewEngine()
		}
		v, err := engine.Run(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := WriteJSON(&out, v); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = out.Bytes()
		}
		if !bytes.Equal(out.Bytes(), first) {
			t.Fatalf("run %d differs:\n%s\n%s", i, out.Bytes(), first)
		}
	}
}

func TestPolicyDigest(t *testing.T) {
	judge := func(overlay string) *Verdict {
		t.Helper()
		archive := txtar.Parse([]byte("Asked for by omar@finmicro.example.\n-- README.md --\nx\n" + overlay))
		v, err := NewEngine().Run(t.Context(), load(t, "digest", archive))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	settings := string(baseFiles(t, nil)["slipway.yaml"].Data)
	with := func(old, new string) string {
		if !strings.Contains(settings, old) {
			t.Fatalf("no %q in the settings", old)
		}
		return "-- base/slipway.yaml --\n" + strings.Replace(settings, old, new, 1)
	}
	base := judge("").PolicyDigest
	for name, c := range map[string]struct {
		overlay string
		same    bool
	}{
		"again":               {"", true},
		"a new member":        {with("[ivy@finmicro.example]", "[ivy@finmicro.example, ian@finmicro.example]"), true},
		"a comment":           {with("ttl:", "# bounds\nttl:"), true},
		"a test of a policy":  {"-- base/policies/x_test.rego --\npackage x_test\n", true},
		"another brand":       {with("finpay", "finpays"), false},
		"another bound":       {with("86400", "86401"), false},
		"another approver":    {with("[infosec, platform-ops]", "[infosec]"), false},
		"a new group":         {with("groups:\n", "groups:\n  brand: {members: []}\n"), false},
		"a zone turns public": {with("internal", "external"), false},
		"a policy":            {"-- base/policies/x.rego --\npackage x\n", false},
	} {
		if got := judge(c.overlay).PolicyDigest; (got == base) != c.same {
			t.Errorf("%s: the digest stays is %v, want %v", name, got == base, c.same)
		}
	}
}

// A change cannot soften the rules by which it is judged.
func TestJudgedByTheRulesInForce(t *testing.T) {
	w := scenario.FromFiles(t, baseFiles(t, nil))
	head := w.Head(t, []byte("-- policies/tier.rego --\npackage slipway.tier\ntier := \"green\"\nreasons := [\"trust me\"]\n-- slipway.yaml --\ndomain: agency.example\n"))
	v, err := NewEngine().Run(t.Context(), Input{Repo: w.Repo, Base: w.Base, Head: head, Requester: Requester{ID: "eve@agency.example"}, AsOf: scenario.Now})
	if err != nil {
		t.Fatal(err)
	}
	if v.Tier != Red || !v.Requester.ThirdParty || len(v.Approvals) != 1 || v.Approvals[0].Rule != "red" {
		t.Errorf("got %s %+v", v.Tier, v.Approvals)
	}
}

func TestUnusableInput(t *testing.T) {
	for name, c := range map[string]struct{ archive, want string }{
		"settings":        {"-- slipway.yaml --\nbrand: [x]\n", "slipway.yaml:1"},
		"policy in force": {"-- base/policies/x.rego --\npackage x\n\ndeny contains\n-- README.md --\nx\n", "policies/x.rego:"},
		"zone":            {"-- zones/finmicro.example.yaml --\nx: {type: A\n", "zones/finmicro.example.yaml:"},
		"manifest":        {"-- apps/x.yaml --\nowner: a\nonwer: b\n", "apps/x.yaml:2"},
		"two owners":      {"-- apps/x.yaml --\nrecords: [{name: menu.apps.finmicro.example, type: A, ttl: 300, values: [10.0.0.1]}]\n", "already belongs to"},
	} {
		in := load(t, name, txtar.Parse([]byte("Asked for by nobody.\n"+c.archive)))
		_, err := NewEngine().Run(t.Context(), in)
		var fault *zone.Error
		if !errors.As(err, &fault) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want a *zone.Error with %q", name, err, c.want)
		}
	}
	if _, err := NewEngine().Run(t.Context(), Input{}); err == nil {
		t.Error("no head is no error")
	}
}

// Many at once, on one engine.
func TestConcurrent(t *testing.T) {
	w := scenario.FromFiles(t, baseFiles(t, nil))
	in := Input{Repo: w.Repo, Base: w.Base, Head: w.Head(t, []byte("-- README.md --\nx\n")), AsOf: time.Now()}
	engine, done := NewEngine(), make(chan error)
	for range 8 {
		go func() {
			_, err := engine.Run(t.Context(), in)
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// Nothing in a change can play tricks on the terminal of whoever reads the verdict.
func TestWriteTextIsPlain(t *testing.T) {
	w := scenario.FromFiles(t, baseFiles(t, nil))
	head := w.Head(t, []byte("-- zones/finmicro.example.yaml --\n\"x\": {type: TXT, ttl: 300, value: \"\\e[2Jgone \\u202e\"}\n"))
	v, err := NewEngine().Run(t.Context(), Input{Repo: w.Repo, Base: w.Base, Head: head, AsOf: scenario.Now})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := WriteText(&out, v, false); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\u202e") {
		t.Errorf("%q", out.String())
	}
	out.Reset()
	if err := WriteText(&out, v, true); err != nil || !strings.Contains(out.String(), "\x1b[1;33mYELLOW\x1b[0m") {
		t.Errorf("no colour when asked for: %q, %v", out.String(), err)
	}
}
