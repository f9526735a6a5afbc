package pack

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWorkspace(t *testing.T) {
	dir := t.TempDir()
	open := func() *Workspace {
		t.Helper()
		w, err := OpenWorkspace(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Close() })
		return w
	}
	private, public := signingKey(t)
	signed, err := Sign(build(t, mine()), "ours", private)
	if err != nil {
		t.Fatal(err)
	}
	w := open()
	if _, err := w.Admit(t.Context(), signed, "s", ""); err == nil || !strings.Contains(err.Error(), "nobody whose signature counts") {
		t.Errorf("got %v", err)
	}
	if err := w.Trust(Key{"ours", string(public)}); err != nil {
		t.Fatal(err)
	}
	if _, other := signingKey(t); w.Trust(Key{"ours", string(other)}) == nil {
		t.Error("a key was exchanged under its name")
	}
	p, err := w.Admit(t.Context(), signed, "s", "")
	if err != nil || p.SignedBy != "ours" {
		t.Fatalf("%+v, %v", p, err)
	}
	if err := w.Save(map[string][]byte{p.Name: signed}); err != nil {
		t.Fatal(err)
	}
	w = open()
	packs, err := w.Packs()
	if err != nil || len(packs) != 1 || packs[0].SignedBy != "ours" {
		t.Fatalf("%+v, %v", packs, err)
	}
	// Two packs cannot claim the same part of the policies.
	thief := mine()
	thief[0].Src = []byte(strings.Replace(mineManifest, `"name": "mine"`, `"name": "thief"`, 1))
	if _, err := w.Admit(t.Context(), build(t, thief), "s", "a test"); err == nil || !strings.Contains(err.Error(), "both bring packs/mine") {
		t.Errorf("got %v", err)
	}
	if !w.Remove("mine") || w.Remove("mine") {
		t.Error("a pin can be removed once")
	}
	if err := w.Save(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, BundlePath("mine"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the bundle stays: %v", err)
	}
}

// The work tree is not to be trusted: a link in it must not lead writes out of it.
func TestWorkspaceLinks(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "policies"), 0o755), os.Symlink(outside, filepath.Join(dir, Directory))); err != nil {
		t.Fatal(err)
	}
	w, err := OpenWorkspace(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	src := build(t, mine())
	if _, err := w.Admit(t.Context(), src, "s", "a test"); err != nil {
		t.Fatal(err)
	}
	if err := w.Save(map[string][]byte{"mine": src}); err == nil {
		t.Error("written through a link")
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("outside the repository: %v, %v", entries, err)
	}
}

func TestOlder(t *testing.T) {
	versions := []string{"0.9.9", "1.0.0-beta", "1.0.0", "1.0.10", "1.2.0", "10.0.0"}
	for i, a := range versions {
		for j, b := range versions {
			if got := Older(a, b); got != (i < j) {
				t.Errorf("Older(%s, %s) is %v", a, b, got)
			}
		}
	}
}
