package repo

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"slipway/zone"
)

// This file reads the apps of a tree: one, all, or those that matter to a change.

// AppNames returns the names of all apps, sorted. No manifest is read.
func (t *Tree) AppNames(ctx context.Context) ([]string, error) {
	entries, err := t.appEntries(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = strings.TrimSuffix(e.name, ".yaml")
	}
	return out, nil
}

func (t *Tree) appEntries(ctx context.Context) ([]entry, error) {
	entries, err := t.list(ctx, AppsDirectory)
	if err != nil {
		return nil, err
	}
	var out []entry
	for _, e := range entries {
		if e.mode != modeDir && strings.HasSuffix(e.name, ".yaml") {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// Apps returns every app, sorted by name.
func (t *Tree) Apps(ctx context.Context) ([]*App, error) {
	apps, err := t.sharedApps(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]*App, len(apps))
	for i, a := range apps {
		out[i] = a.clone()
	}
	return out, nil
}

// App returns one app, or ErrNotFound.
func (t *Tree) App(ctx context.Context, name string) (*App, error) {
	if !ValidAppName(name) {
		return nil, fmt.Errorf("app %q: %w", name, ErrNotFound)
	}
	e, err := t.lookup(ctx, AppPath(name))
	if err != nil {
		return nil, fmt.Errorf("app %s: %w", name, err)
	}
	a, err := t.sharedApp(ctx, AppPath(name), e)
	if err != nil {
		return nil, err
	}
	return a.clone(), nil
}

// sharedApps returns the apps as they lie in the cache, and parses those that do not.
func (t *Tree) sharedApps(ctx context.Context) ([]*App, error) {
	return t.appsThat(ctx, func([]byte) bool { return true })
}

// appsThat returns the apps that are cached, or whose source wanted lets through.
func (t *Tree) appsThat(ctx context.Context, wanted func(src []byte) bool) ([]*App, error) {
	entries, err := t.appEntries(ctx)
	if err != nil {
		return nil, err
	}
	apps := make([]*App, len(entries))
	var missing []int
	var oids []string
	for i, e := range entries {
		if a, ok := t.repo.apps.get(appKey(e)); ok {
			apps[i] = a
			continue
		}
		if !e.regular() {
			_, err := t.blob(ctx, path.Join(AppsDirectory, e.name), e, maxApp)
			return nil, err
		}
		missing, oids = append(missing, i), append(oids, e.oid)
	}
	err = t.objects.readAll(ctx, oids, maxApp, func(i int, src []byte) error {
		e := entries[missing[i]]
		if !wanted(src) {
			return nil
		}
		a, err := ParseApp(path.Join(AppsDirectory, e.name), src)
		if err != nil {
			return err
		}
		t.repo.apps.put(appKey(e), a)
		apps[missing[i]] = a
		return nil
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(apps, func(a *App) bool { return a == nil }), nil
}

// appKey names a manifest's content: its name is part of what it says.
func appKey(e entry) string { return e.name + "\x00" + e.oid }

func (t *Tree) sharedApp(ctx context.Context, file string, e entry) (*App, error) {
	if a, ok := t.repo.apps.get(appKey(e)); ok {
		return a, nil
	}
	src, err := t.blob(ctx, file, e, maxApp)
	if err != nil {
		return nil, err
	}
	a, err := ParseApp(file, src)
	if err != nil {
		return nil, err
	}
	t.repo.apps.put(appKey(e), a)
	return a, nil
}

// AppsNaming returns the apps that have a record of one of these names, sorted by
// app. Most manifests are ruled out by their bytes, without being parsed.
func (t *Tree) AppsNaming(ctx context.Context, names map[zone.Name]bool) ([]*App, error) {
	if len(names) == 0 {
		return nil, nil
	}
	apps, err := t.appsThat(ctx, func(src []byte) bool { return len(names) > 16 || mayName(src, names) })
	if err != nil {
		return nil, err
	}
	var out []*App
	for _, a := range apps {
		if slices.ContainsFunc(a.Records, func(r zone.RRSet) bool { return names[r.Name] }) {
			out = append(out, a.clone())
		}
	}
	return out, nil
}

// mayName reports whether a manifest may hold one of the names. A name in plain
// letters stands in YAML as it is, unless something is escaped or in Unicode.
func mayName(src []byte, names map[zone.Name]bool) bool {
	lower := bytes.ToLower(src)
	if bytes.ContainsAny(lower, "\\'") || bytes.ContainsFunc(lower, func(r rune) bool { return r > 0x7e }) {
		return true
	}
	for n := range names {
		if bytes.Contains(lower, []byte(n)) {
			return true
		}
	}
	return false
}
