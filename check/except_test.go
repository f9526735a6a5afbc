package check

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"slipway/check/internal/scenario"
)

// exceptPolicies are rules of each enforcement, about records, zones and files.
const exceptPolicies = `# METADATA
# title: Own rules
# custom: {controls: ["SOC2:CC8.1"]}
package own

warn contains {"msg": "advice about a record", "rule": "advice", "record": record} if some record in shops

# METADATA
# custom: {enforcement: soft-mandatory}
deny contains {"msg": "soft about a record", "rule": "soft", "record": record} if some record in shops

deny contains {"msg": "hard about a record", "rule": "hard", "record": record} if some record in shops

# METADATA
# custom: {waivable: true}
deny contains {"msg": "hard and waivable", "rule": "waivable", "record": record} if some record in shops

# METADATA
# custom: {enforcement: soft-mandatory, waivable: false}
deny contains {"msg": "soft and fixed", "rule": "fixed", "record": record} if some record in shops

# METADATA
# custom: {waivable: true}
deny contains {"msg": "about the whole zone", "rule": "whole"} if count(shops) > 0

# METADATA
# custom: {waivable: true}
deny contains {"msg": "about the file of an app", "rule": "app", "path": "apps/shop.yaml", "line": 1} if count(shops) > 0

shops contains sprintf("%s %s", [e.name, e.type]) if {
	some e in input.change.edits
	startswith(e.name, "shop.")
}
`

// Severities and waivers hold for rules of policies as for those of lint, as far as their authors let them.
func TestExceptPolicies(t *testing.T) {
	const shop = "-- zones/finmicro.example.yaml --\nshop: {type: A, ttl: 300, value: 198.51.100.20}\n"
	waiver := func(rule, target string) string {
		return "  - {rule: " + rule + ", " + target + ", reason: The shop is older than the rule, by: ivy@finmicro.example, expires: 2027-01-31}\n"
	}
	const record = "record: shop.finmicro.example A"
	all := []string{"deny own/app", "deny own/fixed", "deny own/hard", "deny own/soft", "deny own/waivable", "deny own/whole", "warn own/advice"}
	replace := func(pairs ...string) []string {
		out := slices.Clone(all)
		for i := 0; i < len(pairs); i += 2 {
			at := slices.Index(out, pairs[i])
			if pairs[i] == "" {
				out = append(out, pairs[i+1])
			} else {
				out[at] = pairs[i+1]
			}
		}
		slices.Sort(out)
		return out
	}
	for _, c := range []struct {
		name, settings string
		want           []string
	}{
		{"nothing", "", all},
		{"advice waived", "waivers:\n" + waiver("own/advice", record), replace("warn own/advice", "info waiver-used")},
		{"soft waived", "waivers:\n" + waiver("own/soft", record), replace("deny own/soft", "info waiver-used")},
		{"hard is not waived, which is said", "waivers:\n" + waiver("own/hard", record), replace("", "info exception-refused")},
		{"hard is waived where its author allows it", "waivers:\n" + waiver("own/waivable", record), replace("deny own/waivable", "info waiver-used")},
		{"soft is not where its author does not", "waivers:\n" + waiver("own/fixed", record), replace("", "info exception-refused")},
		{"another record", "waivers:\n" + waiver("own/soft", "record: shop.finmicro.example AAAA"), all},
		{"a whole zone", "waivers:\n" + waiver("own/whole", "zone: finmicro.example"), replace("deny own/whole", "info waiver-used")},
		{"another zone", "waivers:\n" + waiver("own/whole", "zone: apps.finmicro.example"), all},
		{"a zone is not its records", "waivers:\n" + waiver("own/soft", "zone: finmicro.example"), all},
		{"a zone is not its apps", "waivers:\n" + waiver("own/app", "zone: finmicro.example"), all},
		{"the file of an app", "waivers:\n" + waiver("own/app", "file: apps/shop.yaml"), replace("deny own/app", "info waiver-used")},
		{"soft lowered", "rules: {own/soft: {severity: warn}}\n", replace("deny own/soft", "warn own/soft")},
		{"soft lowered in another zone", "rules: {own/soft: {severity: warn, zones: [apps.finmicro.example]}}\n", all},
		{"advice raised in this zone", "rules: {own/advice: {severity: deny, zones: [finmicro.example]}}\n", replace("warn own/advice", "deny own/advice")},
		{"hard is not lowered, which is said", "rules: {own/hard: {severity: info}}\n", replace("", "info exception-refused")},
		{"a rule that does not exist", "rules: {own/hart: {severity: info}}\n", replace("", "info rule-unknown")},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := baseFiles(t, nil)
			files["policies/own.rego"] = &fstest.MapFile{Data: []byte(exceptPolicies), Mode: 0o644}
			settings := files["slipway.yaml"]
			files["slipway.yaml"] = &fstest.MapFile{Data: append(slices.Clone(settings.Data), "\n"+c.settings...), Mode: 0o644}
			w := scenario.FromFiles(t, files)
			v, err := NewEngine().Run(t.Context(), Input{Repo: w.Repo, Base: w.Base, Head: w.Head(t, []byte(shop)), Requester: Requester{ID: "ana@finmicro.example"}, AsOf: scenario.Now})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range v.Findings {
				if strings.HasPrefix(f.Rule, "own/") || f.Rule == "waiver-used" || f.Rule == "exception-refused" || f.Rule == "rule-unknown" {
					got = append(got, string(f.Severity)+" "+f.Rule)
				}
				if f.Rule == "waiver-used" && (!strings.Contains(f.Message, "ivy@finmicro.example waived own/") || f.Override != "" || f.Path == "") {
					t.Errorf("%+v", f)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// A change of the settings that excepts what cannot be excepted is denied: by the rules in force, and by none that
// the change brings, so nobody waives a rule and changes its policy in one go.
func TestExceptChanges(t *testing.T) {
	files := baseFiles(t, nil)
	files["policies/own.rego"] = &fstest.MapFile{Data: []byte(exceptPolicies), Mode: 0o644}
	w := scenario.FromFiles(t, files)
	settings := string(files["slipway.yaml"].Data)
	for waiver, want := range map[string]string{"own/hard": "exception-refused", "own/nothing": "rule-unknown", "own/soft": ""} {
		archive := "-- slipway.yaml --\n" + settings + "\nwaivers:\n  - {rule: " + waiver + ", record: shop.finmicro.example A, reason: The shop is older than the rule, by: ivy@finmicro.example, expires: 2027-01-31}\n" +
			"-- zones/finmicro.example.yaml --\nshop: {type: A, ttl: 300, value: 198.51.100.20}\n"
		v, err := NewEngine().Run(t.Context(), Input{Repo: w.Repo, Base: w.Base, Head: w.Head(t, []byte(archive)), Requester: Requester{ID: "ana@finmicro.example"}, AsOf: scenario.Now})
		if err != nil {
			t.Fatal(err)
		}
		var said, soft bool
		for _, f := range v.Findings {
			said = said || f.Rule == want && f.Severity == Deny
			soft = soft || f.Rule == "own/soft"
		}
		if said != (want != "") || !soft || v.Tier != Red {
			t.Errorf("%s: tier %s, %+v", waiver, v.Tier, v.Findings)
		}
	}
}
