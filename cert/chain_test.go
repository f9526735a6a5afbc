package cert

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// testChain issues one certificate from an intermediate of its own.
func testChain(t testing.TB, now time.Time, k crypto.PublicKey, edit func(*x509.Certificate)) [][]byte {
	t.Helper()
	caKey, rootKey := newKey(t), newKey(t)
	ca := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Issuing CA", Organization: []string{"Fin Micro"}},
		NotBefore: now.Add(-day), NotAfter: now.Add(365 * day), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Root"},
		NotBefore: now.Add(-day), NotAfter: now.Add(365 * day), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(0xabc), Subject: pkix.Name{CommonName: "a.example"}, DNSNames: []string{"a.example", "*.a.example"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(90*day - time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true}
	if edit != nil {
		edit(leaf)
	}
	var chain [][]byte
	for _, c := range []struct {
		of, by *x509.Certificate
		key    crypto.PublicKey
		signer crypto.Signer
	}{{leaf, ca, k, caKey}, {ca, root, caKey.Public(), rootKey}} {
		der, err := x509.CreateCertificate(rand.Reader, c.of, c.by, c.key, c.signer)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, der)
	}
	return chain
}

// sctExtension is the extension of RFC 6962 section 3.3 with promises at these times.
func sctExtension(t testing.TB, log byte, at ...time.Time) pkix.Extension {
	var list []byte
	for _, a := range at {
		one := append([]byte{0}, bytes.Repeat([]byte{log}, 32)...)
		one = binary.BigEndian.AppendUint64(one, uint64(a.UnixMilli()))
		one = append(one, 0, 0, 4, 3, 0, 2, 1, 2) // no extensions, a signature of two octets
		list = binary.BigEndian.AppendUint16(list, uint16(len(one)))
		list = append(list, one...)
	}
	list = append(binary.BigEndian.AppendUint16(nil, uint16(len(list))), list...)
	return extension(t, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, list)
}

func TestDescribe(t *testing.T) {
	chain := testChain(t, start, newKey(t).Public(), func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{sctExtension(t, 7, start, start.Add(time.Second))}
	})
	got, err := Describe(chain)
	if err != nil {
		t.Fatal(err)
	}
	log := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	want := Certificate{
		ID: ID(chain[0]), Names: []string{"a.example", "*.a.example"}, Serial: "0abc", Issuer: "CN=Issuing CA,O=Fin Micro", KeyKind: "ecdsa-p256",
		NotBefore: start.Add(-time.Hour), NotAfter: start.Add(90*day - time.Hour), Chain: got.Chain,
		SCTs: []SCT{{log, start}, {log, start.Add(time.Second)}}, RenewAt: got.RenewAt,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	back, err := ParsePEM(PEM(chain))
	if err != nil || !reflect.DeepEqual(back, chain) {
		t.Errorf("PEM and back: %v", err)
	}
	bad := testChain(t, start, newKey(t).Public(), func(c *x509.Certificate) {
		e := sctExtension(t, 7, start)
		e.Value[len(e.Value)-1]++
		e.Value = e.Value[:len(e.Value)-1]
		e.Value[1]--
		c.ExtraExtensions = []pkix.Extension{e}
	})
	if _, err := Describe(bad); err == nil {
		t.Error("a list of promises that is cut off was read")
	}
}

func TestRootIsLeftOut(t *testing.T) {
	chain := testChain(t, start, newKey(t).Public(), nil)
	root := selfSigned(t, newKey(t))
	got, err := parseChain(PEM(append(slices.Clone(chain), root)))
	if err != nil || !reflect.DeepEqual(got, chain) {
		t.Errorf("%d certificates, %v", len(got), err)
	}
	if alone, err := parseChain(PEM([][]byte{root})); err != nil || len(alone) != 1 {
		t.Errorf("a self-signed certificate alone: %d, %v", len(alone), err)
	}
}

