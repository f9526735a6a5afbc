package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/note"

	"slipway/filelock"
)

const lockFile = "lock"

// lockWait is how long a lock may be held by somebody who is about to let go: a server
// that has just stopped, or a child that this process is in the middle of starting.
const lockWait = time.Second

// lockDir makes this process the only writer. The lock goes with the process,
// however it ends.
func lockDir(ctx context.Context, dir string) (unlock func() error, err error) {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	unlock, err = filelock.Take(ctx, filepath.Join(dir, lockFile))
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, errors.New("another process has the audit log open, and a log has one writer. Stop that server first")
	}
	return unlock, err
}

// checkOurs makes sure that a log which is already there is the one that the settings
// mean, before anything is written to it.
func checkOurs(logPath, origin string, verifier note.Verifier) error {
	raw, err := readBounded(filepath.Join(logPath, checkpointFile), maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := openCheckpoint(raw, origin, verifier); err != nil {
		return fmt.Errorf("the log that is there was not written by these settings and this log key: %w", err)
	}
	return nil
}

// sweep removes from the log's directory what a killed writer left: temporary files,
// and bundles and tiles that were written for a batch which then did not become part
// of the tree. Only the places where the tree grows can have any.
func sweep(logPath string) (removed []string, err error) {
	state, err := readTreeState(logPath)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // a log not yet begun, or one killed while it was
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", treeStateFile, err)
	}
	for dir := range growing(state.Size) {
		found, err := os.ReadDir(filepath.Join(logPath, dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, f := range found {
			name := path.Join(dir, f.Name())
			if f.IsDir() || classify(name, state.Size) != leftover {
				continue
			}
			if err := os.Remove(filepath.Join(logPath, name)); err != nil {
				return nil, err
			}
			removed = append(removed, name)
		}
	}
	return removed, nil
}

// growing is the set of folders that a batch may write to in a log of that size.
func growing(size uint64) map[string]bool {
	dirs := map[string]bool{".": true, stateDir: true}
	for level := uint64(0); level < 8; level++ {
		first := size >> ((level + 1) * layout.TileHeight)
		last := (size + DefaultBatchMaxSize) >> ((level + 1) * layout.TileHeight)
		for n := first; n <= last; n++ {
			paths := []string{layout.TilePath(level, n, 1), layout.TilePath(level, n, 0)}
			if level == 0 {
				paths = append(paths, layout.EntriesPath(n, 1), layout.EntriesPath(n, 0))
			}
			for _, p := range paths {
				dirs[path.Dir(p)] = true
			}
		}
	}
	return dirs
}

// kind is what a file below the log's directory is.
type kind int

const (
	unknown  kind = iota
	part          // of the log as its size says
	leftover      // of an interrupted write
)

// classify says what a file is by its name, in a log of that size.
func classify(name string, size uint64) kind {
	switch name {
	case checkpointFile, treeStateFile, versionFile, gcStateFile:
		return part
	}
	if lockFiles[name] {
		return part
	}
	if level, n, p, ok := parseTilePath(name); ok {
		return classifyTile(level, n, p, size)
	}
	// Tessera's temporary files have the name of the file to be, and a number.
	for cut := len(name) - 1; cut > 0 && name[cut] >= '0' && name[cut] <= '9'; cut-- {
		base := name[:cut]
		if base == checkpointFile || base == treeStateFile || base == versionFile || base == gcStateFile {
			return leftover
		}
		if _, _, _, ok := parseTilePath(base); ok {
			return leftover
		}
	}
	return unknown
}

// classifyTile knows which tiles a log of that size has: full ones, the partial one
// at the edge, and the smaller partial ones that these grew from.
func classifyTile(level, n uint64, p uint8, size uint64) kind {
	atLevel := size >> (level * layout.TileHeight)
	full, edge := atLevel/width, atLevel%width
	switch {
	case n < full, n == full && p > 0 && uint64(p) <= edge:
		return part
	default:
		return leftover
	}
}

// parseTilePath reads "tile/<level>/<n>" and "tile/entries/<n>", and only the one
// spelling that each has. Entry bundles count as level 0.
func parseTilePath(name string) (level, n uint64, p uint8, ok bool) {
	rest, ok := strings.CutPrefix(name, "tile/")
	if !ok {
		return 0, 0, 0, false
	}
	kind, index, ok := strings.Cut(rest, "/")
	if !ok {
		return 0, 0, 0, false
	}
	if kind != "entries" {
		var err error
		if level, err = strconv.ParseUint(kind, 10, 8); err != nil || level > 7 {
			return 0, 0, 0, false
		}
	}
	n, p, err := layout.ParseTileIndexPartial(index)
	if err != nil {
		return 0, 0, 0, false
	}
	if kind == "entries" {
		return 0, n, p, layout.EntriesPath(n, p) == name
	}
	return level, n, p, layout.TilePath(level, n, p) == name
}
