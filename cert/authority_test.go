package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"slices"
	"testing"

	"slipway/key"
)

// TestKinds has accounts and certificates with keys of each kind.
func TestKinds(t *testing.T) {
	z := newTestZone(t)
	p := startPebble(t, z, pebbleOptions{})
	w := newTestWorld(z)
	generate := map[key.Kind]func() (crypto.Signer, error){
		key.ECDSAP256: func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
		key.ECDSAP384: func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
		key.RSA2048:   func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
		key.Ed25519:   func() (crypto.Signer, error) { _, k, err := ed25519.GenerateKey(rand.Reader); return k, err },
	}
	for kind, f := range generate {
		account, err := f()
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := f()
		if err != nil {
			t.Fatal(err)
		}
		a, err := Connect(t.Context(), p.config(inStore{account}))
		if kind == key.Ed25519 {
			// Pebble takes neither, and says so as RFC 8555 has it.
			if !errors.Is(err, ErrRefused) {
				t.Errorf("an account with %s: %v", kind, err)
			}
			a = connect(t, p.config(newKey(t)))
		} else if err != nil {
			t.Errorf("an account with %s: %v", kind, err)
			continue
		}
		issued, err := a.Issue(t.Context(), Request{ID: string(kind), Names: names("kinds.example"), Signer: inStore{leaf}}, nil, w)
		if kind == key.Ed25519 {
			if !errors.Is(err, ErrRefused) {
				t.Errorf("a certificate with %s: %v", kind, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("a certificate with %s: %v", kind, err)
			continue
		}
		if c, err := Describe(issued.Chain); err != nil || c.KeyKind != string(kind) {
			t.Errorf("a certificate with %s has %s (%v)", kind, c.KeyKind, err)
		}
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Connect(t.Context(), p.config(p521)); err == nil {
		t.Error("an account with a key of no kind")
	}
}

func TestConfigRefused(t *testing.T) {
	good := Config{Name: "ca", Directory: "https://127.0.0.1:1/dir", AccountKey: newKey(t)}
	for name, edit := range map[string]func(*Config){
		"no name":     func(c *Config) { c.Name = "" },
		"plain HTTP":  func(c *Config) { c.Directory = "http://127.0.0.1:1/dir" },
		"no address":  func(c *Config) { c.Directory = "" },
		"no key":      func(c *Config) { c.AccountKey = nil },
		"half an EAB": func(c *Config) { c.EABKeyID = "kid-1" },
		"no roots":    func(c *Config) { c.RootsPEM = []byte("hello") },
		"contacts":    func(c *Config) { c.Contact = slices.Repeat([]string{"mailto:a@a.example"}, 11) },
	} {
		c := good
		edit(&c)
		if _, err := newAuthority(c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := newAuthority(good); err != nil {
		t.Error(err)
	}
}
