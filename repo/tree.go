package repo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"slipway/zone"
)

// Limits on the files that are read.
const (
	MaxFile     = 16 << 20  // ReadFile
	MaxZoneFile = 256 << 20 // one zone of some million record sets
	maxGlob     = 100_000   // paths
)

// Tree reads one commit (or tree) of the zones repository. Directories are read
// when something in them is asked for, and only then. Reads are cached; safe for
// concurrent use. What Settings returns is shared: do not write to it. Zone
// files and apps are the caller's own.
type Tree struct {
	repo    *Repo
	objects *objects
	commit  string
	root    string // tree object; "" for a tree without files

	mu       sync.Mutex // held while settings are read, so that they are read once
	settings *Settings
	zones    []zoneFile // in the order of their names
	setErr   error
}

// Commit returns the tree's commit: "" for a work tree or a bare tree.
func (t *Tree) Commit() string { return t.commit }

// ID returns the name of the tree object, "" for a tree without files. Trees
// with the same ID hold the same files.
func (t *Tree) ID() string { return t.root }

// lookup returns the entry of a path, or ErrNotFound.
func (t *Tree) lookup(ctx context.Context, file string) (entry, error) {
	if file == "." {
		return entry{mode: modeDir, oid: t.root}, nil
	}
	if err := checkPath(file); err != nil {
		return entry{}, err
	}
	at := entry{mode: modeDir, oid: t.root}
	for part := range strings.SplitSeq(file, "/") {
		if at.mode != modeDir {
			return entry{}, fmt.Errorf("%s: %w", file, ErrNotFound)
		}
		entries, err := t.objects.tree(ctx, at.oid)
		if err != nil {
			return entry{}, fmt.Errorf("%s: %w", file, err)
		}
		i := slices.IndexFunc(entries, func(e entry) bool { return e.name == part })
		if i < 0 {
			return entry{}, fmt.Errorf("%s: %w", file, ErrNotFound)
		}
		at = entries[i]
	}
	return at, nil
}

