package evidence

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"slipway/audit"
)

// maxClockSkew is how far the times at which events were recorded may run backwards.
const maxClockSkew = time.Minute

// manifest compares every file with the list of them.
func (v *verifier) manifest() error {
	var err error
	if v.raw, err = v.c.read(manifestFile, maxManifest); err != nil {
		return stop(CheckManifest, manifestFile, "The list of files cannot be read: %v.", err)
	}
	if err := strict(v.raw, &v.m); err != nil {
		return stop(CheckManifest, manifestFile, "The list of files cannot be read: %v.", err)
	}
	if v.m.Format != Format {
		return stop(CheckManifest, manifestFile, "The bundle is of the form %.80q, and this program reads %s.", v.m.Format, Format)
	}
	s := v.m.Subject
	if err := s.tidy(); err != nil || s != v.m.Subject {
		return stop(CheckManifest, manifestFile, "What the bundle is about cannot be read: %v.", err)
	}
	v.result.Subject = s
	v.hashes = map[string]string{}
	last := ""
	for _, f := range v.m.Files {
		if f.Path <= last || f.Path == manifestFile || f.Path == sealFile {
			return stop(CheckManifest, manifestFile, "The list of files is not in order at %.200q.", f.Path)
		}
		last = f.Path
		v.hashes[f.Path] = f.SHA256
		if v.c.files[f.Path] == nil {
			v.problem(CheckManifest, f.Path, nil, "The file is missing.")
			continue
		}
		if err := v.ctx.Err(); err != nil {
			return err
		}
		switch sum, size, err := v.c.digest(f.Path); {
		case err != nil:
			v.problem(CheckManifest, f.Path, nil, "The file cannot be read: %v.", err)
		case sum != f.SHA256 || size != f.Size:
			v.problem(CheckManifest, f.Path, nil, "The file was altered: it is not the one that the manifest lists.")
		}
	}
	for _, name := range v.c.names {
		if _, listed := v.hashes[name]; !listed && name != manifestFile && name != sealFile {
			v.problem(CheckManifest, name, nil, "The file was added: the manifest does not list it.")
		}
	}
	if len(v.result.Problems) > 0 {
		return nil
	}
	v.proven(CheckManifest, "All %d files are those that the manifest lists.", len(v.m.Files))
	return nil
}

// checkpoint checks the log's signature on the state that all proofs lead to.
func (v *verifier) checkpoint() error {
	raw, err := v.c.read(checkpointFile, maxSmall)
	if err != nil {
		return stop(CheckCheckpoint, checkpointFile, "The checkpoint cannot be read: %v.", err)
	}
	tree, err := audit.OpenCheckpoint(raw, v.trust.Log)
	if err != nil {
		return stop(CheckCheckpoint, checkpointFile, "The checkpoint is not signed by the log's key %s: %v.", name(v.trust.Log), err)
	}
	if tree != v.m.Tree {
		return stop(CheckCheckpoint, checkpointFile, "The checkpoint is another one than the manifest names.")
	}
	v.result.Origin, v.result.Size, v.result.Root = tree.Origin, tree.Size, tree.Root
	v.proven(CheckCheckpoint, "The checkpoint of the log %s with %d events is signed by the key %s.", tree.Origin, tree.Size, name(v.trust.Log))
	return nil
}

// name is a verifier key without the key itself.
func name(vkey string) string {
	parts := strings.SplitN(vkey, "+", 3)
	return strings.Join(parts[:min(2, len(parts))], "+")
}

// record reads the events, and proves each to be in the log.
func (v *verifier) record() error {
	var proofs []proofLine
	err := v.c.lines(proofsFile, func(_ int, line []byte) error {
		var p proofLine
		if err := strict(line, &p); err != nil {
			return err
		}
		proofs = append(proofs, p)
		return v.ctx.Err()
	})
	if err != nil {
		return stop(CheckInclusion, proofsFile, "The proofs cannot be read: %v.", err)
	}
	root, err := base64.StdEncoding.DecodeString(v.m.Tree.Root)
	if err != nil {
		return stop(CheckCheckpoint, manifestFile, "The root of the log cannot be read: %v.", err)
	}
	all, err := v.passed(func() error {
		return v.c.lines(eventsFile, func(i int, line []byte) error {
			if i >= len(proofs) {
				return fmt.Errorf("there are %d proofs and more events", len(proofs))
			}
			v.event(proofs[i], line, root)
			return v.ctx.Err()
		})
	})
	if err != nil {
		return stop(CheckInclusion, eventsFile, "The events cannot be read: %v.", err)
	}
	v.result.Events = len(v.events)
	if !all {
		return nil
	}
	if len(v.events) != len(proofs) || len(v.events) != v.m.Events {
		return stop(CheckInclusion, eventsFile, "There are %d events, %d proofs, and the manifest says %d.", len(v.events), len(proofs), v.m.Events)
	}
	v.proven(CheckInclusion, "All %d events lie in that log, unaltered and in this order.", len(v.events))
	return nil
}

