package controls_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"slipway/audit"
	"slipway/evidence/controls"
	"slipway/zone"
)

const own = `
frameworks:
  pci-dss: {leave-out: true}
  fin: {prefix: FIN, title: Fin Micro's own controls, scope: All of them.}
evidence:
  naming:
    title: Names follow our own rules
    events: [check-change]
    checks: [own/*]
  erasure: {documents: [request]}      # the events stay
documents:
  scan-report: What our scanner found
controls:
  FIN:DNS-1: {title: Names are looked at twice, evidence: [naming, decision]}
  SOC2:CC8.1: {add: [naming]}
  SOC2:CC6.4: {evidence: [sign-in], note: Badges are accounts here.}
  SOC2:A1.3: {elsewhere: continuity}
  ISO27001:A.8.8: {elsewhere: The scanner of the platform team.}
not-evidence: {}
`

func TestAnOrganisationsFile(t *testing.T) {
	t.Parallel()
	before := builtIn(t)
	m, err := before.Extend(controls.Path, []byte(own))
	if err != nil {
		t.Fatal(err)
	}
	get := func(id string) controls.Control {
		c, ok := m.Control(id)
		if !ok {
			t.Errorf("%s is not there", id)
		}
		return c
	}
	if c := get("SOC2:CC8.1"); c.Evidence[len(c.Evidence)-1] != "naming" || len(c.Evidence) < 5 {
		t.Errorf("not added: %v", c.Evidence)
	}
	if c := get("SOC2:CC6.4"); c.Elsewhere != "" || !slices.Equal(c.Evidence, []string{"sign-in"}) || c.Note != "Badges are accounts here." || c.Title == "" {
		t.Errorf("%+v", c)
	}
	if c := get("SOC2:A1.3"); !strings.HasPrefix(c.Elsewhere, "Plans for disasters") {
		t.Errorf("a reason that is shared is not found: %q", c.Elsewhere)
	}
	if c := get("ISO27001:A.8.8"); c.Elsewhere != "The scanner of the platform team." {
		t.Errorf("%q", c.Elsewhere)
	}
	if c := get("FIN:DNS-1"); c.Framework != "fin" || !slices.Contains(m.Actions(c), audit.ApproveChange) {
		t.Errorf("%+v", c)
	}
	if p, _ := m.Piece("erasure"); !slices.Equal(p.Documents, []string{"request"}) || !slices.Equal(p.Events, []audit.Action{audit.EraseDocument}) {
		t.Errorf("%+v", p)
	}
	if _, there := m.Framework("pci-dss"); there {
		t.Error("a framework that is left out is still there")
	}
	if _, there := m.Control("PCI-DSS:6.5.1"); there {
		t.Error("a control of a framework that is left out is still there")
	}
	if last := m.Controls[len(m.Controls)-1]; last.Framework != "fin" {
		t.Errorf("the order is not that of the frameworks: %s is last", last.ID)
	}
	// What was there before stays as it is.
	if c, _ := before.Control("SOC2:CC6.4"); c.Elsewhere == "" || len(before.Frameworks) != 5 {
		t.Error("extending a mapping changed it")
	}
	if p, _ := before.Piece("erasure"); !slices.Equal(p.Documents, []string{}) {
		t.Errorf("extending a mapping changed it: %v", p.Documents)
	}
	if m, err := before.Extend(controls.Path, nil); err != nil || len(m.Controls) != len(before.Controls) {
		t.Errorf("an empty file: %v", err)
	}
}

