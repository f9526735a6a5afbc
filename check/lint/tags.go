package lint

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// tag is one "name=value" of a DMARC or DKIM record.
type tag struct{ name, value string }

// parseTags reads a tag list (RFC 6376 section 3.2, whose form DMARC shares).
func parseTags(txt string) ([]tag, error) {
	var tags []tag
	for _, part := range strings.Split(txt, ";") {
		part = strings.Trim(part, " \t\r\n")
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return nil, fmt.Errorf("%q is not of the form name=value", part)
		}
		if slices.ContainsFunc(tags, func(t tag) bool { return t.name == name }) {
			return nil, fmt.Errorf("%s= stands twice", name)
		}
		tags = append(tags, tag{name, value})
	}
	return tags, nil
}

func value(tags []tag, name string) (string, bool) {
	for _, t := range tags {
		if t.name == name {
			return t.value, true
		}
	}
	return "", false
}

// isDMARC reports whether a TXT record counts as a DMARC record (RFC 9989
// section 4.7; RFC 7489 section 6.6.3, which it obsoletes, says the same).
func isDMARC(txt string) bool {
	first, _, _ := strings.Cut(txt, ";")
	name, value, ok := strings.Cut(first, "=")
	return ok && strings.TrimSpace(name) == "v" && strings.TrimSpace(value) == "DMARC1"
}

// parseDMARC reads a DMARC record and holds its tags against RFC 9989. Tags that
// RFC 9989 removed (pct, rf, ri) and unknown ones are passed over, as it asks.
func parseDMARC(txt string) ([]tag, error) {
	if !isDMARC(txt) {
		return nil, fmt.Errorf("it does not begin with v=DMARC1")
	}
	tags, err := parseTags(txt)
	if err != nil {
		return nil, err
	}
	policies := []string{"none", "quarantine", "reject"}
	allowed := map[string][]string{
		"p": policies, "sp": policies, "np": policies,
		"adkim": {"r", "s"}, "aspf": {"r", "s"}, "psd": {"y", "n", "u"}, "t": {"y", "n"},
	}
	for _, t := range tags {
		switch values, known := allowed[t.name]; {
		case known && !slices.Contains(values, strings.ToLower(t.value)):
			return tags, fmt.Errorf("%s=%s is not one of %s", t.name, t.value, strings.Join(values, ", "))
		case t.name == "fo":
			for _, o := range strings.Split(t.value, ":") {
				if !slices.Contains([]string{"0", "1", "d", "s"}, strings.TrimSpace(o)) {
					return tags, fmt.Errorf("fo=%s is not of 0, 1, d and s", t.value)
				}
			}
		case t.name == "pct":
			if n, err := strconv.Atoi(t.value); err != nil || n < 0 || n > 100 {
				return tags, fmt.Errorf("pct=%s is not from 0 to 100", t.value)
			}
		case t.name == "rua" || t.name == "ruf":
			if err := reportAddresses(t); err != nil {
				return tags, err
			}
		}
	}
	if _, ok := value(tags, "p"); !ok {
		return tags, fmt.Errorf("it has no p=, so receivers do nothing")
	}
	return tags, nil
}

// reportAddresses checks a list of report URIs (RFC 9990; "!10m" is the size limit of RFC 7489).
func reportAddresses(t tag) error {
	for _, s := range strings.Split(t.value, ",") {
		s, _, _ = strings.Cut(strings.TrimSpace(s), "!")
		u, err := url.Parse(s)
		if err != nil || u.Scheme == "" {
			return fmt.Errorf("%s=%s: reports are sent to an address such as mailto:dmarc@example.org", t.name, s)
		}
		if u.Scheme == "mailto" {
			if a, err := mail.ParseAddress(u.Opaque); err != nil || a.Address != u.Opaque {
				return fmt.Errorf("%s=%s: %q is no e-mail address", t.name, s, u.Opaque)
			}
		}
	}
	return nil
}

// Key sizes of RFC 8301 section 3.2: verifiers refuse RSA keys below the first
// and signers should use at least the second.
const (
	minRSABits     = 1024
	adviceRSABits  = 2048
	ed25519KeySize = 32 // RFC 8463 section 4
)

// parseDKIM reads a DKIM key record (RFC 6376 section 3.6.1). weak is a caution
// about a record that is valid.
func parseDKIM(txt string) (weak string, err error) {
	tags, err := parseTags(txt)
	if err != nil {
		return "", err
	}
	for i, t := range tags {
		if t.name == "v" && (i > 0 || t.value != "DKIM1") {
			return "", fmt.Errorf("v= must stand first and be DKIM1")
		}
	}
	p, ok := value(tags, "p")
	if !ok {
		return "", fmt.Errorf("it has no p=, the key")
	}
	p = strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n", r) {
			return -1
		}
		return r
	}, p)
	if p == "" {
		return "", nil // a key taken back, as RFC 6376 has it
	}
	raw, err := base64.StdEncoding.DecodeString(p)
	if err != nil {
		return "", fmt.Errorf("the key in p= is not base64, perhaps cut off: %w", err)
	}
	kind, ok := value(tags, "k")
	if !ok {
		kind = "rsa"
	}
	switch kind {
	case "ed25519":
		if len(raw) != ed25519KeySize {
			return "", fmt.Errorf("the key in p= has %d bytes; an Ed25519 key has %d", len(raw), ed25519KeySize)
		}
	case "rsa":
		key, err := rsaKey(raw)
		switch {
		case err != nil:
			return "", err
		case key.N.BitLen() < minRSABits:
			return "", fmt.Errorf("the RSA key has %d bits; receivers refuse fewer than %d", key.N.BitLen(), minRSABits)
		case key.N.BitLen() < adviceRSABits:
			weak = fmt.Sprintf("the RSA key has %d bits; use at least %d", key.N.BitLen(), adviceRSABits)
		}
	default:
		return "", fmt.Errorf("k=%s is no key type that receivers know", kind)
	}
	if flags, _ := value(tags, "t"); slices.Contains(strings.Split(flags, ":"), "y") {
		weak = "t=y says that the key is only being tested, so receivers ignore its signatures"
	}
	return weak, nil
}

// rsaKey reads a key as RFC 6376 has it, or as the bare RSAPublicKey that its
// errata 3017 notes in use.
func rsaKey(raw []byte) (*rsa.PublicKey, error) {
	if any, err := x509.ParsePKIXPublicKey(raw); err == nil {
		key, ok := any.(*rsa.PublicKey)
		if !ok {
			return nil, fmt.Errorf("the key in p= is not an RSA key")
		}
		return key, nil
	}
	key, err := x509.ParsePKCS1PublicKey(raw)
	if err != nil {
		return nil, fmt.Errorf("the key in p= is not an RSA key, perhaps cut off")
	}
	return key, nil
}