// event takes one event in, when it is in the log.
func (v *verifier) event(p proofLine, line []byte, root []byte) {
	path, err := hashes(p.Path)
	if err == nil {
		err = proof.VerifyInclusion(rfc6962.DefaultHasher, p.Index, v.m.Tree.Size, rfc6962.DefaultHasher.HashLeaf(line), path, root)
	}
	if err != nil {
		v.inEvent(CheckInclusion, p.Index, "Event %d is not the one that lies there in the log: it was altered, or it comes from another log.", p.Index)
		return
	}
	if n := len(v.events); n > 0 && v.events[n-1].Index >= p.Index {
		v.inEvent(CheckOrder, p.Index, "Event %d stands after event %d.", p.Index, v.events[n-1].Index)
		return
	}
	if !slices.Contains(rank, p.Why) {
		v.inEvent(CheckSubject, p.Index, "Event %d is there for no reason that is known: %.40q.", p.Index, p.Why)
		return
	}
	e, err := audit.OpenEntry(line)
	if err != nil {
		v.inEvent(CheckEvent, p.Index, "Entry %d is not an event: %v.", p.Index, err)
		return
	}
	v.events = append(v.events, Event{Index: p.Index, Why: p.Why, Event: e.Event})
	v.entries = append(v.entries, e)
}

// turn is the part of the log that a key signs.
type turn struct {
	pub         crypto.PublicKey
	from, until uint64 // both included
}

// keyHistory follows the event keys from the first to the last, and checks each event's
// signature by the key whose turn it was.
func (v *verifier) keyHistory() error {
	good, err := v.passed(v.signatures)
	if err != nil || !good {
		return err
	}
	rotations := 0
	for i := range v.events {
		if v.events[i].Event.Action == audit.RotateKey {
			rotations++
		}
	}
	whose := "by keys that you trust"
	switch {
	case v.o.Trust == nil:
		whose = "by the keys that the log's first event and the bundle name"
	case len(v.o.Trust.Events) == 0:
		whose = "by the key that the log's first event names"
	}
	if rotations > 0 {
		whose += fmt.Sprintf(", and those that took over from them on record (%d times)", rotations)
	}
	v.proven(CheckSignature, "Every event is signed %s.", whose)
	return nil
}

func (v *verifier) signatures() error {
	if len(v.events) == 0 {
		return nil // reported already
	}
	turns := map[string]*turn{}
	first := v.events[0]
	if first.Index != 0 || first.Event.Action != audit.StartLog {
		v.inEvent(CheckKeyHistory, first.Index, "The log's first event, which says which keys began it, is not in the bundle.")
		return nil
	}
	began, err := audit.ReadKeys(bytes.NewReader(first.Event.Details))
	if err != nil {
		v.inEvent(CheckKeyHistory, 0, "The keys that began the log cannot be read: %v.", err)
		return nil
	}
	pub, named := began.Events[first.Event.KeyID]
	if !named || began.Log != v.trust.Log {
		v.inEvent(CheckKeyHistory, 0, "The log began with other keys than these.")
		return nil
	}
	if trusted := v.trust.Events; len(trusted) > 0 && trusted[first.Event.KeyID] == nil {
		v.inEvent(CheckKeyHistory, 0, "The log began with the key %s, which is not among the trusted ones.", first.Event.KeyID)
		return nil
	}
	turns[first.Event.KeyID] = &turn{pub: pub, until: math.MaxUint64}
	for i := range v.events {
		v.signature(turns, i)
	}
	v.keysFile(turns)
	return nil
}

// keysFile checks that nobody is led to other keys by the list in the bundle.
func (v *verifier) keysFile(turns map[string]*turn) {
	raw, err := v.c.read(keysFile, maxSmall)
	if err != nil {
		v.problem(CheckKeyHistory, keysFile, nil, "It cannot be read: %v.", err)
		return
	}
	keys, err := audit.ReadKeys(bytes.NewReader(raw))
	if err != nil || keys.Log != v.trust.Log {
		v.problem(CheckKeyHistory, keysFile, nil, "It does not name the log's key.")
		return
	}
	for id := range keys.Events {
		if turns[id] == nil {
			v.problem(CheckKeyHistory, keysFile, nil, "It names the key %s, which the log does not.", id)
		}
	}
}

