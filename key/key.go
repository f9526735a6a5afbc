// Package key owns signing keys, named by URI. A private key is used, never
// returned: nothing here exports one. This version knows "file:" keys, PKCS #8
// encrypted at rest; others join as further schemes.
package key

import (
	"context"
	"crypto"

	"golang.org/x/crypto/ssh"
)

// CONTRACT: replace by the real code.

// Store opens and creates keys below a directory. The passphrase comes from SLIPWAY_KEY_PASSPHRASE's
// value as passed in, or from a file of mode 0600 beside the keys that is made at first start.
type Store struct{}

func OpenStore(dir string, passphrase []byte) (*Store, error) { panic("contract") }

// Signer returns the Ed25519 key of that name ("log", "events", "commits"), making it if create is set.
func (s *Store) Signer(ctx context.Context, name string, create bool) (*Signer, error) {
	panic("contract")
}

// Signer is one Ed25519 key.
type Signer struct{}

func (s *Signer) URI() string                         { panic("contract") }
func (s *Signer) ID() string                          { panic("contract") } // RFC 7638 JWK thumbprint, base64url
func (s *Signer) Public() crypto.PublicKey            { panic("contract") }
func (s *Signer) Sign(message []byte) ([]byte, error) { panic("contract") }
func (s *Signer) SSH() (ssh.Signer, error)            { panic("contract") }
