package key

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
)

// The signatures of the record are those of JWS: "EdDSA" with Ed25519 (RFC 8037 section
// 3.1), and "ES256" (RFC 7518 section 3.4), which keys in hardware and in the clouds can
// make. The key alone decides which.
const (
	edDSA = "EdDSA"
	es256 = "ES256"
)

const es256Half = 32 // bytes of R and of S

// Algorithm is the JWS algorithm that a key signs the record with.
func Algorithm(pub crypto.PublicKey) (string, error) {
	switch pub := pub.(type) {
	case ed25519.PublicKey:
		if len(pub) == ed25519.PublicKeySize {
			return edDSA, nil
		}
	case *ecdsa.PublicKey:
		if pub.Curve == elliptic.P256() {
			return es256, nil
		}
	}
	return "", fmt.Errorf("the record is signed with Ed25519 keys or with ECDSA keys on P-256, and not with a %T of another kind: %w", pub, errors.ErrUnsupported)
}

// Thumbprint is the RFC 7638 thumbprint of a key that signs the record, SHA-256,
// base64url. The members and their order are those of RFC 8037 section 2 and of RFC 7638
// section 3.2.
func Thumbprint(pub crypto.PublicKey) (string, error) {
	if _, err := Algorithm(pub); err != nil {
		return "", err
	}
	jwk, text := "", base64.RawURLEncoding.EncodeToString
	switch pub := pub.(type) {
	case ed25519.PublicKey:
		jwk = `{"crv":"Ed25519","kty":"OKP","x":"` + text(pub) + `"}`
	case *ecdsa.PublicKey:
		point, err := pub.Bytes() // 4, X, Y; an error where it is not on the curve
		if err != nil {
			return "", err
		}
		jwk = `{"crv":"P-256","kty":"EC","x":"` + text(point[1:1+es256Half]) + `","y":"` + text(point[1+es256Half:]) + `"}`
	}
	sum := sha256.Sum256([]byte(jwk))
	return text(sum[:]), nil
}

func signJWS(s crypto.Signer, message []byte) ([]byte, error) {
	if _, edwards := s.Public().(ed25519.PublicKey); edwards {
		return s.Sign(rand.Reader, message, crypto.Hash(0))
	}
	digest := sha256.Sum256(message)
	der, err := s.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var pair struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &pair); err != nil || len(rest) != 0 {
		return nil, errors.New("what came back is not an ECDSA signature")
	}
	order := elliptic.P256().Params().N
	if pair.R.Sign() <= 0 || pair.S.Sign() <= 0 || pair.R.Cmp(order) >= 0 || pair.S.Cmp(order) >= 0 {
		return nil, errors.New("what came back is not a signature on P-256")
	}
	// With S its negative is a signature as well. Verify takes the smaller one only, so
	// that nobody without the key can write a signature in another way.
	if pair.S.Cmp(new(big.Int).Rsh(order, 1)) > 0 {
		pair.S.Sub(order, pair.S)
	}
	signature := make([]byte, 2*es256Half)
	pair.R.FillBytes(signature[:es256Half])
	pair.S.FillBytes(signature[es256Half:])
	return signature, nil
}

// Verify says whether a signature is what a Signer with this key makes of the message.
func Verify(pub crypto.PublicKey, message, signature []byte) bool {
	switch pub := pub.(type) {
	case ed25519.PublicKey:
		return len(pub) == ed25519.PublicKeySize && ed25519.Verify(pub, message, signature)
	case *ecdsa.PublicKey:
		if pub.Curve != elliptic.P256() || len(signature) != 2*es256Half {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:es256Half]), new(big.Int).SetBytes(signature[es256Half:])
		if s.Cmp(new(big.Int).Rsh(pub.Params().N, 1)) > 0 {
			return false
		}
		digest := sha256.Sum256(message)
		return ecdsa.Verify(pub, digest[:], r, s)
	}
	return false
}
