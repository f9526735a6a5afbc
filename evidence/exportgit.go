package evidence

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"

	"slipway/audit"
	"slipway/lifecycle"
	"slipway/repo"
)

// maxMerges bounds the changes whose commits are taken out, each of which costs a question to git.
const maxMerges = 5000

// commits writes what the changes brought to main, and the policies that they were judged by.
func (x *exporter) commits(ctx context.Context) error {
	var merged []repo.MergedChange
	judged := map[string]string{} // policy digest -> the commit that it was first read at
	for i := range x.c.events {
		e := &x.c.events[i]
		if e.Why != WhySubject {
			continue
		}
		switch e.Event.Action {
		case audit.MergeChange:
			d, err := lifecycle.Decode[lifecycle.MergeDetails](e.Event)
			if err != nil {
				return err
			}
			merged = append(merged, repo.MergedChange{ID: e.Event.Change, Commit: e.Event.GitCommit, Base: d.Base})
		case audit.CheckChange:
			d, err := lifecycle.Decode[lifecycle.CheckDetails](e.Event)
			if err != nil {
				return err
			}
			if d.PolicyDigest != "" && judged[d.PolicyDigest] == "" {
				judged[d.PolicyDigest] = d.Base
			}
		}
	}
	if len(merged) > maxMerges {
		x.gap(fmt.Sprintf("The commits of %d changes, and the policies in force.", len(merged)), fmt.Sprintf("A bundle holds those of %d changes at most. Take it out in shorter periods.", maxMerges))
		return nil
	}
	merged, err := x.known(ctx, merged)
	if err != nil {
		return err
	}
	files := map[string][]string{}
	for _, digest := range slices.Sorted(maps.Keys(judged)) {
		commit := judged[digest]
		if files[commit] != nil {
			continue
		}
		names, err := x.policies(ctx, commit)
		if errors.Is(err, repo.ErrNotFound) {
			x.gap("The policies in force at commit "+commit+".", "The repository no longer has the commit.")
			continue
		}
		if err != nil {
			return err
		}
		files[commit] = names
	}
	if len(merged)+len(files) == 0 {
		return nil
	}
	if len(x.c.src.AllowedSigners) == 0 {
		x.gap("Who signs commits.", "The bundle was made without the server's list of allowed signers.")
	} else if err := x.p.bytes(signersFile, x.c.src.AllowedSigners); err != nil {
		return err
	}
	return x.p.file(gitFile, func(w io.Writer) error { return x.c.src.Repo.Bundle(ctx, w, merged, files) })
}

// known leaves out what the repository does not have.
func (x *exporter) known(ctx context.Context, merged []repo.MergedChange) ([]repo.MergedChange, error) {
	var there []repo.MergedChange
	for _, m := range merged {
		missing := false
		for _, commit := range []string{m.Commit, m.Base} {
			switch _, err := x.c.src.Repo.Resolve(ctx, commit); {
			case errors.Is(err, repo.ErrNotFound):
				missing = true
			case err != nil:
				return nil, err
			}
		}
		if missing {
			x.gap("The commit of the change "+m.ID+".", "The repository does not have it.")
			continue
		}
		there = append(there, m)
	}
	return there, nil
}

// policies writes the organisation's settings and policies as they were at a commit.
func (x *exporter) policies(ctx context.Context, commit string) ([]string, error) {
	t, err := x.c.src.Repo.Tree(ctx, commit)
	if err != nil {
		return nil, err
	}
	names, err := t.Glob(ctx, "policies/**")
	if err != nil {
		return nil, err
	}
	in := []string{}
	for _, name := range append([]string{"slipway.yaml"}, names...) {
		content, err := t.ReadFile(ctx, name)
		if errors.Is(err, repo.ErrNotFound) && name == "slipway.yaml" {
			continue
		}
		path := policyDir + commit + "/" + name
		if err != nil || !validPath(path) {
			x.gap(fmt.Sprintf("The file %q at commit %s.", name, commit), "It cannot be read as a file of a policy.")
			continue
		}
		if err := x.p.bytes(path, content); err != nil {
			return nil, err
		}
		in = append(in, name)
	}
	return in, nil
}

// counter hashes and counts what is written, up to a limit.
type counter struct {
	w    io.Writer
	sum  hash.Hash
	n    int64
	left int64
}

func (c *counter) Write(p []byte) (int, error) {
	if int64(len(p)) > c.left-c.n {
		return 0, fmt.Errorf("the bundle would have more than %d bytes: ask for less, or for shorter periods", int64(MaxBundle))
	}
	n, err := c.w.Write(p)
	c.sum.Write(p[:n])
	c.n += int64(n)
	return n, err
}
