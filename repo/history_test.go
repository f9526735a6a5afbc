package repo

import (
	"errors"
	"testing"
)

// Main's history is its merges: the commits of which a change was made are not in it.
func TestFirstParents(t *testing.T) {
	r := newRepo(t, kit(t))
	m := mergeOf(t, r, "c1", map[string][]byte{"README.md": []byte("one\n")})
	commit, err := r.Merge(t.Context(), m, testSigner(t))
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.FirstParents(t.Context(), Main, 10)
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got[0].ID != commit || got[0].Parent != m.Expect || got[0].Author != m.Author || !got[0].When.Equal(m.When) || got[0].Subject == "" {
		t.Errorf("the merge is %+v", got[0])
	}
	if got[1].ID != m.Expect || got[1].Parent != "" {
		t.Errorf("the first commit is %+v", got[1])
	}
	if one, err := r.FirstParents(t.Context(), Main, 1); err != nil || len(one) != 1 {
		t.Errorf("%+v, %v", one, err)
	}
	if none, err := r.FirstParents(t.Context(), Main, 0); err != nil || len(none) != 0 {
		t.Errorf("%+v, %v", none, err)
	}
	if _, err := r.FirstParents(t.Context(), "nowhere", 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
