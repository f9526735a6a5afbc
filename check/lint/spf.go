package lint

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"slipway/zone"
)

// spf is one SPF record (RFC 7208 section 4.5).
type spf struct {
	terms []spfTerm
}

// spfTerm is a directive or a modifier.
type spfTerm struct {
	qualifier byte   // '+', '-', '~' or '?'; 0 for a modifier
	name      string // "include", "redirect", …, lower case
	value     string // after ":" or "=", without a prefix length
	prefix    string // "/24", "//64", "/24//64"
}

// isSPF reports whether a TXT record is an SPF record (RFC 7208 section 4.5).
func isSPF(txt string) bool {
	version, _, _ := strings.Cut(txt, " ")
	return strings.EqualFold(version, "v=spf1")
}

// parseSPF reads an SPF record. The error says in plain words which term is wrong.
func parseSPF(txt string) (spf, error) {
	var s spf
	for i, c := range []byte(txt) {
		if c < ' ' || c > '~' {
			return s, fmt.Errorf("character %d is not printable ASCII", i+1)
		}
	}
	if !isSPF(txt) {
		return s, fmt.Errorf("it does not begin with v=spf1")
	}
	seen := map[string]bool{}
	for _, word := range strings.Split(txt[len("v=spf1"):], " ") {
		if word == "" {
			continue
		}
		t, err := parseSPFTerm(word)
		if err != nil {
			return s, err
		}
		if t.qualifier == 0 && (t.name == "redirect" || t.name == "exp") {
			if seen[t.name] { // RFC 7208 section 6
				return s, fmt.Errorf("%s= stands twice", t.name)
			}
			seen[t.name] = true
		}
		s.terms = append(s.terms, t)
	}
	return s, nil
}

// spfMechanisms are those of RFC 7208 section 5.
var spfMechanisms = []string{"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"}

func parseSPFTerm(word string) (spfTerm, error) {
	end := strings.IndexAny(word, ":=/")
	if end >= 0 && word[end] == '=' { // a modifier (RFC 7208 section 4.6.1)
		t := spfTerm{name: strings.ToLower(word[:end]), value: word[end+1:]}
		if !spfModifierName(t.name) {
			return t, fmt.Errorf("%q is no term of SPF", word)
		}
		if (t.name == "redirect" || t.name == "exp") && t.value == "" {
			return t, fmt.Errorf("%q names no domain", word)
		}
		return t, macro(t.value)
	}
	t := spfTerm{qualifier: '+'}
	rest := word
	if strings.IndexByte("+-~?", rest[0]) >= 0 {
		t.qualifier, rest = rest[0], rest[1:]
	}
	end = strings.IndexAny(rest, ":/")
	if end < 0 {
		end = len(rest)
	}
	t.name, rest = strings.ToLower(rest[:end]), rest[end:]
	if !slices.Contains(spfMechanisms, t.name) {
		return t, fmt.Errorf("%q is no term of SPF", word)
	}
	if strings.HasPrefix(rest, ":") {
		t.value = rest[1:]
		if t.name != "ip4" && t.name != "ip6" && t.name != "exists" && t.name != "include" && t.name != "ptr" {
			if i := prefixStart(t.value); i >= 0 {
				t.value, t.prefix = t.value[:i], t.value[i:]
			}
		}
		if t.value == "" {
			return t, fmt.Errorf("%q has nothing after its colon", word)
		}
	} else {
		t.prefix = rest
	}
	return t, t.check(word)
}

// prefixStart finds a CIDR length at the end of a domain, which may hold "/" in a macro (RFC 7208 section 7.1).
func prefixStart(value string) int {
	from := strings.LastIndexByte(value, '}') + 1
	if i := strings.IndexByte(value[from:], '/'); i >= 0 {
		return from + i
	}
	return -1
}

// check holds a directive against RFC 7208 section 5.
func (t spfTerm) check(word string) error {
	switch t.name {
	case "all":
		if t.value != "" || t.prefix != "" {
			return fmt.Errorf("%q: all stands alone", word)
		}
	case "include", "exists":
		if t.value == "" || t.prefix != "" {
			return fmt.Errorf("%q must name one domain", word)
		}
		return macro(t.value)
	case "ptr":
		if t.prefix != "" {
			return fmt.Errorf("%q: ptr takes no length", word)
		}
		return macro(t.value)
	case "a", "mx":
		if err := prefixes(t.prefix); err != nil {
			return fmt.Errorf("%q: %w", word, err)
		}
		return macro(t.value)
	case "ip4", "ip6":
		if _, ok := t.network(); !ok {
			return fmt.Errorf("%q does not hold an %s address or network", word, map[string]string{"ip4": "IPv4", "ip6": "IPv6"}[t.name])
		}
	}
	return nil
}

