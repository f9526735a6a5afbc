package witness

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"slipway/internal/durable"
)

// What a witness has below its directory: its key, and for each log the newest checkpoint
// that it signed and the requests that it refused.
//
//	keys/             sealed, package key
//	name              what the witness is called
//	lock              held by the one process that signs
//	logs/<id>/        id is the SHA-256 of the log's origin, in hexadecimal
//	  checkpoint      with the log's signatures and the witness's
//	  refused/<hash>  a refused request, and what had been seen before
const (
	keysDir        = "keys"
	nameFile       = "name"
	lockFile       = "lock"
	logsDir        = "logs"
	checkpointFile = "checkpoint"
	refusedDir     = "refused"

	maxRefused = 32 // refusals kept of one log; the first say how it began
)

// logID names a log's folder and address: an origin is any text.
func logID(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:])
}

// memory is what a witness knows of one log. A checkpoint is on disk before its
// cosignature leaves the witness, so whatever happens to the process, two signatures that
// contradict each other are never both given away.
type memory struct {
	dir       string
	origin    string
	verifiers []note.Verifier // the log's keys

	mu   sync.Mutex // held from the comparison with what was seen to its replacement on disk, so that none is rolled back
	seen head       // the newest that was signed; size 0 and no root: none
	raw  []byte     // it, as served
}

func openMemory(dir, origin string, verifiers []note.Verifier) (*memory, error) {
	m := &memory{dir: filepath.Join(dir, logsDir, logID(origin)), origin: origin, verifiers: verifiers}
	// Made at once: a folder that came with the first checkpoint could be lost with it.
	for _, d := range []string{filepath.Join(dir, logsDir), m.dir, filepath.Join(m.dir, refusedDir)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
		if err := durable.Sync(filepath.Dir(d)); err != nil {
			return nil, err
		}
	}
	raw, err := durable.Read(filepath.Join(m.dir, checkpointFile), 2*MaxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	if m.seen, err = readSeen(raw, origin); err != nil {
		// Nothing is assumed: a witness that forgot what it signed would sign another history.
		return nil, fmt.Errorf("%s cannot be read, so it is not known what was signed for %s. Restore the file, or retire this witness and make another with another key: %w", filepath.Join(m.dir, checkpointFile), origin, err)
	}
	m.raw = raw
	return m, nil
}

func readSeen(raw []byte, origin string) (head, error) {
	body, _, err := split(raw)
	if err != nil {
		return head{}, err
	}
	h, err := parseHead(body)
	if err == nil && h.origin != origin {
		err = fmt.Errorf("it is of the log %s", h.origin)
	}
	return h, err
}

// keep replaces what was seen, on disk first. The caller holds m.mu.
func (m *memory) keep(h head, raw []byte) error {
	if err := durable.Write(filepath.Join(m.dir, checkpointFile), raw, 0o600); err != nil {
		return err
	}
	m.seen, m.raw = h, raw
	return nil
}

// Refusal is a request that a witness did not sign although the log's own key had signed
// the checkpoint in it. Two checkpoints of one size with different roots are proof that
// the log was forked, or its key stolen.
type Refusal struct {
	Time    time.Time `json:"time"`
	Why     string    `json:"why"`
	Seen    string    `json:"seen"`    // the checkpoint that was signed before; empty: none
	Refused string    `json:"refused"` // the request
}

// refuse keeps a request as evidence, each checkpoint once. The caller holds m.mu.
func (m *memory) refuse(at time.Time, why string, h head, body []byte) error {
	dir := filepath.Join(m.dir, refusedDir)
	path := filepath.Join(dir, fmt.Sprintf("%020d-%x", h.size, h.root[:8]))
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) >= maxRefused {
		return err
	}
	raw, err := json.MarshalIndent(Refusal{at.UTC(), why, string(m.raw), string(body)}, "", "  ")
	if err != nil {
		return err
	}
	return durable.Write(path, append(raw, '\n'), 0o600)
}

// LogStatus is what a witness knows of one log.
type LogStatus struct {
	Origin   string    `json:"origin"`
	ID       string    `json:"id"` // its checkpoint is at /checkpoint/<id>
	Size     uint64    `json:"size"`
	Root     []byte    `json:"root"`
	Cosigned time.Time `json:"cosigned"`          // when the newest checkpoint was signed
	Refused  []Refusal `json:"refused,omitempty"` // by size
}

// Status reads what the witness in dir knows, whether or not it is running.
func Status(dir string) (name string, logs []LogStatus, err error) {
	if name, err = readName(dir); err != nil {
		return "", nil, err
	}
	folders, err := os.ReadDir(filepath.Join(dir, logsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", nil, err
	}
	for _, f := range folders {
		s, err := logStatus(filepath.Join(dir, logsDir, f.Name()), name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // nothing was signed for it yet
		}
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", filepath.Join(logsDir, f.Name()), err)
		}
		logs = append(logs, s)
	}
	slices.SortFunc(logs, func(a, b LogStatus) int { return strings.Compare(a.Origin, b.Origin) })
	return name, logs, nil
}

func logStatus(dir, name string) (LogStatus, error) {
	raw, err := durable.Read(filepath.Join(dir, checkpointFile), 2*MaxCheckpoint)
	if err != nil {
		return LogStatus{}, err
	}
	body, _, err := split(raw)
	if err != nil {
		return LogStatus{}, err
	}
	h, err := parseHead(body)
	if err != nil {
		return LogStatus{}, err
	}
	s := LogStatus{Origin: h.origin, ID: logID(h.origin), Size: h.size, Root: h.root}
	_, err = note.Open(raw, note.VerifierList())
	var unverified *note.UnverifiedNoteError
	if errors.As(err, &unverified) {
		for _, sig := range unverified.Note.UnverifiedSigs {
			if sig.Name == name {
				s.Cosigned, _ = timeOf(sig)
			}
		}
	}
	files, err := os.ReadDir(filepath.Join(dir, refusedDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	for _, f := range files {
		raw, err := durable.Read(filepath.Join(dir, refusedDir, f.Name()), 8*maxRequest)
		if err != nil {
			return s, err
		}
		var r Refusal
		if err := json.Unmarshal(raw, &r); err != nil {
			return s, fmt.Errorf("%s: %w", f.Name(), err)
		}
		s.Refused = append(s.Refused, r)
	}
	return s, nil
}