func TestCheck(t *testing.T) {
	k := newKey(t)
	csr := makeCSR(t, x509.CertificateRequest{DNSNames: []string{"a.example", "*.a.example"}}, k)
	r := Request{Names: names("a.example", "*.a.example"), Signer: k}
	good := testChain(t, start, k.Public(), nil)
	edited := func(f func(*x509.Certificate)) [][]byte { return testChain(t, start, k.Public(), f) }
	for name, c := range map[string]struct {
		r     Request
		chain [][]byte
		says  string
	}{
		"good":         {r, good, ""},
		"by CSR":       {Request{Names: r.Names, CSR: csr}, good, ""},
		"leaf alone":   {r, good[:1], ""},
		"any use":      {r, edited(func(c *x509.Certificate) { c.ExtKeyUsage = nil }), ""},
		"no key":       {Request{Names: r.Names}, good, "another key"},
		"another key":  {Request{Names: r.Names, Signer: newKey(t)}, good, "another key"},
		"fewer names":  {Request{Names: names("a.example"), Signer: k}, good, "other names"},
		"more names":   {Request{Names: names("a.example", "*.a.example", "b.example"), Signer: k}, good, "other names"},
		"with address": {r, edited(func(c *x509.Certificate) { c.EmailAddresses = []string{"a@a.example"} }), "other names"},
		"authority":    {r, edited(func(c *x509.Certificate) { c.IsCA = true }), "authority's"},
		"for clients":  {r, edited(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), "not for servers"},
		"expired":      {r, edited(func(c *x509.Certificate) { c.NotAfter = start }), "expired"},
		"not yet":      {r, edited(func(c *x509.Certificate) { c.NotBefore = start.Add(2 * time.Hour) }), "valid from"},
		"backwards":    {r, edited(func(c *x509.Certificate) { c.NotAfter = start.Add(-2 * time.Hour) }), "before it begins"},
		"too long":     {Request{Names: r.Names, Signer: k, Validity: 30 * day}, good, "were asked for"},
		"wrong issuer": {r, [][]byte{good[0], testChain(t, start, k.Public(), nil)[1]}, "hang together"},
		"wrong order":  {r, [][]byte{good[1], good[0]}, "other names"},
		"no DER":       {r, [][]byte{[]byte("hello")}, "cannot be read"},
		"nothing":      {r, nil, "not 0"},
		"endless":      {r, make([][]byte, 11), "not 11"},
		"too large":    {r, [][]byte{make([]byte, maxCertificate+1)}, "larger"},
	} {
		err := Check(c.r, c.chain, start)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func FuzzDescribe(f *testing.F) {
	chain := testChain(f, start, newKey(f).Public(), func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{sctExtension(f, 7, start)}
	})
	f.Add(chain[0], chain[1])
	f.Add(selfSigned(f, newKey(f), "a.example"), []byte{})
	f.Fuzz(func(t *testing.T, leaf, issuer []byte) {
		c, err := Describe([][]byte{leaf, issuer})
		if err == nil && (checkID(c.ID) != nil || len(c.Issuer) > 4*maxDetail || len(c.SCTs) > maxSCTs) {
			t.Fatalf("out of bounds: %+v", c)
		}
		Check(Request{Names: names("a.example")}, [][]byte{leaf}, start)
	})
}

// FuzzSCTs goes straight at the one format here that no other package reads.
func FuzzSCTs(f *testing.F) {
	f.Add(sctExtension(f, 1, start).Value)
	f.Add(sctExtension(f, 1, start, start).Value)
	f.Fuzz(func(t *testing.T, value []byte) {
		list, err := embeddedSCTs(&x509.Certificate{Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: value}}})
		if err == nil && len(list) > maxSCTs {
			t.Fatal("endless")
		}
	})
}

func FuzzParsePEM(f *testing.F) {
	f.Add(PEM([][]byte{{1, 2, 3}}))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		chain, err := ParsePEM(raw)
		if err != nil {
			return
		}
		back, err := ParsePEM(PEM(chain))
		if err != nil || !reflect.DeepEqual(back, chain) {
			t.Fatalf("%v, and written and read again %v (%v)", chain, back, err)
		}
	})
}
