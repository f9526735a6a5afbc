package mirror

import (
	"math/bits"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
)

const (
	width    = layout.TileWidth // entries a bundle, hashes a tile
	hashSize = 32
	levels   = 8 // of tiles, for more entries than there will be
)

var ranges = compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

// edge is the right edge of the tree: at each level, the hashes of the tile that is not
// full yet. It is all that is needed to go on: what comes left of it is in full tiles.
type edge struct {
	tiles [levels][]byte // hashes one after the other, fewer than 256
}

// tile is a tile of hashes that has become full.
type tile struct {
	level, n uint64
	hashes   []byte
}

func (t tile) name() string { return layout.TilePath(t.level, t.n, 0) }

// size is how many entries the tree has.
func (e *edge) size() uint64 {
	size := uint64(0)
	for level, hashes := range e.tiles {
		size += uint64(len(hashes)/hashSize) << (level * layout.TileHeight)
	}
	return size
}

func (e *edge) clone() *edge {
	c := &edge{}
	for level, hashes := range e.tiles {
		c.tiles[level] = append([]byte(nil), hashes...)
	}
	return c
}

// add appends the hash of an entry, and returns the tiles that are full by that, lowest
// first (C2SP tlog-tiles: a hash at level L+1 is the root of 256 hashes at level L).
func (e *edge) add(leaf []byte) (full []tile, err error) {
	hash := leaf
	for level := range e.tiles {
		e.tiles[level] = append(e.tiles[level], hash...)
		if len(e.tiles[level]) < width*hashSize {
			break
		}
		hashes := e.tiles[level]
		e.tiles[level] = nil
		full = append(full, tile{level: uint64(level), hashes: hashes})
		if hash, err = rootOf(hashes); err != nil {
			return nil, err
		}
	}
	for i := range full {
		full[i].n = e.size()>>((full[i].level+1)*layout.TileHeight) - 1
	}
	return full, nil
}

// addEntries appends entries, and returns the tiles that are full by that.
func (e *edge) addEntries(entries [][]byte) ([]tile, error) {
	var full []tile
	for _, raw := range entries {
		tiles, err := e.add(rfc6962.DefaultHasher.HashLeaf(raw))
		if err != nil {
			return nil, err
		}
		full = append(full, tiles...)
	}
	return full, nil
}

func rootOf(hashes []byte) ([]byte, error) {
	r := ranges.NewEmptyRange(0)
	for ; len(hashes) > 0; hashes = hashes[hashSize:] {
		if err := r.Append(hashes[:hashSize], nil); err != nil {
			return nil, err
		}
	}
	return r.GetRootHash(nil)
}

// root is the root hash of the whole tree (RFC 6962 section 2.1).
func (e *edge) root() ([]byte, error) {
	size := e.size()
	if size == 0 {
		return rfc6962.DefaultHasher.EmptyRoot(), nil
	}
	// The compact range from 0: the roots of the largest full subtrees, left to right.
	var nodes [][]byte
	for level := levels - 1; level >= 0; level-- {
		for hashes := e.tiles[level]; len(hashes) > 0; {
			block := hashSize << (bits.Len(uint(len(hashes)/hashSize)) - 1)
			node, err := rootOf(hashes[:block])
			if err != nil {
				return nil, err
			}
			nodes, hashes = append(nodes, node), hashes[block:]
		}
	}
	r, err := ranges.NewRange(0, size, nodes)
	if err != nil {
		return nil, err
	}
	return r.GetRootHash(nil)
}
