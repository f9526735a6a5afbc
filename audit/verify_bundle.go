package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
)

const hashSize = sha256.Size

// bundle is what one entry bundle and the hash tile above it turned out to be.
type bundle struct {
	n        uint64
	file     string // of the entries
	tile     string // of the hashes
	events   []fact
	computed [][]byte  // leaf hashes of the entries; nil when they cannot be read
	stored   [][]byte  // leaf hashes of the tile; nil when it cannot be read
	problems []Problem // File is below the log's directory
}

// fact is what has to be known of an event when others are looked at.
type fact struct {
	index     uint64
	id        [16]byte
	recorded  time.Time // when, as its ID says
	once      [16]byte  // a digest of its Once key
	hasOnce   bool
	documents [][hashSize]byte
	erases    [hashSize]byte
	isErasure bool
}

func (b *bundle) problem(check Check, file string, index *uint64, what string, args ...any) {
	b.problems = append(b.problems, Problem{File: file, Index: index, Check: check, What: fmt.Sprintf(what, args...)})
}

// bundle verifies the entries of bundle n by themselves, and reads the tile above. It
// runs beside others and touches nothing of v that changes.
func (v *verifier) bundle(n, size uint64) *bundle {
	b := &bundle{n: n}
	want := int(min(size-n*width, width))
	raw, err := v.grown(&b.file, size, n, layout.EntriesPath)
	if err != nil {
		b.problem(CheckBundle, b.file, nil, "The entries cannot be read: %v.", err)
	} else {
		v.readEntries(b, raw, want)
		v.prefixes(b.problem, CheckBundle, raw, n, layout.EntriesPath, endOfEntry)
	}
	tilePath := func(n uint64, p uint8) string { return layout.TilePath(0, n, p) }
	raw, err = v.grown(&b.tile, size, n, tilePath)
	switch hashes := count(b.tile) * hashSize; {
	case err != nil:
		b.problem(CheckTile, b.tile, nil, "The hashes cannot be read: %v.", err)
	case len(raw) != hashes:
		b.problem(CheckTile, b.tile, nil, "The tile has %d bytes where %d are expected.", len(raw), hashes)
	default:
		for i := range want {
			b.stored = append(b.stored, raw[i*hashSize:(i+1)*hashSize])
		}
		v.prefixes(b.problem, CheckTile, raw, n, tilePath, endOfHash)
	}
	return b
}

// count is how many entries or hashes a file has by its name.
func count(file string) int {
	if _, _, p, ok := parseTilePath(file); ok && p > 0 {
		return int(p)
	}
	return width
}

// grown reads the file of bundle or tile n in a log of that size, or the full one that
// it has become since, and says which.
func (v *verifier) grown(file *string, size, n uint64, pathOf func(uint64, uint8) string) ([]byte, error) {
	*file = pathOf(n, layout.PartialTileSize(0, n, size))
	raw, err := readBounded(filepath.Join(v.log, *file), maxBundle)
	if full := pathOf(n, 0); errors.Is(err, fs.ErrNotExist) && full != *file {
		if raw, err := readBounded(filepath.Join(v.log, full), maxBundle); err == nil {
			*file = full
			return raw, nil
		}
	}
	return raw, err
}

func (v *verifier) readEntries(b *bundle, raw []byte, want int) {
	list, err := parseBundle(raw)
	if err != nil {
		b.problem(CheckBundle, b.file, nil, "The file is not an entry bundle: %v.", err)
		return
	}
	if len(list) != count(b.file) {
		b.problem(CheckBundle, b.file, nil, "The bundle has %d entries where %d are expected.", len(list), count(b.file))
		return
	}
	for i, raw := range list[:want] {
		index := b.n*width + uint64(i)
		b.computed = append(b.computed, rfc6962.DefaultHasher.HashLeaf(raw))
		if f, ok := v.event(b, index, raw); ok {
			b.events = append(b.events, f)
		}
	}
}

