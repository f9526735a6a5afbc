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
	"fmt"
	"log/slog"

	"golang.org/x/crypto/ssh"
)

// Signer is one key that signs the record: Ed25519, or ECDSA on P-256. It is safe for
// concurrent use.
type Signer struct {
	name string
	uri  string
	id   string
	alg  string
	pub  crypto.PublicKey
	// Closures, so that no formatting verb reaches the bytes: for a Signer inside an
	// unexported field fmt does not call our methods, and follows pointers for some verbs.
	sign     func(message []byte) ([]byte, error)
	standard func() crypto.Signer
}

// NewSigner signs the record with any key that does so in the right way, also one that
// a Manager made: name is what it is called, uri says where it is kept.
func NewSigner(name, uri string, s crypto.Signer) (*Signer, error) {
	pub := s.Public()
	alg, err := Algorithm(pub)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", name, err)
	}
	id, err := Thumbprint(pub)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", name, err)
	}
	return &Signer{
		name: name, uri: uri, id: id, alg: alg, pub: pub,
		sign:     func(message []byte) ([]byte, error) { return signJWS(s, message) },
		standard: func() crypto.Signer { return s },
	}, nil
}

// Name is what the key is called in its store, for example "events".
func (s *Signer) Name() string { return s.name }

// URI says where the key is kept, for example "file:///var/lib/slipway/keys/events.key".
func (s *Signer) URI() string { return s.uri }

// ID names the key by its content: the Thumbprint of its public half.
func (s *Signer) ID() string { return s.id }

// Public is the public half, an ed25519.PublicKey or an *ecdsa.PublicKey.
func (s *Signer) Public() crypto.PublicKey { return s.pub }

// Algorithm is "EdDSA" or "ES256", as JWS names them.
func (s *Signer) Algorithm() string { return s.alg }

// Sign signs the message itself, not a digest of it, in the form that JWS has and
// Verify checks.
func (s *Signer) Sign(message []byte) ([]byte, error) {
	signature, err := s.sign(message)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	return signature, nil
}

// SSH is the same key in the form that golang.org/x/crypto/ssh uses, for signing
// Git commits.
func (s *Signer) SSH() (ssh.Signer, error) {
	signer, err := ssh.NewSignerFromSigner(s.standard())
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", s.name, err)
	}
	return signer, nil
}

func (s Signer) String() string       { return "key " + s.name + " (" + s.id + ")" }
func (s Signer) GoString() string     { return s.String() }
func (s Signer) LogValue() slog.Value { return slog.StringValue(s.String()) }
