package audit

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"
)

// Problem is one thing that verification found, with the place.
type Problem struct {
	File  string  `json:"file"`            // below the directory that was verified
	Index *uint64 `json:"index,omitempty"` // the entry, where it is one
	What  string  `json:"what"`
	Check Check   `json:"check"` // which check found it
}

// Check names what Verify looks at.
type Check string

const (
	CheckCheckpoint      Check = "checkpoint"       // is a checkpoint of this origin, signed by the log's key
	CheckRoot            Check = "root"             // the entries add up to the root hash that was signed
	CheckTreeState       Check = "tree-state"       // the writer's own note of size and root fits the entries
	CheckBundle          Check = "bundle"           // entry bundles are there, and are what the tree commits to
	CheckTile            Check = "tile"             // hash tiles are there, and are what the entries add up to
	CheckUnexpectedFile  Check = "unexpected-file"  // nothing lies in the log that does not belong there
	CheckCanonicalForm   Check = "canonical-form"   // an entry is an event in the form of RFC 8785
	CheckEventSignature  Check = "event-signature"  // an event is signed by a trusted key
	CheckKeyHistory      Check = "key-history"      // each key signed in its turn: a new one is named by the one before
	CheckEventID         Check = "event-id"         // event IDs are UUIDs version 7, each once
	CheckOnce            Check = "once"             // no two events have one Once key
	CheckTime            Check = "time"             // times do not run backwards
	CheckStart           Check = "start"            // a log begins with start-log
	CheckDocument        Check = "document"         // documents are what their digests say
	CheckDocumentMissing Check = "document-missing" // documents that events refer to are there
	CheckWitnesses       Check = "witnesses"        // those whom the policy asks for have signed the same history, and all of it
	CheckTimestamps      Check = "timestamps"       // what authorities have signed at a time is in this history, and not older than it says
)

// Report is what Verify found. A log without problems is, event for event, what its
// writer signed; see docs/events.md for what that proves.
type Report struct {
	Size        uint64       `json:"size"`        // events that the checkpoint covers
	Root        string       `json:"root"`        // base64
	Unpublished uint64       `json:"unpublished"` // events after those, still without a checkpoint: the log is being written, or its writer was killed
	Events      uint64       `json:"events"`      // events that were verified
	Documents   uint64       `json:"documents"`
	Leftovers   []string     `json:"leftovers,omitempty"`   // files of an interrupted write, no part of the log; the next start removes them
	Witnessed   *Witnessed   `json:"witnessed,omitempty"`   // by whom, when witnesses are asked for and enough have signed
	Timestamped *Timestamped `json:"timestamped,omitempty"` // when roots are given to verify timestamps with
	Stopped     string       `json:"stopped,omitempty"`     // why the rest was not looked at
	Problems    []Problem    `json:"problems"`
}

// maxProblems bounds a report: a log that is broken throughout is told soon enough.
const maxProblems = 1000

// Verify checks a whole log offline, from its files (log/ and documents/ below dir) and
// the keys alone. What is wrong with the log is in the report; an error means that it
// could not be verified at all. It may run while the log is being written, and then
// covers the log as it was at the start.
//
// Memory is bounded but for about 200 bytes an event, by which event IDs, Once keys and
// documents are known to be unique and present.
func Verify(ctx context.Context, dir string, keys Keys, progress func(done, total uint64)) (*Report, error) {
	return VerifyCopy(ctx, dir, keys, nil, progress)
}

// VerifyCopy is Verify for a copy that need not have every document: kept says of a
// document, by the name that an event calls it by and that event's index, whether the
// copy should have it. Those that it has are checked all the same. A nil kept is always true.
func VerifyCopy(ctx context.Context, dir string, keys Keys, kept func(name string, index uint64) bool, progress func(done, total uint64)) (*Report, error) {
	if progress == nil {
		progress = func(uint64, uint64) {}
	}
	v := &verifier{dir: dir, log: filepath.Join(dir, logDir), kept: kept, progress: progress, report: &Report{Problems: []Problem{}}, events: map[string]*reign{}, witnesses: keys.Witnesses, roots: keys.Timestamps}
	if err := keys.validate(); err != nil {
		return nil, err
	}
	for id, pub := range keys.Events {
		v.events[id] = &reign{pub: pub, until: math.MaxUint64}
	}
	if _, err := os.Stat(v.log); err != nil {
		return nil, fmt.Errorf("there is no audit log in %s: %w", dir, err)
	}
	logKey, err := note.NewVerifier(keys.Log)
	if err != nil {
		return nil, fmt.Errorf("keys: the log's key: %w", err)
	}
	err = v.all(ctx, keys.Origin, logKey)
	var stop stopped
	if errors.As(err, &stop) {
		v.report.Stopped, err = string(stop), nil
	}
	return v.report, err
}

