package audit

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
)

var ranges = compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

// tree adds leaf hashes up, twice: once as the entries give them and once as the tiles
// of the lowest level have them. Where the two differ, the sum that comes out at the
// signed root tells which of the two files was altered.
type tree struct {
	v *verifier
	t targets

	fromEntries, fromTiles *sum
	differing              []difference
	upper                  []*upperTile // by level, from 1
}

// difference is a leaf hash that a bundle and its tile do not agree on.
type difference struct {
	index        uint64
	bundle, tile string
}

// sum is a running root hash that is compared at the targets.
type sum struct {
	r             *compact.Range
	signed, noted []byte // the roots at the targets' sizes
	seen          [][]byte
}

func newTree(v *verifier, t targets) *tree {
	return &tree{v: v, t: t,
		fromEntries: &sum{r: ranges.NewEmptyRange(0)},
		fromTiles:   &sum{r: ranges.NewEmptyRange(0)},
	}
}

func (t *tree) take(b *bundle) error {
	fromEntries, fromTiles := b.computed, b.stored
	switch {
	case fromEntries == nil && fromTiles == nil:
		return stoppedNoEntries
	case fromEntries == nil:
		fromEntries = fromTiles // the entries were reported: see whether the rest is sound
	case fromTiles == nil:
		fromTiles = fromEntries
	}
	for i := range fromEntries {
		if !bytes.Equal(fromEntries[i], fromTiles[i]) && len(t.differing) < maxProblems {
			t.differing = append(t.differing, difference{b.n*width + uint64(i), b.file, b.tile})
		}
	}
	if err := t.fromEntries.add(fromEntries, t.t); err != nil {
		return err
	}
	if err := t.fromTiles.add(fromTiles, t.t); err != nil {
		return err
	}
	if len(fromTiles) == width {
		root, err := rootOf(fromTiles)
		if err != nil {
			return err
		}
		return t.raise(1, root)
	}
	return nil
}

// add appends the leaves of one bundle.
func (s *sum) add(leaves [][]byte, t targets) error {
	for _, leaf := range leaves {
		if err := s.at(t); err != nil {
			return err
		}
		if err := s.r.Append(leaf, nil); err != nil {
			return err
		}
	}
	return nil
}

// at notes the root when the sum has come to a target.
func (s *sum) at(t targets) error {
	root := func() ([]byte, error) {
		if s.r.End() == 0 {
			return rfc6962.DefaultHasher.EmptyRoot(), nil
		}
		return s.r.GetRootHash(nil)
	}
	var err error
	if t.signed != nil && s.r.End() == t.signed.size {
		if s.signed, err = root(); err != nil {
			return err
		}
	}
	if t.noted != nil && s.r.End() == t.noted.size {
		if s.noted, err = root(); err != nil {
			return err
		}
	}
	for next := len(s.seen); next < len(t.seen) && s.r.End() == t.seen[next].size; next++ {
		hash, err := root()
		if err != nil {
			return err
		}
		s.seen = append(s.seen, hash)
	}
	return nil
}

// seenAt is the root at the size of a checkpoint that others have seen; nil when so many
// entries were not there.
func (s *sum) seenAt(i int) []byte {
	if i < len(s.seen) {
		return s.seen[i]
	}
	return nil
}

func rootOf(leaves [][]byte) ([]byte, error) {
	r := ranges.NewEmptyRange(0)
	for _, leaf := range leaves {
		if err := r.Append(leaf, nil); err != nil {
			return nil, err
		}
	}
	return r.GetRootHash(nil)
}

// upperTile is a tile above the lowest level as it fills.
type upperTile struct {
	n      uint64
	hashes []byte
}

