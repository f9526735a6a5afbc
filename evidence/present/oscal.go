package present

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"slipway/evidence"
	"slipway/evidence/controls"
)

// oscalVersion is of the OSCAL models that the file is written in.
const oscalVersion = "1.1.3"

// namespace is that of our properties, and what UUIDs are made from. It is a name and leads nowhere (RFC 2606); tools ask
// for one of this form.
const namespace = "https://slipway.example/ns/evidence"

// maxRelevant bounds the events and documents that one observation lists; events.jsonl has all.
const maxRelevant = 500

// OSCAL is the assessment as OSCAL assessment results (NIST, assessment-results model, JSON): an
// observation for each piece of evidence and for each thing that speaks against a control, and a
// finding for each control that the bundle says something of. UUIDs are of version 5 (RFC 9562 section 5.5) over what
// they name, so that the same bundle gives the same file.
func OSCAL(d *evidence.Data, a *Assessment) ([]byte, error) {
	o := &oscal{d: d, a: a, resources: map[string]string{}, events: map[uint64]*evidence.Event{}, documents: map[string]*evidence.Document{}}
	for i := range d.Events {
		o.events[d.Events[i].Index] = &d.Events[i]
	}
	for i := range d.Documents {
		o.documents[d.Documents[i].Digest] = &d.Documents[i]
	}
	raw, err := json.MarshalIndent(map[string]assessmentResults{"assessment-results": o.results()}, "", "  ")
	return append(raw, '\n'), err
}

type oscal struct {
	d         *evidence.Data
	a         *Assessment
	events    map[uint64]*evidence.Event
	documents map[string]*evidence.Document
	resources map[string]string // UUIDs by digest
	listed    []resource
}

// id is the UUID of what the words name in this bundle.
func (o *oscal) id(words ...string) string {
	subject, _ := json.Marshal(o.d.Subject) // strings, times and a flag always can be
	name := strings.Join(append([]string{o.d.Checkpoint.Origin, o.d.Checkpoint.Root, string(subject)}, words...), "\x00")
	return uuid.NewSHA1(uuid.NewSHA1(uuid.NameSpaceURL, []byte(namespace)), []byte(name)).String()
}

func (o *oscal) results() assessmentResults {
	plan := o.id("plan")
	subject := subject(o.d)
	r := result{
		UUID: o.id("result"), Title: markup("Evidence of " + subject), Start: o.d.From.UTC(), End: o.d.To.UTC(),
		Description: markup("What Slipway's record holds about " + subject + ". “satisfied” says that the bundle has evidence for the control and nothing that speaks against it; whether the control works is for the assessor to judge."),
		Reviewed:    reviewed{Selections: o.selections()},
	}
	if len(o.a.Warnings) > 0 {
		r.Remarks = markup(strings.Join(o.a.Warnings, " "))
	}
	observed := map[string]string{}
	for _, c := range o.a.Controls {
		for _, p := range c.pieces {
			if _, done := observed[p.Name]; !done {
				ob := o.observe(p)
				observed[p.Name] = ob.UUID
				r.Observations = append(r.Observations, ob)
			}
		}
	}
	against := map[string]string{}
	for _, c := range o.a.Controls {
		for _, x := range c.Objections {
			if _, done := against[x.Text]; !done {
				ob := o.object(x)
				against[x.Text] = ob.UUID
				r.Observations = append(r.Observations, ob)
			}
		}
	}
	for _, c := range o.a.Controls {
		if c.Standing == Satisfied || c.Standing == NotSatisfied {
			r.Findings = append(r.Findings, o.find(c, observed, against))
		}
	}
	return assessmentResults{
		UUID:     o.id("assessment-results"),
		Metadata: metadata{Title: markup("Evidence from Slipway: " + subject), Modified: o.d.To.UTC(), Version: value(fmt.Sprintf("log size %d", o.d.Checkpoint.Size)), OSCAL: oscalVersion},
		Plan:     link{Href: "#" + plan},
		Results:  []result{r},
		Back: &backMatter{Resources: append([]resource{{UUID: plan, Title: "What is evidence for which control",
			Description: "There is no assessment plan. The controls, and what is evidence for each, are those of the mapping that the bundle was made with.",
			Links:       []resourceLink{{Href: "../" + ControlsFile, MediaType: "application/json"}}}}, o.listed...)},
	}
}

