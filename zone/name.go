package zone

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// RFC 1035 section 2.3.4: a label has at most 63 octets, a name 255 with its
// length octets and the root's.
const (
	maxLabel = 63
	maxWire  = 255

	// maxNameText bounds the text of a name before it is looked at: 255
	// octets, each written as \DDD, or a U-label of four-byte runes.
	maxNameText = 4 * maxWire
)

// labelProfile maps one U-label to its A-label as a resolver's user would have
// it looked up (RFC 5891 section 5, UTS 46 non-transitional). Labels in ASCII
// never go through it, so underscores, wildcards and names older than IDNA
// stay what they are.
var labelProfile = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false))

// dotsOfIDNA are the characters that RFC 3490 section 3.1 has read as a dot.
var dotsOfIDNA = strings.NewReplacer("\u3002", ".", "\uff0e", ".", "\uff61", ".")

// ParseName reads a domain name as people write it: any case, U-labels or
// A-labels, RFC 1035 escapes, with or without the trailing dot. It is always
// absolute.
func ParseName(s string) (Name, error) {
	if plainName(s) {
		if s[len(s)-1] == '.' && len(s) > 1 {
			s = s[:len(s)-1]
		}
		return Name(s), nil
	}
	if s == "" {
		return "", nameError(s, "a name cannot be empty", "write the full name, such as app.example.com")
	}
	if len(s) > maxNameText {
		return "", nameError(s[:40]+"…", fmt.Sprintf("it is %d characters long; a name has at most 255", len(s)), "shorten it")
	}
	labels, err := parseLabels(s)
	if err != nil {
		return "", err
	}
	return Name(strings.Join(labels, ".")), nil
}

// plainName says whether s is canonical already but for a trailing dot, the
// case that nearly every name in a zone is. It must refuse whatever parseLabels refuses.
func plainName(s string) bool {
	if s == "." {
		return true
	}
	label, n := 0, len(s)
	for i := 0; i < n; i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '*':
			if label++; label > maxLabel {
				return false
			}
		case c == '.' && label > 0:
			label = 0
		default:
			return false
		}
	}
	if n > 0 && s[n-1] == '.' {
		n--
	}
	return n > 0 && n+2 <= maxWire
}

// parseLabels splits a name at its unescaped dots and gives each label its canonical text.
func parseLabels(s string) ([]string, error) {
	if s == "." {
		return []string{"."}, nil
	}
	text := s
	if !isASCII(text) {
		text = dotsOfIDNA.Replace(text)
	}
	var labels []string
	wire := 1
	if last := len(text) - 1; text[last] == '.' && !escapedAt(text, last) {
		text = text[:last]
	}
	for _, raw := range splitDots(text) {
		label, octets, err := parseLabel(s, raw)
		if err != nil {
			return nil, err
		}
		if wire += octets + 1; wire > maxWire {
			return nil, nameError(s, "it is longer than the 255 octets that DNS allows (RFC 1035)", "shorten it")
		}
		labels = append(labels, label)
	}
	return labels, nil
}

