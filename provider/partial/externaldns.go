package partial

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"slipway/zone"
)

// This file reads the TXT registry of external-dns: beside each record set that it makes it
// keeps a TXT record that says so, `heritage=external-dns,external-dns/owner=ID,…`, here
// called a mark. The mark of www.example.com has the same name (the old form), or one with
// the type before it, a-www.example.com (the new one); and either may have a prefix or a
// suffix that whoever runs external-dns has chosen, with the type in it or not
// (--txt-prefix, --txt-suffix). What was chosen does not stand in the zone. So the parts of
// a mark's name are tried out against the record sets that there are, and what fits most of
// it counts. Encrypted marks (--txt-encrypt-enabled) cannot be told from other texts.

// heritage opens the value of every mark.
const heritage = "heritage=external-dns"

// Bounds on taking a mark's name apart.
const (
	mostWords  = 24 // of one label
	mostLabels = 4  // that a prefix and what it stands before have together
)

// mark is one TXT record set of the registry.
type mark struct {
	name  zone.Name
	owner string
}

// registry says what external-dns has in one zone.
type registry struct {
	marks map[zone.Name]mark
	owned map[zone.Key]mark
}

// readRegistry finds the marks among the sets of a zone, and what each is for among these and
// the further keys that are asked for.
func readRegistry(sets []zone.RRSet, asked ...Keys) registry {
	var r registry
	for i := range sets {
		if sets[i].Type != "TXT" {
			continue
		}
		if owner, ok := ownerOf(sets[i]); ok {
			if r.marks == nil {
				r.marks = make(map[zone.Name]mark)
			}
			r.marks[sets[i].Name] = mark{sets[i].Name, owner}
		}
	}
	if len(r.marks) == 0 {
		return r
	}
	types := make(map[zone.Name][]string)
	for i := range sets {
		types[sets[i].Name] = append(types[sets[i].Name], sets[i].Type)
	}
	for _, keys := range asked {
		for k := range keys {
			if !slices.Contains(types[k.Name], k.Type) {
				types[k.Name] = append(types[k.Name], k.Type)
			}
		}
	}
	r.assign(types)
	return r
}

// assign finds what each mark is for. A mark whose affix does not say a type is believed when
// another has the same affix, or when the affix speaks of DNS: else `test-shop` would be
// taken for a mark of `shop`.
func (r *registry) assign(types map[zone.Name][]string) {
	r.owned = make(map[zone.Key]mark)
	votes := make(map[affix]int)
	open := make(map[zone.Name][]fit)
	for _, m := range r.marks {
		fits := m.fits(types)
		if len(fits) > 0 && fits[0].certain {
			r.take(m, fits[0])
			continue
		}
		open[m.name] = fits
		for _, f := range fits {
			votes[f.affix]++
		}
	}
	for name, fits := range open {
		for _, f := range fits {
			if votes[f.affix] > 1 || strings.Contains(f.prefix+f.suffix, "dns") {
				r.take(r.marks[name], f)
				break
			}
		}
	}
}

func (r *registry) take(m mark, f fit) {
	for _, t := range f.types {
		r.owned[zone.Key{Name: f.name, Type: t}] = m
	}
}

type affix struct{ prefix, suffix string }

// fit is one way to read a mark's name.
type fit struct {
	affix
	name    zone.Name
	label   string
	types   []string // of the sets of that name which it would be for
	certain bool     // the mark has the very name, or says the type
}

