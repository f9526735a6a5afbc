package lint

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"slipway/zone"
)

// pointers finds the record sets of one zone that point at a name. A few
// questions are answered from the text of the zone's file, which is read as a
// whole only when the name stands in it; from maxSearches on, an index pays.
type pointers struct {
	file     *zone.File
	lower    []byte // the file's text
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
		if f == nil {
			p.index = map[zone.Name][]zone.RRSet{}
		} else {
			p.lower = bytes.ToLower(f.Bytes())
		}
		v.pointers[z] = p
	}
	if p.index == nil {
		if p.searches++; p.searches <= maxSearches && !p.mentions(name) {
			return nil, nil
		}
		if err := p.build(); err != nil {
			return nil, fmt.Errorf("zone %s: %w", z, err)
		}
	}
	return slices.DeleteFunc(slices.Clone(p.index[name]), func(r zone.RRSet) bool { return r.Name == name }), nil
}

// mentions reports whether the text may hold name as a target. A name with
// escapes or from outside ASCII may be written in many ways, and is taken to be there.
func (p *pointers) mentions(name zone.Name) bool {
	return strings.Contains(string(name), `\`) || strings.Contains(string(name), "xn--") || bytes.Contains(p.lower, []byte(name))
}

func (p *pointers) build() error {
	sets, err := p.file.RRSets()
	if err != nil {
		return err
	}
	p.index = map[zone.Name][]zone.RRSet{}
	for _, r := range sets {
		for _, t := range targets(r) {
			p.index[t] = append(p.index[t], r)
		}
	}
	return nil
}