// raise puts the root of a full tile into the tile above it (C2SP tlog-tiles: a hash at
// level L+1 is the root of 256 hashes at level L).
func (t *tree) raise(level int, root []byte) error {
	for len(t.upper) < level {
		t.upper = append(t.upper, &upperTile{})
	}
	tile := t.upper[level-1]
	tile.hashes = append(tile.hashes, root...)
	if len(tile.hashes) < width*hashSize {
		return nil
	}
	t.compare(level, tile.n, 0, tile.hashes)
	leaves := make([][]byte, width)
	for i := range leaves {
		leaves[i] = tile.hashes[i*hashSize : (i+1)*hashSize]
	}
	above, err := rootOf(leaves)
	if err != nil {
		return err
	}
	tile.n, tile.hashes = tile.n+1, tile.hashes[:0]
	return t.raise(level+1, above)
}

// compare checks an upper tile and the smaller ones that it grew from.
func (t *tree) compare(level int, n uint64, p uint8, hashes []byte) {
	file := layout.TilePath(uint64(level), n, p)
	raw, err := readBounded(filepath.Join(t.v.log, file), width*hashSize)
	if full := layout.TilePath(uint64(level), n, 0); errors.Is(err, fs.ErrNotExist) && p > 0 {
		// It has grown meanwhile: what came first must still be the same.
		if grown, again := readBounded(filepath.Join(t.v.log, full), width*hashSize); again == nil && len(grown) >= len(hashes) {
			file, raw, err = full, grown[:len(hashes)], nil
		}
	}
	if err != nil {
		t.v.inLog(CheckTile, file, nil, "The hashes cannot be read: %v.", err)
	} else if !bytes.Equal(raw, hashes) {
		t.v.inLog(CheckTile, file, nil, "The tile does not have the hashes that the entries below it add up to.")
	}
	pathOf := func(n uint64, p uint8) string { return layout.TilePath(uint64(level), n, p) }
	t.v.prefixes(t.v.inLog, CheckTile, hashes, n, pathOf, endOfHash)
}

// finish compares the roots, says which file a difference is to be blamed on, and checks
// the tiles at the edge.
func (t *tree) finish() error {
	for i, tile := range t.upper {
		if len(tile.hashes) > 0 {
			t.compare(i+1, tile.n, uint8(len(tile.hashes)/hashSize), tile.hashes)
		}
	}
	for _, s := range []*sum{t.fromEntries, t.fromTiles} {
		if err := s.at(t.t); err != nil {
			return err
		}
	}
	entriesRight := fits(t.t.signed, t.fromEntries.signed) && fits(t.t.noted, t.fromEntries.noted)
	tilesRight := fits(t.t.signed, t.fromTiles.signed) && fits(t.t.noted, t.fromTiles.noted)
	for _, d := range t.differing {
		if !entriesRight {
			t.v.inLog(CheckBundle, d.bundle, &d.index, "Entry %d is not the one that was recorded there: the tree commits to another.", d.index)
		}
		if !tilesRight {
			t.v.inLog(CheckTile, d.tile, &d.index, "The hash of entry %d is not that of the entry.", d.index)
		}
	}
	// Either sum may be right, and then the other was reported above.
	if t.t.signed != nil && !fits(t.t.signed, t.fromEntries.signed) && !fits(t.t.signed, t.fromTiles.signed) {
		t.v.inLog(CheckRoot, checkpointFile, nil, "The %d entries do not add up to the root hash that was signed: entries were changed, removed, added or put in another order.", t.t.signed.size)
	}
	for i, w := range t.t.seen {
		if !fits(&w.target, t.fromEntries.seenAt(i)) && !fits(&w.target, t.fromTiles.seenAt(i)) {
			t.v.problem(w.check, w.file, nil, "This checkpoint has the log's own signature, and another root hash for the first %d events: there are two histories of this log, and the one here is not the one that others have seen.", w.size)
		}
	}
	if t.t.noted != nil && !fits(t.t.noted, t.fromEntries.noted) && !fits(t.t.noted, t.fromTiles.noted) {
		t.v.inLog(CheckTreeState, treeStateFile, nil, "The writer's note of the tree has another root hash than its %d entries.", t.t.noted.size)
	}
	return nil
}

func fits(want *target, have []byte) bool { return want == nil || bytes.Equal(want.root, have) }