// parseLabel returns a label's canonical text and its length in octets.
func parseLabel(name, raw string) (string, int, error) {
	if raw == "" {
		return "", 0, nameError(name, "it has an empty part (two dots in a row, or a dot at the start)", "take the extra dot out")
	}
	var label []byte
	if isASCII(raw) {
		for i := 0; i < len(raw); i++ {
			c, width, err := unescape(raw[i:])
			if err != nil {
				return "", 0, nameError(name, err.Error(), `write \DDD with three digits up to 255, or \ and the character`)
			}
			if width == 1 && (c <= ' ' || c == 0x7f) {
				return "", 0, nameError(name, "it has a space or a control character in it", "take it out; use a hyphen between words")
			}
			i += width - 1
			label = append(label, lower(c))
		}
	} else {
		if strings.ContainsAny(raw, `\`) {
			return "", 0, nameError(name, "it mixes letters outside ASCII with backslash escapes", "write that part in its xn-- form")
		}
		a, err := labelProfile.ToASCII(raw)
		if err != nil || a == "" || !utf8.ValidString(raw) { // a soft hyphen maps to nothing
			return "", 0, nameError(name, fmt.Sprintf("%q is not a valid internationalised label (RFC 5890)", raw), "check its spelling, or write its xn-- form")
		}
		// Mapping turns full-width forms into ASCII that has a meaning here.
		if strings.Trim(a, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", 0, nameError(name, fmt.Sprintf("%q holds a character that stands for punctuation", raw), "write plain letters, digits and hyphens")
		}
		label = []byte(a)
	}
	if len(label) > maxLabel {
		return "", 0, nameError(name, fmt.Sprintf("its part %q is %d octets long; DNS allows 63 (RFC 1035)", raw, len(label)), "shorten that part")
	}
	return escapeLabel(label), len(label), nil
}

// escapeLabel writes a label's octets as RFC 1035 section 5.1 has them, with
// the fewest escapes that any reader of a zone file understands.
func escapeLabel(label []byte) string {
	var b strings.Builder
	for _, c := range label {
		switch {
		case strings.IndexByte(`."();@$\`, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		case c <= ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unescape reads the first octet of presentation text and says how many
// characters it took.
func unescape(s string) (c byte, width int, err error) {
	if s[0] != '\\' {
		return s[0], 1, nil
	}
	if len(s) < 2 {
		return 0, 0, fmt.Errorf("it ends in a lone backslash")
	}
	if s[1] < '0' || s[1] > '9' {
		return s[1], 2, nil
	}
	v := 0
	for i := 1; i <= 3; i++ {
		if i >= len(s) || s[i] < '0' || s[i] > '9' {
			return 0, 0, fmt.Errorf("the escape %q is incomplete", s[:min(len(s), 4)])
		}
		v = v*10 + int(s[i]-'0')
	}
	if v > 255 {
		return 0, 0, fmt.Errorf("the escape %q is over 255", s[:4])
	}
	return byte(v), 4, nil
}

// splitDots splits at dots that no backslash escapes.
func splitDots(s string) []string {
	var parts []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '.':
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// escapedAt says whether an odd number of backslashes precedes s[i].
func escapedAt(s string, i int) bool {
	n := 0
	for i--; i >= 0 && s[i] == '\\'; i-- {
		n++
	}
	return n%2 == 1
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// lower folds ASCII only, as DNS compares names (RFC 4343).
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func nameError(name, why, help string) *Error {
	return &Error{What: fmt.Sprintf("%q is not a usable name: %s", name, why), Help: help}
}

// Unicode returns the name with its A-labels as U-labels, for people to read.
// A label that is no valid A-label is left as it is.
func (n Name) Unicode() string {
	if !strings.Contains(string(n), "xn--") {
		return string(n)
	}
	labels := n.Labels()
	for i, l := range labels {
		if u, err := labelProfile.ToUnicode(l); err == nil {
			labels[i] = u
		}
	}
	return strings.Join(labels, ".")
}

// FQDN returns the name with its trailing dot, as zone files write it.
func (n Name) FQDN() string {
	if n == "." {
		return "."
	}
	return string(n) + "."
}

// In says whether n is zone or below it.
func (n Name) In(zone Name) bool {
	if n == zone || zone == "." {
		return true
	}
	cut := len(n) - len(zone) - 1
	return cut > 0 && n[cut] == '.' && n[cut+1:] == zone && !escapedAt(string(n), cut)
}

// Parent returns the name without its leftmost label; the root is its own parent.
func (n Name) Parent() Name {
	for i := 0; i < len(n); i++ {
		switch n[i] {
		case '\\':
			i++
		case '.':
			if i+1 < len(n) {
				return n[i+1:]
			}
		}
	}
	return "."
}

// Labels returns the labels from left to right; the root has none.
func (n Name) Labels() []string {
	if n == "." || n == "" {
		return nil
	}
	return splitDots(string(n))
}

// Relative returns n as seen from inside zone: "" at the apex, the FQDN for a
// name that is not in the zone.
func (n Name) Relative(zone Name) string {
	switch {
	case n == zone:
		return ""
	case !n.In(zone):
		return n.FQDN()
	case zone == ".":
		return string(n)
	}
	return string(n[:len(n)-len(zone)-1])
}

// Wildcard says whether the leftmost label is "*" (RFC 4592).
func (n Name) Wildcard() bool { return n == "*" || strings.HasPrefix(string(n), "*.") }

// below returns the name that rel is inside zone; rel is canonical and "" is the apex.
func (n Name) below(rel string) Name {
	switch {
	case rel == "":
		return n
	case n == ".":
		return Name(rel)
	}
	return Name(rel + "." + string(n))
}
