package stepca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"slipway/key"
	"slipway/zone"
)

// records is what the zones hold: the resolver that the authority asks.
type records struct {
	mu  sync.Mutex
	txt map[string][]string
}

func (r *records) set(name string, values ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.txt == nil {
		r.txt = map[string][]string{}
	}
	r.txt[name] = values
}

func (r *records) lookup(_ context.Context, name string) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if values, ok := r.txt[strings.TrimSuffix(name, ".")]; ok {
		return values, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// site is a data directory with its key store.
type site struct {
	dir     string
	keys    *key.Files
	records records
	options Options
}

func newSite(t testing.TB) *site {
	t.Helper()
	dir := t.TempDir()
	keys, err := key.OpenFiles(filepath.Join(dir, "keys"), []byte(password))
	if err != nil {
		t.Fatal(err)
	}
	s := &site{dir: dir, keys: keys}
	s.options = Options{
		Dir: filepath.Join(dir, "ca"), Keys: keys, Name: "Fin Micro Ltd", Resolve: s.records.lookup,
		Logger: slog.New(slog.DiscardHandler),
	}
	return s
}

func (s *site) start(t testing.TB) *CA {
	t.Helper()
	ca, err := Start(t.Context(), s.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ca.Close(); err != nil {
			t.Error(err)
		}
	})
	return ca
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// client is a plain ACME client that trusts the root and nothing else.
func client(t testing.TB, directory string, root []byte, account crypto.Signer) *acme.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(root) {
		t.Fatal("the root is no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	c := &acme.Client{Key: account, DirectoryURL: directory, HTTPClient: &http.Client{Transport: transport}}
	if _, err := c.Register(t.Context(), &acme.Account{}, acme.AcceptTOS); err != nil && !errors.Is(err, acme.ErrAccountAlreadyExists) {
		t.Fatal(err)
	}
	return c
}

// ready takes an order to where only the CSR is missing.
func (s *site) ready(t testing.TB, c *acme.Client, names ...string) *acme.Order {
	t.Helper()
	order, err := c.AuthorizeOrder(t.Context(), acme.DomainIDs(names...))
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range order.AuthzURLs {
		authorization, err := c.GetAuthorization(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if len(authorization.Challenges) != 1 || authorization.Challenges[0].Type != "dns-01" {
			t.Fatalf("challenges: %+v", authorization.Challenges)
		}
		value, err := c.DNS01ChallengeRecord(authorization.Challenges[0].Token)
		if err != nil {
			t.Fatal(err)
		}
		s.records.set("_acme-challenge."+authorization.Identifier.Value, "of another order", value)
		if _, err := c.Accept(t.Context(), authorization.Challenges[0]); err != nil {
			t.Fatal(err)
		}
	}
	order, err = c.WaitOrder(t.Context(), order.URI)
	if err != nil {
		t.Fatal(err)
	}
	return order
}

func csr(t testing.TB, k crypto.Signer, names ...string) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names}, k)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func (s *site) issue(t testing.TB, c *acme.Client, k crypto.Signer, names ...string) []*x509.Certificate {
	t.Helper()
	order := s.ready(t, c, names...)
	der, _, err := c.CreateOrderCert(t.Context(), order.FinalizeURL, csr(t, k, names...), true)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, der)
}

func parse(t testing.TB, der [][]byte) []*x509.Certificate {
	t.Helper()
	var chain []*x509.Certificate
	for _, d := range der {
		c, err := x509.ParseCertificate(d)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, c)
	}
	return chain
}

