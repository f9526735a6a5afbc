package repo

import (
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/zone"
)

const certificateSettings = `
zones:
  apps.finmicro.example: {visibility: internal}
  finmicro.example: {visibility: external}
groups:
  pki: {members: [pia@finmicro.example]}
certificates:
  authorities:
    inside: {type: embedded, lifetime: 14d}
    outside:
      directory: https://acme.example/directory
      contact: [pki@finmicro.example]
      eab: {kid: kid-1, hmac: "env:ACME_EAB"}
      roots: pki/root.pem
      profile: shortlived
      caa: ca.example
      public: true
    spare: {directory: https://spare.example/directory, public: true}
  rules:
    - {visibility: internal, use: [inside]}
    - {zones: [finmicro.example], use: [outside, spare]}
  keys: {store: "pkcs11:token=slipway", former: ["file:"], type: ecdsa-p384}
  own-keys: 12h
  renewals-per-hour: 50
  managers: [pki]
  logs:
    - {name: example-2026h2, url: "https://log.example/2026h2/", key: MFkwEwYHKoZIzj0CAQ==}
`

func TestParseCertificates(t *testing.T) {
	s, err := ParseSettings("slipway.yaml", []byte(certificateSettings))
	if err != nil {
		t.Fatal(err)
	}
	c := s.Certificates
	if got := c.Authorities["outside"]; got.Type != "acme" || got.EABKeyID != "kid-1" || got.EABSecret != "env:ACME_EAB" || got.CAA != "ca.example" || !got.Public || got.Profile != "shortlived" || got.Roots != "pki/root.pem" {
		t.Errorf("outside: %+v", got)
	}
	if c.Authorities["inside"].Lifetime != 14*24*time.Hour || c.KeyKind != "ecdsa-p384" || c.KeyStore != "pkcs11:token=slipway" || c.OwnKeys != 12*time.Hour || c.PerHour != 50 {
		t.Errorf("settings: %+v", c)
	}
	if !slices.Equal(c.Managers, []string{"pki"}) {
		t.Errorf("managers: %v", c.Managers)
	}
	if len(c.Logs) != 1 || c.Logs[0].URL != "https://log.example/2026h2" || c.Logs[0].Type != "static" {
		t.Errorf("logs: %+v", c.Logs)
	}
}

func TestAuthoritiesFor(t *testing.T) {
	s, err := ParseSettings("slipway.yaml", []byte(certificateSettings))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		names []zone.Name
		want  string // or a part of the error
	}{
		{[]zone.Name{"a.apps.finmicro.example"}, "inside"},
		{[]zone.Name{"a.finmicro.example"}, "outside spare"},
		// One name that only the inside knows keeps the whole certificate inside.
		{[]zone.Name{"a.finmicro.example", "a.apps.finmicro.example"}, "inside"},
		{[]zone.Name{"a.other.example"}, "none of the zones"},
	} {
		got, err := s.AuthoritiesFor(c.names)
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: %v, want %q", c.names, err, c.want)
			}
			continue
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v: %v, want %s", c.names, got, c.want)
		}
	}
}

func TestCertificatesRefused(t *testing.T) {
	const head = "certificates:\n  "
	for text, want := range map[string]string{
		"authorities: {a: {directory: http://acme.example/}}":                                  "is not an https address",
		"authorities: {a: {}}":                                                                 "has no directory",
		"authorities: {a: {type: embedded, public: true}}":                                     "is the server's own",
		"authorities: {a: {directory: https://a.example/, eab: {kid: k}}}":                     "half of what it needs",
		"authorities: {a: {directory: https://a.example/, eab: {kid: k, hmac: c2VjcmV0c2Vj}}}": "is not a reference to a secret",
		"authorities: {a: {directory: https://a.example/, roots: ../../etc/passwd}}":           "is not a path in the repository",
		"authorities: {a: {type: embedded}, b: {type: embedded}}":                              "2 are embedded",
		"rules: [{use: [nobody]}]":                                                             "is not defined",
		"rules: [{visibility: internal}]":                                                      "names no authority",
		"rules: {use: [internal]}":                                                             "must be a list",
		"keys: {type: rsa-1024}":                                                               "rsa-1024",
		"own-keys: 400d":                                                                       "not a usable length of time",
		"managers: [nobody]":                                                                   "is not defined",
		"logs: [{name: l, url: 'ftp://l.example', key: AAAA}]":                                 "is not an address",
		"logs: [{name: l, url: 'https://l.example', key: '***'}]":                              "not base64",
		"logs: [{name: l, url: 'https://l.example'}]":                                          "needs a name, a url and a key",
	} {
		_, err := ParseSettings("slipway.yaml", []byte(head+text+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n  got  %v\n  want %s", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "c2VjcmV0c2Vj") {
			t.Errorf("%s: the error shows what may be a secret: %v", text, err)
		}
	}
}

func TestCertificateNames(t *testing.T) {
	a := &App{Hostname: "shop.example", Records: []zone.RRSet{
		{Name: "shop.example", Type: "A"}, {Name: "www.shop.example", Type: "CNAME"}, {Name: "_acme.shop.example", Type: "CNAME"}, {Name: "mail.shop.example", Type: "MX"},
	}}
	if got := a.CertificateNames(); !slices.Equal(got, []zone.Name{"shop.example", "www.shop.example"}) {
		t.Errorf("got %v", got)
	}
}

func TestUpstream(t *testing.T) {
	for _, bad := range []string{"yes", "ftp://a.example", "http://", "http://u:p@a.example", "http://a.example/?q", "file:///etc/passwd"} {
		if u, err := (&App{Upstream: bad}).UpstreamURL(); err == nil {
			t.Errorf("%s: %v", bad, u)
		}
	}
	if u, err := (&App{Upstream: "http://10.1.2.3:8080/base"}).UpstreamURL(); err != nil || u.Host != "10.1.2.3:8080" {
		t.Errorf("%v %v", u, err)
	}
}
