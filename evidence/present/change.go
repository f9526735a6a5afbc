package present

import (
	"fmt"
	"strings"

	"slipway/approval"
	"slipway/audit"
	"slipway/evidence"
	"slipway/lifecycle"
	"slipway/provider"
)

// changeSections tells one change from request to end.
func changeSections(c *evidence.Change) []section {
	st := &c.State
	top := section{Title: fmt.Sprintf("Change %s: %s", st.ID, st.Title), Level: 1}
	top.Blocks = append(top.Blocks, block{Way: wayOf(c)})
	toneOf := plain
	switch st.Phase {
	case lifecycle.Live:
		toneOf = good
	case lifecycle.Denied, lifecycle.Rejected, lifecycle.Failed, lifecycle.Expired, lifecycle.Cancelled:
		toneOf = bad
	}
	top.say(toneOf, "%s", outcome(c))
	commit := ""
	if c.Merge != nil {
		commit = c.Merge.Commit
	}
	top.facts("Asked by", fmt.Sprintf("%s (%s), by %s, on %s", st.Requester, st.Role, st.Via, when(st.Submitted)), "Ticket", st.Ticket,
		"App", st.App, "Zones", zones(st.Zones, st.ZoneCount), "Approved by", approvers(c), "Commit on main", commit,
		"Takes back", st.Undoes, "Adopts live content", st.Adopts)
	out := []section{top}
	add := func(s section) {
		if len(s.Blocks) > 0 {
			out = append(out, s)
		}
	}
	add(asked(c))
	add(judgement(c))
	add(decisions(c))
	add(made(c))
	add(timeline(c))
	return out
}

// outcome says in a sentence how a change stands.
func outcome(c *evidence.Change) string {
	st := &c.State
	why := ""
	if st.Problem != "" {
		why = " " + st.Problem
	}
	switch st.Phase {
	case lifecycle.Live:
		return fmt.Sprintf("Live since %s: the name servers were asked and answered as approved.", when(st.Updated))
	case lifecycle.Denied:
		return "The checks denied it, so nothing was changed." + why
	case lifecycle.Rejected:
		return "It was rejected, so nothing was changed." + why
	case lifecycle.Cancelled:
		return "Its requester withdrew it, so nothing was changed." + why
	case lifecycle.Expired:
		return "Nobody decided in time, so nothing was changed." + why
	case lifecycle.Failed:
		return "It is approved, and a step could not go on." + why
	case lifecycle.Waiting:
		return "It waits for approval." + why
	}
	return fmt.Sprintf("It was %s when this bundle was made.%s", st.Phase, why)
}

func approvers(c *evidence.Change) string {
	switch {
	case c.Merge != nil && len(c.Merge.Approvers) > 0:
		return list(c.Merge.Approvers)
	case c.State.ByRule:
		return "the rules alone"
	case c.Merge != nil:
		return "nobody that the log names"
	}
	return "nobody"
}

func zones(names []string, total int) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = bare(n)
	}
	if total > len(names) {
		out = append(out, fmt.Sprintf("%d more", total-len(names)))
	}
	return list(out)
}

func asked(c *evidence.Change) section {
	s := section{Title: "What was asked for", Level: 2}
	t := newTable("Revisions", "No.:0.6", "Event:0.8", "When:2.2", "By:2.2", "Title:3", "Ticket:1.2", "Proposed commit:2", "Request:1.4")
	for _, r := range c.Revisions {
		t.row(fmt.Sprint(r.Number), fmt.Sprint(r.Index), when(r.At), r.By, r.Title, r.Ticket, short(r.Head), short(r.Request))
	}
	s.add(t)
	return s
}

