package repo

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"slipway/zone"
)

// This file looks at how lately files were touched, and for apps that depend on a name:
// facts that say how much a change can break. Zones that do are found in naming.go.

// AppsMentioning returns the apps whose manifest may hold one of these names, sorted by app.
func (t *Tree) AppsMentioning(ctx context.Context, names map[zone.Name]bool) ([]*App, error) {
	search := zone.NewSearch(names)
	apps, err := t.appsThat(ctx, func(src []byte) bool { return search.In(string(src)) })
	if err != nil {
		return nil, err
	}
	out := make([]*App, len(apps))
	for i, a := range apps {
		out[i] = a.clone()
	}
	return out, nil
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
