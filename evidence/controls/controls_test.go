package controls_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"slipway/audit"
	"slipway/evidence/controls"
)

func builtIn(t testing.TB) *controls.Mapping {
	t.Helper()
	m, err := controls.Default()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func all(t testing.TB) []controls.Check {
	t.Helper()
	checks, err := controls.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return checks
}

// What findings can name must be in the catalog, with a title.
func TestEveryControlThatACheckNamesIsInTheCatalog(t *testing.T) {
	t.Parallel()
	m := builtIn(t)
	ids := controls.Named(all(t))
	if len(ids) < 50 {
		t.Fatalf("only %d control IDs were found in rules and packs", len(ids))
	}
	for _, id := range ids {
		if c, ok := m.Control(id); !ok || c.Title == "" {
			t.Errorf("%s is named by a check and is not in the catalog", id)
		}
	}
}

// Findings that are made outside the tables of rules name controls too, so the sources are
// looked through: whatever looks like the ID of a control of a known framework must be one.
func TestEveryControlInTheSourcesIsInTheCatalog(t *testing.T) {
	t.Parallel()
	m := builtIn(t)
	var prefixes []string
	for _, f := range m.Frameworks {
		prefixes = append(prefixes, regexp.QuoteMeta(f.Prefix))
	}
	id := regexp.MustCompile(`\b(?:` + strings.Join(prefixes, "|") + `):[A-Za-z0-9](?:[A-Za-z0-9.()-]*[A-Za-z0-9)])?`)
	seen := 0
	for _, dir := range []string{"check", "cert", "starter", "pack", "docs", "portal", "flow", "drift", "report"} {
		err := filepath.WalkDir(filepath.Join("..", "..", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "_test.rego") || strings.Contains(path, "testdata") {
				return err
			}
			src, err := os.ReadFile(path)
			for _, found := range id.FindAllString(string(src), -1) {
				seen++
				if _, ok := m.Control(found); !ok {
					t.Errorf("%s names %s, which is not in the catalog", path, found)
				}
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	if seen < 500 {
		t.Errorf("only %d places were found: the pattern no longer fits", seen)
	}
}

// Whoever adds an action decides what it is evidence for.
func TestEveryActionIsEvidenceOrDeliberatelyNot(t *testing.T) {
	t.Parallel()
	m := builtIn(t)
	used := map[string]bool{}
	for _, c := range m.Controls {
		for _, name := range c.Evidence {
			used[name] = true
		}
	}
	for a, meaning := range audit.Actions() {
		_, not := m.NotEvidence[a]
		if here := len(m.For(a)) > 0; here == not {
			t.Errorf("%s: evidence for a control: %v, listed as no evidence: %v. Name it in evidence/controls/default/1-evidence.yaml, under a piece of evidence or under not-evidence", a, here, not)
		}
		for name := range meaning.Example.ArtifactRefs {
			if m.Documents[name] == "" {
				t.Errorf("%s refers to a document %s, and nothing says what that is", a, name)
			}
		}
	}
	for _, p := range m.Pieces {
		if !used[p.Name] {
			t.Errorf("the evidence %s is evidence for no control", p.Name)
		}
	}
}

// A document that a piece names must come with one of the piece's events, or be one that apps bring.
func TestDocumentsComeWithTheirEvents(t *testing.T) {
	t.Parallel()
	actions := audit.Actions()
	for _, p := range builtIn(t).Pieces {
		for _, d := range p.Documents {
			brought := d == "sbom" || d == "provenance" // by apps
			if !brought && !slices.ContainsFunc(p.Events, func(a audit.Action) bool { return actions[a].Example.ArtifactRefs[d] != "" }) {
				t.Errorf("the evidence %s names the document %s, which none of its events refers to", p.Name, d)
			}
		}
	}
}

func TestTheCatalog(t *testing.T) {
	t.Parallel()
	m := builtIn(t)
	count := map[string]int{}
	seen := map[string]bool{}
	for _, c := range m.Controls {
		count[c.Framework]++
		if seen[c.ID] {
			t.Errorf("%s stands twice", c.ID)
		}
		seen[c.ID] = true
		if strings.HasSuffix(c.Title, ".") || len(c.Title) > 100 {
			t.Errorf("%s: a title is a few words without a full stop: %q", c.ID, c.Title)
		}
		// A name that is mistyped would otherwise be shown to people as a reason.
		if c.Elsewhere != "" && !strings.HasSuffix(c.Elsewhere, ".") {
			t.Errorf("%s: where the evidence is must be a sentence: %q", c.ID, c.Elsewhere)
		}
	}
	// The criteria of TSC 2017 and the controls of Annex A are counted by their makers.
	if count["soc2"] != 61 || count["iso27001"] != 93 || count["sox"] < 15 || count["nist-800-53"] < 60 || count["pci-dss"] < 50 {
		t.Errorf("%v", count)
	}
	families := map[string]bool{}
	for _, c := range m.Controls {
		if c.Framework == "nist-800-53" {
			families[c.ID[:len("NIST-800-53:AC")]] = true
		}
	}
	if len(families) != 20 {
		t.Errorf("%d families of NIST SP 800-53, which has 20", len(families))
	}
}

func TestBuiltInPatternsNameChecks(t *testing.T) {
	t.Parallel()
	m, checks := builtIn(t), all(t)
	ids := []string{}
	for _, c := range checks {
		ids = append(ids, c.ID)
	}
	try := func(what string, patterns []string) {
		for _, p := range patterns {
			if !slices.ContainsFunc(ids, func(id string) bool { ok, _ := filepath.Match(p, id); return ok }) {
				t.Errorf("%s names the check %s, which there is not", what, p)
			}
		}
	}
	for _, p := range m.Pieces {
		try(p.Name, p.Checks)
	}
	for _, c := range m.Controls {
		try(c.ID, c.Checks)
	}
}
