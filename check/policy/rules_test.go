package policy

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipway/change"
	"slipway/check/finding"
	"slipway/repo"
	"slipway/zone"
)

var update = flag.Bool("update", false, "write golden files anew")

// sampleInput is a change of one record set by one new app.
func sampleInput() Input {
	set := zone.RRSet{Name: "menu.apps.finmicro.example", Type: "A", TTL: 300, Values: []string{"10.1.2.20"}}
	app := repo.App{Name: "menu", Owner: "ana@finmicro.example", Team: "workplace", Purpose: "Shows the menu", Exposure: "internal",
		Data: []string{"none"}, Hostname: set.Name, Records: []zone.RRSet{set}, Path: "apps/menu.yaml"}
	c := &change.Change{
		Creates: 1,
		Edits:   []zone.Edit{{Op: zone.Create, Zone: "apps.finmicro.example", Name: set.Name, Type: "A", After: &set, Place: zone.Place{Path: "apps/menu.yaml", Line: 9}}},
		Apps:    []change.AppEdit{{Op: zone.Create, Name: "menu", After: &app}},
	}
	return Input{
		Organisation: Organisation{Name: "Fin Micro Ltd", Domain: "finmicro.example", Brands: []string{"finmicro"}, AllowedExternal: []zone.Name{"finmicro.example"}},
		Requester:    Requester{ID: "ana@finmicro.example"},
		AsOf:         "2026-10-01T12:00:00Z",
		Zones:        []Zone{{Name: "apps.finmicro.example", Owner: "finmicro.example", Visibility: "internal", Provider: "local"}},
		Change:       NewChange(c),
		Apps:         []App{NewApp(c.Apps[0])},
	}
}

// The organisation's policy of the examples below.
const teams = `# METADATA
# title: Teams
# description: Every app belongs to a team.
# custom:
#   controls: [FIN-1]
#   enforcement: soft-mandatory
#   override: platform
package teams

# METADATA
# title: A team that nobody knows
# custom:
#   enforcement: hard-mandatory
deny contains {"rule": "unknown-team", "msg": "unknown", "help": "choose one"} if not known

known if input.app.team in {"finance"}

# METADATA
# title: An app of the workplace
# custom:
#   controls: [FIN-2]
deny contains sprintf("%s is of the workplace", [app.name]) if {
	some app in input.apps
	app.team == "workplace"
}

# METADATA
# custom: {enforcement: advisory}
deny contains "hm"

warn contains "look" if input.zone.visibility == "internal"
`

func TestEnforcement(t *testing.T) {
	p, err := Compile(t.Context(), repository(teams))
	if err != nil {
		t.Fatal(err)
	}
	found, err := p.Judge(t.Context(), sampleInput(), asOf)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range found {
		got[f.Message] = strings.Join([]string{f.Rule, string(f.Severity), f.Override, strings.Join(f.Controls, ","), f.Help}, " | ")
	}
	want := map[string]string{
		"unknown":                  "teams/unknown-team | deny |  | FIN-1 | choose one",
		"menu is of the workplace": "teams/deny | deny | platform | FIN-2 | Every app belongs to a team.",
		"hm":                       "teams/deny | warn |  | FIN-1 | Every app belongs to a team.",
		"look":                     "teams/warn | warn |  | FIN-1 | Every app belongs to a team.",
	}
	for message, w := range want {
		if got[message] != w {
			t.Errorf("%s: got %s, want %s", message, got[message], w)
		}
	}
	if len(got) != len(want) || !finding.Denied(found) {
		t.Errorf("got %v", got)
	}
	var lines []int
	for _, r := range p.Rules() {
		lines = append(lines, r.Place.Line)
	}
	if !slices.Equal(lines, []int{14, 22, 29, 31}) {
		t.Errorf("the rules stand in lines %v", lines)
	}
}

func TestEnforcementRefused(t *testing.T) {
	for src, want := range map[string]string{
		"package a\n# METADATA\n# custom: {enforcement: strict}\ndeny contains \"x\"":                        "custom.enforcement is strict, which is no level",
		"package a\n# METADATA\n# custom: {enforcement: 3}\ndeny contains \"x\"":                             "which is no level",
		"package a\n# METADATA\n# custom: {enforcement: hard-mandatory}\nwarn contains \"x\"":                "a warn rule stops nothing",
		"package a\n# METADATA\n# custom: {enforcement: soft-mandatory, override: [x]}\ndeny contains \"x\"": "custom.override is not the name",
		"# METADATA\n# custom: {enforcement: soft}\npackage a\ndeny contains \"x\"":                          "which is no level",
	} {
		_, err := Compile(t.Context(), repository(src))
		var e *zone.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) || e.Place.Line == 0 {
			t.Errorf("%s:\ngot %v, want %q", src, err, want)
		}
	}
	// The level of a package leaves its warnings what they are.
	if _, err := Compile(t.Context(), repository("# METADATA\n# custom: {enforcement: hard-mandatory}\npackage a\nwarn contains \"x\"")); err != nil {
		t.Error(err)
	}
}

