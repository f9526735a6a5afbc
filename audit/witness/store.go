package witness

import (
	"cmp"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"slipway/internal/durable"
)

// Dir is the folder, beside the log's own, in which cosigned checkpoints are kept:
//
//	checkpoint   the newest that meets the quorum
//	partial      a newer one with some cosignatures, but not the quorum
//	2026-06-30   the last of that day (UTC) that met the quorum, for as long as the log is
//	             kept: it shows what the witnesses had seen by then
const Dir = "cosigned"

const (
	// File is the newest checkpoint that meets the quorum, below Dir.
	File = "checkpoint"

	partialFile = "partial"
	maxDays     = 100_000
)

var dayFile = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)

// store keeps cosigned checkpoints for whoever verifies the log later. It has one user.
type store struct {
	dir    string
	policy *Policy
	day    string // of File; "" when there is none
}

func openStore(dir string, p *Policy) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &store{dir: dir, policy: p}
	raw, err := s.read(File)
	if err == nil {
		s.day = s.dayOf(raw)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return s, err
}

func (s *store) read(name string) ([]byte, error) {
	return durable.Read(filepath.Join(s.dir, name), MaxCheckpoint)
}

func (s *store) write(name string, raw []byte) error {
	return durable.Write(filepath.Join(s.dir, name), raw, 0o600)
}

// keep puts a checkpoint with the cosignatures that it has so far where it belongs.
func (s *store) keep(raw []byte) error {
	if _, _, err := s.policy.Verify(raw); errors.Is(err, ErrQuorum) {
		return s.write(partialFile, raw)
	} else if err != nil {
		return err
	}
	day := s.dayOf(raw)
	if s.day != "" && s.day != day {
		last, err := s.read(File)
		if err == nil {
			err = s.write(s.day, last)
		}
		if err != nil {
			return err
		}
	}
	if err := s.write(File, raw); err != nil {
		return err
	}
	s.day = day
	// It has less than the one that was just kept. Should it stay, it does no harm.
	if err := os.Remove(filepath.Join(s.dir, partialFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// join adds to a checkpoint what is kept of cosignatures for the same one.
func (s *store) join(raw []byte) ([]byte, error) {
	body, _, err := split(raw)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{File, partialFile} {
		kept, err := s.read(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if same, lines, err := split(kept); err == nil && same == body {
			if raw, err = join(raw, lines...); err != nil {
				return nil, err
			}
		}
	}
	return raw, nil
}

// dayOf is the day of the newest cosignature.
func (s *store) dayOf(raw []byte) string {
	found, err := s.policy.Cosignatures(raw)
	if err != nil || len(found) == 0 {
		return ""
	}
	newest := slices.MaxFunc(found, func(a, b Cosignature) int { return a.Time.Compare(b.Time) })
	if newest.Time.IsZero() {
		return ""
	}
	return newest.Time.Format(time.DateOnly)
}

// Kept is a file below Dir.
type Kept struct {
	Name string
	Raw  []byte
}

// ReadKept gives the cosigned checkpoints below dir, roughly the newest first. Nothing in
// them was verified.
func ReadKept(dir string) iter.Seq2[Kept, error] {
	return func(yield func(Kept, error) bool) {
		files, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(Kept{Name: "."}, err)
			return
		}
		var days []string
		for _, f := range files[:min(len(files), maxDays)] {
			if dayFile.MatchString(f.Name()) {
				days = append(days, f.Name())
			}
		}
		slices.SortFunc(days, func(a, b string) int { return cmp.Compare(b, a) })
		for _, name := range append([]string{partialFile, File}, days...) {
			raw, err := durable.Read(filepath.Join(dir, name), MaxCheckpoint)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if !yield(Kept{name, raw}, err) {
				return
			}
		}
	}
}

// Newest is the newest of the cosigned checkpoints below dir that meets the policy. When
// none does, the error is that of the newest one, or fs.ErrNotExist when there is none at
// all. The log's own signature is the caller's to check.
func Newest(dir string, p *Policy) ([]byte, error) {
	var first error
	for kept, err := range ReadKept(dir) {
		if err == nil {
			_, _, err = p.Verify(kept.Raw)
		}
		if err == nil {
			return kept.Raw, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = fs.ErrNotExist
	}
	return nil, first
}
