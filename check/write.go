package check

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"slipway/approval"
	"slipway/change"
	"slipway/zone"
)

// WriteJSON writes the verdict as JSON, the same bytes for the same verdict.
func WriteJSON(w io.Writer, v *Verdict) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// maxShown bounds how many edits and findings the text lists one by one; the JSON has them all.
const maxShown = 50

// WriteText writes the verdict for people: on a terminal, and as the answer to a push.
func WriteText(w io.Writer, v *Verdict, colour bool) error {
	p := &printer{colour: colour}
	p.tier(v)
	p.change(v.Change)
	p.findings(v.Findings)
	p.next(v)
	_, err := io.WriteString(w, p.out.String())
	return err
}

// printer builds the text. Whatever comes from the change goes through Clean, so
// that no name or message can play tricks on a terminal.
type printer struct {
	out    strings.Builder
	colour bool
}

// Colours, as SGR codes (ECMA-48 section 8.3.117).
const (
	bold   = "1"
	faint  = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (p *printer) paint(code, s string) string {
	if !p.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p *printer) line(format string, args ...any) {
	fmt.Fprintf(&p.out, format, args...)
	p.out.WriteByte('\n')
}

func (p *printer) heading(s string) { p.line("\n%s", p.paint(bold, s)) }

// Clean makes text safe and one line: controls and direction marks become spaces.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return ' '
		}
		return r
	}, s)
}

func (p *printer) tier(v *Verdict) {
	meaning := map[Tier]string{
		Green:  "approved by rule",
		Yellow: "needs an approver",
		Red:    "needs several approvers",
	}[v.Tier]
	code := map[Tier]string{Green: green, Yellow: yellow, Red: red}[v.Tier]
	p.line("%s  %s, score %d of 100", p.paint(bold+";"+code, strings.ToUpper(string(v.Tier))), meaning, v.Score)
	for _, r := range v.TierReasons {
		p.line("  %s", Clean(r))
	}
}

func (p *printer) change(c *change.Change) {
	if c == nil || c.Empty() {
		p.heading("Nothing changes")
		return
	}
	p.heading("What changes")
	for i, e := range c.Edits {
		if i == maxShown {
			p.line("  … and %d record sets more", len(c.Edits)-i)
			break
		}
		p.line("  %s %s %s  %s", p.sign(e.Op), Clean(e.Name.Unicode()), Clean(e.Type), p.paint(faint, Clean(contents(e))))
	}
	for _, a := range c.Apps {
		p.line("  %s app %s", p.sign(a.Op), Clean(a.Name))
	}
	for _, f := range c.Files {
		p.line("  %s %s", p.sign(f.Op), Clean(f.Path))
	}
}

func (p *printer) sign(op zone.Op) string {
	switch op {
	case zone.Create:
		return p.paint(green, "+")
	case zone.Delete:
		return p.paint(red, "-")
	default:
		return p.paint(yellow, "~")
	}
}

// contents shows what a record set was and becomes, in short.
func contents(e zone.Edit) string {
	show := func(r *zone.RRSet) string {
		s := strings.Join(r.Values, ", ")
		if r.TTL != zone.NoTTL {
			s += fmt.Sprintf(" (%d s)", r.TTL)
		}
		if runes := []rune(s); len(runes) > 100 {
			s = string(runes[:99]) + "…"
		}
		return s
	}
	switch {
	case e.Before == nil && e.After == nil:
		return ""
	case e.Before == nil:
		return show(e.After)
	case e.After == nil:
		return "was " + show(e.Before)
	}
	return show(e.Before) + " → " + show(e.After)
}

func (p *printer) findings(list []Finding) {
	if len(list) == 0 {
		return
	}
	p.heading("What the checks found")
	words := map[Severity]string{
		Deny: p.paint(bold+";"+red, "stop"),
		Warn: p.paint(bold+";"+yellow, "look"),
		Info: p.paint(cyan, "note"),
	}
	for i, f := range list {
		if i == maxShown {
			p.line("  … and %d more", len(list)-i)
			break
		}
		where := ""
		if f.Path != "" {
			where = Clean(zone.Place{Path: f.Path, Line: f.Line}.String()) + ": "
		}
		word := words[f.Severity]
		if f.Severity == Deny && !f.Stops() {
			word = p.paint(bold+";"+yellow, "rule")
		}
		p.line("  %s  %s%s", word, where, Clean(f.Message))
		if f.Help != "" {
			p.line("        %s", Clean(f.Help))
		}
		p.line("        %s", p.paint(faint, Clean(strings.Join(append([]string{f.Rule}, f.Controls...), "  "))))
	}
}

// next says what has to happen now.
func (p *printer) next(v *Verdict) {
	if v.Denied {
		n := 0
		for _, f := range v.Findings {
			if f.Stops() {
				n++
			}
		}
		what := "one point"
		if n > 1 {
			what = fmt.Sprintf("%d points", n)
		}
		p.heading("This cannot go ahead yet")
		p.line("  Correct the %s marked \"stop\" above, and ask again.", what)
		return
	}
	if len(v.Approvals) == 0 {
		p.heading("Nobody needs to approve this")
		return
	}
	p.heading("Who must approve")
	for _, r := range v.Approvals {
		p.approval(r, v.TierReasons)
	}
}

// approval says who, and why where the tier's reasons have not said it.
func (p *printer) approval(r approval.Requirement, said []string) {
	p.line("  %s%s", Clean(r.Text()), p.paint(faint, " (rule "+Clean(r.Rule)+")"))
	for _, why := range r.Why {
		if !slices.Contains(said, why) {
			p.line("    %s", Clean(why))
		}
	}
	if r.Ticket {
		p.line("    A ticket must be named with the request.")
	}
	if r.Reason {
		p.line("    It goes against the points marked \"rule\" above: whoever approves must say why.")
	}
}
