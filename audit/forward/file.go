package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"slipway/audit"
	"slipway/internal/part"
)

// file appends one line for each event, for an agent that reads files. The file may be
// renamed and made anew by whoever rotates it: it is opened for each batch.
type file struct {
	path   string
	origin string
	format format
}

func openFile(_ context.Context, in *part.Reader, o Options) func() (sink, error) {
	f := &file{path: in.Must("path"), origin: o.Origin, format: formatOf(in, "event")}
	if f.path != "" && !filepath.IsAbs(f.path) {
		in.Fail("path", "give the whole path, from / on")
	}
	return func() (sink, error) { return f, nil }
}

func (f *file) send(_ context.Context, events []audit.Receipt) (err error) {
	var lines bytes.Buffer
	for _, r := range events {
		line, err := f.format(f.origin, r)
		if err != nil {
			return err
		}
		lines.Write(line)
		lines.WriteByte('\n')
	}
	out, err := os.OpenFile(f.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := endLine(out); err != nil {
		return err
	}
	if _, err := out.Write(lines.Bytes()); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	return out.Sync()
}

// endLine ends a line that a kill has left unfinished, so that the next one stands alone.
func endLine(f *os.File) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return err
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, size-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = f.Write([]byte{'\n'})
	return err
}

func (f *file) unsettled() (uint64, bool, time.Duration) { return 0, false, 0 }
func (f *file) close() error                             { return nil }
