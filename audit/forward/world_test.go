package forward

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"slipway/audit"
	"slipway/audit/audittest"
	"slipway/key"
)

// record is a real log with events in it.
func record(t testing.TB, events int) *audit.Log {
	t.Helper()
	keys, err := key.OpenStore(filepath.Join(t.TempDir(), "keys"), []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	o := audit.Options{Dir: audittest.TempDir(t), Origin: origin, Logger: slog.New(slog.DiscardHandler)}
	if o.Events, err = keys.Signer(t.Context(), "events", true); err == nil {
		o.Log, err = keys.Signer(t.Context(), "log", true)
	}
	if err != nil {
		t.Fatal(err)
	}
	l, err := audit.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(context.Background()) })
	add(t, l, events)
	return l
}

func add(t testing.TB, l *audit.Log, events int) {
	t.Helper()
	for range events {
		if _, err := l.Append(t.Context(), audit.Event{
			Actor: audit.Actor{ID: "ana@finmicro.example", Role: "product-manager"}, Action: audit.SubmitChange, Change: "c-1",
			Resource: audit.Resource{App: "expense-tracker"},
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// ids are the IDs of all events, in the order of the log.
func ids(t testing.TB, l *audit.Log) []string {
	t.Helper()
	events, err := l.Index().Events(t.Context(), audit.Query{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range events {
		out = append(out, r.Event.EventID)
	}
	return out
}

// run starts a destination and returns what stops it.
func run(t testing.TB, d *Destination, l *audit.Log) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, l.Index()) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func open(t testing.TB, dir, typ string, params map[string]string) *Destination {
	t.Helper()
	d, err := Open(t.Context(), "siem", typ, params, Options{Origin: origin, Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	d.backoff = 10 * time.Millisecond
	return d
}

// eventually waits for something that another process brings about.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 30 seconds", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// inOrder says whether got holds all of want in their order, repetitions apart.
func inOrder(got, want []string) bool {
	seen := map[string]bool{}
	var first []string
	for _, id := range got {
		if !seen[id] {
			seen[id] = true
			first = append(first, id)
		}
	}
	return slices.Equal(first, want)
}

// authority is a CA with one certificate for 127.0.0.1, in PEM files.
func authority(t testing.TB) (ca, certificate, private string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	make := func(template, parent *x509.Certificate, by *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if by == nil {
			by = k
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, k.Public(), by)
		if err != nil {
			t.Fatal(err)
		}
		return der, k
	}
	now := time.Now()
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	rootDER, rootKey := make(root, root, nil)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "siem"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	leafDER, leafKey := make(leaf, root, rootKey)
	private8, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	return write("ca.pem", "CERTIFICATE", rootDER), write("leaf.pem", "CERTIFICATE", leafDER), write("leaf.key", "PRIVATE KEY", private8)
}
