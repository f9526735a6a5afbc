// Package controls owns which of what Slipway keeps is evidence for which control of
// SOC 2, ISO/IEC 27001, SOX, NIST SP 800-53 and PCI DSS: a catalog of controls in our own
// words, the pieces of evidence that they ask for, and the coverage that follows from
// both. It judges no change and reads no log: it is given the rules in force and the
// counts of events. An organisation's controls.yaml extends what is built in. Read
// controls.go for the words, read.go for the file, coverage.go for what comes out.
package controls

import (
	"cmp"
	"slices"
	"strings"

	"slipway/audit"
	"slipway/zone"
)

// Path is where a zones repository keeps what differs from the built-in mapping.
const Path = "controls.yaml"

// Framework is one catalog that auditors ask by.
type Framework struct {
	Name   string `json:"framework"` // "soc2"
	Prefix string `json:"prefix"`    // of its controls' IDs: "SOC2"
	Title  string `json:"title"`
	Scope  string `json:"scope,omitempty"` // which of its controls are listed
}

// Piece is one piece of evidence: something that can be shown, and what shows it.
type Piece struct {
	Name      string         `json:"name"` // "separation"
	Title     string         `json:"title"`
	Events    []audit.Action `json:"events"`
	Documents []string       `json:"documents"` // names in an event's artifact_refs
	Checks    []string       `json:"-"`         // IDs of rules, or patterns of them: "packs.tls/*"
	// OnlyWithDocuments: an event is evidence only if it brings one of the documents, so that
	// how often it happened says nothing.
	OnlyWithDocuments bool `json:"only_with_documents,omitempty"`

	place zone.Place // where an organisation wrote it; none for a built-in one
}

// Control is one control of a framework.
type Control struct {
	ID        string // "SOC2:CC8.1", as findings name it
	Title     string // in our own words
	Framework string
	Evidence  []string // names of pieces
	Checks    []string // as a piece's, for this control only
	Elsewhere string   // why nothing in Slipway is evidence, and where there is some; "" when there is, or should be
	Note      string   // what the evidence does not show

	place zone.Place
}

// Mapping is the catalog with what is evidence for each control. It is read-only once read.
type Mapping struct {
	Frameworks  []Framework
	Controls    []Control // by framework, each in its own order
	Pieces      []Piece
	Documents   map[string]string       // what each document is, by its name in artifact_refs
	NotEvidence map[audit.Action]string // actions that are evidence for nothing, with the reason

	elsewhere map[string]string // reasons that several controls share, by name
	leftOut   []string          // prefixes of frameworks that an organisation is not asked by
}

// Control finds a control by its ID.
func (m *Mapping) Control(id string) (Control, bool) {
	i := slices.IndexFunc(m.Controls, func(c Control) bool { return c.ID == id })
	if i < 0 {
		return Control{}, false
	}
	return m.Controls[i], true
}

// Framework finds a framework by its name.
func (m *Mapping) Framework(name string) (Framework, bool) {
	i := slices.IndexFunc(m.Frameworks, func(f Framework) bool { return f.Name == name })
	if i < 0 {
		return Framework{}, false
	}
	return m.Frameworks[i], true
}

// Piece finds a piece of evidence by its name.
func (m *Mapping) Piece(name string) (Piece, bool) {
	i := slices.IndexFunc(m.Pieces, func(p Piece) bool { return p.Name == name })
	if i < 0 {
		return Piece{}, false
	}
	return m.Pieces[i], true
}

// Actions lists the actions whose events are evidence for a control, sorted.
func (m *Mapping) Actions(c Control) []audit.Action {
	var out []audit.Action
	for _, name := range c.Evidence {
		p, _ := m.Piece(name)
		out = append(out, p.Events...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// For lists the IDs of the controls that an action is evidence for, in the catalog's order.
func (m *Mapping) For(a audit.Action) []string {
	var out []string
	for _, c := range m.Controls {
		if slices.Contains(m.Actions(c), a) {
			out = append(out, c.ID)
		}
	}
	return out
}

// framework finds the one that a control's ID belongs to.
func (m *Mapping) framework(id string) (Framework, bool) {
	prefix, _, _ := strings.Cut(id, ":")
	i := slices.IndexFunc(m.Frameworks, func(f Framework) bool { return f.Prefix == prefix })
	if i < 0 {
		return Framework{}, false
	}
	return m.Frameworks[i], true
}

// arrange puts controls into the order of their frameworks, keeping that within each.
func (m *Mapping) arrange() {
	at := map[string]int{}
	for i, f := range m.Frameworks {
		at[f.Name] = i
	}
	slices.SortStableFunc(m.Controls, func(a, b Control) int { return cmp.Compare(at[a.Framework], at[b.Framework]) })
}
