package audit

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"slipway/key"
)

// nextKey is another event key, as a key.Manager has it.
func nextKey(t testing.TB, kind key.Kind) *key.Signer {
	t.Helper()
	return elsewhere(t, kind).Events
}

func rotate(t testing.TB, l *Log, next *key.Signer) Receipt {
	t.Helper()
	r, err := l.Rotate(t.Context(), Actor{ID: "adam@finmicro.example", Role: "administrator"}, next, "Yearly change of keys.")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Whoever trusts the first key alone can follow through all others, also when events come
// in while keys are rotated.
func TestRotate(t *testing.T) {
	o := options(t)
	l := openLog(t, o)
	trusted := l.PublicKeys()
	keys := []*key.Signer{o.Events, nextKey(t, key.ECDSAP256), nextKey(t, key.Ed25519), nextKey(t, key.ECDSAP256)}
	stop, writers := make(chan struct{}), sync.WaitGroup{}
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				e := submitted(fmt.Sprint("c", w, "-", i))
				e.ArtifactRefs = nil
				if _, err := l.Append(context.WithoutCancel(t.Context()), e); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var at []uint64
	for _, next := range keys[1:] {
		fill(t, l, 5)
		at = append(at, rotate(t, l, next).Index)
	}
	fill(t, l, 5)
	close(stop)
	writers.Wait()
	closeLog(t, l)
	if !slices.IsSorted(at) {
		t.Errorf("rotated at %v", at)
	}
	report := wantSound(t, o.Dir, trusted)
	if report.Events != report.Size || report.Events < 20 {
		t.Errorf("%+v", report)
	}
	// Also whoever was given all keys.
	if all := l.PublicKeys(); len(all.Events) != len(keys) {
		t.Errorf("%d keys are published", len(all.Events))
	}
	wantSound(t, o.Dir, l.PublicKeys())
	for i, e := range readAll(t, o.Dir) {
		turn := 0
		for turn < len(at) && uint64(i) > at[turn] {
			turn++
		}
		if e.Event.KeyID != keys[turn].ID() {
			t.Fatalf("event %d is not signed by key %d", i, turn)
		}
	}
	// A key in the middle is no beginning.
	middle := trusted
	middle.Events = map[string]crypto.PublicKey{keys[2].ID(): keys[2].Public()}
	if report := verify(t, o.Dir, middle); !blamed(report, CheckEventSignature, 0) {
		t.Errorf("trusting the third key alone: %+v", report.Problems)
	}
}

func blamed(r *Report, check Check, index uint64) bool {
	return slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Check == check && p.Index != nil && *p.Index == index })
}

func TestARotatedLogOpensWithItsKeyOnly(t *testing.T) {
	o := options(t)
	first := o.Events
	wantCurrent := func(when, id string) {
		t.Helper()
		if current, err := CurrentKey(t.Context(), o.Dir); err != nil || current != id {
			t.Errorf("%s: the current key is %q, want %q (%v)", when, current, id, err)
		}
	}
	wantCurrent("before the log begins", "")
	l := openLog(t, o)
	wantCurrent("at first", first.ID())
	second := nextKey(t, key.ECDSAP256)
	rotate(t, l, second)
	wantCurrent("handed over", second.ID())
	for _, back := range []*key.Signer{first, second} {
		if _, err := l.Rotate(t.Context(), slipway, back, "back"); err == nil || !strings.Contains(err.Error(), "another key") {
			t.Errorf("rotated to a key that signed before: %v", err)
		}
	}
	if _, err := l.Append(t.Context(), Event{Actor: slipway, Action: RotateKey}); err == nil {
		t.Error("a rotation was appended that rotates nothing")
	}
	closeLog(t, l)
	if _, err := l.Rotate(t.Context(), slipway, nextKey(t, key.Ed25519), "closed"); err == nil {
		t.Error("rotated a closed log")
	}
	for name, wrong := range map[string]*key.Signer{"the old key": first, "another key": nextKey(t, key.Ed25519)} {
		o.Events = wrong
		if l, err := Open(t.Context(), o); err == nil {
			closeLog(t, l)
			t.Fatalf("%s: opened", name)
		} else if !strings.Contains(err.Error(), second.ID()) {
			t.Errorf("%s: the error does not say which key is needed: %v", name, err)
		}
	}
	o.Events = second
	l = openLog(t, o)
	add(t, l, submitted("c1"))
	wantCurrent("it has signed", second.ID())
	if keys := l.PublicKeys(); len(keys.Events) != 2 || keys.Events[first.ID()] == nil {
		t.Errorf("published keys: %v", keys.Events)
	}
	rotate(t, l, nextKey(t, key.Ed25519))
}

