package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// MaxDocument bounds one document.
const MaxDocument = 64 << 20

const (
	documentsDir = "documents"
	unfinished   = ".unfinished" // below documents: files being written, removed at start
)

// Documents is the content-addressed store beside the log. Events name documents by
// digest, "sha256:<hex>", so that what is personal can be erased here while the log
// stays whole.
type Documents struct{ dir string }

func openDocuments(dir string) (*Documents, error) {
	d := &Documents{dir: filepath.Join(dir, documentsDir)}
	if err := os.RemoveAll(filepath.Join(d.dir, unfinished)); err != nil {
		return nil, err
	}
	return d, os.MkdirAll(filepath.Join(d.dir, unfinished), 0o700)
}

// path is <dir>/sha256/ab/abcdef….
func (d *Documents) path(digest string) (string, error) {
	if !validDigest(digest) {
		return "", fmt.Errorf("document %.80q: a digest has the form sha256:<64 hex digits>", digest)
	}
	hex := strings.TrimPrefix(digest, digestPrefix)
	return filepath.Join(d.dir, "sha256", hex[:2], hex), nil
}

// Put keeps a document. It is durable when Put returns, and putting it again
// changes nothing.
func (d *Documents) Put(ctx context.Context, content []byte) (digest string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if len(content) > MaxDocument {
		return "", fmt.Errorf("the document has %d bytes, and at most %d are kept", len(content), MaxDocument)
	}
	sum := sha256.Sum256(content)
	digest = "sha256:" + hex.EncodeToString(sum[:])
	path, err := d.path(digest)
	if err != nil {
		return "", err
	}
	if _, err := d.Get(ctx, digest); err == nil {
		return digest, nil
	}
	if err := d.write(path, content); err != nil {
		return "", fmt.Errorf("document %s: %w", digest, err)
	}
	return digest, nil
}

func (d *Documents) write(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Join(d.dir, unfinished), "")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	// The file's name, then the names of the folders that may be new.
	for _, dir := range []string{folder, filepath.Dir(folder), d.dir} {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// Get returns a document after checking that it still is what its digest says. A
// document that is not there is fs.ErrNotExist.
func (d *Documents) Get(ctx context.Context, digest string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path, err := d.path(digest)
	if err != nil {
		return nil, err
	}
	content, err := readBounded(path, MaxDocument)
	if err != nil {
		return nil, fmt.Errorf("document %s: %w", digest, err)
	}
	if sum := sha256.Sum256(content); digest != "sha256:"+hex.EncodeToString(sum[:]) {
		return nil, fmt.Errorf("document %s was altered: its content does not have this digest", digest)
	}
	return content, nil
}

// Has says whether a document is there, without reading it.
func (d *Documents) Has(digest string) (bool, error) {
	path, err := d.path(digest)
	if err != nil {
		return false, err
	}
	_, err = os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", filepath.Base(path), limit)
	}
	return content, nil
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// remove deletes a document, durably. One that is not there is no error.
func (d *Documents) remove(digest string) error {
	path, err := d.path(digest)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("document %s: %w", digest, err)
	}
	return syncDir(filepath.Dir(path))
}
