package spf

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/zone"
)

// world is what the DNS says in a test: lines of "name type value".
type world map[string][]string

func dnsOf(lines string) world {
	w := world{}
	for line := range strings.Lines(lines) {
		words := strings.SplitN(strings.TrimSpace(line), " ", 3)
		if len(words) == 3 {
			key := words[0] + " " + words[1]
			w[key] = append(w[key], words[2])
		}
	}
	return w
}

func (w world) ask(n zone.Name, typ string) ([]string, error) {
	found := w[string(n)+" "+typ]
	switch {
	case slices.Equal(found, []string{"fails"}):
		return nil, ErrTemporary
	case slices.Equal(found, []string{"unknown"}):
		return nil, ErrUnknown
	}
	return found, nil
}

// The zone of RFC 7208 appendix A.
const appendixA = `
example.com A 192.0.2.10
example.com A 192.0.2.11
example.com MX 10 mail-a.example.com.
example.com MX 20 mail-b.example.com.
amy.example.com A 192.0.2.65
bob.example.com A 192.0.2.66
mail-a.example.com A 192.0.2.129
mail-b.example.com A 192.0.2.130
example.org MX 10 mail-c.example.org.
mail-c.example.org A 192.0.2.140
10.2.0.192.in-addr.arpa PTR example.com.
11.2.0.192.in-addr.arpa PTR example.com.
65.2.0.192.in-addr.arpa PTR amy.example.com.
66.2.0.192.in-addr.arpa PTR bob.example.com.
129.2.0.192.in-addr.arpa PTR mail-a.example.com.
130.2.0.192.in-addr.arpa PTR mail-b.example.com.
140.2.0.192.in-addr.arpa PTR mail-c.example.org.
10.0.0.10.in-addr.arpa PTR example.com.
mary.mobile-users._spf.example.com A 127.0.0.2
fred.mobile-users._spf.example.com A 127.0.0.2
15.15.168.192.joel.remote-users._spf.example.com A 127.0.0.2
16.15.168.192.joel.remote-users._spf.example.com A 127.0.0.2
`

// The examples of RFC 7208 appendices A.1, A.2 and A.4, and those of section 5 that have an outcome.
func TestAppendix(t *testing.T) {
	for _, c := range []struct {
		record string
		passes string // addresses that pass; the others of the list fail
	}{
		{"v=spf1 +all", "192.0.2.10 192.0.2.11 192.0.2.65 192.0.2.66 192.0.2.129 192.0.2.130 192.0.2.140 10.0.0.4"},
		{"v=spf1 a -all", "192.0.2.10 192.0.2.11"},
		{"v=spf1 a:example.org -all", ""},
		{"v=spf1 mx -all", "192.0.2.129 192.0.2.130"},
		{"v=spf1 mx:example.org -all", "192.0.2.140"},
		{"v=spf1 mx mx:example.org -all", "192.0.2.129 192.0.2.130 192.0.2.140"},
		{"v=spf1 mx/30 mx:example.org/30 -all", "192.0.2.129 192.0.2.130 192.0.2.140"},
		{"v=spf1 ptr -all", "192.0.2.10 192.0.2.11 192.0.2.65 192.0.2.66 192.0.2.129 192.0.2.130"},
		{"v=spf1 ip4:192.0.2.128/28 -all", "192.0.2.129 192.0.2.130 192.0.2.140"},
	} {
		for _, ip := range strings.Fields("192.0.2.10 192.0.2.11 192.0.2.65 192.0.2.66 192.0.2.129 192.0.2.130 192.0.2.140 10.0.0.4") {
			want := Fail
			if slices.Contains(strings.Fields(c.passes), ip) {
				want = Pass
			}
			w := dnsOf(appendixA + "example.com TXT " + c.record)
			out, err := Check(Sender{IP: netip.MustParseAddr(ip), From: "ana@example.com", Helo: "mail.example.com"}, w.ask)
			if err != nil || out.Result != want {
				t.Errorf("%s from %s: %+v, %v, want %s", c.record, ip, out, err, want)
			}
		}
	}
	// A.4: mobile and remote users, each named by a macro.
	users := dnsOf(appendixA + "example.com TXT v=spf1 mx include:mobile-users._spf.%{d} include:remote-users._spf.%{d} -all\n" +
		"mobile-users._spf.example.com TXT v=spf1 exists:%{l1r+}.%{d}\nremote-users._spf.example.com TXT v=spf1 exists:%{ir}.%{l1r+}.%{d}\n")
	for who, want := range map[string]Result{
		"mary@example.com 192.168.15.15": Pass, "fred+lists@example.com 10.0.0.1": Pass, "joel@example.com 192.168.15.15": Pass,
		"joel@example.com 192.168.15.17": Fail, "eve@example.com 192.168.15.15": Fail,
	} {
		from, ip, _ := strings.Cut(who, " ")
		out, err := Check(Sender{IP: netip.MustParseAddr(ip), From: from}, users.ask)
		if err != nil || out.Result != want {
			t.Errorf("%s: %+v, %v, want %s", who, out, err, want)
		}
	}
}

