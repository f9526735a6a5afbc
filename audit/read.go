package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
)

const (
	logDir = "log"
	width  = layout.EntryBundleWidth // entries a bundle, hashes a tile
	// The largest bundle: every entry with its length in front.
	maxBundle = width * (2 + MaxEvent)
	maxState  = 4 << 10 // bytes of a checkpoint or of a file below .state
)

// Names below the log's directory. The .state ones are those of Tessera's POSIX driver.
const (
	checkpointFile = layout.CheckpointPath
	stateDir       = ".state"
	treeStateFile  = ".state/treeState"
	versionFile    = ".state/version"
	gcStateFile    = ".state/gcState"
)

var lockFiles = map[string]bool{".state/treeState.lock": true, ".state/publish.lock": true, ".state/gcState.lock": true}

// treeState is what Tessera has integrated: every event that Append has answered for
// is in it, also when the checkpoint that covers it is still to be published.
type treeState struct {
	Size uint64 `json:"size"`
	Root []byte `json:"root"`
}

func readTreeState(log string) (treeState, error) {
	raw, err := readBounded(filepath.Join(log, treeStateFile), maxState)
	if err != nil {
		return treeState{}, err
	}
	return parseTreeState(raw)
}

// parseTreeState accepts only the spelling that Tessera writes, so that no byte can
// change unnoticed.
func parseTreeState(raw []byte) (treeState, error) {
	var s treeState
	if err := json.Unmarshal(raw, &s); err != nil {
		return treeState{}, err
	}
	again, err := json.Marshal(s)
	if err != nil || !bytes.Equal(again, raw) || len(s.Root) != 32 {
		return treeState{}, errors.New("not as the log writes it")
	}
	return s, nil
}

// bundlePath is where the entries of bundle n lie in a log of that size.
func bundlePath(n, size uint64) string {
	return layout.EntriesPath(n, layout.PartialTileSize(0, n, size))
}

// readBundle returns the entries of bundle n that a log of that size has. A bundle that
// has grown since is as good: what came first stays first.
func readBundle(log string, n, size uint64) ([][]byte, error) {
	path := bundlePath(n, size)
	raw, err := readBounded(filepath.Join(log, path), maxBundle)
	if errors.Is(err, fs.ErrNotExist) {
		path = layout.EntriesPath(n, 0)
		raw, err = readBounded(filepath.Join(log, path), maxBundle)
	}
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	entries, err := parseBundle(raw)
	if err != nil {
		return nil, fmt.Errorf("log: %s: %w", path, err)
	}
	want := min(size-n*width, width)
	if uint64(len(entries)) < want {
		return nil, fmt.Errorf("log: %s has %d entries where %d are expected", path, len(entries), want)
	}
	return entries[:want], nil
}

// parseBundle splits an entry bundle: each entry after its length in 16 bits, big
// endian (C2SP tlog-tiles).
func parseBundle(raw []byte) ([][]byte, error) {
	var bundle api.EntryBundle
	if err := bundle.UnmarshalText(raw); err != nil {
		return nil, err
	}
	return bundle.Entries, nil
}

// located is the raw form of one entry.
type located struct {
	index uint64
	raw   []byte
}

// entries streams the entries from..size-1.
func entries(ctx context.Context, log string, from, size uint64) iter.Seq2[located, error] {
	return func(yield func(located, error) bool) {
		for at := from; at < size; {
			if err := ctx.Err(); err != nil {
				yield(located{index: at}, err)
				return
			}
			bundle, err := readBundle(log, at/width, size)
			if err != nil {
				yield(located{index: at}, err)
				return
			}
			for _, raw := range bundle[at%width:] {
				if !yield(located{at, raw}, nil) {
					return
				}
				at++
			}
		}
	}
}

// receipt reads an entry without checking it.
func (l located) receipt() (Receipt, error) {
	r := Receipt{Index: l.index}
	read := func() error { return json.Unmarshal(l.raw, &r.Event) }
	if surelyCanonical(l.raw) {
		read = func() error { return decodeEvent(l.raw, &r.Event) }
	}
	if err := read(); err != nil {
		return r, fmt.Errorf("log: entry %d is not an event: %w", l.index, err)
	}
	return r, nil
}

// Read streams a log's events in their order from its files alone, without index or
// keys, and without checking them: that is what Verify is for. It may run while the
// log is being written, and after the writer was killed: it yields every event that
// was acknowledged.
func Read(ctx context.Context, dir string, from uint64) iter.Seq2[Receipt, error] {
	return func(yield func(Receipt, error) bool) {
		log := filepath.Join(dir, logDir)
		state, err := readTreeState(log)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				if _, missing := os.Stat(log); missing != nil {
					err = fmt.Errorf("there is no log in %s: %w", dir, missing)
				}
			}
			yield(Receipt{}, fmt.Errorf("log: %s: %w", treeStateFile, err))
			return
		}
		for e, err := range entries(ctx, log, from, state.Size) {
			r := Receipt{Index: e.index}
			if err == nil {
				r, err = e.receipt()
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}
