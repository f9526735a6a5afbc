package repo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"slipway/zone"
)

// realZones is the folder of real octoDNS zones beside the checkout.
const realZones = "../../shared/data/octodns-zones"

// writeFiles puts an archive's files on disk.
func writeFiles(t testing.TB, dir, archive string) {
	t.Helper()
	for p, f := range files(archive) {
		file := filepath.Join(dir, filepath.FromSlash(p))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func open(t testing.TB, dir string) *Repo {
	t.Helper()
	r, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// checkout makes an ordinary repository with one commit.
func checkout(t testing.TB, archive string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a checkout: with \"signs\"")
	gitOut(t, "", "init", "-q", "-b", "main", dir)
	writeFiles(t, dir, archive)
	gitOut(t, dir, "add", "-A")
	gitOut(t, dir, "-c", "user.name=Ana", "-c", "user.email=ana@finmicro.example", "commit", "-q", "-m", "Begin")
	return dir
}

func TestWorkTree(t *testing.T) {
	ctx := t.Context()
	dir := checkout(t, "-- zones/example.org.yaml --\n---\nwww:\n  type: A\n  value: 192.0.2.1\n-- old.txt --\nx\n-- .gitignore --\n*.tmp\n")
	r := open(t, filepath.Join(dir, "zones")) // a folder inside it will do
	before := gitOut(t, dir, "count-objects", "-v")
	clean, err := r.WorkTree(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := r.ChangedPaths(ctx, tree(t, r, "HEAD"), clean); err != nil || len(changed) > 0 {
		t.Errorf("a clean work tree differs: %v, %v", changed, err)
	}
	writeFiles(t, dir, "-- zones/example.org.yaml --\n---\nwww:\n  type: A\n  value: 192.0.2.2\n-- new/app.txt --\nx\n-- build.tmp --\nx\n")
	if err := os.Remove(filepath.Join(dir, "old.txt")); err != nil {
		t.Fatal(err)
	}
	dirty, err := r.WorkTree(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if dirty.Commit() != "" {
		t.Errorf("a work tree has commit %s", dirty.Commit())
	}
	changed, err := r.ChangedPaths(ctx, tree(t, r, "HEAD"), dirty)
	var paths []string
	for _, c := range changed {
		paths = append(paths, c.Path)
	}
	if err != nil || !slices.Equal(paths, []string{"new/app.txt", "old.txt", "zones/example.org.yaml"}) {
		t.Errorf("changed: %v, %v", paths, err)
	}
	sets, err := dirty.Served(ctx, "example.org")
	if err != nil || len(sets) != 1 || sets[0].Values[0] != "192.0.2.2" {
		t.Errorf("served: %v, %v", sets, err)
	}
	if after := gitOut(t, dir, "count-objects", "-v"); after != before {
		t.Errorf("the repository was written to:\n%s\n%s", before, after)
	}
	if out := gitOut(t, dir, "diff", "--cached", "--name-only"); out != "" {
		t.Errorf("the index was written to: %s", out)
	}
	temps := slices.Clone(r.temps)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for _, d := range temps {
		if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", d, err)
		}
	}
	if _, err := newRepo(t, kit(t)).WorkTree(ctx); err == nil {
		t.Error("a bare repository has a work tree")
	}
}

// An edit in the very moment of a commit, of the same length, is seen however late one looks.
func TestWorkTreeEditedAtOnce(t *testing.T) {
	const path = "zones/example.org.yaml"
	then := time.Now().Add(-time.Hour).Truncate(time.Second)
	dir := checkout(t, "-- "+path+" --\n---\nwww:\n  type: A\n  value: 192.0.2.1\n")
	at := func(file string) {
		t.Helper()
		if err := os.Chtimes(filepath.Join(dir, file), then, then); err != nil {
			t.Fatal(err)
		}
	}
	at(path)
	gitOut(t, dir, "update-index", "--refresh")
	writeFiles(t, dir, "-- "+path+" --\n---\nwww:\n  type: A\n  value: 192.0.2.2\n")
	at(path)
	at(".git/index")
	head, err := open(t, dir).WorkTree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	src, err := head.ReadFile(t.Context(), path)
	if err != nil || !strings.Contains(string(src), "192.0.2.2") {
		t.Errorf("%s, %v", src, err)
	}
}

func TestOpen(t *testing.T) {
	if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "nowhere")); !errors.Is(err, ErrNotFound) {
		t.Errorf("no folder: %v", err)
	}
	if _, err := Open(t.Context(), t.TempDir()); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "not a Git repository") {
		t.Errorf("no repository: %v", err)
	}
	// Nothing of the caller's environment decides which repository is read.
	other := newRepo(t, kit(t))
	t.Setenv("GIT_DIR", other.Dir())
	t.Setenv("GIT_WORK_TREE", t.TempDir())
	t.Setenv("GIT_INDEX_FILE", filepath.Join(t.TempDir(), "index"))
	dir := checkout(t, "-- README.md --\nx\n")
	if files, err := tree(t, open(t, dir), "HEAD").Glob(t.Context(), "**"); err != nil || !slices.Equal(files, []string{"README.md"}) {
		t.Errorf("files: %v, %v", files, err)
	}
}

