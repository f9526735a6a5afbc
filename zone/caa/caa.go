// Package caa owns what CAA records mean (RFC 8659, RFC 8657): which authority may issue
// certificates for a name, for which account and after which proof. It looks nothing up
// itself; Permits is given a function that does. Read Permits first.
package caa

import (
	"fmt"
	"strconv"
	"strings"

	"slipway/zone"
)

// Property is one CAA record (RFC 8659 section 4.1).
type Property struct {
	Flags uint8
	Tag   string // in small letters, as tags are compared
	Value string
}

// Critical reports whether an authority that does not know the tag may issue nothing.
func (p Property) Critical() bool { return p.Flags&0x80 != 0 }

// ParseValue reads a record's presentation form.
func ParseValue(value string) (Property, error) {
	fields, err := zone.Fields(value)
	if err != nil {
		return Property{}, fmt.Errorf("CAA %q: %w", value, err)
	}
	if len(fields) != 3 {
		return Property{}, fmt.Errorf("CAA %q: it must have flags, tag and value", value)
	}
	flags, err := strconv.ParseUint(fields[0], 10, 8)
	if err != nil {
		return Property{}, fmt.Errorf("CAA %q: the flags must be a number up to 255", value)
	}
	tag := strings.ToLower(fields[1])
	if tag == "" || strings.Trim(tag, alphanumeric) != "" {
		return Property{}, fmt.Errorf("CAA %q: the tag must be of letters and digits", value)
	}
	return Property{Flags: uint8(flags), Tag: tag, Value: fields[2]}, nil
}

const alphanumeric = "abcdefghijklmnopqrstuvwxyz0123456789"

// Properties reads those records of a set that can be read.
func Properties(r zone.RRSet) []Property {
	var out []Property
	for _, v := range r.Values {
		if p, err := ParseValue(v); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// Issuer is the value of an issue or issuewild property (RFC 8659 section 4.2).
type Issuer struct {
	Domain     string // the authority's, in small letters; "" when nobody may issue
	Parameters []Parameter
}

// Parameter is what an authority must heed besides. Tags are compared as they are written.
type Parameter struct{ Tag, Value string }

// Issuer reads the property's value. One that is not of the form counts as naming nobody
// (RFC 8659 section 4.2).
func (p Property) Issuer() Issuer {
	domain, rest, parameters := strings.Cut(p.Value, ";")
	domain = strings.ToLower(strings.Trim(domain, blank))
	if domain != "" && !isDomain(domain) {
		return Issuer{}
	}
	out := Issuer{Domain: domain}
	if !parameters || strings.Trim(rest, blank) == "" {
		return out
	}
	for part := range strings.SplitSeq(rest, ";") {
		tag, value, ok := strings.Cut(part, "=")
		tag, value = strings.Trim(tag, blank), strings.Trim(value, blank)
		if !ok || !isLabel(strings.ToLower(tag)) || strings.ContainsFunc(value, func(r rune) bool { return r < 0x21 || r > 0x7E }) {
			return Issuer{}
		}
		out.Parameters = append(out.Parameters, Parameter{tag, value})
	}
	return out
}

const blank = " \t"

func isDomain(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

// isLabel holds a label to letters, digits and hyphens inside (RFC 8659 section 4.2).
func isLabel(s string) bool {
	return s != "" && s[0] != '-' && s[len(s)-1] != '-' && strings.Trim(s, alphanumeric+"-") == "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && !strings.ContainsRune(alphanumeric, r)
	})
}
