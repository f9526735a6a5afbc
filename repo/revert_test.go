package repo

import (
	"errors"
	"testing"
)

func TestRevert(t *testing.T) {
	r := newRepo(t, kit(t))
	signer := testSigner(t)
	merge := func(id string, files map[string][]byte) string {
		t.Helper()
		commit, err := r.Merge(t.Context(), mergeOf(t, r, id, files), signer)
		if err != nil {
			t.Fatal(err)
		}
		return commit
	}
	first := merge("c1", map[string][]byte{"apps/one.yaml": []byte("owner: ana@finmicro.example\n")})
	merge("c2", map[string][]byte{"apps/two.yaml": []byte("owner: ana@finmicro.example\n")})

	undo, err := r.Revert(t.Context(), first, ana, "Undo: one", noon)
	if err != nil {
		t.Fatal(err)
	}
	merged, err := r.MergeTree(t.Context(), Main, undo)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := r.Tree(t.Context(), merged)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.ReadFile(t.Context(), "apps/one.yaml"); !errors.Is(err, ErrNotFound) {
		t.Errorf("what was undone is still there: %v", err)
	}
	if _, err := tree.ReadFile(t.Context(), "apps/two.yaml"); err != nil {
		t.Errorf("what came after it is gone: %v", err)
	}

	merge("c3", map[string][]byte{"apps/one.yaml": []byte("owner: omar@finmicro.example\n")})
	if _, err := r.MergeTree(t.Context(), Main, undo); !errors.Is(err, ErrConflict) {
		t.Errorf("what was built upon is undone: %v", err)
	}
	if _, err := r.Revert(t.Context(), "refs/slipway/none", ana, "Undo", noon); err == nil {
		t.Error("a commit that is not there is undone")
	}
	whole, err := r.FirstParents(t.Context(), Main, MaxHistory)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Revert(t.Context(), whole[len(whole)-1].ID, ana, "Undo", noon); !errors.Is(err, ErrNotFound) {
		t.Errorf("the first commit is undone: %v", err)
	}
}