func judgement(c *evidence.Change) section {
	s := section{Title: "How it was judged", Level: 2}
	t := newTable("Verdicts", "Event:0.8", "When:2.2", "Tier", "Score:0.8", "Denied:0.9", "Because:4", "Policy:1.4", "Content:1.4")
	findings := newTable("Findings of the last verdict", "Rule:2", "Weighs:0.9", "What it says:4", "What to do:3", "Controls:2.2")
	signals := newTable("Signals of the last verdict", "Signal:2", "Weight:0.8", "Because:5", "Record:2.5")
	for i, v := range c.Verdicts {
		denied := "no"
		if v.Denied {
			denied = "yes"
		}
		t.row(fmt.Sprint(v.Index), when(v.At), v.Tier, fmt.Sprint(v.Score), denied, strings.Join(append(append([]string{}, v.Reasons...), nonEmpty(v.Problem)...), " "), short(v.PolicyDigest), short(v.ChangeDigest))
		if i < len(c.Verdicts)-1 {
			continue
		}
		for _, f := range v.Findings {
			findings.row(f.Rule, string(f.Severity), f.Message, f.Help, list(f.Controls))
		}
		for _, g := range v.Signals {
			signals.row(g.Name, fmt.Sprint(g.Weight), g.Reason, g.Record)
		}
	}
	s.add(t)
	if n := len(c.Verdicts); n > 0 {
		s.facts("Content that was judged last", c.Verdicts[n-1].ChangeDigest, "Policy that judged it", c.Verdicts[n-1].PolicyDigest, "Rules of version", c.Verdicts[n-1].Version)
	}
	s.add(findings)
	s.add(signals)
	return s
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func decisions(c *evidence.Change) section {
	s := section{Title: "Who decided", Level: 2}
	t := newTable("Decisions", "Event:0.8", "When:2.2", "Who:2.4", "For:1.6", "Decision:1.2", "Reason:3", "Rests on the word of:2", "Counts:1.8")
	for _, a := range c.Approvals {
		who, counts := a.Person, "yes"
		if a.ByRule {
			who = "the rules alone"
		}
		switch {
		case a.Voided != nil:
			counts = fmt.Sprintf("no longer, since event %d: %s", *a.Voided, a.VoidedWhy)
		case a.Decision == approval.Withdraw:
			counts = "takes back"
		}
		t.row(fmt.Sprint(a.Index), when(a.At), who, list(a.Groups), string(a.Decision), a.Reason, list(a.Vouched), counts)
	}
	s.add(t)
	t = newTable("Votes that the rules refused", "Event:0.8", "When:2.2", "Who:2.4", "Because:5")
	for _, r := range c.Refusals {
		t.row(fmt.Sprint(r.Index), when(r.At), r.Person, r.Text)
	}
	s.add(t)
	return s
}

var editWords = map[audit.Action]string{audit.CreateDNSRecord: "created", audit.UpdateDNSRecord: "changed", audit.DeleteDNSRecord: "deleted"}

func made(c *evidence.Change) section {
	s := section{Title: "What was changed", Level: 2}
	t := newTable("Record sets", "Event:0.8", "Name:3", "Type:0.8", "What:1", "Before:3", "After:3")
	for _, e := range c.Edits {
		t.row(fmt.Sprint(e.Index), bare(e.Record), e.Type, editWords[e.Action], record(e.Before), record(e.After))
	}
	s.add(t)
	t = newTable("What the providers answered", "Event:0.8", "When:2.2", "Zone:2.2", "Provider:1.6", "Its change ID:2.4", "Serial:1.2", "Zone before:1.5", "Zone after:1.5", "Receipt:1.5")
	for _, a := range c.Applies {
		for _, r := range parts(a.Receipt) {
			t.row(fmt.Sprint(a.Index), when(a.At), bare(a.Zone), r.Provider, r.ProviderChange, fmt.Sprint(r.Serial), short(r.Before), short(r.After), short(a.ReceiptDoc))
		}
	}
	s.add(t)
	t = newTable("Applies that were stopped for taking away too much, and released", "Event:0.8", "When:2.2", "Zone:2.2", "What:1", "By:2.2", "Details:4")
	for _, h := range c.Holds {
		what := "stopped"
		if h.Release {
			what = "released"
		}
		t.row(fmt.Sprint(h.Index), when(h.At), bare(h.Zone), what, h.By, flatten(h.Details))
	}
	s.add(t)
	t = newTable("Steps that could not go on", "Event:0.8", "When:2.2", "Step:1.2", "Problem:6")
	for _, f := range c.Failures {
		t.row(fmt.Sprint(f.Index), when(f.At), f.Step, f.Problem)
	}
	s.add(t)
	if c.Live != nil {
		said := fmt.Sprintf("On %s the name servers were asked: %s answered as wanted, and %s as gone (event %d).", when(c.Live.At), count(c.Live.Verified, "record set"), count(c.Live.Gone, "name"), c.Live.Index)
		if len(c.Live.Skipped) > 0 {
			said += " Not asked, because no resolver can be: " + list(c.Live.Skipped) + "."
		}
		s.say(good, "%s", said)
	}
	return s
}

// parts are the receipts of each provider of a zone.
func parts(r provider.Receipt) []provider.Receipt {
	if len(r.Parts) == 0 {
		return []provider.Receipt{r}
	}
	return r.Parts
}

func record(r *lifecycle.Record) string {
	switch {
	case r == nil:
		return "–"
	case r.Digest != "":
		return fmt.Sprintf("TTL %d, content %s", r.TTL, short(r.Digest))
	}
	return fmt.Sprintf("%s (TTL %d)", list(r.Values), r.TTL)
}

func timeline(c *evidence.Change) section {
	s := section{Title: "Step by step", Level: 2}
	t := newTable("All steps", "Event:0.8", "When:2.2", "Who:2.6", "What:6")
	for _, x := range c.Timeline {
		t.row(fmt.Sprint(x.Index), when(x.At), fmt.Sprintf("%s (%s)", x.Actor, x.Role), x.Text)
	}
	s.add(t)
	return s
}
