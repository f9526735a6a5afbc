package zone

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestNewRRSetCanonicalises(t *testing.T) {
	for _, tt := range []struct {
		typ  string
		in   []string
		want []string
	}{
		{"a", []string{"192.0.2.2", "192.0.2.1", "192.0.2.2"}, []string{"192.0.2.1", "192.0.2.2"}},
		{"AAAA", []string{"2001:0DB8::0001"}, []string{"2001:db8::1"}},
		{"CNAME", []string{"App.Example.NET"}, []string{"app.example.net."}},
		{"CNAME", []string{"bücher.example"}, []string{"xn--bcher-kva.example."}},
		{"MX", []string{"10 mail.example.com", "5\tMail2.example.com."}, []string{"10 mail.example.com.", "5 mail2.example.com."}},
		{"MX", []string{"0 ."}, []string{"0 ."}},
		{"SRV", []string{"010 60 5060 sip.example.com"}, []string{"10 60 5060 sip.example.com."}},
		{"TXT", []string{"v=spf1 -all"}, []string{`"v=spf1 -all"`}},
		{"TXT", []string{`v=DMARC1\; p=none; x`}, []string{`"v=DMARC1; p=none; x"`}},
		{"TXT", []string{`"a" "b"`}, []string{`"ab"`}},
		{"TXT", []string{`a "quoted" word`}, []string{`"a \"quoted\" word"`}},
		{"TXT", []string{strings.Repeat("x", 256)}, []string{`"` + strings.Repeat("x", 255) + `" "x"`}},
		{"TXT", []string{""}, []string{`""`}},
		{"CAA", []string{"0 Issue letsencrypt.org"}, []string{`0 issue "letsencrypt.org"`}},
		{"CAA", []string{"0 issue ;"}, []string{`0 issue ";"`}},
		{"NAPTR", []string{"1 2 s SIP+D2U \"\" ."}, []string{`1 2 "S" "SIP+D2U" "" .`}},
		{"SSHFP", []string{"1 1 AB CD"}, []string{"1 1 abcd"}},
		{"HTTPS", []string{"1 . port=443 alpn=h3"}, []string{`1 . alpn="h3" port="443"`}},
		{"HTTPS", []string{`0 pool.example`}, []string{`0 pool.example.`}},
		{"LOC", []string{"51 N 0 W 10m"}, []string{"51 0 0 N 0 0 0 W 10m 1m 10000m 10m"}},
		{"URI", []string{`10 1 https://example.com/a;b`}, []string{`10 1 "https://example.com/a;b"`}},
		{"HINFO", []string{`"PC" Linux`}, []string{`"PC" "Linux"`}},
		{"Route53Provider/ALIAS", []string{`{"b": 1, "a": "x"}`}, []string{`{"a":"x","b":1}`}},
		{"OtherProvider/REDIRECT", []string{"https://example.net"}, []string{`"https://example.net"`}},
	} {
		r, err := NewRRSet("x.example.com", tt.typ, 300, tt.in)
		if err != nil || !slices.Equal(r.Values, tt.want) {
			t.Errorf("%s %q: %q, %v; want %q", tt.typ, tt.in, r.Values, err, tt.want)
			continue
		}
		again, err := NewRRSet(r.Name, r.Type, r.TTL, r.Values)
		if err != nil || !again.Equal(r) {
			t.Errorf("%s %q is not stable: %q, %v", tt.typ, r.Values, again.Values, err)
		}
	}
}

func TestNewRRSetFaults(t *testing.T) {
	for _, tt := range []struct {
		typ  string
		ttl  int
		in   []string
		want string
	}{
		{"A", 300, []string{"300.1.1.1"}, `A of x.example.com: "300.1.1.1" is not an IPv4 address (write four numbers`},
		{"A", 300, []string{"2001:db8::1"}, "not an IPv4 address"},
		{"A", 300, []string{"192.0.2.01"}, "not an IPv4 address"},
		{"AAAA", 300, []string{"192.0.2.1"}, "not an IPv6 address"},
		{"AAAA", 300, []string{"fe80::1%eth0"}, "not an IPv6 address"},
		{"A", 300, nil, "it has no value"},
		{"A", -2, []string{"192.0.2.1"}, "TTL"},
		{"A", 1 << 31, []string{"192.0.2.1"}, "TTL"},
		{"CNAME", 300, []string{"a", "b"}, "only one CNAME"},
		{"CNAME", 300, []string{"a b"}, "it has 2 parts where CNAME has 1"},
		{"MX", 300, []string{"mail.example.com"}, "it has 1 parts where MX has 2"},
		{"MX", 300, []string{"70000 mail.example.com"}, "from 0 to 65535"},
		{"MX", 300, []string{"10 ."}, "preference must be 0"},
		{"MX", 300, []string{"0 .", "10 a"}, "no mail is accepted"},
		{"SRV", 300, []string{"1 2 99999 a"}, "port is \"99999\""},
		{"CAA", 300, []string{"256 issue x"}, "from 0 to 255"},
		{"CAA", 300, []string{"0 is-sue x"}, "letters and digits"},
		{"TXT", 300, []string{`"open`}, "never closed"},
		{"TXT", 300, []string{`"a" b`}, "text follows a quoted string"},
		{"DS", 300, []string{"1 2 3 xyz"}, "not hexadecimal"},
		{"TLSA", 300, []string{"3 1 1 abc"}, "not hexadecimal"},
		{"NAPTR", 300, []string{`1 2 "S" "` + strings.Repeat("x", 256) + `" "" .`}, "not valid NAPTR data"},
		{"HTTPS", 300, []string{"1 . port=x"}, "not valid HTTPS data"},
		{"LOC", 300, []string{"99 N 0 W 0m"}, "not valid LOC data"},
		{"HINFO", 300, []string{"a b\nevil 60 IN A 192.0.2.1"}, "line break"},
		{"FOO", 300, []string{"x"}, `"FOO" is not a record type`},
		{"SOA", 300, []string{"x"}, `"SOA" is not a record type`},
		{"RRSIG", 300, []string{"x"}, "not a record type"},
		{"TYPE15", 300, []string{`\# 1 00`}, "not a record type"}, // MX by another name
		{"URLFWD", 300, []string{`{"path":"/"}`}, "is missing"},
	} {
		_, err := NewRRSet("x.example.com", tt.typ, tt.ttl, tt.in)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: %v; want %q", tt.typ, tt.in, err, tt.want)
		}
	}
}

func TestValidateWantsCanonicalNamesAndText(t *testing.T) {
	for typ, v := range map[string]string{"CNAME": "app.example.net", "TXT": "v=spf1 -all", "MX": "10 mail.example.net"} {
		if err := (RRSet{Name: "x.example", Type: typ, TTL: 300, Values: []string{v}}).Validate(); err == nil {
			t.Errorf("%s %s is not canonical", typ, v)
		}
	}
}
