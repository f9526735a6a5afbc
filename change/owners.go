package change

import (
	"slices"

	"slipway/repo"
	"slipway/zone"
)

// owners finds record sets that the head gives two owners. Only those that the
// change touches are looked for: the others were fine before it.
func (c *computation) owners(edits []zone.Edit) error {
	names := map[zone.Name]bool{}
	for _, z := range c.zones {
		for _, r := range z.after {
			names[r.Name] = true
		}
	}
	if len(names) == 0 {
		return nil
	}
	apps, err := c.head.AppsNaming(c.ctx, names)
	if err != nil {
		return err
	}
	owner := map[zone.Key]zone.RRSet{}
	for _, a := range apps {
		for _, r := range a.Records {
			if first, taken := owner[r.Key()]; taken && names[r.Name] {
				return c.twoOwners(first, r)
			}
			owner[r.Key()] = r
		}
	}
	// Against the zone files: only names that an app has can stand twice.
	byZone := map[zone.Name][]zone.RRSet{}
	for k, r := range owner {
		if name, ok := c.head.settings.ZoneOf(k.Name); ok && names[k.Name] {
			byZone[name] = append(byZone[name], r)
		}
	}
	for name, sets := range byZone {
		f, err := c.head.zoneFile(c.ctx, name)
		if err != nil {
			return err
		}
		if f == nil {
			continue
		}
		slices.SortFunc(sets, func(a, b zone.RRSet) int { return repo.CompareKeys(a.Key(), b.Key()) })
		for _, r := range sets {
			there, err := f.At(r.Name)
			if err != nil {
				return err
			}
			for _, t := range there {
				if t.Key() == r.Key() {
					return c.twoOwners(t, r)
				}
			}
		}
	}
	return nil
}

// twoOwners blames the file that came second: the one that base does not have so.
func (c *computation) twoOwners(a, b zone.RRSet) error {
	if c.isNew(a) && !c.isNew(b) {
		a, b = b, a
	}
	return repo.TwoOwners(a, b)
}

// isNew reports whether this change brings r to where it stands.
func (c *computation) isNew(r zone.RRSet) bool {
	for _, z := range c.zones {
		after := slices.ContainsFunc(z.after, func(o zone.RRSet) bool { return o.Key() == r.Key() && o.Place == r.Place })
		before := slices.ContainsFunc(z.before, func(o zone.RRSet) bool {
			return o.Key() == r.Key() && o.Place.Path == r.Place.Path
		})
		if after && !before {
			return true
		}
	}
	return false
}
