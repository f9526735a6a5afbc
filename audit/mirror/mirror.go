package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/transparency-dev/tessera/api/layout"

	"slipway/audit"
)

// Defaults and bounds.
const (
	// DefaultEvery is how often a checkpoint is copied. Between two, only bundles and
	// tiles are that are full: what a checkpoint needs besides is never used again.
	DefaultEvery = time.Hour

	chunk   = 64 // bundles that are copied together; what a crash makes the mirror copy again
	uploads = 8  // objects on their way at once

	maxBundle     = width * (2 + audit.MaxEvent)
	maxCheckpoint = 16 << 10
	maxKeys       = 1 << 20
)

// Options of a mirror.
type Options struct {
	Dir       string            // of the log, with log/ and documents/ below it
	Keys      func() audit.Keys // of the log, as they are now
	Store     Store
	Documents Documents
	Every     time.Duration    // between two checkpoints; default DefaultEvery
	Now       func() time.Time // default time.Now
}

// Mirror copies one log to one store. There is one mirror of a log to a store at a time;
// two do no harm, they copy the same.
//
// Everything is copied before the checkpoint that covers it, and only after it was seen
// to add up, together with what the store already has, to the root that the log's key
// signed. So the store never gets what would have to be taken out of it again, and a log
// whose past was rewritten is noticed before any of it is copied.
type Mirror struct {
	o Options

	mu      sync.Mutex        // held for one pass
	at      *edge             // of what was copied, in whole bundles; nil: not known yet
	sealed  audit.Tip         // the newest checkpoint in the store
	when    time.Time         // it was put there
	noted   map[string]string // the newest notes in the store: folder to digest
	papers  uint64            // documents of the events before this one were copied
	put     map[string]bool   // documents that were, of late
	missing map[string]uint64 // documents that are not there to be copied, and who refers to them
}

// Status is how far a mirror is.
type Status struct {
	Log     uint64    `json:"log"`     // events under the log's checkpoint
	Size    uint64    `json:"size"`    // events under the newest checkpoint in the mirror
	Copied  uint64    `json:"copied"`  // events that are in the mirror, with or without it
	At      time.Time `json:"at"`      // when the newest checkpoint was put there
	Missing []string  `json:"missing"` // documents that events refer to and that are not in the log's store
}

// New makes a mirror. It reaches no store.
func New(o Options) (*Mirror, error) {
	if o.Dir == "" || o.Keys == nil || o.Store == nil {
		return nil, errors.New("mirror: a log, its keys and a store are needed")
	}
	if o.Every <= 0 {
		o.Every = DefaultEvery
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Mirror{o: o, noted: map[string]string{}, put: map[string]bool{}, missing: map[string]uint64{}}, nil
}

// Pass copies what the log has and the mirror has not: whole bundles always, and when a
// checkpoint is due (or seal asks for it) everything that it covers and the checkpoint.
// It can be killed at any point and called again, also by another process.
func (m *Mirror) Pass(ctx context.Context, seal bool) (Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	tip, err := audit.ReadTip(m.o.Dir, m.o.Keys())
	if errors.Is(err, fs.ErrNotExist) {
		return Status{}, nil // a log that is about to begin
	}
	if err != nil {
		return Status{}, fmt.Errorf("mirror: %w", err)
	}
	err = m.pass(ctx, tip, seal)
	if err != nil {
		m.at = nil // what the store has is asked for again
		clear(m.put)
	}
	return m.status(tip), err
}

func (m *Mirror) status(tip audit.Tip) Status {
	s := Status{Log: tip.Size, Size: m.sealed.Size, Copied: m.sealed.Size, At: m.when, Missing: []string{}}
	if m.at != nil {
		s.Copied = max(s.Copied, m.at.size())
	}
	for digest := range m.missing {
		s.Missing = append(s.Missing, digest)
	}
	return s
}

func (m *Mirror) pass(ctx context.Context, tip audit.Tip, seal bool) error {
	from := uint64(0) // the first bundle that the store may not have
	if m.at == nil {
		if err := m.resume(ctx, tip); err != nil {
			return err
		}
		var err error
		if from, err = m.skip(ctx, tip); err != nil {
			return err
		}
	}
	if err := m.extends(tip); err != nil {
		return err
	}
	sums, err := m.prove(ctx, tip)
	if err != nil {
		return err
	}
	if err := m.copyMissing(ctx); err != nil {
		return err
	}
	if err := m.copyBundles(ctx, tip, from, sums); err != nil {
		return err
	}
	if tip.Size == m.sealed.Size {
		return m.cosigned(ctx, tip)
	}
	if !seal && m.sealed.Raw != nil && m.o.Now().Sub(m.when) < m.o.Every {
		return nil
	}
	return m.seal(ctx, tip)
}

// cosigned puts the checkpoint there once more when witnesses have signed it meanwhile.
func (m *Mirror) cosigned(ctx context.Context, tip audit.Tip) error {
	if len(tip.Raw) <= len(m.sealed.Raw) {
		return nil
	}
	if err := m.o.Store.Put(ctx, checkpointName(tip), tip.Raw); err != nil {
		return err
	}
	m.sealed = tip
	return nil
}

// extends compares checkpoints by themselves.
func (m *Mirror) extends(tip audit.Tip) error {
	switch {
	case m.sealed.Raw == nil:
	case tip.Size < m.sealed.Size:
		return contradicts("", "the log has %d events, and the mirror has had %d of them: the end of the log was lost, removed or restored from an old copy", tip.Size, m.sealed.Size)
	case tip.Size == m.sealed.Size && !bytes.Equal(tip.Root, m.sealed.Root):
		return contradicts(checkpointName(m.sealed), "the log's key has signed another history of the same %d events", tip.Size)
	}
	return nil
}

// prove reads the log from where the mirror is to its checkpoint, and sees that all of
// it adds up to the root that was signed. It returns a digest of each whole bundle, by
// which what is copied later is known to be what was proven.
func (m *Mirror) prove(ctx context.Context, tip audit.Tip) ([][sha256.Size]byte, error) {
	e := m.at.clone()
	var sums [][sha256.Size]byte
	for n := e.size() / width; n*width < tip.Size; n++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		entries, err := audit.ReadBundle(m.o.Dir, n, tip.Size)
		if err != nil {
			return nil, fmt.Errorf("mirror: %w", err)
		}
		if _, err := e.addEntries(entries); err != nil {
			return nil, fmt.Errorf("mirror: %w", err)
		}
		if len(entries) == width {
			sums = append(sums, sha256.Sum256(bundle(entries)))
		}
	}
	root, err := e.root()
	if err != nil {
		return nil, fmt.Errorf("mirror: %w", err)
	}
	if !bytes.Equal(root, tip.Root) {
		return nil, contradicts("", "the first %d events, which the mirror has, and those after them in the log do not add up to the root of the log's checkpoint of size %d: the log was damaged or rewritten. Nothing more is copied. Compare the two with slipway audit mirror verify --dir", m.at.size(), tip.Size)
	}
	return sums, nil
}

