package spf

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"slipway/zone"
)

// Record is one SPF record (RFC 7208 section 4.5).
type Record struct {
	Terms []Term
}

// Term is a directive or a modifier.
type Term struct {
	Qualifier byte   // '+', '-', '~' or '?'; 0 for a modifier
	Name      string // "include", "redirect", …, lower case
	Value     string // after ":" or "=", without a prefix length
	Prefix    string // "/24", "//64", "/24//64"
}

// Is reports whether a TXT record is an SPF record (RFC 7208 section 4.5).
func Is(txt string) bool {
	version, _, _ := strings.Cut(txt, " ")
	return strings.EqualFold(version, "v=spf1")
}

// Parse reads an SPF record. The error says in plain words which term is wrong.
func Parse(txt string) (Record, error) {
	var r Record
	for i, c := range []byte(txt) {
		if c < ' ' || c > '~' {
			return r, fmt.Errorf("character %d is not printable ASCII", i+1)
		}
	}
	if !Is(txt) {
		return r, fmt.Errorf("it does not begin with v=spf1")
	}
	seen := map[string]bool{}
	for _, word := range strings.Split(txt[len("v=spf1"):], " ") {
		if word == "" {
			continue
		}
		t, err := parseTerm(word)
		if err != nil {
			return r, err
		}
		if t.Qualifier == 0 && (t.Name == "redirect" || t.Name == "exp") {
			if seen[t.Name] { // RFC 7208 section 6
				return r, fmt.Errorf("%s= stands twice", t.Name)
			}
			seen[t.Name] = true
		}
		r.Terms = append(r.Terms, t)
	}
	return r, nil
}

// mechanisms are those of RFC 7208 section 5.
var mechanisms = []string{"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"}

func parseTerm(word string) (Term, error) {
	end := strings.IndexAny(word, ":=/")
	if end >= 0 && word[end] == '=' { // a modifier (RFC 7208 section 4.6.1)
		t := Term{Name: strings.ToLower(word[:end]), Value: word[end+1:]}
		if !modifierName(t.Name) {
			return t, fmt.Errorf("%q is no term of SPF", word)
		}
		if t.Name == "redirect" || t.Name == "exp" {
			if t.Value == "" {
				return t, fmt.Errorf("%q names no domain", word)
			}
			return t, checkDomain(t.Value)
		}
		_, err := macros(t.Value, true)
		return t, err
	}
	t := Term{Qualifier: '+'}
	rest := word
	if strings.IndexByte("+-~?", rest[0]) >= 0 {
		t.Qualifier, rest = rest[0], rest[1:]
	}
	end = strings.IndexAny(rest, ":/")
	if end < 0 {
		end = len(rest)
	}
	t.Name, rest = strings.ToLower(rest[:end]), rest[end:]
	if !slices.Contains(mechanisms, t.Name) {
		return t, fmt.Errorf("%q is no term of SPF", word)
	}
	if strings.HasPrefix(rest, ":") {
		t.Value = rest[1:]
		if t.Name == "a" || t.Name == "mx" {
			i := prefixLength.FindStringIndex(t.Value)[0]
			t.Value, t.Prefix = t.Value[:i], t.Value[i:]
		}
		if t.Value == "" {
			return t, fmt.Errorf("%q has nothing after its colon", word)
		}
	} else {
		t.Prefix = rest
	}
	return t, t.check(word)
}

// prefixLength is at the end of a domain, which itself may hold "/" (RFC 7208 sections 5.6 and 7.1).
var prefixLength = regexp.MustCompile(`(/[0-9]+)?(//[0-9]+)?$`)

// check holds a directive against RFC 7208 section 5.
func (t Term) check(word string) error {
	switch t.Name {
	case "all":
		if t.Value != "" || t.Prefix != "" {
			return fmt.Errorf("%q: all stands alone", word)
		}
		return nil
	case "include", "exists":
		if t.Value == "" || t.Prefix != "" {
			return fmt.Errorf("%q must name one domain", word)
		}
	case "ptr":
		if t.Prefix != "" {
			return fmt.Errorf("%q: ptr takes no length", word)
		}
	case "a", "mx":
		if _, _, err := t.lengths(); err != nil {
			return fmt.Errorf("%q: %w", word, err)
		}
	case "ip4", "ip6":
		if _, ok := t.network(); !ok {
			return fmt.Errorf("%q does not hold an %s address or network", word, map[string]string{"ip4": "IPv4", "ip6": "IPv6"}[t.Name])
		}
		return nil
	}
	if t.Value == "" {
		return nil
	}
	return checkDomain(t.Value)
}

