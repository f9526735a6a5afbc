package zone

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	b64 "encoding/base64"

	"github.com/gowebpki/jcs"
	"github.com/miekg/dns"
)

// maxValue bounds one value's presentation text: 65,535 octets of data, each written as \DDD.
const maxValue = 4 * 65535

// token is one part of a value's presentation form, with its escapes resolved
// if it was quoted; a bare token keeps them for the name or number it holds.
type token struct {
	text   string
	quoted bool
}

// tokens splits presentation text at spaces (RFC 1035 section 5.1). A bare
// semicolon is a character here, not a comment: values stand alone.
func tokens(s string) ([]token, error) {
	var out []token
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == ' ' || c == '\t':
			i++
		case c == '"':
			var b strings.Builder
			closed := false
			for i++; i < len(s) && !closed; {
				if s[i] == '"' {
					closed = true
					i++
					continue
				}
				c, width, err := unescape(s[i:])
				if err != nil {
					return nil, fault(err.Error(), `write \DDD with three digits up to 255, or \ and the character`)
				}
				b.WriteByte(c)
				i += width
			}
			if !closed {
				return nil, fault("a quotation mark is opened and never closed", `close it, or write \" for the character itself`)
			}
			out = append(out, token{b.String(), true})
		default:
			start := i
			for i < len(s) && s[i] != ' ' && s[i] != '\t' && s[i] != '"' {
				if s[i] < ' ' || s[i] == 0x7f {
					return nil, fault("it has a line break or a control character in it", "take it out")
				}
				if s[i] == '\\' && i+1 < len(s) {
					i++
				}
				i++
			}
			out = append(out, token{s[start:i], false})
		}
	}
	return out, nil
}

