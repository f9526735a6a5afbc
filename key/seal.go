package key

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

// derivation says how the key that encrypts the others is made from the
// passphrase. It lies in the clear beside the keys, so that the cost can be raised
// for new stores without losing old ones.
type derivation struct {
	Version int    `json:"version"`
	KDF     string `json:"kdf"`
	Time    uint32 `json:"time"`
	Memory  uint32 `json:"memory_kib"`
	Threads uint8  `json:"threads"`
	Salt    []byte `json:"salt"`
}

// The cost for a new store: Argon2id (RFC 9106) with 19 MiB and two passes, the
// setting that OWASP gives as the floor for passwords. It is paid once a start,
// whatever the number of keys; a generated passphrase has 256 bits and needs none
// of it.
const (
	kdfTime    = 2
	kdfMemory  = 19 * 1024 // KiB
	kdfThreads = 1
	saltSize   = 16
)

// Bounds on what a derivation file may ask for: a file that somebody has altered
// must not exhaust the machine.
const (
	maxTime   = 64
	maxMemory = 1 << 20 // KiB
)

func newDerivation() derivation {
	salt := make([]byte, saltSize)
	rand.Read(salt) // never fails: crypto/rand ends the program instead
	return derivation{Version: 1, KDF: "argon2id", Time: kdfTime, Memory: kdfMemory, Threads: kdfThreads, Salt: salt}
}

func parseDerivation(raw []byte) (derivation, error) {
	var d derivation
	if err := json.Unmarshal(raw, &d); err != nil {
		return d, err
	}
	switch {
	case d.Version != 1 || d.KDF != "argon2id":
		return d, fmt.Errorf("version %d with %q is not known to this version of Slipway", d.Version, d.KDF)
	case d.Time < 1 || d.Time > maxTime || d.Memory < 8 || d.Memory > maxMemory || d.Threads < 1:
		return d, errors.New("the cost settings are out of bounds")
	case len(d.Salt) < saltSize || len(d.Salt) > 64:
		return d, errors.New("the salt has the wrong length")
	}
	return d, nil
}

// seal encrypts and opens private keys with one key-encryption key.
type seal struct{ aead cipher.AEAD }

func (d derivation) seal(passphrase []byte) (seal, error) {
	kek := argon2.IDKey(passphrase, d.Salt, d.Time, d.Memory, d.Threads, chacha20poly1305.KeySize)
	defer clear(kek)
	// XChaCha20-Poly1305: its nonce is long enough to be drawn at random for every
	// file under one key.
	aead, err := chacha20poly1305.NewX(kek)
	return seal{aead}, err
}

// encrypt binds the key's name to its content, so that one file cannot be put in
// the place of another.
func (s seal) encrypt(name string, plain []byte) []byte {
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	rand.Read(nonce)
	return s.aead.Seal(nonce, nonce, plain, []byte(name))
}

func (s seal) decrypt(name string, sealed []byte) ([]byte, error) {
	n := s.aead.NonceSize()
	if len(sealed) < n+s.aead.Overhead() {
		return nil, errors.New("the file is too short")
	}
	plain, err := s.aead.Open(nil, sealed[:n], sealed[n:], []byte(name))
	if err != nil {
		return nil, errors.New("the passphrase is not the one the key was made with, or the file was altered")
	}
	return plain, nil
}
