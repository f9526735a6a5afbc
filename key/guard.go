package key

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Guard wraps a store's signer in what every Manager hands out. Nothing that prints,
// encodes or logs it shows more than its ref, type assertions lead to nothing but
// its use, and it signs what TLS 1.2, TLS 1.3 and certificate requests ask for (see
// Certificate) and nothing else.
func Guard(ref string, s crypto.Signer) crypto.Signer {
	pub := s.Public()
	kind, err := KindOf(pub)
	if err != nil {
		kind = Kind(fmt.Sprintf("%T", pub))
	}
	return &guarded{name: fmt.Sprintf("key %s (%s)", ref, kind), pub: pub, sign: s.Sign}
}

type guarded struct {
	name string
	pub  crypto.PublicKey
	// A closure for the same reason as in Signer.
	sign func(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

func (g *guarded) Public() crypto.PublicKey { return g.pub }

func (g *guarded) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := checkUse(g.pub, digest, opts); err != nil {
		return nil, fmt.Errorf("%s: %w", g.name, err)
	}
	signature, err := g.sign(rand, digest, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: sign: %w", g.name, err)
	}
	return signature, nil
}

func (g guarded) String() string       { return g.name }
func (g guarded) GoString() string     { return g.name }
func (g guarded) LogValue() slog.Value { return slog.StringValue(g.name) }

// maxMessage bounds what an Ed25519 key signs, which is the message itself. A
// handshake's has some 130 bytes, a request's some thousand.
const maxMessage = 1 << 20

// checkUse allows the signature schemes of RFC 8446 section 4.2.3 with SHA-2.
func checkUse(pub crypto.PublicKey, digest []byte, opts crypto.SignerOpts) error {
	if opts == nil {
		return errors.New("signing needs to be told what the digest is")
	}
	hash := opts.HashFunc()
	if _, edwards := pub.(ed25519.PublicKey); edwards {
		if o, ok := opts.(*ed25519.Options); hash != 0 || (ok && o.Context != "") {
			return fmt.Errorf("an Ed25519 key signs messages, not digests or within a context: %w", errors.ErrUnsupported)
		}
		if len(digest) > maxMessage {
			return fmt.Errorf("a message of %d bytes is too long to be signed here", len(digest))
		}
		return nil
	}
	switch hash {
	case crypto.SHA256, crypto.SHA384, crypto.SHA512:
	default:
		return fmt.Errorf("a signature with the hash %v is not made: %w", hash, errors.ErrUnsupported)
	}
	if len(digest) != hash.Size() {
		return fmt.Errorf("%d bytes are no %v digest", len(digest), hash)
	}
	if pss, ok := opts.(*rsa.PSSOptions); ok {
		if _, isRSA := pub.(*rsa.PublicKey); !isRSA {
			return fmt.Errorf("RSA-PSS with a %T: %w", pub, errors.ErrUnsupported)
		}
		// The services know no other salt than TLS does.
		if pss.SaltLength != rsa.PSSSaltLengthEqualsHash && pss.SaltLength != hash.Size() {
			return fmt.Errorf("RSA-PSS with a salt that is not as long as the digest: %w", errors.ErrUnsupported)
		}
	}
	return nil
}
