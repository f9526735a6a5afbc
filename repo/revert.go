package repo

import (
	"context"
	"fmt"
	"time"
)

// Revert writes the commit that undoes another one, on top of it: what the files were at its
// first parent. Nothing points at it until SetRef does. Merged into main, it takes away what
// that commit changed and leaves what came after it, or is an ErrConflict where that was
// built upon: what git-revert(1) does.
func (r *Repo) Revert(ctx context.Context, commit string, author Person, message string, when time.Time) (string, error) {
	found, err := r.FirstParents(ctx, commit, 1)
	if err != nil {
		return "", fmt.Errorf("undo %s: %w", commit, err)
	}
	if len(found) == 0 || found[0].Parent == "" {
		return "", fmt.Errorf("undo %s: what was there before it: %w", commit, ErrNotFound)
	}
	undone, err := r.Tree(ctx, found[0].ID)
	if err != nil {
		return "", fmt.Errorf("undo %s: %w", commit, err)
	}
	before, err := r.Tree(ctx, found[0].Parent)
	if err != nil {
		return "", fmt.Errorf("undo %s: %w", commit, err)
	}
	oid, err := r.writeCommit(ctx, commitObject{
		tree: before.ID(), parents: []string{found[0].ID},
		author: author, committer: r.committer(ctx, undone), when: when, message: cleanMessage(message),
	}, nil)
	if err != nil {
		return "", fmt.Errorf("undo %s: %w", commit, err)
	}
	return oid, nil
}