// network is the network of ip4 or ip6.
func (t Term) network() (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(t.Value)
	if err != nil {
		a, err := netip.ParseAddr(t.Value)
		if err != nil {
			return p, false
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	return p, p.Addr().Is4() == (t.Name == "ip4") && p.Addr().Zone() == "" && t.Prefix == ""
}

// lengths reads "/24", "//64" and "/24//64" (RFC 7208 section 5.6); what is not given is the whole address.
func (t Term) lengths() (v4, v6 int, err error) {
	v4, v6 = 32, 128
	first, second, dual := strings.Cut(t.Prefix, "//")
	if first != "" {
		if v4, err = length(strings.TrimPrefix(first, "/"), 32); err != nil || first[0] != '/' {
			return 0, 0, fmt.Errorf("%q is not a prefix length", t.Prefix)
		}
	}
	if dual {
		if v6, err = length(second, 128); err != nil {
			return 0, 0, fmt.Errorf("%q is not a prefix length", t.Prefix)
		}
	}
	return v4, v6, nil
}

func length(s string, most int) (int, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || int(n) > most || len(s) > 1 && s[0] == '0' {
		return 0, fmt.Errorf("%q is not a length from 0 to %d", s, most)
	}
	return int(n), nil
}

func modifierName(s string) bool {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

// Everyone returns the term that lets any sender pass, if there is one.
func (r Record) Everyone() (string, bool) {
	for _, t := range r.Terms {
		if t.Qualifier != '+' {
			if t.Name == "all" && t.Qualifier != 0 {
				return "", false // what follows is never looked at (RFC 7208 section 5.1)
			}
			continue
		}
		if t.Name == "all" {
			return "+all", true
		}
		if p, ok := t.network(); ok && (t.Name == "ip4" || t.Name == "ip6") && p.Bits() == 0 {
			return t.Name + ":" + t.Value, true
		}
	}
	return "", false
}

// Nobody reports whether the record says that no machine may send: "v=spf1 -all".
func (r Record) Nobody() bool { return len(r.Terms) == 1 && r.Ending() == '-' }

// Ending says how the record treats senders that no term names: the qualifier
// of all, '=' when a redirect decides, or 0 when there is neither.
func (r Record) Ending() byte {
	redirect := byte(0)
	for _, t := range r.Terms {
		if t.Name == "all" && t.Qualifier != 0 {
			return t.Qualifier
		}
		if t.Name == "redirect" && t.Qualifier == 0 {
			redirect = '='
		}
	}
	return redirect
}

// Lookups returns the terms that ask DNS, in the order of evaluation, up to all.
func (r Record) Lookups() []Term {
	var out []Term
	for _, t := range r.evaluated() {
		if t.asks() {
			out = append(out, t)
		}
	}
	return out
}

// evaluated returns the terms in the order in which receivers look at them for a sender that none
// matches: up to all, and redirect last, when there is no all (RFC 7208 section 6.1).
func (r Record) evaluated() []Term {
	var out []Term
	for _, t := range r.Terms {
		if t.Qualifier == 0 {
			continue
		}
		out = append(out, t)
		if t.Name == "all" {
			return out
		}
	}
	if t, ok := r.modifier("redirect"); ok {
		out = append(out, t)
	}
	return out
}

// modifier finds exp or redirect.
func (r Record) modifier(name string) (Term, bool) {
	i := slices.IndexFunc(r.Terms, func(t Term) bool { return t.Qualifier == 0 && t.Name == name })
	if i < 0 {
		return Term{}, false
	}
	return r.Terms[i], true
}

// asks reports whether the term counts as a look-up (RFC 7208 section 4.6.4).
func (t Term) asks() bool {
	switch t.Name {
	case "include", "a", "mx", "ptr", "exists":
		return t.Qualifier != 0
	case "redirect":
		return t.Qualifier == 0
	}
	return false
}

// Domain is the name that a term asks about, when it holds no macro.
func (t Term) Domain() (zone.Name, bool) {
	if t.Value == "" || strings.Contains(t.Value, "%") {
		return "", false
	}
	return name(t.Value)
}

// String is the term as people write it.
func (t Term) String() string {
	switch {
	case t.Qualifier == 0:
		return t.Name + "=" + t.Value
	case t.Value != "":
		return strings.TrimPrefix(string(t.Qualifier), "+") + t.Name + ":" + t.Value + t.Prefix
	}
	return strings.TrimPrefix(string(t.Qualifier), "+") + t.Name + t.Prefix
}

// Same reports whether two terms say the same.
func (t Term) Same(o Term) bool {
	return t.Qualifier == o.Qualifier && t.Name == o.Name && t.Prefix == o.Prefix && strings.EqualFold(strings.TrimSuffix(t.Value, "."), strings.TrimSuffix(o.Value, "."))
}