// bundle is an entry bundle: each entry after its length in 16 bits, big endian
// (C2SP tlog-tiles).
func bundle(entries [][]byte) []byte {
	var out []byte
	for _, e := range entries {
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(e))), e...)
	}
	return out
}

// copyBundles copies the whole bundles and full tiles, chunk by chunk. Those before
// bundle from are in the store.
func (m *Mirror) copyBundles(ctx context.Context, tip audit.Tip, from uint64, sums [][sha256.Size]byte) error {
	first := m.at.size() / width
	end := tip.Size / width
	for n := first; n < end; {
		stop := min((n/chunk+1)*chunk, end)
		e := m.at.clone()
		var lower, upper []object
		for ; n < stop; n++ {
			entries, err := audit.ReadBundle(m.o.Dir, n, tip.Size)
			if err != nil {
				return fmt.Errorf("mirror: %w", err)
			}
			raw := bundle(entries)
			if sha256.Sum256(raw) != sums[n-first] {
				return fmt.Errorf("mirror: %s has changed while it was copied", layout.EntriesPath(n, 0))
			}
			full, err := e.addEntries(entries)
			if err != nil {
				return fmt.Errorf("mirror: %w", err)
			}
			if n < from {
				continue
			}
			lower = append(lower, object{layout.EntriesPath(n, 0), raw})
			for _, t := range full {
				upper = append(upper, object{t.name(), t.hashes})
			}
			if err := m.copyDocuments(ctx, n*width, entries); err != nil {
				return err
			}
		}
		// A tile comes after its bundle, and a chunk after the one before it: skip
		// relies on that.
		for _, group := range [][]object{lower, upper} {
			if err := m.putAll(ctx, group); err != nil {
				return err
			}
		}
		m.at = e
	}
	return nil
}

// object is something to be put into the store.
type object struct {
	name    string
	content []byte
}

// putAll puts objects, several at a time. After an error no more are begun.
func (m *Mirror) putAll(ctx context.Context, objects []object) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := make(chan struct{}, uploads)
	var wg sync.WaitGroup
	for _, o := range objects {
		limit <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-limit }()
			if err := m.o.Store.Put(ctx, o.name, o.content); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// seal copies what the checkpoint needs besides whole bundles and full tiles, and last
// of all the checkpoint itself.
func (m *Mirror) seal(ctx context.Context, tip audit.Tip) error {
	objects, err := m.notes()
	if err != nil {
		return err
	}
	e := m.at.clone()
	if p := layout.PartialTileSize(0, tip.Size/width, tip.Size); p > 0 {
		entries, err := audit.ReadBundle(m.o.Dir, tip.Size/width, tip.Size)
		if err != nil {
			return fmt.Errorf("mirror: %w", err)
		}
		if _, err := e.addEntries(entries); err != nil {
			return fmt.Errorf("mirror: %w", err)
		}
		if err := m.copyDocuments(ctx, m.at.size(), entries); err != nil {
			return err
		}
		objects = append(objects, object{layout.EntriesPath(tip.Size/width, p), bundle(entries)})
	}
	// The log grows while it is read, but the first so many of its entries stay.
	if root, err := e.root(); err != nil || !bytes.Equal(root, tip.Root) {
		return fmt.Errorf("mirror: %s has changed while it was copied", layout.EntriesPath(tip.Size/width, 0))
	}
	for level, hashes := range e.tiles {
		if len(hashes) > 0 {
			objects = append(objects, object{layout.TilePath(uint64(level), tip.Size>>(8*(level+1)), uint8(len(hashes)/hashSize)), hashes})
		}
	}
	if err := m.putAll(ctx, objects); err != nil {
		return err
	}
	for _, o := range objects {
		m.note(o.name)
	}
	if err := m.o.Store.Put(ctx, checkpointName(tip), tip.Raw); err != nil {
		return err
	}
	m.sealed, m.when = tip, m.o.Now()
	return nil
}
