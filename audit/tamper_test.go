package audit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"slipway/key"
)

// An intruder who has every file, and even the key that signs events, but not the log's
// own key: entries, tiles and the writer's notes are all made to fit, so that only the
// checkpoint that was signed before tells.
func TestRebuiltWithoutTheLogsKey(t *testing.T) {
	t.Parallel()
	o := options(t)
	l := openLog(t, o)
	fill(t, l, 300)
	closeLog(t, l)
	keys := l.PublicKeys()
	checkpoint := filepath.Join(o.Dir, logDir, checkpointFile)
	signed, err := os.ReadFile(checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	var raw [][]byte
	for e, err := range entries(t.Context(), filepath.Join(o.Dir, logDir), 0, 301) {
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, bytes.Clone(e.raw))
	}
	signer, err := newEventSigner(o.Events)
	if err != nil {
		t.Fatal(err)
	}
	another := forged(t, signer, o.Events.ID(), time.Now())
	thief := o
	thief.Log = nextKey(t, key.Ed25519)
	for name, tt := range map[string]struct {
		entries [][]byte
		check   Check
		file    string
	}{
		"an event replaced by another that is signed": {slices.Replace(slices.Clone(raw), 7, 8, another), CheckRoot, "log/checkpoint"},
		"an event dropped, another put at the end":    {append(slices.Delete(slices.Clone(raw), 7, 8), another), CheckRoot, "log/checkpoint"},
		"two events in another order":                 {slices.Concat(raw[:7], [][]byte{raw[8], raw[7]}, raw[9:]), CheckRoot, "log/checkpoint"},
		"an event put in, all later ones moved":       {slices.Insert(slices.Clone(raw), 7, another), CheckRoot, "log/checkpoint"},
		"an event dropped":                            {slices.Delete(slices.Clone(raw), 7, 8), CheckTreeState, "log/.state/treeState"},
		"the last events dropped":                     {raw[:250], CheckTreeState, "log/.state/treeState"},
		"an event repeated at the end":                {append(slices.Clone(raw), raw[9]), CheckEventID, "log/tile/entries/001.p/46"},
	} {
		rewrite(t, thief, tt.entries)
		theirs, err := os.ReadFile(checkpoint)
		if err := errors.Join(err, os.WriteFile(checkpoint, signed, 0o600)); err != nil {
			t.Fatal(err)
		}
		if report := verify(t, o.Dir, keys); !slices.ContainsFunc(report.Problems, func(p Problem) bool { return p.Check == tt.check && p.File == tt.file }) {
			t.Errorf("%s: want %s in %s, reported %+v", name, tt.check, tt.file, report.Problems)
		}
		// With a checkpoint of their own making it is no log of ours at all, to anybody.
		if err := os.WriteFile(checkpoint, theirs, 0o600); err != nil {
			t.Fatal(err)
		}
		if report := verify(t, o.Dir, keys); !slices.ContainsFunc(report.Problems, func(p Problem) bool { return p.Check == CheckCheckpoint }) {
			t.Errorf("%s, with another signature: reported %+v", name, report.Problems)
		}
		if l, err := Open(t.Context(), o); err == nil {
			closeLog(t, l)
			t.Errorf("%s: the server opened it", name)
		}
	}
}

// The end of a disk's history is taken away together with the index. Nothing on this
// disk can tell; a checkpoint that somebody kept can (TestRolledBackDisk). Where the index was
// forgotten, the server itself refuses, and fsck says so without touching anything.
func TestRolledBackLogBesideItsIndex(t *testing.T) {
	t.Parallel()
	o := options(t)
	l := openLog(t, o)
	add(t, l, submittedAlone("c1"))
	closeLog(t, l)
	earlier := filepath.Join(t.TempDir(), "earlier")
	if err := os.CopyFS(earlier, os.DirFS(filepath.Join(o.Dir, logDir))); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, o)
	fill(t, l, 20)
	closeLog(t, l)
	if err := errors.Join(os.RemoveAll(filepath.Join(o.Dir, logDir)), os.CopyFS(filepath.Join(o.Dir, logDir), os.DirFS(earlier))); err != nil {
		t.Fatal(err)
	}
	wantSound(t, o.Dir, l.PublicKeys())
	state, err := Inspect(t.Context(), o.Dir)
	if err != nil || state.Log != 2 || state.Index != 22 || state.Problem == "" {
		t.Errorf("fsck: %+v, %v", state, err)
	}
	if l, err := Open(t.Context(), o); err == nil {
		closeLog(t, l)
		t.Error("the server went on")
	}
}
