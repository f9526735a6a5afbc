// Package repo owns the zones repository: a Git repository whose main branch
// says what DNS should be. It reads trees at a commit (settings, zones, apps),
// makes proposals, merges with a signature, and hosts the repository over smart
// HTTP. It decides nothing: who may merge is the business of approval and flow.
// Read repo.go, then tree.go and settings.go; merge.go and receive.go hold what
// must never go wrong. All work on Git is done by git itself (git.go).
package repo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/repo/cache"
	"slipway/zone"
)

// Errors that callers branch on.
var (
	ErrMoved    = errors.New("main has moved") // Merge: Expect is no longer main
	ErrConflict = errors.New("the change conflicts with main")
	ErrNotFound = errors.New("not found")
)

// Main is the branch that says what DNS should be.
const Main = "refs/heads/main"

// Repo is one zones repository. Safe for concurrent use.
type Repo struct {
	git     git
	dir     string // what Open was given, made absolute
	work    string // root of the work tree, "" when bare
	objects *objects
	cache   *cache.Dir // nil keeps nothing

	// What has been read, by blob.
	apps     parsed[*App]       // and path
	settings memory[*Settings]  // of slipway.yaml alone
	files    memory[*zone.File] // and zone and path
	last     memory[string]     // by zone: the key of the version in files that was read last
	digests  memory[zone.Digest]

	staleLock time.Duration // defaultStaleLock; shorter in tests

	mu    sync.Mutex // guards trees and spare
	trees map[string]*Tree
	spare []*objects // readers of work trees, to close
	temps []string   // their directories, to remove
}

// How much is kept in memory of what has been read, in bytes of source and of digests.
const (
	settingsKept = 4 << 20
	filesKept    = 128 << 20
	digestsKept  = 32 << 20
)

// Open opens a repository, bare or with a work tree; dir may be a folder inside one.
func Open(ctx context.Context, dir string) (*Repo, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	if info, err := os.Stat(abs); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("open %s: %w: there is no such folder", dir, ErrNotFound)
	}
	g := git{}
	lines, complaint, err := g.discover(ctx, abs)
	if err != nil && strings.Contains(complaint, "dubious ownership") {
		g.safe = trusted(ctx)
		lines, complaint, err = g.discover(ctx, abs)
	}
	switch {
	case err == nil:
	case strings.Contains(complaint, "not a git repository"):
		return nil, fmt.Errorf("open %s: %w: this is not a Git repository; make one with `git init`, or with `slipway init DIR`", dir, ErrNotFound)
	case strings.Contains(complaint, "dubious ownership"):
		return nil, fmt.Errorf("open %s: another user owns this folder, so git does not read it; if you trust its content: git config --global --add safe.directory %q", dir, abs)
	default:
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	g.dir = lines[1]
	r := &Repo{
		git: g, dir: abs, staleLock: defaultStaleLock,
		settings: memory[*Settings]{limit: settingsKept}, files: memory[*zone.File]{limit: filesKept}, last: memory[string]{limit: settingsKept}, digests: memory[zone.Digest]{limit: digestsKept},
	}
	r.cache = cache.Open(filepath.Join(commonDir(g.dir), CacheFolder), cache.DefaultLimit)
	if lines[0] == "false" && len(lines) > 2 {
		r.work = lines[2]
	}
	r.objects = &objects{git: r.git}
	return r, nil
}

// discover asks git which repository dir lies in: whether it is bare, its own
// folder, and the root of its work tree.
func (g git) discover(ctx context.Context, dir string) (lines []string, complaint string, err error) {
	cmd := g.command(ctx, "rev-parse", "--is-bare-repository", "--absolute-git-dir", "--show-toplevel")
	cmd.Dir = dir
	out, errs := boundedBuffer{limit: maxGitErrors}, boundedBuffer{limit: maxGitErrors, drop: true}
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	lines = strings.Split(out.String(), "\n")
	// A bare repository has no top level, which rev-parse says by failing after the first two answers.
	if err != nil && (lines[0] != "true" || len(lines) < 2) {
		return nil, errs.String(), failure(ctx, "rev-parse", err, errs.String())
	}
	return lines, "", nil
}

// Maintain packs what has piled up and prunes what nothing points at and is older
// than two weeks: the objects of refused pushes. It may run beside everything else.
func (r *Repo) Maintain(ctx context.Context) error {
	if _, err := r.git.run(ctx, nil, "gc", "--quiet", "--cruft", "--prune=2.weeks.ago"); err != nil {
		return fmt.Errorf("maintain %s: %w", r.dir, err)
	}
	return nil
}

// Dir returns the repository's folder, absolute.
func (r *Repo) Dir() string { return r.dir }

