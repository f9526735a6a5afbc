package audit

import (
	"context"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"

	"slipway/audit/witness"
)

// Reader reads a log as of one checkpoint, beside its writer or without one: entries
// with the proofs that they are in it, what the index finds, and documents. It checks
// nothing that it reads. It is for one goroutine at a time.
type Reader struct {
	log        string
	checkpoint []byte
	cosigned   []byte // nil: none
	size       uint64
	root       string
	origin     string
	index      *Index
	docs       *Documents
	proofs     *client.ProofBuilder
	close      func() error

	at     uint64 // the bundle that was read last
	bundle [][]byte
}

// Snapshot waits until a checkpoint covers every event in the log, and returns a reader
// of just that.
func (l *Log) Snapshot(ctx context.Context) (*Reader, error) {
	size, err := l.reader.IntegratedSize(ctx)
	if err != nil {
		return nil, err
	}
	r := &Reader{log: filepath.Join(l.o.Dir, logDir), index: l.index, docs: l.docs, close: func() error { return nil }}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(CheckpointInterval / 10)
	defer tick.Stop()
	for {
		if err := r.open(ctx); err != nil {
			return nil, err
		}
		if r.size >= size {
			return r, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("no checkpoint covers the log's %d events yet: %w", size, ctx.Err())
		}
	}
}

// OpenReader opens the log below dir without its writer, and changes nothing there. It
// needs the index that the writer keeps.
func OpenReader(ctx context.Context, dir string) (*Reader, error) {
	r := &Reader{log: filepath.Join(dir, logDir), docs: &Documents{dir: filepath.Join(dir, documentsDir)}}
	if err := r.open(ctx); err != nil {
		if _, missing := os.Stat(r.log); missing != nil {
			return nil, fmt.Errorf("there is no audit log in %s: %w", dir, missing)
		}
		return nil, fmt.Errorf("audit log %s: %w", dir, err)
	}
	var err error
	if r.index, err = readIndex(ctx, dir, r.size); err != nil {
		return nil, fmt.Errorf("audit log %s: %w", dir, err)
	}
	r.close = r.index.close
	return r, nil
}

// readIndex opens the index for reading, beside a server or without one.
func readIndex(ctx context.Context, dir string, size uint64) (*Index, error) {
	const help = "Start the server once, or run 'slipwayd reindex'"
	file := filepath.Join(dir, indexFile)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("it has no index to find events with. %s: %w", help, err)
	}
	info, err := os.Stat(file + "-wal")
	alone := err != nil || info.Size() == 0 // nothing is apart, so a directory that nobody may write to will do
	x, err := sqliteFile(file).readOnly(ctx, alone)
	if errors.Is(err, errStale) {
		return nil, fmt.Errorf("its index is of another version or damaged. %s: %w", help, err)
	}
	if err != nil {
		return nil, err
	}
	known, err := x.size(ctx)
	if err == nil && known < size {
		err = fmt.Errorf("its index has %d of the %d events. %s", known, size, help)
	}
	if err != nil {
		return nil, errors.Join(err, x.close())
	}
	return x, nil
}

// open reads the checkpoint as it is published now.
func (r *Reader) open(ctx context.Context) error {
	// First what was cosigned: it was published before, so what is published after it is
	// no older, however fast the log grows.
	cosigned, err := readBounded(filepath.Join(CosignedDir(filepath.Dir(r.log)), witness.File), witness.MaxCheckpoint)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r.cosigned = cosigned
	raw, err := readBounded(filepath.Join(r.log, checkpointFile), maxState)
	if err != nil {
		return err
	}
	var cp log.Checkpoint
	if _, err := cp.Unmarshal(raw); err != nil {
		return fmt.Errorf("%s: %w", checkpointFile, err)
	}
	r.checkpoint, r.size, r.origin, r.root = raw, cp.Size, cp.Origin, base64.StdEncoding.EncodeToString(cp.Hash)
	r.proofs, err = client.NewProofBuilder(ctx, cp.Size, client.FileFetcher{Root: r.log}.ReadTile)
	r.bundle = nil
	return err
}

// Close lets go of the index, when the reader opened it by itself.
func (r *Reader) Close() error { return r.close() }

// Checkpoint is the signed note that everything is read as of, as it was published.
func (r *Reader) Checkpoint() []byte { return r.checkpoint }

