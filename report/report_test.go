package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/approval"
	"slipway/change"
	"slipway/check"
	"slipway/zone"
)

var update = flag.Bool("update", false, "write the golden files")

// evil is what an attacker may get into any text of a verdict: a line of its own that is a
// workflow command, markup of every format, a mention, a link, and marks that turn text round.
const evil = "x\n::set-output name=a::b\r\n##[add-mask]c %0A::error::d </testcase><script>alert(1)</script> ]]> ```\n# H @finmicro/legal #12 [l](http://e.example) ![i](//e.example/p) www.e.example <!-- --> | `q` {0} \x1b[31m\u202e\x00"

func set(name, typ string, ttl int, values ...string) *zone.RRSet {
	return &zone.RRSet{Name: zone.Name(name), Type: typ, TTL: ttl, Values: values}
}

// verdicts are what the golden files show.
func verdicts() map[string]*check.Verdict {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	green := &check.Verdict{
		Tier: check.Green, TierReasons: []string{"An internal app without delicate data."}, Score: 5,
		Signals: []check.Signal{}, Findings: []check.Finding{}, Approvals: []approval.Requirement{},
		Change: &change.Change{Digest: "sha256:aa", Creates: 1, Edits: []zone.Edit{
			{Op: zone.Create, Zone: "apps.finmicro.example", Name: "expenses.apps.finmicro.example", Type: "A", After: set("expenses.apps.finmicro.example", "A", 300, "192.0.2.10")},
		}, Apps: []change.AppEdit{{Op: zone.Create, Name: "expense-tracker"}}},
		PolicyDigest: "sha256:bb", AsOf: at, Version: "1",
	}
	denied := &check.Verdict{
		Tier: check.Red, TierReasons: []string{"The name holds a brand."}, Score: 80, Denied: true,
		Signals: []check.Signal{{Name: "brand-in-name", Value: 1, Weight: 60, Reason: "finmicro-login holds finmicro"}},
		Findings: []check.Finding{
			{Rule: "cname-beside-other-data", Severity: check.Deny, Message: "www has a CNAME beside other records, which no server may serve", Help: "Keep one of the two.", Path: "zones/finmicro.example.yaml", Line: 12, Record: "www.finmicro.example CNAME", Controls: []string{"SOC2:CC8.1", "ISO27001:A.8.32"}},
			{Rule: "dns.policy/ttl", Severity: check.Warn, Message: "The TTL is long.", Path: "zones/größe,a:b.yaml", Line: 3, Controls: []string{}},
			{Rule: "dns.policy/owner", Severity: check.Info, Message: "Nobody owns the zone", Controls: []string{"SOC2:CC8.1"}},
		},
		Approvals: []approval.Requirement{},
		Change: &change.Change{Digest: "sha256:cc", Updates: 1, Deletes: 1, Edits: []zone.Edit{
			{Op: zone.Delete, Zone: "finmicro.example", Name: "old.finmicro.example", Type: "TXT", Before: set("old.finmicro.example", "TXT", zone.NoTTL, `"v=spf1 -all"`)},
			{Op: zone.Update, Zone: "finmicro.example", Name: "www.finmicro.example", Type: "A", Before: set("www.finmicro.example", "A", 300, "192.0.2.1", "192.0.2.2"), After: set("www.finmicro.example", "A", 300, "192.0.2.2", "192.0.2.3")},
		}, Files: []change.FileEdit{{Op: zone.Update, Path: "slipway.yaml", Kind: change.KindSettings, Digest: "sha256:dd"}}},
		PolicyDigest: "sha256:bb", AsOf: at, Version: "1",
	}
	yellow := &check.Verdict{
		Tier: check.Yellow, TierReasons: []string{"It can be reached from outside."}, Score: 30,
		Signals: []check.Signal{}, Findings: []check.Finding{},
		Approvals:    []approval.Requirement{{Rule: "yellow", AnyOf: []string{"infosec", "platform-ops"}, Count: 1, Ticket: true, Why: []string{"It can be reached from outside.", "It is new."}}},
		Change:       &change.Change{},
		PolicyDigest: "sha256:bb", AsOf: at, Version: "1",
	}
	hostile := &check.Verdict{
		Tier: check.Yellow, TierReasons: []string{evil}, Score: 30,
		Signals:   []check.Signal{{Name: evil, Reason: evil}},
		Findings:  []check.Finding{{Rule: evil, Severity: check.Warn, Message: evil, Help: evil, Path: "zones/" + evil, Line: 1, Record: evil, Controls: []string{evil}}, {Rule: "a", Severity: check.Warn, Message: evil}},
		Approvals: []approval.Requirement{{Rule: evil, AnyOf: []string{evil}, Count: 1, Why: []string{evil}}},
		Change: &change.Change{Digest: evil, Creates: 1, Edits: []zone.Edit{
			{Op: zone.Create, Zone: zone.Name(evil), Name: zone.Name(evil), Type: evil, After: &zone.RRSet{Name: zone.Name(evil), Type: evil, Values: []string{evil}, Extra: evil}},
		}, Apps: []change.AppEdit{{Name: evil}}, Files: []change.FileEdit{{Path: evil, Kind: evil}}},
		PolicyDigest: evil, AsOf: at, Version: "1",
	}
	return map[string]*check.Verdict{"green": green, "denied": denied, "yellow": yellow, "hostile": hostile}
}

