package pack

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"slipway/check/lint"
	"slipway/check/policy"
	"slipway/starter"
)

func shipped(t testing.TB) []*Pack {
	t.Helper()
	names, err := BuiltinNames()
	if err != nil {
		t.Fatal(err)
	}
	var packs []*Pack
	for _, name := range names {
		_, p, err := Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		if p.Name != name || p.Title == "" || p.Description == "" {
			t.Errorf("the pack in %s says that it is %q, %q", name, p.Name, p.Title)
		}
		packs = append(packs, p)
	}
	if len(packs) < 11 {
		t.Errorf("only %d packs are shipped", len(packs))
	}
	return packs
}

// The shipped packs come with Rego tests; they run here as `opa test` runs them.
func TestShippedRego(t *testing.T) {
	for _, p := range shipped(t) {
		t.Run(p.Name, func(t *testing.T) {
			b := p.Bundle()
			b.Files = slices.Concat(p.Policies, p.Tests)
			report, err := policy.Test(t.Context(), p.Policies, b)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range report.Tests {
				if !r.Passed {
					t.Errorf("%s: %s %s", r.Place, r.Name, r.Problem)
				}
			}
			if len(p.Controls) > 0 {
				return // data alone
			}
			if report.Passed < 5 || report.Coverage < 90 {
				t.Errorf("%d tests, which run %.0f%% of the lines", report.Passed, report.Coverage)
			}
		})
	}
}

// All of them together compile as the engine compiles them: strictly, and against the schema of the input.
func TestShippedCompile(t *testing.T) {
	packs := shipped(t)
	if err := Disjoint(packs); err != nil {
		t.Error(err)
	}
	base, err := policy.Starter(starter.Policies())
	if err != nil {
		t.Fatal(err)
	}
	bundles := []policy.Bundle{base}
	for _, p := range packs {
		bundles = append(bundles, p.Bundle())
	}
	if _, err := policy.Compile(t.Context(), bundles...); err != nil {
		t.Fatal(err)
	}
}

// Every rule has a title, so that people without Rego know what it is for.
func TestShippedTitles(t *testing.T) {
	for _, p := range shipped(t) {
		for _, f := range p.Policies {
			m, err := ast.ParseModuleWithOpts(f.Path, string(f.Src), ast.ParserOptions{RegoVersion: ast.RegoV1, ProcessAnnotation: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range m.Rules {
				switch r.Head.Name.String() {
				case "deny", "warn", "escalate":
					if len(r.Annotations) == 0 || r.Annotations[0].Title == "" {
						t.Errorf("%s: the rule has no title", r.Location)
					}
				}
			}
		}
	}
}

// A control that is mapped to a rule which nothing has would never show.
func TestRegimesNameRulesThatExist(t *testing.T) {
	known := map[string]bool{policy.EveryRule: true, "policy-broken": true, "dns.policy/zone-owner": true, "dns.policy/external-zone-not-allowed": true, "dns.policy/zone-visibility-undeclared": true}
	for _, r := range lint.Rules() {
		known[r.ID] = true
	}
	packs := shipped(t)
	own := map[string]bool{}
	rule := regexp.MustCompile(`"rule": "([a-z-]+)"`)
	for _, p := range packs {
		for _, f := range p.Policies {
			for _, m := range rule.FindAllStringSubmatch(string(f.Src), -1) {
				own[strings.ReplaceAll(p.Roots[0], "/", ".")+"/"+m[1]] = true
			}
		}
	}
	if len(own) < 30 {
		t.Errorf("only %d rules in the shipped packs", len(own))
	}
	for _, p := range packs {
		if p.Controls == nil {
			continue
		}
		for rule, ids := range p.Controls {
			if !known[rule] && !own[rule] {
				t.Errorf("%s maps the rule %s, which does not exist", p.Name, rule)
			}
			for _, id := range ids {
				if !strings.HasPrefix(id, strings.ToUpper(p.Name)+":") {
					t.Errorf("%s adds %s, a control of another regime", p.Name, id)
				}
			}
		}
		if len(p.Controls[policy.EveryRule]) == 0 {
			t.Errorf("%s has no control for every rule", p.Name)
		}
	}
}

var update = flag.Bool("update", false, "write the pages of the shipped packs anew")

// The pages that are published are those of the packs as they are.
func TestShippedPages(t *testing.T) {
	dir := filepath.Join("..", "docs", "packs")
	packs := shipped(t)
	for _, p := range packs {
		page, err := p.Page(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, p.Name+".md")
		if *update {
			if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(file, []byte(page), 0o644)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if want, err := os.ReadFile(file); err != nil || string(want) != page {
			t.Errorf("docs/packs/%s.md is not what the pack says (%v): run with -update", p.Name, err)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != len(packs) {
		t.Errorf("docs/packs has %d files, want %d (%v)", len(files), len(packs), err)
	}
}

// What a pack says of itself can do nothing to who reads its page.
func TestPageIsPlain(t *testing.T) {
	p := &Pack{Name: "x", Version: "1.0.0", Description: "a | <script>[x](javascript:y)\n# y", Controls: map[string][]string{"`<b>|": {"<i>"}}}
	page, err := p.Page(t.Context())
	if err != nil || strings.Contains(page, "<script") || strings.Contains(page, "<b>") || strings.Contains(page, "<i>") || strings.Contains(page, "[x](") || strings.Contains(page, "\n# y") {
		t.Errorf("%v\n%s", err, page)
	}
}
