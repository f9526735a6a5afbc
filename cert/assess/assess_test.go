package assess

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/check/finding"
	"slipway/repo"
	"slipway/zone"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

const settingsYAML = `organisation: Fin Micro Ltd
domain: finmicro.example
zones:
  finmicro.example: {visibility: external}
  apps.finmicro.example: {visibility: internal}
  office.internal: {visibility: internal}
certificates:
  authorities:
    internal: {type: embedded, lifetime: 90d}
    public: {directory: 'https://acme.example/directory', public: true, caa: acme.example, lifetime: 90d}
    spare: {directory: 'https://spare.example/directory', public: true, caa: spare.example}
  rules:
    - {visibility: internal, use: [internal]}
    - {use: [public, spare]}
`

const appYAML = `owner: ana@finmicro.example
exposure: external
data: [financial]
hostname: pay.finmicro.example
mtls: required
certificate: true
records:
  - {name: pay.finmicro.example, type: A, ttl: 300, values: [198.51.100.20]}
  - {name: "*.pay.finmicro.example", type: CNAME, ttl: 300, values: [pay.finmicro.example]}
  - {name: www.finmicro.example, type: CNAME, ttl: 300, values: [pay.finmicro.example]}
  - {name: _x.pay.finmicro.example, type: TXT, ttl: 300, values: [x]}
`

