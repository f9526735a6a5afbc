package repo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"slipway/zone"
)

// Person is a Git identity.
type Person struct{ Name, Email string }

// Proposal is a new commit on top of Base that is not on main.
type Proposal struct {
	Base    string            // commit
	Files   map[string][]byte // path -> content; nil deletes
	Author  Person
	Message string
	When    time.Time
}

// slipwayName is the committer of everything that Slipway commits.
const slipwayName = "Slipway"

// committer names Slipway at the organisation's domain.
func committer(domain zone.Name) Person {
	if domain == "" {
		domain = "localhost"
	}
	return Person{Name: slipwayName, Email: "slipway@" + string(domain)}
}

const (
	maxProposalFiles = 10_000
	maxProposalBytes = 256 << 20
	maxMessage       = 64 << 10
)

// Propose writes a commit on top of p.Base. Nothing points at it until SetRef
// does. The same proposal made again is the same commit.
func (r *Repo) Propose(ctx context.Context, p Proposal) (commit string, err error) {
	base, err := r.Tree(ctx, p.Base)
	if err != nil {
		return "", fmt.Errorf("propose: %w", err)
	}
	tree, err := r.writeTree(ctx, base, p.Files)
	if err != nil {
		return "", fmt.Errorf("propose: %w", err)
	}
	oid, err := r.writeCommit(ctx, commitObject{
		tree: tree, parents: []string{base.commit},
		author: p.Author, committer: r.committer(ctx, base), when: p.When, message: cleanMessage(p.Message),
	}, nil)
	if err != nil {
		return "", fmt.Errorf("propose: %w", err)
	}
	return oid, nil
}

// committer is Slipway under the domain that t's settings name.
func (r *Repo) committer(ctx context.Context, t *Tree) Person {
	s, err := t.Settings(ctx)
	if err != nil {
		return committer("")
	}
	return committer(s.Domain)
}

// SetRef makes ref, which must be below refs/slipway/, point at commit.
func (r *Repo) SetRef(ctx context.Context, ref, commit string) error {
	if !strings.HasPrefix(ref, "refs/slipway/") || checkRevision(ref) != nil || strings.ContainsAny(ref, " ") {
		return fmt.Errorf("set %s: only refs below refs/slipway/ are set in this way", ref)
	}
	oid, err := r.Resolve(ctx, commit)
	if err != nil {
		return fmt.Errorf("set %s: %w", ref, err)
	}
	if err := r.updateRefs(ctx, fmt.Sprintf("update %s %s\n", ref, oid), ref); err != nil {
		return fmt.Errorf("set %s: %w", ref, err)
	}
	return nil
}

// checkPath refuses paths that Git refuses or that a person could misread.
func checkPath(p string) error {
	bad := p == "" || len(p) > 4096 || strings.ContainsFunc(p, isControl) || strings.ContainsRune(p, '\\')
	for part := range strings.SplitSeq(p, "/") {
		bad = bad || part == "" || part == "." || part == ".." || strings.EqualFold(part, ".git")
	}
	if bad {
		return fmt.Errorf("path %q: %w as a path of a repository", p, ErrNotFound)
	}
	return nil
}

// writeTree writes base with files changed. Only the folders of the files are rewritten.
func (r *Repo) writeTree(ctx context.Context, base *Tree, files map[string][]byte) (string, error) {
	if len(files) > maxProposalFiles {
		return "", fmt.Errorf("%d files in one proposal; at most %d are taken", len(files), maxProposalFiles)
	}
	total := 0
	for p, content := range files {
		if err := checkPath(p); err != nil {
			return "", err
		}
		total += len(content)
	}
	if total > maxProposalBytes {
		return "", fmt.Errorf("%d bytes in one proposal; at most %d are taken", total, maxProposalBytes)
	}
	blobs, err := r.writeBlobs(ctx, files)
	if err != nil {
		return "", err
	}
	w, err := r.newTreeWriter(ctx)
	if err != nil {
		return "", err
	}
	oid, err := w.dir(ctx, base, base.root, blobs)
	return oid, errors.Join(err, w.close())
}

