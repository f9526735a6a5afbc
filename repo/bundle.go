package repo

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"strings"
)

// MergedChange names a change on main for Bundle: what it merged, and into what.
type MergedChange struct {
	ID     string
	Commit string // on main
	Base   string // main before
}

// MaxBundle bounds the objects of one Bundle, in bytes of their content.
const MaxBundle = 1 << 30

// Bundle writes a Git bundle (gitformat-bundle(5)) of what changes brought to main: their
// commits with everything in them that was not on main before, and of what was before the
// files and folders that they replaced, so that both sides can be read without the
// repository. Of each commit in files it also holds the files named there. The same
// arguments give the same bytes.
//
// Every object stands by itself, without deltas, so that a reader needs nothing but zlib
// (gitformat-pack(5)). A clone of the repository can fetch from the bundle; what it does
// not hold, a clone has.
func (r *Repo) Bundle(ctx context.Context, w io.Writer, changes []MergedChange, files map[string][]string) error {
	b := &bundler{repo: r, objects: map[string]string{}}
	refs := map[string]string{} // ref -> commit
	bases := map[string]bool{}
	for _, m := range changes {
		if !changeID.MatchString(m.ID) || !isObjectID(m.Commit) || !isObjectID(m.Base) {
			return fmt.Errorf("bundle: change %q from %q to %q is no change on main", m.ID, m.Base, m.Commit)
		}
		refs[mergedRefs+m.ID], bases[m.Base] = m.Commit, true
		if err := b.change(ctx, m); err != nil {
			return fmt.Errorf("bundle: change %s: %w", m.ID, err)
		}
	}
	for _, commit := range slices.Sorted(maps.Keys(files)) {
		if !isObjectID(commit) {
			return fmt.Errorf("bundle: %q is no commit", commit)
		}
		for _, file := range files[commit] {
			if err := b.file(ctx, commit, file); err != nil {
				return fmt.Errorf("bundle: %s at %s: %w", file, commit, err)
			}
		}
	}
	// What a clone must have before it can fetch.
	for _, commit := range refs {
		delete(bases, commit)
	}
	return b.write(ctx, w, refs, slices.Sorted(maps.Keys(bases)))
}

type bundler struct {
	repo    *Repo
	objects map[string]string // name -> kind
}

// change collects what a change brought, and what it replaced.
func (b *bundler) change(ctx context.Context, m MergedChange) error {
	out, err := b.repo.git.run(ctx, nil, "rev-list", "--objects", "--no-object-names", "--end-of-options", m.Commit, "^"+m.Base)
	if err != nil {
		return err
	}
	for oid := range strings.Lines(string(out)) {
		b.objects[strings.TrimSpace(oid)] = ""
	}
	b.objects[m.Base] = "commit"
	old, err := b.repo.Tree(ctx, m.Base)
	if err != nil {
		return err
	}
	now, err := b.repo.Tree(ctx, m.Commit)
	if err != nil {
		return err
	}
	changed, err := b.repo.ChangedPaths(ctx, old, now)
	if err != nil {
		return err
	}
	b.objects[old.root], b.objects[now.root] = "tree", "tree"
	for _, c := range changed {
		for _, side := range []struct{ commit, blob string }{{m.Base, c.OldBlob}, {m.Commit, c.NewBlob}} {
			err := b.file(ctx, side.commit, c.Path)
			if side.blob == "" && errors.Is(err, ErrNotFound) {
				continue // its folders are there, as far as the commit has them, so that the two can be compared
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// file collects a commit, a file in it and the folders above that.
func (b *bundler) file(ctx context.Context, commit, file string) error {
	t, err := b.repo.Tree(ctx, commit)
	if err != nil {
		return err
	}
	b.objects[commit], b.objects[t.root] = "commit", "tree"
	for at := 0; ; {
		end := strings.IndexByte(file[at:], '/')
		name := file
		if end >= 0 {
			name = file[:at+end]
		}
		e, err := t.lookup(ctx, name)
		if err != nil {
			return err
		}
		if e.mode == modeGitlink {
			return nil // a commit of another repository
		}
		b.objects[e.oid] = ""
		if end < 0 {
			return nil
		}
		at += end + 1
	}
}

// kinds are the numbers of object types in a pack.
var kinds = map[string]byte{"commit": 1, "tree": 2, "blob": 3, "tag": 4}

func (b *bundler) write(ctx context.Context, w io.Writer, refs map[string]string, bases []string) error {
	var head bytes.Buffer
	sum := hash.Hash(sha1.New()) // Git's own choice; what it names is named by signed events as well
	head.WriteString("# v2 git bundle\n")
	for _, oid := range refs {
		if len(oid) == 2*sha256.Size {
			head.Reset()
			head.WriteString("# v3 git bundle\n@object-format=sha256\n")
			sum = sha256.New()
		}
	}
	for _, oid := range bases {
		fmt.Fprintf(&head, "-%s\n", oid)
	}
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		fmt.Fprintf(&head, "%s %s\n", refs[name], name)
	}
	head.WriteString("\n")
	if _, err := w.Write(head.Bytes()); err != nil {
		return err
	}
	pack := io.MultiWriter(w, sum)
	if _, err := pack.Write(binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(len(b.objects)))); err != nil {
		return err
	}
	total := int64(0)
	for _, oid := range slices.Sorted(maps.Keys(b.objects)) {
		size, err := b.object(ctx, pack, oid)
		if err != nil {
			return fmt.Errorf("object %s: %w", oid, err)
		}
		if total += size; total > MaxBundle {
			return fmt.Errorf("the changes have more than %d bytes: %w", MaxBundle, errTooLarge)
		}
	}
	_, err := w.Write(sum.Sum(nil))
	return err
}

// object writes one object of a pack: its type and length, then its content by itself.
func (b *bundler) object(ctx context.Context, w io.Writer, oid string) (int64, error) {
	_, kind, size, err := b.repo.objects.info(ctx, oid)
	if err != nil {
		return 0, err
	}
	number, ok := kinds[kind]
	if !ok {
		return 0, errors.New("it is a " + kind)
	}
	c, rest := number<<4|byte(size&0x0f), size>>4
	var header []byte
	for ; rest > 0; rest >>= 7 {
		header = append(header, c|0x80)
		c = byte(rest & 0x7f)
	}
	if _, err := w.Write(append(header, c)); err != nil {
		return 0, err
	}
	z := zlib.NewWriter(w)
	if err := b.repo.objects.copy(ctx, z, oid, kind, maxTreeObject); err != nil {
		return 0, err
	}
	return size, z.Close()
}
