package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"slipway/change"
	"slipway/check/finding"
	"slipway/repo"
	"slipway/zone"
)

// matchesSchema holds a document against the published schema.
func matchesSchema(t *testing.T, doc any) {
	t.Helper()
	value, err := toValue(doc)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t.Context(), value); err != nil {
		t.Error(err)
	}
}

// Every field that Go can pass in stands in the schema, and the schema promises
// nothing that Go does not have.
func TestSchemaIsComplete(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(InputSchema(), &schema); err != nil {
		t.Fatal(err)
	}
	definitions := schema["definitions"].(map[string]any)
	var compare func(at string, of reflect.Type, node map[string]any)
	compare = func(at string, of reflect.Type, node map[string]any) {
		if ref, ok := node["$ref"].(string); ok {
			node = definitions[strings.TrimPrefix(ref, "#/definitions/")].(map[string]any)
		}
		for of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		switch of.Kind() {
		case reflect.Slice:
			if items, ok := node["items"].(map[string]any); ok {
				compare(at+"[]", of.Elem(), items)
			} else {
				t.Errorf("%s is a list in Go only", at)
			}
		case reflect.Struct:
			fields := map[string]reflect.Type{}
			for _, f := range reflect.VisibleFields(of) {
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				if f.IsExported() && !f.Anonymous && name != "" && name != "-" {
					fields[name] = f.Type
				}
			}
			if at == "input" { // added when rules are asked
				fields["zone"], fields["app"] = reflect.TypeFor[Zone](), reflect.TypeFor[App]()
			}
			known, ok := node["properties"].(map[string]any)
			if !ok || node["additionalProperties"] != false {
				t.Errorf("%s is not described, or not to its end", at)
				return
			}
			for name, field := range fields {
				if sub, ok := known[name].(map[string]any); ok {
					compare(at+"."+name, field, sub)
				} else {
					t.Errorf("%s.%s is not in the schema", at, name)
				}
			}
			for name := range known {
				if _, ok := fields[name]; !ok {
					t.Errorf("%s.%s is in the schema only", at, name)
				}
			}
		}
	}
	compare("input", reflect.TypeFor[Input](), schema)
}

// What Go makes is what the schema says.
func TestSchema(t *testing.T) {
	set := zone.RRSet{Name: "a.finmicro.example", Type: "A", TTL: 300, Values: []string{"10.0.0.1"}, Extra: "{}"}
	app := repo.App{Name: "a", Expires: "2027-01-31", Upstream: "u", ThirdParty: "t", Artifacts: map[string]string{"sbom": "s"}, Records: []zone.RRSet{set}, Path: "apps/a.yaml"}
	c := &change.Change{
		Edits: []zone.Edit{{Op: zone.Update, Zone: "finmicro.example", Name: set.Name, Type: "A", Before: &set, After: &set, Place: zone.Place{Path: "apps/a.yaml", Line: 1}}},
		Files: []change.FileEdit{{Op: zone.Create, Path: "slipway.yaml", Kind: change.KindSettings}},
	}
	in := Input{
		Zones:    []Zone{{Name: "finmicro.example"}},
		Change:   NewChange(c),
		Apps:     []App{NewApp(change.AppEdit{Op: zone.Update, Name: "a", Before: &app, After: &app})},
		Signals:  []Signal{{Name: "new-app", Value: 1}},
		Findings: []finding.Finding{{Rule: "r", Severity: finding.Deny, Path: "p", Line: 1, Record: "r", Controls: []string{"c"}}},
	}
	for _, in := range []Input{in, {}, {Apps: []App{NewApp(change.AppEdit{Op: zone.Create, After: &app})}}} {
		if in.Change.Edits == nil {
			in.Change = NewChange(&change.Change{})
		}
		doc, err := in.value()
		if err != nil {
			t.Fatal(err)
		}
		for _, z := range in.Zones {
			if doc, err = about(doc, z); err != nil {
				t.Fatal(err)
			}
		}
		plain, err := ast.JSON(doc)
		if err != nil {
			t.Fatal(err)
		}
		matchesSchema(t, plain)
		if bytes.Contains([]byte(doc.String()), []byte(`": null`)) && len(in.Apps) == 0 {
			t.Errorf("null in %s", doc)
		}
	}
	if got := NewChange(&change.Change{Edits: c.Edits, Apps: []change.AppEdit{{Name: "a", After: &app}}}).Edits[0].App; got != "a" {
		t.Errorf("the edit belongs to %q", got)
	}
}

// A change that is too large is unusable input, with a place, and no fault of the machine.
func TestInputTooLarge(t *testing.T) {
	in := sampleInput()
	in.Change.Edits[0].After.Extra = strings.Repeat("x", MaxInput)
	_, err := in.value()
	var fault *zone.Error
	if !errors.As(err, &fault) || fault.Place.Path != "apps/menu.yaml" || !strings.Contains(fault.What, "larger than the 128 MiB") {
		t.Errorf("got %.200v", err)
	}
}

// The page for policy writers shows an input and a policy: they must be good.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/policy-input.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(language string) string {
		t.Helper()
		_, rest, ok := strings.Cut(string(page), "```"+language+"\n")
		text, _, closed := strings.Cut(rest, "```")
		if !ok || !closed {
			t.Fatalf("no %s block", language)
		}
		return text
	}
	var doc any
	if err := json.Unmarshal([]byte(block("json")), &doc); err != nil {
		t.Fatal(err)
	}
	matchesSchema(t, doc)
	p, err := Compile(t.Context(), shipped(t), repository(block("rego")))
	if err != nil {
		t.Fatal(err)
	}
	value, err := toValue(doc)
	if err != nil {
		t.Fatal(err)
	}
	var found []finding.Finding
	for _, r := range p.rules {
		more, err := p.answers(t.Context(), r, value.(ast.Object), Zone{}, asOf)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, more...)
	}
	if len(found) != 1 || found[0].Record != "menu.apps.finmicro.example A" || found[0].Controls[0] != "FIN-7" {
		t.Errorf("got %+v", found)
	}
	for name := range forbidden {
		if !strings.Contains(string(page), "`"+name+"`") && !strings.HasPrefix(name, "io.jwt.") && !strings.HasPrefix(name, "crypto.x509.") {
			t.Errorf("the page does not say that %s does not exist", name)
		}
	}
}

// A policy may declare that it is meant for another input.
func TestOwnSchema(t *testing.T) {
	src := "# METADATA\n# scope: package\n# schemas:\n#   - input: {}\npackage other\ndeny contains \"x\" if input.kind == \"Deployment\"\n"
	if _, err := Compile(t.Context(), repository(src)); err != nil {
		t.Error(err)
	}
}