// Tree is the same in parts. Nobody's signature has been looked at.
func (r *Reader) Tree() Tree { return Tree{Origin: r.origin, Size: r.size, Root: r.root} }

// Index finds events; those beyond the checkpoint are not to be read.
func (r *Reader) Index() *Index { return r.index }

// Documents is the store beside the log.
func (r *Reader) Documents() *Documents { return r.docs }

// Entry is the bytes of one event as they lie in the log.
func (r *Reader) Entry(ctx context.Context, index uint64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if index >= r.size {
		return nil, fmt.Errorf("log: event %d is not among the %d that the checkpoint covers", index, r.size)
	}
	if n := index / width; r.bundle == nil || r.at != n {
		bundle, err := readBundle(r.log, n, r.size)
		if err != nil {
			return nil, err
		}
		r.at, r.bundle = n, bundle
	}
	return r.bundle[index%width], nil
}

// Proof is the audit path of an event in the checkpoint's tree (RFC 6962 section 2.1.1).
func (r *Reader) Proof(ctx context.Context, index uint64) ([][]byte, error) {
	path, err := r.proofs.InclusionProof(ctx, index)
	if err != nil {
		return nil, fmt.Errorf("log: proof of event %d: %w", index, err)
	}
	return path, nil
}

// Consistency is the proof that the tree of from events became that of to events by
// appending alone (RFC 6962 section 2.1.2). Neither may be larger than the checkpoint's.
func (r *Reader) Consistency(ctx context.Context, from, to uint64) ([][]byte, error) {
	path, err := r.proofs.ConsistencyProof(ctx, from, to)
	if err != nil {
		return nil, fmt.Errorf("log: proof from %d to %d events: %w", from, to, err)
	}
	return path, nil
}

// Cosigned is the newest checkpoint that met the quorum of witnesses when the reader was
// opened, and is not newer than the reader's; nil when none was kept.
func (r *Reader) Cosigned() ([]byte, error) {
	if r.cosigned == nil {
		return nil, nil
	}
	var cp log.Checkpoint
	if _, err := cp.Unmarshal(r.cosigned); err != nil {
		return nil, fmt.Errorf("cosigned checkpoint: %w", err)
	}
	if cp.Size > r.size {
		return nil, nil
	}
	return r.cosigned, nil
}

// Tree is a checkpoint in parts.
type Tree struct {
	Origin string `json:"origin"`
	Size   uint64 `json:"size"`
	Root   string `json:"root"` // base64
}

// OpenCheckpoint reads a checkpoint that must be signed by the log's key (a C2SP
// signed-note verifier key).
func OpenCheckpoint(raw []byte, logKey string) (Tree, error) {
	verifier, err := note.NewVerifier(logKey)
	if err != nil {
		return Tree{}, fmt.Errorf("the log's key: %w", err)
	}
	cp, err := openCheckpoint(raw, verifier.Name(), verifier)
	if err != nil {
		return Tree{}, err
	}
	return Tree{Origin: cp.Origin, Size: cp.Size, Root: base64.StdEncoding.EncodeToString(cp.Hash)}, nil
}

// Entry is an event as it lies in a log.
type Entry struct {
	Event    Event
	Recorded time.Time // when, as its ID says
	payload  []byte
}

// OpenEntry reads the bytes of a log entry, in the one form that an event has there.
// Its signature is not looked at.
func OpenEntry(raw []byte) (Entry, error) {
	if len(raw) > MaxEvent {
		return Entry{}, fmt.Errorf("it has %d bytes, and no event has more than %d", len(raw), MaxEvent)
	}
	e, err := parseEntry(raw)
	if err != nil {
		return Entry{}, err
	}
	_, recorded, err := parseEventID(e.event.EventID)
	if err != nil {
		return Entry{}, fmt.Errorf("its ID: %w", err)
	}
	return Entry{Event: e.event, Recorded: recorded, payload: e.payload}, nil
}

// VerifySignature checks the event's signature with the key that it names.
func (e *Entry) VerifySignature(pub crypto.PublicKey) error {
	return verifySignature(e.Event.Signature, e.payload, e.Event.KeyID, pub)
}

// HandsOver is the key that a rotate-key event hands over to.
func (e *Event) HandsOver() (id string, pub crypto.PublicKey, err error) {
	if e.Action != RotateKey {
		return "", nil, fmt.Errorf("a %s event hands over to no key", e.Action)
	}
	return rotationOf(e)
}
