package lint

import (
	"slices"
	"strings"
	"testing"
)

// What zones as a whole must say about their mail, beyond the rules' examples.
func TestMailPolicies(t *testing.T) {
	const (
		zones    = "-- zones/finmicro.example.yaml --\n"
		settings = "-- in-force/slipway.yaml --\ndomain: finmicro.example\nrestricted-types: {}\nzones:\n  finmicro.example: {visibility: external}\n  sub.finmicro.example: {visibility: external}\n  apps.finmicro.example: {visibility: internal}\n"
		template = settings + "mail: {spf: 'v=spf1 include:_spf.finmicro.example ~all', dmarc: 'v=DMARC1; p=quarantine; sp=reject; adkim=s; rua=mailto:dmarc@finmicro.example'}\n"
		dmarc    = "_dmarc: {type: TXT, ttl: 300, value: 'v=DMARC1\\; p=reject\\; adkim=s\\; rua=mailto:x@host.test, MAILTO:dmarc@finmicro.example'}\n"
		ours     = "_spf: {type: TXT, ttl: 300, value: 'v=spf1 ip4:9.9.9.0/28 -all'}\n"
		mx       = "  - {type: MX, ttl: 300, value: {preference: 10, exchange: mx.host.test.}}\n"
		silent   = "'':\n  - {type: MX, ttl: 300, value: {preference: 0, exchange: .}}\n  - {type: TXT, ttl: 300, value: v=spf1  -ALL}\n_dmarc: {type: TXT, ttl: 300, value: v=DMARC1\\; p=REJECT}\n"
		parked   = "-- in-force/slipway.yaml --\ndomain: finmicro.example\nrestricted-types: {}\nzones: {finmicro.example: {visibility: external, parked: true}}\n"
	)
	apex := func(spf string) string {
		return "'':\n" + mx + "  - {type: TXT, ttl: 300, value: '" + spf + "'}\n"
	}
	w := world(t)
	for _, c := range []struct {
		name, archive string
		rules, says   []string
	}{
		{"all met", template + zones + apex("v=spf1 ip4:9.9.9.9 include:_spf.finmicro.example -all") + ours + dmarc, nil, nil},
		{"by a redirect within our zones", template + zones + apex("v=spf1 redirect=_all.finmicro.example") + ours + "_all: {type: TXT, ttl: 300, value: 'v=spf1 include:_spf.finmicro.example ~all'}\n" + dmarc, nil, nil},
		{"nobody may send", template + zones + apex("v=spf1 -all") + dmarc, nil, nil},
		{"a softer ending", template + zones + apex("v=spf1 include:_spf.finmicro.example ?all") + ours + dmarc, []string{"mail-template", "spf-no-verdict"}, []string{"must end with ~all"}},
		{"another qualifier", template + zones + apex("v=spf1 ?include:_spf.finmicro.example -all") + ours + dmarc, []string{"mail-template"}, []string{"lacks include:_spf.finmicro.example"}},
		{"no DMARC", template + zones + apex("v=spf1 -all"), []string{"mail-template", "mail-unprotected"}, []string{"0 DMARC records"}},
		{"a milder DMARC", template + zones + apex("v=spf1 -all") + strings.Replace(dmarc, "p=reject", "p=none", 1), []string{"dmarc-only-watches", "mail-template"}, []string{"must say p=quarantine; it must say sp=reject"}},
		{"other reports and alignment", template + zones + apex("v=spf1 -all") + "_dmarc: {type: TXT, ttl: 300, value: 'v=DMARC1\\; p=reject\\; rua=mailto:x@host.test'}\n", []string{"mail-template"}, []string{"must say adkim=s; it must say rua=mailto:dmarc@finmicro.example"}},
		{"mail records that the change leaves alone", template + zones + "'': {type: A, ttl: 300, value: 9.9.9.9}\nwww: {type: A, ttl: 300, value: 9.9.9.8}\nshop: {type: A, ttl: 300, value: 9.9.9.7}\n", nil, nil},
		{"an internal zone", template + "-- zones/apps.finmicro.example.yaml --\n'':\n" + mx, nil, nil},
		{"DMARC of the zone above", settings + zones + dmarc + "-- zones/sub.finmicro.example.yaml --\n'':\n" + mx + "  - {type: TXT, ttl: 300, value: v=spf1 mx -all}\n", nil, nil},
		{"a parked zone that says so", parked + zones + silent, nil, nil},
		{"a parked zone without DMARC", parked + zones + silent[:strings.Index(silent, "_dmarc")], []string{"parked-with-mail"}, []string{"DMARC record does not say p=reject."}},
		{"a parked zone whose web changes", parked + zones + "'': {type: A, ttl: 300, value: 9.9.9.1}\nwww: {type: A, ttl: 300, value: 9.9.9.1}\n", nil, nil},
		{"parking a zone as it is", "-- slipway.yaml --\nzones: {finmicro.example: {visibility: external, parked: true}}\n", []string{"parked-with-mail"}, []string{`its MX is not "0 ."`}},
		{"MTA-STS twice", zones + "_mta-sts: {type: TXT, ttl: 300, values: [v=STSv1\\; id=1, v=STSv1\\; id=2]}\nmta-sts: {type: A, ttl: 300, value: 9.9.9.9}\n", []string{"mta-sts-invalid"}, []string{"2 MTA-STS records"}},
		{"MTA-STS of another version", zones + "_mta-sts: {type: TXT, ttl: 300, value: v=STSv2\\; id=1}\nmta-sts: {type: A, ttl: 300, value: 9.9.9.9}\n", []string{"mta-sts-invalid"}, []string{"does not begin with v=STSv1"}},
		{"reports to the web", zones + "_smtp._tls: {type: TXT, ttl: 300, value: 'v=TLSRPTv1\\; rua=https://tls.host.test/report,mailto:a@host.test'}\n", nil, nil},
		{"reports to nobody", zones + "_smtp._tls: {type: TXT, ttl: 300, value: 'v=TLSRPTv1\\;'}\n", []string{"tls-rpt-invalid"}, []string{"nobody gets reports"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			var said strings.Builder
			for _, f := range notOfApex(judge(t, w, omar, c.archive)) {
				if f.Rule == "still-pointed-at" || f.Rule == "restricted-type" {
					continue
				}
				got = append(got, f.Rule)
				said.WriteString(f.Message + "\n")
			}
			slices.Sort(got)
			if !slices.Equal(got, c.rules) {
				t.Errorf("got %q, want %q\n%s", got, c.rules, said.String())
			}
			for _, s := range c.says {
				if !strings.Contains(said.String(), s) {
					t.Errorf("it says %q, want %q", said.String(), s)
				}
			}
		})
	}
}

