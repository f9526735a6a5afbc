// Package dane owns TLSA records (RFC 6698, RFC 7671): those that a zone publishes for a
// key, and whether a server's certificates are what they say. It looks nothing up: a caller
// brings records whose DNSSEC signatures were checked, for without these they prove
// nothing. Read this file first, then verify.go.
package dane

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slipway/zone"
)

// Usage says what a record speaks of (RFC 6698 section 2.1.1, names of RFC 7218).
type Usage uint8

const (
	PKIXTA Usage = 0 // an authority of the chain, which must hold for browsers too
	PKIXEE Usage = 1 // the server's certificate, which must hold for browsers too
	DANETA Usage = 2 // an authority of the chain
	DANEEE Usage = 3 // the server's certificate or key, whoever issued it
)

// Record is one TLSA record. Selector is 0 for the certificate and 1 for its key; Matching
// is 0 for the whole, 1 for SHA-256, 2 for SHA-512 of it.
type Record struct {
	Usage    Usage
	Selector uint8
	Matching uint8
	Data     []byte
}

// maxData bounds what a record holds: RFC 1035 section 3.2.1 bounds it to 64 KiB less three octets.
const maxData = 1<<16 - 4

// ParseRecord reads a TLSA record's presentation form (RFC 6698 section 2.2).
func ParseRecord(value string) (Record, error) {
	bad := func(what string) (Record, error) {
		if len(value) > 80 {
			value = value[:80] + "…"
		}
		return Record{}, fmt.Errorf("TLSA %q: %s", value, what)
	}
	if len(value) > 3*maxData {
		return bad("it is too long")
	}
	f := strings.Fields(value)
	if len(f) < 4 {
		return bad("it must have usage, selector, matching type and data")
	}
	var n [3]uint8
	for i := range n {
		v, err := strconv.ParseUint(f[i], 10, 8)
		if err != nil {
			return bad("usage, selector and matching type must be numbers up to 255")
		}
		n[i] = uint8(v)
	}
	data, err := hex.DecodeString(strings.Join(f[3:], "")) // white space is allowed inside
	if err != nil || len(data) > maxData {
		return bad("the data must be in hexadecimal")
	}
	return Record{Usage: Usage(n[0]), Selector: n[1], Matching: n[2], Data: data}, nil
}

// String is the presentation form.
func (r Record) String() string {
	return fmt.Sprintf("%d %d %d %x", r.Usage, r.Selector, r.Matching, r.Data)
}

// Name is where the records for a service stand (RFC 6698 section 3): "_443._tcp.pay.finmicro.example".
func Name(host zone.Name, port uint16, protocol string) (zone.Name, error) {
	if strings.HasPrefix(string(host), "*.") {
		// A wildcard's records would have to stand at every name that it answers for.
		return "", fmt.Errorf("TLSA records of %s: a wildcard has none; publish them for each name", host)
	}
	return zone.ParseName(fmt.Sprintf("_%d._%s.%s", port, protocol, host))
}

// ForKey is the record to publish for a key (SubjectPublicKeyInfo in DER): 3 1 1, which stays when the
// certificate is renewed with the same key (RFC 7671 section 5.1).
func ForKey(spki []byte) Record {
	sum := sha256.Sum256(spki)
	return Record{Usage: DANEEE, Selector: 1, Matching: 1, Data: sum[:]}
}

// Set is what to publish for a service that has or will have one of the keys. While a key
// is exchanged that is the one in use and the next: the next key may be used only when every
// copy of the set without it has expired, and the old one is taken out only when it is no longer in use (RFC
// 7671 section 8.1). keys are SubjectPublicKeyInfo in DER.
func Set(host zone.Name, port uint16, protocol string, ttl int, keys ...[]byte) (zone.RRSet, error) {
	name, err := Name(host, port, protocol)
	if err != nil {
		return zone.RRSet{}, err
	}
	if len(keys) == 0 {
		return zone.RRSet{}, fmt.Errorf("TLSA records of %s: there is no key", host)
	}
	var values []string
	for _, k := range keys {
		values = append(values, ForKey(k).String())
	}
	slices.Sort(values)
	return zone.NewRRSet(name, "TLSA", ttl, slices.Compact(values))
}

// Covers reports whether a set already speaks of the key, so that a server may change to it.
func Covers(set zone.RRSet, spki []byte) bool {
	want := ForKey(spki)
	return slices.ContainsFunc(set.Values, func(v string) bool {
		r, err := ParseRecord(v)
		return err == nil && r.Usage == DANEEE && r.Selector == 1 && r.Matching == 1 && bytes.Equal(r.Data, want.Data)
	})
}

// usable reports whether a client can make anything of the record (RFC 7671 section 5).
func (r Record) usable() bool {
	switch r.Matching {
	case 1:
		if len(r.Data) != sha256.Size {
			return false
		}
	case 2:
		if len(r.Data) != sha512.Size {
			return false
		}
	case 0:
		if len(r.Data) == 0 {
			return false
		}
	default:
		return false
	}
	return r.Usage <= DANEEE && r.Selector <= 1
}

// matches reports whether the record speaks of the certificate.
func (r Record) matches(c *x509.Certificate) bool {
	whole := c.Raw
	if r.Selector == 1 {
		whole = c.RawSubjectPublicKeyInfo
	}
	switch r.Matching {
	case 0:
		return bytes.Equal(r.Data, whole)
	case 1:
		sum := sha256.Sum256(whole)
		return bytes.Equal(r.Data, sum[:])
	case 2:
		sum := sha512.Sum512(whole)
		return bytes.Equal(r.Data, sum[:])
	}
	return false
}
