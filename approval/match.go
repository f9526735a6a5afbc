package approval

import "slices"

// seat is one approval that a requirement needs, open to members of any of its groups.
type seat struct {
	requirement int
	groups      []string
	each        bool // of AllOf: this one group and no other
}

// filling is a maximum matching of seats and standing votes. Once a seat is filled it
// stays filled while later seats are tried, so that earlier requirements come first and
// the same votes always give the same filling.
type filling struct {
	places []seat
	voter  []int // per seat: index of the vote that fills it, or -1
}

// fill seats the votes by augmenting paths (Kuhn's algorithm). A greedy assignment would
// not do: a person in Legal and Security who is seated first for Legal must move to
// Security when the only other voter is in Legal alone.
func fill(requirements []Requirement, votes []Vote) *filling {
	f := &filling{}
	taken := make([]int, len(votes)) // per vote: the seat it fills, or -1
	for i := range taken {
		taken[i] = -1
	}
	seen := make([]bool, len(votes))

	var place func(s int) bool
	place = func(s int) bool {
		for _, free := range []bool{true, false} { // nobody moves while somebody is free
			for v := range votes {
				if seen[v] || (taken[v] < 0) != free || groupFor(f.places[s], votes[v]) == "" {
					continue
				}
				seen[v] = true
				if free || place(taken[v]) {
					taken[v], f.voter[s] = s, v
					return true
				}
			}
		}
		return false
	}
	add := func(s seat) bool {
		f.places = append(f.places, s)
		f.voter = append(f.voter, -1)
		clear(seen)
		return place(len(f.places) - 1)
	}

	for i, r := range requirements {
		for _, g := range distinct(r.AllOf) {
			add(seat{requirement: i, groups: []string{g}, each: true})
		}
		// Seats of one any_of are alike: when one stays empty, so will the rest. This also
		// bounds the work by the number of votes, whatever count the settings ask for.
		for range r.count() {
			if !add(seat{requirement: i, groups: r.AnyOf}) {
				break
			}
		}
	}
	return f
}

// count is how many people of AnyOf are needed.
func (r Requirement) count() int {
	if len(r.AnyOf) == 0 {
		return 0
	}
	return max(1, r.Count)
}

// groupFor returns the group that gives the voter the right to the seat, "" for none.
func groupFor(s seat, v Vote) string {
	for _, g := range s.groups {
		if slices.Contains(v.Groups, g) {
			return g
		}
	}
	return ""
}

func (f *filling) seats(requirements []Requirement, votes []Vote) []Seat {
	var out []Seat
	for i, v := range f.voter {
		if v < 0 {
			continue
		}
		out = append(out, Seat{
			Rule:   requirements[f.places[i].requirement].Rule,
			Group:  groupFor(f.places[i], votes[v]),
			Person: votes[v].Person,
		})
	}
	return out
}

// missing says per requirement what is still needed: first the groups of AllOf, then those of AnyOf.
func (f *filling) missing(requirements []Requirement, votes []Vote) []Missing {
	var out []Missing
	for i, r := range requirements {
		if len(r.AnyOf)+len(r.AllOf) == 0 {
			out = append(out, Missing{Rule: r.Rule, Count: max(1, r.Count),
				Text: "approvers that nobody has named: an administrator must give the rule “" + r.Rule + "” its groups in slipway.yaml"})
			continue
		}
		filled, empty := 0, []string(nil)
		for j, s := range f.places {
			if s.requirement != i {
				continue
			}
			switch isFilled := f.voter[j] >= 0; {
			case s.each && !isFilled:
				empty = append(empty, s.groups[0])
			case !s.each && isFilled:
				filled++
			}
		}
		if len(empty) > 0 {
			out = append(out, Missing{Rule: r.Rule, Groups: empty, Count: len(empty),
				Text: eachOf(empty) + f.busy(empty, votes)})
		}
		if n := r.count() - filled; n > 0 {
			out = append(out, Missing{Rule: r.Rule, Groups: slices.Clone(r.AnyOf), Count: n,
				Text: anyOf(n, r.AnyOf) + f.busy(r.AnyOf, votes)})
		}
	}
	return out
}

// busy explains why somebody who did approve is not enough: they count elsewhere already.
func (f *filling) busy(groups []string, votes []Vote) string {
	for j, v := range f.voter {
		if v < 0 || groupFor(seat{groups: groups}, votes[v]) == "" {
			continue
		}
		return " (" + votes[v].Person + " counts for " + GroupName(groupFor(f.places[j], votes[v])) + " already, and nobody counts twice)"
	}
	return ""
}

// distinct returns list without repeats, in its order.
func distinct(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
