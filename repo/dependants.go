package repo

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/zone"
)

// This file looks for what depends on a name, and at how lately files were touched:
// facts that say how much a change can break.

// MaxNaming is how many zone files ZonesNaming looks through: reading a file costs
// a tenth of a millisecond, and a change of one record should not cost what the repository costs.
const MaxNaming = 256

// ZonesNaming returns the zones whose file may hold one of these names as octoDNS
// writes them, in small letters, sorted. Most files are ruled out by their bytes, without
// being parsed. In a repository of more than MaxNaming zones all is false, and only the zones in first are looked through.
func (t *Tree) ZonesNaming(ctx context.Context, names map[zone.Name]bool, first []zone.Name) (found []zone.Name, all bool, err error) {
	s, err := t.Settings(ctx)
	if err != nil {
		return nil, false, err
	}
	files, err := t.zoneFiles(ctx, s)
	if err != nil {
		return nil, false, err
	}
	if all = len(files) <= MaxNaming; !all {
		files = slices.DeleteFunc(files, func(f zoneFile) bool { return !slices.Contains(first, f.zone) })
	}
	holds, oids := mentions(names), make([]string, len(files))
	for i, f := range files {
		oids[i] = f.oid
	}
	err = t.objects.readAll(ctx, oids, MaxZoneFile, func(i int, src []byte) error {
		if holds(src) {
			found = append(found, files[i].zone)
		}
		return nil
	})
	slices.Sort(found)
	return found, all, err
}

// AppsMentioning returns the apps whose manifest may hold one of these names, sorted by app.
func (t *Tree) AppsMentioning(ctx context.Context, names map[zone.Name]bool) ([]*App, error) {
	apps, err := t.appsThat(ctx, mentions(names))
	if err != nil {
		return nil, err
	}
	out := make([]*App, len(apps))
	for i, a := range apps {
		out[i] = a.clone()
	}
	return out, nil
}

// mentions looks for names in the form that octoDNS writes them, and as people read them.
func mentions(names map[zone.Name]bool) func(src []byte) bool {
	var needles [][]byte
	for n := range names {
		needles = append(needles, []byte(n))
		if u := n.Unicode(); u != string(n) {
			needles = append(needles, []byte(u))
		}
	}
	return func(src []byte) bool {
		return slices.ContainsFunc(needles, func(n []byte) bool { return bytes.Contains(src, n) })
	}
}

// Past is what the history of main says of one file since a time.
type Past struct {
	Created time.Time // zero when it is older than that
	Changes int       // commits that touched it, its creation included
}

// maxPast bounds the commits that Pasts counts.
const maxPast = 1000

// Pasts looks back from a commit, along first parents, until since. A history that is
// not there as a whole (a shallow clone) says nothing, and neither does a tree without a commit.
func (t *Tree) Pasts(ctx context.Context, paths []string, since time.Time) (map[string]Past, error) {
	if t.commit == "" || len(paths) == 0 {
		return nil, nil
	}
	shallow, err := t.repo.git.line(ctx, nil, "rev-parse", "--is-shallow-repository")
	if err != nil || shallow != "false" {
		return nil, err
	}
	args := []string{"log", "-z", "--first-parent", "--diff-merges=first-parent", "--no-renames", "--name-status", "--format=%x01%ct",
		"--max-count=" + strconv.Itoa(maxPast), "--since=" + since.UTC().Format(time.RFC3339), "--end-of-options", t.commit, "--"}
	out, err := t.repo.git.run(ctx, nil, append(args, paths...)...)
	if err != nil {
		return nil, fmt.Errorf("history of %s: %w", strings.Join(paths, ", "), err)
	}
	pasts := map[string]Past{}
	for commit := range strings.SplitSeq(string(out), "\x01") {
		fields := strings.FieldsFunc(commit, func(r rune) bool { return r == 0 || r == '\n' })
		if len(fields) == 0 {
			continue
		}
		seconds, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("history: git says %q", fields[0])
		}
		for i := 1; i+1 < len(fields); i += 2 {
			p := pasts[fields[i+1]]
			if p.Changes++; fields[i] == "A" {
				p.Created = time.Unix(seconds, 0).UTC()
			}
			pasts[fields[i+1]] = p
		}
	}
	return pasts, nil
}
