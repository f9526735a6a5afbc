package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/transparency-dev/tessera/api/layout"

	"slipway/audit"
)

// Folders of a mirror. Tiles and bundles have the names that they have in the log
// (C2SP tlog-tiles) and documents the ones that they have beside it. What changes in the
// log by its nature gets a name of its own each time: the log's size then, and a digest.
const (
	checkpoints = "checkpoints"
	keyNotes    = "keys"  // the log's public keys
	scopeNotes  = "scope" // which documents are copied from that event on
)

// versioned is the name of an object that is one of many. Sizes have as many digits as
// the largest, so that names are in the order of the log.
func versioned(folder string, size uint64, content []byte) string {
	sum := sha256.Sum256(content)
	return versionedName(folder, size, hex.EncodeToString(sum[:8]))
}

func versionedName(folder string, size uint64, digest string) string {
	return fmt.Sprintf("%s/%020d-%s", folder, size, digest)
}

func checkpointName(t audit.Tip) string { return versioned(checkpoints, t.Size, t.Raw) }

// parseVersioned takes such a name apart.
func parseVersioned(name string) (folder string, size uint64, digest string, ok bool) {
	folder, rest, _ := strings.Cut(name, "/")
	number, digest, _ := strings.Cut(rest, "-")
	size, err := strconv.ParseUint(number, 10, 64)
	ok = err == nil && versionedName(folder, size, digest) == name && len(digest) == 16 && strings.Trim(digest, "0123456789abcdef") == ""
	return folder, size, digest, ok
}

// resume finds out from the store how far it is, and makes sure that the log is one that
// goes on from there.
func (m *Mirror) resume(ctx context.Context, tip audit.Tip) error {
	m.sealed = audit.Tip{}
	clear(m.noted)
	for _, folder := range []string{keyNotes, scopeNotes} {
		for o, err := range m.o.Store.List(ctx, folder+"/") {
			if err != nil {
				return err
			}
			m.note(o.Name)
		}
	}
	newest, err := m.newest(ctx)
	if err != nil {
		return err
	}
	e := &edge{}
	if newest == nil {
		m.at, m.papers = e, 0
		return nil
	}
	if err := m.extends(tip); err != nil {
		return err
	}
	// The tiles at the edge of the store, above those of the entries.
	size := m.sealed.Size
	for level := 1; level < levels; level++ {
		have := size >> (layout.TileHeight * level)
		p := have % width
		if p == 0 {
			continue
		}
		name := layout.TilePath(uint64(level), have/width, uint8(p))
		hashes, err := get(ctx, m.o.Store, name, width*hashSize)
		if absent(err) {
			return contradicts(name, "the mirror lacks this tile, which its checkpoint of size %d needs", size)
		}
		if err != nil {
			return err
		}
		if len(hashes) != int(p)*hashSize {
			return contradicts(name, "it has %d bytes where a tile of this name has %d", len(hashes), p*hashSize)
		}
		e.tiles[level] = hashes
	}
	at := e.clone()
	if size%width > 0 {
		entries, err := audit.ReadBundle(m.o.Dir, size/width, size)
		if err != nil {
			return fmt.Errorf("mirror: %w", err)
		}
		if _, err := e.addEntries(entries); err != nil {
			return fmt.Errorf("mirror: %w", err)
		}
	}
	root, err := e.root()
	if err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	if !bytes.Equal(root, m.sealed.Root) {
		return contradicts(checkpointName(m.sealed), "the log does not go on from this checkpoint: the last of its %d events are others in the log, or the mirror's tiles were changed. Compare the two with slipway audit mirror verify --dir", size)
	}
	m.at, m.papers = at, size
	return nil
}

// newest finds the newest checkpoint in the store that the log's key signed. What
// somebody else has put among them is for Verify to report.
func (m *Mirror) newest(ctx context.Context) (*audit.Tip, error) {
	var names []Object
	for o, err := range m.o.Store.List(ctx, checkpoints+"/") {
		if err != nil {
			return nil, err
		}
		if _, _, _, ok := parseVersioned(o.Name); ok {
			names = append(names, o)
		}
	}
	for i := len(names) - 1; i >= 0; i-- {
		c, err := m.o.Store.Get(ctx, names[i], maxCheckpoint)
		if absent(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		tip, err := m.o.Keys().OpenTip(c.Raw)
		if err != nil || checkpointName(tip) != names[i].Name {
			continue
		}
		m.sealed, m.when = tip, names[i].Made
		return &tip, nil
	}
	return nil, nil
}

// skip finds the chunk up to which a copy that was interrupted had come: the first
// bundle of it. That the last tile of a chunk is there says that every chunk before it
// is there as a whole.
func (m *Mirror) skip(ctx context.Context, tip audit.Tip) (uint64, error) {
	first, end := m.at.size()/width, tip.Size/width
	low, high := first/chunk, end/chunk // low: may be there; high: not known to exist in whole
	there := func(c uint64) (bool, error) {
		_, err := get(ctx, m.o.Store, layout.TilePath(0, (c+1)*chunk-1, 0), width*hashSize)
		if absent(err) {
			return false, nil
		}
		return err == nil, err
	}
	// A binary search for the first chunk whose last tile is not there.
	for low < high {
		middle := (low + high) / 2
		ok, err := there(middle)
		if err != nil {
			return 0, err
		}
		if ok {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == first/chunk {
		return first, nil
	}
	return max(first, (low-1)*chunk), nil
}

// notes are the objects that say something about the copy, where the store does not have
// them as its newest.
func (m *Mirror) notes() ([]object, error) {
	var keys bytes.Buffer
	if err := m.o.Keys().Write(&keys); err != nil {
		return nil, fmt.Errorf("mirror: %w", err)
	}
	scope, err := m.o.Documents.note()
	if err != nil {
		return nil, fmt.Errorf("mirror: %w", err)
	}
	var out []object
	for _, n := range []object{{keyNotes, keys.Bytes()}, {scopeNotes, scope}} {
		name := versioned(n.name, m.sealed.Size, n.content)
		if _, _, digest, _ := parseVersioned(name); m.noted[n.name] != digest {
			out = append(out, object{name, n.content})
		}
	}
	return out, nil
}

// note remembers that a note is in the store. They come in the order of the log.
func (m *Mirror) note(name string) {
	if folder, _, digest, ok := parseVersioned(name); ok {
		m.noted[folder] = digest
	}
}
