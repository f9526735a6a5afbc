package mirror_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/audit"
	"slipway/audit/mirror"
)

// A mirror holds, file for file, what the log has.
func TestPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := t.TempDir()
	store, err := mirror.OpenDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	w.event(map[string]string{"verdict": "a verdict", "request": "a request"})
	w.fill(20_000)
	w.settle()
	m := w.mirror(store)
	s := pass(t, m, false)
	if s.Log != 20_002 || s.Size != s.Log || s.Copied != s.Log || len(s.Missing) > 0 {
		t.Errorf("%+v", s)
	}
	r := w.wantSound(store, func(o *mirror.VerifyOptions) { o.Log = w.dir })
	if r.Size != s.Log || r.Events != s.Log || r.Documents != 1 || r.Checkpoints != 1 || *r.Behind != 0 {
		t.Errorf("%+v", r)
	}
	compared := 0
	err = filepath.WalkDir(filepath.Join(dir, "tile"), func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, file)
		theirs, err := os.ReadFile(filepath.Join(w.dir, "log", rel))
		if err != nil {
			return err
		}
		ours, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(ours, theirs) {
			t.Errorf("%s is another (%v)", rel, err)
		}
		compared++
		return nil
	})
	if err != nil || compared < 2*20_002/256 {
		t.Errorf("%d files compared: %v", compared, err)
	}
}

// What is read back from a mirror is a log that a server can go on with.
func TestRestore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := directory(t)
	w.fill(600)
	w.settle()
	pass(t, w.mirror(store), true)
	to := filepath.Join(t.TempDir(), "restored")
	w.wantSound(store, func(o *mirror.VerifyOptions) { o.To = to })
	w.o.Dir, w.dir = to, to
	w.open()
	w.fill(10)
	w.settle()
	report, err := audit.Verify(t.Context(), to, w.keys, nil)
	if err != nil || len(report.Problems) > 0 || report.Size != 611 {
		t.Errorf("%+v, %v", report, err)
	}
}

// Between checkpoints, bundles are copied as they fill.
func TestFollowing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := directory(t)
	now := time.Now()
	m := w.mirror(store, func(o *mirror.Options) { o.Now = func() time.Time { return now }; o.Every = time.Hour })
	w.fill(299)
	w.settle()
	if s := pass(t, m, false); s.Size != 300 {
		t.Fatalf("the first checkpoint waits: %+v", s)
	}
	w.open()
	w.fill(300)
	w.settle()
	if s := pass(t, m, false); s.Size != 300 || s.Copied != 512 || s.Log != 600 {
		t.Errorf("before the next is due: %+v", s)
	}
	if r := w.wantSound(store, func(o *mirror.VerifyOptions) { o.Log = w.dir }); r.Size != 300 || r.Ahead != 2 || *r.Behind != 300 {
		t.Errorf("%+v", r)
	}
	now = now.Add(2 * time.Hour)
	if s := pass(t, m, false); s.Size != 600 {
		t.Errorf("when it is due: %+v", s)
	}
	before := list(t, store)
	if s := pass(t, m, true); s.Size != 600 {
		t.Errorf("%+v", s)
	}
	if after := list(t, store); !slices.Equal(before, after) {
		t.Error("a pass with nothing to do has written")
	}
	if r := w.wantSound(store); r.Checkpoints != 2 {
		t.Errorf("%+v", r)
	}
}

func list(t testing.TB, s mirror.Store) (names []string) {
	t.Helper()
	for o, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, o.Name)
	}
	return names
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		words     []string
		documents uint64
	}{
		{nil, 1}, {[]string{"none"}, 0}, {[]string{"all"}, 2}, {[]string{"request"}, 1},
	} {
		w := newWorld(t)
		store := directory(t)
		d, err := mirror.ParseDocuments(c.words)
		if err != nil {
			t.Fatal(err)
		}
		w.event(map[string]string{"verdict": "v", "request": "r"})
		w.settle()
		pass(t, w.mirror(store, func(o *mirror.Options) { o.Documents = d }), true)
		if r := w.wantSound(store); r.Documents != c.documents {
			t.Errorf("%v: %d documents", c.words, r.Documents)
		}
	}
	for _, words := range [][]string{{"none", "verdict"}, {"all", "all"}, strings.Fields(strings.Repeat("x ", 65))} {
		if _, err := mirror.ParseDocuments(words); err == nil {
			t.Errorf("%v was taken", words)
		}
	}
}

// A document that was erased on record before it was copied is not missed. One that is
// missing for no reason is, is copied when it comes back, and holds nothing else back.
func TestDocumentsThatAreGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := directory(t)
	r := w.event(map[string]string{"verdict": "about a person"})
	lost := w.event(map[string]string{"verdict": "lost"})
	if _, err := w.log.Erase(t.Context(), ana, r.Event.ArtifactRefs["verdict"], "asked for"); err != nil {
		t.Fatal(err)
	}
	digest := lost.Event.ArtifactRefs["verdict"]
	name, err := audit.DocumentName(digest)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(w.dir, filepath.FromSlash(name))
	content, err := os.ReadFile(file)
	if err == nil {
		err = os.Remove(file)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	m := w.mirror(store)
	if s := pass(t, m, true); !slices.Equal(s.Missing, []string{digest}) || s.Size != s.Log {
		t.Errorf("%+v", s)
	}
	wantProblem(t, w.verify(store), audit.CheckDocumentMissing, name, "not there")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if s := pass(t, m, true); len(s.Missing) > 0 {
		t.Errorf("%+v", s)
	}
	w.wantSound(store)
}

// failing is a store that fails at the n-th write, before or after it.
type failing struct {
	mirror.Store
	left  int
	after bool
}

