package keytest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"testing"
	"time"

	"slipway/key"
)

const host = "expenses.apps.finmicro.example"

// use is one way in which TLS (RFC 8446 section 4.2.3) and certificates use a key.
type use struct {
	name   string
	digest []byte
	opts   crypto.SignerOpts
}

var message = []byte("what is signed")

func sum(h crypto.Hash) []byte {
	state := h.New()
	state.Write(message)
	return state.Sum(nil)
}

func uses(kind key.Kind) []use {
	switch kind {
	case key.ECDSAP256:
		return []use{{"SHA-256", sum(crypto.SHA256), crypto.SHA256}}
	case key.ECDSAP384:
		return []use{{"SHA-384", sum(crypto.SHA384), crypto.SHA384}}
	case key.Ed25519:
		return []use{{"the message", message, crypto.Hash(0)}}
	}
	var all []use
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		all = append(all, use{"PKCS1v15 " + h.String(), sum(h), h},
			use{"PSS " + h.String(), sum(h), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: h}},
			use{"PSS with a number " + h.String(), sum(h), &rsa.PSSOptions{SaltLength: h.Size(), Hash: h}})
	}
	return all
}

func misuses(kind key.Kind) []use {
	if kind == key.Ed25519 {
		return []use{
			{"a digest", sum(crypto.SHA512), crypto.SHA512},
			{"with a context", message, &ed25519.Options{Context: "c"}},
			{"without options", message, nil},
		}
	}
	return []use{
		{"a digest that is too short", sum(crypto.SHA256)[:31], crypto.SHA256},
		{"a digest that is too long", sum(crypto.SHA512), crypto.SHA256},
		{"SHA-1", make([]byte, 20), crypto.SHA1},
		{"MD5 and SHA-1", make([]byte, 36), crypto.MD5SHA1},
		{"something without a hash", []byte("raw"), crypto.Hash(0)},
		{"nothing", nil, crypto.SHA256},
		{"without options", sum(crypto.SHA256), nil},
		{"with a short salt", sum(crypto.SHA256), &rsa.PSSOptions{SaltLength: 8, Hash: crypto.SHA256}},
	}
}

func checkSignatures(t *testing.T, kind key.Kind, signer crypto.Signer) {
	t.Helper()
	for _, u := range uses(kind) {
		signature, err := signer.Sign(rand.Reader, u.digest, u.opts)
		if err != nil {
			t.Errorf("%s: %v", u.name, err)
			continue
		}
		ok := false
		switch pub := signer.Public().(type) {
		case *ecdsa.PublicKey:
			ok = ecdsa.VerifyASN1(pub, u.digest, signature)
		case ed25519.PublicKey:
			ok = ed25519.Verify(pub, u.digest, signature)
		case *rsa.PublicKey:
			if pss, isPSS := u.opts.(*rsa.PSSOptions); isPSS {
				strict := &rsa.PSSOptions{SaltLength: pss.Hash.Size(), Hash: pss.Hash}
				ok = rsa.VerifyPSS(pub, pss.Hash, u.digest, signature, strict) == nil
			} else {
				ok = rsa.VerifyPKCS1v15(pub, u.opts.HashFunc(), u.digest, signature) == nil
			}
		}
		if !ok {
			t.Errorf("%s: the signature does not verify", u.name)
		}
	}
}

// checkRequest makes a PKCS #10 request (RFC 2986), as issuing a certificate does.
func checkRequest(t *testing.T, signer crypto.Signer) {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{host}}, signer)
	if err != nil {
		t.Errorf("request: %v", err)
		return
	}
	request, err := x509.ParseCertificateRequest(der)
	if err == nil {
		err = request.CheckSignature()
	}
	if err != nil {
		t.Errorf("request: %v", err)
	}
}

// checkRecord: any store's key can sign the audit log's events.
func checkRecord(t *testing.T, ref string, private crypto.Signer) {
	t.Helper()
	signer, err := key.NewSigner("events", ref, private)
	if err != nil {
		t.Error(err)
		return
	}
	for range 8 {
		signature, err := signer.Sign(message)
		if err != nil || !key.Verify(signer.Public(), message, signature) {
			t.Errorf("signing the record: %v", err)
		}
	}
}

// Certificate is one that the key signs for itself, for a test's server.
func Certificate(t testing.TB, signer crypto.Signer, names ...string) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	certificate := key.Certificate([][]byte{der}, signer)
	certificate.Leaf = leaf
	return certificate
}

func checkHandshakes(t *testing.T, signer crypto.Signer) {
	t.Helper()
	certificate := Certificate(t, signer, host)
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		at, to := net.Pipe()
		failed := make(chan error, 1)
		go func() {
			defer at.Close()
			failed <- tls.Server(at, &tls.Config{Certificates: []tls.Certificate{certificate}}).HandshakeContext(t.Context())
		}()
		client := tls.Client(to, &tls.Config{RootCAs: roots, ServerName: host, MinVersion: version, MaxVersion: version})
		if err := client.HandshakeContext(t.Context()); err != nil {
			t.Errorf("%s: client: %v", tls.VersionName(version), err)
		}
		if err := <-failed; err != nil {
			t.Errorf("%s: server: %v", tls.VersionName(version), err)
		}
		to.Close()
	}
}

// checkPrinting: whoever prints a signer sees its ref, and never a key. What the key's
// bytes are is for the tests of a store that holds them to know.
func checkPrinting(t *testing.T, ref string, signer crypto.Signer) {
	t.Helper()
	printed := Print(signer)
	if found := Find(printed); len(found) > 0 {
		t.Errorf("printing a signer shows a private key: %v", found)
	}
	if !bytes.Contains(printed, []byte(ref)) {
		t.Errorf("printing a signer does not say which key it is: %s", printed)
	}
}

// Print is everything that formatting, JSON and logs make of a signer.
func Print(signer crypto.Signer) []byte {
	var out bytes.Buffer
	holder := struct{ s crypto.Signer }{signer}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d", "%q"} {
		fmt.Fprintf(&out, verb+"\n", signer)
		fmt.Fprintf(&out, verb+"\n", holder)
	}
	if encoded, err := json.Marshal(signer); err == nil {
		out.Write(encoded)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "key", signer, "holder", holder)
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "key", signer, "holder", holder)
	return out.Bytes()
}

// Bench measures signing as a TLS handshake asks for it.
func Bench(b *testing.B, m key.Manager, kinds ...key.Kind) {
	for _, kind := range kinds {
		_, signer, err := m.Create(b.Context(), "bench-"+string(kind), kind)
		if err != nil {
			b.Fatal(err)
		}
		all := uses(kind)
		u := all[min(1, len(all)-1)] // PSS where there is a choice, as in TLS 1.3
		b.Run(string(kind), func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := signer.Sign(rand.Reader, u.digest, u.opts); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
