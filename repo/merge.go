package repo

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Merge asks for one signed commit on main.
type Merge struct {
	ChangeID string
	Expect   string // the commit that main must be at
	Tree     string // tree to commit (from MergeTree)
	Head     string // the proposal's commit: second parent
	Author   Person
	Message  string    // subject and body; trailers are added
	Trailers []Trailer // Change-Id, Requested-by, Approved-by, Tier, Change-Digest, Policy-Digest, Event-Id
	When     time.Time
}

type Trailer struct{ Key, Value string }

// changeTrailer names the change in a merge commit's message; Merge adds it when
// the caller's trailers have none.
const changeTrailer = "Change-Id"

const mergedRefs = "refs/slipway/merged/"

var changeID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$`)

// conflict is ErrConflict with the files that both sides changed.
type conflict struct{ paths []string }

func (c *conflict) Error() string {
	return fmt.Sprintf("%v: both changed %s", ErrConflict, strings.Join(c.paths, ", "))
}
func (c *conflict) Unwrap() error { return ErrConflict }

// ConflictPaths returns the files that an ErrConflict is about.
func ConflictPaths(err error) []string {
	var c *conflict
	if errors.As(err, &c) {
		return c.paths
	}
	return nil
}

// MergeTree merges two commits and returns the tree, or an ErrConflict.
func (r *Repo) MergeTree(ctx context.Context, ours, theirs string) (tree string, err error) {
	if err := errors.Join(checkRevision(ours), checkRevision(theirs)); err != nil {
		return "", err
	}
	out, err := r.git.run(ctx, nil, "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", "--end-of-options", ours, theirs)
	parts := strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	if exitCode(err) == 1 && len(parts) > 1 {
		return "", fmt.Errorf("merge %s into %s: %w", theirs, ours, &conflict{parts[1:]})
	}
	if err != nil {
		return "", fmt.Errorf("merge %s into %s: %w", theirs, ours, err)
	}
	if !isObjectID(parts[0]) {
		return "", fmt.Errorf("merge %s into %s: unexpected answer %q", theirs, ours, parts[0])
	}
	return parts[0], nil
}

// Merged returns the commit by which a change came onto main.
func (r *Repo) Merged(ctx context.Context, id string) (commit string, ok bool, err error) {
	if !changeID.MatchString(id) {
		return "", false, fmt.Errorf("change ID %q cannot be used in a ref", id)
	}
	commit, err = r.Resolve(ctx, mergedRefs+id)
	if errors.Is(err, ErrNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("change %s: %w", id, err)
	}
	// The two refs are written in one transaction, but a power cut may keep one of them.
	_, err = r.git.run(ctx, nil, "merge-base", "--is-ancestor", "--end-of-options", commit, Main)
	if exitCode(err) == 1 {
		return "", false, nil
	}
	return commit, err == nil, err
}

// Merge puts one signed commit on main and records it under the change's ID, in
// one transaction. It may be killed at any instruction and called again with the
// same m: the change is on main once. ErrMoved says that m.Expect is no longer
// main; the caller judges the change again.
func (r *Repo) Merge(ctx context.Context, m Merge, signer ssh.Signer) (commit string, err error) {
	if signer == nil {
		return "", fmt.Errorf("merge change %s: no signing key", m.ChangeID)
	}
	if done, ok, err := r.Merged(ctx, m.ChangeID); err != nil || ok {
		return done, err
	}
	unlock, err := r.lock(ctx)
	if err != nil {
		return "", fmt.Errorf("merge change %s: %w", m.ChangeID, err)
	}
	defer unlock()
	commit, err = r.merge(ctx, m, signer)
	if err != nil {
		return "", fmt.Errorf("merge change %s: %w", m.ChangeID, err)
	}
	return commit, nil
}

func (r *Repo) merge(ctx context.Context, m Merge, signer ssh.Signer) (string, error) {
	// Another process may have merged it before this one had the lock.
	if done, ok, err := r.Merged(ctx, m.ChangeID); err != nil || ok {
		return done, err
	}
	ref := mergedRefs + m.ChangeID
	main, err := r.Resolve(ctx, Main)
	if err != nil {
		return "", err
	}
	if main != m.Expect {
		// Killed between the two refs of the transaction: main is there, the record is not.
		done, err := r.findMerged(ctx, m, main)
		if err != nil {
			return "", err
		}
		if done == "" {
			return "", fmt.Errorf("%w: it is %s, not %s", ErrMoved, main, m.Expect)
		}
		return done, r.updateRefs(ctx, fmt.Sprintf("update %s %s\n", ref, done), ref)
	}
	head, err := r.Resolve(ctx, m.Head)
	if err != nil {
		return "", err
	}
	expect, err := r.Tree(ctx, m.Expect)
	if err != nil {
		return "", err
	}
	message, err := m.message()
	if err != nil {
		return "", err
	}
	commit, err := r.writeCommit(ctx, commitObject{
		tree: m.Tree, parents: []string{m.Expect, head},
		author: m.Author, committer: r.committer(ctx, expect), when: m.When, message: message,
	}, signer)
	if err != nil {
		return "", err
	}
	// main comes first: should the machine stop between the two, findMerged repairs the second.
	err = r.updateRefs(ctx, fmt.Sprintf("update %s %s %s\nupdate %s %s\n", Main, commit, m.Expect, ref, commit), Main, ref)
	if err != nil {
		// A git that outlived its killed parent may have done it just now.
		if done, ok, merr := r.Merged(ctx, m.ChangeID); merr == nil && ok {
			return done, nil
		}
		if now, rerr := r.Resolve(ctx, Main); rerr == nil && now != m.Expect && now != commit {
			return "", fmt.Errorf("%w: it is %s, not %s", ErrMoved, now, m.Expect)
		}
		return "", err
	}
	return commit, nil
}

// findMerged looks on main, after m.Expect, for the merge commit of m's change.
func (r *Repo) findMerged(ctx context.Context, m Merge, main string) (string, error) {
	if !isObjectID(m.Expect) {
		return "", fmt.Errorf("%q is not a full commit ID", m.Expect)
	}
	out, err := r.git.run(ctx, nil, "log", "-z", "--first-parent", "--max-count=1000",
		"--format=%H%x00%P%x00%(trailers:key="+changeTrailer+",valueonly,separator=%x2C)", "--end-of-options", m.Expect+".."+main)
	if err != nil {
		if exitCode(err) == 128 { // m.Expect is no commit here
			return "", nil
		}
		return "", err
	}
	f := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	for i := 0; i+2 < len(f); i += 3 {
		if f[i+2] == m.ChangeID && f[i+1] == m.Expect+" "+m.Head {
			return f[i], nil
		}
	}
	return "", nil
}

var trailerKey = regexp.MustCompile(`^[A-Za-z][A-Za-z-]{0,63}$`)

// message is the commit message with its trailers as the last paragraph. A line
// of the body that could be read as a trailer is indented, so that a requester
// cannot write "Approved-by:" into the record.
func (m Merge) message() (string, error) {
	var b strings.Builder
	for i, line := range strings.Split(cleanMessage(m.Message), "\n") {
		if key, _, ok := strings.Cut(line, ":"); i > 0 && ok && trailerKey.MatchString(strings.TrimSpace(key)) {
			line = "    " + line
		}
		b.WriteString(line + "\n")
	}
	text := strings.TrimRight(b.String(), "\n") + "\n\n"
	trailers := m.Trailers
	has := false
	for _, t := range trailers {
		has = has || t.Key == changeTrailer
	}
	if !has {
		trailers = append([]Trailer{{changeTrailer, m.ChangeID}}, trailers...)
	}
	for _, t := range trailers {
		if !trailerKey.MatchString(t.Key) || strings.ContainsFunc(t.Value, isControl) || strings.TrimSpace(t.Value) == "" {
			return "", fmt.Errorf("trailer %q: a trailer is one line with a plain key", t.Key)
		}
		if t.Key == changeTrailer && t.Value != m.ChangeID {
			return "", fmt.Errorf("trailer %s names %q, not this change", changeTrailer, t.Value)
		}
		text += fmt.Sprintf("%s: %s\n", t.Key, t.Value)
	}
	return text, nil
}
