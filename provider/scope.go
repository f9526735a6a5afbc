package provider

import (
	"fmt"
	"slices"

	"slipway/zone"
)

// Scope cuts what is live of a zone in two: the record sets that Slipway answers for, and
// those of others, which stay as they are whatever a plan says. It is asked again each
// time that the zone is read, with all of its sets, since who owns one may stand in
// another; and it decides by what it is given alone. Package partial makes them.
type Scope func(sets []zone.RRSet) (ours []zone.RRSet, others []Unmanaged)

// Scoper is a Provider that can be had for a part of a zone alone: what is in the scope is
// read, planned and applied as if there were nothing else, and an edit that somebody makes
// elsewhere in the zone, at any time, neither stops an apply nor is lost by it.
type Scoper interface {
	Scoped(Scope) Provider
}

// Within is the zone with nothing in it but ours, as a scope has cut it. Its own NS set
// stays what WithTTLs knows it as only where it is ours.
func (l *Live) Within(ours []zone.RRSet) *Live {
	live := *l
	live.Sets, live.Digest, live.Parts = ours, Digest(ours), nil
	if ns := l.ApexNS; ns != nil && !slices.ContainsFunc(ours, func(r zone.RRSet) bool { return r.Type == "NS" && r.Name == ns.Name }) {
		live.ApexNS = nil
	}
	return &live
}

// Widen makes a plan for what is in scope into one for the whole zone, in which everything
// else stays as it is in whole. narrow makes the receipt of that into one of the part. It
// is refused, with a *DriftedError, when the part is neither what the plan was made
// against nor what it asks for nor something on the way from one to the other, and when
// the plan would take the place of something unmanaged.
func Widen(p Plan, whole *Live, scope Scope) (full Plan, narrow func(*Receipt) *Receipt, err error) {
	ours, others := scope(whole.Sets)
	part := whole.Within(ours)
	p.Desired = part.WithTTLs(p.Desired)
	before, after := part.Digest, Digest(p.Desired)
	if p.Expect != ExpectAnything && p.Expect != before && (before != after || !whole.Exists) {
		// An apply of this plan that stopped half-way goes on from there.
		base := p.Base()
		if base == nil || !Mixture(ours, base, p.Desired) {
			return Plan{}, nil, &DriftedError{Zone: p.Zone, Expect: p.Expect, Found: before}
		}
	}
	if p.Expect != ExpectAnything {
		before = p.Expect // also when this apply was made already, and killed before it could say so
	}
	var come []zone.RRSet
	for _, e := range zone.Diff(p.Zone, ours, p.Desired) {
		if e.After != nil {
			come = append(come, *e.After)
		}
	}
	if err := Blocked(come, others); err != nil {
		return Plan{}, nil, fmt.Errorf("zone %s was not changed: %w", p.Zone, err)
	}
	mine := make(map[zone.Key]struct{}, len(ours))
	for i := range ours {
		mine[ours[i].Key()] = struct{}{}
	}
	all := slices.DeleteFunc(slices.Clone(whole.Sets), func(set zone.RRSet) bool { _, is := mine[set.Key()]; return is })
	full = NewPlan(p.Zone, append(all, p.Desired...), whole, p.ChangeID, p.Commit)
	return full, func(r *Receipt) *Receipt {
		of := *r
		of.Before, of.After = after, after
		if r.Applied {
			of.Before = before
		}
		return &of
	}, nil
}

// Unmanaged is something in a live zone that is not Slipway's business: a weighted record
// set, which has no form in a zones repository, or a record of somebody else's in a zone
// that is managed in part. It is never changed or removed, and a change that needs its
// place is refused.
type Unmanaged struct {
	Name zone.Name
	Type string
	Why  string // in plain words
}

// Blocked returns an error when one of sets would take the place of something unmanaged:
// of the same set, or of a name that an alias can only have for itself (RFC 1034 section
// 3.6.2).
func Blocked(sets []zone.RRSet, unmanaged []Unmanaged) error {
	if len(sets) == 0 || len(unmanaged) == 0 {
		return nil
	}
	at := make(map[zone.Name][]string, len(sets))
	for i := range sets {
		at[sets[i].Name] = append(at[sets[i].Name], sets[i].Type)
	}
	for _, u := range unmanaged {
		for _, typ := range at[u.Name] {
			if typ == u.Type || typ == "CNAME" || u.Type == "CNAME" {
				return fmt.Errorf("%s %s cannot be set: there is a %s record of that name which Slipway does not manage (%s), and it is never replaced by accident. "+
					"Remove it at the provider first, if nobody needs it", typ, u.Name, u.Type, u.Why)
			}
		}
	}
	return nil
}

// Base is the live zone that a plan was made against, which its edits and its desired
// content tell together; nil when they do not belong together.
func (p Plan) Base() []zone.RRSet {
	sets := make(map[zone.Key]zone.RRSet, len(p.Desired))
	for _, set := range p.Desired {
		sets[set.Key()] = set
	}
	for _, e := range p.Edits {
		key := zone.Key{Name: e.Name, Type: e.Type}
		delete(sets, key)
		if e.Before != nil {
			sets[key] = *e.Before
		}
	}
	out := make([]zone.RRSet, 0, len(sets))
	for _, set := range sets {
		out = append(out, set)
	}
	if Digest(out) != p.Expect {
		return nil
	}
	return out
}

// Mixture reports whether every record of live is one of before or of after, and every
// record that both have is there: what a change looks like that stopped half-way, and
// nothing that anybody else did.
func Mixture(live, before, after []zone.RRSet) bool {
	type state struct{ before, live, after zone.RRSet }
	sets := make(map[zone.Key]*state)
	at := func(k zone.Key) *state {
		if sets[k] == nil {
			sets[k] = &state{}
		}
		return sets[k]
	}
	for _, s := range before {
		at(s.Key()).before = s
	}
	for _, s := range live {
		at(s.Key()).live = s
	}
	for _, s := range after {
		at(s.Key()).after = s
	}
	for _, s := range sets {
		if len(s.live.Values) > 0 && s.live.TTL != s.before.TTL && s.live.TTL != s.after.TTL {
			return false
		}
		for _, v := range s.live.Values {
			if !slices.Contains(s.before.Values, v) && !slices.Contains(s.after.Values, v) {
				return false
			}
		}
		if s.before.Equal(s.after) && !s.live.Equal(s.before) {
			return false // a set that nobody asked to change
		}
	}
	return true
}
