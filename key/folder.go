package key

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"slipway/internal/durable"
)

// folder is a directory of sealed keys:
//
//	keys.json      how the passphrase becomes the key that encrypts the others
//	passphrase     only when no passphrase was given; made at first start
//	<name>.key     PKCS #8, sealed (seal.go), in PEM
//	<name>.pub     the public half, SubjectPublicKeyInfo in PEM
type folder struct {
	dir  string
	seal seal
	// Sealed into every key: whose it is besides its name. So a key for certificates
	// is none for the log when somebody copies the file over.
	use string
}

// openFolder opens the folder, and makes it when it is not there. Without a
// passphrase it uses the one in the folder's own passphrase file.
func openFolder(dir, use string, passphrase []byte) (folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return folder{}, fmt.Errorf("key store: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return folder{}, fmt.Errorf("key store: %w", err)
	}
	if len(passphrase) == 0 {
		passphrase, err = readOrMake(filepath.Join(dir, passphraseFile), func() ([]byte, error) {
			return []byte(base64.RawURLEncoding.EncodeToString(random(32)) + "\n"), nil
		})
		if err != nil {
			return folder{}, fmt.Errorf("key store %s: passphrase: %w", dir, err)
		}
		passphrase = bytes.TrimRight(passphrase, "\r\n")
		if len(passphrase) == 0 {
			return folder{}, fmt.Errorf("key store %s: the file %s is empty, so the keys cannot be opened. Restore it from a backup", dir, passphraseFile)
		}
	}
	raw, err := readOrMake(filepath.Join(dir, derivationFile), func() ([]byte, error) {
		return json.MarshalIndent(newDerivation(), "", "  ")
	})
	if err != nil {
		return folder{}, fmt.Errorf("key store %s: %w", dir, err)
	}
	derivation, err := parseDerivation(raw)
	if err != nil {
		return folder{}, fmt.Errorf("key store %s: %s: %w", dir, derivationFile, err)
	}
	sealing, err := derivation.seal(passphrase)
	if err != nil {
		return folder{}, fmt.Errorf("key store %s: %w", dir, err)
	}
	return folder{dir: dir, use: use, seal: sealing}, nil
}

func (f folder) path(name string) string { return filepath.Join(f.dir, name+".key") }

// open reads a key; the error is fs.ErrNotExist when it is not there.
func (f folder) open(name string) (crypto.Signer, error) {
	raw, err := readPrivate(f.path(name))
	if err != nil {
		return nil, err
	}
	return f.parse(name, raw)
}

func (f folder) parse(name string, raw []byte) (crypto.Signer, error) {
	path := f.path(name)
	block, rest := pem.Decode(raw)
	if block == nil || block.Type != sealedType || len(bytes.TrimSpace(rest)) != 0 {
		return nil, fmt.Errorf("%s is not a sealed key file", path)
	}
	der, err := f.seal.decrypt(f.use+name, block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer clear(der)
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s holds a %T, which signs nothing", path, parsed)
	}
	return signer, nil
}

// create makes a key of that kind, unless somebody else is first: then it is
// theirs that comes back.
func (f folder) create(name string, kind Kind) (crypto.Signer, error) {
	private, err := generate(kind)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	sealed := pem.EncodeToMemory(&pem.Block{Type: sealedType, Bytes: f.seal.encrypt(f.use+name, der)})
	if err := durable.Create(f.path(name), sealed, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return f.open(name)
}

// publish keeps the public half beside the key, and mends it when it does not fit:
// the private key decides.
func (f folder) publish(name string, pub crypto.PublicKey) error {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return err
	}
	want := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	path := filepath.Join(f.dir, name+".pub")
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, want) {
		return nil
	}
	return durable.Write(path, want, 0o644)
}

// remove takes a key away, durably. Where the file system writes in place the
// sealed bytes are gone too; where it does not, they are worth nothing without the
// passphrase.
func (f folder) remove(name string) error {
	path := f.path(name)
	if file, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			file.Write(random(int(min(info.Size(), maxFile))))
			file.Sync()
		}
		file.Close()
	}
	for _, path := range []string{path, filepath.Join(f.dir, name+".pub")} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return durable.Sync(f.dir)
}
