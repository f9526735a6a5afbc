package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// TestReader proves every event of a log that has more than one bundle, while it is
// open and after it was closed, to one who may not write there.
func TestReader(t *testing.T) {
	o := options(t)
	l := openLog(t, o)
	const events = 300
	for i := range events {
		add(t, l, submitted(fmt.Sprintf("c%d", i)))
	}
	r, err := l.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	proveAll(t, r, l.PublicKeys(), events+1)
	if beside, err := OpenReader(t.Context(), o.Dir); err != nil {
		t.Errorf("beside the writer: %v", err)
	} else if err := beside.Close(); err != nil {
		t.Error(err)
	}
	closeLog(t, l)

	var before []string
	walk := func() (files []string) {
		filepath.WalkDir(o.Dir, func(path string, _ fs.DirEntry, err error) error {
			files = append(files, path)
			return err
		})
		return files
	}
	before = walk()
	r, err = OpenReader(t.Context(), o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	proveAll(t, r, l.PublicKeys(), events+1)
	found, err := r.Index().Events(t.Context(), Query{Change: "c7"})
	if err != nil || len(found) != 1 || found[0].Index != 8 {
		t.Errorf("found %v, %v", found, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if after := walk(); len(after) != len(before) {
		t.Errorf("reading left files: %q", after)
	}
	if err := os.Remove(filepath.Join(o.Dir, indexFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReader(t.Context(), o.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without an index: %v", err)
	}
}

func proveAll(t *testing.T, r *Reader, keys Keys, events uint64) {
	t.Helper()
	tree, err := OpenCheckpoint(r.Checkpoint(), keys.Log)
	if err != nil || tree != r.Tree() || tree.Size != events {
		t.Fatalf("checkpoint: %+v, %v", tree, err)
	}
	var cp log.Checkpoint
	if _, err := cp.Unmarshal(r.Checkpoint()); err != nil {
		t.Fatal(err)
	}
	for i := range events {
		raw, err := r.Entry(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		path, err := r.Proof(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, i, tree.Size, rfc6962.DefaultHasher.HashLeaf(raw), path, cp.Hash); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		e, err := OpenEntry(raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.VerifySignature(keys.Events[e.Event.KeyID]); err != nil {
			t.Errorf("event %d: %v", i, err)
		}
		altered := bytes.Replace(raw, []byte("slipway"), []byte("slipwei"), 1)
		if e, err := OpenEntry(altered); i == 0 && (err != nil || e.VerifySignature(keys.Events[e.Event.KeyID]) == nil) {
			t.Errorf("altered: %v", err)
		}
	}
	if _, err := r.Entry(t.Context(), events); err == nil {
		t.Error("an event beyond the checkpoint was read")
	}
}
