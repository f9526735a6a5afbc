package present_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"slipway/evidence"
	"slipway/evidence/present"
	"slipway/internal/pypi"
)

// validate reads files by the models that compliance-trestle makes from NIST's own schema, and lets its
// validators look for UUIDs that stand twice or lead nowhere. The first file must be refused, the others not.
const validate = `
import argparse, sys, trestle.core.validator_factory as vf
from trestle.oscal import OSCAL_VERSION
from trestle.oscal.assessment_results import Model
validator = vf.validator_factory.get(argparse.Namespace(mode="all"))
def valid(name):
    model = Model.parse_raw(open(name, "rb").read())
    return validator.model_is_valid(model.assessment_results, True)
try:
    valid(sys.argv[1])
except ValueError:
    print("refused")
for name in sys.argv[2:]:
    if valid(name):
        print("valid", OSCAL_VERSION)
`

// trestle is the last version whose models are those of OSCAL 1.1.3.
const trestle = "3.12.4"

func TestOSCALIsValidByItsSchema(t *testing.T) {
	t.Parallel()
	python, err := pypi.Python("compliance-trestle", trestle, "")
	if err != nil {
		t.Skipf("the models of OSCAL's schema cannot be had: %v", err)
	}
	dir := t.TempDir()
	args := []string{"-c", validate}
	write := func(name string, content []byte) {
		file := filepath.Join(dir, name+".json")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	// What is not in the schema must be refused, or nothing is looked at.
	write("bad", bytes.Replace(files(t, stories["green"](t), small(t))[present.OSCALFile], []byte(`"methods"`), []byte(`"method"`), 1))
	for story, tell := range stories {
		write(story, files(t, tell(t), small(t))[present.OSCALFile])
	}
	write("hostile", files(t, hostile(t), small(t))[present.OSCALFile])
	write("whole", files(t, troubled(t), mapping(t))[present.OSCALFile])
	out, err := exec.CommandContext(t.Context(), python, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%.6000s", err, out)
	}
	if n := strings.Count(string(out), "valid 1.1.3"); n != len(args)-3 || !strings.HasPrefix(string(out), "refused") {
		t.Errorf("%d of %d files are valid:\n%s", n, len(args)-3, out)
	}
}

// results reads what matters of an OSCAL file.
func results(t *testing.T, d *evidence.Data) (states map[string]string, controls map[string]bool, text string) {
	t.Helper()
	raw := files(t, d, mapping(t))[present.OSCALFile]
	var f struct {
		R struct {
			Results []struct {
				Reviewed struct {
					Selections []struct {
						Include []struct {
							ID string `json:"control-id"`
						} `json:"include-controls"`
					} `json:"control-selections"`
				} `json:"reviewed-controls"`
				Findings []struct {
					Target struct {
						ID     string `json:"target-id"`
						Status struct{ State string }
					}
				}
			}
		} `json:"assessment-results"`
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatal(err)
	}
	states, controls = map[string]string{}, map[string]bool{}
	for _, x := range f.R.Results[0].Findings {
		states[x.Target.ID] = x.Target.Status.State
	}
	for _, s := range f.R.Results[0].Reviewed.Selections {
		for _, c := range s.Include {
			controls[c.ID] = true
		}
	}
	return states, controls, string(raw)
}

func TestOSCALSaysWhatIsSatisfied(t *testing.T) {
	t.Parallel()
	states, controls, text := results(t, stories["yellow"](t))
	for id, want := range map[string]string{"soc2_cc8.1": "satisfied", "cm-3": "satisfied", "iso27001_a.8.32": "satisfied", "sox_itgc-cm-4": "satisfied", "soc2_cc6.4": "", "soc2_a1.3": ""} {
		if states[id] != want {
			t.Errorf("%s is %q, want %q", id, states[id], want)
		}
	}
	if !controls["soc2_c1.2"] || controls["soc2_cc6.4"] {
		t.Error("controls that were looked at are those that Slipway could have evidence for")
	}
	for id := range states {
		if !controls[id] {
			t.Errorf("there is a finding on %s, which was not looked at", id)
		}
	}
	if !strings.Contains(text, `"algorithm": "SHA-256"`) || !regexp.MustCompile(`"href": "\.\./documents/[0-9a-f]{64}"`).MatchString(text) {
		t.Error("documents are not named by their hashes")
	}
	states, _, text = results(t, troubled(t))
	for id, want := range map[string]string{"sox_itgc-cm-4": "not-satisfied", "cm-6": "not-satisfied", "sox_itgc-cm-6": "not-satisfied", "au-9": "not-satisfied", "sc-17": "not-satisfied", "soc2_cc6.6": "not-satisfied", "sox_itgc-cm-1": "satisfied"} {
		if states[id] != want {
			t.Errorf("%s is %q, want %q", id, states[id], want)
		}
	}
	if strings.Count(text, "asked for it and approved it") < 2 {
		t.Error("what speaks against a control is not said")
	}
}
