package present

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"slipway/approval"
	"slipway/audit"
	"slipway/check/finding"
	"slipway/evidence"
	"slipway/evidence/controls"
	"slipway/lifecycle"
)

// Standing says what a bundle shows of a control.
type Standing string

// The standings, from what needs somebody's eye to what says nothing.
const (
	NotSatisfied Standing = "not-satisfied" // something in the bundle speaks against it
	Satisfied    Standing = "satisfied"     // there is evidence, and nothing speaks against it
	NoEvidence   Standing = "no-evidence"   // Slipway could have some, and this bundle has none
	Elsewhere    Standing = "elsewhere"     // others have it
	Unmapped     Standing = "unmapped"      // nothing is known of who has it
)

// Assessment is what a bundle shows of each control.
type Assessment struct {
	Format     string               `json:"format"`
	Subject    evidence.Subject     `json:"subject"`
	Frameworks []controls.Framework `json:"frameworks"`
	Pieces     []Piece              `json:"evidence"` // that is in the bundle
	Controls   []Control            `json:"controls"`
	Warnings   []string             `json:"warnings,omitempty"` // what a reader should know about the mapping

	mapping *controls.Mapping
}

// assessmentFormat names the form of controls.json.
const assessmentFormat = "slipway-controls/1"

// Control is one control with what the bundle has of evidence for it.
type Control struct {
	ID         string      `json:"control"`
	Title      string      `json:"title"`
	Framework  string      `json:"framework"`
	Standing   Standing    `json:"standing"`
	Evidence   []string    `json:"evidence"` // names of the pieces that are in the bundle
	Rules      []string    `json:"rules"`    // that found something, and name the control
	Objections []Objection `json:"objections"`
	Note       string      `json:"note,omitempty"`
	Elsewhere  string      `json:"elsewhere,omitempty"`

	pieces []Piece // of Evidence
}

// Piece is a piece of evidence that is in the bundle.
type Piece struct {
	Name      string   `json:"name"`
	Title     string   `json:"title"`
	Events    []uint64 `json:"events"`    // by their place in the log
	Documents []string `json:"documents"` // digests
}

// Objection is something in the bundle that speaks against a control.
type Objection struct {
	Text   string   `json:"text"`
	Events []uint64 `json:"events"`

	pieces   []string // the pieces of evidence whose controls it speaks against
	controls []string // and controls by their IDs
}

// Assess finds out what a bundle's data shows of each control of a mapping.
func Assess(d *evidence.Data, m *controls.Mapping) *Assessment {
	a := &Assessment{Format: assessmentFormat, Subject: d.Subject, Frameworks: m.Frameworks, Pieces: []Piece{}, Controls: []Control{}, mapping: m}
	pieces := map[string]Piece{}
	for _, p := range m.Pieces {
		if found := find(d, p); len(found.Events) > 0 {
			pieces[p.Name] = found
			a.Pieces = append(a.Pieces, found)
		}
	}
	objections, rules := objections(d), rulesFound(d)
	for _, c := range m.Controls {
		out := Control{ID: c.ID, Title: c.Title, Framework: c.Framework, Evidence: []string{}, Objections: []Objection{}, Note: c.Note, Elsewhere: c.Elsewhere}
		for _, name := range c.Evidence {
			if p, there := pieces[name]; there {
				out.Evidence, out.pieces = append(out.Evidence, name), append(out.pieces, p)
			}
		}
		out.Rules = append([]string{}, rules[c.ID]...)
		for _, o := range objections {
			if slices.Contains(o.controls, c.ID) || slices.ContainsFunc(o.pieces, func(p string) bool { return slices.Contains(c.Evidence, p) }) {
				out.Objections = append(out.Objections, o)
			}
		}
		switch {
		case len(out.Objections) > 0:
			out.Standing = NotSatisfied
		case len(out.pieces)+len(out.Rules) > 0:
			out.Standing = Satisfied
		case c.Elsewhere != "":
			out.Standing = Elsewhere
		case len(c.Evidence)+len(c.Checks) > 0:
			out.Standing = NoEvidence
		default:
			out.Standing = Unmapped
		}
		a.Controls = append(a.Controls, out)
	}
	return a
}

// Count says how many controls of a framework stand how; "" is all frameworks.
func (a *Assessment) Count(framework string) map[Standing]int {
	out := map[Standing]int{}
	for _, c := range a.Controls {
		if framework == "" || c.Framework == framework {
			out[c.Standing]++
		}
	}
	return out
}

// find looks for a piece of evidence among the events.
func find(d *evidence.Data, p controls.Piece) Piece {
	found := Piece{Name: p.Name, Title: p.Title, Events: []uint64{}, Documents: []string{}}
	seen := map[string]bool{}
	for i := range d.Events {
		e := &d.Events[i]
		if e.Why == evidence.WhyBoundary || len(p.Events) > 0 && !slices.Contains(p.Events, e.Event.Action) {
			continue
		}
		brings := false
		for _, name := range p.Documents {
			digest := e.Event.ArtifactRefs[name]
			brings = brings || digest != ""
			if digest != "" && !seen[digest] {
				seen[digest] = true
				found.Documents = append(found.Documents, digest)
			}
		}
		if brings || len(p.Events) > 0 && !p.OnlyWithDocuments {
			found.Events = append(found.Events, e.Index)
		}
	}
	return found
}

