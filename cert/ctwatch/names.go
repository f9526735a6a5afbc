package ctwatch

import (
	"bytes"
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
	// the others, nearly all, need not be parsed. nil when that cannot be said.
	needles [][]byte
}

func watch(zones []zone.Name) *watched {
	w := &watched{zones: map[zone.Name]bool{}, parents: map[zone.Name]bool{}}
	all := true
	for _, z := range zones {
		w.zones[z] = true
		w.parents[z.Parent()] = true
		needle := plainEnd(string(z))
		all = all && needle != ""
		if !slices.ContainsFunc(w.needles, func(n []byte) bool { return string(n) == needle }) {
			w.needles = append(w.needles, []byte(needle))
		}
		// "*.example" covers finmicro.example without naming it.
		if p := z.Parent(); p != "." && p != "" {
			if needle := plainEnd("*." + string(p)); needle != "" {
				w.needles = append(w.needles, []byte(needle))
			}
		}
	}
	if !all {
		w.needles = nil
	}
	return w
}

// plainEnd is the end of a name that everybody writes alike: the labels after the last
// one that may stand in a certificate in letters beyond ASCII. "" for none.
func plainEnd(name string) string {
	at := strings.LastIndex(name, "xn--")
	if at < 0 {
		return name
	}
	_, rest, _ := strings.Cut(name[at:], ".")
	return rest
}

// mayMatch is false only if no name in der is in a zone. scratch is memory to reuse.
// Letters count in either case; the zero octets of UTF-16 and UTF-32 strings do not count.
func (w *watched) mayMatch(der []byte, scratch []byte) (bool, []byte) {
	if w.needles == nil {
		return true, scratch
	}
	scratch = scratch[:0]
	for _, c := range der {
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
