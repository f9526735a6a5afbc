package keytest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
)

func keys(t testing.TB) map[string][]byte {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{"PKCS #1": x509.MarshalPKCS1PrivateKey(r)}
	if all["SEC 1"], err = x509.MarshalECPrivateKey(ec); err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]any{"PKCS #8 P-256": ec, "PKCS #8 RSA": r, "PKCS #8 Ed25519": ed} {
		if all[name], err = x509.MarshalPKCS8PrivateKey(k); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestKeysAreFound(t *testing.T) {
	for name, der := range keys(t) {
		for form, text := range map[string][]byte{
			"as it is":        der,
			"within others":   append(append([]byte("0000\x30\x82"), der...), "tail"...),
			"base64":          []byte(base64.StdEncoding.EncodeToString(der)),
			"base64 for URLs": []byte(`{"k":"` + base64.RawURLEncoding.EncodeToString(der) + `"}`),
			"base64 in a run": []byte("abc" + base64.StdEncoding.EncodeToString(der)),
			"hex":             []byte(hex.EncodeToString(der)),
			"hex in a run":    []byte("a" + hex.EncodeToString(der)),
			"PEM":             pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
			"PEM unlabelled":  pem.EncodeToMemory(&pem.Block{Type: "DATA", Bytes: der}),
		} {
			if len(Find(text)) == 0 {
				t.Errorf("%s, %s: not found", name, form)
			}
		}
	}
}

func TestWhatIsNoPrivateKeyIsNotFound(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := x509.MarshalPKIXPublicKey(ec.Public())
	if err != nil {
		t.Fatal(err)
	}
	certificate := Certificate(t, ec, host)
	noise := bytes.Repeat([]byte("0000 a perfectly ordinary sentence 3082 "), 100)
	for name, text := range map[string][]byte{
		"nothing": nil, "a public key": pub, "a certificate": certificate.Certificate[0], "noise": noise,
		"a public key in PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub}),
	} {
		if found := Find(text); len(found) > 0 {
			t.Errorf("%s: %v", name, found)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "noise"), noise, 0o600); err != nil {
		t.Fatal(err)
	}
	NoneIn(t, dir)
}

func FuzzFind(f *testing.F) {
	for _, der := range keys(f) {
		f.Add(der)
		f.Add([]byte(base64.StdEncoding.EncodeToString(der)))
	}
	f.Fuzz(func(t *testing.T, text []byte) { Find(text) })
}