func render(t *testing.T, f Format, v *check.Verdict) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, f, v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	ext := map[Format]string{SARIF: ".sarif", JUnit: ".junit.xml", GitHub: ".github.txt", Markdown: ".md"}
	for name, v := range verdicts() {
		for f, end := range ext {
			path := filepath.Join("testdata", name+end)
			got := render(t, f, v)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs; run with -update and read the difference:\n%s", path, got)
			}
		}
	}
}

// TestSameVerdict holds every format against the verdict: as many findings, as many denials.
func TestSameVerdict(t *testing.T) {
	for name, v := range verdicts() {
		denied := 0
		for _, f := range v.Findings {
			if f.Severity == check.Deny {
				denied++
			}
		}
		var suites junitSuites
		if err := xml.Unmarshal([]byte(render(t, JUnit, v)), &suites); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s := suites.Suites[0]; suites.Failures != denied || s.Failures != denied || len(s.Cases) != max(len(v.Findings), 1) || s.Tests != len(s.Cases) {
			t.Errorf("%s: JUnit has %d tests, %d failures", name, s.Tests, s.Failures)
		}
		lines := strings.Split(strings.TrimSuffix(render(t, GitHub, v), "\n"), "\n")
		errors := 0
		for _, l := range lines {
			if strings.HasPrefix(l, "::error ") {
				errors++
			}
		}
		if len(lines) != len(v.Findings)+1 || errors != denied {
			t.Errorf("%s: GitHub has %d lines, %d errors", name, len(lines), errors)
		}
	}
}

// TestSARIF checks what the schema requires and what code scanning requires beyond it.
func TestSARIF(t *testing.T) {
	levels := map[string]bool{"error": true, "warning": true, "note": true}
	for name, v := range verdicts() {
		var raw map[string]any
		src := render(t, SARIF, v)
		if err := json.Unmarshal([]byte(src), &raw); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var log sarifLog
		dec := json.NewDecoder(strings.NewReader(src))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&log); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if log.Version != "2.1.0" || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name == "" {
			t.Fatalf("%s: version, runs or tool is missing", name)
		}
		run := log.Runs[0]
		if len(run.Results) != len(v.Findings) {
			t.Errorf("%s: %d results for %d findings", name, len(run.Results), len(v.Findings))
		}
		ids := map[string]bool{}
		for _, r := range run.Tool.Driver.Rules {
			if r.ID == "" || r.Short.Text == "" || ids[r.ID] {
				t.Errorf("%s: rule %q is empty or stands twice", name, r.ID)
			}
			ids[r.ID] = true
		}
		for _, r := range run.Results {
			if run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID || !levels[r.Level] || r.Message.Text == "" || len(r.Locations) != 1 || len(r.Fingerprints) != 1 {
				t.Errorf("%s: result %+v", name, r)
			}
			l := r.Locations[0].Physical
			if l.Artifact.URI == "" || strings.ContainsAny(l.Artifact.URI, " \n<>\\^`{|}\"") || l.Region != nil && l.Region.StartLine < 1 {
				t.Errorf("%s: place %+v", name, l)
			}
		}
	}
}