// verifier is one run of Verify.
type verifier struct {
	dir, log string
	events   map[string]*reign                    // by key ID; not changed while bundles are verified
	kept     func(name string, index uint64) bool // nil: every document is
	progress func(done, total uint64)
	report   *Report

	witnesses   *Witnesses     // nil: none are asked for
	roots       *x509.CertPool // of timestamps; nil: they are not looked at
	stampEvents []stampEvent   // found by history
	published   []byte         // the checkpoint, when it is good
}

// stopped ends a run early, and says why.
type stopped string

func (s stopped) Error() string { return string(s) }

const (
	stoppedFull      stopped = "There are too many problems to list."
	stoppedNoSize    stopped = "Neither the checkpoint nor the writer's note of the tree says how long the log is."
	stoppedNoEntries stopped = "A bundle and the hashes for it are both unreadable, so what follows cannot be placed."
)

func (v *verifier) problem(check Check, file string, index *uint64, what string, args ...any) {
	if len(v.report.Problems) < maxProblems {
		v.report.Problems = append(v.report.Problems, Problem{File: file, Index: index, Check: check, What: fmt.Sprintf(what, args...)})
	}
}

func (v *verifier) enough(ctx context.Context) error {
	if len(v.report.Problems) >= maxProblems {
		return stoppedFull
	}
	return ctx.Err()
}

// inLog reports a problem with a file below the log's directory.
func (v *verifier) inLog(check Check, file string, index *uint64, what string, args ...any) {
	v.problem(check, path.Join(logDir, file), index, what, args...)
}

func (v *verifier) all(ctx context.Context, origin string, logKey note.Verifier) error {
	// Before the log's own: what was cosigned by now is not newer than what is read next.
	kept := v.readKept()
	cp := v.checkpoint(origin, logKey)
	state := v.treeState()
	t, err := v.targets(cp, state)
	if err != nil {
		return err
	}
	cosigned, err := v.cosigned(ctx, kept, origin, logKey, t.size)
	if err != nil {
		return err
	}
	if err := v.history(ctx, t.size); err != nil {
		return err
	}
	stamped, err := v.stamped(ctx, origin, logKey)
	if err != nil {
		return err
	}
	t.seen = append(cosigned, stamped...)
	slices.SortStableFunc(t.seen, func(a, b seen) int { return cmp.Compare(a.size, b.size) })
	facts, err := v.entries(ctx, t)
	if err != nil {
		return err
	}
	if err := v.files(ctx, t); err != nil {
		return err
	}
	return v.documents(ctx, facts)
}

// checkpoint returns the published checkpoint, or nil when it is not to be trusted.
func (v *verifier) checkpoint(origin string, logKey note.Verifier) *log.Checkpoint {
	raw, err := readBounded(filepath.Join(v.log, checkpointFile), maxState)
	if err != nil {
		v.inLog(CheckCheckpoint, checkpointFile, nil, "The checkpoint cannot be read: %v.", err)
		return nil
	}
	cp, err := openCheckpoint(raw, origin, logKey)
	if err != nil {
		v.inLog(CheckCheckpoint, checkpointFile, nil, "This is not a checkpoint of %s signed by its key: %v.", origin, err)
		return nil
	}
	v.report.Size, v.report.Root = cp.Size, base64.StdEncoding.EncodeToString(cp.Hash)
	v.published = raw
	return cp
}

func (v *verifier) treeState() *treeState {
	raw, err := readBounded(filepath.Join(v.log, treeStateFile), maxState)
	if err != nil {
		v.inLog(CheckTreeState, treeStateFile, nil, "The writer's note of the tree cannot be read: %v.", err)
		return nil
	}
	state, err := parseTreeState(raw)
	if err != nil {
		v.inLog(CheckTreeState, treeStateFile, nil, "The writer's note of the tree is damaged: %v.", err)
		return nil
	}
	return &state
}

// target is a size at which the tree must have a given root.
type target struct {
	size uint64
	root []byte
}

