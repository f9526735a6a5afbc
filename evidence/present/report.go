package present

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"slipway/audit"
	"slipway/evidence"
)

// report says what a bundle holds: first the whole in a few lines, then what speaks against
// it, then each thing with its details, and last what it rests on.
func report(d *evidence.Data, a *Assessment) *page {
	p := &page{Title: "Evidence: " + subject(d), Made: d.To}
	p.Sections = append(p.Sections, overview(d, a))
	p.Sections = append(p.Sections, attention(d, a))
	shown := d.Changes[:min(len(d.Changes), maxChanges)]
	for i := range shown {
		p.Sections = append(p.Sections, changeSections(&shown[i])...)
	}
	if left := len(d.Changes) - len(shown); left > 0 {
		s := section{Title: "More changes", Level: 1}
		s.say(quiet, "%d more changes are in data.json.", left)
		p.Sections = append(p.Sections, s)
	}
	for _, s := range [][]section{certificates(d), drifts(d), outside(d), papers(d), standing(a), foundation(d), everything(d)} {
		p.Sections = append(p.Sections, s...)
	}
	return p
}

// subject is what the bundle is about, in a sentence.
func subject(d *evidence.Data) string { return bare(d.Subject.String()) }

func overview(d *evidence.Data, a *Assessment) section {
	s := section{Title: "In short", Level: 1}
	events := 0
	for _, e := range d.Events {
		if e.Why == evidence.WhySubject {
			events++
		}
	}
	n := a.Count("")
	s.facts(
		"About", capital(subject(d)),
		"From", when(d.From),
		"To", when(d.To),
		"Events", fmt.Sprintf("%d about it, of %d in the bundle", events, len(d.Events)),
		"Changes", fmt.Sprint(len(d.Changes)),
		"Certificates", fmt.Sprint(len(d.Certificates)),
		"Drift", times(len(d.Drift)),
		"Controls", fmt.Sprintf("%d with evidence here and nothing against them, %d with something against them", n[Satisfied], n[NotSatisfied]),
		"Log", fmt.Sprintf("%s, as of %s", d.Checkpoint.Origin, count(int(min(d.Checkpoint.Size, 1<<62)), "event")),
	)
	s.say(quiet, "This report is made from a bundle of evidence and proves nothing by itself. Verify the bundle, offline, with the log's key that you have from elsewhere: slipway verify bundle.zip --trust keys.pub")
	t := newTable("Changes", "Change:1.3", "What:3", "Asked by:2", "Tier", "Approved by:2.2", "How it stands:1.3", "Since:2")
	for i := range d.Changes {
		c := &d.Changes[i]
		t.row(c.State.ID, c.State.Title, c.State.Requester, c.State.Tier, approvers(c), string(c.State.Phase), when(c.State.Updated))
	}
	s.add(t)
	return s
}

// attention is what speaks against a control, each thing once, and what is not there.
func attention(d *evidence.Data, a *Assessment) section {
	s := section{Title: "What needs somebody's eye", Level: 1}
	for _, text := range a.Warnings {
		s.say(bad, "%s", text)
	}
	t := newTable("What speaks against controls", "What:5", "Events:1.5", "Controls:3")
	against := map[string][]string{}
	var order []Objection
	for _, c := range a.Controls {
		for _, o := range c.Objections {
			if against[o.Text] == nil {
				order = append(order, o)
			}
			against[o.Text] = append(against[o.Text], c.ID)
		}
	}
	slices.SortStableFunc(order, func(x, y Objection) int { return cmp.Compare(x.Events[0], y.Events[0]) })
	for _, o := range order {
		t.row(o.Text, places(o.Events), list(against[o.Text]))
	}
	if len(order) == 0 {
		s.say(good, "Nothing in this bundle speaks against a control.")
	}
	s.add(t)
	gaps := newTable("What is not in the bundle although events speak of it", "What:3", "Why:3")
	for _, g := range d.Missing {
		gaps.row(g.What, g.Why)
	}
	if len(d.Missing) == 0 {
		s.say(good, "Everything that events speak of is in the bundle.")
	}
	s.add(gaps)
	return s
}

func certificates(d *evidence.Data) []section {
	if len(d.Certificates) == 0 {
		return nil
	}
	s := section{Title: "Certificates", Level: 1}
	t := newTable("Certificates", "Serial number:1.6", "For:2.6", "Issued by:2", "Good:2.4", "Key:1.4", "In public logs", "What became of it:2")
	for i := range d.Certificates {
		c := &d.Certificates[i]
		became := "in use"
		switch {
		case c.RevokedAt != nil:
			became = fmt.Sprintf("revoked on %s by %s: %s", when(c.RevokedAt.At), c.RevokedBy, c.Reason)
		case c.ReplacedBy != "":
			became = "replaced by a newer one"
		}
		if c.Destroyed != nil {
			became += "; its key was destroyed on " + when(c.Destroyed.At)
		}
		for _, p := range c.Problems {
			became += fmt.Sprintf("; %s (%s)", p.Text, when(p.At))
		}
		t.row(c.Serial, list(c.Names), c.Issuer, when(c.NotBefore)+" to "+when(c.NotAfter), c.KeyKind, fmt.Sprint(len(c.CTProofs)), became)
	}
	s.add(t)
	return []section{s}
}

