package drift

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"slipway/provider"
	"slipway/zone"
)

// NoteKind is why something that differs is no drift.
type NoteKind string

const (
	SerialOnly NoteKind = "serial-only" // the serial moved, the content did not
	Normalised NoteKind = "normalised"  // the provider writes the same content in its own way
	Pending    NoteKind = "pending"     // an approved change is on its way
	Unmanaged  NoteKind = "unmanaged"   // Slipway leaves it alone
	Attention  NoteKind = "attention"   // a person should know it: what Slipway does not do by itself, and why
	Attributed NoteKind = "attributed"  // a provider's own log says who made an edit
)

// Note is something about a live zone that people may want to know, and that is no drift.
type Note struct {
	Kind     NoteKind    `json:"kind"`
	Name     zone.Name   `json:"name,omitempty"` // "": the zone as a whole
	Type     string      `json:"type,omitempty"`
	Approved *zone.RRSet `json:"approved,omitempty"`
	Live     *zone.RRSet `json:"live,omitempty"`
	Change   string      `json:"change,omitempty"` // Pending: ID of the change
	Detail   string      `json:"detail"`           // in plain words
}

// maxNotes bounds the notes of one kind in one report. A last one says how many more there are.
const maxNotes = 50

// Coming is a change that is approved and not applied yet, with the record sets of the zone as
// it will be. Whoever is killed in the middle of an apply leaves some of them live.
type Coming struct {
	Change string
	Sets   []zone.RRSet
}

// Circumstances are what tells drift from everything else that may differ.
type Circumstances struct {
	Serial    uint32               // that Slipway last applied; 0: not known
	Unmanaged []provider.Unmanaged // what is in the zone and not Slipway's business
	Coming    []Coming             // in the order in which they were merged
}

// Classify compares a live zone with the record sets that were approved and applied last, and
// tells drift from what is none. A report's digest is of the drift alone.
func Classify(z zone.Name, commit string, approved []zone.RRSet, live *provider.Live, c Circumstances, now time.Time) *Report {
	r := &Report{Zone: z, Commit: commit, Serial: live.Serial, Live: live.Digest, At: now}
	parts := live.Parts
	if len(parts) == 0 {
		parts = []provider.Part{{Live: live}}
	}
	var differences []Difference
	var notes []Note
	for _, part := range parts {
		d, n := classify(z, approved, part, c.Coming)
		differences, notes = append(differences, d...), append(notes, n...)
	}
	r.set(differences)
	notes = append(notes, c.left()...)
	if len(notes)+len(differences) == 0 {
		notes = append(notes, SerialNote(live.Serial, c.Serial)...)
	}
	r.Notes = bounded(append(notes, defaultTTL(withoutTTL(approved), live)...))
	return r
}

// classify does so for what one provider has.
func classify(z zone.Name, approved []zone.RRSet, part provider.Part, coming []Coming) (differences []Difference, notes []Note) {
	live := part.Live
	arriving := arrivals(coming, live)
	for _, e := range zone.Diff(z, live.WithTTLs(approved), live.Sets) { // sorted by name, then type
		d := Difference{Zone: z, Name: e.Name, Type: e.Type, Approved: e.Before, Live: e.After, Provider: part.Provider}
		note := Note{Name: e.Name, Type: e.Type, Approved: e.Before, Live: e.After}
		switch {
		case arriving.explains(e):
			note.Kind, note.Change = Pending, arriving.named(keyOf(e))
			note.Detail = "An approved change that is on its way has been applied here already."
			notes = append(notes, note)
			continue
		case e.Op == zone.Create:
			d.Kind = Extra
		case e.Op == zone.Delete:
			d.Kind = Missing
		case SameContent(*e.Before, *e.After):
			note.Kind, note.Detail = Normalised, "The provider writes the same content in its own way."
			notes = append(notes, note)
			continue
		default:
			d.Kind = Changed
		}
		differences = append(differences, d)
	}
	return differences, append(notes, arriving.waiting(z, approved, live)...)
}

// left lists what the provider does not hand over as record sets.
func (c Circumstances) left() (notes []Note) {
	for _, u := range c.Unmanaged {
		notes = append(notes, Note{Kind: Unmanaged, Name: u.Name, Type: u.Type, Detail: "Slipway leaves it alone: " + u.Why + "."})
	}
	return notes
}

func keyOf(e zone.Edit) zone.Key { return zone.Key{Name: e.Name, Type: e.Type} }

// SerialNote says that a serial moved while the content stayed.
func SerialNote(live, applied uint32) []Note {
	if live == 0 || applied == 0 || live == applied {
		return nil
	}
	return []Note{{Kind: SerialOnly, Detail: fmt.Sprintf("The serial is %d, and it was %d when Slipway last applied the zone. The content is the same: something else counts it up, such as DNSSEC signing, or an edit was made and taken back.", live, applied)}}
}

// withoutTTL counts the record sets that have no TTL of their own.
func withoutTTL(sets []zone.RRSet) (n int) {
	for i := range sets {
		if sets[i].TTL == zone.NoTTL {
			n++
		}
	}
	return n
}

