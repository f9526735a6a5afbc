package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"slipway/audit/audittest"
	"slipway/key"
)

// options are those of a log below a new directory, with new keys.
func options(t testing.TB) Options {
	t.Helper()
	store, err := key.OpenStore(filepath.Join(t.TempDir(), "keys"), []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	return optionsIn(t, filepath.Join(audittest.TempDir(t), "audit log?"), store)
}

func optionsIn(t testing.TB, dir string, store *key.Store) Options {
	t.Helper()
	o := Options{Dir: dir, Origin: "slipway.finmicro.example/log", Logger: slog.New(slog.DiscardHandler)}
	for name, signer := range map[string]**key.Signer{"events": &o.Events, "log": &o.Log} {
		k, err := store.Signer(t.Context(), name, true)
		if err != nil {
			t.Fatal(err)
		}
		*signer = k
	}
	return o
}

func openLog(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeLog(t, l) })
	return l
}

func closeLog(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

func add(t testing.TB, l *Log, e Event) Receipt {
	t.Helper()
	r, err := l.Append(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// submitted is an event with something in every field.
func submitted(change string) Event {
	return Event{
		Actor: Actor{ID: "ana@finmicro.example", Role: "product-manager"}, Action: SubmitChange, Change: change,
		Resource:      Resource{Zone: "finmicro.example.", Record: "app.finmicro.example.", Type: "A", App: "expense-tracker"},
		ApprovalChain: []string{"ivy@finmicro.example"}, GitCommit: "0123456789abcdef0123456789abcdef01234567",
		ArtifactRefs: map[string]string{"sbom": "sha256:" + strings.Repeat("ab", 32)},
		Details:      json.RawMessage(`{"title": "A <b>name</b> & more", "revision": 1}`),
	}
}

func readAll(t testing.TB, dir string) []Receipt {
	t.Helper()
	var all []Receipt
	for r, err := range Read(t.Context(), dir, 0) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func TestAppend(t *testing.T) {
	o := options(t)
	l := openLog(t, o)
	r := add(t, l, submitted("c1"))
	if r.Index != 1 {
		t.Errorf("index %d after start-log", r.Index)
	}
	e := r.Event
	if e.KeyID != o.Events.ID() || e.Timestamp.IsZero() || e.Timestamp.Location() != time.UTC {
		t.Errorf("not set: %+v", e)
	}
	_, recorded, err := parseEventID(e.EventID)
	if err != nil || recorded.Sub(e.Timestamp).Abs() > time.Second {
		t.Errorf("event ID %s: %v, %v", e.EventID, recorded, err)
	}
	found, err := l.Index().Events(t.Context(), Query{Change: "c1"})
	if err != nil || len(found) != 1 || found[0].Event.EventID != e.EventID {
		t.Errorf("not in the index: %v, %v", found, err)
	}
	closeLog(t, l)
	if _, err := l.Append(t.Context(), submitted("c2")); !errors.Is(err, ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	all := readAll(t, o.Dir)
	if len(all) != 2 || all[0].Event.Action != StartLog || all[1].Event.EventID != e.EventID {
		t.Errorf("read %v", all)
	}
	size, err := publishedSize(filepath.Join(o.Dir, logDir))
	if err != nil || size != 2 {
		t.Errorf("the checkpoint covers %d (%v)", size, err)
	}
}

// Another implementation reads the signature as RFC 7515 says.
func TestSignatureIsADetachedJWS(t *testing.T) {
	o := options(t)
	l := openLog(t, o)
	add(t, l, submitted("c1"))
	for e, err := range entries(t.Context(), filepath.Join(o.Dir, logDir), 0, 2) {
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parseEntry(e.raw)
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		if err := json.Unmarshal(e.raw, &members); err != nil {
			t.Fatal(err)
		}
		delete(members, "signature")
		payload, err := Canonical(members)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(payload, parsed.payload) {
			t.Errorf("payload\n%s\nwant\n%s", parsed.payload, payload)
		}
		jws, err := jose.ParseDetached(parsed.event.Signature, payload, []jose.SignatureAlgorithm{jose.EdDSA})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jws.Verify(o.Events.Public()); err != nil {
			t.Error(err)
		}
	}
}

func TestOnce(t *testing.T) {
	o := options(t)
	l := openLog(t, o)
	e := submitted("c1")
	e.Once = "c1/submit"
	const callers = 64
	receipts := make([]Receipt, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { receipts[i] = add(t, l, e) })
	}
	wg.Wait()
	receipts = append(receipts, add(t, l, e))
	closeLog(t, l)
	// Also when the index was lost, and has to learn the key from the log again.
	if err := os.Remove(filepath.Join(o.Dir, indexFile)); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, o)
	receipts = append(receipts, add(t, l, e))
	for i, r := range receipts {
		if r.Index != receipts[0].Index || r.Event.EventID != receipts[0].Event.EventID {
			t.Errorf("caller %d got %d %s", i, r.Index, r.Event.EventID)
		}
	}
	if all := readAll(t, o.Dir); len(all) != 2 {
		t.Errorf("%d events in the log", len(all))
	}
}

func TestManyCallers(t *testing.T) {
	o := options(t)
	l := openLog(t, o)
	var mu sync.Mutex
	got := map[uint64]string{}
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for j := range 20 {
				r := add(t, l, submitted(fmt.Sprintf("c%d-%d", i, j)))
				mu.Lock()
				got[r.Index] = r.Event.Change
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	all := readAll(t, o.Dir)
	if len(all) != 32*20+1 || len(got) != 32*20 {
		t.Fatalf("%d events, %d receipts", len(all), len(got))
	}
	for _, r := range all[1:] {
		if got[r.Index] != r.Event.Change {
			t.Errorf("entry %d is %s, the receipt said %s", r.Index, r.Event.Change, got[r.Index])
		}
	}
}

func TestRefusedEvents(t *testing.T) {
	l := openLog(t, options(t))
	for name, spoil := range map[string]func(*Event){
		"unknown action":   func(e *Event) { e.Action = "do-something" },
		"nobody":           func(e *Event) { e.Actor = Actor{} },
		"not a digest":     func(e *Event) { e.ArtifactRefs = map[string]string{"sbom": "sha256:12"} },
		"too large":        func(e *Event) { e.Details = json.RawMessage(`{"a":"` + strings.Repeat("a", MaxEvent) + `"}`) },
		"no object":        func(e *Event) { e.Details = json.RawMessage(`[1]`) },
		"no JSON":          func(e *Event) { e.Details = json.RawMessage(`{"a"}`) },
		"a long name":      func(e *Event) { e.Resource.App = strings.Repeat("a", maxField+1) },
		"not UTF-8":        func(e *Event) { e.Once = "\xff" },
		"from the future":  func(e *Event) { e.Timestamp = time.Now().Add(time.Hour) },
		"a duplicate name": func(e *Event) { e.Details = json.RawMessage(`{"a":1,"a":2}`) },
	} {
		e := submitted("c1")
		spoil(&e)
		if r, err := l.Append(t.Context(), e); err == nil {
			t.Errorf("%s: accepted as %d", name, r.Index)
		}
	}
	// A refused event does not hold its key.
	e := submitted("c1")
	e.Once, e.Details = "k", json.RawMessage(`{"a"}`)
	l.Append(t.Context(), e)
	e.Details = nil
	add(t, l, e)
}

// A caller that gives up, or whose event is refused, does not decide for the others.
func TestOnceAfterAnotherFailed(t *testing.T) {
	l := openLog(t, options(t))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			e := submitted("c1")
			e.Once = "k"
			ctx := t.Context()
			switch i % 3 {
			case 0:
				ctx = gone
			case 1:
				e.Details = json.RawMessage(`{"a"}`)
			}
			if _, err := l.Append(ctx, e); err != nil && i%3 == 2 {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// A clock that was put back does not make the log look forged.
func TestClockPutBack(t *testing.T) {
	o := options(t)
	var clock atomic.Int64
	clock.Store(time.Now().UnixMilli())
	o.Now = func() time.Time { return time.UnixMilli(clock.Load()) }
	l := openLog(t, o)
	clock.Add(-3600_000)
	e := submitted("c1")
	e.ArtifactRefs = nil
	r := add(t, l, e)
	if !r.Event.Timestamp.Equal(o.Now()) {
		t.Errorf("happened at %s by the clock, recorded as %s", o.Now(), r.Event.Timestamp)
	}
	closeLog(t, l)
	l = openLog(t, o)
	add(t, l, e)
	closeLog(t, l)
	wantSound(t, o.Dir, l.PublicKeys())
}

func TestOneWriter(t *testing.T) {
	o := options(t)
	openLog(t, o)
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("second writer: %v", err)
	}
	if err := Reindex(t.Context(), o, nil); err == nil {
		t.Error("reindex under a running writer")
	}
}

func TestOpenRefusesAnotherLog(t *testing.T) {
	o := options(t)
	closeLog(t, openLog(t, o))
	for name, change := range map[string]func(*Options){
		"origin": func(o *Options) { o.Origin = "another.example/log" },
		"key":    func(o *Options) { o.Log = o.Events },
	} {
		other := o
		change(&other)
		if _, err := Open(t.Context(), other); err == nil {
			t.Errorf("another %s: opened", name)
		}
	}
}

func TestIndexIsRebuilt(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"missing":   func(path string) error { return os.Remove(path) },
		"garbage":   func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("garbage "), 1000), 0o600) },
		"empty":     func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"truncated": func(path string) error { return os.Truncate(path, 5000) },
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			l := openLog(t, o)
			for i := range 10 {
				add(t, l, submitted(fmt.Sprintf("c%d", i)))
			}
			closeLog(t, l)
			if err := damage(filepath.Join(o.Dir, indexFile)); err != nil {
				t.Fatal(err)
			}
			var messages bytes.Buffer
			o.Logger = slog.New(slog.NewTextHandler(&messages, nil))
			l = openLog(t, o)
			found, err := l.Index().Events(t.Context(), Query{})
			if err != nil || len(found) != 11 {
				t.Errorf("%d events, %v", len(found), err)
			}
			if !strings.Contains(messages.String(), "making the index of the audit log anew") {
				t.Errorf("said: %s", messages.String())
			}
		})
	}
}