// fits are the ways to read a mark's name for which there is a record set, the best first:
// those that are certain, and of these the one with the longest label of the set's own.
func (m mark) fits(types map[zone.Name][]string) []fit {
	var out []fit
	if same := slices.DeleteFunc(slices.Clone(types[m.name]), func(t string) bool { return !usual(t) }); len(same) > 0 {
		return []fit{{name: m.name, types: same, certain: true}}
	}
	labels := m.name.Labels()
	for n := 0; n < min(len(labels), mostLabels); n++ {
		// labels[n] holds the set's own first label, those before it are of the prefix.
		before, parent := "", strings.Join(labels[n+1:], ".")
		if n > 0 {
			before = strings.Join(labels[:n], ".") + "."
		}
		if parent != "" {
			parent = "." + parent
		}
		label := labels[n]
		cuts := seams(label)
		for i, from := range cuts {
			for _, to := range cuts[i:] {
				to-- // without the seam
				if to <= from {
					continue
				}
				a := affix{before + label[:from], label[to:]}
				if f, ok := a.of(zone.Name(label[from:to]+parent), types); ok {
					f.label = label[from:to]
					out = append(out, f)
				}
			}
		}
		if len(out) == 0 && n == 0 {
			// The star of a wildcard may have been written as another word (--txt-wildcard-replacement).
			if f, ok := (affix{label, ""}).of(zone.Name("*"+parent), types); ok && f.certain {
				out = append(out, f)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b fit) int {
		if a.certain != b.certain {
			if a.certain {
				return -1
			}
			return 1
		}
		return cmp.Compare(len(b.label), len(a.label))
	})
	return out
}

// of says whether there is a set of that name which a mark with this affix would be for.
func (a affix) of(name zone.Name, types map[zone.Name][]string) (fit, bool) {
	f := fit{affix: a, name: name}
	for _, t := range types[name] {
		if a.says(t) {
			f.types, f.certain = append(f.types, t), true
		}
	}
	if !f.certain && a != (affix{}) {
		for _, t := range types[name] {
			if usual(t) {
				f.types = append(f.types, t)
			}
		}
	}
	return f, len(f.types) > 0
}

// seams are the places in a label where a part of it can begin: its start, behind each of
// the characters that separate, and one past its end.
func seams(label string) []int {
	cuts := []int{0}
	for i := range len(label) {
		if (label[i] == '-' || label[i] == '_') && len(cuts) < mostWords {
			cuts = append(cuts, i+1)
		}
	}
	return append(cuts, len(label)+1)
}

// says tells whether one of the words of an affix is the type of a set. The mark of an alias
// record of Route 53 says cname, whatever the addresses that it stands for.
func (a affix) says(typ string) bool {
	for _, s := range []string{a.prefix, a.suffix} {
		for w := range strings.FieldsFuncSeq(s, func(c rune) bool { return c == '-' || c == '.' || c == '_' }) {
			if strings.EqualFold(w, typ) || w == "cname" && usual(typ) {
				return true
			}
		}
	}
	return false
}

// usual says whether external-dns makes record sets of a type unless it is told to make others.
func usual(typ string) bool {
	return typ == "A" || typ == "AAAA" || typ == "CNAME" || strings.Contains(typ, "/")
}

// ownerOf reads the value of a mark.
func ownerOf(set zone.RRSet) (owner string, ok bool) {
	for _, v := range set.Values {
		if !strings.Contains(v, heritage) { // most texts are something else
			continue
		}
		parts, err := zone.Fields(v)
		if err != nil {
			continue
		}
		// external-dns writes quotes of its own, which some providers keep as text.
		fields := strings.Split(strings.Trim(strings.Join(parts, ""), `"`), ",")
		if fields[0] != heritage {
			continue
		}
		for _, f := range fields[1:] {
			if id, found := strings.CutPrefix(f, "external-dns/owner="); found {
				owner = id
			}
		}
		return owner, true
	}
	return "", false
}

// why says why a record set is external-dns's, or "".
func (r registry) why(k zone.Key) string {
	if m, ok := r.marks[k.Name]; ok && k.Type == "TXT" {
		return "it is the mark of external-dns" + m.called() + " for its own records"
	}
	if m, ok := r.owned[k]; ok {
		return fmt.Sprintf("external-dns%s made it, as the record %s says; change it in the cluster, at the resource that it is for", m.called(), m.name)
	}
	return ""
}

func (m mark) called() string {
	if m.owner == "" {
		return ""
	}
	return fmt.Sprintf(" (owner %.100q)", m.owner)
}
