package controls

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"slipway/audit"
)

// State says how much evidence there is for a control.
type State string

// The states, from what needs somebody's eye to what is well.
const (
	None      State = "none"      // nothing in Slipway is evidence, and nothing says where there is some
	Silent    State = "silent"    // there could be evidence, and in the period nothing happened that is
	Elsewhere State = "elsewhere" // it is known that other systems or people have the evidence
	Covered   State = "covered"
)

// States lists them in this order.
func States() []State { return []State{None, Silent, Elsewhere, Covered} }

// Period is what a coverage was counted in: From included, To not. A zero time does not bound it.
type Period struct {
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
}

// Coverage says for each control what is evidence for it.
type Coverage struct {
	Period     *Period     `json:"period,omitempty"` // nil: nothing was counted, the mapping alone speaks
	Frameworks []Framework `json:"frameworks"`
	Controls   []Row       `json:"controls"`
	// What a person should know about the mapping: controls that rules name and the catalog
	// does not know, and checks that an organisation's controls.yaml names and nobody asks.
	Warnings []string `json:"warnings"`
}

// Row is one control with what is evidence for it.
type Row struct {
	ID        string  `json:"control"`
	Title     string  `json:"title"`
	Framework string  `json:"framework"`
	State     State   `json:"state"`
	Note      string  `json:"note,omitempty"`
	Elsewhere string  `json:"elsewhere,omitempty"`
	Pieces    []Shown `json:"evidence"`
	Checks    []Check `json:"checks"` // that name the control, or that its evidence names
	Every     bool    `json:"every_check,omitempty"`
	Events    int     `json:"events"` // in the period, each counted once; 0 when nothing was counted
}

// Shown is a piece of evidence with how often it is there.
type Shown struct {
	Piece
	Counts map[audit.Action]int `json:"counts,omitempty"` // only of those that happened
}

// Cover works out what is evidence for each control of the mapping under the checks given.
// With counts, a control whose evidence did not come up in the period is Silent.
func (m *Mapping) Cover(checks []Check, counts map[audit.Action]int, period *Period) *Coverage {
	out := &Coverage{Period: period, Frameworks: slices.Clone(m.Frameworks), Controls: make([]Row, 0, len(m.Controls)), Warnings: m.warnings(checks)}
	for _, c := range m.Controls {
		out.Controls = append(out.Controls, m.row(c, checks, counts, period != nil))
	}
	return out
}

func (m *Mapping) row(c Control, checks []Check, counts map[audit.Action]int, counted bool) Row {
	row := Row{ID: c.ID, Title: c.Title, Framework: c.Framework, Note: c.Note, Elsewhere: c.Elsewhere, Pieces: []Shown{}, Checks: []Check{}}
	patterns := slices.Clone(c.Checks)
	var actions []audit.Action
	uncounted := false
	for _, name := range c.Evidence {
		p, ok := m.Piece(name)
		if !ok {
			continue
		}
		shown := Shown{Piece: p, Counts: map[audit.Action]int{}}
		uncounted = uncounted || p.OnlyWithDocuments
		for _, a := range p.Events {
			if n := counts[a]; n > 0 && !p.OnlyWithDocuments {
				shown.Counts[a] = n
				actions = append(actions, a)
			}
		}
		row.Pieces = append(row.Pieces, shown)
		patterns = append(patterns, p.Checks...)
	}
	for _, k := range checks {
		named := slices.Contains(k.Controls, c.ID)
		if named || slices.ContainsFunc(patterns, func(pattern string) bool { return len(matching(pattern, []Check{k})) > 0 }) {
			row.Checks = append(row.Checks, k)
		}
	}
	row.Every = len(row.Checks) == len(checks) && len(checks) > 0
	if len(row.Checks) > 0 {
		actions = append(actions, audit.CheckChange) // each time, every check is asked
	}
	slices.Sort(actions)
	for _, a := range slices.Compact(actions) {
		row.Events += counts[a]
	}
	switch {
	case len(row.Pieces)+len(row.Checks) > 0 && counted && row.Events == 0 && !uncounted:
		row.State = Silent
	case len(row.Pieces)+len(row.Checks) > 0:
		row.State = Covered
	case c.Elsewhere != "":
		row.State = Elsewhere
	default:
		row.State = None
	}
	return row
}

func (m *Mapping) warnings(checks []Check) []string {
	out := []string{}
	known := map[string]bool{}
	for _, c := range m.Controls {
		known[c.ID] = true
	}
	unknown := map[string][]string{}
	for _, k := range checks {
		for _, id := range k.Controls {
			prefix, _, _ := strings.Cut(id, ":")
			if !known[id] && !slices.Contains(m.leftOut, prefix) {
				unknown[id] = append(unknown[id], k.ID)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(unknown)) {
		rules := unknown[id]
		text := fmt.Sprintf("The rule %s names the control %s, which is not in the catalog.", rules[0], id)
		if len(rules) > 1 {
			text = fmt.Sprintf("%d rules, %s among them, name the control %s, which is not in the catalog.", len(rules), rules[0], id)
		}
		out = append(out, text+" Add it to "+Path+", or correct the rule.")
	}
	idle := func(place, what string, patterns []string) {
		for _, pattern := range patterns {
			if place != "" && len(matching(pattern, checks)) == 0 {
				out = append(out, fmt.Sprintf("%s: %s names the check %s, and no rule in force is called so.", place, what, pattern))
			}
		}
	}
	for _, p := range m.Pieces {
		idle(p.place.String(), "the evidence "+p.Name, p.Checks)
	}
	for _, c := range m.Controls {
		idle(c.place.String(), "the control "+c.ID, c.Checks)
	}
	return out
}

// Only is the coverage of one framework.
func (c *Coverage) Only(framework string) *Coverage {
	one := *c
	one.Frameworks = slices.DeleteFunc(slices.Clone(c.Frameworks), func(f Framework) bool { return f.Name != framework })
	one.Controls = slices.DeleteFunc(slices.Clone(c.Controls), func(r Row) bool { return r.Framework != framework })
	return &one
}

// Count says how many controls of a framework are in each state; "" is all frameworks.
func (c *Coverage) Count(framework string) map[State]int {
	out := map[State]int{}
	for _, r := range c.Controls {
		if framework == "" || r.Framework == framework {
			out[r.State]++
		}
	}
	return out
}

// Of picks the rows of a framework in a state, in the catalog's order.
func (c *Coverage) Of(framework string, s State) []Row {
	return slices.DeleteFunc(slices.Clone(c.Controls), func(r Row) bool { return r.Framework != framework || r.State != s })
}