// Proofs that are left behind, and those that still belong to something.
func TestProofs(t *testing.T) {
	const was = "shop:\n  - {type: CNAME, ttl: 300, value: a.host.test.}\nasuid.shop: {type: TXT, ttl: 300, value: abc}\n"
	const zones = "-- zones/finmicro.example.yaml --\n"
	w := world(t)
	for _, c := range []struct {
		name, before, after string
		want                int
	}{
		{"the service goes, the proof below it stays", was, "asuid.shop: {type: TXT, ttl: 300, value: abc}\n", 1},
		{"both go", was, "x: {type: A, ttl: 300, value: 9.9.9.9}\n", 0},
		{"the service moves", was, "shop: {type: A, ttl: 300, value: 9.9.9.9}\nasuid.shop: {type: TXT, ttl: 300, value: abc}\n", 0},
		{"text that is no proof stays", "shop:\n  - {type: A, ttl: 300, value: 9.9.9.9}\n  - {type: TXT, ttl: 300, value: hello}\n", "shop: {type: TXT, ttl: 300, value: hello}\n", 0},
		{"a one-time proof", "x: {type: A, ttl: 300, value: 9.9.9.9}\n", "x: {type: A, ttl: 300, value: 9.9.9.9}\n_acme-challenge.x: {type: TXT, ttl: 300, value: abc}\n", 1},
		{"a one-time proof handed on", "x: {type: A, ttl: 300, value: 9.9.9.9}\n", "x: {type: A, ttl: 300, value: 9.9.9.9}\n_acme-challenge.x: {type: CNAME, ttl: 300, value: x.acme.test.}\n", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := 0
			for _, f := range judge(t, w, omar, strings.Replace(zones, "zones", "in-force/zones", 1)+c.before+zones+c.after) {
				if f.Rule == "verification-left-behind" {
					got++
				}
			}
			if got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}
