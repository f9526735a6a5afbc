package audit

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"slipway/key"
)

// breakIndex makes every addition to the index fail until mend is called.
func breakIndex(t *testing.T, l *Log) (mend func()) {
	t.Helper()
	run := func(statement string) {
		t.Helper()
		if _, err := l.index.writer.ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
			t.Fatal(err)
		}
	}
	run(`CREATE TRIGGER broken BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk full'); END`)
	return func() { t.Helper(); run(`DROP TRIGGER broken`) }
}

// A failing index holds back nobody but those who ask it: what was recorded stays recorded,
// once, and is found when the index works again.
func TestIndexFailsForAWhile(t *testing.T) {
	t.Parallel()
	o := options(t)
	l := openLog(t, o)
	mend := breakIndex(t, l)
	e := submitted("c1")
	e.Once = "c1/submit"
	first := add(t, l, e)
	if again := add(t, l, e); again.Index != first.Index || again.Event.EventID != first.Event.EventID {
		t.Errorf("recorded as %d and as %d", first.Index, again.Index)
	}
	if found, err := l.Index().Events(t.Context(), Query{Change: "c1"}); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("an index that lacks events answers %v, %v", found, err)
	}
	mend()
	if found, err := l.Index().Events(t.Context(), Query{Change: "c1"}); err != nil || len(found) != 1 {
		t.Errorf("mended, it finds %v, %v", found, err)
	}
	if r := add(t, l, e); r.Index != first.Index {
		t.Errorf("recorded again, as %d", r.Index)
	}
	if all := readAll(t, o.Dir); len(all) != 2 {
		t.Errorf("%d events in the log", len(all))
	}
}

// What waits for a broken index is bounded: then no more is taken, and it is said why.
func TestBoundedBehindABrokenIndex(t *testing.T) {
	t.Parallel()
	o := options(t)
	l := openLog(t, o)
	if _, err := l.Index().Events(t.Context(), Query{}); err != nil {
		t.Fatal(err)
	}
	e := submitted("c1")
	e.ArtifactRefs = nil
	l.follower.mu.Lock()
	l.follower.room = 3 * weigh(&e)
	l.follower.mu.Unlock()
	mend := breakIndex(t, l)
	taken, err := 0, error(nil)
	for ; taken < 100 && err == nil; taken++ {
		_, err = l.Append(t.Context(), e)
	}
	if err == nil || taken != 4 || !strings.Contains(err.Error(), "too many events wait for the index") {
		t.Fatalf("%d events were tried: %v", taken, err)
	}
	// It keeps no key, and no room, of an event that was refused.
	e.Once = "k"
	if _, err := l.Append(t.Context(), e); err == nil {
		t.Error("taken")
	}
	mend()
	if _, err := l.Index().Events(t.Context(), Query{}); err != nil {
		t.Fatal(err)
	}
	add(t, l, e)
	closeLog(t, l)
	if report := wantSound(t, o.Dir, l.PublicKeys()); report.Events != 5 {
		t.Errorf("%d events", report.Events)
	}
}

// A log that is closed with a broken index says so, and the next start mends it.
func TestClosedBehindABrokenIndex(t *testing.T) {
	t.Parallel()
	o := options(t)
	l := openLog(t, o)
	breakIndex(t, l)
	e := submitted("c1")
	e.Once = "k"
	first := add(t, l, e)
	if err := l.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("closed with %v", err)
	}
	x, err := openIndex(t.Context(), o.database())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.writer.Exec(`DROP TRIGGER broken`); err != nil {
		t.Fatal(err)
	}
	if err := x.close(); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, o)
	if r := add(t, l, e); r.Index != first.Index {
		t.Errorf("recorded again, as %d", r.Index)
	}
}

// Whatever was acknowledged is in every answer of the index from then on, also for
// another caller, and while many others append.
func TestReadYourWrites(t *testing.T) {
	t.Parallel()
	l := openLog(t, options(t))
	ctx, x := t.Context(), l.Index()
	told := make(chan Receipt)
	var writers, readers sync.WaitGroup
	for w := range 32 {
		writers.Go(func() {
			for i := range 10 {
				e := submitted(fmt.Sprintf("c%d-%d", w, i))
				e.ArtifactRefs, e.Once = nil, e.Change
				r, err := l.Append(ctx, e)
				if err != nil {
					t.Error(err)
					return
				}
				told <- r
			}
		})
	}
	for range 8 {
		readers.Go(func() {
			for r := range told {
				if have, found, err := x.Event(ctx, r.Event.EventID); err != nil || !found || have.Index != r.Index {
					t.Errorf("event %d by its ID: %v, %v", r.Index, found, err)
				}
				if have, found, err := x.Once(ctx, r.Event.Once); err != nil || !found || have.Index != r.Index {
					t.Errorf("event %d by its key: %v, %v", r.Index, found, err)
				}
				if have, err := x.Events(ctx, Query{Change: r.Event.Change}); err != nil || len(have) != 1 {
					t.Errorf("event %d by its change: %v, %v", r.Index, have, err)
				}
				if have, err := x.ChangeIDs(ctx, ChangeQuery{Limit: 1000}); err != nil || !slices.Contains(have, r.Event.Change) {
					t.Errorf("change %s is not listed (%v)", r.Event.Change, err)
				}
			}
		})
	}
	writers.Wait()
	close(told)
	readers.Wait()
}

