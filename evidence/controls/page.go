package controls

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"slipway/audit"
)

// This file writes coverage and mapping for people, as Markdown.

// Words says in a few words what a state means.
func (s State) Words() string {
	switch s {
	case None:
		return "No evidence"
	case Silent:
		return "Nothing in this period"
	case Elsewhere:
		return "Evidence is elsewhere"
	default:
		return "Evidence is here"
	}
}

// Meaning says in a sentence what somebody should make of controls in a state.
func (s State) Meaning() string {
	switch s {
	case None:
		return "Nothing that Slipway keeps is evidence for these, and nothing says who has some. Find out before an auditor asks, and write it into " + Path + "."
	case Silent:
		return "Evidence would be kept, but nothing of its kind happened in this period. That can be well, or a sign that something is not used."
	case Elsewhere:
		return "Other systems or people have the evidence for these."
	default:
		return "What Slipway keeps is evidence for these."
	}
}

// String says which period it is, in words.
func (p *Period) String() string {
	day := func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }
	switch {
	case p == nil:
		return "nothing was counted"
	case p.From.IsZero() && p.To.IsZero():
		return "all that was ever recorded"
	case p.From.IsZero():
		return "until " + day(p.To)
	case p.To.IsZero():
		return "since " + day(p.From)
	}
	return "from " + day(p.From) + " to " + day(p.To)
}

// Markdown writes a coverage, with what needs somebody's eye first.
func (c *Coverage) Markdown(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "# Controls and their evidence\n\n")
	if c.Period != nil {
		fmt.Fprintf(b, "Events were counted %s.\n\n", c.Period)
	}
	for _, text := range c.Warnings {
		fmt.Fprintf(b, "> %s\n>\n", cell(text))
	}
	for _, f := range c.Frameworks {
		n := c.Count(f.Name)
		fmt.Fprintf(b, "## %s\n\n%d controls: %d with no evidence, ", cell(f.Title), n[None]+n[Silent]+n[Elsewhere]+n[Covered], n[None])
		if c.Period != nil {
			fmt.Fprintf(b, "%d with nothing in this period, ", n[Silent])
		}
		fmt.Fprintf(b, "%d with evidence elsewhere, %d with evidence here.\n", n[Elsewhere], n[Covered])
		for _, s := range States() {
			rows := c.Of(f.Name, s)
			if len(rows) == 0 {
				continue
			}
			fmt.Fprintf(b, "\n### %s\n\n%s\n\n", s.Words(), s.Meaning())
			switch s {
			case None:
				fmt.Fprintf(b, "| control | asks that |\n|---|---|\n")
			case Elsewhere:
				fmt.Fprintf(b, "| control | asks that | where |\n|---|---|---|\n")
			default:
				fmt.Fprintf(b, "| control | asks that | evidence |\n|---|---|---|\n")
			}
			for _, r := range rows {
				fmt.Fprintf(b, "| %s | %s |", cell(r.ID), cell(r.Title))
				switch s {
				case None:
				case Elsewhere:
					fmt.Fprintf(b, " %s |", cell(r.Elsewhere))
				default:
					fmt.Fprintf(b, " %s |", cell(strings.Join(r.Says(c.Period != nil), "; ")))
				}
				fmt.Fprintln(b)
			}
		}
		fmt.Fprintln(b)
	}
	return b.Flush()
}

// Says lists in a few words each what is evidence for a control, and what it does not show.
func (r Row) Says(counted bool) []string {
	var out []string
	for _, p := range r.Pieces {
		text := p.Title
		if counted && !p.OnlyWithDocuments {
			n := 0
			for _, of := range p.Counts {
				n += of
			}
			text += fmt.Sprintf(" (%d)", n)
		}
		out = append(out, text)
	}
	switch {
	case r.Every:
		out = append(out, "every check that judges a change")
	case len(r.Checks) == 1:
		out = append(out, "the check "+r.Checks[0].ID)
	case len(r.Checks) > 1:
		out = append(out, fmt.Sprintf("%d checks", len(r.Checks)))
	}
	if r.Note != "" {
		out = append(out, r.Note)
	}
	if r.Elsewhere != "" && r.State != Elsewhere {
		out = append(out, "the rest: "+r.Elsewhere)
	}
	return out
}

// cell makes text fit for one cell of a table, and for nothing else in a page.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;", "\n", " ", "\r", " ", "`", "'").Replace(s)
}

// Tables writes the mapping itself, for docs/controls.md: the evidence, and for each
// framework what is evidence for its controls under the checks given.
func (m *Mapping) Tables(w io.Writer, checks []Check) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "## Evidence\n\n| evidence | shows | events | documents | checks |\n|---|---|---|---|---|\n")
	for _, p := range m.Pieces {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", p.Name, cell(p.Title), code(p.Events), code(p.Documents), code(p.Checks))
	}
	fmt.Fprintf(b, "\n## Documents\n\n| document | what it is |\n|---|---|\n")
	var names []string
	for name := range m.Documents {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(b, "| `%s` | %s |\n", name, cell(m.Documents[name]))
	}
	if len(m.NotEvidence) > 0 {
		fmt.Fprintf(b, "\n## Actions that are no evidence\n\n| action | why |\n|---|---|\n")
		var actions []audit.Action
		for a := range m.NotEvidence {
			actions = append(actions, a)
		}
		slices.Sort(actions)
		for _, a := range actions {
			fmt.Fprintf(b, "| `%s` | %s |\n", a, cell(m.NotEvidence[a]))
		}
	}
	c := m.Cover(checks, nil, nil)
	for _, f := range m.Frameworks {
		fmt.Fprintf(b, "\n## %s\n\n%s `slipway controls --framework %s`\n\n| control | asks that | evidence | checks |\n|---|---|---|---|\n", cell(f.Title), cell(f.Scope), f.Name)
		for _, r := range c.Controls {
			if r.Framework != f.Name {
				continue
			}
			var pieces []string
			for _, p := range r.Pieces {
				pieces = append(pieces, p.Name)
			}
			said := code(pieces)
			switch {
			case len(r.Pieces) == 0 && r.Elsewhere != "":
				said = "elsewhere: " + cell(r.Elsewhere)
			case len(r.Pieces)+len(r.Checks) == 0:
				said = "**none**"
			}
			if r.Note != "" {
				said = strings.TrimSpace(said + " " + cell(r.Note))
			}
			fmt.Fprintf(b, "| %s | %s | %s | %s |\n", r.ID, cell(r.Title), said, asked(r))
		}
	}
	return b.Flush()
}

func asked(r Row) string {
	switch {
	case r.Every:
		return "every one"
	case len(r.Checks) == 0:
		return ""
	}
	return "yes"
}

func code[T ~string](names []T) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = "`" + cell(string(n)) + "`"
	}
	return strings.Join(out, ", ")
}
