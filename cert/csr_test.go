package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"net"
	"net/url"
	"strings"
	"testing"

	"slipway/key"
	"slipway/zone"
)

func makeCSR(t testing.TB, template x509.CertificateRequest, k crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, k)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func extension(t testing.TB, id asn1.ObjectIdentifier, value any) pkix.Extension {
	t.Helper()
	der, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: id, Value: der}
}

func TestParseCSR(t *testing.T) {
	k := newKey(t)
	allowed := names("a.example", "*.a.example")
	csr := func(list ...string) x509.CertificateRequest { return x509.CertificateRequest{DNSNames: list} }
	with := func(f func(*x509.CertificateRequest)) []byte {
		c := csr("a.example")
		f(&c)
		return makeCSR(t, c, k)
	}
	good := makeCSR(t, csr("a.example", "*.a.example"), k)
	forged := append([]byte{}, good...)
	forged[len(forged)-1] ^= 1
	ed := func() crypto.Signer { _, p, _ := ed25519.GenerateKey(rand.Reader); return p }()
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	private, _ := x509.MarshalPKCS8PrivateKey(k)
	// otherName, which package x509 does not tell of: [0] in the place of dNSName [2].
	hidden := extension(t, oidSAN, []asn1.RawValue{
		{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte("a.example")},
		{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: []byte{0x30, 0}},
	})
	encode := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	for name, c := range map[string]struct {
		raw  []byte
		says string // "" when it is good
	}{
		"DER":               {good, ""},
		"PEM":               {encode("CERTIFICATE REQUEST", good), ""},
		"old PEM":           {encode("NEW CERTIFICATE REQUEST", good), ""},
		"some of the names": {makeCSR(t, csr("a.example"), k), ""},
		"common name alone": {makeCSR(t, x509.CertificateRequest{Subject: pkix.Name{CommonName: "a.example"}}, k), ""},
		"usual extensions": {with(func(c *x509.CertificateRequest) {
			c.ExtraExtensions = []pkix.Extension{extension(t, oidBasicConstraints, struct{}{}), extension(t, asn1.ObjectIdentifier{2, 5, 29, 15}, asn1.BitString{Bytes: []byte{0x80}, BitLength: 1})}
		}), ""},
		"another's name": {makeCSR(t, csr("a.example", "b.example"), k), "b.example is not one"},
		"another's CN":   {with(func(c *x509.CertificateRequest) { c.Subject.CommonName = "b.example" }), "not one of the app's"},
		"no name":        {makeCSR(t, csr(), k), "no name"},
		"address":        {with(func(c *x509.CertificateRequest) { c.IPAddresses = []net.IP{{192, 0, 2, 1}} }), "addresses"},
		"e-mail":         {with(func(c *x509.CertificateRequest) { c.EmailAddresses = []string{"a@a.example"} }), "addresses"},
		"URI":            {with(func(c *x509.CertificateRequest) { c.URIs = []*url.URL{{Scheme: "spiffe", Host: "a.example"}} }), "addresses"},
		"hidden name":    {makeCSR(t, x509.CertificateRequest{ExtraExtensions: []pkix.Extension{hidden}}, k), "other names"},
		"authority": {with(func(c *x509.CertificateRequest) {
			c.ExtraExtensions = []pkix.Extension{extension(t, oidBasicConstraints, struct{ CA bool }{true})}
		}), "CA flag"},
		"must-staple": {with(func(c *x509.CertificateRequest) {
			c.ExtraExtensions = []pkix.Extension{extension(t, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, []int{5})}
		}), "extension 1.3.6.1.5.5.7.1.24"},
		"forged":             {forged, "not signed by its own key"},
		"kind not allowed":   {makeCSR(t, csr("a.example"), ed), "another kind"},
		"curve":              {makeCSR(t, csr("a.example"), p224), "another kind"},
		"short key":          {makeCSR(t, csr("a.example"), small), "another kind"},
		"private key":        {encode("PRIVATE KEY", private), "private key"},
		"certificate":        {encode("CERTIFICATE", selfSigned(t, k, "a.example")), "not a certificate request"},
		"two":                {append(encode("CERTIFICATE REQUEST", good), encode("CERTIFICATE REQUEST", good)...), "alone"},
		"something else":     {[]byte("hello"), "PKCS #10"},
		"nothing":            {nil, "PKCS #10"},
		"more than there is": {make([]byte, maxCSR+1), "larger"},
	} {
		t.Run(name, func(t *testing.T) {
			der, err := ParseCSR(c.raw, allowed, []key.Kind{key.ECDSAP256, key.RSA2048})
			switch {
			case c.says == "" && err != nil:
				t.Error(err)
			case c.says != "" && (err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), `"`, ""), c.says)):
				t.Errorf("%v, want %q", err, c.says)
			case err == nil:
				if _, err := x509.ParseCertificateRequest(der); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestParseCSRWithPassword(t *testing.T) {
	template := x509.CertificateRequest{DNSNames: []string{"a.example"}}
	//lint:ignore SA1019 there is no other way to make an attribute
	template.Attributes = []pkix.AttributeTypeAndValueSET{{Type: oidChallengePassword, Value: [][]pkix.AttributeTypeAndValue{{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "secret"}}}}}
	_, err := ParseCSR(makeCSR(t, template, newKey(t)), names("a.example"), key.Kinds())
	if err == nil || !strings.Contains(err.Error(), "password") || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

func TestRequestValidate(t *testing.T) {
	k := newKey(t)
	csr := makeCSR(t, x509.CertificateRequest{DNSNames: []string{"a.example"}}, k)
	many := make([]zone.Name, 101)
	for i := range many {
		many[i] = zone.Name(strings.Repeat("a", i%60+1) + strings.Repeat(".b", i/60) + ".example")
	}
	for name, c := range map[string]struct {
		r    Request
		says string
	}{
		"key":                {Request{ID: "1", Names: names("a.example", "*.b.example"), Signer: k}, ""},
		"CSR":                {Request{ID: "1", Names: names("a.example"), CSR: csr}, ""},
		"no ID":              {Request{Names: names("a.example"), Signer: k}, "no ID"},
		"no name":            {Request{ID: "1", Signer: k}, "not for 0"},
		"many names":         {Request{ID: "1", Names: many, Signer: k}, "not for 101"},
		"twice":              {Request{ID: "1", Names: names("a.example", "a.example"), Signer: k}, "twice"},
		"upper case":         {Request{ID: "1", Names: names("A.example"), Signer: k}, "canonical"},
		"top level":          {Request{ID: "1", Names: names("example"), Signer: k}, "no certificate"},
		"underscore":         {Request{ID: "1", Names: names("_a.example"), Signer: k}, "no certificate"},
		"star inside":        {Request{ID: "1", Names: names("a.*.example"), Signer: k}, "no certificate"},
		"key and CSR":        {Request{ID: "1", Names: names("a.example"), Signer: k, CSR: csr}, "one of the two"},
		"neither":            {Request{ID: "1", Names: names("a.example")}, "one of the two"},
		"CSR of fewer names": {Request{ID: "1", Names: names("a.example", "b.example"), CSR: csr}, "does not ask for b.example"},
		"CSR of others":      {Request{ID: "1", Names: names("b.example"), CSR: csr}, "too much"},
		"negative validity":  {Request{ID: "1", Names: names("a.example"), Signer: k, Validity: -1}, "before it begins"},
	} {
		err := c.r.validate()
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func FuzzParseCSR(f *testing.F) {
	k := newKey(f)
	der := makeCSR(f, x509.CertificateRequest{DNSNames: []string{"a.example"}}, k)
	f.Add(der)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := ParseCSR(raw, names("a.example"), key.Kinds())
		if err != nil {
			return
		}
		csr, err := x509.ParseCertificateRequest(got)
		if err != nil || csr.CheckSignature() != nil {
			t.Fatalf("taken, and it does not prove possession: %v", err)
		}
		for _, n := range csr.DNSNames {
			if n != "a.example" {
				t.Fatalf("taken with the name %q", n)
			}
		}
	})
}
