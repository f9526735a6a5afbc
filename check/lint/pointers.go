package lint

import (
	"fmt"
	"slices"

	"slipway/zone"
)

// pointers finds the record sets of one zone that point at a name. A few
// questions are answered by reading only those that the file's text says may; from
// maxSearches on, an index of all of them pays.
type pointers struct {
	file     *zone.File
	searches int
	index    map[zone.Name][]zone.RRSet
}

const maxSearches = 16

// pointingAt returns the record sets of zone z's file that point at name.
func (v *view) pointingAt(z, name zone.Name) ([]zone.RRSet, error) {
	p := v.pointers[z]
	if p == nil {
		f, err := v.file(z)
		if err != nil {
			return nil, err
		}
		p = &pointers{file: f}
		v.pointers[z] = p
	}
	if p.file == nil {
		return nil, nil
	}
	at := p.index
	if at == nil {
		sets, err := p.read(name)
		if err != nil {
			return nil, fmt.Errorf("zone %s: %w", z, err)
		}
		at = map[zone.Name][]zone.RRSet{}
		for _, r := range sets {
			for _, t := range targets(r) {
				at[t] = append(at[t], r)
			}
		}
		if p.searches > maxSearches {
			p.index = at
		}
	}
	return slices.DeleteFunc(slices.Clone(at[name]), func(r zone.RRSet) bool { return r.Name == name }), nil
}

// read returns the record sets that may point at name, or all where an index is to be made.
func (p *pointers) read(name zone.Name) ([]zone.RRSet, error) {
	if p.searches++; p.searches > maxSearches {
		return p.file.RRSets()
	}
	return p.file.Mentioning(zone.NewSearch(map[zone.Name]bool{name: true}))
}
