package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// Inspection is the state of a log's directory beyond what Verify proves: what the server
// would find there at its next start.
type Inspection struct {
	Log       uint64   `json:"log"`                 // events that the writer noted as in the log
	Index     uint64   `json:"index"`               // events in the index
	Compared  bool     `json:"compared"`            // the index was looked at
	Note      string   `json:"note,omitempty"`      // about the index, and nothing bad: the next start mends it
	Problem   string   `json:"problem,omitempty"`   // the index contradicts the log
	Leftovers []string `json:"leftovers,omitempty"` // unfinished documents; the next start removes them
}

// Inspect looks at a log's directory as Open would, and changes nothing in it, not even
// a lock. What Verify reports is not looked at again.
func Inspect(ctx context.Context, dir string) (*Inspection, error) {
	state, err := readTreeState(filepath.Join(dir, logDir))
	if err != nil {
		return nil, fmt.Errorf("audit log %s: %s: %w", dir, treeStateFile, err)
	}
	in := &Inspection{Log: state.Size}
	unfinishedDir := filepath.Join(dir, documentsDir, unfinished)
	files, err := os.ReadDir(unfinishedDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("audit log %s: %w", dir, err)
	}
	for _, f := range files[:min(len(files), maxProblems)] {
		in.Leftovers = append(in.Leftovers, path.Join(documentsDir, unfinished, f.Name()))
	}
	return in, in.index(ctx, dir)
}

// index compares the index with the log, as far as that can be done without writing.
func (in *Inspection) index(ctx context.Context, dir string) error {
	file := filepath.Join(dir, indexFile)
	if info, err := os.Stat(file + "-wal"); err == nil && info.Size() > 0 {
		// Reading them together would need SQLite's shared memory, which is written to.
		in.Note = "the index was not compared: part of it is still apart (index.db-wal), so a server runs or was killed"
		return nil
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		in.Compared, in.Note = true, "there is no index; the next start makes it from the log"
		return nil
	}
	x, err := sqliteFile(file).readOnly(ctx, true)
	if errors.Is(err, errStale) {
		return in.stale(ctx)
	}
	if err != nil {
		return err
	}
	defer x.close()
	if in.Index, err = x.size(ctx); err == nil {
		_, err = x.compare(ctx, filepath.Join(dir, logDir), in.Log)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errStale):
		return in.stale(ctx)
	case err != nil:
		in.Problem = err.Error()
	case in.Index < in.Log:
		in.Note = fmt.Sprintf("the index is %d events behind the log; the next start adds them", in.Log-in.Index)
	}
	in.Compared = true
	return nil
}

func (in *Inspection) stale(ctx context.Context) error {
	in.Compared, in.Note = true, "the index is of another version or damaged; the next start makes it anew from the log"
	return ctx.Err()
}
