// Package tsatest runs OpenSSL's time-stamping authority for tests. Nothing but tests
// imports it.
package tsatest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TSA is OpenSSL's time-stamping authority behind an HTTP server.
type TSA struct {
	Root []byte // its root certificate, PEM
	URL  string

	Change func(status int, answer []byte) (int, []byte) // what a bad one answers; set it while nobody asks

	dir string
	mu  sync.Mutex // held while OpenSSL runs, which counts serial numbers in a file
}

// Settings are how an authority differs from a good one.
type Settings struct {
	Key       crypto.Signer    // default ECDSA on P-256
	Usage     []pkix.Extension // of the certificate; default TimestampsOnly
	NotBefore time.Time        // default an hour ago
	NotAfter  time.Time        // default in an hour
	Digest    string           // of the signature; default sha256
	ESS       string           // of the certificate's name; default sha256
}

// TimestampsOnly is the extended key usage of an authority's certificate.
var TimestampsOnly = pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: []byte{0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08}}

// New runs an authority until the test ends, and skips the test where OpenSSL is not
// installed.
func New(t testing.TB, s Settings) *TSA {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	a := &TSA{dir: t.TempDir()}
	if s.Key == nil {
		s.Key = ECDSA(t)
	}
	if s.Usage == nil {
		s.Usage = []pkix.Extension{TimestampsOnly}
	}
	if s.NotBefore.IsZero() {
		s.NotBefore, s.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	rootKey := ECDSA(t)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Time Root"}, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Time Stamper"}, NotBefore: s.NotBefore, NotAfter: s.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtraExtensions: s.Usage,
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, s.Key.Public(), rootKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(s.Key)
	if err != nil {
		t.Fatal(err)
	}
	a.Root = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER})
	digest, ess := s.Digest, s.ESS
	if digest == "" {
		digest = "sha256"
	}
	if ess == "" {
		ess = "sha256"
	}
	a.write(t, "root.pem", a.Root)
	a.write(t, "tsa.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leafDER}))
	a.write(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	a.write(t, "serial", []byte("01\n"))
	a.write(t, "tsa.cnf", fmt.Appendf(nil, `[tsa]
default_tsa = config
[config]
serial = %s
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256, sha384, sha512
signer_digest = %s
ess_cert_id_alg = %s
accuracy = secs:1, millisecs:500
clock_precision_digits = 3
ordering = yes
tsa_name = yes
`, filepath.Join(a.dir, "serial"), digest, ess))
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.URL = server.URL
	return a
}

// ECDSA makes a key.
func ECDSA(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// RSA makes a key.
func RSA(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (a *TSA) write(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (a *TSA) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	query, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/timestamp-query" {
		http.Error(w, "not a query", http.StatusBadRequest)
		return
	}
	at := func(name string) string { return filepath.Join(a.dir, name) }
	if err := os.WriteFile(at("query.tsq"), query, 0o600); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	out, err := exec.Command("openssl", "ts", "-reply", "-config", at("tsa.cnf"), "-queryfile", at("query.tsq"),
		"-inkey", at("key.pem"), "-signer", at("tsa.pem"), "-chain", at("root.pem"), "-out", at("reply.tsr")).CombinedOutput()
	reply, readErr := os.ReadFile(at("reply.tsr"))
	if err != nil || readErr != nil {
		http.Error(w, string(out), http.StatusInternalServerError)
		return
	}
	status := http.StatusOK
	if a.Change != nil {
		status, reply = a.Change(status, reply)
	}
	w.Header().Set("Content-Type", "application/timestamp-reply")
	w.WriteHeader(status)
	w.Write(reply)
}

// Verifies asks OpenSSL about a token.
func (a *TSA) Verifies(t testing.TB, token, content []byte) bool {
	t.Helper()
	err := exec.Command("openssl", "ts", "-verify", "-data", a.write(t, "content", content), "-in", a.write(t, "token.tst", token), "-token_in",
		"-CAfile", filepath.Join(a.dir, "root.pem")).Run()
	return err == nil
}
