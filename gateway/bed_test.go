package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/key"
)

// bed is a key store, an authority, and a routes file.
type bed struct {
	keys    *key.Files
	ca      *x509.Certificate
	caKey   crypto.Signer
	roots   *x509.CertPool
	log     lines
	options Options
}

// lines collects a log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func newBed(t testing.TB) *bed {
	t.Helper()
	keys, err := key.OpenFiles(filepath.Join(t.TempDir(), "keys"), []byte("passphrase of the test"))
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{keys: keys, roots: x509.NewCertPool()}
	b.ca, b.caKey = newCA(t, "Test Root")
	b.roots.AddCert(b.ca)
	b.options = Options{
		Listen: "127.0.0.1:0", RoutesFile: filepath.Join(t.TempDir(), "routes.json"), Keys: keys,
		Poll: 5 * time.Millisecond, Grace: 5 * time.Second,
		Logger: slog.New(slog.NewTextHandler(&b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	return b
}

func newCA(t testing.TB, name string) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	return sign(t, template, template, k.Public(), k), k
}

func sign(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func pemOf(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// route makes a key in the store and a certificate for it.
func (b *bed) route(t testing.TB, upstream string, hosts ...string) Route {
	t.Helper()
	name := strings.NewReplacer(".", "-", "*", "any").Replace(hosts[0]) + "-" + strings.ToLower(rand.Text()[:6])
	ref, signer, err := b.keys.Create(t.Context(), name, key.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	leaf := sign(t, &x509.Certificate{DNSNames: hosts, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, b.ca, signer.Public(), b.caKey)
	return Route{Hosts: hosts, Upstream: u, Chain: pemOf(leaf), KeyRef: ref, App: hosts[0]}
}

// client makes a certificate for a person, by an authority.
func clientCertificate(t testing.TB, name string, ca *x509.Certificate, caKey crypto.Signer) tls.Certificate {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, EmailAddresses: []string{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, ca, k.Public(), caKey)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: k}
}

func (b *bed) write(t testing.TB, routes ...Route) {
	t.Helper()
	if err := WriteRoutes(b.options.RoutesFile, routes); err != nil {
		t.Fatal(err)
	}
}

// start serves until the test ends, or until the function that comes back is called.
func (b *bed) start(t testing.TB) (g *Gateway, stop func()) {
	t.Helper()
	g, err := Listen(context.Background(), b.options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Serve(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return g, stop
}

// client is a browser: it trusts the root, and finds every host at the gateway.
func (b *bed) client(t testing.TB, g *Gateway, certificates ...tls.Certificate) *http.Client {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: b.roots, Certificates: certificates},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, g.Addr().String())
		},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (b *bed) dial(t testing.TB, g *Gateway, config *tls.Config) (*tls.Conn, error) {
	t.Helper()
	if config.RootCAs == nil {
		config.RootCAs = b.roots
	}
	c, err := tls.Dial("tcp", g.Addr().String(), config)
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// speak sends a request of HTTP/1.1 as it is.
func (b *bed) speak(t testing.TB, g *Gateway, host, request string) *http.Response {
	t.Helper()
	c, err := b.dial(t, g, &tls.Config{ServerName: host, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func get(t testing.TB, c *http.Client, url string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		} else {
			r.Header.Add(header[i], header[i+1])
		}
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(raw)
}

// until waits for something that the gateway does by itself.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come about", what)
		}
	}
}