// quote writes octets as a quoted character string (RFC 1035 section 5.1).
func quote(octets string) string {
	var b strings.Builder
	b.Grow(len(octets) + 2)
	b.WriteByte('"')
	for i := 0; i < len(octets); i++ {
		switch c := octets[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// quoteText writes a TXT record's octets as strings of 255 (RFC 1035 section
// 3.3.14). Where the strings were cut before says nothing to any reader of TXT
// (RFC 7208 section 3.3, RFC 6376 section 3.6.2.2), so they are always cut here.
func quoteText(octets string) string {
	if len(octets) <= 255 {
		return quote(octets)
	}
	var parts []string
	for len(octets) > 0 {
		n := min(255, len(octets))
		parts = append(parts, quote(octets[:n]))
		octets = octets[n:]
	}
	return strings.Join(parts, " ")
}

// unquoteText is the inverse of quoteText for any quoted strings.
func unquoteText(s string) (string, error) {
	toks, err := tokens(s)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, t := range toks {
		if !t.quoted {
			return "", fault("text follows a quoted string", "quote all of it, or none of it")
		}
		b.WriteString(t.text)
	}
	return b.String(), nil
}

// fault is an *Error before it is known where and of what it is.
func fault(what, help string) error { return &Error{What: what, Help: help} }

// canonical gives a value of the type its one presentation form. A strict
// reading, that of data already canonical, refuses what a lenient one
// completes: names without their trailing dot and text without quotes.
func canonical(typ, value string, strict bool) (string, error) {
	if len(value) > maxValue {
		return "", fault("it is longer than a record can be", "shorten it")
	}
	if providerType(typ) {
		return canonicalJSON(typ, value)
	}
	t, ok := recordTypes[typ]
	if !ok {
		return wireForm(typ, value)
	}
	if t.fields[0].kind == text {
		return canonicalText(value, strict)
	}
	toks, err := tokens(value)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(value, "{") || strings.HasPrefix(value, "[") || value == "null" {
		return "", explainJSON(typ, value)
	}
	if typ == "LOC" {
		return canonicalLOC(value)
	}
	return t.join(typ, toks, strict)
}

// join checks each token against its field and puts them together again.
func (t recordType) join(typ string, toks []token, strict bool) (string, error) {
	last := len(t.fields) - 1
	var rest []token
	switch {
	case t.fields[last].kind == params && len(toks) >= last:
		toks, rest = toks[:last], toks[last:]
	case t.fields[last].kind == hexes || t.fields[last].kind == base64:
		// RFC 4034 section 5.3 and its like allow spaces inside the last field.
		for i := last + 1; i < len(toks); i++ {
			toks[last].text += toks[i].text
		}
		toks = toks[:min(len(toks), last+1)]
	}
	if want := len(t.fields); len(toks) != want && !(len(toks) == last && t.fields[last].kind == params) {
		return "", fault(fmt.Sprintf("it has %d parts where %s has %d", len(toks), typ, want), "write it like "+t.example)
	}
	parts := make([]string, 0, len(toks)+len(rest))
	for i, tok := range toks {
		part, err := t.fields[i].check(tok, strict)
		if err != nil {
			return "", withExample(err, t.example)
		}
		parts = append(parts, part)
	}
	if t.fields[last].kind != params {
		return strings.Join(parts, " "), nil
	}
	ps, err := serviceParams(rest)
	if err != nil {
		return "", withExample(err, t.example)
	}
	return wireForm(typ, strings.Join(append(parts, ps...), " "))
}

// check gives one token its canonical text.
func (f field) check(t token, strict bool) (string, error) {
	called := f.key
	if called == "" {
		called = "it"
	}
	switch f.kind {
	case u8, u16:
		limit := map[kind]uint64{u8: 255, u16: 65535}[f.kind]
		n, err := strconv.ParseUint(t.text, 10, 32)
		if err != nil || n > limit {
			return "", fault(fmt.Sprintf("%s is %q; it must be a whole number from 0 to %d", called, t.text, limit), "")
		}
		return strconv.FormatUint(n, 10), nil
	case ipv4:
		if a, err := netip.ParseAddr(t.text); err == nil && a.Is4() {
			return a.String(), nil
		}
		return "", fault(fmt.Sprintf("%q is not an IPv4 address", t.text), "write four numbers from 0 to 255 with dots between them, such as 192.0.2.10")
	case ipv6:
		if a, err := netip.ParseAddr(t.text); err == nil && a.Is6() && a.Zone() == "" {
			return a.String(), nil
		}
		return "", fault(fmt.Sprintf("%q is not an IPv6 address", t.text), "write it like 2001:db8::10; an IPv4 address belongs in an A record")
	case host:
		return checkHost(t.text, strict)
	case hexes:
		if _, err := hex.DecodeString(t.text); err != nil || t.text == "" {
			return "", fault(fmt.Sprintf("%s is not hexadecimal: an even number of the digits 0-9 and a-f", called), "")
		}
		return strings.ToLower(t.text), nil
	case base64:
		if _, err := b64.StdEncoding.DecodeString(t.text); err != nil || t.text == "" {
			return "", fault(fmt.Sprintf("%s is not base 64", called), "paste the whole key, without headers")
		}
		return t.text, nil
	case tag:
		if !letters.MatchString(t.text) {
			return "", fault(fmt.Sprintf("the tag %q must be letters and digits only", t.text), "use issue, issuewild or iodef")
		}
		return strings.ToLower(t.text), nil
	case quoted, upper:
		s := t.text
		if !t.quoted {
			octets, err := octetsOf(s)
			if err != nil {
				return "", err
			}
			s = octets
		}
		if f.kind == upper {
			s = strings.ToUpper(s)
		}
		return quote(s), nil
	}
	return t.text, nil
}

var letters = regexp.MustCompile(`^[A-Za-z0-9]{1,15}$`)

// octetsOf resolves the escapes of a bare token.
func octetsOf(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		c, width, err := unescape(s[i:])
		if err != nil {
			return "", fault(err.Error(), "")
		}
		b.WriteByte(c)
		i += width
	}
	return b.String(), nil
}

// checkHost reads a name inside a value. octoDNS never completes one with the
// zone's name, whether or not it has its trailing dot, and neither is it done
// here. A name that looks like an address is well formed, however wrong it is.
func checkHost(s string, strict bool) (string, error) {
	if strict && !strings.HasSuffix(s, ".") {
		return "", fault(fmt.Sprintf("the name %q has no trailing dot", s), "end it with a dot: "+s+".")
	}
	n, err := ParseName(s)
	if err != nil {
		return "", err
	}
	return n.FQDN(), nil
}

// canonicalText reads TXT data. A lenient value that opens with no quotation
// mark is the text itself, with octoDNS's \; for a semicolon allowed.
func canonicalText(value string, strict bool) (string, error) {
	if !strings.HasPrefix(value, `"`) {
		if strict {
			return "", fault("the text is not in quotes", `write "…" around it, in strings of up to 255 characters`)
		}
		value = strings.ReplaceAll(value, `\;`, ";")
	} else {
		octets, err := unquoteText(value)
		if err != nil {
			return "", err
		}
		value = octets
	}
	// RFC 1035 section 3.3.14: all strings and their length octets share 65,535.
	if len(value)+(len(value)+254)/255 > 65535 {
		return "", fault("the text is longer than a record can be", "shorten it")
	}
	return quoteText(value), nil
}

// serviceParams rewrites SVCB parameters so that their values are quoted (a
// quoted token belongs to the key= before it) and sorts them by the number of
// their key, as RFC 9460 section 2.2 has them sent.
func serviceParams(toks []token) ([]string, error) {
	var out []string
	for _, t := range toks {
		if t.quoted {
			n := len(out)
			if n == 0 || !strings.HasSuffix(out[n-1], "=") {
				return nil, fault(fmt.Sprintf("%q stands where a parameter must be", t.text), "")
			}
			out[n-1] += quote(t.text)
			continue
		}
		key, val, found := strings.Cut(t.text, "=")
		if found && val != "" {
			octets, err := octetsOf(val)
			if err != nil {
				return nil, err
			}
			out = append(out, key+"="+quote(octets))
			continue
		}
		out = append(out, t.text)
	}
	slices.SortStableFunc(out, func(a, b string) int { return int(paramNumber(a)) - int(paramNumber(b)) })
	return out, nil
}

// paramNumber is the number of a parameter's key; one without a name is keyNNNNN.
func paramNumber(param string) uint64 {
	key, _, _ := strings.Cut(param, "=")
	if i := slices.Index(serviceKeys, key); i >= 0 {
		return uint64(i)
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(key, "key"), 10, 16)
	if err != nil {
		return 65535 // reserved; whoever reads it will refuse it
	}
	return n
}

// serviceKeys are the named SVCB parameters by their numbers (RFC 9460 section
// 14.3.2, RFC 9461, RFC 9540).
var serviceKeys = []string{"mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath", "ohttp"}

// wireForm has miekg/dns read the value, and returns what it writes: the form
// of every type that needs no rule of our own.
func wireForm(typ, value string) (string, error) {
	toks, err := tokens(value)
	if err != nil {
		return "", err
	}
	// Only the tokens reach the zone parser, so that a comment, a parenthesis
	// or a second line in a value cannot become anything else.
	if strings.ContainsAny(value, "\n\r") {
		return "", fault("it has a line break in it", "take it out")
	}
	var b strings.Builder
	for i, t := range toks {
		if i > 0 && !(t.quoted && strings.HasSuffix(b.String(), "=")) {
			b.WriteByte(' ')
		}
		switch {
		case t.quoted:
			b.WriteString(quote(t.text))
		case strings.ContainsAny(t.text, ";()"):
			return "", fault(fmt.Sprintf("%q holds a character that must be in quotes", t.text), "")
		default:
			b.WriteString(t.text)
		}
	}
	rr, err := parseRR(typ, b.String())
	if err != nil {
		return "", err
	}
	return rdata(rr), nil
}

// rdata is what follows the header of a record in presentation form.
func rdata(rr dns.RR) string {
	s := rr.String()
	if _, generic := rr.(*dns.RFC3597); generic {
		return s[strings.Index(s, `\#`):]
	}
	return strings.TrimPrefix(s, rr.Header().String())
}

// parseRR reads one value with miekg/dns and packs it, which finds what its
// reader lets through.
func parseRR(typ, value string) (rr dns.RR, err error) {
	defer func() {
		// The library has panicked on malformed SVCB and LOC data before; no
		// value a person writes may stop the program.
		if r := recover(); r != nil {
			rr, err = nil, fault("it is malformed", "")
		}
	}()
	rr, err = dns.NewRR(". 0 IN " + typ + " " + value)
	if err != nil || rr == nil {
		return nil, fault(fmt.Sprintf("it is not valid %s data%s", typ, reason(err)), "")
	}
	if _, err := dns.PackRR(rr, make([]byte, dns.Len(rr)+64), 0, nil, false); err != nil {
		return nil, fault(fmt.Sprintf("it is not valid %s data%s", typ, reason(err)), "")
	}
	return rr, nil
}

// reason takes the library's prefix and position off its message.
func reason(err error) string {
	if err == nil {
		return ""
	}
	s := strings.TrimPrefix(err.Error(), "dns: ")
	if i := strings.Index(s, " at line: "); i >= 0 {
		s = s[:i]
	}
	return ": " + s
}

// canonicalLOC writes all twelve parts that RFC 1876 section 3 lets people leave out.
func canonicalLOC(value string) (string, error) {
	s, err := wireForm("LOC", value)
	if err != nil {
		return "", err
	}
	parts := strings.Fields(s)
	for i, p := range parts {
		num, unit := strings.TrimSuffix(p, "m"), ""
		if num != p {
			unit = "m"
		}
		if f, err := strconv.ParseFloat(num, 64); err == nil {
			parts[i] = strconv.FormatFloat(f, 'f', -1, 64) + unit
		}
	}
	return strings.Join(parts, " "), nil
}

// canonicalJSON gives a provider's value its RFC 8785 form. Text that is no
// JSON is a string, so that a manifest can say target.example.net.
func canonicalJSON(typ, value string) (string, error) {
	out, err := jcs.Transform([]byte("[" + value + "]"))
	if err != nil {
		out = []byte("[" + jsonString(value) + "]")
	}
	s := string(out[1 : len(out)-1])
	if typ == urlForward {
		return s, checkURLForward(s)
	}
	return s, nil
}

func withExample(err error, example string) error {
	if e, ok := err.(*Error); ok && e.Help == "" && example != "" {
		e.Help = "write it like " + example
	}
	return err
}
