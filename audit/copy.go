package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/note"

	"slipway/audit/witness"
	"slipway/internal/durable"
)

// What copies of a log are made from and laid out as, for packages that keep one elsewhere.

// Tip is the end of a log, as a checkpoint says it that the log's key signed.
type Tip struct {
	Size uint64
	Root []byte // SHA-256
	Raw  []byte // the checkpoint, with every signature that it has
}

// OpenTip reads a checkpoint of this origin, signed by the log's key.
func (k Keys) OpenTip(raw []byte) (Tip, error) {
	verifier, err := note.NewVerifier(k.Log)
	if err != nil {
		return Tip{}, fmt.Errorf("keys: the log's key: %w", err)
	}
	cp, err := openCheckpoint(raw, k.Origin, verifier)
	if err != nil {
		return Tip{}, fmt.Errorf("this is not a checkpoint of %s signed by its key: %w", k.Origin, err)
	}
	return Tip{Size: cp.Size, Root: cp.Hash, Raw: bytes.Clone(raw)}, nil
}

// ReadTip reads the published checkpoint of the log below dir, with the signatures of the
// witnesses when they have signed it by now.
func ReadTip(dir string, keys Keys) (Tip, error) {
	raw, err := readBounded(filepath.Join(dir, logDir, checkpointFile), maxState)
	if err != nil {
		return Tip{}, fmt.Errorf("audit log %s: %w", dir, err)
	}
	tip, err := keys.OpenTip(raw)
	if err != nil {
		return Tip{}, fmt.Errorf("audit log %s: %s: %w", dir, checkpointFile, err)
	}
	// One that does not fit where checkpoints are read from is left out: a copy without the
	// witnesses is still one.
	if raw, err := readBounded(filepath.Join(CosignedDir(dir), witness.File), maxState); err == nil {
		if cosigned, err := keys.OpenTip(raw); err == nil && cosigned.Size == tip.Size && bytes.Equal(cosigned.Root, tip.Root) {
			return cosigned, nil
		}
	}
	return tip, nil
}

// ReadBundle returns the entries of bundle n that a log of that size has, unchecked.
func ReadBundle(dir string, n, size uint64) ([][]byte, error) {
	return readBundle(filepath.Join(dir, logDir), n, size)
}

// ReadDocument returns a document of the store below dir, checked against its digest.
// One that is not there is fs.ErrNotExist.
func ReadDocument(ctx context.Context, dir, digest string) ([]byte, error) {
	return (&Documents{dir: filepath.Join(dir, documentsDir)}).Get(ctx, digest)
}

// DocumentName is the name of a document's file in a copy: documents/sha256/….
func DocumentName(digest string) (string, error) {
	if !validDigest(digest) {
		return "", fmt.Errorf("document %.80q: a digest has the form sha256:<64 hex digits>", digest)
	}
	return documentPath(strings.TrimPrefix(digest, digestPrefix)), nil
}

// Tile says which tile or entry bundle a file is, by its name below the log's directory.
type Tile struct {
	Level uint64 // 0 for entry bundles
	N     uint64
	Width uint64 // hashes or entries: 256 when it is full
}

// ParseTile reads "tile/<level>/<n>" and "tile/entries/<n>", and only the one spelling
// that each has (C2SP tlog-tiles).
func ParseTile(name string) (Tile, bool) {
	level, n, p, ok := parseTilePath(name)
	t := Tile{Level: level, N: n, Width: uint64(p)}
	if p == 0 {
		t.Width = width
	}
	return t, ok
}

// In says whether a log of that size has this tile, or has grown from it.
func (t Tile) In(size uint64) bool {
	atLevel := size >> (t.Level * layout.TileHeight)
	return t.N < atLevel/width || t.N == atLevel/width && t.Width < width && t.Width <= atLevel%width
}

// PlaceTip lays a checkpoint, and the writer's own note of the tree as it would go with
// that, into a directory that holds a copy of a log's tiles and entries: what Verify
// reads, and Open can go on from.
func PlaceTip(dir string, tip Tip) error {
	state, err := json.Marshal(treeState{Size: tip.Size, Root: tip.Root})
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{checkpointFile: tip.Raw, treeStateFile: state} {
		path := filepath.Join(dir, logDir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := durable.Write(path, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// CopyFile is where a file of a log, by its name there, lies below dir.
func CopyFile(dir, name string) string {
	return filepath.Join(dir, logDir, filepath.FromSlash(name))
}
