package lint

import (
	"net/netip"
	"strings"

	"slipway/zone"
)

// targets returns the names that a record set points at.
func targets(r zone.RRSet) []zone.Name {
	field := 0 // of the value, that holds the name
	switch r.Type {
	case "CNAME", "DNAME", "ALIAS", "NS", "PTR":
	case "MX", "SVCB", "HTTPS":
		field = 1
	case "SRV":
		field = 3
	default:
		return nil
	}
	var out []zone.Name
	for _, v := range r.Values {
		fields := strings.Fields(v) // a space inside a name is written \032
		if len(fields) <= field {
			continue // malformed-value says so
		}
		n, err := zone.ParseName(fields[field])
		if err != nil || n == "." {
			continue // "." is no target: RFC 7505 for MX, RFC 2782 for SRV, RFC 9460 for SVCB
		}
		out = append(out, n)
	}
	return out
}

// addresses returns the addresses of an A or AAAA record set.
func addresses(r zone.RRSet) []netip.Addr {
	if r.Type != "A" && r.Type != "AAAA" {
		return nil
	}
	var out []netip.Addr
	for _, v := range r.Values {
		if a, err := netip.ParseAddr(v); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// text returns the content of a TXT value: its character strings (RFC 1035
// section 3.3.14) joined without anything between, as SPF (RFC 7208 section 3.3),
// DKIM and DMARC read them.
func text(value string) string {
	var out strings.Builder
	quoted := false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && i+3 < len(value) && digits(value[i+1:i+4]):
			out.WriteByte((value[i+1]-'0')*100 + (value[i+2]-'0')*10 + value[i+3] - '0')
			i += 3
		case c == '\\' && i+1 < len(value):
			i++
			out.WriteByte(value[i])
		case c == ' ' && !quoted:
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// texts returns the content of every value of a TXT record set.
func texts(r zone.RRSet) []string {
	out := make([]string, len(r.Values))
	for i, v := range r.Values {
		out[i] = text(v)
	}
	return out
}