// rulesFound lists for each control the rules that found something and name it, sorted.
func rulesFound(d *evidence.Data) map[string][]string {
	found := map[string]map[string]bool{}
	for _, c := range d.Changes {
		for _, v := range c.Verdicts {
			for _, f := range v.Findings {
				for _, id := range f.Controls {
					if found[id] == nil {
						found[id] = map[string]bool{}
					}
					found[id][f.Rule] = true
				}
			}
		}
	}
	out := map[string][]string{}
	for id, rules := range found {
		out[id] = slices.Sorted(maps.Keys(rules))
	}
	return out
}

// objections collects what speaks against controls. Each says what is wrong in a sentence, and
// rests on events of the bundle alone.
func objections(d *evidence.Data) []Objection {
	var out []Objection
	for i := range d.Changes {
		out = append(out, objectionsTo(&d.Changes[i])...)
	}
	for _, f := range d.Drift {
		if f.Ended == nil {
			out = append(out, Objection{Text: fmt.Sprintf("The zone %s was not as approved, and nothing here says that it is again.", bare(f.Zone)), Events: []uint64{f.Index}, pieces: []string{"drift"}})
		}
	}
	for _, r := range d.Reports {
		if r.Action == audit.DetectOutOfBand {
			out = append(out, Objection{Text: fmt.Sprintf("%s reported an act on %s that no approved change explains.", cmp.Or(r.Resource.Name, "A source outside"), cmp.Or(bare(r.Resource.Record), bare(r.Resource.Zone), "something")), Events: []uint64{r.Index}, pieces: []string{"out-of-band"}})
		}
	}
	out = append(out, unsettled(d, audit.WarnRecord, audit.RecoverRecord, "record-guarded", "What guards the record failed, and nothing here says that it works again", func(e audit.Event) string { return e.Resource.Name })...)
	out = append(out, unsettled(d, audit.DetectCertificate, audit.AcceptCertificate, "foreign-certificate", "A certificate for our names came from elsewhere, and nobody has said whose it is", func(e audit.Event) string {
		var named struct{ ID string }
		_ = json.Unmarshal(e.Details, &named) // without an ID it is told by its serial number
		return cmp.Or(named.ID, e.Resource.Name)
	})...)
	return out
}

// objectionsTo says what speaks against the way of one change.
func objectionsTo(c *evidence.Change) []Objection {
	var out []Objection
	name := func(format string, args ...any) string {
		return fmt.Sprintf("Change %s: ", c.State.ID) + fmt.Sprintf(format, args...)
	}
	if c.Merge == nil {
		return nil
	}
	at := []uint64{c.Merge.Index}
	byRule := slices.ContainsFunc(c.Approvals, func(a evidence.Approval) bool {
		return a.ByRule && a.Voided == nil && a.ChangeDigest == c.Merge.ChangeDigest && a.PolicyDigest == c.Merge.PolicyDigest
	})
	if len(c.Merge.Approvers) == 0 && !byRule {
		out = append(out, Objection{Text: name("it was put on main, and neither a person nor a rule approved that content."), Events: at, pieces: []string{"decision", "one-way-in"}})
	}
	for _, who := range c.Merge.Approvers {
		if !slices.ContainsFunc(c.Approvals, func(a evidence.Approval) bool {
			return a.Person == who && a.Decision == approval.Approve && a.Voided == nil && a.ChangeDigest == c.Merge.ChangeDigest
		}) {
			out = append(out, Objection{Text: name("it names %s as an approver, and there is no approval by them of the content that was put on main.", who), Events: at, pieces: []string{"decision"}})
		}
		if strings.EqualFold(who, c.State.Requester) {
			out = append(out, Objection{Text: name("%s asked for it and approved it.", who), Events: at, pieces: []string{"separation"}})
		}
	}
	// The verdict that it was merged by: an earlier one may have seen another world outside.
	for _, v := range slices.Backward(c.Verdicts) {
		if v.Index > c.Merge.Index || v.ChangeDigest != c.Merge.ChangeDigest || v.PolicyDigest != c.Merge.PolicyDigest {
			continue
		}
		if v.Denied {
			out = append(out, Objection{Text: name("the checks denied it, and it was put on main."), Events: []uint64{v.Index, c.Merge.Index}, pieces: []string{"judgement", "one-way-in"}})
		}
		for _, f := range v.Findings {
			if f.Severity == finding.Deny {
				out = append(out, Objection{Text: name("the rule %s denied it, and somebody let it through: %s", f.Rule, f.Message), Events: []uint64{v.Index}, controls: f.Controls})
			}
		}
		break
	}
	if c.State.Phase == lifecycle.Failed {
		out = append(out, Objection{Text: name("it is on main and not live: %s", c.State.Problem), Events: at, pieces: []string{"verified"}})
	}
	return out
}

// unsettled says of each event that opens something whether one that settles it came later.
func unsettled(d *evidence.Data, opens, settles audit.Action, piece, text string, about func(audit.Event) string) []Objection {
	open := map[string]uint64{}
	for _, e := range d.Events {
		switch e.Event.Action {
		case opens:
			open[about(e.Event)] = e.Index
		case settles:
			delete(open, about(e.Event))
		}
	}
	var out []Objection
	for _, what := range slices.Sorted(maps.Keys(open)) {
		out = append(out, Objection{Text: fmt.Sprintf("%s: %s.", text, what), Events: []uint64{open[what]}, pieces: []string{piece}})
	}
	slices.SortStableFunc(out, func(a, b Objection) int { return cmp.Compare(a.Events[0], b.Events[0]) })
	return out
}

// bare is a domain name as people write it.
func bare(name string) string { return strings.TrimSuffix(name, ".") }
