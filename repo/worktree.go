package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"slipway/zone"
)

// WorkTree returns the files on disk, committed or not, as a tree. What Git
// ignores is left out. The repository is not written to: index and objects go to
// a temporary folder, which Close removes.
func (r *Repo) WorkTree(ctx context.Context) (*Tree, error) {
	if r.work == "" {
		return nil, fmt.Errorf("%s has no work tree", r.dir)
	}
	t, err := r.workTree(ctx)
	if err != nil {
		return nil, fmt.Errorf("work tree %s: %w", r.work, err)
	}
	return t, nil
}

func (r *Repo) workTree(ctx context.Context) (*Tree, error) {
	dir, err := os.MkdirTemp("", "slipway-worktree-")
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.temps = append(r.temps, dir)
	r.mu.Unlock()
	// A copy of the index spares Git from reading files that have not changed since.
	index := filepath.Join(dir, "index")
	if err := copyIndex(index, filepath.Join(r.git.dir, "index")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	common, err := r.git.line(ctx, nil, "rev-parse", "--path-format=absolute", "--git-path", "objects")
	if err != nil {
		return nil, err
	}
	g := git{dir: r.git.dir, safe: r.git.safe, extra: []string{
		"GIT_WORK_TREE=" + r.work, "GIT_INDEX_FILE=" + index,
		"GIT_OBJECT_DIRECTORY=" + filepath.Join(dir, "objects"),
		"GIT_ALTERNATE_OBJECT_DIRECTORIES=" + quoteAlternate(common),
	}}
	if err := os.Mkdir(filepath.Join(dir, "objects"), 0o700); err != nil {
		return nil, err
	}
	cmd := g.command(ctx, "add", "--all", "--", ".")
	cmd.Dir = r.work
	errs := &boundedBuffer{limit: maxGitErrors, drop: true}
	cmd.Stderr = errs
	if err := cmd.Run(); err != nil {
		return nil, failure(ctx, "add", err, errs.String())
	}
	oid, err := g.line(ctx, nil, "write-tree")
	if err != nil {
		return nil, err
	}
	o := &objects{git: g}
	r.mu.Lock()
	r.spare = append(r.spare, o)
	r.mu.Unlock()
	return &Tree{repo: r, objects: o, root: oid}, nil
}

// quoteAlternate protects a path from the list syntax of GIT_ALTERNATE_OBJECT_DIRECTORIES (git(1)).
func quoteAlternate(p string) string {
	if !strings.ContainsAny(p, ":\"\\\n") {
		return p
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(p) + `"`
}

// copyIndex copies an index with its time: Git reads a file again that was written as late as the
// index or later, since its size and time may not show that it is another.
func copyIndex(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close(), os.Chtimes(to, info.ModTime(), info.ModTime()))
}

func initWorkTree(ctx context.Context, dir string, kit fs.FS, by Person, when time.Time) ([]string, error) {
	files, err := readKit(kit)
	if err != nil {
		return nil, err
	}
	if mustBeEmpty(dir) != nil && !unborn(ctx, dir) {
		return addSettings(ctx, dir, files)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if _, err := (git{}).run(ctx, nil, "init", "--quiet", "--template=", "--initial-branch=main", "--", dir); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	paths := slices.Sorted(maps.Keys(files))
	for _, p := range paths {
		if err := root.MkdirAll(filepath.Dir(filepath.FromSlash(p)), 0o755); err != nil {
			return nil, err
		}
		if err := root.WriteFile(filepath.FromSlash(p), files[p], 0o644); err != nil {
			return nil, err
		}
	}
	r, err := Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := r.first(ctx, kit, by, when, nil); err != nil {
		return nil, err
	}
	if _, err := r.git.run(ctx, nil, "symbolic-ref", "HEAD", Main); err != nil {
		return nil, err
	}
	g := git{dir: r.git.dir, extra: []string{"GIT_WORK_TREE=" + r.work}}
	if _, err := g.run(ctx, nil, "read-tree", "HEAD"); err != nil {
		return nil, err
	}
	return paths, nil
}

// unborn reports whether dir is what `git init` makes: a repository without a file or a commit.
func unborn(ctx context.Context, dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != ".git" {
		return false
	}
	r, err := Open(ctx, dir)
	if err != nil {
		return false
	}
	defer r.Close()
	refs, err := r.Refs(ctx, "refs")
	return err == nil && len(refs) == 0
}

// addSettings puts slipway.yaml beside existing octoDNS zones.
func addSettings(ctx context.Context, dir string, kit map[string][]byte) ([]string, error) {
	file := filepath.Join(dir, SettingsPath)
	if _, err := os.Stat(file); err == nil {
		return nil, fmt.Errorf("there is a %s already; this is a zones repository", SettingsPath)
	}
	r, err := Open(ctx, dir)
	if err != nil {
		return nil, errors.New("the folder is not empty and is not a Git repository; choose an empty folder, or run `git init` here first if it holds your octoDNS zones")
	}
	defer r.Close()
	t, err := r.WorkTree(ctx)
	if err != nil {
		return nil, err
	}
	s, err := t.Settings(ctx)
	if err != nil {
		return nil, err
	}
	if len(s.Zones) == 0 {
		return nil, errors.New("the folder is not empty and holds no octoDNS zone files (zones/example.org.yaml); choose an empty folder")
	}
	src := adaptSettings(kit[SettingsPath], s)
	if _, err := ParseSettings(SettingsPath, src); err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, src, 0o644); err != nil {
		return nil, err
	}
	return []string{SettingsPath}, nil
}

// adaptSettings replaces the zones of the kit's slipway.yaml by those of s, each
// external and owned by the organisation, for the reader to correct. The list of
// allowed external names goes: without it every listed zone is allowed.
func adaptSettings(kit []byte, s *Settings) []byte {
	var domain zone.Name
	if k, err := ParseSettings(SettingsPath, kit); err == nil {
		domain = k.Domain
	}
	var zones strings.Builder
	fmt.Fprintf(&zones, "zones: # found here; say which are internal, and name each one's provider\n  directory: %q\n", s.ZonesDirectory)
	for _, name := range slices.Sorted(maps.Keys(s.Zones)) {
		fmt.Fprintf(&zones, "  %s: {visibility: external", name)
		if domain != "" {
			fmt.Fprintf(&zones, ", owner: %s", domain)
		}
		zones.WriteString("}\n")
	}
	var out strings.Builder
	skipping := false
	for line := range strings.Lines(string(kit)) {
		top := line != "" && !strings.ContainsRune(" \t#\n", rune(line[0]))
		if top || line == "\n" {
			skipping = false
		}
		if top {
			switch key, _, _ := strings.Cut(line, ":"); key {
			case "zones":
				out.WriteString(zones.String())
				skipping = true
			case "allowed-external":
				skipping = true
			}
		}
		if !skipping {
			out.WriteString(line)
		}
	}
	return []byte(out.String())
}
