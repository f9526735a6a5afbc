// Package finding owns the word "finding": what one check has to say about a
// change. Lint rules and Rego policies both speak it; package check collects
// them in a verdict. It finds nothing itself.
package finding

import (
	"cmp"
	"slices"
	"strings"

	"slipway/zone"
)

// Severity says what a finding does to a change.
type Severity string

const (
	Deny Severity = "deny" // the change cannot go ahead as it is
	Warn Severity = "warn" // an approver should look at it
	Info Severity = "info" // worth knowing
)

// Finding is what one check has to say about a change.
type Finding struct {
	Rule     string   `json:"rule"` // "cname-beside-other-data"; policies: "<package>/<rule>"
	Severity Severity `json:"severity"`
	Message  string   `json:"message"` // what is wrong and why it matters, without jargon
	Help     string   `json:"help"`    // what to do
	Path     string   `json:"path,omitempty"`
	Line     int      `json:"line,omitempty"`
	Record   string   `json:"record,omitempty"` // "expenses.apps.finmicro.example A"
	Controls []string `json:"controls"`         // "SOC2:CC8.1", "ISO27001:A.8.32"

	// Override names the approval rule of slipway.yaml whose people may let a change
	// with this denial through. "" for a denial that nobody may override.
	Override string `json:"override,omitempty"`

	Zone  zone.Name `json:"-"` // that the rule was asked about, "" for none
	Fixed bool      `json:"-"` // the rule's author lets no settings weigh it less or waive it
}

// Stops reports whether the finding stops its change for good.
func (f Finding) Stops() bool { return f.Severity == Deny && f.Override == "" }

// Record names a record set as findings and signals do, with the name as people read it.
func Record(k zone.Key) string { return k.Name.Unicode() + " " + k.Type }

// Compare orders findings: denials first, then by place, rule, record and text,
// so that the same findings always come out in the same order.
func Compare(a, b Finding) int {
	return cmp.Or(
		cmp.Compare(rank(a.Severity), rank(b.Severity)),
		cmp.Compare(a.Path, b.Path),
		cmp.Compare(a.Line, b.Line),
		cmp.Compare(a.Rule, b.Rule),
		cmp.Compare(a.Record, b.Record),
		cmp.Compare(a.Message, b.Message),
		cmp.Compare(a.Help, b.Help),
		cmp.Compare(a.Override, b.Override),
		slices.Compare(a.Controls, b.Controls),
	)
}

// Normalise sorts fs, drops repeats, and makes every list of controls a list.
func Normalise(fs []Finding) []Finding {
	out := make([]Finding, 0, len(fs))
	for _, f := range fs {
		if f.Controls == nil {
			f.Controls = []string{}
		}
		f.Message, f.Help = strings.TrimSpace(f.Message), strings.TrimSpace(f.Help)
		out = append(out, f)
	}
	slices.SortFunc(out, Compare)
	return slices.CompactFunc(out, func(a, b Finding) bool { return Compare(a, b) == 0 })
}

// Denied reports whether any finding stops the change.
func Denied(fs []Finding) bool { return slices.ContainsFunc(fs, Finding.Stops) }

func rank(s Severity) int {
	switch s {
	case Deny:
		return 0
	case Warn:
		return 1
	default:
		return 2
	}
}
