package main

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"

	"github.com/rogpeppe/go-internal/testscript"

	"slipway/provider"
	"slipway/provider/zonefile"
	"slipway/repo"
)

// publish makes the zone files in a folder what the files of a zones repository say, as a server does when it
// applies: publish LIVE DIR. A folder that is no repository becomes one.
func publish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: publish LIVE DIR")
	}
	dir := ts.MkAbs(args[1])
	if err := ts.Exec("git", "-C", dir, "rev-parse", "--show-toplevel"); err != nil {
		ts.Check(ts.Exec("git", "-C", dir, "init", "-q"))
	}
	ts.Check(publishZones(context.Background(), ts.MkAbs(args[0]), dir, workTree))
}

func publishZones(ctx context.Context, live, dir, commit string) error {
	p, err := zonefile.New(zonefile.Options{Dir: filepath.Clean(live)})
	if err != nil {
		return err
	}
	r, err := repo.Open(ctx, dir)
	if err != nil {
		return err
	}
	defer r.Close()
	tree, err := r.WorkTree(ctx)
	if commit != workTree {
		tree, err = r.Tree(ctx, commit)
	}
	if err != nil {
		return err
	}
	settings, err := tree.Settings(ctx)
	if err != nil {
		return err
	}
	for _, z := range slices.Sorted(maps.Keys(settings.Zones)) {
		desired, err := tree.Served(ctx, z)
		if err != nil {
			return err
		}
		now, err := p.Read(ctx, z)
		if errors.Is(err, provider.ErrDamaged) {
			now, err = nil, nil
		}
		if err != nil {
			return err
		}
		plan := provider.NewPlan(z, desired, now, "publish", tree.Commit())
		if now == nil {
			plan.Expect = provider.ExpectAnything
		}
		if _, err := p.Apply(ctx, plan); err != nil {
			return err
		}
	}
	return nil
}
