package mirror

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/audit"
)

// Checks of a mirror, beside those of the log in it.
const (
	CheckMirror  audit.Check = "mirror"       // what is in the mirror belongs there
	CheckLock    audit.Check = "lock"         // and cannot be deleted
	CheckTouched audit.Check = "touched"      // nobody has tried to change or delete it
	CheckFork    audit.Check = "fork"         // every checkpoint in it is of the same history
	CheckLocal   audit.Check = "server-log"   // the server's log is the one in the mirror
	CheckNewest  audit.Check = "mirror-empty" // there is a checkpoint in it
)

// VerifyOptions of a mirror's verification.
type VerifyOptions struct {
	Store Store
	Keys  audit.Keys // whom to trust; take them from elsewhere than the mirror or the server
	To    string     // where to put what is read: an empty or new directory, which then holds the log as Open and audit.Verify take it
	Log   string     // the server's own log directory, to be compared; "" when it cannot be had

	Progress func(what string, done, total uint64)
}

// Report is what the verification of a mirror found. A mirror without problems holds
// the log up to its newest checkpoint, event for event as it was signed.
type Report struct {
	Size        uint64          `json:"size"`                  // events under the newest checkpoint
	Root        string          `json:"root"`                  // base64
	At          time.Time       `json:"at"`                    // when it was put there
	Checkpoints int             `json:"checkpoints"`           // of one history, all signed
	Objects     int             `json:"objects"`               // that were read
	Ahead       int             `json:"ahead"`                 // objects that wait for the next checkpoint
	Locked      time.Time       `json:"locked_until,omitzero"` // the first object can be deleted then; zero where the store does not say
	Events      uint64          `json:"events"`                // that were verified
	Documents   uint64          `json:"documents"`             // that are in it
	Behind      *uint64         `json:"behind,omitempty"`      // events that the server's log has and the mirror has not
	Stopped     string          `json:"stopped,omitempty"`     // why the rest was not looked at
	Problems    []audit.Problem `json:"problems"`
}

const (
	maxProblems = 1000
	downloads   = 16 // objects on their way at once
)

// reading is one run of Verify.
type reading struct {
	o      VerifyOptions
	report *Report

	tips   []sealed // every checkpoint with a good signature, by size
	scopes []scope
	copies []Object // tiles, bundles and documents

	mu sync.Mutex // guards report while objects are read
}

type sealed struct {
	audit.Tip
	name string
	made time.Time
}

// scope is which documents are copied from an event on.
type scope struct {
	from uint64
	Documents
}

// Verify reads a whole mirror and checks it from what is in it and the keys alone. What
// is wrong is in the report; an error means that it could not be verified at all.
func Verify(ctx context.Context, o VerifyOptions) (*Report, error) {
	if o.Progress == nil {
		o.Progress = func(string, uint64, uint64) {}
	}
	if err := emptyDir(o.To); err != nil {
		return nil, err
	}
	v := &reading{o: o, report: &Report{Problems: []audit.Problem{}}}
	if err := v.list(ctx); err != nil {
		return nil, err
	}
	if len(v.tips) == 0 {
		v.problem(CheckNewest, checkpoints, nil, "There is no checkpoint here that the log's key has signed, so nothing in this mirror can be told from what anybody could have put there.")
		return v.report, nil
	}
	newest := v.tips[len(v.tips)-1]
	v.report.Size, v.report.Root, v.report.At = newest.Size, base64.StdEncoding.EncodeToString(newest.Root), newest.made
	v.report.Checkpoints = len(v.tips)
	if err := v.download(ctx, newest.Size); err != nil {
		return nil, err
	}
	if err := audit.PlaceTip(o.To, newest.Tip); err != nil {
		return nil, fmt.Errorf("mirror: %w", err)
	}
	found, err := audit.VerifyCopy(ctx, o.To, o.Keys, v.kept, func(done, total uint64) { o.Progress("Verifying", done, total) })
	if err != nil {
		return nil, err
	}
	v.report.Events, v.report.Documents, v.report.Stopped = found.Events, found.Documents, found.Stopped
	for _, p := range found.Problems {
		p.File = strings.TrimPrefix(p.File, "log/") // as it is called in the mirror
		v.report.Problems = append(v.report.Problems, p)
	}
	return v.report, v.histories(ctx, newest)
}

func emptyDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	if len(there) > 0 {
		return fmt.Errorf("mirror: %s is not empty: what is read from the mirror must not be mixed with something else", dir)
	}
	return nil
}