// TestNoInjection reads each rendering of the hostile verdict as its reader would.
func TestNoInjection(t *testing.T) {
	v := verdicts()["hostile"]
	for _, l := range strings.Split(strings.TrimSuffix(render(t, GitHub, v), "\n"), "\n") {
		// The runner takes a line for a command from its first "::" to the next.
		head, _, found := strings.Cut(strings.TrimPrefix(l, "::"), "::")
		if !strings.HasPrefix(l, "::warning ") && !strings.HasPrefix(l, "::notice ") || !found || strings.Count(head, "title=") != 1 {
			t.Errorf("a line is another command: %q", l)
		}
		if strings.ContainsAny(l, "\r\x1b\u202e") {
			t.Errorf("a control character is left: %q", l)
		}
	}
	md := render(t, Markdown, v)
	fence := ""
	for _, l := range strings.Split(md, "\n") {
		trimmed := strings.TrimLeft(l, " ")
		switch {
		case fence == "" && strings.HasSuffix(l, "diff") && strings.HasPrefix(l, "```"):
			fence = strings.TrimSuffix(l, "diff")
		case fence != "" && strings.HasPrefix(trimmed, fence):
			if l != fence {
				t.Errorf("a record closes the fence: %q", l)
			}
			fence = ""
		case fence == "":
			plain := withoutCode(l)
			for _, bad := range []string{"<script", "](", "![", "@finmicro", "#12", "http:/", "://", "www.e"} {
				if strings.Contains(plain, bad) {
					t.Errorf("%q is live in %q", bad, plain)
				}
			}
			if strings.HasPrefix(trimmed, "# ") || strings.HasPrefix(trimmed, "::") {
				t.Errorf("a text begins a line of its own: %q", l)
			}
		}
	}
	if fence != "" {
		t.Error("the diff's fence is never closed")
	}
	if len(md) > 65536 {
		t.Errorf("the comment is %d bytes long", len(md))
	}
}

// withoutCode takes a line's code spans out, as CommonMark section 6.1 finds them: from a run of
// backticks to the next run of the same length.
func withoutCode(l string) string {
	var b strings.Builder
	for i := 0; i < len(l); {
		switch {
		case l[i] == '\\' && i+1 < len(l):
			b.WriteString(l[i : i+2])
			i += 2
		case l[i] == '`':
			n := 0
			for i+n < len(l) && l[i+n] == '`' {
				n++
			}
			end := -1
			for j := i + n; j < len(l); {
				if l[j] != '`' {
					j++
					continue
				}
				m := 0
				for j+m < len(l) && l[j+m] == '`' {
					m++
				}
				if m == n {
					end = j + m
					break
				}
				j += m
			}
			if end < 0 {
				end = i + n
			}
			i = end
		default:
			b.WriteByte(l[i])
			i++
		}
	}
	return b.String()
}

// TestBounded shows that a huge change still fits into one comment, and says what it left out.
func TestBounded(t *testing.T) {
	v := verdicts()["denied"]
	for range 12 {
		v.Findings = append(v.Findings, v.Findings...)
		v.Change.Edits = append(v.Change.Edits, v.Change.Edits...)
		v.Change.Files = append(v.Change.Files, v.Change.Files...)
	}
	md := render(t, Markdown, v)
	if len(md) > 65536 {
		t.Errorf("the comment is %d bytes long", len(md))
	}
	for _, want := range []string{"record sets more", "more: run `slipway check`", "files more", "<details>"} {
		if !strings.Contains(md, want) {
			t.Errorf("the comment does not say %q", want)
		}
	}
}

func TestDiff(t *testing.T) {
	var b bytes.Buffer
	if err := Diff(&b, verdicts()["denied"].Change); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"- www.finmicro.example 300 A 192.0.2.1\n", "  www.finmicro.example 300 A 192.0.2.2\n", "+ www.finmicro.example 300 A 192.0.2.3\n", "changed: `slipway.yaml`"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the diff lacks %q:\n%s", want, b.String())
		}
	}
}

func FuzzMarkdown(f *testing.F) {
	f.Add(evil)
	f.Add("`")
	f.Add("a``b")
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(prose(s), "\n\r") || strings.ContainsAny(code(s), "\n\r") {
			t.Fatal("a line break is left")
		}
		if c := code(s); c != "" && withoutCode(c) != "" {
			t.Fatalf("%q breaks out of its code span: %q", s, c)
		}
		if p := commandData(s); strings.ContainsAny(p, "\n\r") {
			t.Fatalf("a line break is left in %q", p)
		}
		if p := property(s); strings.ContainsAny(p, "\n\r:,") {
			t.Fatalf("a property ends early in %q", p)
		}
	})
}
