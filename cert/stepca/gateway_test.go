package stepca

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/acme"

	"slipway/gateway"
	"slipway/key"
)

// From a key that never leaves the store to a chain that openssl follows to the root,
// and to a revocation that it finds.
func TestOpenSSLFollowsTheChain(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	s := newSite(t)
	s.options.CRLURL = "http://slipway.example/ca/crl"
	ca := s.start(t)
	c := client(t, ca.Directory(), ca.Root(), newKey(t))
	ref, signer, err := s.keys.Create(t.Context(), "expenses", key.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	chain := s.issue(t, c, signer, "expenses.apps.example")

	address := s.serve(t, gateway.Route{
		Hosts: []string{"expenses.apps.example"}, Chain: append(toPEM(chain[0]), toPEM(chain[1])...), KeyRef: ref, App: "expenses",
	})

	file := func(name string, content []byte) string {
		path := filepath.Join(s.dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	root := file("root.crt", ca.Root())
	cmd := exec.CommandContext(t.Context(), openssl, "s_client", "-connect", address, "-servername", "expenses.apps.example",
		"-verify_hostname", "expenses.apps.example", "-CAfile", root, "-verify_return_error", "-ign_eof")
	cmd.Stdin = bytes.NewReader([]byte("GET / HTTP/1.1\r\nHost: expenses.apps.example\r\nConnection: close\r\n\r\n"))
	out, err := cmd.CombinedOutput()
	for _, want := range []string{"depth=2 O = Fin Micro Ltd", "Verify return code: 0 (ok)", "hello"} {
		if err != nil || !bytes.Contains(out, []byte(want)) {
			t.Errorf("no %q (%v) in\n%s", want, err, out)
		}
	}

	// Revocation checking as tools do it: the list that the certificate names, by the same authority.
	check := func() []byte {
		der, err := ca.CRL()
		if err != nil {
			t.Fatal(err)
		}
		list := file("list.pem", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
		out, _ := exec.CommandContext(t.Context(), openssl, "verify", "-CAfile", root, "-untrusted", file("between.pem", ca.Intermediate()),
			"-CRLfile", list, "-crl_check", "-extended_crl", file("leaf.pem", toPEM(chain[0]))).CombinedOutput()
		return out
	}
	if out := check(); !bytes.Contains(out, []byte("leaf.pem: OK")) {
		t.Errorf("before the revocation: %s", out)
	}
	if err := c.RevokeCert(t.Context(), nil, chain[0].Raw, acme.CRLReasonKeyCompromise); err != nil {
		t.Fatal(err)
	}
	if out := check(); !bytes.Contains(out, []byte("certificate revoked")) {
		t.Errorf("after the revocation: %s", out)
	}
}

// serve runs a gateway for a route to an app that says who called it.
func (s *site) serve(t *testing.T, r gateway.Route) (address string) {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello "+r.Header.Get("X-Slipway-Client"))
	}))
	t.Cleanup(app.Close)
	var err error
	if r.Upstream, err = url.Parse(app.URL); err != nil {
		t.Fatal(err)
	}
	routes := filepath.Join(s.dir, "routes.json")
	if err := gateway.WriteRoutes(routes, []gateway.Route{r}); err != nil {
		t.Fatal(err)
	}
	g, err := gateway.Listen(t.Context(), gateway.Options{Listen: "127.0.0.1:0", RoutesFile: routes, Keys: s.keys, Logger: s.options.Logger})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return g.Addr().String()
}

// An app asks for the certificates of its callers, and gets to know them by these.
func TestAppsKnowEachOther(t *testing.T) {
	s := newSite(t)
	ca := s.start(t)
	c := client(t, ca.Directory(), ca.Root(), newKey(t))
	ref, signer, err := s.keys.Create(t.Context(), "ledger", key.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	chain := s.issue(t, c, signer, "ledger.apps.example")
	address := s.serve(t, gateway.Route{
		Hosts: []string{"ledger.apps.example"}, Chain: append(toPEM(chain[0]), toPEM(chain[1])...), KeyRef: ref,
		ClientAuth: true, ClientCAs: ca.Root(),
	})
	caller := newKey(t)
	shown := s.issue(t, c, caller, "expenses.apps.example")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.Root())
	ask := func(certificates ...tls.Certificate) (string, error) {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "ledger.apps.example", Certificates: certificates}}
		defer transport.CloseIdleConnections()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "ledger.apps.example"
		resp, err := transport.RoundTrip(r)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		return string(raw), err
	}
	if body, err := ask(tls.Certificate{Certificate: [][]byte{shown[0].Raw, shown[1].Raw}, PrivateKey: caller}); err != nil || body != "hello expenses.apps.example" {
		t.Errorf("%q, %v", body, err)
	}
	if body, err := ask(); err == nil {
		t.Errorf("without a certificate: %q", body)
	}
}