// network is the network of ip4 or ip6.
func (t spfTerm) network() (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(t.value)
	if err != nil {
		a, err := netip.ParseAddr(t.value)
		if err != nil {
			return p, false
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	return p, p.Addr().Is4() == (t.name == "ip4") && p.Addr().Zone() == ""
}

// prefixes checks "/24", "//64" and "/24//64" (RFC 7208 section 5.6).
func prefixes(s string) error {
	v4, v6, dual := strings.Cut(s, "//")
	for _, part := range []struct {
		text string
		most int
	}{{strings.TrimPrefix(v4, "/"), 32}, {v6, 128}} {
		if part.text == "" {
			continue
		}
		if n, err := strconv.Atoi(part.text); err != nil || n < 0 || n > part.most || !digits(part.text) {
			return fmt.Errorf("%q is not a length from 0 to %d", part.text, part.most)
		}
	}
	if dual && v6 == "" || s == "/" || (v4 != "" && v4[0] != '/') {
		return fmt.Errorf("%q is not a prefix length", s)
	}
	return nil
}

// macro checks a domain with macros (RFC 7208 section 7.1).
func macro(s string) error {
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			continue
		}
		if i++; i >= len(s) {
			return fmt.Errorf("%q ends in a lone %%", s)
		}
		switch s[i] {
		case '%', '_', '-':
			continue
		case '{':
		default:
			return fmt.Errorf("%q has a %% that is no macro", s)
		}
		end := strings.IndexByte(s[i:], '}')
		if end < 2 || strings.IndexByte("slodiphcrtvSLODIPHCRTV", s[i+1]) < 0 {
			return fmt.Errorf("%q has a macro that SPF does not know", s)
		}
		rest := strings.TrimLeft(s[i+2:i+end], "0123456789")
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, "r"), "R")
		if strings.Trim(rest, ".-+,/_=") != "" {
			return fmt.Errorf("%q has a macro that SPF does not know", s)
		}
		i += end
	}
	return nil
}

func spfModifierName(s string) bool {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

// everyone returns the term that lets any sender pass, if there is one.
func (s spf) everyone() (string, bool) {
	for _, t := range s.terms {
		if t.qualifier != '+' {
			if t.name == "all" {
				return "", false // what follows is never looked at (RFC 7208 section 5.1)
			}
			continue
		}
		if t.name == "all" {
			return "+all", true
		}
		if p, ok := t.network(); ok && (t.name == "ip4" || t.name == "ip6") && p.Bits() == 0 {
			return t.name + ":" + t.value, true
		}
	}
	return "", false
}

// nobody reports whether the record says that no machine may send: "v=spf1 -all".
func (s spf) nobody() bool { return len(s.terms) == 1 && s.ending() == '-' }

// ending says how the record treats senders that no term names: the qualifier
// of all, or 0 when there is neither all nor redirect.
func (s spf) ending() byte {
	redirect := byte(0)
	for _, t := range s.terms {
		if t.name == "all" && t.qualifier != 0 {
			return t.qualifier
		}
		if t.name == "redirect" && t.qualifier == 0 {
			redirect = '='
		}
	}
	return redirect
}

// lookups returns the terms that ask DNS, in order, up to all.
func (s spf) lookups() []spfTerm {
	var out []spfTerm
	all := false
	for _, t := range s.terms {
		switch {
		case t.qualifier == 0:
		case t.name == "all":
			all = true
		case all: // never looked at
		case t.name == "include" || t.name == "a" || t.name == "mx" || t.name == "ptr" || t.name == "exists":
			out = append(out, t)
		}
	}
	for _, t := range s.terms { // redirect counts only when there is no all (RFC 7208 section 6.1)
		if t.qualifier == 0 && t.name == "redirect" && !all {
			out = append(out, t)
		}
	}
	return out
}

// domain is the name that a term asks about, when it holds no macro.
func (t spfTerm) domain() (zone.Name, bool) {
	if t.value == "" || strings.Contains(t.value, "%") {
		return "", false
	}
	n, err := zone.ParseName(t.value)
	return n, err == nil
}
