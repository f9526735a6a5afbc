package present_test

import (
	"slices"
	"strings"
	"testing"

	"slipway/audit"
	"slipway/evidence"
	"slipway/evidence/present"
	"slipway/lifecycle"
)

// troubled is a record in which everything went wrong that can: what the server would not let happen, an
// auditor has to see all the same.
func troubled(t testing.TB) *evidence.Data {
	s := newTale(t).submit().check("yellow", "", yellow, mustDeny())
	s.vote(ana, audit.ApproveChange, "infosec", "I looked at it myself.")
	s.chain = append(s.chain, "ghost@finmicro.example")
	s.finish()
	s.add(audit.Event{Action: audit.DetectDrift, Resource: audit.Resource{Zone: zone, Record: name, Type: "A"}}, lifecycle.DriftDetails{Digest: digestOf([]byte("d")), Count: 1, Differences: []lifecycle.Differs{}})
	s.add(audit.Event{Action: audit.DetectOutOfBand, Resource: audit.Resource{Zone: zone, Name: "cloudtrail"}}, map[string]any{"source": "cloudtrail"})
	s.add(audit.Event{Action: audit.WarnRecord, Resource: audit.Resource{Name: "mirrors/vault"}}, map[string]any{"guard": "mirrors"})
	s.add(audit.Event{Action: audit.WarnRecord, Resource: audit.Resource{Name: "witness/one"}}, map[string]any{"guard": "witness"})
	s.add(audit.Event{Action: audit.RecoverRecord, Resource: audit.Resource{Name: "witness/one"}}, map[string]any{"guard": "witness"})
	s.add(audit.Event{Action: audit.DetectCertificate, Resource: audit.Resource{Name: "77ab01"}}, map[string]any{"id": "aa"})
	s.add(audit.Event{Action: audit.DetectCertificate, Resource: audit.Resource{Name: "77ab02"}}, map[string]any{"id": "bb"})
	s.add(audit.Event{Action: audit.AcceptCertificate, Actor: ivy, Resource: audit.Resource{Name: "77ab02"}}, map[string]any{"id": "bb", "reason": "The mail provider's."})
	return s.tell()
}

func TestWhatSpeaksAgainstControls(t *testing.T) {
	t.Parallel()
	against := func(d *evidence.Data) map[string][]string {
		out := map[string][]string{}
		for _, c := range present.Assess(d, mapping(t)).Controls {
			for _, o := range c.Objections {
				out[o.Text] = append(out[o.Text], c.ID)
			}
		}
		return out
	}
	for story, tell := range stories {
		if got := against(tell(t)); len(got) > 0 {
			t.Errorf("%s: %v", story, got)
		}
	}
	got := against(troubled(t))
	for text, control := range map[string]string{
		"Change c-0001: ana@finmicro.example asked for it and approved it.":                                                                     "SOX:ITGC-CM-4",
		"Change c-0001: it names ghost@finmicro.example as an approver, and there is no approval by them":                                       "SOX:ITGC-CM-3",
		"Change c-0001: the rule spf-allows-everyone denied it, and somebody let it through: Everybody in the world may send mail in your name": "SOC2:CC6.6",
		"The zone finmicro.example was not as approved, and nothing here says that it is again.":                                                "NIST-800-53:CM-6",
		"cloudtrail reported an act on finmicro.example that no approved change explains.":                                                      "SOX:ITGC-CM-6",
		"What guards the record failed, and nothing here says that it works again: mirrors/vault.":                                              "ISO27001:A.5.33",
		"A certificate for our names came from elsewhere, and nobody has said whose it is: aa.":                                                 "NIST-800-53:SC-17",
	} {
		found := false
		for said, controls := range got {
			if strings.HasPrefix(said, text) {
				found = true
				if !slices.Contains(controls, control) {
					t.Errorf("%q does not speak against %s: %v", text, control, controls)
				}
			}
		}
		if !found {
			t.Errorf("nobody says: %s", text)
		}
	}
	if len(got) != 7 {
		t.Errorf("%d things speak against controls, want 7: %v", len(got), got)
	}

	// Put on main without anybody: neither a vote nor a rule.
	s := newTale(t).submit().check("yellow", "", yellow).finish()
	if got := against(s.tell()); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

func TestEvidenceThatIsADocument(t *testing.T) {
	t.Parallel()
	standing := func(d *evidence.Data) present.Standing {
		for _, c := range present.Assess(d, small(t)).Controls {
			if c.ID == "CM:5" {
				return c.Standing
			}
		}
		return ""
	}
	if got := standing(stories["green"](t)); got != present.Satisfied {
		t.Errorf("with a bill of materials: %s", got)
	}
	if got := standing(stories["denied"](t)); got != present.NoEvidence {
		t.Errorf("a request without a bill of materials is evidence of one: %s", got)
	}
}
