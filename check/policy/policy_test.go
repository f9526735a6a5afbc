package policy

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"

	"slipway/check/finding"
	"slipway/starter"
	"slipway/zone"
)

var asOf = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

func shipped(t testing.TB) Bundle {
	t.Helper()
	b, err := Starter(starter.Policies())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// repository is an organisation's own bundle of one policy.
func repository(src string) Bundle {
	return Bundle{Name: "repository", Own: true, Files: []File{{Path: "policies/p.rego", Src: []byte(src)}}}
}

// The starter's policies come with Rego tests, which run nearly all of them.
func TestStarterRego(t *testing.T) {
	all := Bundle{Name: "starter"}
	err := fs.WalkDir(starter.Policies(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".rego" {
			return err
		}
		src, err := fs.ReadFile(starter.Policies(), name)
		all.Files = append(all.Files, File{Path: name, Src: src})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	report, err := Test(t.Context(), all.Files, all)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range report.Tests {
		if !one.Passed {
			t.Errorf("%s: %s %s", one.Place, one.Name, one.Problem)
		}
	}
	if report.Passed < 30 || report.Coverage < 95 {
		t.Errorf("%d Rego tests ran %.1f%% of the policies", report.Passed, report.Coverage)
	}
}

func TestConftestForms(t *testing.T) {
	for _, c := range []struct {
		name, src string
		want      []finding.Finding
	}{
		{
			"strings", `package a.b
deny contains "no"
warn contains "hm"
violation contains {"msg": "never", "rule": "x", "help": "h", "controls": ["SOC2:CC8.1"], "record": "r A", "path": "p", "line": 3}`,
			[]finding.Finding{
				{Rule: "a.b/deny", Severity: finding.Deny, Message: "no", Controls: []string{}},
				{Rule: "a.b/x", Severity: finding.Deny, Message: "never", Help: "h", Path: "p", Line: 3, Record: "r A", Controls: []string{"SOC2:CC8.1"}},
				{Rule: "a.b/warn", Severity: finding.Warn, Message: "hm", Controls: []string{}},
			},
		},
		{
			"suffixes and complete rules", `package main
deny_mail := "no mail"
warn_x_1 := true
denying := "not a rule"
deny_nothing contains "x" if input.as_of == "never"`,
			[]finding.Finding{
				{Rule: "main/deny_mail", Severity: finding.Deny, Message: "no mail", Controls: []string{}},
				{Rule: "main/warn_x_1", Severity: finding.Warn, Message: "the policy main refuses this change, and does not say why", Controls: []string{}},
			},
		},
		{
			"metadata of the package and the rule", `# METADATA
# description: package help
# custom:
#   controls: [SOX:ITGC-CM]
package a
# METADATA
# description: rule help
deny contains "one"
warn contains "two"`,
			[]finding.Finding{
				{Rule: "a/deny", Severity: finding.Deny, Message: "one", Help: "rule help", Controls: []string{"SOX:ITGC-CM"}},
				{Rule: "a/warn", Severity: finding.Warn, Message: "two", Help: "package help", Controls: []string{"SOX:ITGC-CM"}},
			},
		},
		{"tests are not rules", "package a_test\ndeny contains \"no\"", []finding.Finding{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Compile(t.Context(), repository(c.src))
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Judge(t.Context(), Input{}, asOf)
			if err != nil {
				t.Fatal(err)
			}
			got = finding.Normalise(got)
			if len(got) != len(c.want) {
				t.Fatalf("got %+v, want %+v", got, c.want)
			}
			for i := range got {
				if finding.Compare(got[i], finding.Normalise(c.want)[i]) != 0 {
					t.Errorf("got %+v, want %+v", got[i], finding.Normalise(c.want)[i])
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ name, src, want string }{
		{"syntax", "package a\n\ndeny contains", "policies/p.rego:3"},
		{"network", "package a\n\ndeny contains \"x\" if http.send({\"url\": \"http://127.0.0.1\"}).status_code == 200", "undefined function http.send"},
		{"clock", "package a\ndeny contains \"x\" if time.now_ns() > 0", "undefined function time.now_ns"},
		{"chance", "package a\ndeny contains \"x\" if rand.intn(\"x\", 2) == 1", "undefined function rand.intn"},
		{"uuid", "package a\ndeny contains uuid.rfc4122(\"x\")", "undefined function uuid.rfc4122"},
		{"environment", "package a\ndeny contains \"x\" if opa.runtime().env.HOME", "undefined function opa.runtime"},
		{"resolver", "package a\ndeny contains \"x\" if net.lookup_ip_addr(\"localhost\")", "undefined function net.lookup_ip_addr"},
		{"strict", "package a\ndeny contains \"x\" if { y := 1 }", "assigned var y unused"},
		{"rego v0", "package a\ndeny[msg] { msg = \"x\" }", "policies/p.rego:2"},
		{"misspelt field", "package a\ndeny contains \"x\" if input.zone.visiblity == \"external\"", "undefined ref: input.zone.visiblity"},
		{"misspelt field of an element", "package a\ndeny contains \"x\" if { some e in input.change.edits; e.kind == \"A\" }", "undefined ref"},
		{"too large", "package a\n#" + strings.Repeat("x", MaxFileBytes), "larger than Slipway reads"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Compile(t.Context(), repository(c.src))
			var e *zone.Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) || e.Place.Line == 0 {
				t.Errorf("got %v, want a *zone.Error with %q", err, c.want)
			}
		})
	}
}

// A policy that answers nonsense must not pass for one that says nothing.
func TestMalformedAnswer(t *testing.T) {
	for _, src := range []string{
		"package a\ndeny contains 7",
		"package a\ndeny contains {\"message\": \"x\"}",
		"package a\ndeny := 7",
	} {
		p, err := Compile(t.Context(), repository(src))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Judge(t.Context(), Input{}, asOf); err == nil || !strings.Contains(err.Error(), "policies/p.rego:2: the policy a/deny answered") {
			t.Errorf("%s: got %v", src, err)
		}
	}
}

func TestTooSlow(t *testing.T) {
	src := `package slow.one
deny contains "x" if {
	some a in numbers.range(1, 100000)
	some b in numbers.range(1, 100000)
	a * b == 7.5
}`
	p, err := Compile(t.Context(), repository(src))
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Zones: []Zone{{Name: "finmicro.example"}}}
	_, err = p.Judge(t.Context(), in, asOf)
	if err == nil || !strings.Contains(err.Error(), "policies/p.rego:2: the policy slow.one/deny could not be asked about zone finmicro.example: took longer than 2s") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Judge(ctx, in, asOf); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// A package of the repository replaces the starter's package of that name, and no other.
func TestOverride(t *testing.T) {
	own := repository("package slipway.tier\ntier := \"yellow\"\nreasons contains \"we say so\"\nscore := 250\nweights := {\"wildcard\": -3}\napprovals contains {\"rule\": \"yellow\", \"why\": [\"b\", \"a\"]}")
	p, err := Compile(t.Context(), shipped(t), own)
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Decide(t.Context(), Input{}, asOf)
	if err != nil {
		t.Fatal(err)
	}
	if d.Tier != "yellow" || d.Score != 100 || d.Weights["wildcard"] != 0 || len(d.Approvals) != 1 || d.Approvals[0].Why[0] != "a" || d.Reasons[0] != "we say so" {
		t.Errorf("got %+v", d)
	}
	found, err := p.Judge(t.Context(), Input{Zones: []Zone{{Name: "other.example", Owner: "other.example", Visibility: "internal"}}}, asOf)
	if err != nil || len(found) != 1 || found[0].Rule != "dns.policy/zone-owner" {
		t.Errorf("the seed policy is not in force: %v %v", found, err)
	}
}

func TestUndecided(t *testing.T) {
	for name, src := range map[string]string{
		"nothing":    "package slipway.tier\nx := 1",
		"wrong form": "package slipway.tier\ntier := 7\nscore := \"high\"\nweights := [1]\napprovals := true\nreasons := 3",
	} {
		p, err := Compile(t.Context(), shipped(t), repository(src))
		if err != nil {
			t.Fatal(err)
		}
		d, err := p.Decide(t.Context(), Input{}, asOf)
		if err != nil || d.Tier != "" || d.Score != 0 || len(d.Approvals) != 0 || len(d.Reasons) != 0 {
			t.Errorf("%s: got %+v, %v", name, d, err)
		}
	}
}

func TestDigest(t *testing.T) {
	a, b := File{"a.rego", []byte("package a")}, File{"b.rego", []byte("package b")}
	of := func(files ...File) string { return Digest(Bundle{Files: files}) }
	if of(a, b) != of(b, a) {
		t.Error("the digest depends on the order of files")
	}
	if of(a) == of(File{"a.rego", []byte("package a\n")}) || of(a) == of(File{"b.rego", a.Src}) {
		t.Error("the digest does not depend on content and path")
	}
	if data := map[string]any{"x": []any{1}}; Digest(Bundle{Data: data}) == of() || Digest(Bundle{Data: data}) != Digest(Bundle{Data: map[string]any{"x": []any{1}}}) {
		t.Error("the digest does not depend on the data, and on that alone")
	}
}

func BenchmarkCompile(b *testing.B) {
	files := shipped(b)
	for b.Loop() {
		if _, err := Compile(b.Context(), files); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJudgeAndDecide(b *testing.B) {
	p, err := Compile(b.Context(), shipped(b))
	if err != nil {
		b.Fatal(err)
	}
	in := Input{Organisation: Organisation{Domain: "finmicro.example"}, Zones: []Zone{{Name: "apps.finmicro.example", Owner: "finmicro.example", Visibility: "internal"}}}
	for b.Loop() {
		if _, err := p.Judge(b.Context(), in, asOf); err != nil {
			b.Fatal(err)
		}
		if _, err := p.Decide(b.Context(), in, asOf); err != nil {
			b.Fatal(err)
		}
	}
}

// The starter's policies are laid out as OPA lays them out, so that an edit shows what it changes.
func TestFormatted(t *testing.T) {
	for name, src := range shippedPolicies(t) {
		if !strings.HasPrefix(name, "starter:") {
			continue
		}
		got, err := format.SourceWithOpts(name, []byte(src), format.Opts{RegoVersion: ast.RegoV1})
		if err != nil || string(got) != src {
			t.Errorf("%s is not formatted (%v)", name, err)
		}
	}
}
