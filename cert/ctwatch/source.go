package ctwatch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	ct "github.com/google/certificate-transparency-go"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
)

// source is a log's API.
type source interface {
	// head fetches the newest tree head and checks its signature.
	head(ctx context.Context) (Head, error)
	// entries fetches entries from the one at from on, up to but without the one at to:
	// at least one, and perhaps fewer than all. tree is the size of the tree that they are in.
	entries(ctx context.Context, from, to, tree uint64) ([]entry, error)
	// consistency fetches the proof that the tree of size1 is the beginning of that of size2.
	consistency(ctx context.Context, size1, size2 uint64) ([][]byte, error)
}

// Bounds on answers.
const (
	maxEntries = 64 << 20 // bytes of get-entries, as JSON
	maxTile    = 32 << 20 // bytes of a data tile
	maxJSON    = 64 << 10 // bytes of a proof, as JSON
)

// jsonAPI is RFC 6962 section 4.
type jsonAPI struct {
	log   *opened
	fetch *fetcher
	most  uint64 // how many entries it is asked for; less after an answer that was too large
}

func (a *jsonAPI) head(ctx context.Context) (Head, error) {
	src, err := a.fetch.get(ctx, ct.GetSTHPath, maxHead)
	if err != nil {
		return Head{}, err
	}
	return a.log.parseSTH(src)
}

func (a *jsonAPI) entries(ctx context.Context, from, to, _ uint64) ([]entry, error) {
	for {
		n := to - from
		if a.most > 0 {
			n = min(n, a.most)
		}
		src, err := a.fetch.get(ctx, fmt.Sprintf("%s?start=%d&end=%d", ct.GetEntriesPath, from, from+n-1), maxEntries)
		if errors.Is(err, errTooLarge) && n > 1 {
			a.most = n / 2
			continue
		}
		if err != nil {
			return nil, err
		}
		return parseEntries(src, from, n)
	}
}

// parseEntries reads an answer of get-entries (RFC 6962 section 4.6) of at most n entries.
func parseEntries(src []byte, from, n uint64) ([]entry, error) {
	var r ct.GetEntriesResponse
	if err := json.Unmarshal(src, &r); err != nil {
		return nil, fmt.Errorf("entries from %d: %w", from, err)
	}
	if len(r.Entries) == 0 {
		return nil, fmt.Errorf("entries from %d: the log gives none, though its tree has them", from)
	}
	if uint64(len(r.Entries)) > n {
		r.Entries = r.Entries[:n]
	}
	out := make([]entry, len(r.Entries))
	for i, leaf := range r.Entries {
		out[i] = leafEntry(from+uint64(i), leaf)
	}
	return out, nil
}

func (a *jsonAPI) consistency(ctx context.Context, size1, size2 uint64) ([][]byte, error) {
	src, err := a.fetch.get(ctx, fmt.Sprintf("%s?first=%d&second=%d", ct.GetSTHConsistencyPath, size1, size2), maxJSON)
	if err != nil {
		return nil, err
	}
	return parseConsistency(src)
}

// parseConsistency reads an answer of get-sth-consistency (RFC 6962 section 4.4).
func parseConsistency(src []byte) ([][]byte, error) {
	var r ct.GetSTHConsistencyResponse
	if err := json.Unmarshal(src, &r); err != nil {
		return nil, fmt.Errorf("consistency proof: %w", err)
	}
	if len(r.Consistency) > maxProof {
		return nil, fmt.Errorf("consistency proof: %d hashes are more than any tree needs", len(r.Consistency))
	}
	for _, h := range r.Consistency {
		if len(h) != sha256.Size {
			return nil, fmt.Errorf("consistency proof: a hash has %d bytes", len(h))
		}
	}
	return r.Consistency, nil
}

// tileAPI is static-ct-api. Hash tiles are kept for the pass, since one proof after the other needs
// the same ones near the top of the tree.
type tileAPI struct {
	log   *opened
	fetch *fetcher
	tiles map[string][]byte
}

const maxTiles = 256 // kept: 2 MiB

func (a *tileAPI) head(ctx context.Context) (Head, error) {
	src, err := a.fetch.get(ctx, "/"+layout.CheckpointPath, maxHead)
	if err != nil {
		return Head{}, err
	}
	return a.log.parseCheckpoint(src)
}

func (a *tileAPI) entries(ctx context.Context, from, to, tree uint64) ([]entry, error) {
	tile := from / layout.TileWidth
	first := tile * layout.TileWidth
	width := min(tree-first, layout.TileWidth)
	src, err := a.get(ctx, func(p uint8) string { return "tile/data/" + layout.NWithSuffix(0, tile, p) }, partial(width), maxTile)
	if err != nil {
		return nil, err
	}
	all, err := dataTile(src, first, int(width))
	if err != nil {
		return nil, err
	}
	if uint64(len(all)) < width {
		return nil, fmt.Errorf("data tile %d has %d entries, not %d", tile, len(all), width)
	}
	return all[from-first : min(to-first, width)], nil
}

func (a *tileAPI) consistency(ctx context.Context, size1, size2 uint64) ([][]byte, error) {
	pb, err := client.NewProofBuilder(ctx, size2, a.hashTile)
	if err != nil {
		return nil, err
	}
	return pb.ConsistencyProof(ctx, size1, size2)
}

func (a *tileAPI) hashTile(ctx context.Context, level, index uint64, p uint8) ([]byte, error) {
	width := int(p)
	if p == 0 {
		width = layout.TileWidth
	}
	key := layout.TilePath(level, index, p)
	if t, ok := a.tiles[key]; ok {
		return t, nil
	}
	src, err := a.get(ctx, func(p uint8) string { return layout.TilePath(level, index, p) }, p, layout.TileWidth*sha256.Size)
	if err != nil {
		return nil, err
	}
	if len(src) < width*sha256.Size || len(src)%sha256.Size != 0 {
		return nil, fmt.Errorf("%s has %d bytes, not %d hashes", key, len(src), width)
	}
	src = bytes.Clone(src[:width*sha256.Size])
	if a.tiles == nil || len(a.tiles) == maxTiles {
		a.tiles = map[string][]byte{}
	}
	a.tiles[key] = src
	return src, nil
}

// get fetches a tile. A partial one may be gone once the full one is there (tlog-tiles, Partial Tiles).
func (a *tileAPI) get(ctx context.Context, path func(p uint8) string, p uint8, most int64) ([]byte, error) {
	src, err := a.fetch.get(ctx, "/"+path(p), most)
	if p > 0 && errors.Is(err, fs.ErrNotExist) {
		return a.fetch.get(ctx, "/"+path(0), most)
	}
	return src, err
}

// partial is a tile's width as paths have it: 0 for full.
func partial(width uint64) uint8 {
	return uint8(width % layout.TileWidth)
}
