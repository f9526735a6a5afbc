// Package journal drives applies to servers that keep no record of who changed what: it
// notes each apply on disk before it begins and when it has ended, so that one that was
// killed, or that timed out and happened all the same, goes on where it was and ends
// in the receipt of its first run. It knows no protocol; a provider gives it the three
// steps of a Server. Read this file first, then apply.go.
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
	"slices"
	"time"

	"slipway/filelock"
	"slipway/provider"
	"slipway/provider/zonefile"
	"slipway/zone"
)

// maxRecord bounds the file of one zone, in bytes.
const maxRecord = 1 << 20

// Options say where a journal lies and whose it is.
type Options struct {
	Name string // what slipway.yaml calls the provider, for receipts
	Type string // the provider's type, for change IDs
	Dir  string // one provider's own; made if need be
	Now  func() time.Time
}

// Journal is one provider's record of its applies. It is safe for concurrent use, also
// by several processes on one machine. It can be lost: then an apply that was under
// way counts as somebody's edit until a person has looked at it.
type Journal struct {
	o Options
}

// Open opens the journal in o.Dir.
func Open(o Options) (*Journal, error) {
	if o.Dir == "" || o.Name == "" || o.Type == "" {
		return nil, errors.New("journal: a directory, a name and a type are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := os.MkdirAll(filepath.Join(o.Dir, lockDir), 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return &Journal{o}, nil
}

// lockDir holds one empty file a zone, which is never removed (see package zonefile).
const lockDir = ".lock"

// record is the last apply of one zone.
type record struct {
	Change       string    `json:"change"`
	Commit       string    `json:"commit"`
	Before       string    `json:"before"` // content digests
	After        string    `json:"after"`
	SerialBefore uint32    `json:"serial_before"`
	Serial       uint32    `json:"serial"`
	At           time.Time `json:"at"`
	Done         bool      `json:"done"`

	// Steps are the content digests after each step but the last: what the zone can be
	// while the apply is under way.
	Steps []string `json:"steps,omitempty"`
}

// of says whether the record is of this very apply.
func (r *record) of(p provider.Plan, after string) bool {
	return r.Change == p.ChangeID && r.Commit == p.Commit && r.After == after && r.Before != ""
}

// underWay says whether a zone of this content is one that the apply has left half done.
func (r *record) underWay(digest string) bool { return !r.Done && slices.Contains(r.Steps, digest) }

func (j *Journal) path(z zone.Name) (string, error) {
	stem, err := zonefile.Stem(z)
	if err != nil {
		return "", err
	}
	return filepath.Join(j.o.Dir, stem+".json"), nil
}

// lock makes this the one apply of zone z on this machine.
func (j *Journal) lock(ctx context.Context, z zone.Name) (unlock func() error, err error) {
	stem, err := zonefile.Stem(z)
	if err != nil {
		return nil, err
	}
	unlock, err = filelock.Take(ctx, filepath.Join(j.o.Dir, lockDir, stem))
	if err != nil {
		return nil, fmt.Errorf("zone %s: another apply may be changing it: %w", z, err)
	}
	return unlock, nil
}

// last reads the record of a zone: the zero one when there is none.
func (j *Journal) last(z zone.Name) (record, error) {
	var r record
	path, err := j.path(z)
	if err != nil {
		return r, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("zone %s: journal: %w", z, err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return r, fmt.Errorf("zone %s: journal: %w", z, err)
	}
	// It is replaced whole. What cannot be read is as good as lost.
	if json.Unmarshal(raw, &r) != nil {
		return record{}, nil
	}
	return r, nil
}

func (j *Journal) keep(z zone.Name, r record) error {
	path, err := j.path(z)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("zone %s: journal: %w", z, err)
	}
	err = zonefile.Replace(path, 0o600, func(w io.Writer) error { _, err := w.Write(raw); return err })
	if err != nil {
		return fmt.Errorf("zone %s: journal: %w", z, err)
	}
	return nil
}

// UnderWay says whether a live zone of this content is what an apply left when it was
// killed half-way, so that it is nobody's edit: applying again goes on from there.
func (j *Journal) UnderWay(z zone.Name, digest string) (bool, error) {
	r, err := j.last(z)
	return err == nil && r.underWay(digest), err
}

// receipt is the receipt of the apply that r records.
func (j *Journal) receipt(z zone.Name, r record) *provider.Receipt {
	return &provider.Receipt{
		Provider:       j.o.Name,
		Name:           j.o.Name,
		Zone:           z,
		ProviderChange: j.changeID(z, r.Serial),
		SerialBefore:   r.SerialBefore,
		Serial:         r.Serial,
		Before:         r.Before,
		After:          r.After,
		Applied:        true,
		At:             r.At,
	}
}

// changeID is the serial, which every DNS server knows a version of a zone by.
func (j *Journal) changeID(z zone.Name, serial uint32) string {
	return fmt.Sprintf("%s:%s:%d", j.o.Type, z, serial)
}