// The examples of RFC 7208 section 7.4.
func TestMacros(t *testing.T) {
	names := dnsOf("3.2.0.192.in-addr.arpa PTR mx.example.org.\nmx.example.org A 192.0.2.3\n")
	v4 := &evaluation{sender: Sender{IP: netip.MustParseAddr("192.0.2.3"), Helo: "mx.example.org", Receiver: "mail.example.net", At: time.Unix(1767225600, 0)},
		local: "strong-bad", origin: "email.example.com", ask: names.ask}
	v6 := &evaluation{sender: Sender{IP: netip.MustParseAddr("2001:db8::cb01")}, local: "strong-bad", origin: "email.example.com", ask: names.ask}
	for _, c := range []struct {
		by         *evaluation
		macro, out string
	}{
		{v4, "%{s}", "strong-bad@email.example.com"},
		{v4, "%{o}", "email.example.com"},
		{v4, "%{d}", "email.example.com"},
		{v4, "%{d4}", "email.example.com"},
		{v4, "%{d3}", "email.example.com"},
		{v4, "%{d2}", "example.com"},
		{v4, "%{d1}", "com"},
		{v4, "%{dr}", "com.example.email"},
		{v4, "%{d2r}", "example.email"},
		{v4, "%{l}", "strong-bad"},
		{v4, "%{l-}", "strong.bad"},
		{v4, "%{lr}", "strong-bad"},
		{v4, "%{lr-}", "bad.strong"},
		{v4, "%{l1r-}", "strong"},
		{v4, "%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"},
		{v4, "%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"},
		{v4, "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
		{v4, "%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"},
		{v4, "%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"},
		{v6, "%{ir}.%{v}._spf.%{d2}", "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"},
		{v4, "%{p}", "mx.example.org"},
		{v6, "%{p}", "unknown"},
		{v4, "%{h} %{c} %{r} %{t}", "mx.example.org 192.0.2.3 mail.example.net 1767225600"},
		{v6, "%{c} %{r}", "2001:db8::cb01 unknown"},
		{v4, "a%%b%_c%-d", "a%b c%20d"},
		{v4, "%{S}", "strong-bad%40email.example.com"},
		{v4, "%{d1R}%{D2}", "email" + "example.com"},
	} {
		got, s := c.by.expand(c.macro, "email.example.com", true)
		if s != nil || got != c.out {
			t.Errorf("%s: %q, %+v, want %q", c.macro, got, s, c.out)
		}
	}
	for _, bad := range []string{"%", "%x", "%{", "%{}", "%{z}", "%{d0}", "%{d2x}", "%{dr2}", "%{d,;}", "%{c}", "%{r}", "%{t}", "%(d)"} {
		if _, err := macros(bad, false); err == nil {
			t.Errorf("%s is taken for a macro", bad)
		}
	}
	if got := shorten(strings.Repeat("a123456789.", 30) + "example.com"); len(got) > maxExpanded || !strings.HasSuffix(got, ".example.com") || !strings.HasPrefix(got, "a123456789.") {
		t.Errorf("shortened to %q", got)
	}
}

// What each part of sections 2 to 6 says, one world a case.
func TestCheck(t *testing.T) {
	some := func(n int, line string) string {
		var out strings.Builder
		for i := range n {
			fmt.Fprintf(&out, line+"\n", i)
		}
		return out.String()
	}
	terms := func(n int, term string) string {
		return strings.ReplaceAll(some(n, term), "\n", " ")
	}
	for _, c := range []struct {
		name, dns  string
		ip, from   string // by default 192.0.2.1 and ana@a.test
		want       Result
		term, says string // that decided; a part of the problem
		explained  string
	}{
		{name: "4.3: one label", from: "ana@localhost", want: None},
		{name: "4.3: an address for a domain", from: "ana@[192.0.2.1]", want: None},
		{name: "4.3: an empty label", from: "ana@a..test", want: None},
		{name: "4.3: a label too long", from: "ana@" + strings.Repeat("x", 64) + ".test", want: None},
		{name: "2.4: an empty reverse-path is postmaster's at the HELO name", from: " ", dns: "a.test TXT v=spf1 exists:%{l}.x.test -all\npostmaster.x.test A 127.0.0.2", want: Pass},
		{name: "4.4: no record", want: None},
		{name: "4.4: the DNS fails", dns: "a.test TXT fails", want: TempError, says: "gives no answer"},
		{name: "4.5: two records", dns: "a.test TXT v=spf1 -all\na.test TXT v=spf1 +all", want: PermError, says: "2 SPF records"},
		{name: "4.5: other text beside it", dns: "a.test TXT v=spf10 -all\na.test TXT hello\na.test TXT v=spf1 +all", want: Pass, term: "all"},
		{name: "4.6: a mistake after the match", dns: "a.test TXT v=spf1 +all ipv4:192.0.2.1", want: PermError, says: "no term of SPF"},
		{name: "4.7: nothing matches", dns: "a.test TXT v=spf1 ip4:192.0.2.9", want: Neutral},
		{name: "4.6.2: softfail", dns: "a.test TXT v=spf1 ~all", want: SoftFail, term: "~all"},
		{name: "4.6.2: neutral", dns: "a.test TXT v=spf1 ?ip4:192.0.2.0/24 -all", want: Neutral, term: "?ip4:192.0.2.0/24"},
		{name: "4.6.4: ten look-ups", dns: "a.test TXT v=spf1 " + terms(10, "a:h%d.test") + "+all\n" + some(10, "h%d.test A 203.0.113.1"), want: Pass},
		{name: "4.6.4: eleven", dns: "a.test TXT v=spf1 " + terms(11, "a:h%d.test") + "+all\n" + some(11, "h%d.test A 203.0.113.1"), want: PermError, says: "more than 10"},
		{name: "4.6.4: a match before the eleventh", dns: "a.test TXT v=spf1 ip4:192.0.2.1 " + terms(11, "a:h%d.test"), want: Pass},
		{name: "4.6.4: includes count together", dns: "a.test TXT v=spf1 include:b.test include:b.test +all\nb.test TXT v=spf1 " + terms(5, "a:h%d.test") + "\n" + some(5, "h%d.test A 203.0.113.1"), want: PermError, says: "more than 10"},
		{name: "4.6.4: two voids", dns: "a.test TXT v=spf1 a:x.test exists:y.test +all", want: Pass},
		{name: "4.6.4: three", dns: "a.test TXT v=spf1 a:x.test exists:y.test mx:z.test +all", want: PermError, says: "find nothing"},
		{name: "4.6.4: a mail server without address is void", dns: "a.test TXT v=spf1 mx +all\na.test MX 1 x.test.\na.test MX 2 y.test.\na.test MX 3 z.test.", want: PermError, says: "find nothing"},
		{name: "4.6.4: ten mail servers", dns: "a.test TXT v=spf1 mx -all\n" + some(10, "a.test MX 10 m%d.test.") + some(9, "m%d.test A 203.0.113.1") + "m9.test A 192.0.2.1", want: Pass},
		{name: "4.6.4: eleven mail servers", dns: "a.test TXT v=spf1 mx +all\n" + some(11, "a.test MX 10 m%d.test."), want: PermError, says: "11 mail servers"},
		{name: "4.6.4: names of an address after the tenth are not looked at", dns: "a.test TXT v=spf1 ptr -all\n" + some(10, "1.2.0.192.in-addr.arpa PTR n%d.test.") + some(10, "n%d.test A 203.0.113.1") + "1.2.0.192.in-addr.arpa PTR x.a.test.\nx.a.test A 192.0.2.1", want: Fail},
		{name: "5: an IPv4 address in IPv6 form is one of IPv4", ip: "::ffff:192.0.2.1", dns: "a.test TXT v=spf1 ip4:192.0.2.1 -all", want: Pass},
		{name: "5.1: what follows all is not looked at", dns: "a.test TXT v=spf1 -all a:x.test redirect=b.test", want: Fail},
		{name: "5.2: include of pass", dns: "a.test TXT v=spf1 ~include:b.test -all\nb.test TXT v=spf1 +all", want: SoftFail, term: "~include:b.test"},
		{name: "5.2: include of fail", dns: "a.test TXT v=spf1 include:b.test +all\nb.test TXT v=spf1 -all", want: Pass, term: "all"},
		{name: "5.2: include of softfail", dns: "a.test TXT v=spf1 include:b.test ?all\nb.test TXT v=spf1 ~all", want: Neutral},
		{name: "5.2: include of neutral", dns: "a.test TXT v=spf1 include:b.test -all\nb.test TXT v=spf1 ?all", want: Fail},
		{name: "5.2: include of temperror", dns: "a.test TXT v=spf1 include:b.test +all\nb.test TXT fails", want: TempError},
		{name: "5.2: include of permerror", dns: "a.test TXT v=spf1 include:b.test +all\nb.test TXT v=spf1 nonsense", want: PermError, says: "no term"},
		{name: "5.2: include of none", dns: "a.test TXT v=spf1 include:b.test +all", want: PermError, says: "no SPF record"},
		{name: "5.2: an include in circles", dns: "a.test TXT v=spf1 include:a.test", want: PermError, says: "more than 10"},
		{name: "5.3: a with length", dns: "a.test TXT v=spf1 a:b.test/24 -all\nb.test A 192.0.2.200", want: Pass},
		{name: "5.3: a of IPv6", ip: "2001:db8::1", dns: "a.test TXT v=spf1 a/0//64 -all\na.test A 192.0.2.1\na.test AAAA 2001:db8::ffff", want: Pass},
		{name: "5.4: mail exchange itself is none", dns: "a.test TXT v=spf1 mx -all\na.test MX 0 .", want: Fail},
		{name: "5.5: ptr within", dns: "a.test TXT v=spf1 ptr -all\n1.2.0.192.in-addr.arpa PTR mail.a.test.\nmail.a.test A 192.0.2.1", want: Pass},
		{name: "5.5: ptr that is not true", dns: "a.test TXT v=spf1 ptr -all\n1.2.0.192.in-addr.arpa PTR mail.a.test.\nmail.a.test A 192.0.2.2", want: Fail},
		{name: "5.5: ptr of another domain that ends alike", dns: "a.test TXT v=spf1 ptr -all\n1.2.0.192.in-addr.arpa PTR mail.nota.test.\nmail.nota.test A 192.0.2.1", want: Fail},
		{name: "5.5: ptr when the DNS fails", dns: "a.test TXT v=spf1 ptr -all\n1.2.0.192.in-addr.arpa PTR fails", want: Fail},
		{name: "5.5: ptr of IPv6", ip: "2001:db8::1", dns: "a.test TXT v=spf1 ptr:b.test -all\n1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR b.test.\nb.test AAAA 2001:db8::1", want: Pass},
		{name: "5.6: ip6", ip: "2001:db8::1", dns: "a.test TXT v=spf1 ip6:2001:db8::/32 -all", want: Pass},
		{name: "5.7: exists asks for A even of IPv6", ip: "2001:db8::1", dns: "a.test TXT v=spf1 exists:%{l}.b.test -all\nana.b.test A 127.0.0.2", want: Pass},
		{name: "5.7: exists with AAAA alone", ip: "2001:db8::1", dns: "a.test TXT v=spf1 exists:b.test -all\nb.test AAAA 2001:db8::1", want: Fail},
		{name: "5.7: a local part with a space", from: "a na@a.test", dns: "a.test TXT v=spf1 exists:%{l}.b.test -all\na\\032na.b.test A 127.0.0.2", want: Pass},
		{name: "4.8: a macro that makes no name", from: "a..b@a.test", dns: "a.test TXT v=spf1 a:%{l}.b.test -all", want: Fail},
		{name: "6.1: redirect", dns: "a.test TXT v=spf1 redirect=b.test\nb.test TXT v=spf1 ip4:192.0.2.1 -all", want: Pass, term: "ip4:192.0.2.1"},
		{name: "6.1: redirect to nothing", dns: "a.test TXT v=spf1 redirect=b.test", want: PermError, says: "no SPF record"},
		{name: "6.1: redirect stands first and counts last", dns: "a.test TXT v=spf1 redirect=b.test ip4:192.0.2.1\nb.test TXT v=spf1 -all", want: Pass},
		{name: "6.2: explanation", dns: "a.test TXT v=spf1 -all exp=why.a.test\nwhy.a.test TXT %{i} may not send as %{d}, %{r}", want: Fail, explained: "192.0.2.1 may not send as a.test, unknown"},
		{name: "6.2: of the redirect's target", dns: "a.test TXT v=spf1 redirect=b.test exp=why.a.test\nb.test TXT v=spf1 -all exp=why.b.test\nwhy.a.test TXT a\nwhy.b.test TXT b", want: Fail, explained: "b"},
		{name: "6.2: not of an include", dns: "a.test TXT v=spf1 include:b.test -all\nb.test TXT v=spf1 -all exp=why.b.test\nwhy.b.test TXT b", want: Fail},
		{name: "6.2: several texts", dns: "a.test TXT v=spf1 -all exp=why.a.test\nwhy.a.test TXT a\nwhy.a.test TXT b", want: Fail},
		{name: "6.2: a text with a mistake", dns: "a.test TXT v=spf1 -all exp=why.a.test\nwhy.a.test TXT %{x}", want: Fail},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Sender{IP: netip.MustParseAddr("192.0.2.1"), From: "ana@a.test", Helo: "a.test"}
			if c.ip != "" {
				s.IP = netip.MustParseAddr(c.ip)
			}
			if c.from != "" {
				s.From = strings.TrimSpace(c.from)
			}
			out, err := Check(s, dnsOf(c.dns).ask)
			if err != nil || out.Result != c.want || !strings.Contains(out.Problem, c.says) || out.Explanation != c.explained || c.term != "" && out.Term != c.term {
				t.Errorf("%+v, %v", out, err)
			}
		})
	}
	if _, err := Check(Sender{IP: netip.MustParseAddr("192.0.2.1"), From: "ana@a.test"}, dnsOf("a.test TXT unknown").ask); !errors.Is(err, ErrUnknown) {
		t.Errorf("what nobody knows: %v", err)
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ txt, wrong string }{
		{"v=spf1", ""},
		{"V=SPF1 -ALL", ""},
		{"v=spf1 a mx ptr ip4:192.0.2.1 ip4:192.0.2.0/24 ip6:2001:db8::/32 include:x.test exists:%{i}._spf.x.test -all", ""},
		{"v=spf1 a/24 a//64 a/24//64 a:x.test/24 mx:x.test//64 a:x.test/24//64 ~all", ""},
		{"v=spf1 a:foo:bar/baz.x.test/24 a:x.test. ptr:x.test", ""},
		{"v=spf1  redirect=x.test  ", ""},
		{"v=spf1 exp=why.x.test unknown-modifier=%{s}anything%%, even=empty none= ?all", ""},
		{"v=spf1 exists:%{l1r-}.%{d2}.x.test exists:%{d2/}/x.test a:%{d/}/24 -all", ""},
		{"v=spf1 ipv4:192.0.2.1 -all", "no term"},
		{"v=spf1 ip4:2001:db8::1 -all", "IPv4"},
		{"v=spf1 ip4:192.0.2.256 -all", "IPv4"},
		{"v=spf1 ip4:192.0.2.0/024 -all", "IPv4"},
		{"v=spf1 ip4/24 -all", "IPv4"},
		{"v=spf1 ip6:192.0.2.1 -all", "IPv6"},
		{"v=spf1 ip4:192.0.2.0/33 -all", "IPv4"},
		{"v=spf1 ip4 -all", "IPv4"},
		{"v=spf1 a/33 -all", "length"},
		{"v=spf1 a/024 -all", "length"},
		{"v=spf1 a/24/64 -all", "length"},
		{"v=spf1 a//129 -all", "length"},
		{"v=spf1 a// -all", "prefix length"},
		{"v=spf1 a/ -all", "prefix length"},
		{"v=spf1 a:x.test/ -all", "domain name"},
		{"v=spf1 a:x.test:25 -all", "domain name"},
		{"v=spf1 a:museum -all", "domain name"},
		{"v=spf1 a:192.0.2.1 -all", "domain name"},
		{"v=spf1 include:x.-test -all", "domain name"},
		{"v=spf1 include -all", "one domain"},
		{"v=spf1 include:x.test/24 -all", "domain name"},
		{"v=spf1 include: -all", "after its colon"},
		{"v=spf1 ptr/24 -all", "no length"},
		{"v=spf1 all:x.test", "alone"},
		{"v=spf1 all/8", "alone"},
		{"v=spf1 -", "no term"},
		{"v=spf1 -al", "no term"},
		{"v=spf1 redirect=a.test redirect=b.test", "twice"},
		{"v=spf1 exp=a.test exp=b.test", "twice"},
		{"v=spf1 redirect=", "names no domain"},
		{"v=spf1 exp=%{r}", "explanations"},
		{"v=spf1 +redirect=x.test", "no term"},
		{"v=spf1 exists:%{z}.x.test", "macro"},
		{"v=spf1 exists:%x", "macro"},
		{"v=spf1 exists:%", "lone"},
		{"v=spf1 include:x.test,include:y.test\t-all", "printable"},
		{"v=spf10 -all", "begin"},
		{"v=spf1 https://x.test -all", "no term"},
	} {
		_, err := Parse(c.txt)
		if (err == nil) != (c.wrong == "") || (err != nil && !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%s: got %v, want %q", c.txt, err, c.wrong)
		}
	}
}

