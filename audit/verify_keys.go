package audit

import (
	"bytes"
	"context"
	"crypto"
	"math"

	"github.com/transparency-dev/tessera/api/layout"
)

// reign is the part of the log that a key signs.
type reign struct {
	pub         crypto.PublicKey
	from, until uint64 // indices, both included
	succeeded   bool   // there is a successor, named by event until
	introduced  bool   // the log itself named it
}

func (r *reign) at(index uint64) bool { return r.from <= index && index <= r.until }

// rotates is in every rotate-key event, and hardly in another.
var rotates = []byte(`"action":"` + string(RotateKey) + `"`)

// history goes through the log once for rotate-key events, and follows them from the
// trusted keys to those that came after; and for timestamps, when those are looked at. What is wrong with the events in other ways is
// found when all are verified.
func (v *verifier) history(ctx context.Context, size uint64) error {
	for n := range (size + width - 1) / width {
		if err := v.enough(ctx); err != nil {
			return err
		}
		var file string
		raw, err := v.grown(&file, size, n, layout.EntriesPath)
		if err != nil || !bytes.Contains(raw, rotates) && (v.roots == nil || !bytes.Contains(raw, stamps)) {
			continue
		}
		list, err := parseBundle(raw)
		if err != nil {
			continue
		}
		for i, entry := range list {
			switch index := n*width + uint64(i); {
			case index >= size:
			case bytes.Contains(entry, rotates):
				v.rotation(file, index, entry)
			case v.roots != nil && bytes.Contains(entry, stamps):
				v.stampEvent(file, index, entry)
			}
		}
	}
	return nil
}

func (v *verifier) rotation(file string, index uint64, entry []byte) {
	e, err := parseEntry(entry)
	if err != nil || e.event.Action != RotateKey {
		return
	}
	old := v.events[e.event.KeyID]
	if old == nil || !old.at(index) || verifySignature(e.event.Signature, e.payload, e.event.KeyID, old.pub) != nil {
		return
	}
	id, pub, err := rotationOf(&e.event)
	if err != nil {
		v.inLog(CheckKeyHistory, file, &index, "Event %d replaces the event key: %v.", index, err)
		return
	}
	next := v.events[id]
	if id == e.event.KeyID || next != nil && (next.introduced || next.succeeded) {
		v.inLog(CheckKeyHistory, file, &index, "Event %d hands over to a key that signed before.", index)
		return
	}
	old.until, old.succeeded = index, true
	// One that is trusted anyhow is held to its turn all the same.
	v.events[id] = &reign{pub: pub, from: index + 1, until: math.MaxUint64, introduced: true}
}

// inTurn reports an event that is signed by a key whose turn it was not: by an old one
// that was stolen, or by a new one backwards in time.
func (v *verifier) inTurn(b *bundle, index uint64, r *reign) bool {
	switch {
	case index > r.until:
		b.problem(CheckKeyHistory, b.file, &index, "Event %d is signed by a key that event %d had replaced.", index, r.until)
	case index < r.from:
		b.problem(CheckKeyHistory, b.file, &index, "Event %d is signed by a key that began to sign only after event %d.", index, r.from-1)
	}
	return r.at(index)
}
