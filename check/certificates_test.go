package check

import (
	"strings"
	"testing"
	"testing/fstest"

	"slipway/check/internal/scenario"
)

const payApp = `-- apps/pay.yaml --
owner: ana@finmicro.example
team: product
purpose: Takes payments
exposure: external
data: [none]
expires: 2027-06-30
hostname: pay.finmicro.example
certificate: true
records:
  - {name: pay.finmicro.example, type: A, ttl: 300, values: [198.51.100.20]}
`

// The certificate that an app asks for is judged with the change, by the settings in force and the zones as they would become.
func TestCertificatesAreJudged(t *testing.T) {
	const (
		public   = "  authorities:\n    public: {directory: 'https://acme.example/directory', public: true, caa: ca.finmicro.example}\n  rules: [{use: [public]}]\n"
		caaOther = "-- zones/finmicro.example.yaml --\n'': {type: CAA, ttl: 3600, value: {flags: 0, tag: issue, value: other.example}}\nwww: {type: A, ttl: 300, value: 9.9.9.10}\n"
		caaOurs  = "-- zones/finmicro.example.yaml --\n'': {type: CAA, ttl: 3600, value: {flags: 0, tag: issue, value: ca.finmicro.example}}\nwww: {type: A, ttl: 300, value: 9.9.9.10}\n"
	)
	seen := map[string]string{} // policy digest -> settings
	for name, c := range map[string]struct {
		certificates string // of the settings
		head         string
		packs        []string
		want, not    string // rules
		line         int
	}{
		"by default":             {"", payApp, []string{"tls"}, "", "certificate", 0},
		"a public authority":     {public, payApp, []string{"tls"}, "", "certificate", 0},
		"CAA forbids":            {public, payApp + caaOther, nil, "certificate-caa-forbids", "", 8},
		"CAA allows":             {public, payApp + caaOurs, nil, "", "certificate-caa", 0},
		"a key nobody takes":     {public + "  keys: {type: ed25519}\n", payApp, nil, "certificate-key-not-public", "", 8},
		"too long":               {strings.Replace(public, "caa:", "lifetime: 390d, caa:", 1), payApp, nil, "certificate-lives-too-long", "", 8},
		"long":                   {strings.Replace(public, "caa:", "lifetime: 150d, caa:", 1), payApp, []string{"tls"}, "packs.tls/certificate-lives-long", "certificate-lives-too-long", 8},
		"no authority":           {strings.Replace(public, "use:", "zones: [apps.finmicro.example], use:", 1), payApp, nil, "certificate-without-authority", "", 8},
		"internal, public":       {public, strings.ReplaceAll(strings.ReplaceAll(payApp, "pay.finmicro", "pay.apps.finmicro"), "external", "internal"), []string{"tls"}, "packs.tls/internal-name-at-public-authority", "", 8},
		"internal, without pack": {public, strings.ReplaceAll(strings.ReplaceAll(payApp, "pay.finmicro", "pay.apps.finmicro"), "external", "internal"), nil, "", "internal-name-at-public-authority", 0},
		"money without mTLS":     {"", strings.NewReplacer("pay.finmicro", "pay.apps.finmicro", "external", "internal", "[none]", "[financial]").Replace(payApp), []string{"tls"}, "packs.tls/data-demands-mtls", "", 8},
		"money with mTLS":        {"", strings.NewReplacer("pay.finmicro", "pay.apps.finmicro", "external", "internal", "[none]", "[financial]", "certificate: true", "certificate: true\nmtls: required").Replace(payApp), []string{"tls"}, "", "data-demands-mtls", 0},
		"no certificate":         {public, strings.Replace(payApp, "certificate: true", "certificate: false", 1) + caaOther, nil, "", "certificate-", 0},
	} {
		files := baseFiles(t, nil)
		if c.certificates != "" {
			src := string(files["slipway.yaml"].Data) + "certificates:\n" + c.certificates
			files["slipway.yaml"] = &fstest.MapFile{Data: []byte(src), Mode: 0o644}
		}
		if c.packs != nil {
			pinned(t, files, c.packs...)
		}
		w := scenario.FromFiles(t, files)
		v, err := NewEngine().Run(t.Context(), Input{Repo: w.Repo, Base: w.Base, Head: w.Head(t, []byte(c.head)), Requester: Requester{ID: "ana@finmicro.example"}, AsOf: scenario.Now})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if seen[v.PolicyDigest+strings.Join(c.packs, " ")] != "" && seen[v.PolicyDigest+strings.Join(c.packs, " ")] != c.certificates {
			t.Errorf("%s: the policy digest does not cover the settings of certificates", name)
		}
		seen[v.PolicyDigest+strings.Join(c.packs, " ")] = c.certificates
		found := c.want == ""
		for _, f := range v.Findings {
			if f.Rule == c.want {
				found = true
				if f.Path != "apps/pay.yaml" || f.Line != c.line || f.Message == "" || f.Help == "" || len(f.Controls) == 0 {
					t.Errorf("%s: %+v", name, f)
				}
			}
			if c.not != "" && strings.Contains(f.Rule, c.not) {
				t.Errorf("%s: %s is found: %s", name, f.Rule, f.Message)
			}
		}
		if !found {
			t.Errorf("%s: %s is not among %+v", name, c.want, v.Findings)
		}
	}
}