// event verifies one entry by itself.
func (v *verifier) event(b *bundle, index uint64, raw []byte) (fact, bool) {
	e, err := parseEntry(raw)
	if err != nil {
		b.problem(CheckCanonicalForm, b.file, &index, "Entry %d is not an event: %v.", index, err)
		return fact{}, false
	}
	signer, known := v.events[e.event.KeyID]
	if !known {
		b.problem(CheckEventSignature, b.file, &index, "Event %d is signed by the key %.64q, which is not among the trusted ones.", index, e.event.KeyID)
		return fact{}, false
	}
	if err := verifySignature(e.event.Signature, e.payload, e.event.KeyID, signer.pub); err != nil {
		b.problem(CheckEventSignature, b.file, &index, "Event %d: %v.", index, err)
		return fact{}, false
	}
	if !v.inTurn(b, index, signer) {
		return fact{}, false
	}
	if index == 0 && e.event.Action != StartLog {
		b.problem(CheckStart, b.file, &index, "The log begins with %.64q and not with %q: its beginning is missing.", e.event.Action, StartLog)
	}
	return v.factOf(b, index, &e.event)
}

func (v *verifier) factOf(b *bundle, index uint64, e *Event) (fact, bool) {
	id, recorded, err := parseEventID(e.EventID)
	if err != nil {
		b.problem(CheckEventID, b.file, &index, "Event %d: its ID %.64v.", index, err)
		return fact{}, false
	}
	if e.Timestamp.After(recorded.Add(maxClockSkew)) {
		b.problem(CheckTime, b.file, &index, "Event %d is said to have happened at %s, after it was recorded at %s.",
			index, e.Timestamp.Format(time.RFC3339), recorded.Format(time.RFC3339))
	}
	f := fact{index: index, id: id, recorded: recorded, hasOnce: e.Once != ""}
	if f.hasOnce {
		sum := sha256.Sum256([]byte(e.Once))
		f.once = [16]byte(sum[:])
	}
	for name, digest := range e.ArtifactRefs {
		if d, ok := parseDigest(digest); ok && (v.kept == nil || v.kept(name, index)) {
			f.documents = append(f.documents, d)
		}
	}
	if e.Action == EraseDocument {
		f.erases, f.isErasure = parseDigest(e.Resource.Name)
	}
	return f, true
}

func parseDigest(digest string) (d [hashSize]byte, ok bool) {
	if !validDigest(digest) {
		return d, false
	}
	_, err := hex.Decode(d[:], []byte(strings.TrimPrefix(digest, digestPrefix)))
	return d, err == nil
}

// prefixes compares the smaller files that a bundle or tile grew from, as far as they
// are still there, with what it is now.
func (v *verifier) prefixes(report reporter, check Check, now []byte, n uint64, pathOf func(uint64, uint8) string, end func(raw []byte, count int) int) {
	dir := path.Dir(pathOf(n, 1))
	found, err := os.ReadDir(filepath.Join(v.log, dir))
	if err != nil {
		return // there are none
	}
	for _, f := range found {
		name := path.Join(dir, f.Name())
		_, _, p, ok := parseTilePath(name)
		length := end(now, int(p))
		if !ok || length < 0 {
			continue // not a part, or beyond the edge: files reports it
		}
		raw, err := readBounded(filepath.Join(v.log, name), maxBundle)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a running writer has removed it meanwhile
		}
		if err != nil || !bytes.Equal(raw, now[:length]) {
			report(check, name, nil, "This earlier part of %s is not what is in it now.", path.Dir(name))
		}
	}
}

// reporter takes a problem with a file below the log's directory.
type reporter func(check Check, file string, index *uint64, what string, args ...any)

// endOfHash is where the first count hashes end, or -1 when there are fewer.
func endOfHash(raw []byte, count int) int {
	if count*hashSize > len(raw) {
		return -1
	}
	return count * hashSize
}

// endOfEntry is where the first count entries end, or -1 when there are fewer.
func endOfEntry(raw []byte, count int) int {
	at := 0
	for range count {
		if at+2 > len(raw) {
			return -1
		}
		at += 2 + int(raw[at])<<8 + int(raw[at+1])
	}
	if at > len(raw) {
		return -1
	}
	return at
}
