package zone

import (
	"net/netip"
	"strconv"
	"strings"
)

// This file reads record sets in the plain form that nearly all of them are written in,
// without a YAML parser or a parser of zone files, at a tenth of their cost. It is no second
// opinion: what it does not know for certain it leaves to these, and the tests hold the
// two against each other.

// plainValue says whether s, of the type, is in canonical form already, for the types that
// most record sets have. False is no answer.
func plainValue(typ, s string) bool {
	switch typ {
	case "A":
		a, err := netip.ParseAddr(s)
		return err == nil && a.Is4() // of which there is one form
	case "AAAA":
		a, err := netip.ParseAddr(s)
		var form [64]byte
		return err == nil && a.Is6() && a.Zone() == "" && string(a.AppendTo(form[:0])) == s
	case "ALIAS", "CNAME", "DNAME", "NS", "PTR":
		return len(s) > 1 && s[len(s)-1] == '.' && plainName(s)
	case "MX":
		preference, exchange, _ := strings.Cut(s, " ")
		n, err := strconv.ParseUint(preference, 10, 16)
		return err == nil && strconv.FormatUint(n, 10) == preference && plainValue("CNAME", exchange)
	case "TXT":
		return len(s) > 1 && len(s) <= 257 && s[0] == '"' && s[len(s)-1] == '"' && plainText(s[1:len(s)-1])
	}
	return false
}

// plainText says whether text needs no escapes where it is quoted.
func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// plainNumber reads a number that is written without anything that need not be.
func plainNumber(s string) (int, bool) {
	if s == "" || len(s) > 9 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n, true
}

// plainSet reads a block that holds one record set, a key a line: type, ttl, and value or
// values.
func (f *File) plainSet(b *block) (RRSet, bool) {
	var r RRSet
	line, text, _ := strings.Cut(b.text, "\n")
	if f.crlf || !plainKey(line, b.key) {
		return r, false
	}
	name, err := f.nameOf(b.key, b.line)
	if err != nil {
		return r, false
	}
	r = RRSet{Name: name, TTL: NoTTL, Place: Place{f.path, b.line}}
	var value string
	var items []string
	hasTTL, hasValue, inValues, itemIndent := false, false, false, 0
	for text != "" {
		line, text, _ = strings.Cut(text, "\n")
		body := strings.TrimLeft(line, " ")
		switch indent := len(line) - len(body); {
		case inValues && strings.HasPrefix(body, "- ") && (indent == 2 || indent == 4):
			if len(items) > 0 && indent != itemIndent || len(items) == maxValues {
				return r, false
			}
			items, itemIndent = append(items, body[2:]), indent
			continue
		case indent != 2:
			return r, false
		}
		if inValues && len(items) == 0 {
			return r, false
		}
		inValues = false
		key, val, ok := strings.Cut(body, ": ")
		switch {
		case ok && key == "type" && r.Type == "":
			r.Type = val
		case ok && key == "ttl" && !hasTTL:
			if r.TTL, hasTTL = plainNumber(val); !hasTTL {
				return r, false
			}
		case ok && key == "value" && !hasValue:
			value, hasValue = val, true
		case body == "values:" && !hasValue:
			hasValue, inValues = true, true
		default:
			return r, false
		}
	}
	if !hasValue || inValues && len(items) == 0 {
		return r, false
	}
	if items == nil {
		items = []string{value}
	}
	for i, v := range items {
		var ok bool
		if items[i], ok = plainScalar(r.Type, v); !ok {
			return r, false
		}
	}
	if len(items) > 1 {
		items = sortedSet(items)
	}
	r.Values = items
	return r, true
}

// plainKey says whether a line is a key and nothing more.
func plainKey(line, key string) bool {
	rest, ok := strings.CutSuffix(line, ":")
	if !ok {
		return false
	}
	if len(rest) == len(key)+2 && rest[0] == '\'' && rest[len(rest)-1] == '\'' {
		return rest[1:len(rest)-1] == key && strings.IndexByte(key, '\'') < 0
	}
	return key != "" && rest == key
}

// plainScalar reads a value that stands in YAML without quotes, and means the same to
// every reader of YAML.
func plainScalar(typ, s string) (string, bool) {
	if s == "" {
		return "", false
	}
	c := s[0]
	switch typ {
	case "A", "AAAA", "ALIAS", "CNAME", "DNAME", "NS", "PTR":
		// A name or an address has no character that YAML knows, but for colons and what stands first.
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '_') || s[len(s)-1] == ':' {
			return "", false
		}
		if typ != "A" && typ != "AAAA" && s[len(s)-1] != '.' && strings.IndexByte(s, '.') > 0 {
			s += "." // octoDNS's names are absolute with it or without
		}
		return s, plainValue(typ, s)
	case "TXT":
		first := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !first || len(s) > maxPlainText || s[len(s)-1] == ' ' || s[len(s)-1] == ':' || s == "null" || s == "Null" || s == "NULL" ||
			strings.Contains(s, ": ") || strings.Contains(s, " #") {
			return "", false
		}
		for i := range len(s) {
			if s[i] < ' ' || s[i] > '~' || s[i] == '"' {
				return "", false
			}
		}
		v, err := textValue(s)
		return v, err == nil
	}
	return "", false
}

// maxPlainText bounds a text that is read without a parser: a DKIM key has some 400.
const maxPlainText = 4096
