package main

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"slipway/change"
	"slipway/check"
	"slipway/client"
	"slipway/lifecycle"
	"slipway/zone"
)

// showVerdict prints a verdict as every door of Slipway words it.
func (t *tool) showVerdict(v *check.Verdict) error {
	return check.WriteText(t.stdout, v, t.colour())
}

// showChanges prints what a change does, zone by zone.
func (t *tool) showChanges(c *change.Change) error {
	if c.Empty() {
		_, err := fmt.Fprintln(t.stdout, "Nothing would change.")
		return err
	}
	var last zone.Name
	for i, e := range c.Edits {
		if i == 0 || e.Zone != last {
			if i > 0 {
				fmt.Fprintln(t.stdout)
			}
			fmt.Fprintln(t.stdout, t.paint(bold, flat(e.Zone.Unicode())))
			last = e.Zone
		}
		t.showEdit(e)
	}
	if len(c.Apps)+len(c.Files) > 0 && len(c.Edits) > 0 {
		fmt.Fprintln(t.stdout)
	}
	for _, a := range c.Apps {
		fmt.Fprintf(t.stdout, "%s app %s\n", t.sign(a.Op), flat(a.Name))
	}
	for _, f := range c.Files {
		fmt.Fprintf(t.stdout, "%s %s (%s)\n", t.sign(f.Op), flat(f.Path), f.Kind)
	}
	_, err := fmt.Fprintf(t.stdout, "\n%d to create, %d to change, %d to delete in %s. %s\n",
		c.Creates, c.Updates, c.Deletes, plural(len(c.Zones()), "zone"), t.paint(dim, c.Digest))
	return err
}

func (t *tool) showEdit(e zone.Edit) {
	fmt.Fprintf(t.stdout, "  %s %s %s\n", t.sign(e.Op), flat(e.Name.Unicode()), flat(e.Type))
	if e.Before != nil {
		t.showSet("-", red, *e.Before)
	}
	if e.After != nil {
		t.showSet("+", green, *e.After)
	}
}

// mostValues bounds what is printed of one record set.
const mostValues = 50

func (t *tool) showSet(sign, colour string, r zone.RRSet) {
	ttl := "no TTL"
	if r.TTL != zone.NoTTL {
		ttl = strconv.Itoa(r.TTL)
	}
	for i, v := range r.Values {
		if i == mostValues {
			fmt.Fprintf(t.stdout, "      %s … and %d more\n", sign, len(r.Values)-i)
			break
		}
		fmt.Fprintf(t.stdout, "      %s\n", t.paint(colour, sign+" "+ttl+" "+flat(v)))
	}
	if r.Extra != "" {
		fmt.Fprintf(t.stdout, "      %s\n", t.paint(colour, sign+" "+flat(r.Extra)))
	}
}

func (t *tool) sign(op zone.Op) string {
	switch op {
	case zone.Create:
		return t.paint(green, "+")
	case zone.Delete:
		return t.paint(red, "-")
	}
	return t.paint(yellow, "~")
}

// table lays columns out; the last column may be long.
func (t *tool) table(head []string, rows [][]string) error {
	w := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(head, "\t"))
	for _, row := range rows {
		for i, cell := range row {
			row[i] = flat(cell)
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

func (t *tool) showStates(states []lifecycle.State, none string) error {
	if len(states) == 0 {
		_, err := fmt.Fprintln(t.stdout, none)
		return err
	}
	rows := make([][]string, len(states))
	for i, s := range states {
		rows[i] = []string{s.ID, string(s.Phase), dash(s.Tier), s.Requester, day(s.Submitted), s.Title}
	}
	return t.table([]string{"ID", "PHASE", "TIER", "ASKED BY", "SINCE", "TITLE"}, rows)
}

// showChange prints one change for a person who decides on it or follows it.
func (t *tool) showChange(d client.Detail) error {
	s := d.Change
	fmt.Fprintf(t.stdout, "%s  %s\n", t.paint(bold, flat(s.Title)), t.paint(dim, s.ID))
	for _, line := range [][2]string{
		{"phase", phaseText(s)},
		{"asked by", who(s.Requester, s.Role) + ", " + moment(s.Submitted)},
		{"ticket", s.Ticket},
		{"app", s.App},
		{"zones", strings.Join(s.Zones, ", ")},
		{"not before", moment(s.NotBefore)},
		{"commit", s.Commit},
		{"problem", s.Problem},
	} {
		if line[1] != "" {
			fmt.Fprintf(t.stdout, "  %-11s %s\n", line[0], flat(line[1]))
		}
	}
	for _, v := range s.Votes {
		fmt.Fprintf(t.stdout, "  %-11s %s by %s, %s%s\n", "vote", v.Decision, flat(v.Person), moment(v.At), reason(v.Reason))
	}
	for _, m := range s.Missing {
		fmt.Fprintf(t.stdout, "  %-11s %s\n", "waits for", flat(m.Text))
	}
	t.showHeld(s)
	if d.Verdict == nil {
		return nil
	}
	fmt.Fprintln(t.stdout)
	return t.showVerdict(d.Verdict)
}

// showTimeline prints what happened, oldest first.
func (t *tool) showTimeline(d client.Detail) error {
	if len(d.Events) == 0 {
		return nil
	}
	fmt.Fprintln(t.stdout)
	for _, r := range d.Events {
		if err := t.showEvent(t.stdout, r); err != nil {
			return err
		}
	}
	return nil
}

// phaseText says what the phase means for whoever waits.
func phaseText(s lifecycle.State) string {
	switch s.Phase {
	case lifecycle.Submitted:
		return "submitted, not judged yet"
	case lifecycle.Denied:
		return "denied: revise it (slipway request revise " + s.ID + ") or cancel it"
	case lifecycle.Waiting:
		if !forPeople(s) {
			return "judged, about to be approved by rule"
		}
		return "waiting for approval"
	case lifecycle.Scheduled:
		return "approved, waiting for its time"
	case lifecycle.Approved:
		return "approved, about to be merged"
	case lifecycle.Merged:
		return "merged, " + applying(s)
	case lifecycle.Held:
		return "merged, and stopped: somebody has to release it (slipway request release " + s.ID + ")"
	case lifecycle.Applied:
		return "applied, being verified"
	case lifecycle.Failed:
		return "stuck: a step cannot go on (slipway request retry " + s.ID + ")"
	}
	return string(s.Phase)
}

func who(id, role string) string {
	if role == "" {
		return id
	}
	return id + " (" + role + ")"
}

func reason(s string) string {
	if s == "" {
		return ""
	}
	return ": " + flat(s)
}

func moment(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Local().Format("2006-01-02 15:04 MST")
}

func day(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.Local().Format(time.DateOnly)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func plural[N int | uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