func TestMeaning(t *testing.T) {
	for _, c := range []struct {
		txt      string
		everyone bool
		ending   string
		lookups  int
	}{
		{"v=spf1 -all", false, "-", 0},
		{"v=spf1 all", true, "+", 0},
		{"v=spf1 +all", true, "+", 0},
		{"v=spf1 -all +all", false, "-", 0},
		{"v=spf1 ip4:0.0.0.0/0 -all", true, "-", 0},
		{"v=spf1 ip6:::/0 -all", true, "-", 0},
		{"v=spf1 -ip4:0.0.0.0/0 ~all", false, "~", 0},
		{"v=spf1 a mx include:x.test ptr exists:x.test redirect=y.test", false, "=", 6},
		{"v=spf1 a -all mx redirect=y.test", false, "-", 1},
		{"v=spf1 mx", false, "", 1},
		{"v=spf1 ?all", false, "?", 0},
	} {
		r, err := Parse(c.txt)
		if err != nil {
			t.Fatal(err)
		}
		_, everyone := r.Everyone()
		if everyone != c.everyone || strings.Trim(string(r.Ending()), "\x00") != c.ending || len(r.Lookups()) != c.lookups {
			t.Errorf("%s: everyone %v, ending %q, %d lookups", c.txt, everyone, r.Ending(), len(r.Lookups()))
		}
	}
}