// writeBlobs stores the contents and returns path to object name, "" for a deleted file.
func (r *Repo) writeBlobs(ctx context.Context, files map[string][]byte) (map[string]string, error) {
	out := map[string]string{}
	var paths []string
	for _, p := range slices.Sorted(maps.Keys(files)) {
		if files[p] == nil {
			out[p] = ""
		} else {
			paths = append(paths, p)
		}
	}
	if len(paths) == 1 {
		oid, err := r.git.line(ctx, bytes.NewReader(files[paths[0]]), "hash-object", "-w", "--no-filters", "--stdin")
		out[paths[0]] = oid
		return out, err
	}
	if len(paths) == 0 {
		return out, nil
	}
	dir, err := os.MkdirTemp("", "slipway-blobs-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var list strings.Builder
	for i, p := range paths {
		file := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(file, files[p], 0o600); err != nil {
			return nil, err
		}
		list.WriteString(file + "\n")
	}
	oids, err := r.git.run(ctx, strings.NewReader(list.String()), "hash-object", "-w", "--no-filters", "--stdin-paths")
	if err != nil {
		return nil, err
	}
	lines := strings.Fields(string(oids))
	if len(lines) != len(paths) {
		return nil, fmt.Errorf("git hash-object: %d answers for %d files", len(lines), len(paths))
	}
	for i, p := range paths {
		out[p] = lines[i]
	}
	return out, nil
}

// treeWriter writes tree objects through one `git mktree --batch`.
type treeWriter struct {
	in   io.WriteCloser
	out  *bufio.Reader
	wait func() error
}

func (r *Repo) newTreeWriter(ctx context.Context) (*treeWriter, error) {
	// --missing: entries that are kept come from a tree that is there; looking
	// each of them up again would cost as much as the folder is wide.
	cmd := r.git.command(ctx, "mktree", "-z", "--missing", "--batch")
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	errs := &boundedBuffer{limit: maxGitErrors, drop: true}
	cmd.Stderr = errs
	if err := cmd.Start(); err != nil {
		return nil, failure(ctx, "mktree", err, "")
	}
	wait := func() error {
		if err := cmd.Wait(); err != nil {
			return failure(ctx, "mktree", err, errs.String())
		}
		return nil
	}
	return &treeWriter{in, bufio.NewReader(out), wait}, nil
}

func (w *treeWriter) close() error {
	w.in.Close()
	return w.wait()
}

// dir writes the folder at oid with the blobs, whose paths are relative to it.
// A folder that becomes empty is "".
func (w *treeWriter) dir(ctx context.Context, t *Tree, oid string, blobs map[string]string) (string, error) {
	old, err := t.objects.tree(ctx, oid)
	if err != nil {
		return "", err
	}
	entries := map[string]entry{}
	for _, e := range old {
		entries[e.name] = e
	}
	below := map[string]map[string]string{}
	for p, blob := range blobs {
		name, rest, deep := strings.Cut(p, "/")
		switch e, exists := entries[name]; {
		case deep:
			if exists && e.mode != modeDir {
				return "", fmt.Errorf("%s is a file, so nothing can be put below it", name)
			}
			if below[name] == nil {
				below[name] = map[string]string{}
			}
			below[name][rest] = blob
		case exists && e.mode == modeDir:
			return "", fmt.Errorf("%s is a folder, so no file can have its name", name)
		case blob == "":
			delete(entries, name)
		default:
			entries[name] = entry{mode: modeFile, name: name, oid: blob}
		}
	}
	for name, deeper := range below {
		if e := entries[name]; e.mode == modeFile {
			return "", fmt.Errorf("%s is given as a file and as a folder", name)
		}
		sub, err := w.dir(ctx, t, entries[name].oid, deeper)
		if err != nil {
			return "", fmt.Errorf("%s/: %w", name, err)
		}
		entries[name] = entry{mode: modeDir, name: name, oid: sub}
		if sub == "" {
			delete(entries, name)
		}
	}
	if len(entries) == 0 && t.root != oid {
		return "", nil
	}
	var buf bytes.Buffer
	for _, e := range entries {
		kind := "blob"
		switch e.mode {
		case modeDir:
			kind = "tree"
		case modeGitlink:
			kind = "commit"
		}
		fmt.Fprintf(&buf, "%s %s %s\t%s\x00", e.mode, kind, e.oid, e.name)
	}
	buf.WriteByte(0) // an empty entry ends the tree
	if _, err := w.in.Write(buf.Bytes()); err != nil {
		return "", fmt.Errorf("git mktree: %w", err)
	}
	line, err := w.out.ReadString('\n')
	if line = strings.TrimSpace(line); err != nil || !isObjectID(line) {
		return "", fmt.Errorf("git mktree: unexpected answer %q", line)
	}
	return line, nil
}