func TestFaultsNameLineAndRemedy(t *testing.T) {
	t.Parallel()
	m := builtIn(t)
	long := strings.Repeat("x", 1001)
	for _, tt := range []struct {
		name, src string
		line      int
		what      string
	}{
		{"unknown section", "control:\n  SOC2:CC8.1: {}\n", 1, `"control" is not known here`},
		{"unknown key", "controls:\n  SOC2:CC8.1:\n    titel: x\n", 3, `"titel" is not known here`},
		{"twice", "controls:\n  SOC2:CC8.1: {note: a}\n  SOC2:CC8.1: {note: b}\n", 3, "already defined"},
		{"not YAML", "controls:\n  SOC2:CC8.1: {note: a\n", 2, "cannot be read"},
		{"a list for a text", "controls:\n  SOC2:CC8.1: {title: [a]}\n", 2, "of another kind"},
		{"a text for a list", "controls:\n  SOC2:CC8.1: {evidence: approval}\n", 2, "of another kind"},
		{"two documents", "controls: {}\n---\ncontrols: {}\n", 1, "more than one YAML document"},
		{"no ID", "controls:\n  CC8.1: {title: a}\n", 2, "not the ID of a control"},
		{"no framework", "\ncontrols:\n  FIN:1: {title: a}\n", 3, "belongs to no framework"},
		{"no title", "frameworks: {fin: {prefix: FIN, title: f}}\ncontrols:\n  FIN:1: {evidence: [decision]}\n", 3, "has no title"},
		{"unknown evidence", "controls:\n  SOC2:CC8.1:\n    evidence: [desision]\n", 2, "no evidence of the name"},
		{"unknown action", "evidence:\n  mine:\n    title: t\n    events: [approve]\n", 2, "not an action of the log"},
		{"unknown document", "evidence:\n  mine: {title: t, documents: [scan]}\n", 2, "no document that is known"},
		{"nothing to show", "evidence:\n  mine: {title: t}\n", 2, "nothing that could be shown"},
		{"documents that are none", "evidence:\n  mine: {title: t, events: [sign-in], only-with-documents: true}\n", 2, "asks for documents and names none"},
		{"here and elsewhere", "controls:\n  SOC2:CC8.1: {add: [decision], elsewhere: people}\n", 2, "both evidence here and elsewhere"},
		{"a bad pattern", "controls:\n  SOC2:CC8.1: {checks: ['[']}\n", 2, "not a pattern"},
		{"a prefix that is another's", "frameworks:\n  fin: {prefix: SOC2, title: t}\n", 2, "that of another framework"},
		{"a prefix that changes", "frameworks:\n  soc2: {prefix: SOC}\n", 2, "cannot become another"},
		{"a framework without prefix", "frameworks:\n  fin: {title: t}\n", 2, "no prefix"},
		{"nothing to leave out", "frameworks:\n  fin: {leave-out: true}\n", 2, "no framework fin"},
		{"evidence and not", "not-evidence:\n  sign-in: Not asked for.\n", 1, "under not-evidence, and among the events"},
		{"no reason", "not-evidence:\n  sign-in: ''\n", 2, "nothing says why"},
		{"not an action", "not-evidence:\n  singing: No.\n", 2, "not an action"},
		{"too much text", "controls:\n  SOC2:CC8.1: {note: " + long + "}\n", 2, "more than 1000 bytes"},
		{"what cannot be shown", "controls:\n  SOC2:CC8.1: {note: \"a\\u001b[1mb\"}\n", 2, "characters that cannot be shown"},
		{"too large", strings.Repeat("# comment\n", 110_000), 1, "larger than"},
		{"merged in", "controls:\n  SOC2:CC8.1: &a {note: a}\n  <<: {SOC2:CC6.1: {note: b}}\n", 3, "cannot be merged"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := m.Extend("controls.yaml", []byte(tt.src))
			var fault *zone.Error
			if !errors.As(err, &fault) {
				t.Fatalf("no fault that names its place: %v", err)
			}
			if fault.Place.Path != "controls.yaml" || fault.Help == "" || !strings.Contains(fault.What, tt.what) {
				t.Errorf("%v", err)
			}
			if fault.Place.Line != tt.line && tt.name != "evidence and not" && tt.name != "not YAML" {
				t.Errorf("line %d, want %d: %v", fault.Place.Line, tt.line, err)
			}
			if strings.Contains(err.Error(), "controls.file") || strings.Contains(err.Error(), "struct {") {
				t.Errorf("speaks of what a person cannot know: %v", err)
			}
		})
	}
}

// Whatever a file holds, it is a mapping or a fault with a place, and never half of both.
func FuzzControlsFile(f *testing.F) {
	f.Add([]byte(own))
	for _, s := range []string{"", "a", "controls: [", "controls: {SOC2:CC8.1: {add: [decision]}}", "frameworks: {soc2: {leave-out: true}}", "evidence: {a: null}", "controls: &a\n  SOC2:CC8.1: *a\n", "? [a]\n: b\n", "controls: {? [x] : {}}", "<<: {}", "controls: {null: {}}", "not-evidence: 5", "controls: {SOC2:CC8.1: null}"} {
		f.Add([]byte(s))
	}
	m, err := controls.Default()
	if err != nil {
		f.Fatal(err)
	}
	checks, err := controls.Shipped(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		got, err := m.Extend(controls.Path, src)
		if err != nil {
			var fault *zone.Error
			if got != nil || !errors.As(err, &fault) || fault.Place.Line < 1 || fault.What == "" {
				t.Fatalf("%v %v", got != nil, err)
			}
			return
		}
		c := got.Cover(checks, nil, nil)
		if len(c.Controls) != len(got.Controls) {
			t.Fatal("a control has no row")
		}
		for _, r := range c.Controls {
			if r.Title == "" {
				t.Fatalf("%s has no title", r.ID)
			}
		}
	})
}