var errFailed = errors.New("the store has failed")

func (f *failing) Put(ctx context.Context, name string, content []byte) error {
	f.left--
	if f.left > 0 {
		return f.Store.Put(ctx, name, content)
	}
	if f.left == 0 && f.after {
		return errors.Join(f.Store.Put(ctx, name, content), errFailed)
	}
	return errFailed
}

func (f *failing) List(ctx context.Context, prefix string) iter.Seq2[mirror.Object, error] {
	return f.Store.List(ctx, prefix)
}

// A copy that fails anywhere leaves a mirror that can be verified as far as it says it
// goes, and goes on from there, in the same process or in another.
func TestFailsAnywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.event(map[string]string{"verdict": "first"})
	w.fill(254)
	w.settle()
	reference := directory(t)
	pass(t, w.mirror(reference), true)
	w.open()
	w.event(map[string]string{"verdict": "second"})
	w.fill(300)
	w.settle()
	for n := 1; ; n++ {
		store := directory(t)
		f := &failing{Store: store, left: n, after: n%2 == 0}
		m := w.mirror(f)
		_, err := m.Pass(t.Context(), true)
		if err == nil {
			if n < 10 {
				t.Errorf("only %d writes", n)
			}
			return
		}
		if !errors.Is(err, errFailed) {
			t.Fatal(err)
		}
		if r := w.verify(store); r.Size > 0 {
			w.wantSound(store)
		}
		f.left = 1 << 30
		if n%3 == 0 {
			m = w.mirror(store)
		}
		pass(t, m, true)
		if r := w.wantSound(store); r.Size != 557 || r.Documents != 2 {
			t.Errorf("write %d: %+v", n, r)
		}
	}
}

// The mirror does not follow a log whose past is not the one that it has.
func TestLogIsNotTheOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := directory(t)
	w.fill(299)
	w.settle()
	old := filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(old, os.DirFS(w.dir)); err != nil {
		t.Fatal(err)
	}
	w.open()
	w.fill(300)
	w.settle()
	m := w.mirror(store)
	pass(t, m, true)

	whole := w.dir
	contradicted := func(m *mirror.Mirror, what string) {
		t.Helper()
		before := list(t, store)
		var c *mirror.Contradiction
		if _, err := m.Pass(t.Context(), true); !errors.As(err, &c) || !strings.Contains(err.Error(), what) {
			t.Errorf("%v", err)
		}
		if !slices.Equal(list(t, store), before) {
			t.Error("something was written all the same")
		}
	}
	w.dir = old
	contradicted(w.mirror(store), "lost, removed or restored from an old copy")
	wantProblem(t, w.verify(store, func(o *mirror.VerifyOptions) { o.Log = old }), mirror.CheckLocal, "", "lost, removed, or restored")

	// The old one grows another way, under the log's own keys: as long, and longer.
	w.o.Dir = old
	w.open()
	w.fill(300)
	w.settle()
	contradicted(w.mirror(store), "another history of the same 600 events")
	w.open()
	w.fill(1)
	w.settle()
	contradicted(w.mirror(store), "does not go on from this checkpoint")
	wantProblem(t, w.verify(store, func(o *mirror.VerifyOptions) { o.Log = old }), mirror.CheckLocal, "", "Event 300 of the server's log is not the one")

	// An entry that was damaged on the server's disk is not copied.
	w.dir, w.o.Dir = whole, whole
	w.open()
	w.fill(300)
	w.settle()
	bundle := filepath.Join(whole, "log/tile/entries/002")
	raw, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	raw[5000] ^= 1
	if err := os.WriteFile(bundle, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	contradicted(w.mirror(store), "")
	raw[5000] ^= 1
	if err := os.WriteFile(bundle, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if s := pass(t, m, true); s.Size != 900 {
		t.Errorf("%+v", s)
	}
	w.wantSound(store)
}

// Whatever is done to the files of a mirror is reported, and where.
func TestTampering(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.event(map[string]string{"verdict": "a verdict"})
	w.fill(598)
	w.settle()
	template := t.TempDir()
	store, err := mirror.OpenDirectory(template)
	if err != nil {
		t.Fatal(err)
	}
	pass(t, w.mirror(store), true)
	names := list(t, store)
	for _, name := range names {
		for _, how := range []string{"removed", "altered", "emptied"} {
			dir := filepath.Join(t.TempDir(), "m")
			if err := os.CopyFS(dir, os.DirFS(template)); err != nil {
				t.Fatal(err)
			}
			readOnly(t, dir)
			file := filepath.Join(dir, filepath.FromSlash(name))
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			switch how {
			case "altered":
				raw[len(raw)/2] ^= 1
				err = os.WriteFile(file, raw, 0o444)
			case "emptied":
				err = os.WriteFile(file, nil, 0o444)
			}
			if err != nil {
				t.Fatal(err)
			}
			touched, err := mirror.OpenDirectory(dir)
			if err != nil {
				t.Fatal(err)
			}
			// What is gone from the keys is taken from elsewhere; without its note nobody
			// knows which documents to expect.
			harmless := strings.HasPrefix(name, "keys/") || strings.HasPrefix(name, "scope/") && how == "removed"
			if r := w.verify(touched); len(r.Problems) == 0 && !harmless {
				t.Errorf("%s %s: not noticed", name, how)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(template, "note.txt"), []byte("hello"), 0o444); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, w.verify(store), mirror.CheckMirror, "note.txt", "nothing that a mirror")
}

// readOnly puts back the modes that copying a directory loses.
func readOnly(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(file, 0o444)
	})
	if err != nil {
		t.Fatal(err)
	}
}