func TestIssue(t *testing.T) {
	s := newSite(t)
	s.options.CRLURL = "http://slipway.example/ca/crl"
	ca := s.start(t)
	c := client(t, ca.Directory(), ca.Root(), newKey(t))
	k := newKey(t)
	for _, names := range [][]string{{"expenses.apps.example"}, {"a.apps.example", "*.b.apps.example", "deep.down.in.apps.example"}} {
		chain := s.issue(t, c, k, names...)
		if len(chain) != 2 || !bytes.Equal(toPEM(chain[1]), ca.Intermediate()) {
			t.Fatalf("a chain of %d certificates", len(chain))
		}
		leaf := chain[0]
		roots, between := x509.NewCertPool(), x509.NewCertPool()
		roots.AppendCertsFromPEM(ca.Root())
		between.AddCert(chain[1])
		for _, name := range names {
			for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
				_, err := leaf.Verify(x509.VerifyOptions{
					DNSName: strings.Replace(name, "*", "x", 1), Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{use},
				})
				if err != nil {
					t.Error(err)
				}
			}
		}
		if life := leaf.NotAfter.Sub(leaf.NotBefore); life < DefaultLifetime || life > DefaultLifetime+2*time.Minute {
			t.Errorf("good for %v", life)
		}
		if len(leaf.CRLDistributionPoints) != 1 || leaf.CRLDistributionPoints[0] != s.options.CRLURL {
			t.Errorf("revocations at %v", leaf.CRLDistributionPoints)
		}
		if len(leaf.ExtKeyUsage) != 2 || leaf.IsCA {
			t.Errorf("may be used for %v, CA %v", leaf.ExtKeyUsage, leaf.IsCA)
		}
		if !samePublic(leaf.PublicKey, k.Public()) {
			t.Error("the certificate is for another key")
		}
	}
}

func TestAuthorityCertificates(t *testing.T) {
	s := newSite(t)
	ca := s.start(t)
	root, issuer := ca.root, ca.issuer
	if root.Subject.String() != "CN=Fin Micro Ltd Root CA,O=Fin Micro Ltd" || issuer.Subject.String() != "CN=Fin Micro Ltd Intermediate CA,O=Fin Micro Ltd" {
		t.Errorf("called %s and %s", root.Subject, issuer.Subject)
	}
	if !root.IsCA || root.MaxPathLen != 1 || !issuer.IsCA || !issuer.MaxPathLenZero {
		t.Error("the length of chains is not bounded")
	}
	for _, kind := range []any{root.PublicKey, issuer.PublicKey} {
		if k, err := key.KindOf(kind); err != nil || k != key.ECDSAP256 {
			t.Errorf("key of kind %s (%v)", k, err)
		}
	}
}

