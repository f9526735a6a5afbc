package present

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"slipway/approval"
	"slipway/evidence"
	"slipway/lifecycle"
)

// way is what happened in a picture: one stop after the other, and in words for who does
// not see it.
type way struct {
	Title string
	Stops []stop
}

type stop struct {
	Name  string
	State stopState
	At    time.Time
	Who   string
}

type stopState string

const (
	reached stopState = "done"
	stopped stopState = "stopped" // here it ended otherwise
	ahead   stopState = "not reached"
)

// Words is the picture in a sentence.
func (w way) Words() string {
	var parts []string
	for _, s := range w.Stops {
		text := s.Name + ": " + string(s.State)
		if s.Who != "" {
			text += ", " + s.Who
		}
		if !s.At.IsZero() {
			text += ", " + when(s.At)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ". ") + "."
}

// wayOf is the way of a change.
func wayOf(c *evidence.Change) *way {
	w := &way{Title: "The way of change " + c.State.ID}
	add := func(name string, at *evidence.Place, who string) {
		s := stop{Name: name, State: ahead}
		if at != nil {
			s.State, s.At, s.Who = reached, at.At, who
		}
		w.Stops = append(w.Stops, s)
	}
	var first, judged, decided, applied *evidence.Place
	if len(c.Revisions) > 0 {
		first = &c.Revisions[0].Place
	}
	denied := false
	if n := len(c.Verdicts); n > 0 {
		judged, denied = &c.Verdicts[n-1].Place, c.Verdicts[n-1].Denied
	}
	deciders, rejected := "", false
	for i := range c.Approvals {
		a := &c.Approvals[i]
		switch {
		case a.Voided != nil || a.Decision == approval.Withdraw:
		case a.ByRule:
			decided, deciders = &a.Place, "by rule"
		case a.Decision == approval.Reject:
			decided, deciders, rejected = &a.Place, a.Person, true
		default:
			if decided != nil && !rejected && deciders != "by rule" {
				deciders += ", " + a.Person
			} else {
				deciders = a.Person
			}
			decided = &a.Place
		}
	}
	if c.Merge == nil && !rejected && len(c.State.Missing) > 0 {
		decided = nil // more have to approve
	}
	if n := len(c.Applies); n > 0 {
		applied = &c.Applies[n-1].Place
	}
	add("Asked", first, c.State.Requester)
	add("Checked", judged, c.State.Tier)
	add("Approved", decided, deciders)
	if c.Merge != nil {
		add("On main", &c.Merge.Place, "")
	} else {
		add("On main", nil, "")
	}
	add("Applied", applied, "")
	if c.Live != nil {
		add("Live", &c.Live.Place, "")
	} else {
		add("Live", nil, "")
	}
	switch phase := c.State.Phase; {
	case rejected:
		w.Stops[2].Name, w.Stops[2].State = "Rejected", stopped
	case denied && c.Merge == nil:
		w.Stops[1].Name, w.Stops[1].State, w.Stops[1].Who = "Denied", stopped, "by the checks"
	case phase == lifecycle.Cancelled || phase == lifecycle.Expired || phase == lifecycle.Failed:
		for i := range w.Stops {
			if w.Stops[i].State == ahead {
				w.Stops[i] = stop{Name: map[lifecycle.Phase]string{lifecycle.Cancelled: "Cancelled", lifecycle.Expired: "Expired", lifecycle.Failed: "Failed"}[phase], State: stopped, At: c.State.Updated}
				break
			}
		}
	}
	return w
}

// wayOfDrift is how a drift was found and ended.
func wayOfDrift(d *evidence.Drift) *way {
	w := &way{Title: "Drift in " + bare(d.Zone)}
	w.Stops = append(w.Stops, stop{Name: "Found", State: reached, At: d.At, Who: count(d.Count, "difference")})
	if n := len(d.Attributed); n > 0 {
		w.Stops = append(w.Stops, stop{Name: "Who did it", State: reached, At: d.Attributed[n-1].At, Who: strings.Join(doers(d), ", ")})
	}
	if d.Ended == nil {
		w.Stops = append(w.Stops, stop{Name: "Ended", State: ahead})
	} else {
		w.Stops = append(w.Stops, stop{Name: ending(d.Ended.How), State: reached, At: d.Ended.At, Who: d.Ended.By})
	}
	return w
}

// Measures of the picture, in its own units.
const (
	stopWidth = 150
	wayHeight = 92
)

// SVG draws the way. Its words stand in title and desc, and again in the text that the
// page shows to everybody when it is printed without pictures.
func (w way) SVG(id string) template.HTML {
	var b strings.Builder
	e := func(s string) string { return template.HTMLEscapeString(visible(s)) }
	fmt.Fprintf(&b, `<svg class="way" viewBox="0 0 %d %d" role="img" aria-labelledby="%s-t %s-d"><title id="%s-t">%s</title><desc id="%s-d">%s</desc>`,
		stopWidth*len(w.Stops), wayHeight, id, id, id, e(w.Title), id, e(w.Words()))
	for i, s := range w.Stops {
		x := stopWidth*i + stopWidth/2
		if i > 0 {
			class := "line"
			if s.State == ahead {
				class += " ahead"
			}
			fmt.Fprintf(&b, `<path class="%s" d="M%d 20H%d"/>`, class, x-stopWidth+14, x-14)
		}
		switch s.State {
		case reached:
			fmt.Fprintf(&b, `<circle class="done" cx="%d" cy="20" r="12"/><path class="mark" d="M%d 20l4 5l8 -10"/>`, x, x-6)
		case stopped:
			fmt.Fprintf(&b, `<rect class="stop" x="%d" y="8" width="24" height="24" rx="3"/><path class="mark" d="M%d 14l12 12m0 -12l-12 12"/>`, x-12, x-6)
		default:
			fmt.Fprintf(&b, `<circle class="open" cx="%d" cy="20" r="11"/>`, x)
		}
		fmt.Fprintf(&b, `<text class="name" x="%d" y="50">%s</text>`, x, e(s.Name))
		y := 66
		for _, line := range []string{fit(s.Who, 24), stamp(s.At)} {
			if line != "" {
				fmt.Fprintf(&b, `<text class="small" x="%d" y="%d">%s</text>`, x, y, e(line))
				y += 15
			}
		}
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) // every text in it went through e
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 Jan 2006, 15:04")
}

// fit shortens a text for a picture; the words beside it have the whole.
func fit(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most-1]) + "…"
}