// A rule whose bodies cannot be told apart is as strict as the strictest of them.
func TestInseparable(t *testing.T) {
	p, err := Compile(t.Context(), repository(`package a
# METADATA
# custom: {enforcement: advisory}
deny := "one" if input.as_of == "never"
deny := "two" if input.as_of != "never"`))
	if err != nil {
		t.Fatal(err)
	}
	if r := p.Rules(); len(r) != 1 || r[0].Enforcement != HardMandatory {
		t.Errorf("got %+v", r)
	}
}

// Bundles other than the organisation's own may not take packages or data from each other.
func TestBundles(t *testing.T) {
	pack := func(name, src string) Bundle {
		return Bundle{Name: name, Files: []File{{Path: "pack:" + name + "/p.rego", Src: []byte(src)}}}
	}
	one, two := pack("one 1.0.0", "package a\ndeny contains data.limits.word"), pack("two 1.0.0", "package a\ndeny contains \"two\"")
	one.Data = map[string]any{"limits": map[string]any{"word": "from data"}}
	p, err := Compile(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := p.Judge(t.Context(), sampleInput(), asOf); err != nil || len(found) != 1 || found[0].Message != "from data" {
		t.Errorf("got %v, %v", found, err)
	}
	if _, err := Compile(t.Context(), one, two); err == nil || !strings.Contains(err.Error(), "one 1.0.0 and two 1.0.0 both define the package a") {
		t.Errorf("two packs, one package: %v", err)
	}
	other := Bundle{Name: "three", Data: map[string]any{"limits": 1}}
	if _, err := Compile(t.Context(), one, other); err == nil || !strings.Contains(err.Error(), "both bring data.limits") {
		t.Errorf("two packs, one name of data: %v", err)
	}
	p, err = Compile(t.Context(), one, two, repository("package a\ndeny contains \"ours\""))
	if err != nil {
		t.Fatal(err)
	}
	if found, err := p.Judge(t.Context(), sampleInput(), asOf); err != nil || len(found) != 1 || found[0].Message != "ours" {
		t.Errorf("the organisation's own package does not replace the others: %v, %v", found, err)
	}
}

func TestTooMuch(t *testing.T) {
	for src, want := range map[string]string{
		"package a\ndeny contains sprintf(\"%d\", [n]) if some n in numbers.range(1, 10001)":               "has 10001 things to say",
		"package a\ndeny contains concat(\"\", [sprintf(\"%d\", [n]) | some n in numbers.range(1, 9000)])": "longer than 8192 bytes",
	} {
		p, err := Compile(t.Context(), repository(src))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Judge(t.Context(), sampleInput(), asOf); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", src, err, want)
		}
	}
}

func TestExplain(t *testing.T) {
	p, err := Compile(t.Context(), shipped(t), repository(teams))
	if err != nil {
		t.Fatal(err)
	}
	in := sampleInput()
	in.Zones[0].Owner = "other.example"
	found, err := p.Explain(t.Context(), in, asOf)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range found {
		var because []string
		for _, c := range e.Because {
			because = append(because, c.String())
		}
		got[e.Finding.Message[:min(20, len(e.Finding.Message))]] = strings.Join(because, "; ")
		if e.Rule.Place.Line == 0 || e.Zone != "apps.finmicro.example" {
			t.Errorf("%+v", e)
		}
	}
	for message, want := range map[string]string{
		"unknown":              `input.app.team is "workplace"`,
		"menu is of the workp": `input.apps[0].name is "menu"; input.apps[0].team is "workplace"`,
		"hm":                   "",
		"look":                 `input.zone.visibility is "internal"`,
		"The zone apps.finmic": `input.organisation.domain is "finmicro.example"; input.organisation.name is "Fin Micro Ltd"; input.zone.name is "apps.finmicro.example"; input.zone.owner is "other.example"`,
	} {
		if text, ok := got[message]; !ok || text != want {
			t.Errorf("%s: because %s, want %s", message, text, want)
		}
	}
	judged, err := p.Judge(t.Context(), in, asOf)
	if err != nil || len(judged) != len(found) {
		t.Errorf("explained %d findings of %d (%v)", len(found), len(judged), err)
	}
}

