package cert

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// startStepCA runs step-ca as a process of its own: an authority with a database,
// which remembers what it issued across a kill.
func startStepCA(t testing.TB, z *testZone) (directory string, roots []byte, restart func(wiped bool)) {
	t.Helper()
	binary, dir, addr := findPeer(t, "step-ca"), t.TempDir(), freeAddr(t)
	rootKey, issuerKey := newKey(t), newKey(t)
	authority := func(n int64, path int, parent *x509.Certificate, k crypto.Signer, signer crypto.Signer) *x509.Certificate {
		c := &x509.Certificate{
			SerialNumber: big.NewInt(n), Subject: pkix.Name{CommonName: fmt.Sprint("test authority ", n)},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, MaxPathLen: path, MaxPathLenZero: path == 0, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
		if parent == nil {
			parent = c
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, k.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	root := authority(1, 1, nil, rootKey, rootKey)
	issuer := authority(2, 0, root, issuerKey, rootKey)
	private, err := x509.MarshalPKCS8PrivateKey(issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	var keyPEM bytes.Buffer
	pem.Encode(&keyPEM, &pem.Block{Type: "PRIVATE KEY", Bytes: private})
	roots = PEM([][]byte{root.Raw})
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	config, err := json.Marshal(map[string]any{
		"root": file("root.pem", roots), "crt": file("issuer.pem", PEM([][]byte{issuer.Raw})), "key": file("issuer.key", keyPEM.Bytes()),
		"address": addr, "dnsNames": []string{"127.0.0.1"},
		"db": map[string]any{"type": "bbolt", "dataSource": filepath.Join(dir, "db")},
		"authority": map[string]any{"provisioners": []any{map[string]any{
			"type": "ACME", "name": "acme", "challenges": []string{"dns-01"},
			"claims": map[string]any{"maxTLSCertDuration": "2160h", "defaultTLSCertDuration": "720h"},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--resolver", z.addr, file("ca.json", config)}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	var cmd *exec.Cmd
	var out bytes.Buffer
	start := func() {
		cmd = exec.Command(binary, args...)
		cmd.Env = append(os.Environ(), "STEPPATH="+dir)
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitTLS(t, addr, pool)
	}
	stop := func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("step-ca: %s", out.Bytes())
		}
	}
	start()
	t.Cleanup(func() { stop() })
	return "https://" + addr + "/acme/acme/directory", roots, func(wiped bool) {
		stop()
		if wiped {
			os.Remove(filepath.Join(dir, "db"))
		}
		start()
	}
}

// TestStepCA has the same code issue from step-ca.
func TestStepCA(t *testing.T) {
	z := newTestZone(t)
	directory, roots, restart := startStepCA(t, z)
	config := Config{Name: "internal", Directory: directory, RootsPEM: roots, AccountKey: inStore{newKey(t)}, Sleep: quick}
	a := connect(t, config)
	w := newTestWorld(z)
	leaf := inStore{newKey(t)}
	r := Request{ID: "c-1", Names: names("a.example", "*.a.example"), Signer: leaf, Validity: 48 * time.Hour}

	// It is killed after it has issued, before anybody has fetched the certificate.
	var lost bool
	a.client.Transport = func(rt http.RoundTripper) http.RoundTripper {
		return roundTrip(func(q *http.Request) (*http.Response, error) {
			resp, err := rt.RoundTrip(q)
			if err == nil && !lost && filepath.Base(q.URL.Path) == "finalize" {
				lost = true
				resp.Body.Close()
				return nil, errors.New("the connection broke off")
			}
			return resp, err
		})
	}(a.client.Transport)
	if _, err := a.Issue(t.Context(), r, nil, w); err == nil {
		t.Fatal("the answer was lost, and nobody noticed")
	}
	restart(false)
	issued, err := a.Issue(t.Context(), r, w.prior(r.ID), w)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Describe(issued.Chain)
	if err != nil {
		t.Fatal(err)
	}
	if life := c.NotAfter.Sub(c.NotBefore); life < 47*time.Hour || life > 50*time.Hour {
		t.Errorf("48 hours were asked for, %s came", life)
	}
	second := connect(t, config)
	again, err := second.Issue(t.Context(), r, w.prior(r.ID), w)
	if err != nil || ID(again.Chain[0]) != c.ID {
		t.Errorf("another process got another certificate (%v)", err)
	}
	if _, err := second.RenewalInfo(t.Context(), issued.Chain[0]); !errors.Is(err, ErrNoRenewalInfo) {
		t.Errorf("renewal information: %v", err)
	}
	r = Request{ID: "c-2", Names: names("a.example"), Signer: leaf, Replaces: issued.Chain[0]}
	if _, err := second.Issue(t.Context(), r, nil, w); err != nil {
		t.Errorf("replacing: %v", err)
	}
	for range 2 {
		if err := second.Revoke(t.Context(), issued.Chain[0], 1); err != nil {
			t.Errorf("revoking: %v", err)
		}
	}
	r = Request{ID: "c-3", Names: names("a.example"), Signer: leaf, Validity: 400 * 24 * time.Hour}
	if _, err := second.Issue(t.Context(), r, nil, w); err == nil {
		t.Error("400 days were given, where 90 are the most")
	} else {
		t.Log(err)
	}
	// It loses its database, and with it our account and the order.
	restart(true)
	r = Request{ID: "c-1", Names: names("a.example", "*.a.example"), Signer: leaf}
	if _, err := second.Issue(t.Context(), r, w.prior(r.ID), w); err != nil {
		t.Errorf("after it lost everything: %v", err)
	}
	if z.left() != 0 {
		t.Errorf("%d records are left", z.left())
	}
}

// TestAtOnce has one Authority issue for many at the same time. step-ca fails at some
// requests then, more often than one call repeats them, so calls are repeated too.
func TestAtOnce(t *testing.T) {
	z := newTestZone(t)
	directory, roots, _ := startStepCA(t, z)
	a := connect(t, Config{Name: "internal", Directory: directory, RootsPEM: roots, AccountKey: newKey(t), Sleep: quick})
	w, leaf := newTestWorld(z), newKey(t)
	var group errgroup.Group
	for i := range 16 {
		group.Go(func() error {
			r := Request{ID: fmt.Sprint(i), Names: names(fmt.Sprintf("n%d.example", i)), Signer: leaf}
			for tries := 1; ; tries++ {
				if _, err := a.Issue(t.Context(), r, w.prior(r.ID), w); err == nil || tries == 20 {
					return err
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if z.left() != 0 {
		t.Errorf("%d records are left", z.left())
	}
}