// A checkout in a pipeline often belongs to another user; what the user told git counts.
func TestOpenOfAnotherUser(t *testing.T) {
	dir := checkout(t, "-- README.md --\nx\n")
	if os.Geteuid() != 0 {
		t.Skip("only root can make a folder of another user")
	}
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(home, ".gitconfig"))
	if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "git config --global --add safe.directory") {
		t.Errorf("not trusted: %v", err)
	}
	writeFiles(t, home, "-- .gitconfig --\n[safe]\n\tdirectory = *\n[user]\n\tname = nobody\n")
	r := open(t, dir)
	if files, err := tree(t, r, "HEAD").Glob(t.Context(), "*"); err != nil || !slices.Equal(files, []string{"README.md"}) {
		t.Errorf("files: %v, %v", files, err)
	}
	if _, err := r.WorkTree(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMaintain(t *testing.T) {
	ctx := t.Context()
	r := newRepo(t, kit(t))
	main := tree(t, r, "main")
	if _, err := main.Apps(ctx); err != nil {
		t.Fatal(err)
	}
	head := propose(t, r, "main", map[string][]byte{"apps/new.yaml": []byte("owner: ana@finmicro.example\n")})
	if err := r.Maintain(ctx); err != nil {
		t.Fatal(err)
	}
	// The reader that was running before still finds everything, also what nothing points at yet.
	if _, err := main.ZoneFile(ctx, "finmicro.example"); err != nil {
		t.Error(err)
	}
	if _, err := tree(t, r, head).App(ctx, "new"); err != nil {
		t.Error(err)
	}
	if _, err := r.Merge(ctx, mergeOf(t, r, "c1", map[string][]byte{"apps/new.yaml": []byte("owner: ana@finmicro.example\n")}), testSigner(t)); err != nil {
		t.Error(err)
	}
}

func TestInitWorkTree(t *testing.T) {
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "zones")
	written, err := InitWorkTree(ctx, dir, kit(t), ana, noon)
	if err != nil || !slices.Contains(written, "slipway.yaml") {
		t.Fatal(written, err)
	}
	if out := gitOut(t, dir, "status", "--porcelain"); out != "" {
		t.Errorf("not all is committed:\n%s", out)
	}
	if out := gitOut(t, dir, "log", "--format=%an %ae %s"); out != "Ana ana@finmicro.example Begin the zones repository\n" {
		t.Errorf("log: %s", out)
	}
	if _, err := InitWorkTree(ctx, dir, kit(t), ana, noon); err == nil || !strings.Contains(err.Error(), "there is a slipway.yaml already") {
		t.Errorf("twice: %v", err)
	}

	fresh := filepath.Join(t.TempDir(), "fresh")
	gitOut(t, "", "init", "-q", "-b", "trunk", fresh)
	if written, err := InitWorkTree(ctx, fresh, kit(t), ana, noon); err != nil || len(written) < 2 {
		t.Errorf("after git init: %v, %v", written, err)
	}
	if out := gitOut(t, fresh, "status", "--porcelain", "--branch"); out != "## main\n" {
		t.Errorf("after git init: %s", out)
	}

	octodns := checkout(t, "-- config/example.org.yaml --\n---\nwww:\n  type: A\n  value: 192.0.2.1\n")
	written, err = InitWorkTree(ctx, octodns, kit(t), ana, noon)
	if err != nil || !slices.Equal(written, []string{"slipway.yaml"}) {
		t.Fatal(written, err)
	}
	src, err := os.ReadFile(filepath.Join(octodns, "slipway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSettings("slipway.yaml", src)
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	if s.ZonesDirectory != "config" || len(s.Zones) != 1 || s.Zones["example.org"].Owner != "finmicro.example" || len(s.Groups) == 0 || len(s.AllowedExternal) != 0 {
		t.Errorf("settings %+v of\n%s", s, src)
	}
	if out := gitOut(t, octodns, "status", "--porcelain"); out != "?? slipway.yaml\n" {
		t.Errorf("status: %s", out)
	}

	for name, archive := range map[string]string{"a repository of other things": "-- main.go --\npackage main\n"} {
		if _, err := InitWorkTree(ctx, checkout(t, archive), kit(t), ana, noon); err == nil || !strings.Contains(err.Error(), "choose an empty folder") {
			t.Errorf("%s: %v", name, err)
		}
	}
	plain := t.TempDir()
	writeFiles(t, plain, "-- notes.txt --\nx\n")
	if _, err := InitWorkTree(ctx, plain, kit(t), ana, noon); err == nil || !strings.Contains(err.Error(), "choose an empty folder") {
		t.Errorf("a folder of other things: %v", err)
	}
}

func TestRealZones(t *testing.T) {
	entries, err := os.ReadDir(realZones)
	if err != nil {
		t.Skipf("the real zones are not beside this checkout: %v", err)
	}
	content := fstest.MapFS{}
	for i, e := range entries {
		if e.Name() == "octodns.yaml" { // octoDNS's own settings
			entries = slices.Delete(entries, i, i+1)
			break
		}
	}
	for _, e := range entries {
		src, err := os.ReadFile(filepath.Join(realZones, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		content["zones/"+e.Name()] = &fstest.MapFile{Data: src}
	}
	start := time.Now()
	tr := tree(t, newRepo(t, content), "main")
	names, err := tr.ZoneNames(t.Context())
	if err != nil || len(names) != len(entries) {
		t.Fatalf("%d zones of %d files: %v", len(names), len(entries), err)
	}
	sets := 0
	for _, name := range names {
		served, err := tr.Served(t.Context(), name)
		if err != nil {
			t.Errorf("zone %s: %v", name, err)
		}
		sets += len(served)
	}
	t.Logf("%d record sets of %d zones in %v", sets, len(names), time.Since(start).Round(time.Millisecond))
}

func TestTreeReads(t *testing.T) {
	ctx := t.Context()
	r := newRepo(t, files("-- slipway.yaml --\nzones:\n  example.org: {}\n-- zones/example.org.yaml --\n---\nwww:\n  type: A\n  value: 192.0.2.1\n"+
		"-- apps/web.yaml --\nrecords:\n  - {name: www.example.org, type: A, value: 192.0.2.1}\n"+
		"-- policies/a.rego --\nx\n-- policies/sub/b.rego --\nx\n-- policies/c.txt --\nx\n-- policies.rego --\nx\n"))
	tr := tree(t, r, "main")
	for pattern, want := range map[string][]string{
		"policies/**.rego":       {"policies/a.rego", "policies/sub/b.rego"},
		"policies/*.rego":        {"policies/a.rego"},
		"**/*.rego":              {"policies.rego", "policies/a.rego", "policies/sub/b.rego"},
		"policies/?.*":           {"policies/a.rego", "policies/c.txt"},
		"policies/a.rego":        {"policies/a.rego"},
		"nowhere/**":             nil,
		"policies/sub/**":        {"policies/sub/b.rego"},
		"policies/[a].rego":      nil,
		"polici*/a.rego":         {"policies/a.rego"},
		"zones/example.???.yaml": {"zones/example.org.yaml"},
	} {
		if got, err := tr.Glob(ctx, pattern); err != nil || !slices.Equal(got, want) {
			t.Errorf("Glob(%q) = %v, %v; want %v", pattern, got, err, want)
		}
	}
	for _, p := range []string{"../slipway.yaml", "/etc/passwd", "zones", "nowhere", "", "zones/", "policies/../slipway.yaml", ".git/config", "slipway.yaml/x"} {
		if _, err := tr.ReadFile(ctx, p); !errors.Is(err, ErrNotFound) {
			t.Errorf("ReadFile(%q): %v", p, err)
		}
	}
	var ze *zone.Error
	if _, err := tr.Served(ctx, "example.org"); !errors.As(err, &ze) || !strings.Contains(err.Error(), "already belongs to zones/example.org.yaml:") || ze.Place.Path != "apps/web.yaml" {
		t.Errorf("two owners: %v", err)
	}
	if _, err := tr.Served(ctx, "example.net"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a zone of nobody: %v", err)
	}
	empty := r.EmptyTree()
	if s, err := empty.Settings(ctx); err != nil || len(s.Zones) != 0 {
		t.Errorf("settings of nothing: %v, %v", s, err)
	}
	if bare := tree(t, r, "main^{tree}"); bare.Commit() != "" || bare.ID() != tr.ID() {
		t.Errorf("the tree object: commit %q, ID %s", bare.Commit(), bare.ID())
	}
	// What one caller does to an app is not seen by the next.
	a, _ := tr.App(ctx, "web")
	a.Records[0].Values[0], a.Owner = "changed", "changed"
	if b, _ := tr.App(ctx, "web"); b.Owner != "" || b.Records[0].Values[0] != "192.0.2.1" {
		t.Errorf("the cached app changed: %+v", b)
	}
}

// Links are refused: what they lead to is not what was reviewed.
func TestLinks(t *testing.T) {
	dir := checkout(t, "-- zones/real.example.yaml --\n---\nwww:\n  type: A\n  value: 192.0.2.1\n")
	for _, name := range []string{"zones/example.org.yaml", "apps/x.yaml", "slipway.yaml"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/etc/passwd", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		tr, err := open(t, dir).WorkTree(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		switch name {
		case "zones/example.org.yaml":
			_, err = tr.ZoneFile(t.Context(), "example.org")
		case "apps/x.yaml":
			_, err = tr.Apps(t.Context())
		default:
			_, err = tr.Settings(t.Context())
		}
		var ze *zone.Error
		if !errors.As(err, &ze) || !strings.Contains(err.Error(), name+":1: this is a link") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkOpenAndReadOneZone(b *testing.B) {
	dir := newRepo(b, kit(b)).Dir()
	for b.Loop() {
		r := open(b, dir)
		if _, err := tree(b, r, "main").ZoneFile(b.Context(), "finmicro.example"); err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}
