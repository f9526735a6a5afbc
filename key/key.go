// Package key owns private keys. They are used, never returned: no function here
// exports one, and no way of printing a signer shows one. The keys that sign the
// log, events and commits are a Store's; those of certificates are made and used
// through a Manager, which is Files here, and an HSM or a cloud's key service in
// slipway/key/kms, which is apart because it is heavy. Keys in files are PKCS #8
// (RFC 5958) encrypted at rest, one file each, with the public half beside it in the
// clear. Read manager.go for the contract of certificates' keys, key.go and store.go
// for the record's, folder.go for where keys lie and seal.go for how they are
// protected there.
package key

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"

	"golang.org/x/crypto/ssh"
)

// Signer is one Ed25519 key. It is safe for concurrent use.
type Signer struct {
	name string
	uri  string
	id   string
	pub  ed25519.PublicKey
	// A closure, so that no formatting verb reaches the bytes: for a Signer inside an
	// unexported field fmt does not call our methods, and follows pointers for some verbs.
	sign func(message []byte) []byte
}

func newSigner(name, path string, private ed25519.PrivateKey) *Signer {
	pub := private.Public().(ed25519.PublicKey)
	return &Signer{
		name: name,
		uri:  (&url.URL{Scheme: "file", Path: path}).String(),
		id:   Thumbprint(pub),
		pub:  pub,
		sign: func(message []byte) []byte { return ed25519.Sign(private, message) },
	}
}

// Name is what the key is called in its store, for example "events".
func (s *Signer) Name() string { return s.name }

// URI says where the key is kept, for example "file:///var/lib/slipway/keys/events.key".
func (s *Signer) URI() string { return s.uri }

// ID names the key by its content: the Thumbprint of its public half.
func (s *Signer) ID() string { return s.id }

// Public is the public half, an ed25519.PublicKey.
func (s *Signer) Public() crypto.PublicKey { return s.pub }

// Sign signs the message itself, not a digest of it (PureEdDSA, RFC 8032 section 5.1).
func (s *Signer) Sign(message []byte) ([]byte, error) {
	return s.sign(message), nil
}

// SSH is the same key in the form that golang.org/x/crypto/ssh uses, for signing
// Git commits.
func (s *Signer) SSH() (ssh.Signer, error) {
	signer, err := ssh.NewSignerFromSigner(standard{s})
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", s.name, err)
	}
	return signer, nil
}

func (s Signer) String() string       { return "key " + s.name + " (" + s.id + ")" }
func (s Signer) GoString() string     { return s.String() }
func (s Signer) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Thumbprint is the RFC 7638 thumbprint of an Ed25519 public key, SHA-256, base64url.
// The members and their order are those of RFC 8037 section 2.
func Thumbprint(pub ed25519.PublicKey) string {
	jwk := `{"crv":"Ed25519","kty":"OKP","x":"` + base64.RawURLEncoding.EncodeToString(pub) + `"}`
	sum := sha256.Sum256([]byte(jwk))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// standard is a Signer as a crypto.Signer, for libraries that want one.
type standard struct{ s *Signer }

func (c standard) Public() crypto.PublicKey { return c.s.pub }

func (c standard) Sign(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != 0 {
		return nil, errors.New("an Ed25519 key signs messages, not digests")
	}
	return c.s.Sign(message)
}
