package several

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"slipway/provider"
	"slipway/zone"
)

// agreed says whether all have the very same content.
func agreed(parts []provider.Part) bool {
	return !slices.ContainsFunc(parts, func(part provider.Part) bool { return part.Live.Digest != parts[0].Live.Digest })
}

// Combine makes one zone of what each member has.
func Combine(z zone.Name, parts []provider.Part) *provider.Live {
	first := parts[0].Live
	live := &provider.Live{Zone: z, Serial: first.Serial, DefaultTTL: first.DefaultTTL, Exists: true}
	some := false
	for _, part := range parts {
		live.Exists = live.Exists && part.Live.Exists
		some = some || part.Live.Exists
		if live.ApexNS == nil {
			live.ApexNS = part.Live.ApexNS
		}
	}
	if agreed(parts) {
		live.Sets, live.Digest = first.Sets, first.Digest
		return live
	}
	live.ApexNS = ownNS(z, parts)
	rest := without(first)
	digest := provider.Digest(rest)
	if !slices.ContainsFunc(parts[1:], func(part provider.Part) bool { return provider.Digest(without(part.Live)) != digest }) {
		live.Sets = append(rest, *live.ApexNS)
		live.Digest = provider.Digest(live.Sets)
		return live
	}
	live.Exists, live.Parts = some, parts
	live.Sets, live.Digest = anyOf(parts), apart(parts)
	return live
}

// without returns a member's sets without the name servers that are its own.
func without(l *provider.Live) []zone.RRSet {
	if l.ApexNS == nil {
		return slices.Clone(l.Sets)
	}
	return slices.DeleteFunc(slices.Clone(l.Sets), func(r zone.RRSet) bool { return r.Name == l.ApexNS.Name && r.Type == "NS" })
}

// anyOf is whatever any member has, the first one's where they differ.
func anyOf(parts []provider.Part) []zone.RRSet {
	all := make(map[zone.Key]zone.RRSet)
	for _, part := range slices.Backward(parts) {
		for _, set := range part.Live.Sets {
			all[set.Key()] = set
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b zone.RRSet) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
}

// apart is the digest of a zone whose members differ: of who has what.
func apart(parts []provider.Part) string {
	has := make(map[string]string, len(parts))
	for _, part := range parts {
		has[part.Provider] = part.Live.Digest
	}
	raw, _ := json.Marshal(has) // sorted, and texts always marshal
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func apexNS(z zone.Name, sets []zone.RRSet) *zone.RRSet {
	for _, set := range sets {
		if set.Name == z && set.Type == "NS" {
			return &set
		}
	}
	return nil
}

// mark begins the Extra of an NS set that no member has: those of each by its name.
const mark = `{"slipway-own-ns":`

// ownNS is the name servers that the members put at the top of the zone by themselves: the
// set that all have, or else one of all their values that is marked, so that it is the same
// as no set that anybody approved. It stands for "as each has it".
func ownNS(z zone.Name, parts []provider.Part) *zone.RRSet {
	own := make(map[string][]string, len(parts))
	set := zone.RRSet{Name: z, Type: "NS"}
	same := true
	for _, part := range parts {
		ns := part.Live.ApexNS
		same = same && ns != nil && parts[0].Live.ApexNS != nil && ns.Equal(*parts[0].Live.ApexNS)
		own[part.Provider] = []string{}
		if ns == nil {
			continue
		}
		if len(set.Values) == 0 {
			set.TTL = ns.TTL
		}
		own[part.Provider] = ns.Values
		set.Values = append(set.Values, ns.Values...)
	}
	if same {
		return parts[0].Live.ApexNS
	}
	if len(set.Values) == 0 {
		return nil
	}
	slices.Sort(set.Values)
	set.Values = slices.Compact(set.Values)
	raw, _ := json.Marshal(own)
	set.Extra = mark + string(raw) + "}"
	return &set
}

// withoutMark drops the set that stands for "as each has it".
func withoutMark(z zone.Name, sets []zone.RRSet) []zone.RRSet {
	marked := func(r zone.RRSet) bool { return r.Name == z && r.Type == "NS" && strings.HasPrefix(r.Extra, mark) }
	if !slices.ContainsFunc(sets, marked) {
		return sets
	}
	return slices.DeleteFunc(slices.Clone(sets), marked)
}