// The parts that an input does not have are causes too, where a rule acts on that.
func TestExplainMissing(t *testing.T) {
	p, err := Compile(t.Context(), repository("package a\ndeny contains \"no upstream\" if not input.app.upstream"))
	if err != nil {
		t.Fatal(err)
	}
	found, err := p.Explain(t.Context(), sampleInput(), asOf)
	if err != nil || len(found) != 1 || len(found[0].Because) != 1 || found[0].Because[0].String() != "input.app.upstream is missing" {
		t.Errorf("got %+v, %v", found, err)
	}
}

func TestExceptions(t *testing.T) {
	p, err := Compile(t.Context(), repository("package a\ndeny_x contains \"x\"\ndeny contains \"y\"\nexception contains [\"x\"]"))
	if err != nil {
		t.Fatal(err)
	}
	found, err := p.Judge(t.Context(), sampleInput(), asOf)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if want := map[string]finding.Severity{"x": finding.Info, "y": finding.Deny}[f.Message]; f.Severity != want {
			t.Errorf("%s is %s, want %s", f.Message, f.Severity, want)
		}
	}
}

func TestTestReport(t *testing.T) {
	own := Bundle{Name: "repository", Own: true, Files: []File{
		{"policies/a.rego", []byte("package a\n\nallow if input.x == 1\n\nallow if input.x == 2\n")},
		{"policies/a_test.rego", []byte("package a_test\n\nimport data.a\n\ntest_one if a.allow with input as {\"x\": 1}\n\ntest_three if a.allow with input as {\"x\": 3}\n\ntodo_test_later if false\n")},
	}}
	own.Files[0].Src = []byte("# METADATA\n# schemas: [{input: {}}]\npackage a\n\nallow if input.x == 1\n\nallow if input.x == 2\n\nnever if input.y\n")
	r, err := Test(t.Context(), own.Files, shipped(t), own)
	if err != nil {
		t.Fatal(err)
	}
	if r.Passed != 1 || r.Failed != 1 || r.Skipped != 1 || len(r.Files) != 1 || !slices.Contains(r.Files[0].Uncalled, 9) || r.Coverage <= 0 || r.Coverage >= 100 {
		t.Errorf("got %+v", r)
	}
	if failed := r.Tests[1]; failed.Passed || !strings.Contains(failed.Problem, "line 7 is not so") {
		t.Errorf("got %+v", failed)
	}
}

// The catalogue that is published is that of the policies as they are in every
// zones repository. Packs have pages of their own.
func TestCatalogue(t *testing.T) {
	p, err := Compile(t.Context(), shipped(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join("..", "..", "docs", "policies")
	pages := p.Catalogue()
	for _, page := range pages {
		file := filepath.Join(dir, page.File)
		if *update {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(page.Text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil || string(want) != page.Text {
			t.Errorf("docs/policies/%s is not what the policies say (%v): run with -update", page.File, err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != len(pages) {
		t.Errorf("docs/policies has %d files, want %d (%v)", len(files), len(pages), err)
	}
}

// What comes from a pack's METADATA can do nothing to who reads the catalogue.
func TestCatalogueIsPlain(t *testing.T) {
	p, err := Compile(t.Context(), repository("# METADATA\n# title: \"a | <script>[x](javascript:y)\"\npackage a\ndeny contains \"x\""))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range p.Catalogue() {
		if strings.Contains(page.Text, "<script") || strings.Contains(page.Text, "[x](") {
			t.Errorf("%s:\n%s", page.File, page.Text)
		}
	}
}

// No METADATA makes compiling panic, and no level of enforcement is guessed.
func FuzzMetadata(f *testing.F) {
	f.Add("enforcement: soft-mandatory")
	f.Add("controls: [a, 1, {}]\n#   override: x")
	f.Add("enforcement: [1]")
	f.Fuzz(func(t *testing.T, custom string) {
		if len(custom) > 1<<10 {
			return
		}
		p, err := Compile(t.Context(), repository("# METADATA\n# title: t\n# custom:\n#   "+custom+"\npackage a\ndeny contains \"x\""))
		if err != nil {
			return
		}
		for _, r := range p.Rules() {
			if strictness(r.Enforcement) < 0 {
				t.Errorf("%q gives %q", custom, r.Enforcement)
			}
		}
		p.Catalogue()
	})
}