// Whoever waits for room or for the index may give up.
func TestWaitingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	f := newFollower()
	f.room = 1
	gone, cancel := context.WithCancel(t.Context())
	if err := f.reserve(gone, 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := f.reserve(gone, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("room: %v", err)
	}
	f.hand([]*pending{newPending(submitted("c1"))})
	if err := f.await(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("index: %v", err)
	}
}

// The filter never denies a key that it has been told, whatever its size.
func TestOnceFilter(t *testing.T) {
	t.Parallel()
	o := newOnces(0)
	o.bits = o.bits[:64] // crowded
	for i := range 1000 {
		o.add(fmt.Sprint(i))
	}
	if o.lacks("other") {
		t.Error("it denies before it has read the index")
	}
	o.ready.Store(true)
	for i := range 1000 {
		if o.lacks(fmt.Sprint(i)) {
			t.Fatalf("key %d is denied", i)
		}
	}
	wide := newOnces(0)
	wide.ready.Store(true)
	for i := range 1000 {
		wide.add(fmt.Sprint(i))
	}
	wrong := 0
	for i := range 1000 {
		if !wide.lacks(fmt.Sprint("other ", i)) {
			wrong++
		}
	}
	if wrong > 10 {
		t.Errorf("%d of 1000 other keys are not denied", wrong)
	}
}

// withSigner is an event key that signs through what wrap makes of it.
func withSigner(t testing.TB, wrap func(crypto.Signer) crypto.Signer) *key.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := key.NewSigner("events", "test:", wrap(private))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// meeting signs only when so many signatures are being made at the same time.
type meeting struct {
	crypto.Signer
	quorum  int
	mu      sync.Mutex
	arrived int
	met     chan struct{}
}

func (m *meeting) Sign(rand io.Reader, message []byte, o crypto.SignerOpts) ([]byte, error) {
	m.mu.Lock()
	if m.arrived++; m.arrived == m.quorum {
		close(m.met)
	}
	met := m.met
	m.mu.Unlock()
	<-met
	return m.Signer.Sign(rand, message, o)
}

// Signatures are made side by side, so that a key service that takes long for each
// does not hold up the others.
func TestSignaturesSideBySide(t *testing.T) {
	t.Parallel()
	o := options(t)
	var m *meeting
	o.Events = withSigner(t, func(s crypto.Signer) crypto.Signer {
		m = &meeting{Signer: s, quorum: 1, met: make(chan struct{})}
		return m
	})
	l := openLog(t, o)
	m.mu.Lock()
	m.arrived, m.quorum, m.met = 0, maxSignatures, make(chan struct{})
	m.mu.Unlock()
	fill(t, l, maxSignatures+10) // by 512 callers
	closeLog(t, l)
	wantSound(t, o.Dir, l.PublicKeys())
}

// A signature that is refused is the caller's to know, and nothing is recorded.
func TestKeyServiceRefuses(t *testing.T) {
	t.Parallel()
	o := options(t)
	var refuse atomic.Bool
	o.Events = withSigner(t, func(s crypto.Signer) crypto.Signer { return refusing{s, &refuse} })
	l := openLog(t, o)
	refuse.Store(true)
	e := submittedAlone("c1")
	e.Once = "k"
	if _, err := l.Append(t.Context(), e); err == nil || !strings.Contains(err.Error(), "over quota") {
		t.Errorf("refused: %v", err)
	}
	refuse.Store(false)
	if r := add(t, l, e); r.Index != 1 {
		t.Errorf("recorded as %d", r.Index)
	}
}

type refusing struct {
	crypto.Signer
	refuse *atomic.Bool
}

func (r refusing) Sign(rand io.Reader, message []byte, o crypto.SignerOpts) ([]byte, error) {
	if r.refuse.Load() {
		return nil, errors.New("over quota")
	}
	return r.Signer.Sign(rand, message, o)
}