// defaultTTL says which TTL the provider gives to n record sets that have none of their own.
func defaultTTL(n int, live *provider.Live) []Note {
	if n == 0 {
		return nil
	}
	ttl := live.DefaultTTL
	if ttl <= 0 {
		ttl = provider.DefaultTTL
	}
	sets := "1 record set has no TTL of its own"
	if n > 1 {
		sets = fmt.Sprintf("%d record sets have no TTL of their own", n)
	}
	return []Note{{Kind: Normalised, Detail: fmt.Sprintf("%s, and the provider gives %s.", sets, seconds(ttl))}}
}

// bounded keeps the first notes of each kind.
func bounded(notes []Note) []Note {
	count := map[NoteKind]int{}
	out := notes[:0]
	for _, n := range notes {
		if count[n.Kind]++; count[n.Kind] <= maxNotes {
			out = append(out, n)
		}
	}
	for _, k := range []NoteKind{SerialOnly, Normalised, Pending, Unmanaged, Attention, Attributed} {
		if more := count[k] - maxNotes; more > 0 {
			out = append(out, Note{Kind: k, Detail: fmt.Sprintf("And %d more like these.", more)})
		}
	}
	return out
}

// arriving is what the changes that are on their way will make of each record set.
type arriving struct {
	changes []Coming
	sets    map[zone.Key][]zone.RRSet // every content that a set has after one of them
	gone    map[zone.Key]bool         // one of them has it no more
	change  map[zone.Key]string       // the last change that makes it another
}

func arrivals(coming []Coming, live *provider.Live) arriving {
	a := arriving{changes: coming, sets: map[zone.Key][]zone.RRSet{}, gone: map[zone.Key]bool{}, change: map[zone.Key]string{}}
	for _, c := range coming {
		now := map[zone.Key]bool{}
		for _, set := range live.WithTTLs(c.Sets) {
			k := set.Key()
			now[k] = true
			if !slices.ContainsFunc(a.sets[k], set.Equal) {
				a.sets[k], a.change[k] = append(a.sets[k], set), c.Change
			}
		}
		for k := range a.sets {
			if !now[k] && !a.gone[k] {
				a.gone[k], a.change[k] = true, c.Change
			}
		}
	}
	return a
}

// named is the change that a record set waits for: the last one where no other is known.
func (a arriving) named(k zone.Key) string {
	if id := a.change[k]; id != "" {
		return id
	}
	return a.changes[len(a.changes)-1].Change
}

// explains reports whether a change that is on its way made this difference.
func (a arriving) explains(e zone.Edit) bool {
	if len(a.changes) == 0 {
		return false
	}
	k := keyOf(e)
	if e.After == nil {
		_, stays := a.sets[k]
		return a.gone[k] || !stays // the first of them takes it away already
	}
	return slices.ContainsFunc(a.sets[k], e.After.Equal)
}

// waiting lists what is still as it was before the changes that are on their way.
func (a arriving) waiting(z zone.Name, approved []zone.RRSet, live *provider.Live) (out []Note) {
	if len(a.changes) == 0 {
		return nil
	}
	at := make(map[zone.Key]*zone.RRSet, len(live.Sets))
	for i := range live.Sets {
		at[live.Sets[i].Key()] = &live.Sets[i]
	}
	last := live.WithTTLs(a.changes[len(a.changes)-1].Sets)
	for _, e := range zone.Diff(z, live.WithTTLs(approved), last) {
		now := at[keyOf(e)]
		if same := now == nil && e.Before == nil || now != nil && e.Before != nil && now.Equal(*e.Before); !same {
			continue
		}
		out = append(out, Note{Kind: Pending, Name: e.Name, Type: e.Type, Approved: e.After, Live: now, Change: a.named(keyOf(e)), Detail: "An approved change is on its way to it."})
	}
	return out
}

// SameContent reports whether two record sets say the same, however each is spelled: the case of
// names, how a text is cut into strings, trailing dots, spaces, RFC 3597's form for types that
// one side has no name for. A TTL that was set is content.
func SameContent(a, b zone.RRSet) bool {
	if a.Type != b.Type || a.TTL != b.TTL || a.Extra != b.Extra {
		return false
	}
	return slices.Equal(plainValues(a), plainValues(b))
}

// plainValues are a set's values as bytes that mean the same when they are the same.
func plainValues(set zone.RRSet) []string {
	out := make([]string, len(set.Values))
	for i, v := range set.Values {
		out[i] = plainValue(set.Type, v)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func plainValue(typ, value string) string {
	canonical, err := zone.NewRRSet("example", typ, zone.NoTTL, []string{value})
	if err != nil { // not for the library below, which may stumble over it
		return strings.Join(strings.Fields(value), " ")
	}
	value = canonical.Values[0]
	if typ == "TXT" || typ == "SPF" || strings.Contains(typ, "/") {
		return value // cut, quoted and ordered in one way now
	}
	rr, err := dns.NewRR(". 0 IN " + typ + " " + value)
	if err != nil || rr == nil {
		return strings.Join(strings.Fields(value), " ")
	}
	wire := make([]byte, dns.MaxMsgSize)
	n, err := dns.PackRR(dns.Copy(rr), wire, 0, nil, false)
	if err != nil {
		return strings.Join(strings.Fields(value), " ")
	}
	return string(wire[:n])
}
