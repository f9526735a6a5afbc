// Package except owns what slipway.yaml says about the findings of one rule: that they weigh otherwise in
// some zones, and that one of them is waived until a day. It holds for rules of lint and for those of policies, and
// it opens nothing by itself: what a rule's author fixed stays (finding.Finding.Fixed), and a finding that is let pass leaves one
// in its place, so that whoever approves sees it. docs/decisions/0011 and 0019 say why it is so. Read New and Apply.
package except

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/check/finding"
	"slipway/repo"
)

// Exceptions are those in force at one time.
type Exceptions struct {
	severities []repo.RuleSetting
	waivers    map[target]repo.Waiver
	used       finding.Finding
}

// target is what a waiver is for: one rule, and a record, or a zone or file for findings that name no record.
type target struct{ rule, record, zone, file string }

// New takes the exceptions of the settings in force that have not ended. used is what a waived finding
// becomes, but for its message and place.
func New(s *repo.Settings, asOf time.Time, used finding.Finding) *Exceptions {
	e := &Exceptions{severities: s.Rules, waivers: make(map[target]repo.Waiver, len(s.Waivers)), used: used}
	for _, w := range s.Waivers {
		if !asOf.Before(w.Expires) {
			continue
		}
		t := target{rule: w.Rule, zone: string(w.Zone), file: w.File}
		if w.Record.Type != "" {
			t.record = finding.Record(w.Record)
		}
		e.waivers[t] = w
	}
	return e
}

// Apply weighs findings and replaces those that are waived, in place.
func (e *Exceptions) Apply(found []finding.Finding) []finding.Finding {
	for i := range found {
		f := &found[i]
		e.weigh(f)
		if w, ok := e.waiver(*f); ok && !f.Fixed {
			used := e.used
			used.Controls = slices.Clone(used.Controls)
			used.Path, used.Line, used.Record, used.Zone = f.Path, f.Line, f.Record, f.Zone
			used.Message = fmt.Sprintf("%s waived %s here until %s: %s. What it found: %s", w.By, w.Rule, LastDay(w), strings.TrimRight(w.Reason, ". "), f.Message)
			*f = used
		}
	}
	return found
}

// weigh gives a finding the severity that the settings give its rule in its zone. What names
// zones goes before what names none, and the later before the earlier. What is fixed can weigh more, not less.
func (e *Exceptions) weigh(f *finding.Finding) {
	severity, named := f.Severity, false
	for _, s := range e.severities {
		switch {
		case s.Rule != f.Rule:
		case len(s.Zones) > 0 && slices.Contains(s.Zones, f.Zone):
			severity, named = finding.Severity(s.Severity), true
		case len(s.Zones) == 0 && !named:
			severity = finding.Severity(s.Severity)
		}
	}
	if !f.Fixed || severity == finding.Deny {
		f.Severity = severity
	}
}

// waiver finds the waiver of a finding.
func (e *Exceptions) waiver(f finding.Finding) (repo.Waiver, bool) {
	if f.Record != "" {
		w, ok := e.waivers[target{rule: f.Rule, record: f.Record}]
		return w, ok
	}
	if w, ok := e.waivers[target{rule: f.Rule, file: f.Path}]; ok && f.Path != "" {
		return w, true
	}
	if f.Zone == "" || strings.HasPrefix(f.Path, repo.AppsDirectory+"/") { // a zone's waiver is not one for every app in it
		return repo.Waiver{}, false
	}
	w, ok := e.waivers[target{rule: f.Rule, zone: string(f.Zone)}]
	return w, ok
}

// LastDay is the last day on which a waiver holds.
func LastDay(w repo.Waiver) string { return w.Expires.Add(-time.Second).Format(time.DateOnly) }
