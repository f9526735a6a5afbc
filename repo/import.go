package repo

import (
	"context"
	"fmt"
	"path/filepath"
)

// Import makes a bare repository at dir from the main branch of an existing one
// (a work tree or a bare repository), history and all, and leaves that one as it
// is. The settings are read first: a repository without slipway.yaml, or with one
// that cannot be used, is refused before anything is made.
func Import(ctx context.Context, dir, from string) error {
	if err := importMain(ctx, dir, from); err != nil {
		return fmt.Errorf("take over %s: %w", from, err)
	}
	return nil
}

func importMain(ctx context.Context, dir, from string) error {
	source, err := filepath.Abs(from)
	if err != nil {
		return err
	}
	old, err := Open(ctx, source)
	if err != nil {
		return err
	}
	defer old.Close()
	tree, err := old.Tree(ctx, Main)
	if err != nil {
		return fmt.Errorf("no main branch: %w (name the branch main, or make one commit)", err)
	}
	if _, err := tree.ReadFile(ctx, SettingsPath); err != nil {
		return fmt.Errorf("%s: %w (`slipway init` adds one)", SettingsPath, err)
	}
	if _, err := tree.Settings(ctx); err != nil {
		return err
	}
	return build(ctx, dir, func(r *Repo) error {
		_, err := r.git.run(ctx, nil, "fetch", "--quiet", "--no-tags", "--", source, Main+":"+Main)
		return err
	})
}
