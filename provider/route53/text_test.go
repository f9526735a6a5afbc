package route53

import (
	"strings"
	"testing"

	"slipway/zone"
)

func TestText(t *testing.T) {
	for _, tt := range []struct {
		ours, theirs string
		name         bool
	}{
		{`plain.example.`, `plain.example.`, true},
		{`*.example.`, `*.example.`, true},
		{`has\.dot.example.`, `has\056dot.example.`, true},
		{`\255\000.example.`, `\377\000.example.`, true},
		{`back\\slash.example.`, `back\134slash.example.`, true},
		{`"say \"hi\" \\ there"`, `"say \"hi\" \\ there"`, false},
		{`"gr\195\188\195\159e"`, `"gr\303\274\303\237e"`, false},
	} {
		if got := toAWS(tt.ours, tt.name); got != tt.theirs {
			t.Errorf("%s: %s, want %s", tt.ours, got, tt.theirs)
		}
		back := fromAWS(tt.theirs)
		if tt.name {
			n, err := zone.ParseName(back)
			if err != nil || n.FQDN() != tt.ours {
				t.Errorf("%s read back: %s, %v", tt.theirs, n, err)
			}
		} else if back != tt.ours {
			t.Errorf("%s read back: %s", tt.theirs, back)
		}
	}
	// Route 53 itself writes the asterisk so.
	if n, err := zone.ParseName(fromAWS(`\052.example.com.`)); err != nil || n != "*.example.com" {
		t.Errorf("%s, %v", n, err)
	}
}

// Whatever text a record has, it comes back from Route 53's spelling as it was.
func FuzzText(f *testing.F) {
	f.Add("say \"hi\" \\ there")
	f.Add("\x00\xff\\052 \\\\")
	f.Fuzz(func(t *testing.T, octets string) {
		ours := zone.QuoteText(octets)
		theirs := toAWS(ours, false)
		if strings.ContainsFunc(theirs, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q is sent as %q", octets, theirs)
		}
		if back := fromAWS(theirs); back != ours {
			t.Errorf("%q comes back as %q by way of %q", ours, back, theirs)
		}
		fromAWS(octets) // whatever Route 53 sends
		if n, err := zone.ParseName(octets); err == nil {
			back, err := zone.ParseName(fromAWS(toAWS(n.FQDN(), true)))
			if err != nil || back != n {
				t.Errorf("%q comes back as %q, %v", n, back, err)
			}
		}
	})
}