// The longest way counts, for senders of both families.
func TestFollow(t *testing.T) {
	for _, c := range []struct {
		name, record, dns string
		lookups           int
		voids4, voids6    int
		pass4, pass6      bool
		broken, open      string
	}{
		{name: "addresses alone", record: "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all", pass4: true, pass6: true},
		{name: "hosts without IPv6", record: "v=spf1 a:a.test a:b.test a:c.test -all", dns: "a.test A 192.0.2.1\nb.test A 192.0.2.2\nc.test A 192.0.2.3", lookups: 3, voids6: 3, pass4: true},
		{name: "mail servers without IPv4", record: "v=spf1 mx -all", dns: "shop.test MX 1 a.test.\nshop.test MX 2 b.test.\na.test AAAA 2001:db8::1", lookups: 1, voids4: 2, voids6: 1, pass6: true},
		{name: "what is not let pass", record: "v=spf1 -ip4:192.0.2.1 ?include:b.test ~all", dns: "b.test TXT v=spf1 ip6:2001:db8::/32 -all", lookups: 1},
		{name: "a macro that is the same for all", record: "v=spf1 include:_spf.%{d} -all", dns: "_spf.shop.test TXT v=spf1 all", lookups: 1, open: "+all at _spf.shop.test"},
		{name: "a macro that is not", record: "v=spf1 include:%{l}._spf.%{d} exists:%{i}.x.test -all", lookups: 2},
		{name: "nobody knows", record: "v=spf1 include:b.test a:c.test -all", dns: "b.test TXT unknown\nc.test A unknown", lookups: 2},
		{name: "in circles", record: "v=spf1 include:b.test -all", dns: "b.test TXT v=spf1 include:shop.test -all", lookups: 2, broken: "shop.test → b.test → shop.test"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := Parse(c.record)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Follow("shop.test", r, dnsOf(c.dns).ask)
			if err != nil || got.Lookups != c.lookups || len(got.Voids4) != c.voids4 || len(got.Voids6) != c.voids6 || got.Pass4 != c.pass4 || got.Pass6 != c.pass6 ||
				!strings.Contains(strings.Join(got.Broken, ";"), c.broken) || len(got.Broken) > 0 && c.broken == "" || got.Open != c.open {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	broken := errors.New("broken")
	r, _ := Parse("v=spf1 a -all")
	if _, err := Follow("a.test", r, func(zone.Name, string) ([]string, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("an Ask that fails: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"v=spf1 a/24//64 mx:x.test ip4:192.0.2.0/24 include:%{d}.x.test -all", "v=spf1 redirect=x", "v=spf1 -", "v=spf1 exists:%{l1r-}", "v=spf1 a:%{d}/24",
		"v=spf1 a mx ptr ip4:192.0.2.1/24 ip6:2001:db8::/32 include:x.test ?exists:%{i}._spf.x.test exp=why.x.test", "v=spf1 a:%{d1r-}.x.test/24//64 ~all", "v=spf1 a:%{%{/}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, txt string) {
		r, err := Parse(txt)
		if err != nil {
			return
		}
		r.Everyone()
		r.Ending()
		for _, term := range r.Terms {
			term.Domain()
			if again, err := parseTerm(term.String()); err != nil || again != term {
				t.Errorf("%q holds %+v, written %q, which reads as %+v, %v", txt, term, term.String(), again, err)
			}
		}
		// Case does not matter (RFC 7208 section 4.6.1), but in macros, whose case says something else.
		if _, err := Parse(strings.ToUpper(txt[:6]) + txt[6:]); err != nil {
			t.Errorf("%q is valid, but not with its version in upper case: %v", txt, err)
		}
	})
}

// Whatever a record, a sender and the DNS say, an evaluation ends, within its limits.
func FuzzCheck(f *testing.F) {
	f.Add("v=spf1 include:%{l}.b.test ?all", "v=spf1 mx ptr exists:%{ir}.%{v}.%{d2} -all exp=%{o}", "ana@a.test", "a.test")
	f.Add("v=spf1 redirect=%{h}", "%{p} %{S} %{t}", "@", "b.test")
	f.Add("v=spf1 -all exp=b.test", "%{p8r-.}", "x@a.test", "[::1]")
	f.Fuzz(func(t *testing.T, record, other, from, helo string) {
		if len(record)+len(other)+len(from)+len(helo) > 4000 {
			return
		}
		asked := 0
		out, err := Check(Sender{IP: netip.MustParseAddr("192.0.2.1"), From: from, Helo: helo}, func(n zone.Name, typ string) ([]string, error) {
			if asked++; asked > 2000 {
				t.Fatalf("%q and %q ask without end", record, other)
			}
			if again, err := zone.ParseName(string(n)); err != nil || again != n {
				t.Fatalf("%q is asked about, which is no name: %v", n, err)
			}
			switch {
			case typ == "TXT" && n == "a.test":
				return []string{record}, nil
			case typ == "TXT":
				return []string{other}, nil
			case typ == "MX":
				return []string{"10 " + other}, nil
			case typ == "PTR":
				return []string{from, helo, "a.test."}, nil
			}
			return []string{"192.0.2.9", other}, nil
		})
		if err != nil || out.Result == "" || out.Lookups > MaxLookups+1 || out.Voids > MaxVoids+1 {
			t.Errorf("%+v, %v", out, err)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	w := dnsOf(appendixA + "example.com TXT v=spf1 mx include:mobile-users._spf.%{d} include:remote-users._spf.%{d} -all\n" +
		"mobile-users._spf.example.com TXT v=spf1 exists:%{l1r+}.%{d}\nremote-users._spf.example.com TXT v=spf1 exists:%{ir}.%{l1r+}.%{d}\n")
	s := Sender{IP: netip.MustParseAddr("192.168.15.16"), From: "joel@example.com"}
	for b.Loop() {
		if out, err := Check(s, w.ask); err != nil || out.Result != Pass {
			b.Fatal(out, err)
		}
	}
}