// Close ends the processes that r keeps and removes its temporary files.
func (r *Repo) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	errs := []error{r.objects.close()}
	for _, o := range r.spare {
		errs = append(errs, o.close())
	}
	for _, dir := range r.temps {
		errs = append(errs, os.RemoveAll(dir))
	}
	r.spare, r.temps = nil, nil
	return errors.Join(errs...)
}

// Resolve returns the commit that a revision names, or ErrNotFound.
func (r *Repo) Resolve(ctx context.Context, rev string) (commit string, err error) {
	if err := checkRevision(rev); err != nil {
		return "", err
	}
	oid, _, _, err := r.objects.info(ctx, rev+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("revision %q: %w", rev, err)
	}
	return oid, nil
}

// Tree returns the tree of a commit, or of a tree object.
func (r *Repo) Tree(ctx context.Context, rev string) (*Tree, error) {
	commit, err := r.Resolve(ctx, rev)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	of := rev
	if commit != "" {
		of = commit // rev may be a branch that moves between the two questions
	}
	oid, _, _, err := r.objects.info(ctx, of+"^{tree}")
	if err != nil {
		return nil, fmt.Errorf("revision %q: %w", rev, err)
	}
	key := commit + ":" + oid
	r.mu.Lock()
	defer r.mu.Unlock()
	if t, ok := r.trees[key]; ok {
		return t, nil
	}
	if r.trees == nil || len(r.trees) >= 64 {
		r.trees = map[string]*Tree{}
	}
	t := &Tree{repo: r, objects: r.objects, commit: commit, root: oid}
	r.trees[key] = t
	return t, nil
}

// EmptyTree returns the tree before the first commit.
func (r *Repo) EmptyTree() *Tree { return &Tree{repo: r, objects: r.objects} }

// ChangedPaths returns the files that differ, sorted. It reads only folders that differ.
func (r *Repo) ChangedPaths(ctx context.Context, base, head *Tree) ([]PathChange, error) {
	d := differ{ctx: ctx, base: base.objects, head: head.objects}
	if err := d.trees("", base.root, head.root); err != nil {
		return nil, fmt.Errorf("compare %s: %w", r.dir, err)
	}
	slices.SortFunc(d.out, func(a, b PathChange) int { return strings.Compare(a.Path, b.Path) })
	return d.out, nil
}

// Refs returns the refs below prefix (a whole path component) and what they point at.
func (r *Repo) Refs(ctx context.Context, prefix string) (map[string]string, error) {
	if err := checkRevision(prefix); err != nil {
		return nil, err
	}
	out, err := r.git.run(ctx, nil, "for-each-ref", "--format=%(objectname) %(refname)", prefix)
	if err != nil {
		return nil, fmt.Errorf("refs %s: %w", prefix, err)
	}
	refs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if oid, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " "); ok {
			refs[name] = oid
		}
	}
	return refs, nil
}

// MergeBase returns the best common ancestor of two commits, or ErrNotFound.
func (r *Repo) MergeBase(ctx context.Context, a, b string) (string, error) {
	if err := errors.Join(checkRevision(a), checkRevision(b)); err != nil {
		return "", err
	}
	base, err := r.git.line(ctx, nil, "merge-base", "--end-of-options", a, b)
	if exitCode(err) == 1 {
		return "", fmt.Errorf("common ancestor of %s and %s: %w", a, b, ErrNotFound)
	}
	if err != nil {
		return "", fmt.Errorf("common ancestor: %w", err)
	}
	return base, nil
}

const maxCommits = 10_000 // that one change may consist of

// CommitPeople returns every author and committer in base..head, each once,
// sorted by e-mail address. An empty base means all of head's history.
func (r *Repo) CommitPeople(ctx context.Context, base, head string) ([]Person, error) {
	revs := head
	if err := checkRevision(head); err != nil {
		return nil, err
	}
	if base != "" {
		if err := checkRevision(base); err != nil {
			return nil, err
		}
		revs = base + ".." + head
	}
	out, err := r.git.run(ctx, nil, "log", "-z", fmt.Sprint("--max-count=", maxCommits+1), "--format=%an%x00%ae%x00%cn%x00%ce", "--end-of-options", revs)
	if err != nil {
		return nil, fmt.Errorf("people of %s: %w", revs, err)
	}
	fields := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if len(fields) > 4*maxCommits {
		return nil, fmt.Errorf("people of %s: more than %d commits in one change", revs, maxCommits)
	}
	var people []Person
	for i := 0; i+1 < len(fields); i += 2 {
		if p := (Person{fields[i], strings.ToLower(fields[i+1])}); !slices.Contains(people, p) {
			people = append(people, p)
		}
	}
	slices.SortFunc(people, func(a, b Person) int { return strings.Compare(a.Email+a.Name, b.Email+b.Name) })
	return people, nil
}
