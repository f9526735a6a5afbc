package key

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"

	"slipway/internal/durable"
)

const (
	derivationFile = "keys.json"
	passphraseFile = "passphrase"
	sealedType     = "SLIPWAY SEALED PKCS8 PRIVATE KEY"
	maxFile        = 16 << 10
)

// Names become file names.
var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// Store opens and creates the Ed25519 keys that sign the log, events and commits, in
// one folder.
type Store struct {
	folder folder

	mu     sync.Mutex // held over the opening or making of one key
	opened map[string]*Signer
}

// OpenStore opens the store below dir, and makes it when it is not there. Without a
// passphrase it uses the one in the store's own passphrase file. That protects
// against losing a copy of the key files alone, not against somebody who can
// read the whole directory; for that, give a passphrase kept elsewhere.
func OpenStore(dir string, passphrase []byte) (*Store, error) {
	folder, err := openFolder(dir, "", passphrase)
	if err != nil {
		return nil, err
	}
	return &Store{folder: folder, opened: map[string]*Signer{}}, nil
}

// Signer returns the key of that name ("log", "events", "commits"). A key that is
// not there is made if create is set; otherwise the error is fs.ErrNotExist. An
// existing key is never overwritten, also not by another process at the same moment.
func (s *Store) Signer(ctx context.Context, name string, create bool) (*Signer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("key %q: a key's name has small letters, digits and hyphens only", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if signer, ok := s.opened[name]; ok {
		return signer, nil
	}
	private, err := s.folder.open(name)
	if errors.Is(err, fs.ErrNotExist) && create {
		private, err = s.folder.create(name, Ed25519)
	}
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", name, err)
	}
	signer, err := s.signer(name, private)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", name, err)
	}
	if err := s.folder.publish(name, signer.pub); err != nil {
		return nil, fmt.Errorf("key %s: public half: %w", name, err)
	}
	s.opened[name] = signer
	return signer, nil
}

// Names lists the keys that there are, also those that cannot be opened.
func (s *Store) Names() ([]string, error) {
	files, err := os.ReadDir(s.folder.dir)
	if err != nil {
		return nil, fmt.Errorf("key store: %w", err)
	}
	var names []string
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), ".key"); ok && validName.MatchString(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// Destroy takes a key away for good, also one that cannot be opened. It is for a key
// whose successor is on record: there is no way back. A Signer that was handed out
// before goes on working until its process ends.
func (s *Store) Destroy(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !validName.MatchString(name) {
		return fmt.Errorf("key %q: a key's name has small letters, digits and hyphens only", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.folder.remove(name); err != nil {
		return fmt.Errorf("key %s: destroy: %w", name, err)
	}
	delete(s.opened, name)
	return nil
}

func (s *Store) signer(name string, private crypto.Signer) (*Signer, error) {
	path := s.folder.path(name)
	edwards, ok := private.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a %T, not an Ed25519 key", path, private)
	}
	return NewSigner(name, (&url.URL{Scheme: "file", Path: path}).String(), edwards)
}

// readOrMake reads a private file, or makes it with mode 0600 when it is not there.
func readOrMake(path string, make func() ([]byte, error)) ([]byte, error) {
	raw, err := readPrivate(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return raw, err
	}
	raw, err = make()
	if err != nil {
		return nil, err
	}
	if err := durable.Create(path, raw, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return readPrivate(path)
}

// readPrivate reads a file that nobody but its owner may read.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read or changed by other users of this machine (mode %04o), so it may not be secret any more. Run: chmod 600 %s", path, mode, path)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxFile {
		return nil, fmt.Errorf("%s is larger than any key file", path)
	}
	return raw, nil
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
