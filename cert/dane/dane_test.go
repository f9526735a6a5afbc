package dane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"slipway/zone"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

type issued struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func issue(t *testing.T, by *issued, name string, end time.Time) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(int64(len(name))), Subject: pkix.Name{CommonName: name}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: end}
	if strings.Contains(name, ".") {
		c.DNSNames, c.ExtKeyUsage = []string{name}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	} else {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{out, key}
}

func of(usage Usage, selector, matching uint8, c *x509.Certificate) Record {
	whole := c.Raw
	if selector == 1 {
		whole = c.RawSubjectPublicKeyInfo
	}
	switch matching {
	case 1:
		sum := sha256.Sum256(whole)
		whole = sum[:]
	case 2:
		sum := sha512.Sum512(whole)
		whole = sum[:]
	}
	return Record{usage, selector, matching, whole}
}

func TestVerify(t *testing.T) {
	const host = "pay.finmicro.example"
	year := now.AddDate(1, 0, 0)
	root := issue(t, nil, "root", year)
	middle := issue(t, root, "middle", year)
	leaf := issue(t, middle, host, year)
	old := issue(t, middle, host, now.AddDate(0, -1, 0))
	elsewhere := issue(t, middle, "www.other.example", year)
	chain := func(list ...*issued) (out []*x509.Certificate) {
		for _, i := range list {
			out = append(out, i.cert)
		}
		return out
	}
	roots := x509.NewCertPool()
	roots.AddCert(root.cert)
	whole := chain(leaf, middle, root)
	for name, c := range map[string]struct {
		record Record
		chain  []*x509.Certificate
		roots  *x509.CertPool
		ok     bool
	}{
		"3 1 1":                               {of(DANEEE, 1, 1, leaf.cert), whole, nil, true},
		"3 1 2":                               {of(DANEEE, 1, 2, leaf.cert), whole, nil, true},
		"3 0 0":                               {of(DANEEE, 0, 0, leaf.cert), whole, nil, true},
		"3 1 1, expired":                      {of(DANEEE, 1, 1, old.cert), chain(old), nil, true},
		"3 1 1, another name":                 {of(DANEEE, 1, 1, elsewhere.cert), chain(elsewhere), nil, true},
		"3 1 1 of another key":                {of(DANEEE, 1, 1, old.cert), whole, nil, false},
		"3 1 1 of the authority":              {of(DANEEE, 1, 1, middle.cert), whole, nil, false},
		"2 0 1 of the root":                   {of(DANETA, 0, 1, root.cert), whole, nil, true},
		"2 1 1 of the intermediate":           {of(DANETA, 1, 1, middle.cert), chain(leaf, middle), nil, true},
		"2 0 1, root not sent":                {of(DANETA, 0, 1, root.cert), chain(leaf, middle), nil, false},
		"2 0 0, root in the record":           {of(DANETA, 0, 0, root.cert), chain(leaf, middle), nil, true},
		"2 1 1, expired":                      {of(DANETA, 1, 1, middle.cert), chain(old, middle), nil, false},
		"2 1 1, another name":                 {of(DANETA, 1, 1, middle.cert), chain(elsewhere, middle), nil, false},
		"2 1 1, not the issuer":               {of(DANETA, 1, 1, issue(t, nil, "x", year).cert), whole, nil, false},
		"2 1 1 of the server itself":          {of(DANETA, 1, 1, leaf.cert), whole, nil, false},
		"1 1 1, trusted":                      {of(PKIXEE, 1, 1, leaf.cert), whole, roots, true},
		"1 1 1, not trusted":                  {of(PKIXEE, 1, 1, leaf.cert), whole, nil, false},
		"1 1 1 of another key":                {of(PKIXEE, 1, 1, old.cert), whole, roots, false},
		"0 1 1, trusted":                      {of(PKIXTA, 1, 1, middle.cert), chain(leaf, middle), roots, true},
		"0 1 1, not trusted":                  {of(PKIXTA, 1, 1, middle.cert), chain(leaf, middle), nil, false},
		"0 1 1 of the server itself":          {of(PKIXTA, 1, 1, leaf.cert), whole, roots, false},
		"an authority that only came along":   {of(DANETA, 1, 1, issue(t, nil, "y", year).cert), chain(leaf, middle, issue(t, nil, "y", year)), nil, false},
		"nothing shown":                       {of(DANEEE, 1, 1, leaf.cert), nil, nil, false},
		"the whole certificate of another CA": {Record{DANETA, 0, 0, []byte("no certificate")}, whole, nil, false},
	} {
		got, err := Verify([]Record{{9, 9, 9, nil}, c.record}, Presented{Chain: c.chain, Host: host, Now: now, Roots: c.roots})
		if c.ok != (err == nil) || c.ok && got.String() != c.record.String() || err != nil && !errors.Is(err, ErrMismatch) {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	for name, records := range map[string][]Record{
		"none": nil, "unknown usage": {{4, 1, 1, make([]byte, 32)}}, "unknown selector": {{3, 2, 1, make([]byte, 32)}},
		"unknown matching": {{3, 1, 3, make([]byte, 32)}}, "short": {{3, 1, 1, make([]byte, 31)}}, "empty": {{3, 1, 0, nil}},
	} {
		if _, err := Verify(records, Presented{Chain: whole, Host: host, Now: now}); !errors.Is(err, ErrUnusable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSet(t *testing.T) {
	year := now.AddDate(1, 0, 0)
	current, next := issue(t, nil, "a.b", year), issue(t, nil, "c.d", year)
	set, err := Set("pay.finmicro.example", 443, "tcp", 3600, current.cert.RawSubjectPublicKeyInfo, next.cert.RawSubjectPublicKeyInfo, current.cert.RawSubjectPublicKeyInfo)
	if err != nil || set.Name != "_443._tcp.pay.finmicro.example" || set.Type != "TLSA" || set.TTL != 3600 || len(set.Values) != 2 {
		t.Fatalf("%+v %v", set, err)
	}
	for _, i := range []*issued{current, next} {
		// As the DNS library makes it.
		want := &dns.TLSA{Hdr: dns.RR_Header{Rrtype: dns.TypeTLSA, Class: dns.ClassINET}}
		if err := want.Sign(3, 1, 1, i.cert); err != nil {
			t.Fatal(err)
		}
		if value := "3 1 1 " + strings.ToLower(want.Certificate); !slices.Contains(set.Values, value) {
			t.Errorf("%v lacks %s", set.Values, value)
		}
		if !Covers(set, i.cert.RawSubjectPublicKeyInfo) {
			t.Error("the set does not cover its own key")
		}
	}
	if Covers(set, []byte("another")) {
		t.Error("the set covers another key")
	}
	if _, err := Set("*.finmicro.example", 443, "tcp", 300, []byte("x")); err == nil {
		t.Error("a wildcard is taken")
	}
	if _, err := Set("pay.finmicro.example", 443, "tcp", 300); err == nil {
		t.Error("a set without keys")
	}
	if n, err := Name(zone.Name("."+"x"), 25, "tcp"); err == nil {
		t.Errorf("%s", n)
	}
}

// OpenSSL, which has its own DANE, agrees.
func TestAgreesWithOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	c := issue(t, nil, "a.b", now.AddDate(1, 0, 0)).cert
	file := filepath.Join(t.TempDir(), "cert.der")
	if err := os.WriteFile(file, c.Raw, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `"$0" x509 -inform der -in "$1" -noout -pubkey | "$0" pkey -pubin -outform der | "$0" dgst -sha256 -r`, openssl, file).Output()
	if err != nil {
		t.Fatal(err)
	}
	digest, _, _ := strings.Cut(string(out), " ")
	if got := ForKey(c.RawSubjectPublicKeyInfo).String(); got != "3 1 1 "+digest {
		t.Errorf("%s, openssl says %s", got, digest)
	}
}

// A client of another make, over a real connection, takes and refuses the same records.
func TestAgreesWithOpenSSLClient(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	const host = "pay.finmicro.example"
	end := time.Now().AddDate(1, 0, 0)
	root := issue(t, nil, "root", end)
	middle := issue(t, root, "middle", end)
	leaf, other := issue(t, middle, host, end), issue(t, middle, host, end)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{
		Certificate: [][]byte{leaf.cert.Raw, middle.cert.Raw, root.cert.Raw}, PrivateKey: leaf.key,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				// The client's end of input ends it.
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	for name, r := range map[string]Record{
		"3 1 1": of(DANEEE, 1, 1, leaf.cert), "3 0 2": of(DANEEE, 0, 2, leaf.cert), "2 1 1": of(DANETA, 1, 1, middle.cert), "2 0 1": of(DANETA, 0, 1, root.cert),
		"another key": of(DANEEE, 1, 1, other.cert), "no authority": of(DANETA, 1, 1, other.cert),
	} {
		_, ours := Verify([]Record{r}, Presented{Chain: []*x509.Certificate{leaf.cert, middle.cert, root.cert}, Host: host, Now: time.Now()})
		c := exec.CommandContext(t.Context(), openssl, "s_client", "-connect", ln.Addr().String(), "-servername", host,
			"-dane_tlsa_domain", host, "-dane_tlsa_rrdata", r.String(), "-verify_return_error", "-brief")
		out, theirs := c.CombinedOutput()
		if (ours == nil) != (theirs == nil) {
			t.Errorf("%s: we say %v, openssl says %v\n%s", name, ours, theirs, out)
		}
	}
}

func TestParseRecord(t *testing.T) {
	r, err := ParseRecord("3 1 1 ABCD ef")
	if err != nil || r.String() != "3 1 1 abcdef" {
		t.Errorf("%v %v", r, err)
	}
	for _, bad := range []string{"", "3 1 1", "3 1 256 ab", "3 1 x ab", "3 1 1 abc", "-1 1 1 ab", "3 1 1 " + strings.Repeat("ab", maxData+1)} {
		if r, err := ParseRecord(bad); err == nil {
			t.Errorf("%.20q is read as %v", bad, r.Usage)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add("3 1 1 abcdef")
	f.Add("2 0 0 30 82")
	f.Fuzz(func(t *testing.T, value string) {
		r, err := ParseRecord(value)
		if err != nil {
			return
		}
		again, err := ParseRecord(r.String())
		if len(r.Data) > 0 && (err != nil || again.String() != r.String()) {
			t.Fatalf("%v becomes %v (%v)", r, again, err)
		}
	})
}
