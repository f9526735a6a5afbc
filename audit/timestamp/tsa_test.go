package timestamp

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

// tsa is OpenSSL's time-stamping authority behind an HTTP server.
type tsa struct {
	dir  string
	root []byte // PEM
	url  string

	mu     sync.Mutex
	change func(status int, answer []byte) (int, []byte) // what a bad one answers
}

// settings are how an authority differs from a good one.
type settings struct {
	key       crypto.Signer
	usage     []pkix.Extension // of the certificate; default one for timestamps and nothing else
	notBefore time.Time
	notAfter  time.Time
	digest    string // of the signature
	ess       string // of the certificate's name
}

var timestampsOnly = pkix.Extension{Id: oidExtendedKeyUsage, Critical: true, Value: []byte{0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08}}

func newTSA(t testing.TB, s settings) *tsa {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	a := &tsa{dir: t.TempDir()}
	if s.key == nil {
		s.key = ecdsaKey(t)
	}
	if s.usage == nil {
		s.usage = []pkix.Extension{timestampsOnly}
	}
	if s.notBefore.IsZero() {
		s.notBefore, s.notAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	rootKey := ecdsaKey(t)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Time Root"}, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Time Stamper"}, NotBefore: s.notBefore, NotAfter: s.notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtraExtensions: s.usage,
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, s.key.Public(), rootKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		t.Fatal(err)
	}
	a.root = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER})
	digest, ess := s.digest, s.ess
	if digest == "" {
		digest = "sha256"
	}
	if ess == "" {
		ess = "sha256"
	}
	a.write(t, "root.pem", a.root)
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
	a.url = server.URL
	return a
}

func ecdsaKey(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rsaKey(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (a *tsa) write(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (a *tsa) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock() // OpenSSL counts serial numbers in a file
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
	if a.change != nil {
		status, reply = a.change(status, reply)
	}
	w.Header().Set("Content-Type", "application/timestamp-reply")
	w.WriteHeader(status)
	w.Write(reply)
}

func (a *tsa) authority(t testing.TB) *Authority {
	t.Helper()
	roots, err := ReadRoots(a.root)
	if err != nil {
		t.Fatal(err)
	}
	return &Authority{URL: a.url, Roots: roots}
}

// opensslVerifies asks OpenSSL about a token.
func (a *tsa) opensslVerifies(t testing.TB, token, content []byte) bool {
	t.Helper()
	err := exec.Command("openssl", "ts", "-verify", "-data", a.write(t, "content", content), "-in", a.write(t, "token.tst", token), "-token_in",
		"-CAfile", filepath.Join(a.dir, "root.pem")).Run()
	return err == nil
}

// reply makes a response without a token.
func reply(t testing.TB, status int, text string) []byte {
	t.Helper()
	type info struct {
		Status int
		Text   []asn1.RawValue
	}
	raw, err := asn1.Marshal(struct{ Status info }{info{status, []asn1.RawValue{{Tag: asn1.TagUTF8String, Bytes: []byte(text)}}}})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
