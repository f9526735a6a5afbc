package policy

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"slipway/check/finding"
	"slipway/internal/peer"
	"slipway/starter"
)

// said is one answer, as both judges can be compared: package, severity, message.
type said struct{ pkg, severity, message string }

// judgedByConftest runs the real conftest on a policy and an input.
func judgedByConftest(t *testing.T, bin, src, input string) []said {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"policy/p.rego": src, "input.json": input} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(bin, "test", "--all-namespaces", "--no-fail", "--strict", "--output", "json", "--policy", "policy", "input.json")
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("conftest: %v\n%s", err, stderr.Bytes())
	}
	var results []struct {
		Namespace          string
		Failures, Warnings []struct{ Msg string }
	}
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatalf("conftest said %s: %v", out, err)
	}
	var all []said
	for _, r := range results {
		for _, f := range r.Failures {
			all = append(all, said{r.Namespace, "deny", f.Msg})
		}
		for _, w := range r.Warnings {
			all = append(all, said{r.Namespace, "warn", w.Msg})
		}
	}
	return sorted(all)
}

// judgedBySlipway asks the same. Which rule spoke is Slipway's own to say.
func judgedBySlipway(t *testing.T, src, input string) []said {
	t.Helper()
	p, err := Compile(t.Context(), repository(src))
	if err != nil {
		t.Fatal(err)
	}
	value, err := ast.ValueFromReader(strings.NewReader(input))
	if err != nil {
		t.Fatal(err)
	}
	var all []said
	for _, r := range p.rules {
		found, err := p.answers(t.Context(), r, value.(ast.Object), Zone{}, asOf)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if f.Severity != finding.Info {
				all = append(all, said{r.Package, string(f.Severity), f.Message})
			}
		}
	}
	return sorted(all)
}

func sorted(all []said) []said {
	slices.SortFunc(all, func(a, b said) int {
		return strings.Compare(a.pkg+"\x00"+a.severity+"\x00"+a.message, b.pkg+"\x00"+b.severity+"\x00"+b.message)
	})
	return slices.Compact(all)
}

// The same policy and the same input, judged by the real conftest and by Slipway,
// come out the same.
func TestConftestAgrees(t *testing.T) {
	bin := peer.Find(t, "conftest")
	policies := map[string]string{
		"strings and objects": `package main
deny contains "always"
deny contains {"msg": sprintf("%s is seen by the world", [z.name]), "id": 7} if {
	some z in input.zones
	z.visibility == "external"
}
warn contains msg if {
	some edit in input.change.edits
	edit.op == "delete"
	msg := sprintf("%s goes", [edit.name])
}`,
		"every name of a rule": `package a.b.c
deny_this contains "d" if input.zone.visibility == "internal"
violation contains {"msg": "v"} if input.zone.owner != input.organisation.domain
violation_that_1 contains {"msg": "v1", "details": {"x": 1}} if input.change.deletes > 0
warn_too contains "w" if count(input.apps) == 0
denying contains "no rule"
deny__odd contains "no rule either"`,
		"rules that refer to each other": `package main
deny contains "not allowed" if not allow
default allow := false
allow if input.zone.owner == input.organisation.domain
warn contains sprintf("%d denials", [count(deny)]) if count(deny) > 0`,
		"the same from two bodies": `package main
deny contains "same" if input.zone.visibility == "internal"
deny contains "same" if input.zone.name == "apps.finmicro.example"`,
		"exceptions": `package main
deny_owner contains "owner" if input.zone.owner != "x"
deny contains "plain"
warn_owner contains "hm"
exception contains rules if {
	input.zone.visibility == "internal"
	rules := ["owner"]
}`,
		"a failing built-in": `package main
deny contains "never" if to_number(input.zone.name) == 1
deny contains "reached" if not to_number(input.zone.name) == 1`,
	}
	for name, at := range shippedPolicies(t) {
		policies[name] = at
	}
	inputs := map[string]string{}
	for name, change := range map[string]func(in *Input){
		"internal": func(*Input) {},
		"external": func(in *Input) {
			in.Zones = []Zone{{Name: "finmicro.example", Owner: "finmicro.example", Visibility: "external"}}
			in.Organisation.AllowedExternal = nil
			in.Change.Edits[0].Zone = "finmicro.example"
		},
		"somebody else's": func(in *Input) {
			in.Zones[0].Owner, in.Requester.ThirdParty, in.Change.Deletes = "other.example", true, 200
		},
		"no app": func(in *Input) { in.Apps = nil },
	} {
		in := sampleInput()
		change(&in)
		doc, err := in.value()
		if err != nil {
			t.Fatal(err)
		}
		if doc, err = about(doc, in.Zones[0]); err != nil {
			t.Fatal(err)
		}
		inputs[name] = doc.String()
	}
	spoke := 0
	for name, src := range policies {
		for about, input := range inputs {
			t.Run(name+"/"+about, func(t *testing.T) {
				want, got := judgedByConftest(t, bin, src, input), judgedBySlipway(t, src, input)
				spoke += len(want)
				if !slices.Equal(got, want) {
					t.Errorf("slipway says %v\nconftest says %v", got, want)
				}
			})
		}
	}
	if spoke < 20 {
		t.Errorf("conftest said only %d things: the comparison shows little", spoke)
	}
}

// shippedPolicies are the policies of the starter and of the packs, as they ship.
func shippedPolicies(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for prefix, files := range map[string]fs.FS{"starter": starter.Policies(), "packs": starter.Packs()} {
		err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || path.Ext(name) != ".rego" || IsTest(name) {
				return err
			}
			src, err := fs.ReadFile(files, name)
			out[prefix+":"+name] = string(src)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}
