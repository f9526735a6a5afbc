package timestamp

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	other "github.com/digitorus/timestamp"

	"slipway/audit/timestamp/tsatest"
)

var checkpoint = []byte("slipway.finmicro.example/log\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— slipway.finmicro.example/log AAAA\n")

func authority(t testing.TB, tsa *tsatest.TSA) *Authority {
	t.Helper()
	roots, err := ReadRoots(tsa.Root)
	if err != nil {
		t.Fatal(err)
	}
	return &Authority{URL: tsa.URL, Roots: roots}
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

// A token of OpenSSL's authority is good here, to OpenSSL and to another library, and none
// of them takes it for other content.
func TestStamp(t *testing.T) {
	for name, s := range map[string]tsatest.Settings{
		"ecdsa":           {},
		"rsa":             {Key: tsatest.RSA(t), Digest: "sha512", ESS: "sha512"},
		"certificate v1":  {ESS: "sha1"},
		"sha384":          {Digest: "sha384", ESS: "sha384"},
		"other extension": {Usage: []pkix.Extension{tsatest.TimestampsOnly, {Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: []byte{5, 0}}}},
	} {
		t.Run(name, func(t *testing.T) {
			tsa := tsatest.New(t, s)
			a := authority(t, tsa)
			before := time.Now().Add(-time.Second)
			token, at, signer, err := a.Stamp(t.Context(), checkpoint)
			if err != nil {
				t.Fatal(err)
			}
			if at.Before(before) || at.After(time.Now().Add(time.Second)) || signer.Subject.CommonName != "Time Stamper" {
				t.Errorf("%s by %s", at, signer.Subject)
			}
			again, _, err := Verify(token, checkpoint, a.Roots)
			if err != nil || !again.Equal(at) {
				t.Errorf("%s, %v", again, err)
			}
			theirs, err := other.Parse(token)
			if err != nil || !theirs.Time.Equal(at) {
				t.Errorf("another library: %+v, %v", theirs, err)
			}
			if !tsa.Verifies(t, token, checkpoint) {
				t.Error("openssl ts -verify does not agree")
			}
			altered := append(bytes.Clone(checkpoint), '\n')
			if _, _, err := Verify(token, altered, a.Roots); err == nil || tsa.Verifies(t, token, altered) {
				t.Errorf("other content: %v", err)
			}
			if _, _, err := Verify(token, checkpoint, nil); err == nil {
				t.Error("nobody is trusted")
			}
			if _, _, err := Verify(token, checkpoint, authority(t, tsatest.New(t, tsatest.Settings{})).Roots); err == nil {
				t.Error("another root is trusted")
			}
		})
	}
}

// Whoever changes one byte of a token, whichever, makes it say nothing else: it is refused,
// or the byte was one of those that nothing depends on.
func TestEveryByteOfAToken(t *testing.T) {
	tsa := tsatest.New(t, tsatest.Settings{})
	a := authority(t, tsa)
	token, at, signer, err := a.Stamp(t.Context(), checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	for i := range token {
		altered := bytes.Clone(token)
		altered[i] ^= 1
		when, who, err := Verify(altered, checkpoint, a.Roots)
		if err == nil && (!when.Equal(at) || !who.Equal(signer)) {
			t.Errorf("byte %d: it says another thing: %s by %s", i, when, who.Subject)
		}
	}
}

func TestRefusedAuthorities(t *testing.T) {
	for name, tt := range map[string]struct {
		settings tsatest.Settings
		says     string
	}{
		"expired":        {tsatest.Settings{NotBefore: time.Now().Add(-3 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}, "expired"},
		"sha1 signature": {tsatest.Settings{Digest: "sha1"}, "not SHA-256"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, _, err := authority(t, tsatest.New(t, tt.settings)).Stamp(t.Context(), checkpoint)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v", err)
			}
		})
	}
}

// OpenSSL does not stamp with such a certificate, others might.
func TestForTimestamps(t *testing.T) {
	oid := func(last byte) []byte { return []byte{0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, last} }
	usage := func(critical bool, oids ...[]byte) []pkix.Extension {
		list := bytes.Join(oids, nil)
		return []pkix.Extension{{Id: oidExtendedKeyUsage, Critical: critical, Value: append([]byte{0x30, byte(len(list))}, list...)}}
	}
	for name, tt := range map[string]struct {
		usage []pkix.Extension
		good  bool
	}{
		"timestamps":        {usage(true, oid(8)), true},
		"not critical":      {usage(false, oid(8)), false},
		"servers too":       {usage(true, oid(8), oid(1)), false},
		"something unknown": {usage(true, oid(8), oid(99)), false},
		"servers":           {usage(true, oid(1)), false},
		"unrestricted":      {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			key := tsatest.ECDSA(t)
			template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, ExtraExtensions: tt.usage}
			der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
			if err != nil {
				t.Fatal(err)
			}
			c, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			if err := forTimestamps(c); (err == nil) != tt.good {
				t.Errorf("%v", err)
			}
		})
	}
}