// What lies in the authority's own directory gives nobody a key.
func TestNoPrivateKeyOnDisk(t *testing.T) {
	s := newSite(t)
	ca := s.start(t)
	s.issue(t, client(t, ca.Directory(), ca.Root(), newKey(t)), newKey(t), "a.example")
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
			if strings.Contains(block.Type, "PRIVATE KEY") && !strings.Contains(block.Type, "SEALED") {
				t.Errorf("%s holds a %s", path, block.Type)
			}
		}
		// The OID of EC public keys followed by PKCS #8's octet string of a private one (RFC 5958, RFC 5915).
		if bytes.Contains(raw, []byte{0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20}) || bytes.Contains(raw, []byte{0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20}) {
			t.Errorf("%s holds an EC private key", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRestartBetweenOrderAndFinalize(t *testing.T) {
	s := newSite(t)
	account, k := newKey(t), newKey(t)
	ca := s.start(t)
	directory, root := ca.Directory(), ca.Root()
	c := client(t, directory, root, account)
	order := s.ready(t, c, "a.example")
	if err := ca.Close(); err != nil {
		t.Fatal(err)
	}
	ca = s.start(t)
	if ca.Directory() != directory || !bytes.Equal(ca.Root(), root) {
		t.Fatal("another authority after a restart")
	}
	again, err := c.GetOrder(t.Context(), order.URI)
	if err != nil || again.Status != acme.StatusReady {
		t.Fatalf("%+v, %v", again, err)
	}
	if _, _, err := c.CreateOrderCert(t.Context(), order.FinalizeURL, csr(t, k, "a.example"), true); err != nil {
		t.Fatal(err)
	}
	found, err := client(t, directory, root, account).GetReg(t.Context(), "")
	if err != nil || found.URI == "" {
		t.Fatalf("the account is not found again: %+v, %v", found, err)
	}
}

func TestRefusals(t *testing.T) {
	s := newSite(t)
	s.options.Names = []zone.Name{"apps.example", "other.example"}
	ca := s.start(t)
	c := client(t, ca.Directory(), ca.Root(), newKey(t))
	for _, name := range []string{"example", "www.bank.example", "notapps.example", "*.example", "apps.example.evil", "localhost"} {
		_, err := c.AuthorizeOrder(t.Context(), acme.DomainIDs(name))
		var problem *acme.Error
		if !errors.As(err, &problem) || problem.ProblemType != "urn:ietf:params:acme:error:rejectedIdentifier" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.AuthorizeOrder(t.Context(), acme.IPIDs("127.0.0.1")); err == nil {
		t.Error("an order for an address was taken")
	}
	for _, name := range []string{"apps.example", "*.apps.example", "a.b.other.example", "UPPER.apps.example"} {
		if _, err := c.AuthorizeOrder(t.Context(), acme.DomainIDs(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What was ordered is looked at again when it is signed.
	order := s.ready(t, c, "a.apps.example")
	ca.SetNames([]zone.Name{"other.example"})
	if _, _, err := c.CreateOrderCert(t.Context(), order.FinalizeURL, csr(t, newKey(t), "a.apps.example"), true); err == nil {
		t.Error("a name was certified that is not allowed any more")
	}
	ca.SetNames(nil)
	if _, _, err := c.CreateOrderCert(t.Context(), order.FinalizeURL, csr(t, newKey(t), "a.apps.example", "www.bank.example"), true); err == nil {
		t.Error("a CSR for more than was ordered was taken")
	}
}

func TestWrongRecordProvesNothing(t *testing.T) {
	s := newSite(t)
	ca := s.start(t)
	c := client(t, ca.Directory(), ca.Root(), newKey(t))
	order, err := c.AuthorizeOrder(t.Context(), acme.DomainIDs("a.example"))
	if err != nil {
		t.Fatal(err)
	}
	authorization, err := c.GetAuthorization(t.Context(), order.AuthzURLs[0])
	if err != nil {
		t.Fatal(err)
	}
	s.records.set("_acme-challenge.a.example", "something else")
	challenge, err := c.Accept(t.Context(), authorization.Challenges[0])
	if err != nil || challenge.Status == acme.StatusValid {
		t.Fatalf("%+v, %v", challenge, err)
	}
	if _, _, err := c.CreateOrderCert(t.Context(), order.FinalizeURL, csr(t, newKey(t), "a.example"), true); err == nil {
		t.Error("a certificate was given without a proof")
	}
}

func TestRevocation(t *testing.T) {
	s := newSite(t)
	ca := s.start(t)
	c := client(t, ca.Directory(), ca.Root(), newKey(t))
	leaf := s.issue(t, c, newKey(t), "a.example")[0]
	if listed(t, ca, leaf) {
		t.Fatal("listed before it was revoked")
	}
	if err := c.RevokeCert(t.Context(), nil, leaf.Raw, acme.CRLReasonSuperseded); err != nil {
		t.Fatal(err)
	}
	if !listed(t, ca, leaf) {
		t.Error("not listed after it was revoked")
	}
	// The client takes alreadyRevoked (RFC 8555 section 7.6) for done.
	if err := c.RevokeCert(t.Context(), nil, leaf.Raw, acme.CRLReasonSuperseded); err != nil {
		t.Errorf("revoked twice: %v", err)
	}
	other := client(t, ca.Directory(), ca.Root(), newKey(t))
	second := s.issue(t, c, newKey(t), "b.example")[0]
	if err := other.RevokeCert(t.Context(), nil, second.Raw, acme.CRLReasonUnspecified); err == nil {
		t.Error("another account revoked it")
	}
	if err := ca.Close(); err != nil {
		t.Fatal(err)
	}
	if ca = s.start(t); !listed(t, ca, leaf) {
		t.Error("not listed any more after a restart")
	}
}

func listed(t *testing.T, ca *CA, c *x509.Certificate) bool {
	t.Helper()
	der, err := ca.CRL()
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := list.CheckSignatureFrom(ca.issuer); err != nil || list.NextUpdate.Before(time.Now()) {
		t.Fatalf("the list does not hold: %v, until %v", err, list.NextUpdate)
	}
	for _, e := range list.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(c.SerialNumber) == 0 {
			return true
		}
	}
	return false
}
