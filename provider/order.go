package provider

import (
	"cmp"
	"slices"
	"strings"

	"slipway/zone"
)

// stage is when in a plan a name's turn comes.
type stage int

const (
	adding stage = iota
	switching
	trusting // DS: only when everything that it vouches for is there
	distrusting
	deleting
)

// Order cuts edits into parts that can be made one after the other without breaking a
// name on the way, and puts the parts in that order: adds before switches before deletes,
// a name before what points at it, and the other way round when they go. DS sets
// come after everything else that is added or changed, and go before everything else
// that goes, so that no validator holds a child zone to keys that are not there (RFC
// 6781 section 4.1).
//
// A part is all edits of one name. They are made together, because a name that has only
// some of its sets is already a broken one: CNAME stands beside nothing (RFC 1034
// section 3.6.2), and any set of a name hides the wildcard above it (RFC 4592 section
// 2.2.1). Within a part, deletes come first; a provider that cannot make a part at
// once has at least no conflict then.
func Order(edits []zone.Edit) [][]zone.Edit {
	parts, order := ordered(edits)
	out := make([][]zone.Edit, len(order))
	for at, i := range order {
		out[at] = parts[i].edits
	}
	return out
}

// ordered returns the parts of edits, and the order in which they are made.
func ordered(edits []zone.Edit) (parts []part, order []int) {
	byName := make(map[zone.Name]int, len(edits))
	for _, e := range edits {
		i, ok := byName[e.Name]
		if !ok {
			i = len(parts)
			byName[e.Name] = i
			parts = append(parts, part{name: e.Name})
		}
		parts[i].edits = append(parts[i].edits, e)
	}
	for i := range parts {
		parts[i].settle()
	}
	// By name first, so that the order depends on the content alone.
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.name, b.name) })
	for i := range parts {
		byName[parts[i].name] = i
	}
	order = targetsFirst(parts, byName)
	rank := make([]int, len(parts))
	for at, i := range order {
		rank[i] = at
		if parts[i].stage >= distrusting {
			rank[i] = -at
		}
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(cmp.Compare(parts[i].stage, parts[j].stage), cmp.Compare(rank[i], rank[j]))
	})
	return parts, order
}

// part is all edits of one name.
type part struct {
	name  zone.Name
	edits []zone.Edit
	stage stage
}

// settle finds the part's stage and sorts its edits.
func (p *part) settle() {
	var creates, deletes, gains, loses bool
	for _, e := range p.edits {
		creates = creates || e.Op == zone.Create
		deletes = deletes || e.Op == zone.Delete
		if e.Type == "DS" {
			gains = gains || e.Op != zone.Delete
			loses = loses || e.Op == zone.Delete
		}
	}
	only := func(op zone.Op) bool {
		return !slices.ContainsFunc(p.edits, func(e zone.Edit) bool { return e.Op != op })
	}
	switch {
	case gains:
		p.stage = trusting
	case only(zone.Create):
		p.stage = adding
	case only(zone.Delete) && loses:
		p.stage = distrusting
	case only(zone.Delete):
		p.stage = deleting
	default:
		p.stage = switching
	}
	turn := map[zone.Op]int{zone.Delete: 0, zone.Update: 1, zone.Create: 2}
	slices.SortFunc(p.edits, func(a, b zone.Edit) int {
		return cmp.Or(cmp.Compare(turn[a.Op], turn[b.Op]), cmp.Compare(a.Type, b.Type))
	})
}

// targetsFirst returns the indexes of parts so that a name comes after the names that it
// points at. Names that point at each other in a circle come in the order of parts.
func targetsFirst(parts []part, byName map[zone.Name]int) []int {
	order := make([]int, 0, len(parts))
	seen := make([]bool, len(parts))
	// Not recursive: a chain of aliases may be as long as the plan.
	type visit struct {
		at   int
		next []int
	}
	var stack []visit
	enter := func(i int) {
		if seen[i] {
			return
		}
		seen[i] = true
		stack = append(stack, visit{i, parts[i].pointsAt(byName)})
	}
	for i := range parts {
		enter(i)
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if len(top.next) == 0 {
				order = append(order, top.at)
				stack = stack[:len(stack)-1]
				continue
			}
			next := top.next[0]
			top.next = top.next[1:]
			enter(next)
		}
	}
	return order
}

// target is which word of a value, in presentation form, names another name.
var target = map[string]int{"ALIAS": 0, "CNAME": 0, "DNAME": 0, "NS": 0, "PTR": 0, "MX": 1, "SVCB": 1, "HTTPS": 1, "SRV": 3}

// pointsAt returns which other parts this one's sets name.
func (p *part) pointsAt(byName map[zone.Name]int) []int {
	var out []int
	for _, e := range p.edits {
		at, ok := target[e.Type]
		if !ok {
			continue
		}
		set := e.After
		if set == nil {
			set = e.Before
		}
		if set == nil {
			continue
		}
		for _, v := range set.Values {
			words := strings.Fields(v)
			if len(words) <= at {
				continue
			}
			if i, ok := byName[zone.Name(strings.TrimSuffix(words[at], "."))]; ok {
				out = append(out, i)
			}
		}
	}
	return out
}
