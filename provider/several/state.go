package several

import (
	"fmt"
	"slices"

	"slipway/provider"
	"slipway/zone"
)

// entry is what the journal keeps of one zone: the plan that is being made there, or the
// receipt of the last one. It is written before any member is touched, after each that has
// taken a step, and when all were found as asked for.
type entry struct {
	Version uint64 `json:"version"` // counts up with every writing
	Change  string `json:"change"`
	Commit  string `json:"commit"`
	Asked   string `json:"asked"` // content digests: what the plan desires
	Before  string `json:"before"`
	After   string `json:"after"`

	SerialBefore uint32 `json:"serial_before,omitempty"`

	// While the plan is being made.
	Members []begun            `json:"members,omitempty"`
	Parts   []provider.Receipt `json:"parts,omitempty"` // of the members that have taken a step

	// Afterwards.
	Done    bool              `json:"done,omitempty"`
	Receipt *provider.Receipt `json:"receipt,omitempty"`
}

func (e entry) member(name string) (begun, bool) {
	for _, m := range e.Members {
		if m.Provider == name {
			return m, true
		}
	}
	return begun{}, false
}

// took notes that a member has taken a step. Several steps are one receipt: it begins where
// the first began, and ends where the last ended.
func (e *entry) took(r provider.Receipt) {
	i := slices.IndexFunc(e.Parts, func(had provider.Receipt) bool { return had.Provider == r.Provider })
	if i < 0 {
		// Killed between a step and the note of it: where it began is known all the same.
		if m, ok := e.member(r.Provider); ok && r.Applied && r.Before != m.Before {
			r.Before, r.SerialBefore, r.ProviderChange = m.Before, m.Serial, lost+", "+r.ProviderChange
		}
		e.Parts = append(e.Parts, r)
		return
	}
	had := &e.Parts[i]
	if !r.Applied || r.ProviderChange == had.ProviderChange {
		return // it says again what is known
	}
	if had.Applied {
		r.Before, r.SerialBefore = had.Before, had.SerialBefore
		r.ProviderChange = cut(had.ProviderChange+", "+r.ProviderChange, maxChange)
	}
	*had = r
}

// lost stands for a step that was taken, and whose receipt was not noted any more.
const lost = "a step whose answer was lost"

// maxChange bounds the changes of one receipt in bytes.
const maxChange = 900

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:most-3] + "..."
}

// begun is what one member's zone was when a plan was begun, and what may have become of it.
type begun struct {
	Provider string     `json:"provider"`
	Before   string     `json:"before"` // content digest
	Serial   uint32     `json:"serial,omitempty"`
	Existed  bool       `json:"existed"`
	OwnNS    bool       `json:"own_ns,omitempty"` // its NS set was its own
	Sets     []possible `json:"sets,omitempty"`
}

// possible is what one record set may be while a plan is being made.
type possible struct {
	Name   zone.Name     `json:"name"`
	Type   string        `json:"type"`
	Before *zone.RRSet   `json:"before"` // nil: not there
	After  []*zone.RRSet `json:"after"`  // of each plan that was begun and not finished
}

// maxUnfinished bounds the plans for one zone that are begun one over the other.
const maxUnfinished = 16

// begin notes what a plan makes of a member's zone.
func begin(z zone.Name, part provider.Part, desired []zone.RRSet) begun {
	b := begun{Provider: part.Provider, Before: part.Live.Digest, Serial: part.Live.Serial, Existed: part.Live.Exists, OwnNS: part.Live.ApexNS != nil}
	for _, e := range zone.Diff(z, part.Live.Sets, desired) {
		b.Sets = append(b.Sets, possible{e.Name, e.Type, e.Before, []*zone.RRSet{e.After}})
	}
	return b
}

// over adds what an earlier plan, begun on the same content and not finished, may have left.
func (b *begun) over(earlier begun, desired []zone.RRSet) error {
	at := make(map[zone.Key]int, len(b.Sets))
	for i, s := range b.Sets {
		at[zone.Key{Name: s.Name, Type: s.Type}] = i
	}
	var want map[zone.Key]*zone.RRSet
	for _, s := range earlier.Sets {
		if i, ok := at[zone.Key{Name: s.Name, Type: s.Type}]; ok {
			b.Sets[i].After = append(b.Sets[i].After, s.After...)
			if len(b.Sets[i].After) > maxUnfinished {
				return fmt.Errorf("%d changes were begun and did not reach provider %s: see that it can be reached, so that one of them can be finished", maxUnfinished, b.Provider)
			}
			continue
		}
		if want == nil {
			want = index(desired)
		}
		s.After = append(slices.Clone(s.After), want[zone.Key{Name: s.Name, Type: s.Type}])
		b.Sets = append(b.Sets, s)
	}
	return nil
}

func index(sets []zone.RRSet) map[zone.Key]*zone.RRSet {
	m := make(map[zone.Key]*zone.RRSet, len(sets))
	for i := range sets {
		m[sets[i].Key()] = &sets[i]
	}
	return m
}

// undo returns what the zone was before, if what it is now can have come of that by the plans
// that were begun and by nothing else. A member that makes a plan in steps may have left a
// set with some of its old and some of its new values.
func (b begun) undo(sets []zone.RRSet, inSteps bool) ([]zone.RRSet, bool) {
	may := make(map[zone.Key]possible, len(b.Sets))
	for _, s := range b.Sets {
		may[zone.Key{Name: s.Name, Type: s.Type}] = s
	}
	var before []zone.RRSet
	seen := make(map[zone.Key]bool, len(may))
	for i := range sets {
		key := sets[i].Key()
		s, ok := may[key]
		if !ok {
			before = append(before, sets[i])
			continue
		}
		if !s.allows(&sets[i], inSteps) {
			return nil, false
		}
		seen[key] = true
	}
	for key, s := range may {
		if !seen[key] && !s.allows(nil, inSteps) {
			return nil, false
		}
		if s.Before != nil {
			before = append(before, *s.Before)
		}
	}
	return before, provider.Digest(before) == b.Before
}

func (s possible) allows(live *zone.RRSet, inSteps bool) bool {
	all := append([]*zone.RRSet{s.Before}, s.After...)
	if slices.ContainsFunc(all, func(one *zone.RRSet) bool {
		if one == nil || live == nil {
			return one == nil && live == nil
		}
		return one.Equal(*live)
	}) {
		return true
	}
	if !inSteps {
		return false
	}
	if live == nil {
		return true // taken away, to be put back with other values
	}
	known := func(has func(one *zone.RRSet) bool) bool {
		return slices.ContainsFunc(all, func(one *zone.RRSet) bool { return one != nil && has(one) })
	}
	if !known(func(one *zone.RRSet) bool { return one.TTL == live.TTL }) || !known(func(one *zone.RRSet) bool { return one.Extra == live.Extra }) {
		return false
	}
	for _, v := range live.Values {
		if !known(func(one *zone.RRSet) bool { return slices.Contains(one.Values, v) }) {
			return false
		}
	}
	return true
}