// The index is the second witness of a log that was put back to an earlier state.
func TestOpenRefusesARolledBackLog(t *testing.T) {
	o := options(t)
	l := openLog(t, o)
	add(t, l, submitted("c1"))
	closeLog(t, l)
	earlier := filepath.Join(t.TempDir(), "earlier")
	if err := os.CopyFS(earlier, os.DirFS(filepath.Join(o.Dir, logDir))); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, o)
	add(t, l, submitted("c2"))
	closeLog(t, l)
	rollBack := func() {
		if err := errors.Join(os.RemoveAll(filepath.Join(o.Dir, logDir)), os.CopyFS(filepath.Join(o.Dir, logDir), os.DirFS(earlier))); err != nil {
			t.Fatal(err)
		}
	}
	rollBack()
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "lost or removed") {
		t.Fatalf("shorter log: %v", err)
	}
	// A person decides that the log is right; then it opens, and what follows differs.
	index, err := os.ReadFile(filepath.Join(o.Dir, indexFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := Reindex(t.Context(), o, nil); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, o)
	add(t, l, submitted("c3"))
	closeLog(t, l)
	if err := os.WriteFile(filepath.Join(o.Dir, indexFile), index, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "was changed") {
		t.Fatalf("forked log: %v", err)
	}
}

