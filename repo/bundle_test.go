package repo

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBundle takes two changes out and reads them with git, in a clone that stopped
// before them and in a repository that has nothing else.
func TestBundle(t *testing.T) {
	signer := testSigner(t)
	r := newRepo(t, kit(t))
	clone := filepath.Join(t.TempDir(), "clone.git")
	gitOut(t, r.Dir(), "clone", "--quiet", "--bare", r.Dir(), clone)
	first, err := r.Resolve(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	var changes []MergedChange
	base := first
	for _, id := range []string{"c1", "c1-more"} {
		commit, err := r.Merge(t.Context(), mergeOf(t, r, id, map[string][]byte{"apps/new.yaml": []byte("owner: ana@finmicro.example\n# " + id + "\n")}), signer)
		if err != nil {
			t.Fatal(err)
		}
		changes = append(changes, MergedChange{ID: id, Commit: commit, Base: base})
		base = commit
	}
	take := func(changes []MergedChange) []byte {
		var b bytes.Buffer
		if err := r.Bundle(t.Context(), &b, changes, map[string][]string{first: {"slipway.yaml"}}); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	bundle := take(changes)
	if again := take([]MergedChange{changes[1], changes[0]}); !bytes.Equal(bundle, again) {
		t.Error("the same changes gave another bundle")
	}
	file := filepath.Join(t.TempDir(), "zones.bundle")
	if err := os.WriteFile(file, bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	gitOut(t, clone, "bundle", "verify", "--quiet", file)
	gitOut(t, clone, "fetch", "--quiet", file, "refs/slipway/merged/*:refs/slipway/merged/*")
	gitOut(t, clone, "fsck", "--strict")
	if got := gitOut(t, clone, "show", "refs/slipway/merged/c1-more:apps/new.yaml"); !strings.Contains(got, "# c1-more") {
		t.Errorf("fetched: %q", got)
	}

	alone := filepath.Join(t.TempDir(), "alone.git")
	gitOut(t, r.Dir(), "init", "--quiet", "--bare", alone)
	_, pack, _ := bytes.Cut(bundle, []byte("\n\n"))
	unpack := exec.Command("git", "--git-dir="+alone, "unpack-objects", "-q")
	unpack.Stdin, unpack.Env = bytes.NewReader(pack), cleanEnv()
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("unpack: %v: %s", err, out)
	}
	for _, want := range []struct{ rev, text string }{
		{changes[1].Commit + ":apps/new.yaml", "# c1-more"}, {changes[1].Base + ":apps/new.yaml", "# c1\n"}, {first + ":slipway.yaml", "organisation"},
	} {
		if got := gitOut(t, alone, "cat-file", "-p", want.rev); !strings.Contains(got, want.text) {
			t.Errorf("%s: %q", want.rev, got)
		}
	}
	if got := gitOut(t, alone, "diff", "--stat", first, changes[1].Commit); !strings.Contains(got, "apps/new.yaml") {
		t.Errorf("compared alone: %q", got)
	}
	if err := r.Bundle(context.Background(), &bytes.Buffer{}, []MergedChange{{ID: "../x", Commit: first, Base: first}}, nil); err == nil {
		t.Error("a change with a path as its ID was taken")
	}
}