// selections are the controls that were looked at, by framework.
func (o *oscal) selections() []selection {
	var out []selection
	for _, f := range o.a.Frameworks {
		s := selection{Description: markup(f.Title)}
		for _, c := range o.a.Controls {
			if c.Framework == f.Name && c.Standing != Elsewhere && c.Standing != Unmapped {
				s.Include = append(s.Include, selected{controlID(f, c.ID)})
			}
		}
		if len(s.Include) > 0 {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return []selection{{Description: "The mapping names no controls.", All: &struct{}{}}}
	}
	return out
}

// controlID is a control's ID as a token (NCName): NIST's as NIST's own OSCAL catalog writes them, the others
// behind their framework's prefix.
func controlID(f controls.Framework, id string) string {
	_, number, _ := strings.Cut(id, ":")
	token := strings.Trim(strings.NewReplacer("(", ".", ")", "").Replace(strings.ToLower(number)), ".")
	if f.Prefix == "NIST-800-53" {
		return token
	}
	token = strings.ToLower(f.Prefix) + "_" + token
	if !unicode.IsLetter(rune(token[0])) {
		token = "_" + token
	}
	return token
}

func (o *oscal) observe(p Piece) observation {
	ob := observation{UUID: o.id("evidence", p.Name), Title: markup(p.Title), Methods: []string{"EXAMINE"}, Types: []string{"control-objective"},
		Description: markup(fmt.Sprintf("%s and %s.", count(len(p.Events), "event"), count(len(p.Documents), "document"))), Collected: o.last(p.Events)}
	ob.Relevant = o.relevant(p.Events, p.Documents)
	if more := len(p.Events) + len(p.Documents) - len(ob.Relevant); more > 0 {
		ob.Remarks = fmt.Sprintf("%d more are in the bundle.", more)
	}
	return ob
}

func (o *oscal) object(x Objection) observation {
	return observation{UUID: o.id("objection", x.Text), Title: "Something that speaks against a control", Description: markup(x.Text), Methods: []string{"EXAMINE"},
		Types: []string{"finding"}, Collected: o.last(x.Events), Relevant: o.relevant(x.Events, nil)}
}

func (o *oscal) relevant(events []uint64, documents []string) []relevant {
	var out []relevant
	for _, index := range events {
		if len(out) == maxRelevant {
			return out
		}
		text := fmt.Sprintf("Event %d of the log", index)
		props := []property{{Name: "event-index", NS: namespace, Value: fmt.Sprint(index)}}
		if e := o.events[index]; e != nil {
			text += fmt.Sprintf(": %s by %s on %s", e.Event.Action, e.Event.Actor.ID, when(e.Event.Timestamp))
			if e.Event.EventID != "" {
				props = append(props, property{Name: "event-id", NS: namespace, Value: value(e.Event.EventID)})
			}
		}
		out = append(out, relevant{Href: "../events.jsonl", Description: markup(text), Props: props})
	}
	for _, digest := range documents {
		if len(out) == maxRelevant {
			return out
		}
		if doc := o.documents[digest]; doc != nil {
			out = append(out, relevant{Href: "#" + o.resource(doc), Description: markup("The document " + list(doc.Names))})
		}
	}
	return out
}

// resource lists a document in the back matter, once, with its hash.
func (o *oscal) resource(doc *evidence.Document) string {
	if id, done := o.resources[doc.Digest]; done {
		return id
	}
	id := o.id("document", doc.Digest)
	_, hex, _ := strings.Cut(doc.Digest, ":")
	r := resource{UUID: id, Title: markup("Document " + list(doc.Names)), Links: []resourceLink{{Href: "../documents/" + hex, Hashes: []hash{{"SHA-256", hex}}}}}
	if !doc.Included {
		r.Links[0].Href = "urn:sha256:" + hex
	}
	switch {
	case doc.Erased != nil:
		r.Remarks = markup(fmt.Sprintf("Erased on %s by %s because: %s", when(doc.Erased.At), doc.Erased.By, doc.Erased.Because))
	case !doc.Included:
		r.Remarks = "It is not in the bundle."
	}
	o.resources[doc.Digest] = id
	o.listed = append(o.listed, r)
	return id
}

func (o *oscal) find(c Control, observed, against map[string]string) oscalFinding {
	f, _ := o.a.mapping.Framework(c.Framework)
	out := oscalFinding{UUID: o.id("finding", c.ID), Title: markup(c.ID + ": " + c.Title),
		Target: target{Type: "objective-id", ID: controlID(f, c.ID), Title: markup(c.Title), Status: status{State: string(c.Standing), Reason: "pass"}}}
	var says []string
	for _, p := range c.pieces {
		says = append(says, p.Title+".")
		out.Related = append(out.Related, related{observed[p.Name]})
	}
	if len(c.Rules) > 0 {
		says = append(says, "Rules that found something and name the control: "+list(c.Rules)+".")
	}
	for _, x := range c.Objections {
		out.Target.Status.Reason = "fail"
		says = append(says, "Against it: "+x.Text)
		out.Related = append(out.Related, related{against[x.Text]})
	}
	if c.Note != "" {
		out.Remarks = markup(c.Note)
	}
	out.Description = markup(strings.Join(says, " "))
	return out
}

// last is when the newest of these events was.
func (o *oscal) last(events []uint64) time.Time {
	at := o.d.To
	if len(events) > 0 {
		if e := o.events[slices.Max(events)]; e != nil {
			at = e.Event.Timestamp
		}
	}
	return at.UTC()
}

// markup makes text stand for itself in OSCAL's markup (Markdown that may hold HTML), in one line
// that is never empty.
func markup(s string) string {
	s = strings.ReplaceAll(visible(s), "\n", " ")
	var b strings.Builder
	for _, r := range s {
		switch r {
		case '\\', '`', '*', '_', '[', ']', '#', '~', '|', '"', '\'', '^', '$':
			b.WriteByte('\\')
		case '<':
			b.WriteString("&lt;")
			continue
		case '>':
			b.WriteString("&gt;")
			continue
		case '&':
			b.WriteString("&amp;")
			continue
		}
		b.WriteRune(r)
	}
	return cmp.Or(strings.TrimSpace(b.String()), "–")
}

// value makes text fit for the value of a property: one line without space around it.
func value(s string) string {
	return cmp.Or(strings.TrimSpace(strings.ReplaceAll(visible(s), "\n", " ")), "–")
}
