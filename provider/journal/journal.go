// Package journal keeps what a provider has to remember of the last apply of each zone, so
// that an apply which was killed can be run again: one small file a zone, and the lock under
// which a zone is changed. It knows no provider and no plan; package service and package
// several say what an entry is. Nothing may be believed of an entry but that an apply was
// begun or finished: what is live is always read.
package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"slipway/filelock"
	"slipway/provider/zonefile"
	"slipway/zone"
)

// Journal keeps an E a zone. Losing it loses no content: the next apply of a zone that was
// left half-way is then refused as drift, and a receipt that was not recorded elsewhere is
// not given again.
type Journal[E any] struct {
	dir  string // "" keeps it in memory only
	most int64  // bytes of one file

	// mu guards locks and entries, for no longer than a look-up. They are used only
	// without a directory.
	mu      sync.Mutex
	locks   map[zone.Name]chan struct{}
	entries map[zone.Name][]byte // as they would lie in a file, so that nobody shares one
}

// Open opens the journal in dir, which is made if need be, with at most so many bytes for one
// zone. Processes that share a provider on one machine share its directory, too. With "" the
// journal is in memory and dies with the process.
func Open[E any](dir string, most int64) (*Journal[E], error) {
	if dir == "" {
		return &Journal[E]{most: most, locks: map[zone.Name]chan struct{}{}, entries: map[zone.Name][]byte{}}, nil
	}
	if err := os.MkdirAll(filepath.Join(dir, "lock"), 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return &Journal[E]{dir: dir, most: most}, nil
}

// Lock makes this the one apply of zone z. The kernel releases it when its holder dies.
func (j *Journal[E]) Lock(ctx context.Context, z zone.Name) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if j.dir == "" {
		j.mu.Lock()
		c := j.locks[z]
		if c == nil {
			c = make(chan struct{}, 1)
			j.locks[z] = c
		}
		j.mu.Unlock()
		select {
		case c <- struct{}{}:
			return func() { <-c }, nil
		case <-ctx.Done():
			return nil, fmt.Errorf("zone %s: another apply is changing it: %w", z, ctx.Err())
		}
	}
	stem, err := zonefile.Stem(z)
	if err != nil {
		return nil, err
	}
	release, err := filelock.Take(ctx, filepath.Join(j.dir, "lock", stem))
	if err != nil {
		return nil, fmt.Errorf("zone %s: another apply may be changing it: %w", z, err)
	}
	return func() { release() }, nil
}

func (j *Journal[E]) path(z zone.Name) (string, error) {
	stem, err := zonefile.Stem(z)
	return filepath.Join(j.dir, stem+".json"), err
}

// Load returns the last apply of a zone, the zero entry if there is none. An entry that
// cannot be read counts as none.
func (j *Journal[E]) Load(z zone.Name) (e E, err error) {
	var raw []byte
	if j.dir == "" {
		j.mu.Lock()
		raw = j.entries[z]
		j.mu.Unlock()
	} else if raw, err = j.read(z); err != nil {
		return e, err
	}
	var none E
	if len(raw) == 0 || json.Unmarshal(raw, &e) != nil {
		return none, nil
	}
	return e, nil
}

func (j *Journal[E]) read(z zone.Name) ([]byte, error) {
	path, err := j.path(z)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, j.most+1))
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if int64(len(raw)) > j.most {
		return nil, nil
	}
	return raw, nil
}

// Save makes the entry durable before it returns.
func (j *Journal[E]) Save(z zone.Name, e E) error {
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if int64(len(data)) > j.most {
		return fmt.Errorf("zone %s: what has to be remembered of this apply has %d bytes, more than the %d that are kept; make the change in parts", z, len(data), j.most)
	}
	if j.dir == "" {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.entries[z] = data
		return nil
	}
	path, err := j.path(z)
	if err != nil {
		return err
	}
	if err := zonefile.Replace(path, 0o600, func(w io.Writer) error { _, err := w.Write(data); return err }); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}