func (v *reading) problem(check audit.Check, file string, index *uint64, what string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.report.Problems) < maxProblems {
		v.report.Problems = append(v.report.Problems, audit.Problem{Check: check, File: file, Index: index, What: fmt.Sprintf(what, args...)})
	}
}

// list looks at every name in the store, and reads the checkpoints and notes.
func (v *reading) list(ctx context.Context) error {
	for o, err := range v.o.Store.List(ctx, "") {
		if err != nil {
			return err
		}
		if o.After != "" {
			v.problem(CheckTouched, o.Name, nil, "Somebody has touched this: %s.", o.After)
		}
		folder, size, _, named := parseVersioned(o.Name)
		_, tile := audit.ParseTile(o.Name)
		switch {
		case tile, strings.HasPrefix(o.Name, "documents/") && documentDigest(o.Name) != "":
			v.copies = append(v.copies, o)
		case named && folder == checkpoints:
			err = v.checkpoint(ctx, o, size)
		case named && folder == scopeNotes:
			err = v.scope(ctx, o, size)
		case named && folder == keyNotes: // for people; whom to trust is given
		default:
			v.problem(CheckMirror, o.Name, nil, "This is nothing that a mirror of a log has.")
		}
		if err != nil {
			return err
		}
	}
	slices.SortStableFunc(v.tips, func(a, b sealed) int {
		switch {
		case a.Size < b.Size:
			return -1
		case a.Size > b.Size:
			return 1
		}
		return len(a.Raw) - len(b.Raw) // the one that witnesses have signed comes last
	})
	return nil
}

// read gets an object. What cannot be read because it is missing or not as it can be is
// a problem and not an error.
func (v *reading) read(ctx context.Context, o Object, limit int64) ([]byte, bool, error) {
	c, err := v.o.Store.Get(ctx, o, limit)
	var other *Contradiction
	switch {
	case absent(err):
		v.problem(CheckMirror, o.Name, nil, "This object is listed, and nothing of it is left.")
		return nil, false, nil
	case errors.As(err, &other):
		v.problem(CheckMirror, o.Name, nil, "%s.", other.What)
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	if !c.Locked {
		v.problem(CheckLock, o.Name, nil, "This object is not locked: it can be deleted.")
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Objects++
	if !c.Until.IsZero() && (v.report.Locked.IsZero() || c.Until.Before(v.report.Locked)) {
		v.report.Locked = c.Until
	}
	return c.Raw, true, nil
}

func (v *reading) checkpoint(ctx context.Context, o Object, size uint64) error {
	raw, ok, err := v.read(ctx, o, maxCheckpoint)
	if err != nil || !ok {
		return err
	}
	tip, err := v.o.Keys.OpenTip(raw)
	switch {
	case err != nil:
		v.problem(CheckMirror, o.Name, nil, "This is no checkpoint of the log: %v.", err)
	case tip.Size != size || checkpointName(tip) != o.Name:
		v.problem(CheckMirror, o.Name, nil, "This checkpoint is not the one that was put here.")
	default:
		v.tips = append(v.tips, sealed{tip, o.Name, o.Made})
	}
	return nil
}

func (v *reading) scope(ctx context.Context, o Object, from uint64) error {
	raw, ok, err := v.read(ctx, o, maxCheckpoint)
	if err != nil || !ok {
		return err
	}
	s := scope{from: from}
	if err := json.Unmarshal(raw, &s.Documents); err != nil || versioned(scopeNotes, from, raw) != o.Name {
		v.problem(CheckMirror, o.Name, nil, "This note is not the one that was put here.")
		return nil
	}
	v.scopes = append(v.scopes, s) // in order, as the names are
	return nil
}

// kept says whether a document should be in the mirror.
func (v *reading) kept(name string, index uint64) bool {
	for i, s := range slices.Backward(v.scopes) {
		if s.from > index {
			continue
		}
		if !s.Has(name) {
			return false
		}
		// The settings may have changed twice at one place.
		if i == 0 || v.scopes[i-1].from != s.from {
			return true
		}
	}
	return false
}

func documentDigest(name string) string {
	digest := "sha256:" + name[strings.LastIndexByte(name, '/')+1:]
	if want, err := audit.DocumentName(digest); err != nil || want != name {
		return ""
	}
	return digest
}

// download puts what belongs to a log of that size into the directory.
func (v *reading) download(ctx context.Context, size uint64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := make(chan struct{}, downloads)
	var wg sync.WaitGroup
	for i, o := range v.copies {
		path, most := filepath.Join(v.o.To, filepath.FromSlash(o.Name)), int64(audit.MaxDocument)
		if t, ok := audit.ParseTile(o.Name); ok {
			if !t.In(size) {
				v.mu.Lock()
				v.report.Ahead++
				v.mu.Unlock()
				continue
			}
			path, most = audit.CopyFile(v.o.To, o.Name), maxBundle
		}
		limit <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-limit }()
			raw, ok, err := v.read(ctx, o, most)
			if err == nil && ok {
				err = place(path, raw)
			}
			if err != nil {
				cancel(err)
			}
		})
		v.o.Progress("Reading", uint64(i+1), uint64(len(v.copies)))
	}
	wg.Wait()
	return context.Cause(ctx)
}