// What somebody can write who has taken over the server and has a key whose turn it is
// not. The log's own key signs the checkpoint over all of it.
func TestKeysOutOfTurn(t *testing.T) {
	o := options(t)
	l := openLog(t, o)
	trusted, old := l.PublicKeys(), o.Events
	rotated := nextKey(t, key.ECDSAP256)
	add(t, l, submitted("c1")) // 1
	rotate(t, l, rotated)      // 2
	add(t, l, submitted("c2")) // 3
	published := l.PublicKeys()
	closeLog(t, l)
	var raw [][]byte
	for e, err := range entries(t.Context(), filepath.Join(o.Dir, logDir), 0, 4) {
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, bytes.Clone(e.raw))
	}
	now := readAll(t, o.Dir)[3].Event.Timestamp
	by := func(k *key.Signer, change func(*Event)) []byte {
		signer, err := newEventSigner(k)
		if err != nil {
			t.Fatal(err)
		}
		e := submitted("forged")
		e.ArtifactRefs, e.KeyID = map[string]string{}, k.ID()
		change(&e)
		return signedAt(t, signer, e, now)
	}
	handOver := func(to *key.Signer, name string) func(*Event) {
		return func(e *Event) {
			details, err := json.Marshal(rotation{"x", jose.JSONWebKey{Key: to.Public(), KeyID: to.ID()}})
			if err != nil {
				t.Fatal(err)
			}
			e.Action, e.Details, e.Resource = RotateKey, details, Resource{Name: name}
		}
	}
	plain := func(*Event) {}
	thief := nextKey(t, key.Ed25519)
	for name, tt := range map[string]struct {
		entries [][]byte
		index   uint64
		check   Check
	}{
		"an old key, stolen":           {append(slices.Clone(raw), by(old, plain)), 4, CheckKeyHistory},
		"a new key, backwards":         {slices.Insert(slices.Clone(raw), 1, by(rotated, plain)), 1, CheckKeyHistory},
		"an old key hands over again":  {append(slices.Clone(raw), by(old, handOver(thief, thief.ID()))), 4, CheckKeyHistory},
		"and the next one signs":       {append(slices.Clone(raw), by(old, handOver(thief, thief.ID())), by(thief, plain)), 5, CheckEventSignature},
		"hands over to itself":         {append(slices.Clone(raw), by(rotated, handOver(rotated, rotated.ID()))), 4, CheckKeyHistory},
		"hands over to an old one":     {append(slices.Clone(raw), by(rotated, handOver(old, old.ID()))), 4, CheckKeyHistory},
		"hands over under a name":      {append(slices.Clone(raw), by(rotated, handOver(thief, rotated.ID()))), 4, CheckKeyHistory},
		"a stranger hands over":        {append(slices.Clone(raw), by(thief, handOver(thief, thief.ID()))), 4, CheckEventSignature},
		"the handing over is left out": {slices.Delete(slices.Clone(raw), 2, 3), 2, CheckEventSignature},
	} {
		rewrite(t, o, tt.entries)
		if report := verify(t, o.Dir, trusted); !blamed(report, tt.check, tt.index) {
			t.Errorf("%s: reported %+v", name, report.Problems)
		}
		// Whoever trusts both keys is deceived as little, but for the hand-over that is left out: both
		// may sign then, and the missing one shows in the root that others have seen.
		if report := verify(t, o.Dir, published); name != "the handing over is left out" && !blamed(report, tt.check, tt.index) {
			t.Errorf("%s, trusting both: reported %+v", name, report.Problems)
		}
	}
}

func signedAt(t *testing.T, signer *eventSigner, e Event, at time.Time) []byte {
	t.Helper()
	var err error
	e.Timestamp = at
	e.normalise()
	if e.EventID, err = newEventID(at, bytes.NewReader([]byte(e.KeyID+string(e.Action)+"0123456789"))); err != nil {
		t.Fatal(err)
	}
	raw, err := sign(signer, &e)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
