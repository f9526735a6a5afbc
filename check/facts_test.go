package check

import (
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"slipway/check/internal/scenario"
	"slipway/check/policy"
)

// judge runs a scenario that is given as text: files of base/ lie over the base, the others are the change.
func judge(t *testing.T, archive string) *Verdict {
	t.Helper()
	v, err := NewEngine().Run(t.Context(), load(t, t.Name(), txtar.Parse([]byte(archive))))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func settings(t *testing.T, old, new string) string {
	t.Helper()
	src := string(baseFiles(t, nil)["slipway.yaml"].Data)
	if !strings.Contains(src, old) {
		t.Fatalf("no %q in the settings", old)
	}
	return strings.Replace(src, old, new, 1)
}

func TestZoneWithoutProvider(t *testing.T) {
	const edit = "-- zones/finmicro.example.yaml --\nwww: {type: A, ttl: 300, value: 9.9.9.10}\n"
	const by = "Asked for by omar@finmicro.example.\n"
	unserved := settings(t, "finmicro.example: {visibility: external, owner: finmicro.example, provider: local}", "finmicro.example: {visibility: external, owner: finmicro.example}")
	has := func(v *Verdict) bool {
		for _, f := range v.Findings {
			if f.Rule == "zone-without-provider" {
				return f.Severity == Deny && f.Path == "zones/finmicro.example.yaml" && f.Line > 0 && strings.Contains(f.Message, "finmicro.example")
			}
		}
		return false
	}
	if v := judge(t, by+edit); has(v) {
		t.Error("the zone has a provider")
	}
	if v := judge(t, by+"-- base/slipway.yaml --\n"+unserved+edit); !has(v) || !v.Denied {
		t.Errorf("no provider, and no word of it: %+v", v.Findings)
	}
	// Who is only judged by Slipway names no provider at all.
	alone := strings.Replace(strings.ReplaceAll(unserved, ", provider: local", ""), "providers:\n  local: {type: zonefile}\n", "", 1)
	if v := judge(t, by+"-- base/slipway.yaml --\n"+alone+edit); has(v) {
		t.Error("a repository without providers is told to name one")
	}
	// The change that gives the zone its provider may go ahead.
	if v := judge(t, by+"-- base/slipway.yaml --\n"+unserved+edit+"-- slipway.yaml --\n"+settings(t, "organisation: Fin Micro Ltd", "organisation: Fin Micro")); has(v) {
		t.Error("the head names a provider")
	}
}

const softPolicy = `-- base/policies/hours.rego --
# METADATA
# title: No changes in the dark
# custom:
#   enforcement: soft-mandatory
package hours

deny contains {"rule": "dark", "msg": "It is dark."} if input.zone
`

// A soft-mandatory denial is final until slipway.yaml names who may override it.
func TestOverride(t *testing.T) {
	const app = "Asked for by ana@finmicro.example.\n-- apps/x.yaml --\nowner: ana@finmicro.example\npurpose: Shows things\nexpires: 2027-01-31\nexposure: internal\ndata: [none]\nhostname: things.apps.finmicro.example\nrecords: [{name: things.apps.finmicro.example, type: A, ttl: 300, values: [10.1.2.3]}]\n"
	v := judge(t, app+softPolicy)
	if !v.Denied || v.Tier != Green || len(v.Approvals) != 0 {
		t.Errorf("nobody may override it: denied %v, %s, %+v", v.Denied, v.Tier, v.Approvals)
	}
	v = judge(t, app+softPolicy+"-- base/slipway.yaml --\n"+settings(t, "approvals:\n", "approvals:\n  override: {all_of: [security], expires: 2d}\n"))
	if v.Denied || v.Tier != Yellow || len(v.Approvals) != 1 {
		t.Fatalf("InfoSec may override it: denied %v, %s, %+v", v.Denied, v.Tier, v.Approvals)
	}
	if a := v.Approvals[0]; a.Rule != "override" || !a.Reason || len(a.AllOf) != 1 || len(a.Why) != 1 || a.Why[0] != "It is dark." {
		t.Errorf("got %+v", a)
	}
	shown := false
	for _, f := range v.Findings {
		shown = shown || f.Rule == "hours/dark" && f.Severity == Deny && f.Override == "override" && !f.Stops()
	}
	if !shown {
		t.Errorf("the denial is gone from the verdict: %+v", v.Findings)
	}
	// A change cannot name its own overriders.
	v = judge(t, app+softPolicy+"-- slipway.yaml --\n"+settings(t, "approvals:\n", "approvals:\n  override: {any_of: [infosec]}\n"))
	if !v.Denied {
		t.Error("the change named who may override the rule that stops it")
	}
	// A red change needs its own approvers and the override.
	v = judge(t, strings.Replace(app, "[none]", "[pii]", 1)+softPolicy+"-- base/slipway.yaml --\n"+settings(t, "approvals:\n", "approvals:\n  override: {any_of: [infosec]}\n"))
	if v.Denied || v.Tier != Red || len(v.Approvals) != 2 {
		t.Errorf("got denied %v, %s, %+v", v.Denied, v.Tier, v.Approvals)
	}
}

// What the rest of the repository says about a name that changes.
func TestDependants(t *testing.T) {
	const by = "Asked for by omar@finmicro.example.\n"
	const others = "-- base/zones/apps.finmicro.example.yaml --\nmenu: {type: A, ttl: 300, value: 10.1.2.9}\nalias: {type: CNAME, ttl: 300, value: www.finmicro.example.}\nalias2: {type: CNAME, ttl: 300, value: www.finmicro.example.}\n"
	signal := func(v *Verdict, name string) string {
		for _, s := range v.Signals {
			if s.Name == name {
				return s.Reason
			}
		}
		return ""
	}
	const gone = "-- zones/finmicro.example.yaml --\n'':\n  - {type: A, ttl: 300, value: 9.9.9.9}\n"
	if got := signal(judge(t, by+others+gone), "dependants"); got != "alias.apps.finmicro.example CNAME and 1 other depend on www.finmicro.example, which this changes." {
		t.Errorf("got %q", got)
	}
	if got := signal(judge(t, by+others+"-- zones/finmicro.example.yaml --\nnew: {type: A, ttl: 300, value: 9.9.9.9}\n'': {type: A, ttl: 300, value: 9.9.9.9}\nwww: {type: A, ttl: 300, value: 9.9.9.8}\n"), "dependants"); got != "" {
		t.Errorf("nobody depends on what is new: %q", got)
	}
	// A zone's own idea of a large change.
	limited := "-- base/slipway.yaml --\n" + settings(t, "apps.finmicro.example: {visibility: internal,", "apps.finmicro.example: {visibility: internal, max-edits: 1, max-deletes: 1,")
	v := judge(t, by+limited+others+"-- zones/apps.finmicro.example.yaml --\nmenu: {type: A, ttl: 300, value: 10.1.2.9}\n")
	if v.Tier != Yellow || !strings.Contains(signal(v, "deletion"), "where at most 1 is usual") || !strings.Contains(signal(v, "bulk-change"), "where at most 1 is usual") {
		t.Errorf("got %s, %+v", v.Tier, v.Signals)
	}
}

// The app that came to be a moment ago is young when it changes again.
// A file that has nothing to do with a change, and that nobody can read, does not stop it.
func TestDependantsBesideABrokenFile(t *testing.T) {
	v := judge(t, "Asked for by omar@finmicro.example.\n"+
		"-- base/zones/broken.example.yaml --\n---\nlike: {type: CNAME, value: [www.finmicro.example.}\n"+
		"-- base/zones/other.example.yaml --\n---\nrelay: {type: CNAME, ttl: 300, value: WWW.finmicro.example}\n"+
		"-- zones/finmicro.example.yaml --\nwww: {type: A, ttl: 300, value: 9.9.9.25}\n")
	for _, s := range v.Signals {
		if s.Name == "dependants" && strings.Contains(s.Reason, "relay.other.example") {
			return
		}
	}
	t.Errorf("who relies on the name is not told: %+v", v.Signals)
}

func TestPastOfAnApp(t *testing.T) {
	const app = "owner: ana@finmicro.example\npurpose: Shows things\nexpires: 2027-01-31\nexposure: internal\ndata: [none]\nhostname: things.apps.finmicro.example\nrecords: [{name: things.apps.finmicro.example, type: A, ttl: 300, values: [10.1.2.3]}]\n"
	v := judge(t, "Asked for by ana@finmicro.example.\n-- base/apps/x.yaml --\n"+app+"-- apps/x.yaml --\n"+strings.Replace(app, "10.1.2.3", "10.1.2.4", 1))
	for _, s := range v.Signals {
		if s.Name == "young-app" && s.Value == 1 && s.Weight == 5 && s.Reason == "The app x has been there for 0 days only." {
			return
		}
	}
	t.Errorf("got %+v", v.Signals)
}

// What the engine tells policies of real changes is what the schema describes, and
// nothing that it describes is left out by the engine for good.
func TestInputMatchesSchema(t *testing.T) {
	for name, archive := range map[string]string{
		"app":      "Asked for by ana@finmicro.example.\n-- apps/x.yaml --\nowner: ana@finmicro.example\nteam: t\nthird_party: Agency Ltd\nupstream: http://10.0.0.1\npurpose: Shows things\nexpires: 2027-01-31\nexposure: internal\ndata: [none]\ncertificate: true\nhostname: things.apps.finmicro.example\nartifacts: {sbom: x.json}\nrecords: [{name: things.apps.finmicro.example, type: A, ttl: 300, values: [10.1.2.3]}]\n",
		"zone":     "Asked for by omar@finmicro.example.\n-- zones/finmicro.example.yaml --\nwww: {type: CNAME, value: elsewhere.example., octodns: {healthcheck: {host: x}}}\n",
		"settings": "Asked for by nobody.\n-- slipway.yaml --\ndomain: finmicro.example\n-- README.md --\nx\n",
		"override": "Asked for by omar@finmicro.example.\n-- zones/apps.finmicro.example.yaml --\nmenu: {type: A, ttl: 30, value: 10.1.2.9}\n" + softPolicy,
		"nothing":  "Asked for by nobody.\n",
	} {
		q, err := NewEngine().prepare(t.Context(), load(t, name, txtar.Parse([]byte(archive))))
		if err != nil {
			t.Fatal(err)
		}
		judged, err := q.policies.Judge(t.Context(), q.facts, scenario.Now)
		if err != nil {
			t.Fatal(err)
		}
		q.facts.Findings = append(q.facts.Findings, judged...)
		if err := policy.Validate(t.Context(), q.facts); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
