package lint

import (
	"slices"
	"testing"
)

// What is seen outside counts where the answer says something, and only there.
func TestOutside(t *testing.T) {
	const zones = "-- zones/finmicro.example.yaml --\nwww: {type: A, ttl: 300, value: 9.9.9.8}\n"
	w := world(t)
	for _, c := range []struct {
		name    string
		seen    []string
		records string
		rules   []string
	}{
		{"a target with other types alone", []string{"key.host.test A NOERROR"}, "s1._domainkey: {type: CNAME, ttl: 300, value: key.host.test.}\n", nil},
		{"mail servers, one gone", []string{"a.host.test A NOERROR", "a.host.test. A 9.9.9.9", "b.host.test A NXDOMAIN"}, "shop: {type: MX, ttl: 300, values: [{preference: 10, exchange: a.host.test.}, {preference: 20, exchange: b.host.test.}]}\n", []string{"dangling-outside"}},
		{"a challenge that is handed on", []string{"x.acme.test A NXDOMAIN"}, "_acme-challenge.shop: {type: CNAME, ttl: 300, value: x.acme.test.}\n", nil},
		{"our own names are the repository's matter", []string{"www.finmicro.example A NXDOMAIN"}, "shop: {type: CNAME, ttl: 300, value: www.finmicro.example.}\n", nil},
		{"a resolver that fails", []string{"a.host.test A SERVFAIL"}, "shop: {type: CNAME, ttl: 300, value: a.host.test.}\n", []string{"not-observed"}},
		{"a resolver that is silent", []string{"a.host.test A UNREACHABLE"}, "shop: {type: CNAME, ttl: 300, value: a.host.test.}\n", []string{"not-observed"}},
		{"nothing recorded", nil, "shop: {type: CNAME, ttl: 300, value: a.host.test.}\n", []string{"not-observed"}},
		{"a server without the zone", []string{"ns.host.test A NOERROR", "lab.finmicro.example SOA NOERROR ns.host.test"}, "lab: {type: NS, ttl: 3600, value: ns.host.test.}\n", []string{"delegation-unserved"}},
		{"a server that answers of the zone above", []string{"ns.host.test A NOERROR", "lab.finmicro.example SOA NOERROR ns.host.test", "finmicro.example. SOA ns.host.test. h.host.test. 1 2 3 4 5"}, "lab: {type: NS, ttl: 3600, value: ns.host.test.}\n", []string{"delegation-unserved"}},
		{"a server that is silent", []string{"ns.host.test A NOERROR", "lab.finmicro.example SOA UNREACHABLE ns.host.test"}, "lab: {type: NS, ttl: 3600, value: ns.host.test.}\n", []string{"not-observed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, f := range notOfApex(judge(t, w, omar, observed(c.seen...)+zones+c.records)) {
				got = append(got, f.Rule)
			}
			if !slices.Equal(got, c.rules) {
				t.Errorf("got %q, want %q", got, c.rules)
			}
		})
	}
}
