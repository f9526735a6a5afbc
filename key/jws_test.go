package key

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"io"
	"math/big"
	"testing"
)

func fromBase64(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// The example of RFC 7515 appendix A.3, with S as it is there: the larger one of two, which is
// refused, while its negative is taken.
func TestVerifyES256(t *testing.T) {
	point := append([]byte{4}, fromBase64(t, "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU")...)
	point = append(point, fromBase64(t, "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")...)
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ")
	signature := fromBase64(t, "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")
	if Verify(pub, message, signature) {
		t.Error("a second spelling of the signature is taken")
	}
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(signature[32:])
	if !Verify(pub, message, signature) {
		t.Error("the signature is not taken")
	}
	for i := range signature {
		signature[i] ^= 1
		if Verify(pub, message, signature) {
			t.Errorf("byte %d flipped, and it is taken", i)
		}
		signature[i] ^= 1
	}
	for _, odd := range [][]byte{nil, signature[:63], append(signature, 0), make([]byte, 64)} {
		if Verify(pub, message, odd) {
			t.Errorf("%d bytes are taken for a signature", len(odd))
		}
	}
}

// The thumbprint of RFC 7515's example key, as computed with another program (Python's
// hashlib over the members of RFC 7638 section 3.2).
func TestThumbprintES256(t *testing.T) {
	point := append([]byte{4}, fromBase64(t, "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU")...)
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(point, fromBase64(t, "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")...))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Thumbprint(pub); err != nil || got != "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U" {
		t.Errorf("got %s (%v)", got, err)
	}
}

func TestSignersOfTheRecord(t *testing.T) {
	files, err := OpenFiles(t.TempDir(), []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []Kind{Ed25519, ECDSAP256} {
		ref, private, err := files.Create(t.Context(), "events-"+string(kind), kind)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := NewSigner("events", ref, private)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 { // half of all ECDSA signatures have the larger S at first
			signature, err := signer.Sign([]byte("event"))
			if err != nil {
				t.Fatal(err)
			}
			if len(signature) != 64 || !Verify(signer.Public(), []byte("event"), signature) {
				t.Errorf("%s: the signature does not verify", kind)
			}
			if Verify(signer.Public(), []byte("Event"), signature) {
				t.Errorf("%s: the signature verifies for another event", kind)
			}
		}
		ssh, err := signer.SSH()
		if err != nil {
			t.Fatal(err)
		}
		signature, err := ssh.Sign(rand.Reader, []byte("commit"))
		if err != nil || ssh.PublicKey().Verify([]byte("commit"), signature) != nil {
			t.Errorf("%s: SSH: %v", kind, err)
		}
	}
	for _, kind := range []Kind{ECDSAP384, RSA2048} {
		ref, private, err := files.Create(t.Context(), "events-"+string(kind), kind)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewSigner("events", ref, private); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: got %v", kind, err)
		}
	}
}

// What a store may answer that is broken.
func TestNoSignatureIsAnError(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string][]byte{
		"nothing": nil, "no ASN.1": []byte("signature"), "zero": {0x30, 6, 2, 1, 0, 2, 1, 0}, "negative": {0x30, 6, 2, 1, 0xff, 2, 1, 1},
		"more": {0x30, 6, 2, 1, 1, 2, 1, 1, 0},
	} {
		signer, err := NewSigner("events", "x:", canned{private.Public(), answer})
		if err != nil {
			t.Fatal(err)
		}
		if signature, err := signer.Sign([]byte("event")); err == nil {
			t.Errorf("%s: became the signature %x", name, signature)
		}
	}
}

type canned struct {
	pub    crypto.PublicKey
	answer []byte
}

func (c canned) Public() crypto.PublicKey { return c.pub }
func (c canned) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return c.answer, nil
}

func TestVerifyTakesNoOtherKeys(t *testing.T) {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, pub := range []crypto.PublicKey{nil, r.Public(), "key"} {
		if Verify(pub, []byte("event"), make([]byte, 64)) {
			t.Errorf("%T is taken for a key", pub)
		}
		if _, err := Thumbprint(pub); err == nil {
			t.Errorf("%T has a thumbprint", pub)
		}
	}
}
