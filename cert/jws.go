package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"

	"github.com/go-jose/go-jose/v4"
)

// accountKey signs requests to an authority as RFC 8555 section 6.2 has it, with a
// key that may lie in a key store: only crypto.Signer's Sign is asked of it.
type accountKey struct {
	signer crypto.Signer
	alg    jose.SignatureAlgorithm
	hash   crypto.Hash
	size   int    // of r and of s (RFC 7518 section 3.4); 0 when not ECDSA
	kid    string // account URL; "" when requests carry the key itself
}

func newAccountKey(signer crypto.Signer) (accountKey, error) {
	switch pub := signer.Public().(type) {
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case elliptic.P256():
			return accountKey{signer: signer, alg: jose.ES256, hash: crypto.SHA256, size: 32}, nil
		case elliptic.P384():
			return accountKey{signer: signer, alg: jose.ES384, hash: crypto.SHA384, size: 48}, nil
		}
	case *rsa.PublicKey:
		return accountKey{signer: signer, alg: jose.RS256, hash: crypto.SHA256}, nil
	case ed25519.PublicKey:
		return accountKey{signer: signer, alg: jose.EdDSA}, nil
	}
	return accountKey{}, errors.New("the account key has to be ECDSA P-256 or P-384, RSA or Ed25519")
}

// Public, Algs and SignPayload make it a jose.OpaqueSigner.
func (k accountKey) Public() *jose.JSONWebKey {
	return &jose.JSONWebKey{Key: k.signer.Public(), KeyID: k.kid}
}

func (k accountKey) Algs() []jose.SignatureAlgorithm { return []jose.SignatureAlgorithm{k.alg} }

func (k accountKey) SignPayload(payload []byte, _ jose.SignatureAlgorithm) ([]byte, error) {
	digest := payload
	if k.hash != 0 {
		h := k.hash.New()
		h.Write(payload)
		digest = h.Sum(nil)
	}
	sig, err := k.signer.Sign(rand.Reader, digest, k.hash)
	if err != nil || k.size == 0 {
		return sig, err
	}
	var point struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(sig, &point); err != nil || len(rest) != 0 ||
		point.R.Sign() <= 0 || point.S.Sign() <= 0 || point.R.BitLen() > 8*k.size || point.S.BitLen() > 8*k.size {
		return nil, errors.New("the key store gave a signature that is none")
	}
	out := make([]byte, 2*k.size)
	point.R.FillBytes(out[:k.size])
	point.S.FillBytes(out[k.size:])
	return out, nil
}

// sign makes the body of a request: flattened JWS with nonce and URL, and with the
// account's URL, or the key itself where there is no account yet (RFC 8555 section 6.2).
func (k accountKey) sign(payload []byte, url, nonce string) ([]byte, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: k.alg, Key: k}, &jose.SignerOptions{
		EmbedJWK:     k.kid == "",
		ExtraHeaders: map[jose.HeaderKey]any{"nonce": nonce, "url": url},
	})
	if err != nil {
		return nil, err
	}
	return serialized(signer, payload)
}

// bind is an external account binding (RFC 8555 section 7.3.4).
func (k accountKey) bind(url, keyID string, hmac []byte) ([]byte, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: hmac}, &jose.SignerOptions{
		ExtraHeaders: map[jose.HeaderKey]any{"kid": keyID, "url": url},
	})
	if err != nil {
		return nil, fmt.Errorf("external account binding: %w", err)
	}
	k.kid = ""
	jwk, err := k.Public().MarshalJSON()
	if err != nil {
		return nil, err
	}
	return serialized(signer, jwk)
}

func serialized(signer jose.Signer, payload []byte) ([]byte, error) {
	jws, err := signer.Sign(payload)
	if err != nil {
		return nil, err
	}
	return []byte(jws.FullSerialize()), nil
}

func (k accountKey) thumbprint() (string, error) {
	k.kid = ""
	sum, err := k.Public().Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(sum), err
}