func settings(t *testing.T, change func(string) string) *repo.Settings {
	t.Helper()
	src := settingsYAML
	if change != nil {
		if src = change(src); src == settingsYAML {
			t.Fatal("nothing is changed")
		}
	}
	s, err := repo.ParseSettings("slipway.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func app(t *testing.T, src string) *repo.App {
	t.Helper()
	a, err := repo.ParseApp("apps/pay.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestWanted(t *testing.T) {
	f, err := Wanted(app(t, appYAML), settings(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	want := []Name{
		{"pay.finmicro.example", false, true, true, "finmicro.example", "external"},
		{"*.pay.finmicro.example", true, true, true, "finmicro.example", "external"},
		{"www.finmicro.example", false, true, false, "finmicro.example", "external"},
	}
	if !slices.Equal(f.Names, want) || f.Key != (Key{"ecdsa", 256}) || f.Days != 90 || !f.MTLS || f.Exposure != "external" || !slices.Equal(f.Data, []string{"financial"}) || f.Line != 6 || f.Path != "apps/pay.yaml" {
		t.Errorf("%+v", f)
	}
	if !slices.Equal(f.Authorities, []Authority{{Name: "public", Public: true}, {Name: "spare", Public: true}}) {
		t.Errorf("%+v", f.Authorities)
	}
	if found := f.Findings(now); len(found) > 0 {
		t.Errorf("%+v", found)
	}
	if _, err := Wanted(app(t, strings.ReplaceAll(appYAML, "finmicro.example", "other.example")), settings(t, nil)); err == nil {
		t.Error("names of nobody's zone have an authority")
	}
}

func rules(list []finding.Finding) string {
	var out []string
	for _, f := range list {
		out = append(out, f.Rule+":"+string(f.Severity))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestFindings(t *testing.T) {
	good := Facts{
		App: "pay", Path: "apps/pay.yaml", Names: []Name{{Name: "pay.finmicro.example", Own: true, Zone: "finmicro.example"}},
		Key: Key{"ecdsa", 256}, Days: 90, Authorities: []Authority{{Name: "public", Public: true}},
	}
	for name, c := range map[string]struct {
		change func(*Facts)
		want   string
	}{
		"good":                {func(f *Facts) {}, ""},
		"weak RSA":            {func(f *Facts) { f.Key = Key{"rsa", 1024} }, "certificate-key-weak:deny"},
		"RSA":                 {func(f *Facts) { f.Key = Key{"rsa", 2048} }, ""},
		"weak curve":          {func(f *Facts) { f.Key = Key{"ecdsa", 224} }, "certificate-key-not-public:deny certificate-key-weak:deny"},
		"unknown key":         {func(f *Facts) { f.Key = Key{} }, "certificate-key-not-public:deny certificate-key-weak:deny"},
		"Ed25519 in public":   {func(f *Facts) { f.Key = Key{"ed25519", 256} }, "certificate-key-not-public:deny"},
		"Ed25519 inside":      {func(f *Facts) { f.Key, f.Authorities = Key{"ed25519", 256}, []Authority{{Name: "internal"}} }, ""},
		"long":                {func(f *Facts) { f.Days = 201 }, "certificate-lives-too-long:deny"},
		"long inside":         {func(f *Facts) { f.Days, f.Authorities = 365, []Authority{{Name: "internal"}} }, ""},
		"a name of a network": {func(f *Facts) { f.Names[0].Name = "pay.office.internal" }, "certificate-name-not-public:deny"},
		"a name of a network inside": {func(f *Facts) {
			f.Names[0].Name, f.Authorities = "pay.office.internal", []Authority{{Name: "internal"}}
		}, ""},
		"another's name":    {func(f *Facts) { f.Names[0].Own = false }, "certificate-name-not-the-apps:deny"},
		"a stranger's name": {func(f *Facts) { f.Names[0].Own, f.Names[0].Zone = false, "" }, "certificate-name-not-ours:deny"},
		"of no app":         {func(f *Facts) { f.App, f.Names[0].Own = "", false }, ""},
		"CAA forbids":       {func(f *Facts) { f.Authorities[0].Forbidden = "No." }, "certificate-caa-forbids:deny"},
		"CAA forbids one":   {func(f *Facts) { f.Authorities = append(f.Authorities, Authority{Name: "x", Forbidden: "No."}) }, "certificate-caa-forbids:warn"},
	} {
		f := good
		f.Names, f.Authorities = slices.Clone(good.Names), slices.Clone(good.Authorities)
		c.change(&f)
		found := f.Findings(now)
		if got := rules(found); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		for _, one := range found {
			if one.Message == "" || one.Help == "" || len(one.Controls) == 0 || one.Path != "apps/pay.yaml" {
				t.Errorf("%s: %+v", name, one)
			}
		}
	}
}

// What browsers take becomes less from year to year.
func TestLongest(t *testing.T) {
	for at, want := range map[string]float64{"2026-03-14": 398, "2026-03-15": 200, "2027-03-15": 100, "2029-03-14": 100, "2029-03-15": 47} {
		day, err := time.Parse(time.DateOnly, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := longest(day); got != want {
			t.Errorf("%s: %v", at, got)
		}
	}
}

func TestPresented(t *testing.T) {
	s, a := settings(t, nil), app(t, appYAML)
	certificate := func(key crypto.Signer, life time.Duration, change func(*x509.Certificate)) *x509.Certificate {
		t.Helper()
		c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"pay.finmicro.example"}, NotBefore: now, NotAfter: now.Add(life - time.Second)}
		if change != nil {
			change(c)
		}
		der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		out, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		cert *x509.Certificate
		want string
	}{
		"good":           {certificate(p256, 90*day, nil), ""},
		"as long as may": {certificate(p256, 200*day, nil), ""},
		"a second more":  {certificate(p256, 200*day+time.Second, nil), "certificate-lives-too-long:deny"},
		"P-224":          {certificate(p224, 90*day, nil), "certificate-key-not-public:deny certificate-key-weak:deny"},
		"Ed25519":        {certificate(ed, 90*day, nil), "certificate-key-not-public:deny"},
		"more names": {certificate(p256, 90*day, func(c *x509.Certificate) {
			c.DNSNames = append(c.DNSNames, "www.finmicro.example", "other.finmicro.example")
		}), "certificate-name-not-the-apps:deny"},
		"an address": {certificate(p256, 90*day, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} }), "certificate-name-not-ours:deny"},
		"a mailbox":  {certificate(p256, 90*day, func(c *x509.Certificate) { c.EmailAddresses = []string{"ana@finmicro.example"} }), "certificate-name-not-ours:deny"},
		"no name":    {certificate(p256, 90*day, func(c *x509.Certificate) { c.DNSNames = []string{"..", "a b"} }), "certificate-name-not-ours:deny certificate-name-not-ours:deny"},
	} {
		f := Presented(c.cert, a, s, Authority{Name: "public", Public: true})
		if got := rules(f.Findings(now)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if f := Presented(certificate(p256, 90*day, nil), nil, s, Authority{}); f.Names[0].Own || len(f.Findings(now)) > 0 || f.Data == nil {
		t.Errorf("%+v", f)
	}
}

func TestCAA(t *testing.T) {
	s, a := settings(t, nil), app(t, appYAML)
	records := func(values ...string) func(context.Context, zone.Name) ([]string, error) {
		return func(_ context.Context, n zone.Name) ([]string, error) {
			if n == "finmicro.example" {
				return values, nil
			}
			return nil, nil
		}
	}
	ours := func(name string) (string, bool) { return "https://" + name + "/7", true }
	for name, c := range map[string]struct {
		values  []string
		account func(string) (string, bool)
		want    string
	}{
		"none":                      {nil, ours, ""},
		"both":                      {[]string{`0 issue "acme.example"`, `0 issue "spare.example"`}, ours, ""},
		"the first only":            {[]string{`0 issue "acme.example"`}, ours, "certificate-caa-forbids:warn"},
		"neither":                   {[]string{`0 issue "other.example"`}, ours, "certificate-caa-forbids:deny certificate-caa-forbids:deny"},
		"no wildcard":               {[]string{`0 issue "acme.example"`, `0 issue "spare.example"`, `0 issuewild ";"`}, ours, "certificate-caa-forbids:deny certificate-caa-forbids:deny"},
		"another account":           {[]string{`0 issue "acme.example; accounturi=x"`, `0 issue "spare.example"`}, ours, "certificate-caa-forbids:warn"},
		"an account, not yet known": {[]string{`0 issue "acme.example; accounturi=x"`, `0 issue "spare.example"`}, nil, ""},
	} {
		f, err := Wanted(a, s)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.CAA(t.Context(), s, c.account, records(c.values...)); err != nil {
			t.Fatal(err)
		}
		if got := rules(f.Findings(now)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	f, err := Wanted(a, s)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := f.CAA(t.Context(), s, nil, func(context.Context, zone.Name) ([]string, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

func TestKeyOf(t *testing.T) {
	for kind, want := range map[string]Key{
		"ecdsa-p256": {"ecdsa", 256}, "ecdsa-p384": {"ecdsa", 384}, "rsa-2048": {"rsa", 2048}, "ed25519": {"ed25519", 256}, "": {}, "rsa": {}, "rsa-x": {}, "dsa-1024": {}, "rsa--5": {},
	} {
		if got := KeyOf(kind); got != want {
			t.Errorf("%q: %+v", kind, got)
		}
	}
}

func TestRulesAreSorted(t *testing.T) {
	list := Rules()
	if !slices.IsSortedFunc(list, func(a, b Rule) int { return strings.Compare(a.ID, b.ID) }) {
		t.Error("not sorted")
	}
	for _, r := range list {
		if r.Title == "" || r.Why == "" || r.Help == "" || len(r.Controls) == 0 || r.find == nil {
			t.Errorf("%s is not complete", r.ID)
		}
	}
}

// The manual lists the rules as they are.
func TestManual(t *testing.T) {
	page, err := os.ReadFile("../../docs/ct.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range Rules() {
		if !strings.Contains(string(page), "| `"+r.ID+"` | "+r.Title+" |\n") {
			t.Errorf("docs/ct.md does not list %s: %s", r.ID, r.Title)
		}
	}
}
