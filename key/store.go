package key

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"
)

const (
	derivationFile = "keys.json"
	passphraseFile = "passphrase"
	sealedType     = "SLIPWAY SEALED PKCS8 PRIVATE KEY"
	maxFile        = 16 << 10
)

// Names become file names.
var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// Store opens and creates the keys below one directory:
//
//	keys.json      how the passphrase becomes the key that encrypts the others
//	passphrase     only when no passphrase was given; made at first start
//	<name>.key     PKCS #8, sealed (seal.go), in PEM
//	<name>.pub     the public half, SubjectPublicKeyInfo in PEM
type Store struct {
	dir  string
	seal seal

	mu     sync.Mutex // held over the opening or making of one key
	opened map[string]*Signer
}

// OpenStore opens the store below dir, and makes it when it is not there. Without a
// passphrase it uses the one in the store's own passphrase file. That protects
// against losing a copy of the key files alone, not against somebody who can
// read the whole directory; for that, give a passphrase kept elsewhere.
func OpenStore(dir string, passphrase []byte) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("key store: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("key store: %w", err)
	}
	if len(passphrase) == 0 {
		passphrase, err = readOrMake(filepath.Join(dir, passphraseFile), func() ([]byte, error) {
			return []byte(base64.RawURLEncoding.EncodeToString(random(32)) + "\n"), nil
		})
		if err != nil {
			return nil, fmt.Errorf("key store %s: passphrase: %w", dir, err)
		}
		passphrase = bytes.TrimRight(passphrase, "\r\n")
		if len(passphrase) == 0 {
			return nil, fmt.Errorf("key store %s: the file %s is empty, so the keys cannot be opened. Restore it from a backup", dir, passphraseFile)
		}
	}
	raw, err := readOrMake(filepath.Join(dir, derivationFile), func() ([]byte, error) {
		return json.MarshalIndent(newDerivation(), "", "  ")
	})
	if err != nil {
		return nil, fmt.Errorf("key store %s: %w", dir, err)
	}
	derivation, err := parseDerivation(raw)
	if err != nil {
		return nil, fmt.Errorf("key store %s: %s: %w", dir, derivationFile, err)
	}
	sealing, err := derivation.seal(passphrase)
	if err != nil {
		return nil, fmt.Errorf("key store %s: %w", dir, err)
	}
	return &Store{dir: dir, seal: sealing, opened: map[string]*Signer{}}, nil
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
	path := filepath.Join(s.dir, name+".key")
	signer, err := s.open(name, path)
	if errors.Is(err, fs.ErrNotExist) && create {
		signer, err = s.create(name, path)
	}
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", name, err)
	}
	if err := s.publish(signer); err != nil {
		return nil, fmt.Errorf("key %s: public half: %w", name, err)
	}
	s.opened[name] = signer
	return signer, nil
}

func (s *Store) open(name, path string) (*Signer, error) {
	raw, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	return s.parse(name, path, raw)
}

func (s *Store) parse(name, path string, raw []byte) (*Signer, error) {
	block, rest := pem.Decode(raw)
	if block == nil || block.Type != sealedType || len(bytes.TrimSpace(rest)) != 0 {
		return nil, fmt.Errorf("%s is not a sealed key file", path)
	}
	der, err := s.seal.decrypt(name, block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer clear(der)
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a %T, not an Ed25519 key", path, parsed)
	}
	return newSigner(name, path, private), nil
}

func (s *Store) create(name, path string) (*Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	sealed := pem.EncodeToMemory(&pem.Block{Type: sealedType, Bytes: s.seal.encrypt(name, der)})
	if err := writeNew(path, sealed, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return s.open(name, path) // ours, or that of whoever was first
}

// publish keeps the public half beside the key, and mends it when it does not fit:
// the private key decides.
func (s *Store) publish(signer *Signer) error {
	der, err := x509.MarshalPKIXPublicKey(signer.pub)
	if err != nil {
		return err
	}
	want := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	path := filepath.Join(s.dir, signer.name+".pub")
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, want) {
		return nil
	}
	return write(path, want, 0o644, os.Rename)
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
	if err := writeNew(path, raw, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
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

// writeNew writes a file that must not be there yet: the whole of it appears at
// once, durably, or fs.ErrExist comes back.
func writeNew(path string, content []byte, mode fs.FileMode) error {
	return write(path, content, mode, func(from, to string) error {
		defer os.Remove(from)
		return os.Link(from, to)
	})
}

// write makes the content durable under a temporary name, has place give it its
// own, and makes that durable too.
func write(path string, content []byte, mode fs.FileMode, place func(from, to string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	err = f.Chmod(mode)
	if err == nil {
		_, err = f.Write(content)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = place(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
