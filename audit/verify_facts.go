package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// facts puts events beside each other, in the order of the log.
type facts struct {
	v      *verifier
	ids    map[[16]byte]struct{}
	onces  map[[16]byte]uint64 // by digest of the key: the first event that has it
	latest time.Time           // of all events so far, when they were recorded
	refs   map[[hashSize]byte]uint64
	erased map[[hashSize]byte]struct{}
}

func newFacts(v *verifier) *facts {
	return &facts{v: v, ids: map[[16]byte]struct{}{}, onces: map[[16]byte]uint64{}, refs: map[[hashSize]byte]uint64{}, erased: map[[hashSize]byte]struct{}{}}
}

func (f *facts) take(b *bundle) {
	f.v.report.Events += uint64(len(b.events))
	for _, e := range b.events {
		if _, seen := f.ids[e.id]; seen {
			f.v.inLog(CheckEventID, b.file, &e.index, "Event %d has the ID of an earlier event.", e.index)
		}
		f.ids[e.id] = struct{}{}
		if e.hasOnce {
			if first, seen := f.onces[e.once]; seen {
				f.v.inLog(CheckOnce, b.file, &e.index, "Event %d records once more what event %d has recorded.", e.index, first)
			} else {
				f.onces[e.once] = e.index
			}
		}
		if e.recorded.Before(f.latest.Add(-maxClockSkew)) {
			f.v.inLog(CheckTime, b.file, &e.index, "Event %d was recorded at %s, and an event before it at %s.",
				e.index, e.recorded.Format(time.RFC3339), f.latest.Format(time.RFC3339))
		}
		if e.recorded.After(f.latest) {
			f.latest = e.recorded
		}
		for _, digest := range e.documents {
			if _, seen := f.refs[digest]; !seen {
				f.refs[digest] = e.index
			}
		}
		if e.isErasure {
			f.erased[e.erases] = struct{}{}
		}
	}
}

// documents checks every document in the store against its name, and that every one
// that an event refers to is there or was erased on record.
func (v *verifier) documents(ctx context.Context, facts *facts) error {
	root := filepath.Join(v.dir, documentsDir)
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if err := v.enough(ctx); err != nil {
			return err
		}
		rel, err := filepath.Rel(v.dir, file)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if d.IsDir() {
			if name == documentsDir+"/"+unfinished {
				return fs.SkipDir // being written: no part of the store yet
			}
			return nil
		}
		v.document(name, file, d, facts)
		return nil
	})
	if err != nil {
		return err
	}
	for digest, index := range facts.refs {
		if _, erased := facts.erased[digest]; !erased {
			name := documentPath(hex.EncodeToString(digest[:]))
			v.problem(CheckDocumentMissing, name, &index, "Event %d refers to this document, which is not there, and no event says that it was erased.", index)
		}
		if err := v.enough(ctx); err != nil {
			return err
		}
	}
	return nil
}

func documentPath(digest string) string { return documentsDir + "/sha256/" + digest[:2] + "/" + digest }

func (v *verifier) document(name, file string, d fs.DirEntry, facts *facts) {
	digest, ok := parseDigest("sha256:" + d.Name())
	if !ok || name != documentPath(d.Name()) || !d.Type().IsRegular() {
		v.problem(CheckUnexpectedFile, name, nil, "This file is not a document that this store could have written.")
		return
	}
	index, referred := facts.refs[digest]
	delete(facts.refs, digest)
	place := &index
	if !referred {
		place = nil
	}
	v.report.Documents++
	f, err := os.Open(file)
	if err != nil {
		v.problem(CheckDocument, name, place, "The document cannot be read: %v.", err)
		return
	}
	defer f.Close()
	hash := sha256.New()
	if n, err := io.Copy(hash, io.LimitReader(f, MaxDocument+1)); err != nil || n > MaxDocument {
		v.problem(CheckDocument, name, place, "The document cannot be read, or is larger than any document.")
		return
	}
	if [hashSize]byte(hash.Sum(nil)) != digest {
		v.problem(CheckDocument, name, place, "The document was altered: its content does not have the digest that it is kept under.")
	}
}
