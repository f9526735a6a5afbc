package ctwatch

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	ctx509 "github.com/google/certificate-transparency-go/x509"

	"slipway/zone"
)

// maxNames is how many names of one certificate are looked at and told.
const maxNames = 1000

// watched are the organisation's zones, ready to be found in certificates.
type watched struct {
	zones   map[zone.Name]bool
	parents map[zone.Name]bool // whose wildcard covers the apex of one

	// needles stand in the bytes of every certificate that has a name in a zone, so that
	// the others, nearly all, need not be parsed.
	needles [][]byte
}

func watch(zones []zone.Name) *watched {
	w := &watched{zones: map[zone.Name]bool{}, parents: map[zone.Name]bool{}}
	needles := map[string]bool{}
	for _, z := range zones {
		w.zones[z] = true
		// As certificates have it (RFC 5280 section 7.2), and as people might write it into the common name.
		needles[string(z)], needles[z.Unicode()] = true, true
		// "*.example" covers finmicro.example without naming it.
		if p := z.Parent(); p != "." && p != "" {
			w.parents[p] = true
			needles["*."+string(p)], needles["*."+p.Unicode()] = true, true
		}
	}
	for _, n := range slices.Sorted(maps.Keys(needles)) {
		w.needles = append(w.needles, []byte(n))
	}
	return w
}

// mayMatch is false only if no name in text, a certificate or a name, is one of ours. scratch
// is memory to reuse. ASCII letters count in either case; the zero octets of UTF-16 and
// UTF-32 strings do not count.
func (w *watched) mayMatch(text []byte, scratch []byte) (bool, []byte) {
	scratch = scratch[:0]
	for _, c := range text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != 0 {
			scratch = append(scratch, c)
		}
	}
	for _, n := range w.needles {
		if bytes.Contains(scratch, n) {
			return true, scratch
		}
	}
	return false, scratch
}

// ours returns the names of c in the organisation's zones, as zone names, sorted, and
// whether there were more than are told.
func (w *watched) ours(c *ctx509.Certificate) (names []string, more bool) {
	for _, n := range slices.Concat([]string{c.Subject.CommonName}, c.DNSNames) {
		name, ok := w.match(n)
		if !ok || slices.Contains(names, name) {
			continue
		}
		if len(names) == maxNames {
			return names, true
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, false
}

// match says whether a name as certificates write it is in a zone: one of its own, below
// it, or a wildcard that covers it. Addresses are none (RFC 5280 section 4.2.1.6 has iPAddress for them).
func (w *watched) match(s string) (string, bool) {
	if len(s) == 0 || len(s) > 1024 {
		return "", false
	}
	name, err := zone.ParseName(s)
	if err != nil {
		return "", false // a common name may be anything
	}
	// Other ways to write the name, such as wide letters or escapes, are no browser's: the quick
	// look does not see them, so they never count.
	if may, _ := w.mayMatch([]byte(s), nil); !may {
		return "", false
	}
	if base, ok := strings.CutPrefix(string(name), "*."); ok && w.parents[zone.Name(base)] {
		return string(name), true
	}
	for n := name; n != "." && n != ""; n = n.Parent() {
		if w.zones[n] {
			return string(name), true
		}
	}
	return "", false
}