// targets are what the entries are measured by: the signed root first, and the writer's
// own note, which is as far or a little further.
type targets struct {
	signed, noted *target
	seen          []seen // by size
	size          uint64 // how many entries to read
}

func (v *verifier) targets(cp *log.Checkpoint, state *treeState) (targets, error) {
	var t targets
	if cp != nil {
		t.signed, t.size = &target{cp.Size, cp.Hash}, cp.Size
	}
	if state == nil {
		if cp == nil {
			return t, stoppedNoSize
		}
		return t, nil
	}
	if state.Size < t.size {
		v.inLog(CheckTreeState, treeStateFile, nil, "The writer's note of the tree has %d events where the checkpoint has %d.", state.Size, t.size)
		return t, nil
	}
	// The note is not signed: entries that it alone speaks of have at least to be there.
	if state.Size > t.size {
		if _, err := readBundle(v.log, (state.Size-1)/width, state.Size); errors.Is(err, fs.ErrNotExist) {
			v.inLog(CheckTreeState, treeStateFile, nil, "The writer's note of the tree has %d events, but the last of them are not there.", state.Size)
			if cp == nil {
				return t, stoppedNoSize
			}
			return t, nil
		}
	}
	t.noted = &target{state.Size, state.Root}
	if cp != nil {
		v.report.Unpublished = state.Size - cp.Size
	}
	t.size = state.Size
	return t, nil
}

// entries verifies every bundle, several at a time, and puts the results together in
// the order of the log.
func (v *verifier) entries(ctx context.Context, t targets) (*facts, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	bundles := (t.size + width - 1) / width
	results := make(chan chan *bundle, 2*runtime.GOMAXPROCS(0))
	limit := make(chan struct{}, runtime.GOMAXPROCS(0))
	go func() {
		defer close(results)
		for n := uint64(0); n < bundles; n++ {
			result := make(chan *bundle, 1)
			select {
			case results <- result:
			case <-ctx.Done():
				return
			}
			limit <- struct{}{}
			go func() {
				result <- v.bundle(n, t.size)
				<-limit
			}()
		}
	}()
	facts := newFacts(v)
	tree := newTree(v, t)
	for result := range results {
		b := <-result
		for _, p := range b.problems {
			v.inLog(p.Check, p.File, p.Index, "%s", p.What)
		}
		facts.take(b)
		if err := tree.take(b); err != nil {
			return nil, err
		}
		v.progress(min((b.n+1)*width, t.size), t.size)
		if err := v.enough(ctx); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return facts, tree.finish()
}

// files looks at everything that lies in the log's directory: what is not part of a log
// of that size, and the writer's small files.
func (v *verifier) files(ctx context.Context, t targets) error {
	return filepath.WalkDir(v.log, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // removed meanwhile by a running writer
			}
			return err
		}
		if err := v.enough(ctx); err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(v.log, file)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if !d.Type().IsRegular() {
			v.inLog(CheckUnexpectedFile, name, nil, "This is not a regular file.")
			return nil
		}
		switch classify(name, t.size) {
		case unknown:
			v.inLog(CheckUnexpectedFile, name, nil, "This file does not belong to the log.")
		case leftover:
			if len(v.report.Leftovers) < maxProblems {
				v.report.Leftovers = append(v.report.Leftovers, path.Join(logDir, name))
			}
		case part:
			v.small(name, t.size)
		}
		return nil
	})
}

// small checks the writer's files that are neither bundles nor tiles nor read before.
func (v *verifier) small(name string, size uint64) {
	const altered = "The writer does not write this: the file was altered."
	switch {
	case name == versionFile:
		if raw, err := readBounded(filepath.Join(v.log, name), maxState); err != nil || string(raw) != "1" {
			v.inLog(CheckTreeState, name, nil, altered)
		}
	case name == gcStateFile:
		var state struct {
			FromSize uint64 `json:"fromSize"`
		}
		raw, err := readBounded(filepath.Join(v.log, name), maxState)
		if err == nil {
			err = json.Unmarshal(raw, &state)
		}
		again, _ := json.Marshal(state) // a number always marshals
		if err != nil || string(again) != string(raw) || state.FromSize%width != 0 || state.FromSize > size {
			v.inLog(CheckTreeState, name, nil, altered)
		}
	case lockFiles[name]:
		if raw, err := readBounded(filepath.Join(v.log, name), 0); err != nil || len(raw) > 0 {
			v.inLog(CheckUnexpectedFile, name, nil, "A lock file must be empty.")
		}
	}
}
