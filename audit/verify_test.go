package audit

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/tessera"
)

func verify(t testing.TB, dir string, keys Keys) *Report {
	t.Helper()
	report, err := Verify(t.Context(), dir, keys, nil)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func wantSound(t testing.TB, dir string, keys Keys) *Report {
	t.Helper()
	report := verify(t, dir, keys)
	for _, p := range report.Problems {
		t.Errorf("%+v", p)
	}
	return report
}

// smallLog writes a closed log of n events that refer to documents.
func smallLog(t testing.TB, n int) (dir string, keys Keys) {
	t.Helper()
	o := options(t)
	l := openLog(t, o)
	for i := 1; i < n; i++ {
		digest, err := l.Documents().Put(t.Context(), fmt.Appendf(nil, "document %d", i%3))
		if err != nil {
			t.Fatal(err)
		}
		e := submitted(fmt.Sprint("c", i))
		e.ArtifactRefs = map[string]string{"request": digest}
		e.Once = fmt.Sprint("c", i, "/submit")
		add(t, l, e)
	}
	closeLog(t, l)
	return o.Dir, l.PublicKeys()
}

// logFiles are the files that Verify vouches for.
func logFiles(t testing.TB, dir string) []string {
	t.Helper()
	var files []string
	for _, part := range []string{logDir, documentsDir} {
		err := fs.WalkDir(os.DirFS(dir), part, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && !strings.HasSuffix(name, ".lock") {
				files = append(files, name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestVerifySound(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 255, 256, 257, 520} {
		if n > 300 && testing.Short() {
			continue
		}
		o := options(t)
		l := openLog(t, o)
		fill(t, l, n-1)
		closeLog(t, l)
		report := wantSound(t, o.Dir, l.PublicKeys())
		if report.Size != uint64(n) || report.Events != uint64(n) || report.Unpublished != 0 || len(report.Leftovers) != 0 {
			t.Errorf("%d events: %+v", n, report)
		}
	}
}

// fill appends n events without documents, in batches as they come.
func fill(t testing.TB, l *Log, n int) {
	t.Helper()
	const callers = 512
	failed := make(chan error, callers)
	for caller := range callers {
		go func() {
			for i := caller; i < n; i += callers {
				e := submitted(fmt.Sprint("c", i))
				e.ArtifactRefs = nil
				if _, err := l.Append(context.WithoutCancel(t.Context()), e); err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	for range callers {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
}

// One flipped bit anywhere in the log or in a document is reported, with the file.
func TestEveryFlippedByteIsReported(t *testing.T) {
	t.Parallel()
	dir, keys := smallLog(t, 2)
	wantSound(t, dir, keys)
	flipped := 0
	for _, file := range logFiles(t, dir) {
		raw, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		for i := range raw {
			if testing.Short() && i%5 != 0 {
				continue
			}
			flipped++
			wantBlamed(t, dir, keys, file, raw, i)
		}
	}
	t.Logf("%d bytes flipped", flipped)
	wantSound(t, dir, keys)
}

// The same with tiles above the lowest level, for a sample of bytes.
func TestFlippedBytesOfALargerLogAreReported(t *testing.T) {
	t.Parallel()
	o := options(t)
	l := openLog(t, o)
	fill(t, l, 300)
	closeLog(t, l)
	files := logFiles(t, o.Dir)
	upper := 0
	for i, file := range files {
		if strings.Contains(file, ".p/") && i%4 != 0 && !strings.HasPrefix(file, "log/tile/1/") {
			continue
		}
		if strings.HasPrefix(file, "log/tile/1/") {
			upper++
		}
		raw, err := os.ReadFile(filepath.Join(o.Dir, file))
		if err != nil {
			t.Fatal(err)
		}
		wantBlamed(t, o.Dir, l.PublicKeys(), file, raw, len(raw)/2)
	}
	if upper == 0 {
		t.Error("no upper tiles were tried")
	}
}

func wantBlamed(t *testing.T, dir string, keys Keys, file string, raw []byte, i int) {
	t.Helper()
	path := filepath.Join(dir, file)
	altered := bytes.Clone(raw)
	altered[i] ^= 1
	if err := os.WriteFile(path, altered, 0o600); err != nil {
		t.Fatal(err)
	}
	report := verify(t, dir, keys)
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		if p.File == file {
			if strings.Contains(file, "/entries/") && !strings.Contains(file, ".p/") && p.Index == nil && p.Check != CheckBundle {
				t.Errorf("%s byte %d: no entry is named: %+v", file, i, p)
			}
			return
		}
	}
	t.Errorf("%s byte %d (%q to %q): reported %+v", file, i, raw[i], altered[i], report.Problems)
}

// rewrite makes a log anew from entries, signed by the log's own key: what somebody can
// do who has taken over the server.
func rewrite(t *testing.T, o Options, raw [][]byte) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(o.Dir, logDir)); err != nil {
		t.Fatal(err)
	}
	l := &Log{o: o}
	if err := os.MkdirAll(filepath.Join(o.Dir, logDir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.openTessera(t.Context(), filepath.Join(o.Dir, logDir)); err != nil {
		t.Fatal(err)
	}
	futures := make([]tessera.IndexFuture, len(raw))
	for i := range raw {
		futures[i] = l.appender.Add(t.Context(), tessera.NewEntry(raw[i]))
	}
	for _, future := range futures {
		if _, err := future(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.abandon()
}

func TestTampering(t *testing.T) {
	t.Parallel()
	type log struct {
		o       Options
		entries [][]byte
		keys    Keys
	}
	replace := func(t *testing.T, l log, name string, content []byte) {
		t.Helper()
		path := filepath.Join(l.o.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const edge = "log/tile/entries/000.p/6"
	swapped := func(entries [][]byte) [][]byte {
		other := append([][]byte{}, entries...)
		other[2], other[3] = other[3], other[2]
		return other
	}
	bundleOf := func(entries [][]byte) []byte {
		var b []byte
		for _, e := range entries {
			b = append(b, byte(len(e)>>8), byte(len(e)))
			b = append(b, e...)
		}
		return b
	}
	tests := []struct {
		name  string
		do    func(t *testing.T, l log)
		check Check
		file  string
	}{
		{"entries in another order", func(t *testing.T, l log) { replace(t, l, edge, bundleOf(swapped(l.entries))) }, CheckBundle, edge},
		{"an entry dropped", func(t *testing.T, l log) { replace(t, l, edge, bundleOf(l.entries[:5])) }, CheckBundle, edge},
		{"an entry added to the bundle", func(t *testing.T, l log) { replace(t, l, edge, bundleOf(append(l.entries, l.entries[1]))) }, CheckBundle, edge},
		{"a hash added to the tile", func(t *testing.T, l log) {
			raw, err := os.ReadFile(filepath.Join(l.o.Dir, "log/tile/0/000.p/6"))
			if err != nil {
				t.Fatal(err)
			}
			replace(t, l, "log/tile/0/000.p/6", append(raw, raw[:32]...))
		}, CheckTile, "log/tile/0/000.p/6"},
		{"a bundle removed", func(t *testing.T, l log) { os.Remove(filepath.Join(l.o.Dir, edge)) }, CheckBundle, edge},
		{"a document removed", func(t *testing.T, l log) {
			for _, file := range logFiles(t, l.o.Dir) {
				if strings.HasPrefix(file, documentsDir) {
					os.Remove(filepath.Join(l.o.Dir, file))
				}
			}
		}, CheckDocumentMissing, ""},
		{"a file added", func(t *testing.T, l log) { replace(t, l, "log/tile/extra", nil) }, CheckUnexpectedFile, "log/tile/extra"},
		{"a document added under no digest", func(t *testing.T, l log) { replace(t, l, "documents/notes.txt", nil) }, CheckUnexpectedFile, "documents/notes.txt"},
		{"a lock file filled", func(t *testing.T, l log) { replace(t, l, "log/.state/publish.lock", []byte("x")) }, CheckUnexpectedFile, "log/.state/publish.lock"},
		{"the first event dropped by the owner of the log's key", func(t *testing.T, l log) { rewrite(t, l.o, l.entries[1:]) }, CheckStart, "log/tile/entries/000.p/5"},
		{"an event twice, by the owner of the log's key", func(t *testing.T, l log) { rewrite(t, l.o, append(l.entries, l.entries[1])) }, CheckOnce, "log/tile/entries/000.p/7"},
		{"an event without signature", func(t *testing.T, l log) {
			rewrite(t, l.o, append(l.entries, []byte(`{"action":"go-live"}`)))
		}, CheckCanonicalForm, "log/tile/entries/000.p/7"},
		{"an event signed by an unknown key", func(t *testing.T, l log) {
			signer, err := newEventSigner(l.o.Log)
			if err != nil {
				t.Fatal(err)
			}
			rewrite(t, l.o, append(l.entries, forged(t, signer, l.o.Log.ID(), time.Now())))
		}, CheckEventSignature, "log/tile/entries/000.p/7"},
		{"an event dated back by the owner of both keys", func(t *testing.T, l log) {
			signer, err := newEventSigner(l.o.Events)
			if err != nil {
				t.Fatal(err)
			}
			rewrite(t, l.o, append(l.entries, forged(t, signer, l.o.Events.ID(), time.Now().Add(-time.Hour))))
		}, CheckTime, "log/tile/entries/000.p/7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			log := log{o: o}
			l := openLog(t, o)
			for i := range 5 {
				digest, err := l.Documents().Put(t.Context(), fmt.Appendf(nil, "document %d", i))
				if err != nil {
					t.Fatal(err)
				}
				e := submitted(fmt.Sprint("c", i))
				e.ArtifactRefs, e.Once = map[string]string{"request": digest}, fmt.Sprint("c", i, "/submit")
				add(t, l, e)
			}
			closeLog(t, l)
			log.keys = l.PublicKeys()
			for e, err := range entries(t.Context(), filepath.Join(o.Dir, logDir), 0, 6) {
				if err != nil {
					t.Fatal(err)
				}
				log.entries = append(log.entries, e.raw)
			}
			wantSound(t, o.Dir, log.keys)
			tt.do(t, log)
			report := verify(t, o.Dir, log.keys)
			for _, p := range report.Problems {
				if p.Check == tt.check && (tt.file == "" || p.File == tt.file) {
					return
				}
			}
			t.Errorf("want %s in %s, reported %+v", tt.check, tt.file, report.Problems)
		})
	}
}

// forged is an event as the owner of a key could make it.
func forged(t *testing.T, signer *eventSigner, keyID string, at time.Time) []byte {
	t.Helper()
	e := submitted("forged")
	e.Timestamp, e.KeyID = at, keyID
	e.normalise()
	var err error
	if e.EventID, err = newEventID(at, rand.Reader); err != nil {
		t.Fatal(err)
	}
	raw, err := sign(signer, &e)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
