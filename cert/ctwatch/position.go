package ctwatch

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// position is how far a log is followed, as it stands in its file.
type position struct {
	Version  int    `json:"version"`
	Log      string `json:"log"` // ID
	Name     string `json:"name"`
	Position uint64 `json:"position"` // the next entry to look at
	Head     Head   `json:"head"`     // the newest that was checked

	// Subtrees are the hashes of prefix; null while nothing before Position was read.
	Subtrees [][]byte `json:"subtrees"`

	// prefix is of the entries before Position. It has no range while none of
	// them was read, and then Position is Head.Size.
	prefix prefix
}

const (
	positionVersion = 1
	maxPosition     = 256 << 10
)

// load reads the log's position; nil when it was not followed before.
func (f *follower) load() (*position, error) {
	src, err := readBounded(f.file, maxPosition)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("position: %w", err)
	}
	p, err := parsePosition(src)
	if err == nil && p.Log != f.id {
		err = errors.New("it is another log's")
	}
	if err != nil {
		// Beginning again in silence would leave a gap that nobody knows of.
		return nil, fmt.Errorf("the position in %s cannot be used: %w. Bring the file back from a backup, or remove it to begin anew; certificates logged in between are not looked at then", filepath.Base(f.file), err)
	}
	return p, nil
}

func parsePosition(src []byte) (*position, error) {
	p := &position{}
	dec := json.NewDecoder(bytes.NewReader(src))
	dec.DisallowUnknownFields()
	if err := dec.Decode(p); err != nil {
		return nil, err
	}
	switch {
	case p.Version != positionVersion:
		return nil, fmt.Errorf("its version is %d, not %d", p.Version, positionVersion)
	case len(p.Head.Root) != sha256.Size:
		return nil, errors.New("its tree head has no root hash")
	case p.Position > p.Head.Size:
		return nil, errors.New("it lies behind the end of the log")
	case p.Subtrees == nil && p.Position != p.Head.Size:
		return nil, errors.New("it does not say what was read before")
	case p.Subtrees == nil:
		return p, nil
	}
	var err error
	if p.prefix, err = newPrefix(p.Position, p.Subtrees); err != nil {
		return nil, err
	}
	if root, err := p.prefix.root(); err != nil || p.Position == p.Head.Size && !bytes.Equal(root, p.Head.Root) {
		return nil, errors.New("what was read before does not make its tree head")
	}
	return p, nil
}

// save records p so that after a kill the file holds the one before or this one.
func (f *follower) save(p *position) error {
	p.Version, p.Subtrees = positionVersion, nil
	if p.prefix.Range != nil {
		p.Subtrees = append([][]byte{}, p.prefix.Hashes()...)
	}
	src, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("position: %w", err)
	}
	// Whoever holds the directory's lock is alone here, so what a kill left is overwritten.
	tmp, err := os.OpenFile(f.file+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("position: %w", err)
	}
	_, err = tmp.Write(append(src, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), f.file)
	}
	if err != nil {
		return fmt.Errorf("position: %w", errors.Join(err, os.Remove(tmp.Name())))
	}
	d, err := os.Open(filepath.Dir(f.file))
	if err != nil {
		return fmt.Errorf("position: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("position: %w", err)
	}
	return nil
}

func readBounded(file string, most int) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > int64(most) {
		return nil, fmt.Errorf("%s is larger than %d KiB", filepath.Base(file), most>>10)
	}
	return os.ReadFile(file)
}
