package zone

import (
	"strings"
	"testing"
)

func TestParseName(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, tt := range []struct{ in, want, unicode string }{
		{"WWW.Example.COM.", "www.example.com", "www.example.com"},
		{".", ".", "."},
		{"_dmarc.example.com", "_dmarc.example.com", "_dmarc.example.com"},
		{"*.Example.com", "*.example.com", "*.example.com"},
		{"Bücher.example", "xn--bcher-kva.example", "bücher.example"},
		{"XN--BCHER-KVA.example", "xn--bcher-kva.example", "bücher.example"},
		{"_sip._tcp.bücher.example", "_sip._tcp.xn--bcher-kva.example", "_sip._tcp.bücher.example"},
		{"straße.de", "xn--strae-oqa.de", "straße.de"}, // IDNA 2008, not "strasse"
		{"ｆｏｏ。example", "foo.example", "foo.example"},  // full-width, ideographic stop
		{"#civilmediation.example", "#civilmediation.example", "#civilmediation.example"},
		{`a\.b.example`, `a\.b.example`, `a\.b.example`},
		{`a\046b.example`, `a\.b.example`, `a\.b.example`},
		{`\065.example`, "a.example", "a.example"},
		{`a\032b\255.example`, `a\032b\255.example`, `a\032b\255.example`},
		{`a\@b.example`, `a\@b.example`, `a\@b.example`},
		{`a\.`, `a\.`, `a\.`},
		{long + ".example", long + ".example", long + ".example"},
		{"xn--a.example", "xn--a.example", "xn--a.example"}, // no valid A-label, still a DNS name
	} {
		got, err := ParseName(tt.in)
		if err != nil || string(got) != tt.want || got.Unicode() != tt.unicode {
			t.Errorf("ParseName(%q) = %q (%q), %v; want %q (%q)", tt.in, got, got.Unicode(), err, tt.want, tt.unicode)
		}
	}
}

func TestParseNameFaults(t *testing.T) {
	label := strings.Repeat("a", 63)
	for _, tt := range []struct{ in, want string }{
		{"", "cannot be empty"},
		{"a..b", "two dots in a row"},
		{".a", "two dots in a row, or a dot at the start"},
		{"a b.example", "a space"},
		{"a\tb.example", "a space or a control character"},
		{"a\nb.example", "a space or a control character"},
		{label + "a.example", "DNS allows 63"},
		{strings.Repeat(label+".", 4) + "example", "255 octets"},
		{strings.Repeat("a", 5000), "at most 255"},
		{`a\`, "lone backslash"},
		{`a\25.b`, "incomplete"},
		{`a\256.b`, "over 255"},
		{`ü\046.b`, "mixes letters outside ASCII"},
		{"\u00ad.example", "internationalised"}, // a soft hyphen, which mapping drops
		{"a\u200d.example", "internationalised"},
		{"ü＊.example", "punctuation"}, // a full-width asterisk is not a wildcard
		{"\xff.example", "internationalised"},
	} {
		got, err := ParseName(tt.in)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ParseName(%q) = %q, %v; want an error that says %q", tt.in, got, err, tt.want)
		}
	}
}

func TestNameMethods(t *testing.T) {
	for _, tt := range []struct {
		name, zone Name
		in         bool
		relative   string
	}{
		{"www.example.com", "example.com", true, "www"},
		{"example.com", "example.com", true, ""},
		{"a.b.example.com", "example.com", true, "a.b"},
		{"badexample.com", "example.com", false, "badexample.com."},
		{`bad\.example.com`, "example.com", false, `bad\.example.com.`}, // the dot is in the label
		{`bad\\.example.com`, "example.com", true, `bad\\`},
		{"com", "example.com", false, "com."},
		{"example.com", ".", true, "example.com"},
		{".", ".", true, ""},
		{".", "com", false, "."},
	} {
		if got := tt.name.In(tt.zone); got != tt.in {
			t.Errorf("%q.In(%q) = %v", tt.name, tt.zone, got)
		}
		if got := tt.name.Relative(tt.zone); got != tt.relative {
			t.Errorf("%q.Relative(%q) = %q", tt.name, tt.zone, got)
		}
		if tt.in && tt.zone.below(tt.relative) != tt.name {
			t.Errorf("%q.below(%q) = %q", tt.zone, tt.relative, tt.zone.below(tt.relative))
		}
	}
	n := Name(`*.a\.b.example.com`)
	if !n.Wildcard() || Name("x.*.example").Wildcard() || n.FQDN() != `*.a\.b.example.com.` || Name(".").FQDN() != "." {
		t.Error("Wildcard or FQDN")
	}
	if got := n.Labels(); len(got) != 4 || got[1] != `a\.b` {
		t.Errorf("Labels %q", got)
	}
	for _, want := range []Name{`a\.b.example.com`, "example.com", "com", ".", "."} {
		if n = n.Parent(); n != want {
			t.Errorf("Parent %q, want %q", n, want)
		}
	}
}

func TestNaturalOrder(t *testing.T) {
	// As natsort, which octoDNS uses, orders them.
	in := strings.Split("|1|1-2|1a|2|10|#c|*|*.x|-a|A|_b|a|a1|a1b|a2|a10|a-b|a.b", "|")
	for i := 1; i < len(in); i++ {
		if natural(in[i-1], in[i]) >= 0 || natural(in[i], in[i-1]) <= 0 {
			t.Errorf("%q should come before %q", in[i-1], in[i])
		}
	}
	if natural("a01", "a1") != 0 {
		t.Error("leading zeros should not count")
	}
}
