package evidence

import (
	"archive/zip"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/transparency-dev/formats/log"
)

// Bounds on what is read of a bundle that anybody may have made.
const (
	maxFiles    = 2*MaxDocuments + 1000
	maxPath     = 512
	maxManifest = 64 << 20
	maxSmall    = 1 << 20 // a checkpoint, keys, signers
	maxLine     = 1 << 17 // of events.jsonl and proofs.jsonl
)

var pathForm = regexp.MustCompile(`^[A-Za-z0-9._@+-]+(/[A-Za-z0-9._@+-]+)*$`)

// validPath says whether a name can lead nowhere but below the folder that a bundle is unpacked in.
func validPath(name string) bool {
	return len(name) <= maxPath && pathForm.MatchString(name) && path.Clean(name) == name && name != ".." && !strings.HasPrefix(name, "../")
}

// container is a bundle as a zip file, its names and sizes checked and its content not.
type container struct {
	files map[string]*zip.File
	names []string // in the order of the zip file
}

// openContainer refuses what is no bundle, and what would cost more to read than any bundle does.
func openContainer(r io.ReaderAt, size int64) (*container, error) {
	if size > MaxBundle {
		return nil, fmt.Errorf("it has %d bytes, more than any bundle", size)
	}
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("it is not a zip file: %w", err)
	}
	if len(z.File) > maxFiles {
		return nil, fmt.Errorf("it has %d files, more than any bundle", len(z.File))
	}
	c := &container{files: map[string]*zip.File{}}
	total := uint64(0)
	for _, f := range z.File {
		switch {
		case !validPath(f.Name):
			return nil, fmt.Errorf("the file name %.200q has no place in a bundle", f.Name)
		case c.files[f.Name] != nil:
			return nil, fmt.Errorf("the file %s is there twice", f.Name)
		case !f.Mode().IsRegular():
			return nil, fmt.Errorf("%s is not a regular file", f.Name)
		case f.Method != zip.Deflate && f.Method != zip.Store:
			return nil, fmt.Errorf("%s is packed in a way that bundles are not", f.Name)
		case f.UncompressedSize64 > MaxBundle:
			return nil, fmt.Errorf("%s would have %d bytes, more than any bundle", f.Name, f.UncompressedSize64)
		}
		if total += f.UncompressedSize64; total > MaxBundle {
			return nil, errors.New("unpacked it would have more bytes than any bundle")
		}
		c.files[f.Name] = f
		c.names = append(c.names, f.Name)
	}
	return c, nil
}

// open reads one file. The zip reader itself stops at the size that the directory names, and
// checks it.
func (c *container) open(name string) (io.ReadCloser, error) {
	f := c.files[name]
	if f == nil {
		return nil, fmt.Errorf("%s is not there", name)
	}
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// read returns the content of a small file.
func (c *container) read(name string, limit int64) ([]byte, error) {
	r, err := c.open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return raw, nil
}

// digest is the SHA-256 and the size of a file.
func (c *container) digest(name string) (string, int64, error) {
	r, err := c.open(name)
	if err != nil {
		return "", 0, err
	}
	defer r.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w", name, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), n, nil
}

// lines hands on each line of a file, without its end.
func (c *container) lines(name string, use func(i int, line []byte) error) error {
	r, err := c.open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), maxLine)
	s.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			return i + 1, data[:i], nil
		}
		if atEOF && len(data) > 0 {
			return 0, nil, errors.New("its last line has no end")
		}
		return 0, nil, nil
	})
	i := 0
	for ; s.Scan(); i++ {
		if i == MaxEvents {
			return fmt.Errorf("%s has more than %d lines", name, MaxEvents)
		}
		if err := use(i, s.Bytes()); err != nil {
			return fmt.Errorf("%s, line %d: %w", name, i+1, err)
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("%s, line %d: %w", name, i+1, err)
	}
	return nil
}

// strict decodes JSON that has nothing after it and nothing that is not known.
func strict(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something comes after its end")
	}
	return nil
}

// describe reads a checkpoint without looking at anybody's signature.
func describe(raw []byte) (Checkpoint, error) {
	var cp log.Checkpoint
	if _, err := cp.Unmarshal(raw); err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	d := Checkpoint{Origin: cp.Origin, Size: cp.Size, Root: base64.StdEncoding.EncodeToString(cp.Hash), Signatures: []string{}}
	// Opened with nobody's key, a note still names who signed it.
	var unverified *note.UnverifiedNoteError
	if _, err := note.Open(raw, note.VerifierList()); !errors.As(err, &unverified) {
		return d, fmt.Errorf("checkpoint: %w", err)
	}
	for _, s := range unverified.Note.UnverifiedSigs {
		d.Signatures = append(d.Signatures, s.Name)
	}
	return d, nil
}
