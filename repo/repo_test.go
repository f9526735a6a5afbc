package repo

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/crypto/ssh"

	"slipway/starter"
	"slipway/zone"
)

var (
	ana  = Person{"Ana", "ana@finmicro.example"}
	noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
)

func testSigner(t testing.TB) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// kit returns the starter kit of the sample organisation.
func kit(t testing.TB) fs.FS {
	t.Helper()
	k, err := starter.Kit(starter.Sample())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// files turns a txtar archive into files.
func files(archive string) fstest.MapFS {
	out := fstest.MapFS{}
	for _, f := range txtar.Parse([]byte(archive)).Files {
		out[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	return out
}

// newRepo makes a hosted repository whose first commit is content.
func newRepo(t testing.TB, content fs.FS) *Repo {
	t.Helper()
	r, err := Create(t.Context(), filepath.Join(t.TempDir(), "zones.git"), content, ana, noon, testSigner(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func propose(t testing.TB, r *Repo, base string, changed map[string][]byte) string {
	t.Helper()
	base, err := r.Resolve(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Propose(t.Context(), Proposal{Base: base, Files: changed, Author: ana, Message: "Ask for something", When: noon})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tree(t testing.TB, r *Repo, rev string) *Tree {
	t.Helper()
	tr, err := r.Tree(t.Context(), rev)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func gitOut(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = dir, cleanEnv()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestCreateAndRead(t *testing.T) {
	ctx := t.Context()
	r := newRepo(t, kit(t))
	main := tree(t, r, "main")
	s, err := main.Settings(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if s.Organisation != "Fin Micro Ltd" || s.Domain != "finmicro.example" || len(s.Zones) != 3 {
		t.Errorf("settings: %+v", s)
	}
	names, err := main.ZoneNames(ctx)
	if err != nil || !slices.Equal(names, []zone.Name{"apps.finmicro.example", "finmicro-apps.example", "finmicro.example"}) {
		t.Errorf("zones: %v, %v", names, err)
	}
	apps, err := main.Apps(ctx)
	if err != nil || len(apps) != 1 || apps[0].Hostname != "menu.apps.finmicro.example" {
		t.Errorf("apps: %v, %v", apps, err)
	}
	served, err := main.Served(ctx, "apps.finmicro.example")
	if err != nil || len(served) != 2 {
		t.Errorf("served: %v, %v", served, err)
	}
	if p, err := main.ZonePath(ctx, "finmicro.example"); err != nil || p != "zones/finmicro.example.yaml" {
		t.Errorf("path: %q, %v", p, err)
	}
	if _, err := main.ZoneFile(ctx, "nowhere.example"); !errors.Is(err, ErrNotFound) {
		t.Errorf("absent zone: %v", err)
	}
	if _, err := main.App(ctx, "../slipway"); !errors.Is(err, ErrNotFound) {
		t.Errorf("absent app: %v", err)
	}
	if _, err := r.Resolve(ctx, "nowhere"); !errors.Is(err, ErrNotFound) {
		t.Errorf("absent revision: %v", err)
	}
	if _, err := r.Resolve(ctx, "--exec=x"); err == nil {
		t.Error("an option was taken for a revision")
	}
	if out := gitOut(t, r.Dir(), "fsck", "--strict"); strings.Contains(out, "error") {
		t.Errorf("fsck: %s", out)
	}
	if _, err := Create(ctx, r.Dir(), kit(t), ana, noon, testSigner(t)); err == nil {
		t.Error("a second repository was created over the first")
	}
}

func TestProposeAndMerge(t *testing.T) {
	ctx := t.Context()
	r := newRepo(t, kit(t))
	base, _ := r.Resolve(ctx, "main")
	head := propose(t, r, "main", map[string][]byte{
		"apps/canteen-menu.yaml": nil,
		"apps/new.yaml":          []byte("owner: ana@finmicro.example\n"),
		"deep/er/file.txt":       []byte("x"),
	})
	if again := propose(t, r, "main", map[string][]byte{
		"apps/canteen-menu.yaml": nil,
		"apps/new.yaml":          []byte("owner: ana@finmicro.example\n"),
		"deep/er/file.txt":       []byte("x"),
	}); again != head {
		t.Errorf("the same proposal is another commit: %s, %s", head, again)
	}
	changed, err := r.ChangedPaths(ctx, tree(t, r, base), tree(t, r, head))
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, c := range changed {
		paths = append(paths, c.Path)
	}
	if want := []string{"apps/canteen-menu.yaml", "apps/new.yaml", "deep/er/file.txt"}; !slices.Equal(paths, want) {
		t.Errorf("changed paths: %v, want %v", paths, want)
	}
	if err := r.SetRef(ctx, "refs/slipway/changes/c1/1", head); err != nil {
		t.Fatal(err)
	}
	if err := r.SetRef(ctx, "refs/heads/main", head); err == nil {
		t.Error("SetRef moved main")
	}
	people, err := r.CommitPeople(ctx, base, head)
	if err != nil || len(people) != 2 || people[0] != ana {
		t.Errorf("people: %v, %v", people, err)
	}
	merged, err := r.MergeTree(ctx, base, head)
	if err != nil {
		t.Fatal(err)
	}
	m := Merge{
		ChangeID: "c1", Expect: base, Tree: merged, Head: head, Author: ana, When: noon,
		Message:  "Add new\n\nApproved-by: nobody@evil.example",
		Trailers: []Trailer{{"Requested-by", "ana@finmicro.example"}, {"Tier", "green"}},
	}
	commit, err := r.Merge(ctx, m, testSigner(t))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.Merge(ctx, m, testSigner(t)); err != nil || again != commit {
		t.Errorf("merged again: %s, %v", again, err)
	}
	if now, _ := r.Resolve(ctx, "main"); now != commit {
		t.Errorf("main is %s, want %s", now, commit)
	}
	if got := gitOut(t, r.Dir(), "log", "-1", "--format=%P%n%(trailers:only)", "main"); got != base+" "+head+"\nChange-Id: c1\nRequested-by: ana@finmicro.example\nTier: green\n\n" {
		t.Errorf("commit: %q", got)
	}
	// A second change judged on the old main has to be judged again.
	late := m
	late.ChangeID = "c2"
	if _, err := r.Merge(ctx, late, testSigner(t)); !errors.Is(err, ErrMoved) {
		t.Errorf("merge on an old main: %v", err)
	}
	if out := gitOut(t, r.Dir(), "fsck", "--strict"); strings.Contains(out, "error") {
		t.Errorf("fsck: %s", out)
	}
}
