package lint

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"
)

func TestParseDMARC(t *testing.T) {
	for _, c := range []struct{ txt, wrong string }{
		{"v=DMARC1; p=reject", ""},
		{"v=DMARC1;p=none;", ""},
		{"v = DMARC1 ; p = quarantine ; sp=none; np=reject; adkim=s; aspf=r; t=y; psd=n; fo=1:d:s; rua=mailto:a@x.test!10m,mailto:b@x.test; ruf=https://x.test/r", ""},
		{"v=DMARC1; p=reject; pct=50; rf=afrf; ri=86400; x=unknown", ""},
		{"p=reject; v=DMARC1", "begin"},
		{"v=DMARC1.1; p=reject", "begin"},
		{"v=dmarc1; p=reject", "begin"},
		{"v=DMARC1; p=rejected", "not one of"},
		{"v=DMARC1; sp=none", "no p="},
		{"v=DMARC1; p=none; p=reject", "twice"},
		{"v=DMARC1 p=reject", "begin"},
		{"v=DMARC1; p=reject; rua=a@x.test", "mailto"},
		{"v=DMARC1; p=reject; rua=mailto:x.test", "no e-mail"},
		{"v=DMARC1; p=reject; pct=101", "0 to 100"},
		{"v=DMARC1; p=reject; fo=x", "fo="},
		{"v=DMARC1; p=reject; aspf=strict", "not one of"},
		{"v=DMARC1; preject", "name=value"},
	} {
		_, err := parseDMARC(c.txt)
		if (err == nil) != (c.wrong == "") || (err != nil && !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%s: got %v, want %q", c.txt, err, c.wrong)
		}
	}
}

func rsaRecord(t *testing.T, bits int, pkcs1 bool) string {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	der := x509.MarshalPKCS1PublicKey(&key.PublicKey)
	if !pkcs1 {
		if der, err = x509.MarshalPKIXPublicKey(&key.PublicKey); err != nil {
			t.Fatal(err)
		}
	}
	return base64.StdEncoding.EncodeToString(der)
}

func TestParseDKIM(t *testing.T) {
	good := rsaRecord(t, 2048, false)
	for _, c := range []struct{ name, txt, weak, wrong string }{
		{"rsa", "v=DKIM1; k=rsa; p=" + good, "", ""},
		{"bare key, no version", "p=" + rsaRecord(t, 2048, true), "", ""},
		{"spaces in the key", "v=DKIM1; p=" + good[:50] + " " + good[50:], "", ""},
		{"1024 bits", "v=DKIM1; p=" + rsaRecord(t, 1024, false), "1024 bits", ""},
		{"512 bits", "v=DKIM1; p=" + rsaRecord(t, 512, false), "", "512 bits"},
		{"cut off", "v=DKIM1; p=" + good[:200], "", "cut off"},
		{"not base64", "v=DKIM1; p=!!", "", "base64"},
		{"taken back", "v=DKIM1; p=", "", ""},
		{"ed25519", "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "", ""},
		{"ed25519, short", "v=DKIM1; k=ed25519; p=AAAA", "", "3 bytes"},
		{"other type", "v=DKIM1; k=dsa; p=AAAA", "", "key type"},
		{"testing", "v=DKIM1; t=s:y; p=" + good, "being tested", ""},
		{"no key", "v=DKIM1; k=rsa", "", "no p="},
		{"version last", "p=" + good + "; v=DKIM1", "", "first"},
	} {
		weak, err := parseDKIM(c.txt)
		if (err == nil) != (c.wrong == "") || (err != nil && !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.wrong)
		}
		if (weak == "") != (c.weak == "") || !strings.Contains(weak, c.weak) {
			t.Errorf("%s: weak %q, want %q", c.name, weak, c.weak)
		}
	}
}

func TestText(t *testing.T) {
	for value, want := range map[string]string{
		`"v=spf1 -all"`:          "v=spf1 -all",
		`"one " "two"`:           "one two",
		`"a\"b" "\\" "\059\195"`: "a\"b\\;\xc3",
		`bare`:                   "bare",
		`"\`:                     `\`,
		``:                       "",
	} {
		if got := text(value); got != want {
			t.Errorf("text(%s) = %q, want %q", value, got, want)
		}
	}
}

func FuzzParseTags(f *testing.F) {
	for _, s := range []string{"v=DMARC1; p=reject; rua=mailto:a@x.test!10m", "v=DKIM1; k=rsa; t=y; p=AAAA", "v=DKIM1;k=ed25519;p=", ";;=", "p=\xff", "v=STSv1; id=1", "v=TLSRPTv1; rua=mailto:a@x.test,https://x.test/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, txt string) {
		tags, err := parseDMARC(txt)
		if err == nil {
			if p, ok := value(tags, "p"); !ok || p == "" {
				t.Errorf("%q is valid without a policy", txt)
			}
		}
		if lacks := dmarcLacks([]string{txt}, tags); err == nil && len(lacks) > 0 {
			t.Errorf("%q does not meet itself: %q", txt, lacks)
		}
		if parseSTS(txt) == nil && parseTLSRPT(txt) == nil && !strings.Contains(txt, "rua") {
			t.Errorf("%q asks for reports to nobody", txt)
		}
		if weak, err := parseDKIM(txt); err != nil && weak != "" {
			t.Errorf("%q is both weak and invalid", txt)
		}
	})
}

func FuzzText(f *testing.F) {
	for _, s := range []string{`"a" "b"`, `\`, `"\25`, `"\999"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got := text(value); len(got) > len(value) {
			t.Errorf("text(%q) grew to %q", value, got)
		}
	})
}
