package key

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
)

// Kind is a key's algorithm and size, in the words of slipway.yaml.
type Kind string

const (
	ECDSAP256 Kind = "ecdsa-p256"
	ECDSAP384 Kind = "ecdsa-p384"
	RSA2048   Kind = "rsa-2048"
	RSA3072   Kind = "rsa-3072"
	RSA4096   Kind = "rsa-4096"
	Ed25519   Kind = "ed25519"
)

// Kinds are all kinds, the usual ones first.
func Kinds() []Kind { return []Kind{ECDSAP256, ECDSAP384, RSA2048, RSA3072, RSA4096, Ed25519} }

// Manager makes and uses private keys that never leave it. There is no export, for
// anybody. The errors say with errors.Is what is wrong: fs.ErrNotExist when a key is
// not there (any more), fs.ErrExist when a name is taken by a key of another kind,
// errors.ErrUnsupported when the store has no keys of that kind.
type Manager interface {
	// Create makes a key under name, or returns the one that is there under that name
	// if it has the same kind (so a step that was killed can run again). ref is a URI
	// that names the key and holds no secret and no path of a machine. It names this
	// one key for ever: a key made later under the same name has another ref.
	Create(ctx context.Context, name string, kind Kind) (ref string, signer crypto.Signer, err error)
	// Signer opens the key of a ref. The signer is safe for concurrent use, and works
	// until the Manager is closed.
	Signer(ctx context.Context, ref string) (crypto.Signer, error)
	// Destroy makes the key unusable for ever. Destroying a key that is not there is
	// no error.
	Destroy(ctx context.Context, ref string) error
}

// Every store takes such names as they are, or (Cloud KMS) can be given them in a
// form that is made from them.
var validKeyName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,98}[A-Za-z0-9])?$`)

// ValidateName says what is wrong with a name for Manager.Create.
func ValidateName(name string) error {
	if !validKeyName.MatchString(name) {
		return fmt.Errorf("key %.120q: a key's name has at most 100 letters and digits, with hyphens between them", name)
	}
	return nil
}

// KindOf is the kind of the key whose public half this is.
func KindOf(pub crypto.PublicKey) (Kind, error) {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case elliptic.P256():
			return ECDSAP256, nil
		case elliptic.P384():
			return ECDSAP384, nil
		}
		return "", fmt.Errorf("an ECDSA key on the curve %s: %w", pub.Curve.Params().Name, errors.ErrUnsupported)
	case *rsa.PublicKey:
		switch bits := pub.N.BitLen(); bits {
		case 2048:
			return RSA2048, nil
		case 3072:
			return RSA3072, nil
		case 4096:
			return RSA4096, nil
		default:
			return "", fmt.Errorf("an RSA key of %d bits: %w", bits, errors.ErrUnsupported)
		}
	case ed25519.PublicKey:
		return Ed25519, nil
	}
	return "", fmt.Errorf("a key of the Go type %T: %w", pub, errors.ErrUnsupported)
}

// generate makes a key in memory, for the stores that are files.
func generate(kind Kind) (crypto.Signer, error) {
	switch kind {
	case ECDSAP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ECDSAP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	case Ed25519:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return nil, fmt.Errorf("%.40q is not a kind of key, use one of %v: %w", kind, Kinds(), errors.ErrUnsupported)
}

// Pin names a public key by its content in a ref: half of the SHA-256 of its
// SubjectPublicKeyInfo (as RFC 7469 section 2.4 pins keys), base64url. A store where
// a name can be used again, or where somebody could put another key under it,
// has it in its refs.
func Pin(pub crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:16]), nil
}
