package lint

import (
	"context"
	"errors"
	"slices"

	"slipway/change"
	"slipway/repo"
	"slipway/zone"
)

// view answers what the head serves at a name, reading only what is asked for.
type view struct {
	ctx      context.Context
	tree     *repo.Tree
	settings *repo.Settings // of the head: it says which zone serves a name
	ours     map[zone.Name]bool
	files    map[zone.Name]*zone.File   // nil: the zone has no file
	apps     map[zone.Name][]zone.RRSet // by name; a name that is absent has not been asked
	pointers map[zone.Name]*pointers    // by zone
}

func newView(ctx context.Context, tree *repo.Tree, inForce *repo.Settings) (*view, error) {
	settings, err := tree.Settings(ctx)
	if err != nil {
		return nil, err
	}
	names, err := tree.ZoneNames(ctx)
	if err != nil {
		return nil, err
	}
	v := &view{
		ctx: ctx, tree: tree, settings: settings,
		ours:  make(map[zone.Name]bool, len(names)),
		files: map[zone.Name]*zone.File{}, apps: map[zone.Name][]zone.RRSet{},
		pointers: map[zone.Name]*pointers{},
	}
	for _, n := range names {
		v.ours[n] = true
	}
	for _, s := range []*repo.Settings{settings, inForce} {
		for n := range s.Zones {
			v.ours[n] = true
		}
	}
	return v, nil
}

// expect reads the apps' records of every edited name and its targets at once:
// one look through the manifests instead of one for each.
func (v *view) expect(c *change.Change) error {
	names := map[zone.Name]bool{}
	for _, e := range c.Edits {
		names[e.Name] = true
		if e.After != nil {
			for _, t := range targets(*e.After) {
				names[t] = true
			}
		}
	}
	return v.readApps(names)
}

func (v *view) readApps(names map[zone.Name]bool) error {
	for n := range names {
		if _, known := v.apps[n]; known {
			delete(names, n)
		}
	}
	if len(names) == 0 {
		return nil
	}
	apps, err := v.tree.AppsNaming(v.ctx, names)
	if err != nil {
		return err
	}
	for n := range names {
		v.apps[n] = nil
	}
	for _, a := range apps {
		for _, r := range a.Records {
			if names[r.Name] {
				v.apps[r.Name] = append(v.apps[r.Name], r)
			}
		}
	}
	return nil
}

// zoneOf returns the zone of ours that name would be answered from.
func (v *view) zoneOf(name zone.Name) (zone.Name, bool) {
	for n := name; ; n = n.Parent() {
		if v.ours[n] {
			return n, true
		}
		if n == "." || n == "" {
			return "", false
		}
	}
}

func (v *view) file(z zone.Name) (*zone.File, error) {
	if f, known := v.files[z]; known {
		return f, nil
	}
	f, err := v.tree.ZoneFile(v.ctx, z)
	if errors.Is(err, repo.ErrNotFound) {
		f, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	v.files[z] = f
	return f, nil
}

// at returns the record sets that zone z serves at name.
func (v *view) at(z, name zone.Name) ([]zone.RRSet, error) {
	f, err := v.file(z)
	if err != nil {
		return nil, err
	}
	var sets []zone.RRSet
	if f != nil {
		if sets, err = f.At(name); err != nil {
			return nil, err
		}
	}
	if _, known := v.apps[name]; !known {
		if err := v.readApps(map[zone.Name]bool{name: true}); err != nil {
			return nil, err
		}
	}
	if served, ok := v.settings.ZoneOf(name); ok && served == z {
		sets = slices.Concat(sets, v.apps[name])
	}
	return sets, nil
}

// answer is what resolution meets at a name.
type answer struct {
	zone zone.Name
	sets []zone.RRSet // of the name itself, or of the wildcard that covers it
	// beyond: the name is below a delegation or a DNAME, so its data are elsewhere.
	beyond bool
}

// resolve looks a name up in our zones, as RFC 1034 section 4.3.2 does, without
// following aliases. ok is false when the name is in no zone of ours.
func (v *view) resolve(name zone.Name) (a answer, ok bool, err error) {
	if a.zone, ok = v.zoneOf(name); !ok {
		return a, false, nil
	}
	if a.sets, err = v.at(a.zone, name); err != nil || len(a.sets) > 0 {
		return a, true, err
	}
	for n := name; n != a.zone && n.Parent() != a.zone; {
		n = n.Parent()
		above, err := v.at(a.zone, n)
		if err != nil {
			return a, true, err
		}
		if slices.ContainsFunc(above, func(r zone.RRSet) bool { return r.Type == "NS" || r.Type == "DNAME" }) {
			a.beyond = true
			return a, true, nil
		}
	}
	for n := name; n != a.zone; {
		n = n.Parent()
		wild, err := zone.ParseName("*." + string(n))
		if err != nil {
			break // longer than a name can be
		}
		if a.sets, err = v.at(a.zone, wild); err != nil || len(a.sets) > 0 {
			return a, true, err
		}
		if here, err := v.at(a.zone, n); err != nil || len(here) > 0 {
			return a, true, err // the closest encloser stops wildcards above it (RFC 4592 section 3.3.1)
		}
	}
	return a, true, nil
}