// The signature is good for the certificate that it names and for no other, also not for
// one of the same key (RFC 5816).
func TestOneCertificateIsMeant(t *testing.T) {
	key := tsatest.ECDSA(t)
	for _, ess := range []string{"sha1", "sha256", "sha512"} {
		first, second := tsatest.New(t, tsatest.Settings{Key: key, ESS: ess}), tsatest.New(t, tsatest.Settings{Key: key, ESS: ess})
		one, _, _, err := authority(t, first).Stamp(t.Context(), checkpoint)
		if err != nil {
			t.Fatal(err)
		}
		_, _, other, err := authority(t, second).Stamp(t.Context(), checkpoint)
		if err != nil {
			t.Fatal(err)
		}
		tok, err := parse(one)
		if err != nil {
			t.Fatal(err)
		}
		own, err := tok.certificate()
		if err != nil {
			t.Fatal(err)
		}
		if err := tok.signed(own); err != nil {
			t.Errorf("%s: %v", ess, err)
		}
		if err := tok.signed(other); err == nil || !strings.Contains(err.Error(), "not the one that was signed with") {
			t.Errorf("%s: another certificate of the same key: %v", ess, err)
		}
	}
}

// An authority, or whoever stands between, that answers with something else is refused
// with a reason.
func TestRefusedAnswers(t *testing.T) {
	tsa := tsatest.New(t, tsatest.Settings{})
	a := authority(t, tsa)
	var kept []byte
	tsa.Change = func(status int, raw []byte) (int, []byte) { kept = raw; return status, raw }
	if _, _, _, err := a.Stamp(t.Context(), checkpoint); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		status int
		answer []byte
		says   string
	}{
		"an earlier answer":  {200, kept, "another request"},
		"a refusal":          {200, reply(t, 2, "no more today"), "no more today"},
		"no token":           {200, reply(t, 0, ""), "no token"},
		"not found":          {404, kept, "404"},
		"not a response":     {200, []byte("<html>"), "not a timestamp response"},
		"trailing bytes":     {200, append(bytes.Clone(kept), 0), "do not belong"},
		"larger than any is": {200, make([]byte, MaxToken+1), "more than"},
		"nothing":            {200, nil, "not a timestamp response"},
	} {
		t.Run(name, func(t *testing.T) {
			tsa.Change = func(int, []byte) (int, []byte) { return tt.status, tt.answer }
			if _, _, _, err := a.Stamp(t.Context(), checkpoint); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v", err)
			}
		})
	}
	tsa.Change = nil
	a.Now = func() time.Time { return time.Now().Add(time.Hour) }
	if _, _, _, err := a.Stamp(t.Context(), checkpoint); err == nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("an hour off: %v", err)
	}
	a = &Authority{URL: "http://127.0.0.1:1", Roots: a.Roots, Client: &http.Client{}}
	if _, _, _, err := a.Stamp(t.Context(), checkpoint); err == nil {
		t.Error("nobody answers")
	}
}

// The request is one that another library reads as it was meant.
func TestRequest(t *testing.T) {
	a := &Authority{Random: bytes.NewReader(bytes.Repeat([]byte{7}, nonceSize))}
	nonce, query, err := a.request(checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	r, err := other.ParseRequest(query)
	if err != nil {
		t.Fatal(err)
	}
	want := new(big.Int).SetBytes(bytes.Repeat([]byte{7}, nonceSize))
	if r.HashAlgorithm != crypto.SHA256 || !bytes.Equal(r.HashedMessage, digest(crypto.SHA256, checkpoint)) || !r.Certificates || r.Nonce.Cmp(want) != 0 || nonce.Cmp(want) != 0 {
		t.Errorf("%+v", r)
	}
	a.Random = strings.NewReader("short")
	if _, _, err := a.request(checkpoint); err == nil {
		t.Error("a nonce out of nothing")
	}
}

func TestReadRoots(t *testing.T) {
	for name, tt := range map[string]struct{ text, says string }{
		"nothing":     {"", "no PEM block"},
		"a key":       {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "not a CERTIFICATE"},
		"not a cert":  {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "number 1"},
		"only prose ": {"see the other file", "no PEM block"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ReadRoots([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v", err)
			}
		})
	}
	many := bytes.Repeat(tsatest.New(t, tsatest.Settings{}).Root, maxRoots+1)
	if _, err := ReadRoots(many); err == nil {
		t.Error("too many were read")
	}
}

func FuzzVerify(f *testing.F) {
	tsa := tsatest.New(f, tsatest.Settings{})
	a := authority(f, tsa)
	token, at, signer, err := a.Stamp(f.Context(), checkpoint)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add(token[:len(token)/2])
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if when, who, err := Verify(raw, checkpoint, a.Roots); err == nil && (!when.Equal(at) || !who.Equal(signer)) {
			t.Fatalf("another time was believed: %s by %s", when, who.Subject)
		}
	})
}

func FuzzResponse(f *testing.F) {
	f.Add(reply(f, 2, "no"))
	f.Add(reply(f, 0, ""))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if token, err := granted(raw); err == nil && len(token) == 0 {
			t.Fatal("a token of nothing")
		}
	})
}

func FuzzReadRoots(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if pool, err := ReadRoots(raw); err == nil && pool.Equal(x509.NewCertPool()) {
			t.Fatal("no roots and no error")
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	a := authority(b, tsatest.New(b, tsatest.Settings{}))
	token, _, _, err := a.Stamp(b.Context(), checkpoint)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := Verify(token, checkpoint, a.Roots); err != nil {
			b.Fatal(err)
		}
	}
}