func place(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	return nil
}

// histories sees that all checkpoints are of the history in the mirror, and that the
// server's log is the same. What cannot be read was reported already.
func (v *reading) histories(ctx context.Context, newest sealed) error {
	local, compare, err := v.server(newest.Tip)
	if err != nil {
		return err
	}
	e := &edge{}
	left := v.tips
	fits := func() error {
		for ; len(left) > 0 && left[0].Size == e.size(); left = left[1:] {
			root, err := e.root()
			if err != nil {
				return fmt.Errorf("mirror: %w", err)
			}
			if !bytes.Equal(root, left[0].Root) {
				v.problem(CheckFork, left[0].name, nil, "The log's key has signed another history of the first %d events than the one whose events are here.", left[0].Size)
			}
		}
		return nil
	}
	if err := fits(); err != nil {
		return err
	}
	for n := uint64(0); n*width < newest.Size; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, err := audit.ReadBundle(v.o.To, n, newest.Size)
		if err != nil {
			return nil
		}
		if compare && n*width < local.Size {
			compare = v.compare(n, min(local.Size, newest.Size), entries)
		}
		for _, raw := range entries {
			if _, err := e.addEntries([][]byte{raw}); err != nil {
				return fmt.Errorf("mirror: %w", err)
			}
			if err := fits(); err != nil {
				return err
			}
		}
	}
	return nil
}

// server reads the checkpoint of the server's log.
func (v *reading) server(newest audit.Tip) (tip audit.Tip, compare bool, err error) {
	if v.o.Log == "" {
		return tip, false, nil
	}
	tip, err = audit.ReadTip(v.o.Log, v.o.Keys)
	if err != nil {
		v.problem(CheckLocal, "", nil, "The server's log cannot be compared: %v.", err)
		return tip, false, nil
	}
	behind := uint64(0)
	if tip.Size < newest.Size {
		v.problem(CheckLocal, "", nil, "The server's log has %d events, and the mirror has %d: the end of the server's log was lost, removed, or restored from an old copy.", tip.Size, newest.Size)
	} else {
		behind = tip.Size - newest.Size
	}
	v.report.Behind = &behind
	return tip, true, nil
}

// compare compares one bundle with the server's, and says whether to go on: after the
// first event that is another, all are.
func (v *reading) compare(n, size uint64, entries [][]byte) bool {
	theirs, err := audit.ReadBundle(v.o.Log, n, size)
	if err != nil {
		v.problem(CheckLocal, "", nil, "The server's log cannot be compared further: %v.", err)
		return false
	}
	for i, raw := range theirs[:min(len(theirs), len(entries))] {
		if index := n*width + uint64(i); !bytes.Equal(raw, entries[i]) {
			v.problem(CheckLocal, "", &index, "Event %d of the server's log is not the one that was copied to the mirror: the server's log was changed since.", index)
			return false
		}
	}
	return true
}

// Keys reads the log's public keys from a mirror, as they were first put there: later ones
// follow from the log itself. Whoever can write to the mirror can have put them there, so
// keys from elsewhere prove more.
func Keys(ctx context.Context, s Store) (audit.Keys, error) {
	for o, err := range s.List(ctx, keyNotes+"/") {
		if err != nil {
			return audit.Keys{}, err
		}
		if _, _, _, ok := parseVersioned(o.Name); !ok {
			continue
		}
		c, err := s.Get(ctx, o, maxKeys)
		if err != nil {
			return audit.Keys{}, err
		}
		return audit.ReadKeys(bytes.NewReader(c.Raw))
	}
	return audit.Keys{}, errors.New("mirror: there are no keys in it: it is empty, or it is not a mirror of a log")
}

// Newest says how far a mirror is, from what is in it.
func Newest(ctx context.Context, s Store, keys audit.Keys) (Status, error) {
	m := &Mirror{o: Options{Store: s, Keys: func() audit.Keys { return keys }}}
	if _, err := m.newest(ctx); err != nil {
		return Status{}, err
	}
	return Status{Size: m.sealed.Size, Copied: m.sealed.Size, At: m.when, Missing: []string{}}, nil
}
