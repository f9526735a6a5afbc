package spf

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"slipway/zone"
)

// maxExpanded is how long a name may be that macros expand to, before labels are taken off its
// left (RFC 7208 section 7.3).
const maxExpanded = 253

// piece is a part of a macro-string: text, or one macro.
type piece struct {
	text       string
	letter     byte // lower case; 0 for text
	escape     bool // the letter was upper case: escape for URLs
	digits     int  // how many parts are kept, 0 for all
	reverse    bool
	delimiters string
}

// macros reads a macro-string (RFC 7208 section 7.1). Where it is no explanation, the letters
// c, r and t are an error (section 7.2).
func macros(s string, explains bool) ([]piece, error) {
	var out []piece
	for s != "" {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			return append(out, piece{text: s}), nil
		}
		if i > 0 {
			out, s = append(out, piece{text: s[:i]}), s[i:]
		}
		if len(s) < 2 {
			return nil, fmt.Errorf("%q ends in a lone %%", s)
		}
		switch s[1] {
		case '%':
			out, s = append(out, piece{text: "%"}), s[2:]
		case '_':
			out, s = append(out, piece{text: " "}), s[2:]
		case '-':
			out, s = append(out, piece{text: "%20"}), s[2:]
		case '{':
			end := strings.IndexByte(s, '}')
			if end < 0 {
				return nil, fmt.Errorf("%q has a macro that is not closed", s)
			}
			p, err := macro(s[2:end], explains)
			if err != nil {
				return nil, err
			}
			out, s = append(out, p), s[end+1:]
		default:
			return nil, fmt.Errorf("%q has a %% that is no macro", s)
		}
	}
	return out, nil
}

// macro reads what stands between the braces.
func macro(s string, explains bool) (piece, error) {
	unknown := fmt.Errorf("%q is a macro that SPF does not know", "%{"+s+"}")
	if s == "" {
		return piece{}, unknown
	}
	p := piece{letter: s[0] | 0x20, escape: s[0] >= 'A' && s[0] <= 'Z'}
	switch {
	case strings.IndexByte("slodiphv", p.letter) >= 0:
	case strings.IndexByte("crt", p.letter) >= 0:
		if !explains {
			return piece{}, fmt.Errorf("%q is a macro for explanations alone", "%{"+s+"}")
		}
	default:
		return piece{}, unknown
	}
	rest := strings.TrimLeft(s[1:], "0123456789")
	if digits := s[1 : len(s)-len(rest)]; digits != "" {
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || n == 0 { // RFC 7208 section 7.1: the digit must be at least 1
			return piece{}, unknown
		}
		p.digits = int(n)
	}
	if rest != "" && rest[0]|0x20 == 'r' {
		p.reverse, rest = true, rest[1:]
	}
	if strings.Trim(rest, ".-+,/_=") != "" {
		return piece{}, unknown
	}
	p.delimiters = rest
	return p, nil
}

// checkDomain holds a domain-spec against RFC 7208 section 7.1: it ends in a macro, or in a dot and
// a label that can stand at the top.
func checkDomain(s string) error {
	pieces, err := macros(s, false)
	if err != nil {
		return err
	}
	last := pieces[len(pieces)-1]
	if last.letter != 0 {
		return nil
	}
	text := strings.TrimSuffix(last.text, ".")
	i := strings.LastIndexByte(text, '.')
	if i < 0 || !topLabel(text[i+1:]) {
		return fmt.Errorf("%q does not end like a domain name", s)
	}
	return nil
}

// topLabel reports whether a label can stand at the top: letters, digits and inner hyphens, and
// not digits alone.
func topLabel(s string) bool {
	return s != "" && s[0] != '-' && s[len(s)-1] != '-' &&
		strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-") == "" &&
		strings.Trim(s, "0123456789") != ""
}

// expand replaces macros by what they stand for.
func (p piece) expand(value string) string {
	if p.letter == 0 {
		return p.text
	}
	delimiters := p.delimiters
	if delimiters == "" {
		delimiters = "."
	}
	if p.digits > 0 || p.reverse || p.delimiters != "" {
		parts := splitAny(value, delimiters)
		if p.reverse {
			slices.Reverse(parts)
		}
		if p.digits > 0 && p.digits < len(parts) {
			parts = parts[len(parts)-p.digits:]
		}
		value = strings.Join(parts, ".")
	}
	if p.escape {
		return escapeURL(value)
	}
	return value
}

// splitAny splits at each of the delimiters; unlike FieldsFunc it keeps empty parts.
func splitAny(s, delimiters string) []string {
	var out []string
	for {
		i := strings.IndexAny(s, delimiters)
		if i < 0 {
			return append(out, s)
		}
		out, s = append(out, s[:i]), s[i+1:]
	}
}

// escapeURL writes all but the unreserved characters of RFC 3986 section 2.3 as %XX.
func escapeURL(s string) string {
	var out strings.Builder
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0:
			out.WriteByte(c)
		default:
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

// dotted is an address as the macro i has it: IPv6 in nibbles (RFC 7208 section 7.3).
func dotted(a netip.Addr) string {
	if a.Is4() {
		return a.String()
	}
	var out []string
	for _, b := range a.As16() {
		out = append(out, strconv.FormatUint(uint64(b>>4), 16), strconv.FormatUint(uint64(b&15), 16))
	}
	return strings.Join(out, ".")
}

// reverseName is where an address has its names: in-addr.arpa and ip6.arpa.
func reverseName(a netip.Addr) zone.Name {
	parts := strings.Split(dotted(a), ".")
	slices.Reverse(parts)
	if a.Is4() {
		return zone.Name(strings.Join(parts, ".") + ".in-addr.arpa")
	}
	return zone.Name(strings.Join(parts, ".") + ".ip6.arpa")
}

// shorten takes labels off the left of a name until it fits (RFC 7208 section 7.3).
func shorten(s string) string {
	for len(strings.TrimSuffix(s, ".")) > maxExpanded {
		_, rest, found := strings.Cut(s, ".")
		if !found {
			return s
		}
		s = rest
	}
	return s
}

// name reads what macros expanded to. Characters that names on paper never have, such as a space, are
// only escaped: DNS can be asked for them.
func name(s string) (zone.Name, bool) {
	s = strings.TrimSuffix(s, ".")
	if s == "" {
		return "", false
	}
	var out strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c == '.' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_':
			out.WriteByte(c)
		case 'A' <= c && c <= 'Z':
			out.WriteByte(c | 0x20)
		default:
			fmt.Fprintf(&out, "\\%03d", c)
		}
	}
	n, err := zone.ParseName(out.String())
	return n, err == nil
}
