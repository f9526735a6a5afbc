package change

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"slipway/repo"
	"slipway/zone"
)

// Compute returns the change from base to head. Cost follows the files that
// differ. A nil base is the state before the first commit. Unusable input comes
// back as *zone.Error with file and line.
func Compute(ctx context.Context, r *repo.Repo, base, head *repo.Tree) (*Change, error) {
	if base == nil {
		base = r.EmptyTree()
	}
	c := &computation{ctx: ctx, base: side{Tree: base}, head: side{Tree: head}, zones: map[zone.Name]*zoneEdits{}}
	for _, s := range []*side{&c.base, &c.head} {
		var err error
		if s.settings, err = s.Settings(ctx); err != nil {
			return nil, err
		}
	}
	paths, err := r.ChangedPaths(ctx, base, head)
	if err != nil {
		return nil, err
	}
	out := &Change{Base: base.Commit(), Head: head.Commit(), Edits: []zone.Edit{}}
	if err := c.files(paths, out); err != nil {
		return nil, err
	}
	if err := c.moved(); err != nil {
		return nil, err
	}
	if out.Edits, err = c.edits(); err != nil {
		return nil, err
	}
	if err := c.owners(out.Edits); err != nil {
		return nil, err
	}
	for _, e := range out.Edits {
		switch e.Op {
		case zone.Create:
			out.Creates++
		case zone.Update:
			out.Updates++
		case zone.Delete:
			out.Deletes++
		}
	}
	out.Digest, err = out.digest()
	return out, err
}

// side is one of the two trees, with its settings.
type side struct {
	*repo.Tree
	settings *repo.Settings
}

// computation gathers, per zone, the record sets that files lose and gain.
type computation struct {
	ctx        context.Context
	base, head side
	zones      map[zone.Name]*zoneEdits
	apps       map[string]bool // whose records are gathered
}

// zoneEdits is what the changed files say about one zone: the record sets that
// they held and hold, whichever file that is.
type zoneEdits struct {
	before, after []zone.RRSet
	file          bool // the zone's own file has been compared
}

func (c *computation) zone(name zone.Name) *zoneEdits {
	z := c.zones[name]
	if z == nil {
		z = &zoneEdits{}
		c.zones[name] = z
	}
	return z
}

// files sorts the changed files by what they are.
func (c *computation) files(paths []repo.PathChange, out *Change) error {
	c.apps = map[string]bool{}
	for _, p := range paths {
		was, isOld := c.base.settings.ZoneAt(p.Path)
		now, isNew := c.head.settings.ZoneAt(p.Path)
		isOld, isNew = isOld && p.OldBlob != "", isNew && p.NewBlob != ""
		if isOld {
			if err := c.compare(was); err != nil {
				return err
			}
		}
		if isNew {
			if err := c.compare(now); err != nil {
				return err
			}
		}
		switch {
		case isApp(p.Path):
			e, err := c.app(p)
			if err != nil {
				return err
			}
			if e != nil {
				out.Apps = append(out.Apps, *e)
			}
		// A file that is a zone before and after, or is new or gone, is told by its record
		// sets. One that only ceases to be a zone's file is still there, as something else.
		case isOld && (isNew || p.NewBlob == ""), isNew && p.OldBlob == "":
		default:
			e, err := c.other(p)
			if err != nil {
				return err
			}
			out.Files = append(out.Files, e)
		}
	}
	return nil
}

func isApp(p string) bool {
	return path.Dir(p) == repo.AppsDirectory && strings.HasSuffix(p, ".yaml")
}

// compare gathers what one zone's file loses and gains.
func (c *computation) compare(name zone.Name) error {
	z := c.zone(name)
	if z.file {
		return nil
	}
	z.file = true
	base, err := c.base.zoneFile(c.ctx, name)
	if err != nil {
		return err
	}
	head, err := c.head.zoneFile(c.ctx, name)
	if err != nil {
		return err
	}
	edits, err := zone.DiffFiles(base, head)
	if err != nil {
		return err
	}
	for _, e := range edits {
		if e.Before != nil {
			z.before = append(z.before, *e.Before)
		}
		if e.After != nil {
			z.after = append(z.after, *e.After)
		}
	}
	return nil
}

// zoneFile returns a zone's file, nil when there is none.
func (s side) zoneFile(ctx context.Context, name zone.Name) (*zone.File, error) {
	f, err := s.ZoneFile(ctx, name)
	if errors.Is(err, repo.ErrNotFound) {
		return nil, nil
	}
	return f, err
}