func drifts(d *evidence.Data) []section {
	if len(d.Drift)+len(d.DriftMonths) == 0 {
		return nil
	}
	top := section{Title: "Drift", Level: 1}
	top.say(plain, "Live zones are compared with what was approved. Where they differ, somebody changed a zone past Slipway, or something broke.")
	out := []section{}
	for i := range d.Drift[:min(len(d.Drift), maxChanges)] {
		f := &d.Drift[i]
		s := section{Title: fmt.Sprintf("%s on %s", bare(f.Zone), when(f.At)), Level: 2}
		s.Blocks = append(s.Blocks, block{Way: wayOfDrift(f)})
		s.facts("Event", fmt.Sprint(f.Index), "Approved commit", f.Commit, "Differences", fmt.Sprint(f.Count), "Live content", f.Live,
			"Not put back by rule because", f.Held, "Document", short(f.Document))
		t := newTable("Differences", "Name:3", "Type", "How:2")
		for _, x := range f.Differences {
			t.row(bare(x.Name), x.Type, x.Kind)
		}
		s.add(t)
		t = newTable("Who did it, by the provider's own log", "Event", "When:2", "Edits:5")
		for _, x := range f.Attributed {
			t.row(fmt.Sprint(x.Index), when(x.At), flatten(x.Edits))
		}
		s.add(t)
		if f.Ended != nil {
			s.say(good, "%s by %s on %s (event %d).", ending(f.Ended.How), f.Ended.By, when(f.Ended.At), f.Ended.Index)
		} else {
			s.say(bad, "Nothing here says that the zone is as approved again.")
		}
		out = append(out, s)
	}
	if left := len(d.Drift) - maxChanges; left > 0 {
		top.say(quiet, "%d more are in data.json.", left)
	}
	t := newTable("Monthly reports", "Month", "Event", "What it counts:5", "Document:1.5")
	for _, m := range d.DriftMonths {
		t.row(m.Month, fmt.Sprint(m.Index), flatten(m.Details), short(m.Document))
	}
	top.add(t)
	return append([]section{top}, out...)
}

// ending says how a drift ended.
func ending(how string) string {
	if text, ok := map[string]string{"gone": "The difference is gone", "changed": "It became another difference", "overwrite": "Put back to what was approved"}[how]; ok {
		return text
	}
	return "Ended: " + how
}

// doers are the people or programs that a provider's log names, as far as they can be read.
func doers(d *evidence.Drift) []string {
	var out []string
	for _, a := range d.Attributed {
		var edits []struct{ By string }
		if json.Unmarshal(a.Edits, &edits) != nil {
			continue
		}
		for _, e := range edits {
			if e.By != "" && !slices.Contains(out, e.By) {
				out = append(out, e.By)
			}
		}
	}
	return out
}

func outside(d *evidence.Data) []section {
	if len(d.Reports) == 0 {
		return nil
	}
	s := section{Title: "What sources outside reported", Level: 1}
	t := newTable("Reports", "Event", "When:2", "Source:1.5", "About:2.5", "Change:1.3", "Explained:1.3", "What it says:4")
	for _, r := range d.Reports {
		explained := "yes"
		if r.Action == audit.DetectOutOfBand {
			explained = "by no approved change"
		}
		t.row(fmt.Sprint(r.Index), when(r.At), r.Resource.Name, strings.TrimSpace(cmp.Or(bare(r.Resource.Record), bare(r.Resource.Zone))+" "+r.Resource.Type), r.Change, explained, flatten(r.Details))
	}
	s.add(t)
	return []section{s}
}

func papers(d *evidence.Data) []section {
	s := section{Title: "Artifacts and documents", Level: 1}
	t := newTable("What apps handed in", "Name:2", "Change", "SHA-256:6", "Events:1.5")
	for _, x := range d.Artifacts {
		t.row(x.Name, x.Change, x.Digest, places(x.Events))
	}
	s.add(t)
	t = newTable("Documents that events refer to", "SHA-256:6", "Name:2", "Bytes", "In the bundle:2.5", "Events:1.5")
	for _, x := range d.Documents {
		in := "yes"
		switch {
		case x.Erased != nil:
			in = fmt.Sprintf("erased on %s by %s because: %s", when(x.Erased.At), x.Erased.By, x.Erased.Because)
		case !x.Included:
			in = "no"
		}
		t.row(x.Digest, list(x.Names), fmt.Sprint(x.Size), in, places(x.Events))
	}
	s.add(t)
	if len(s.Blocks) == 0 {
		return nil
	}
	return []section{s}
}

