package mirror_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"slipway/audit"
	"slipway/audit/audittest"
	"slipway/audit/mirror"
	"slipway/internal/mototest"
	"slipway/key"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(copyDir); dir != "" {
		copyUntilKilled(dir, os.Getenv(copyTo))
		return
	}
	code := m.Run()
	mototest.Stop()
	os.Exit(code)
}

// world is a log that is being written.
type world struct {
	t    testing.TB
	dir  string
	log  *audit.Log
	keys audit.Keys
	o    audit.Options
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: filepath.Join(audittest.TempDir(t), "audit")}
	store, err := key.OpenStore(filepath.Join(t.TempDir(), "keys"), []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	w.o = audit.Options{Dir: w.dir, Origin: "slipway.finmicro.example/log", Logger: slog.New(slog.DiscardHandler)}
	for name, signer := range map[string]**key.Signer{"events": &w.o.Events, "log": &w.o.Log} {
		if *signer, err = store.Signer(t.Context(), name, true); err != nil {
			t.Fatal(err)
		}
	}
	w.open()
	t.Cleanup(w.close)
	return w
}

func (w *world) open() {
	w.t.Helper()
	var err error
	if w.log, err = audit.Open(w.t.Context(), w.o); err != nil {
		w.t.Fatal(err)
	}
	w.keys = w.log.PublicKeys()
}

func (w *world) close() {
	if w.log != nil {
		if err := w.log.Close(context.WithoutCancel(w.t.Context())); err != nil {
			w.t.Error(err)
		}
	}
	w.log = nil
}

var ana = audit.Actor{ID: "ana@finmicro.example", Role: "product-manager"}

// event appends one event that refers to documents, by their names.
func (w *world) event(documents map[string]string) audit.Receipt {
	w.t.Helper()
	e := audit.Event{Actor: ana, Action: audit.SubmitChange, Change: "c1", ArtifactRefs: map[string]string{}}
	for name, content := range documents {
		digest, err := w.log.Documents().Put(w.t.Context(), []byte(content))
		if err != nil {
			w.t.Fatal(err)
		}
		e.ArtifactRefs[name] = digest
	}
	r, err := w.log.Append(w.t.Context(), e)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// fill appends n events.
func (w *world) fill(n int) {
	w.t.Helper()
	var wg sync.WaitGroup
	const callers = 1024
	for c := range callers {
		wg.Go(func() {
			for i := c; i < n; i += callers {
				e := audit.Event{Actor: ana, Action: audit.SubmitChange, Change: fmt.Sprint("c", i)}
				if _, err := w.log.Append(w.t.Context(), e); err != nil {
					w.t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// settle closes the log, so that its checkpoint covers all of it.
func (w *world) settle() {
	w.t.Helper()
	w.close()
}

func (w *world) mirror(s mirror.Store, change ...func(*mirror.Options)) *mirror.Mirror {
	w.t.Helper()
	o := mirror.Options{Dir: w.dir, Keys: func() audit.Keys { return w.keys }, Store: s, Documents: mirror.DefaultDocuments}
	for _, c := range change {
		c(&o)
	}
	m, err := mirror.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func pass(t testing.TB, m *mirror.Mirror, seal bool) mirror.Status {
	t.Helper()
	s, err := m.Pass(t.Context(), seal)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func directory(t testing.TB) *mirror.Directory {
	t.Helper()
	d, err := mirror.OpenDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (w *world) verify(s mirror.Store, change ...func(*mirror.VerifyOptions)) *mirror.Report {
	w.t.Helper()
	o := mirror.VerifyOptions{Store: s, Keys: w.keys, To: filepath.Join(w.t.TempDir(), "copy")}
	for _, c := range change {
		c(&o)
	}
	r, err := mirror.Verify(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) wantSound(s mirror.Store, change ...func(*mirror.VerifyOptions)) *mirror.Report {
	w.t.Helper()
	r := w.verify(s, change...)
	if len(r.Problems) > 0 || r.Stopped != "" {
		w.t.Errorf("problems: %v %s", r.Problems, r.Stopped)
	}
	return r
}

// wantProblem wants a problem of one check about one object, among others.
func wantProblem(t testing.TB, r *mirror.Report, check audit.Check, file, what string) {
	t.Helper()
	for _, p := range r.Problems {
		if p.Check == check && strings.HasPrefix(p.File, file) && strings.Contains(p.What, what) {
			return
		}
	}
	t.Errorf("no problem %q about %q with %q, but %v", check, file, what, r.Problems)
}