func (v *verifier) signature(turns map[string]*turn, i int) {
	e, entry := &v.events[i], &v.entries[i]
	t := turns[e.Event.KeyID]
	switch {
	case t == nil:
		v.inEvent(CheckSignature, e.Index, "Event %d is signed by the key %.64q, which nobody who is trusted has handed over to.", e.Index, e.Event.KeyID)
		return
	case e.Index < t.from || e.Index > t.until:
		v.inEvent(CheckKeyHistory, e.Index, "Event %d is signed by a key whose turn it was not.", e.Index)
		return
	}
	if err := entry.VerifySignature(t.pub); err != nil {
		v.inEvent(CheckSignature, e.Index, "Event %d: %v.", e.Index, err)
		return
	}
	if i > 0 && entry.Recorded.Before(v.entries[i-1].Recorded.Add(-maxClockSkew)) {
		v.inEvent(CheckOrder, e.Index, "Event %d was recorded at %s, and one before it later.", e.Index, entry.Recorded.Format(time.RFC3339))
	}
	if e.Event.Action != audit.RotateKey {
		return
	}
	id, pub, err := e.Event.HandsOver()
	if err != nil || turns[id] != nil {
		v.inEvent(CheckKeyHistory, e.Index, "Event %d hands over to no new key.", e.Index)
		return
	}
	t.until = e.Index
	turns[id] = &turn{pub: pub, from: e.Index + 1, until: math.MaxUint64}
}

// subject checks that the events are those about the subject, as far as the bundle can show it.
func (v *verifier) subject() error {
	s := v.m.Subject
	if len(v.events) == 0 {
		v.problem(CheckSubject, eventsFile, nil, "The bundle has no event.")
		return nil
	}
	good, err := v.passed(func() error {
		v.chosen()
		if s.period() {
			v.whole()
		} else if s.Complete {
			v.gapless(v.firstAbout(), v.m.Tree.Size)
		}
		return nil
	})
	if err != nil || !good {
		return err
	}
	switch {
	case s.period():
		v.proven(CheckSubject, "The log has no other event that was recorded in this period.")
	case s.Complete:
		v.proven(CheckSubject, "The bundle has every event of the log from the first one about %s to the last of the checkpoint, and no other of them is about it.", s)
	}
	return nil
}

// chosen judges anew which events are about the subject.
func (v *verifier) chosen() {
	sel := newSelector(v.m.Subject)
	for i := range v.events {
		sel.learn(&v.events[i].Event)
	}
	for i := range v.events {
		e := &v.events[i]
		about := v.about(sel, i)
		switch {
		case e.Why == WhySubject && !about:
			v.inEvent(CheckSubject, e.Index, "Event %d is not about %s.", e.Index, v.m.Subject)
		case e.Why != WhySubject && about:
			v.inEvent(CheckSubject, e.Index, "Event %d is about %s, and the bundle says that it is not.", e.Index, v.m.Subject)
		case e.Why == WhyKeys && e.Event.Action != audit.StartLog && e.Event.Action != audit.RotateKey,
			e.Why == WhyErasure && e.Event.Action != audit.EraseDocument,
			e.Why == WhyTime && e.Event.Action != audit.TimestampCheckpoint,
			e.Why == WhyBoundary && !v.m.Subject.period() && !v.m.Subject.Complete:
			v.inEvent(CheckSubject, e.Index, "Event %d is there for another reason than it can be.", e.Index)
		}
	}
}

func (v *verifier) about(sel *selector, i int) bool {
	s := v.m.Subject
	if !s.period() {
		return sel.about(&v.events[i].Event)
	}
	at := v.entries[i].Recorded
	return !at.Before(s.From) && (s.To.IsZero() || at.Before(s.To))
}

func (v *verifier) firstAbout() int {
	return max(0, slices.IndexFunc(v.events, func(e Event) bool { return e.Why == WhySubject }))
}

// gapless reports events that are missing between the event at place i and the log's event end.
func (v *verifier) gapless(i int, end uint64) {
	for next := v.events[i].Index; next < end; next++ {
		if i == len(v.events) || v.events[i].Index != next {
			v.inEvent(CheckSubject, next, "Event %d is left out.", next)
			return
		}
		i++
	}
}

// whole checks that the bundle of a period has all of it: no event is left out between the first
// and the last, and those next to them are outside of it.
func (v *verifier) whole() {
	first := v.firstAbout()
	last := first
	for i := range v.events {
		if v.events[i].Why == WhySubject {
			last = i
		}
	}
	from, to := v.events[first].Index, v.events[last].Index
	v.gapless(first, to+1)
	for _, side := range []struct {
		needed bool
		index  uint64
	}{{from > 0, from - 1}, {to+1 < v.m.Tree.Size, to + 1}} {
		if side.needed && !slices.ContainsFunc(v.events, func(e Event) bool { return e.Index == side.index }) {
			v.inEvent(CheckSubject, side.index, "Event %d, which would show that the period has no more, is left out.", side.index)
		}
	}
}