func TestDocuments(t *testing.T) {
	o := options(t)
	l := openLog(t, o)
	digest, err := l.Documents().Put(t.Context(), []byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := l.Documents().Put(t.Context(), []byte("content"))
	if err != nil || again != digest || digest != "sha256:ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73" {
		t.Errorf("put again: %s, %v", again, err)
	}
	content, err := l.Documents().Get(t.Context(), digest)
	if err != nil || string(content) != "content" {
		t.Errorf("got %q, %v", content, err)
	}
	path, err := l.Documents().path(digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("Content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Documents().Get(t.Context(), digest); err == nil || !strings.Contains(err.Error(), "altered") {
		t.Errorf("altered: %v", err)
	}
	if _, err := l.Documents().Put(t.Context(), []byte("content")); err != nil {
		t.Error(err)
	}
	if _, err := l.Documents().Get(t.Context(), digest); err != nil {
		t.Errorf("not mended by putting it again: %v", err)
	}
	if _, err := l.Documents().Get(t.Context(), "sha256:"+strings.Repeat("0", 64)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	for _, digest := range []string{"", "sha256:../../../etc/passwd", "sha256:" + strings.Repeat("A", 64), "md5:00"} {
		if _, err := l.Documents().Get(t.Context(), digest); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", digest, err)
		}
	}
}