// app gathers the records of one manifest and returns its edit: nil when only
// its formatting differs.
func (c *computation) app(p repo.PathChange) (*AppEdit, error) {
	name := strings.TrimSuffix(path.Base(p.Path), ".yaml")
	e := &AppEdit{Op: zone.Update, Name: name}
	var err error
	if p.OldBlob == "" {
		e.Op = zone.Create
	} else if e.Before, err = c.base.appOf(c.ctx, p.Path, name); err != nil {
		return nil, err
	}
	if p.NewBlob == "" {
		e.Op = zone.Delete
	} else if e.After, err = c.head.appOf(c.ctx, p.Path, name); err != nil {
		return nil, err
	}
	c.apps[name] = true
	if err := c.gather(e.Before, e.After); err != nil {
		return nil, err
	}
	if e.Before != nil && e.After != nil && sameApp(e.Before, e.After) {
		return nil, nil
	}
	return e, nil
}

// appOf reads a manifest. A name that no app can have is an error of the manifest.
func (s side) appOf(ctx context.Context, file, name string) (*repo.App, error) {
	if !repo.ValidAppName(name) {
		_, err := repo.ParseApp(file, nil)
		return nil, err
	}
	return s.App(ctx, name)
}

// gather adds the records of an app, before and after, to their zones.
func (c *computation) gather(before, after *repo.App) error {
	if before != nil {
		for _, r := range before.Records {
			if name, ok := c.base.settings.ZoneOf(r.Name); ok {
				z := c.zone(name)
				z.before = append(z.before, r)
			}
		}
	}
	if after != nil {
		for _, r := range after.Records {
			name, ok := c.head.settings.ZoneOf(r.Name)
			if !ok {
				return &zone.Error{
					Place: r.Place,
					What:  fmt.Sprintf("%s lies in no zone of this repository, so it would never be served", r.Name),
					Help:  "choose a name in one of: " + someZones(c.head.settings),
				}
			}
			z := c.zone(name)
			z.after = append(z.after, r)
		}
	}
	return nil
}

func someZones(s *repo.Settings) string {
	const most = 8
	var names []string
	for _, n := range slices.Sorted(maps.Keys(s.Zones)) {
		if len(names) == most {
			names = append(names, "…")
			break
		}
		names = append(names, string(n))
	}
	if len(names) == 0 {
		return "(there is no zone yet)"
	}
	return strings.Join(names, ", ")
}

// moved gathers what is served otherwise though its own file did not change:
// other settings may find zones elsewhere, or put an app's record into another zone.
func (c *computation) moved() error {
	b, h := c.base.settings, c.head.settings
	sameZones := maps.EqualFunc(b.Zones, h.Zones, func(repo.Zone, repo.Zone) bool { return true })
	if b.ZonesDirectory == h.ZonesDirectory && sameZones {
		return nil
	}
	// A zone that has a file on one side only was either compared with its path, or became one by the settings.
	for _, s := range []side{c.base, c.head} {
		names, err := s.ZoneNames(c.ctx)
		if err != nil {
			return err
		}
		for _, name := range names {
			if b.ZonesDirectory == h.ZonesDirectory && known(b, name) == known(h, name) {
				continue
			}
			if err := c.compare(name); err != nil {
				return err
			}
		}
	}
	if sameZones {
		return nil
	}
	before, err := c.base.Apps(c.ctx)
	if err != nil {
		return err
	}
	for _, old := range before {
		if c.apps[old.Name] {
			continue
		}
		now, err := c.head.App(c.ctx, old.Name)
		if err != nil {
			return err
		}
		if err := c.gather(old, now); err != nil {
			return err
		}
	}
	return nil
}

func known(s *repo.Settings, name zone.Name) bool {
	_, ok := s.Zones[name]
	return ok
}

// edits turns what was gathered into edits, sorted by zone, name and type. A
// record set that moved from one file to another without change is none.
func (c *computation) edits() ([]zone.Edit, error) {
	out := []zone.Edit{}
	for _, name := range slices.Sorted(maps.Keys(c.zones)) {
		z := c.zones[name]
		slices.SortStableFunc(z.after, func(a, b zone.RRSet) int { return repo.CompareKeys(a.Key(), b.Key()) })
		for i := 1; i < len(z.after); i++ {
			if z.after[i].Key() == z.after[i-1].Key() {
				return nil, c.twoOwners(z.after[i-1], z.after[i])
			}
		}
		out = append(out, zone.Diff(name, z.before, z.after)...)
	}
	return out, nil
}

// other describes a file that is neither a zone nor an app.
func (c *computation) other(p repo.PathChange) (FileEdit, error) {
	e := FileEdit{Op: zone.Update, Path: p.Path, Kind: kindOf(p.Path)}
	if p.OldBlob == "" {
		e.Op = zone.Create
	}
	if p.NewBlob == "" {
		e.Op = zone.Delete
		return e, nil
	}
	var err error
	e.Digest, err = c.head.FileDigest(c.ctx, p.Path)
	return e, err
}

func kindOf(p string) string {
	top, _, below := strings.Cut(p, "/")
	switch {
	case p == repo.SettingsPath:
		return KindSettings
	case below && top == "policies":
		return KindPolicy
	case below && top == "domains":
		return KindDomain
	}
	return KindOther
}