// standing lists the controls that the bundle says something of.
func standing(a *Assessment) []section {
	top := section{Title: "Controls", Level: 1}
	top.say(plain, "For which controls this bundle is evidence. “Satisfied” says that there is evidence here and that nothing here speaks against it; whether a control works is for the assessor to judge. Titles are in our own words.")
	out := []section{}
	for _, f := range a.Frameworks {
		n := a.Count(f.Name)
		t := newTable(f.Title, "Control:1.6", "Asks that:3", "Stands:1.3", "Evidence in this bundle:4.5")
		for _, c := range a.Controls {
			if c.Framework != f.Name || c.Standing != Satisfied && c.Standing != NotSatisfied {
				continue
			}
			var shows []string
			for _, p := range c.pieces {
				shows = append(shows, fmt.Sprintf("%s (events %s)", p.Title, places(p.Events)))
			}
			if len(c.Rules) > 0 {
				shows = append(shows, "findings of "+list(c.Rules))
			}
			for _, o := range c.Objections {
				shows = append(shows, "Against: "+o.Text)
			}
			t.row(c.ID, c.Title, strings.ReplaceAll(string(c.Standing), "-", " "), strings.Join(shows, "; "))
		}
		s := section{Title: f.Title, Level: 2}
		s.say(quiet, "%d satisfied, %d not satisfied. Of the others, %d could have evidence in another bundle, %d have it elsewhere, and of %d nothing is known.", n[Satisfied], n[NotSatisfied], n[NoEvidence], n[Elsewhere], n[Unmapped])
		s.add(t)
		out = append(out, s)
	}
	return append([]section{top}, out...)
}

// foundation is what the proofs rest on.
func foundation(d *evidence.Data) []section {
	s := section{Title: "What this rests on", Level: 1}
	s.facts("Log", d.Checkpoint.Origin, "Size", fmt.Sprint(d.Checkpoint.Size), "Root of the tree", d.Checkpoint.Root, "Checkpoint signed by", list(d.Checkpoint.Signatures))
	t := newTable("Keys that signed the events", "Key:4", "Kind", "From event:1.2", "To event:1.2", "Replaced by:2", "Because:3")
	for _, k := range d.Keys {
		t.row(k.ID, k.Algorithm, index(k.After, "the first"), index(k.Until, "the last"), k.By, k.Because)
	}
	s.add(t)
	t = newTable("Timestamps of checkpoints by authorities outside", "Event", "When:2", "Authority:2", "Size of the log:1.3", "Token:1.5")
	for _, x := range d.Timestamps {
		t.row(fmt.Sprint(x.Index), when(x.At), x.Authority, fmt.Sprint(x.Size), short(x.Token))
	}
	s.add(t)
	return []section{s}
}

// everything lists the events, so that what the parts above leave out is not lost.
func everything(d *evidence.Data) []section {
	s := section{Title: "All events in the bundle", Level: 1}
	t := newTable("Events, in the order of the log", "Place", "When:2.2", "Who:2.4", "Action:2", "About:3", "Change:1.2")
	for _, e := range d.Events {
		r := e.Event.Resource
		var about []string
		for _, x := range []string{bare(r.Record), r.Type, r.App, r.Name} {
			if x != "" {
				about = append(about, x)
			}
		}
		if r.Record == "" && r.Zone != "" {
			about = append([]string{bare(r.Zone)}, about...)
		}
		t.row(fmt.Sprint(e.Index), when(e.Event.Timestamp), fmt.Sprintf("%s (%s)", e.Event.Actor.ID, e.Event.Actor.Role), string(e.Event.Action), strings.Join(about, " "), e.Event.Change)
	}
	s.add(t)
	return []section{s}
}

func index(at *uint64, otherwise string) string {
	if at == nil {
		return otherwise
	}
	return fmt.Sprint(*at)
}

func times(n int) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// flatten shows a small JSON value in one line.
func flatten(raw json.RawMessage) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return string(raw)
	}
	return words(v)
}

func words(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var parts []string
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			parts = append(parts, strings.ReplaceAll(k, "_", " ")+": "+words(v[k]))
		}
		return strings.Join(parts, ", ")
	case []any:
		var parts []string
		for _, x := range v {
			parts = append(parts, words(x))
		}
		return strings.Join(parts, "; ")
	case string:
		return v
	case nil:
		return "nothing"
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}
