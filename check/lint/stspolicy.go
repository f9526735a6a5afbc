package lint

import (
	"fmt"
	"mime"
	"strconv"
	"strings"
	"unicode/utf8"

	"slipway/check/observe"
	"slipway/zone"
)

// Bounds of RFC 8461: what a policy may say (section 3.2), and from when it protects at all (section 10.2:
// attackers block new policies until the old one has ended).
const (
	maxSTSAge  = 31557600
	weakSTSAge = 86400
	maxSTSMX   = 1000 // patterns; a page has room for more
)

// stsPolicy is an MTA-STS policy (RFC 8461 section 3.2).
type stsPolicy struct {
	mode string // enforce, testing or none
	age  int    // max_age, seconds
	mx   []stsPattern
}

// stsPattern is a host, or with wild every host one label below it.
type stsPattern struct {
	host zone.Name
	wild bool
}

// parseSTSPolicy reads a policy. The error says in plain words what makes senders ignore it.
func parseSTSPolicy(body string) (stsPolicy, error) {
	var p stsPolicy
	if !utf8.ValidString(body) {
		return p, fmt.Errorf("it is not UTF-8 text")
	}
	seen := map[string]bool{}
	n := 0
	for line := range strings.Lines(body) {
		n++
		line = strings.TrimRight(line, "\r\n \t")
		if line == "" && n > 1 {
			continue // the end of the last line, seen by some senders as a line
		}
		key, value, found := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !found || key == "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") != "" {
			return p, fmt.Errorf("line %d is not of the form key: value", n)
		}
		if key != "mx" && seen[key] {
			continue // the first counts
		}
		seen[key] = true
		switch key {
		case "version":
			if value != "STSv1" {
				return p, fmt.Errorf("its version is %q, not STSv1", value)
			}
		case "mode":
			if value != "enforce" && value != "testing" && value != "none" {
				return p, fmt.Errorf("its mode is %q, not enforce, testing or none", value)
			}
			p.mode = value
		case "max_age":
			age, err := strconv.ParseUint(value, 10, 32)
			if err != nil || age > maxSTSAge || len(value) > 10 {
				return p, fmt.Errorf("its max_age is %q, not a number of seconds up to %d", value, maxSTSAge)
			}
			p.age = int(age)
		case "mx":
			host, wild := strings.CutPrefix(value, "*.")
			name, err := zone.ParseName(host)
			if err != nil || strings.Contains(host, "*") || len(p.mx) == maxSTSMX {
				return p, fmt.Errorf("its mx %q is neither a host nor *. and a domain", value)
			}
			p.mx = append(p.mx, stsPattern{name, wild})
		}
	}
	for _, key := range []string{"version", "mode", "max_age"} {
		if !seen[key] {
			return p, fmt.Errorf("it has no %s", key)
		}
	}
	if len(p.mx) == 0 && p.mode != "none" {
		return p, fmt.Errorf("it has no mx")
	}
	return p, nil
}

// allows reports whether mail may go to a host (RFC 8461 section 4.1): a wildcard stands for one label.
func (p stsPolicy) allows(host zone.Name) bool {
	for _, m := range p.mx {
		if !m.wild && m.host == host || m.wild && host.Parent() == m.host && host != m.host {
			return true
		}
	}
	return false
}

// policyOfPage reads the policy that a page holds (RFC 8461 section 3.3).
func policyOfPage(page observe.Page) (stsPolicy, error) {
	switch page.Status {
	case observe.OK:
	case observe.BadCertificate:
		return stsPolicy{}, fmt.Errorf("the server's certificate is not valid for the name")
	case observe.TooLong:
		return stsPolicy{}, fmt.Errorf("it is longer than %d bytes", observe.MaxPage)
	default:
		if strings.HasPrefix(page.Status, "3") {
			return stsPolicy{}, fmt.Errorf("the server answers %s, and senders follow no redirect", page.Status)
		}
		return stsPolicy{}, fmt.Errorf("the server answers %s", page.Status)
	}
	if kind, _, err := mime.ParseMediaType(page.Type); err != nil || kind != "text/plain" {
		return stsPolicy{}, fmt.Errorf("the server calls it %q, not text/plain", page.Type)
	}
	return parseSTSPolicy(string(page.Body))
}
