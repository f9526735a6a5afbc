package providertest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"slipway/zone"
)

func everyType(t *testing.T, s *subject) {
	values := map[string][]string{
		"A":          {"192.0.2.1", "192.0.2.2"},
		"AAAA":       {"2001:db8::1", "::"},
		"CAA":        {`0 issue "letsencrypt.org"`, `128 iodef "mailto:security@finmicro.example"`},
		"CNAME":      {"www.example.net."},
		"DNAME":      {"example.net."},
		"DS":         {"60485 13 2 d4b7d520e7bb5f0f67674a0cceb1e3e0614b93c4f9e99b8383f6a1e4469da50a"},
		"LOC":        {"31 58 52.100 S 115 49 11.700 E 20m 10m 10m 2m"},
		"MX":         {"10 mail.example.net.", "20 mail2.example.net."},
		"NAPTR":      {`10 100 "S" "SIP+D2U" "!^.*$!sip:info@finmicro.example!" .`},
		"NS":         {"ns1.example.net.", "ns2.example.net."},
		"OPENPGPKEY": {"mDMEZQ8="},
		"PTR":        {"host.example.net."},
		"SPF":        {`"v=spf1 -all"`},
		"SRV":        {"10 60 5060 sip.example.net."},
		"SSHFP":      {"4 2 a87f1b687ac0e57d2a081a2f282672334d90ed316d2b818ca9580ea384d92401"},
		"SVCB":       {`1 svc.example.net. alpn="h2,h3" port="8443"`},
		"HTTPS":      {`1 . alpn="h2,h3" ipv4hint="192.0.2.1,192.0.2.2"`},
		"TLSA":       {"3 1 1 0d6fce3ff9b4ad1f1c8d1e3a5c94a4f2f1e5b1d30cf4d3b6a8d9c9d0b0f4a1c2"},
		"URI":        {`10 1 "https://www.example.net/path;x=1"`},
		"TYPE65280":  {`\# 4 0a000001`},
		"TXT": {
			`"v=DKIM1; k=rsa; p=MIIBIjANBgkqh"`, `"say \"hi\" \\ there; # no comment"`, `"tab\009 and \195\169"`, `""`,
			strings.Repeat("0123456789abcdef", 64), // over one string of 255 octets
		},
	}
	var desired []zone.RRSet
	for typ, v := range values {
		if slices.Contains(s.suite.Lacks, typ) {
			continue
		}
		if typ == "TXT" && s.suite.Texts != nil {
			v = slices.DeleteFunc(v, func(value string) bool {
				parts, err := zone.Fields(value)
				return err != nil || !s.suite.Texts(strings.Join(parts, ""))
			})
		}
		desired = append(desired, s.set(zone.Name(strings.ToLower(typ))+"."+z, typ, 300, v...))
	}
	// A server may leave a DS set out where no zone is delegated.
	desired = append(desired, s.set("ds."+z, "NS", 300, "ns1.example.net."))
	s.apply(s.plan(z, "all", desired...))
	if p := s.plan(z, "all", desired...); len(p.Edits) != 0 {
		t.Errorf("%d record sets do not come back as they were: %+v", len(p.Edits), p.Edits)
	}
}

// text has every octet that a TXT record can hold, and more than one string of them.
func text(t *testing.T, s *subject) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	var desired []zone.RRSet
	for i, octets := range []string{
		"", " ", "  two  spaces  ", `"quoted"`, `back\slash \"`, ";", "a;b", "(paren)", "@", "$TTL 3600", "*", "v=spf1 include:_spf.example.net ~all",
		"gr\u00fc\u00dfe \u4f60\u597d \U0001f6a2", "\xff\xfe not UTF-8", "tab\tnew\nline\rend", string(every),
		strings.Repeat("a", 255), strings.Repeat("a", 256), strings.Repeat("ab", 255), strings.Repeat("long ", 800),
	} {
		if s.suite.Texts == nil || s.suite.Texts(octets) {
			desired = append(desired, s.set(zone.Name(fmt.Sprintf("t%02d.", i))+z, "TXT", 300, zone.QuoteText(octets)))
		}
	}
	desired = append(desired, s.set("many."+z, "TXT", 300, "one", "two", "three", strings.Repeat("four", 100)))
	s.apply(s.plan(z, "text", desired...))
	if p := s.plan(z, "text", desired...); len(p.Edits) != 0 {
		t.Errorf("%d texts do not come back as they were: %+v", len(p.Edits), p.Edits)
	}
}

func names(t *testing.T, s *subject) {
	var desired []zone.RRSet
	for _, host := range []string{
		"*", "*.deep", "_dmarc", "_443._tcp.www", "a.b.c.d.e.f", "xn--bcher-kva", "0", "-", `has\.dot`, `sp\032ace`, `at\@`, `semi\;colon`, `quo\"te`,
		`back\\slash`, `par\(en`, `dollar\$`, `\255\000`, strings.Repeat("x", 63), "include", "$origin", "in", "a", "soa", "ttl", "3600",
	} {
		name, err := zone.ParseName(host + "." + string(z))
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		if !s.holds(name) {
			continue
		}
		desired = append(desired, s.set(name, "A", 300, "192.0.2.1"), s.set(name, "TXT", 300, host))
	}
	desired = append(desired, s.set(z, "MX", 300, "10 mail."+string(z)+"."), s.set(z, "TXT", 300, "apex"))
	s.apply(s.plan(z, "names", desired...))
}

func zoneNames(t *testing.T, s *subject) {
	long := strings.Repeat("abcdefghijklmnopqrstuvwxyz.", 8) + "example"
	for _, z := range []zone.Name{
		"0/25.2.0.192.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa", "xn--bcher-kva.example", "_tcp.example", "x", zone.Name(long), zone.Name(long[1:]),
		`..`, `../up.example`, `a\.b.example`, `sl\/ash.example`, `nul\000.example`,
	} {
		z, err := zone.ParseName(string(z))
		if err != nil {
			continue // not a name: nothing a zone can be called
		}
		if !s.holds(z) || !s.prepare(z) {
			continue
		}
		host := "www." + z
		r := s.apply(s.plan(z, "create", s.set(host, "TXT", 300, string(z))))
		if !r.Applied {
			t.Errorf("zone %s shares its place with another", z)
		}
	}
}
