package service

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
	"time"

	"slipway/filelock"
	"slipway/provider/zonefile"
	"slipway/zone"
)

// maxEntry bounds one journal file, in bytes.
const maxEntry = 16 << 10

// entry is what the journal knows of the last apply of one zone. It is written before
// the service is told anything, and again once the zone was found as asked for. Nothing
// is believed of it but that an apply was begun or finished: what is live is always read.
type entry struct {
	Change string `json:"change"`
	Commit string `json:"commit"`
	Asked  string `json:"asked"` // content digests: what the plan desires
	Before string `json:"before"`
	After  string `json:"after"`
	Live   string `json:"live"` // what was last seen live

	SerialBefore uint32 `json:"serial_before,omitempty"`

	// Once finished.
	ProviderChange string    `json:"provider_change,omitempty"`
	Serial         uint32    `json:"serial,omitempty"`
	At             time.Time `json:"at,omitzero"`
}

func (e entry) done() bool { return e.ProviderChange != "" }

// Journal keeps one small file a zone, and the lock under which a zone is changed.
// Losing it loses no content: the next apply of a zone that was left half-way is then
// refused as drift, and a receipt that was not recorded elsewhere is not given again.
type Journal struct {
	dir string // "" keeps it in memory only

	// mu guards locks and entries, for no longer than a look-up. They are used only
	// without a directory.
	mu      sync.Mutex
	locks   map[zone.Name]chan struct{}
	entries map[zone.Name]entry
}

// OpenJournal opens the journal in dir, which is made if need be. Processes that share a
// provider on one machine share its directory, too. With "" the journal is in memory and
// dies with the process.
func OpenJournal(dir string) (*Journal, error) {
	if dir == "" {
		return &Journal{locks: map[zone.Name]chan struct{}{}, entries: map[zone.Name]entry{}}, nil
	}
	if err := os.MkdirAll(filepath.Join(dir, "lock"), 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return &Journal{dir: dir}, nil
}

// lock makes this the one apply of zone z. The kernel releases it when its holder dies.
func (j *Journal) lock(ctx context.Context, z zone.Name) (unlock func(), err error) {
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

func (j *Journal) path(z zone.Name) (string, error) {
	stem, err := zonefile.Stem(z)
	return filepath.Join(j.dir, stem+".json"), err
}

// load returns the last apply of a zone, the zero entry if there is none. An entry that
// cannot be read counts as none.
func (j *Journal) load(z zone.Name) (entry, error) {
	if j.dir == "" {
		j.mu.Lock()
		defer j.mu.Unlock()
		return j.entries[z], nil
	}
	path, err := j.path(z)
	if err != nil {
		return entry{}, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return entry{}, nil
	}
	if err != nil {
		return entry{}, fmt.Errorf("journal: %w", err)
	}
	defer f.Close()
	var e entry
	if json.NewDecoder(io.LimitReader(f, maxEntry)).Decode(&e) != nil {
		return entry{}, nil
	}
	return e, nil
}

// save makes the entry durable before it returns.
func (j *Journal) save(z zone.Name, e entry) error {
	if j.dir == "" {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.entries[z] = e
		return nil
	}
	path, err := j.path(z)
	if err != nil {
		return err
	}
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := zonefile.Replace(path, 0o600, func(w io.Writer) error { _, err := w.Write(data); return err }); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}
