package route53

import (
	"fmt"
	"strings"
)

// Route 53 writes octets that are not plain as a backslash and three octal digits, in
// names ("\052.example.com.") and inside quoted strings, where RFC 1035 section 5.1
// writes decimal ones. Everything else is the same.

// toAWS turns RFC 1035 escapes into Route 53's.
func toAWS(s string, name bool) string {
	if !strings.ContainsRune(s, '\\') {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\' || i+1 == len(s):
			b.WriteByte(s[i])
		case digits(s[i+1:], '9'):
			fmt.Fprintf(&b, `\%03o`, int(s[i+1]-'0')*100+int(s[i+2]-'0')*10+int(s[i+3]-'0'))
			i += 3
		case name:
			fmt.Fprintf(&b, `\%03o`, s[i+1])
			i++
		default: // \" and \\ in a quoted string
			b.WriteString(s[i : i+2])
			i++
		}
	}
	return b.String()
}

// fromAWS is the inverse of toAWS.
func fromAWS(s string) string {
	if !strings.ContainsRune(s, '\\') {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\' || i+1 == len(s):
			b.WriteByte(s[i])
		case digits(s[i+1:], '7') && s[i+1] <= '3':
			fmt.Fprintf(&b, `\%03d`, int(s[i+1]-'0')*64+int(s[i+2]-'0')*8+int(s[i+3]-'0'))
			i += 3
		default:
			b.WriteString(s[i : i+2])
			i++
		}
	}
	return b.String()
}

// digits reports whether s begins with three digits up to most.
func digits(s string, most byte) bool {
	if len(s) < 3 {
		return false
	}
	for i := range 3 {
		if s[i] < '0' || s[i] > most {
			return false
		}
	}
	return true
}