// list returns the entries of a folder; a folder that is not there is empty.
func (t *Tree) list(ctx context.Context, dir string) ([]entry, error) {
	e, err := t.lookup(ctx, dir)
	if errors.Is(err, ErrNotFound) || err == nil && e.mode != modeDir {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return t.objects.tree(ctx, e.oid)
}

// blob reads a regular file's content. Links are not followed: they could lead
// anywhere, and what they lead to is not what was reviewed.
func (t *Tree) blob(ctx context.Context, file string, e entry, limit int64) ([]byte, error) {
	src, err := t.blobText(ctx, file, e, limit)
	return []byte(src), err
}

// blobText is blob for content that is wanted as a string.
func (t *Tree) blobText(ctx context.Context, file string, e entry, limit int64) (string, error) {
	switch {
	case e.mode == modeLink || e.mode == modeGitlink:
		return "", &zone.Error{Place: zone.Place{Path: file, Line: 1}, What: "this is a link, not a file", Help: "put the content itself here"}
	case !e.regular():
		return "", fmt.Errorf("%s: %w as a file", file, ErrNotFound)
	}
	src, err := t.objects.text(ctx, e.oid, limit)
	if errors.Is(err, errTooLarge) {
		return "", &zone.Error{Place: zone.Place{Path: file, Line: 1}, What: "the file is " + err.Error(), Help: "split it"}
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return src, nil
}

// ReadFile returns the content of one file of at most MaxFile bytes.
func (t *Tree) ReadFile(ctx context.Context, file string) ([]byte, error) {
	e, err := t.lookup(ctx, file)
	if err != nil {
		return nil, err
	}
	return t.blob(ctx, file, e, MaxFile)
}

// FileDigest returns "sha256:…" of a file of any size. A link or a program
// differs from a plain file of the same content.
func (t *Tree) FileDigest(ctx context.Context, file string) (string, error) {
	e, err := t.lookup(ctx, file)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	if e.mode != modeFile {
		fmt.Fprintf(h, "mode %s\n", e.mode)
	}
	if e.mode == modeGitlink {
		fmt.Fprintf(h, "commit %s\n", e.oid)
	} else if err := t.objects.copy(ctx, h, e.oid, "blob", 1<<40); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// Settings returns the tree's settings: defaults when slipway.yaml is absent.
// Every zone that has a file but no settings is added as an external zone of an
// unknown owner. Without slipway.yaml, zone files are looked for in zones/,
// config/ and the root, in that order.
func (t *Tree) Settings(ctx context.Context) (*Settings, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.settings == nil && t.setErr == nil {
		s, zones, err := t.readSettings(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		t.settings, t.zones, t.setErr = s, zones, err
	}
	return t.settings, t.setErr
}

func (t *Tree) readSettings(ctx context.Context) (*Settings, []zoneFile, error) {
	s, err := t.ownSettings(ctx)
	var files []zoneFile
	switch {
	case err == nil:
		files, err = t.zoneFiles(ctx, s)
	case errors.Is(err, ErrNotFound):
		s = defaultSettings()
		for _, dir := range []string{DefaultZonesDirectory, "config", "."} {
			s.ZonesDirectory = dir
			if files, err = t.zoneFiles(ctx, s); err != nil || len(files) > 0 {
				break
			}
			s.ZonesDirectory = DefaultZonesDirectory
		}
	}
	if err != nil {
		return nil, nil, err
	}
	shared := true // s.Zones is that of every tree with this slipway.yaml
	for _, f := range files {
		if _, ok := s.Zones[f.zone]; ok {
			continue
		}
		if shared {
			own := *s
			own.Zones = maps.Clone(s.Zones)
			s, shared = &own, false
		}
		s.Zones[f.zone] = Zone{Visibility: "external"}
	}
	return s, files, nil
}

// ownSettings are what slipway.yaml says. They are shared.
func (t *Tree) ownSettings(ctx context.Context) (*Settings, error) {
	e, err := t.lookup(ctx, SettingsPath)
	if err != nil {
		return nil, err
	}
	if s, ok := t.repo.settings.get(e.mode + e.oid); ok {
		return s, nil
	}
	src, err := t.blob(ctx, SettingsPath, e, MaxFile)
	if err != nil {
		return nil, err
	}
	s, err := ParseSettings(SettingsPath, src)
	if err == nil {
		t.repo.settings.put(e.mode+e.oid, s, len(src))
	}
	return s, err
}

// zoneFile is a zone file found in the zones directory.
type zoneFile struct {
	zone zone.Name
	path string
	mode string
	oid  string
}

// zoneFiles lists the zone files of a tree, sorted by zone.
func (t *Tree) zoneFiles(ctx context.Context, s *Settings) ([]zoneFile, error) {
	entries, err := t.list(ctx, s.ZonesDirectory)
	if err != nil {
		return nil, err
	}
	var out []zoneFile
	for _, e := range entries {
		if e.mode == modeDir {
			continue
		}
		file := path.Join(s.ZonesDirectory, e.name)
		if name, ok := s.ZoneAt(file); ok {
			out = append(out, zoneFile{name, file, e.mode, e.oid})
		}
	}
	slices.SortFunc(out, func(a, b zoneFile) int { return strings.Compare(string(a.zone), string(b.zone)) })
	for i := 1; i < len(out); i++ {
		if out[i].zone == out[i-1].zone {
			return nil, &zone.Error{
				Place: zone.Place{Path: out[i].path, Line: 1},
				What:  fmt.Sprintf("zone %s has a second file, %s", out[i].zone, out[i-1].path),
				Help:  "put its records into one of them and remove the other",
			}
		}
	}
	return out, nil
}

// listZones returns the tree's zone files, in the order of their names. The slice is shared.
func (t *Tree) listZones(ctx context.Context) ([]zoneFile, error) {
	if _, err := t.Settings(ctx); err != nil {
		return nil, err
	}
	return t.zones, nil
}

// ZoneAt returns the zone whose file stands at path: <directory>/<zone>.yaml,
// where the name may be in Unicode, and may end in the root's dot. A name of one
// label is a zone only when the settings list it, so that config.yaml is none.
func (s *Settings) ZoneAt(file string) (zone.Name, bool) {
	if path.Dir(file) != s.ZonesDirectory || file == SettingsPath {
		return "", false
	}
	base, ok := strings.CutSuffix(path.Base(file), ".yaml")
	if !ok {
		return "", false
	}
	name, err := zone.ParseName(base)
	if err != nil || name == "." || name == "" {
		return "", false
	}
	_, listed := s.Zones[name]
	return name, listed || strings.Contains(string(name), ".")
}

// ZoneNames returns the zones that have a file, sorted.
func (t *Tree) ZoneNames(ctx context.Context) ([]zone.Name, error) {
	files, err := t.listZones(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]zone.Name, len(files))
	for i, f := range files {
		out[i] = f.zone
	}
	return out, nil
}

// ZonePath returns where a zone's file stands, or ErrNotFound.
func (t *Tree) ZonePath(ctx context.Context, name zone.Name) (string, error) {
	p, _, err := t.zoneEntry(ctx, name)
	return p, err
}

func (t *Tree) zoneEntry(ctx context.Context, name zone.Name) (string, entry, error) {
	files, err := t.listZones(ctx)
	if err != nil {
		return "", entry{}, err
	}
	i, found := slices.BinarySearchFunc(files, name, func(f zoneFile, n zone.Name) int { return strings.Compare(string(f.zone), string(n)) })
	if !found {
		return "", entry{}, fmt.Errorf("zone %s: %w", name, ErrNotFound)
	}
	return files[i].path, entry{mode: files[i].mode, name: path.Base(files[i].path), oid: files[i].oid}, nil
}

// fileKey names a zone's file as it is read: faults in it name its path.
func fileKey(name zone.Name, path, oid string) string {
	return string(name) + "\x00" + path + "\x00" + oid
}

// ZoneFile returns a zone's file, or ErrNotFound.
func (t *Tree) ZoneFile(ctx context.Context, name zone.Name) (*zone.File, error) {
	p, e, err := t.zoneEntry(ctx, name)
	if err != nil {
		return nil, err
	}
	key := fileKey(name, p, e.oid)
	if f, ok := t.repo.files.get(key); ok && e.regular() {
		return f.Clone(), nil
	}
	src, err := t.blobText(ctx, p, e, MaxZoneFile)
	if err != nil {
		return nil, err
	}
	var f *zone.File
	last, _ := t.repo.last.get(string(name))
	if like, ok := t.repo.files.get(last); ok {
		f, err = like.Revised(p, src)
	} else {
		f, err = zone.ParseYAML(name, p, src)
	}
	if err != nil {
		return nil, err
	}
	t.repo.files.put(key, f, 2*len(src)+256) // finding blocks takes about as much as they do
	t.repo.last.put(string(name), key, len(key)+256)
	return f.Clone(), nil
}

// Served returns a zone as it is served: the record sets of its file, and those
// of every app whose most specific zone it is, sorted by name and type. Two
// owners of one record set are a *zone.Error that names both files.
func (t *Tree) Served(ctx context.Context, name zone.Name) ([]zone.RRSet, error) {
	s, err := t.Settings(ctx)
	if err != nil {
		return nil, err
	}
	var sets []zone.RRSet
	f, err := t.ZoneFile(ctx, name)
	switch {
	case err == nil:
		if sets, err = f.RRSets(); err != nil {
			return nil, err
		}
	case !errors.Is(err, ErrNotFound):
		return nil, err
	}
	if _, known := s.Zones[name]; !known && f == nil {
		return nil, fmt.Errorf("zone %s: %w", name, ErrNotFound)
	}
	apps, err := t.sharedApps(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range apps {
		for _, r := range a.Records {
			if z, ok := s.ZoneOf(r.Name); ok && z == name {
				r.Values = slices.Clone(r.Values)
				sets = append(sets, r)
			}
		}
	}
	slices.SortStableFunc(sets, func(a, b zone.RRSet) int { return CompareKeys(a.Key(), b.Key()) })
	for i := 1; i < len(sets); i++ {
		if sets[i].Key() == sets[i-1].Key() {
			return nil, TwoOwners(sets[i-1], sets[i])
		}
	}
	return sets, nil
}

// CompareKeys orders record sets by name, then type.
func CompareKeys(a, b zone.Key) int {
	if c := strings.Compare(string(a.Name), string(b.Name)); c != 0 {
		return c
	}
	return strings.Compare(a.Type, b.Type)
}

// TwoOwners is the error that one record set stands in two files.
func TwoOwners(first, second zone.RRSet) *zone.Error {
	return &zone.Error{
		Place: second.Place,
		What:  fmt.Sprintf("the record set %s %s already belongs to %s", second.Name, second.Type, first.Place),
		Help:  "a record set has one owner: change it there, or choose another name",
	}
}

// Glob returns the files that match pattern, sorted: * and ? stay within one
// folder, ** crosses folders ("policies/**.rego" is every Rego file below policies).
func (t *Tree) Glob(ctx context.Context, pattern string) ([]string, error) {
	re, fixed, err := globPattern(pattern)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	e, err := t.lookup(ctx, fixed)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	var out []string
	var walk func(dir string, e entry) error
	walk = func(at string, e entry) error {
		if e.mode != modeDir {
			if re.MatchString(at) {
				out = append(out, at)
			}
			if len(out) > maxGlob {
				return fmt.Errorf("pattern %q matches more than %d files", pattern, maxGlob)
			}
			return nil
		}
		entries, err := t.objects.tree(ctx, e.oid)
		if err != nil {
			return err
		}
		for _, child := range entries {
			p := path.Join(at, child.name)
			if child.mode == modeDir && !strings.Contains(pattern, "**") && strings.Count(p, "/") >= strings.Count(pattern, "/") {
				continue // deeper than the pattern reaches
			}
			if err := walk(p, child); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(fixed, e); err != nil {
		return nil, err
	}
	slices.Sort(out)
	return out, nil
}

// globPattern compiles a pattern, and returns the folder before its first wildcard.
func globPattern(pattern string) (*regexp.Regexp, string, error) {
	fixed := "."
	if i := strings.IndexAny(pattern, "*?"); i >= 0 {
		fixed = path.Dir(pattern[:i] + "x")
	} else {
		fixed = pattern
	}
	q := regexp.QuoteMeta(pattern)
	q = strings.NewReplacer(`\*\*/`, `(?:.*/)?`, `\*\*`, `.*`, `\*`, `[^/]*`, `\?`, `[^/]`).Replace(q)
	re, err := regexp.Compile(`\A` + q + `\z`) // fails on what is not UTF-8
	return re, fixed, err
}
