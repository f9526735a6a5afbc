package rfc2136

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"slipway/secret"
	"slipway/zone"
)

// A transfer is looked at here as it came, without making a record of every record:
// most transfers find a zone that has not changed, which its bytes say. Only package
// dns takes records apart.

var errShort = errors.New("a message of the server is cut short or malformed")

// message is one DNS message with the places in it that matter.
type message struct {
	wire       []byte
	answer     []byte // the answer section
	answers    int
	first      uint16 // types of the first, second and last records of the answer section
	second     uint16
	last       uint16
	tsigAt     int // where the TSIG record begins; 0 without one
	tsig       signature
	rcode      int
	id         uint16
	isResponse bool
}

// signature is a TSIG record (RFC 8945 section 4.2).
type signature struct {
	name, algorithm string
	timers          []byte // time signed and fudge
	mac             []byte
	originalID      uint16
	failure         uint16
	other           []byte
}

// parse finds the sections of a message. Compression pointers are not followed: where
// a name ends does not depend on what it says (RFC 1035 section 4.1.4).
func parse(wire []byte) (*message, error) {
	if len(wire) < 12 {
		return nil, errShort
	}
	count := func(at int) int { return int(binary.BigEndian.Uint16(wire[at:])) }
	m := &message{wire: wire, id: binary.BigEndian.Uint16(wire), rcode: int(wire[3] & 0x0f), isResponse: wire[2]&0x80 != 0, answers: count(6)}
	at := 12
	for range count(4) {
		var ok bool
		if at, ok = skipName(wire, at); !ok || at+4 > len(wire) {
			return nil, errShort
		}
		at += 4
	}
	start := at
	for i := range m.answers {
		typ, _, next, ok := skipRecord(wire, at)
		if !ok {
			return nil, errShort
		}
		switch i {
		case 0:
			m.first = typ
		case 1:
			m.second = typ
		}
		m.last, at = typ, next
	}
	m.answer = wire[start:at]
	for range count(8) {
		_, _, next, ok := skipRecord(wire, at)
		if !ok {
			return nil, errShort
		}
		at = next
	}
	additional := count(10)
	for i := range additional {
		typ, data, next, ok := skipRecord(wire, at)
		if !ok {
			return nil, errShort
		}
		if typ == dns.TypeTSIG {
			if i != additional-1 { // RFC 8945 section 5.1
				return nil, errors.New("a message of the server is signed in the middle")
			}
			if err := m.readTSIG(at, data, next); err != nil {
				return nil, err
			}
		}
		at = next
	}
	return m, nil
}

func skipName(b []byte, at int) (int, bool) {
	for at < len(b) {
		switch n := int(b[at]); {
		case n == 0:
			return at + 1, true
		case n >= 0xc0:
			return at + 2, at+2 <= len(b)
		case n >= 0x40:
			return 0, false
		default:
			at += n + 1
		}
	}
	return 0, false
}

// skipRecord returns a record's type, where its data begins and where it ends.
func skipRecord(b []byte, at int) (typ uint16, data, next int, ok bool) {
	at, ok = skipName(b, at)
	if !ok || at+10 > len(b) {
		return 0, 0, 0, false
	}
	typ = binary.BigEndian.Uint16(b[at:])
	data = at + 10
	next = data + int(binary.BigEndian.Uint16(b[at+8:]))
	return typ, data, next, next <= len(b)
}

func (m *message) readTSIG(at, data, end int) error {
	name, _, err := dns.UnpackDomainName(m.wire, at)
	class, ttl := binary.BigEndian.Uint16(m.wire[data-8:]), binary.BigEndian.Uint32(m.wire[data-6:])
	if err != nil || class != dns.ClassANY || ttl != 0 { // RFC 8945 section 4.2
		return errShort
	}
	algorithm, next, err := dns.UnpackDomainName(m.wire, data)
	if err != nil || next+10 > end {
		return errShort
	}
	s := signature{name: strings.ToLower(name), algorithm: strings.ToLower(algorithm), timers: m.wire[next : next+8]}
	size := int(binary.BigEndian.Uint16(m.wire[next+8:]))
	next += 10
	if next+size+6 > end {
		return errShort
	}
	s.mac = m.wire[next : next+size]
	next += size
	s.originalID = binary.BigEndian.Uint16(m.wire[next:])
	s.failure = binary.BigEndian.Uint16(m.wire[next+2:])
	other := int(binary.BigEndian.Uint16(m.wire[next+4:]))
	if next+6+other != end {
		return errShort
	}
	s.other = m.wire[next+6 : end]
	m.tsig, m.tsigAt = s, at
	return nil
}

// algorithms are the MACs that are taken: SHA-256 and up. MD5 and SHA-1 are for
// talking to the past (RFC 8945 section 6).
var algorithms = map[string]func() hash.Hash{
	"hmac-sha256": sha256.New,
	"hmac-sha384": sha512.New384,
	"hmac-sha512": sha512.New,
}

// key is a TSIG key.
type key struct {
	name      string // as a question has it
	algorithm string // with its trailing dot
	secret    secret.Value
	hash      func() hash.Hash
}

// minSecret is the shortest TSIG secret, in bytes: half of what RFC 8945 section 8 advises.
const minSecret = 16

func newKey(name zone.Name, algorithm string, s secret.Value) (*key, error) {
	if algorithm == "" {
		algorithm = "hmac-sha256"
	}
	algorithm = strings.TrimSuffix(strings.ToLower(algorithm), ".")
	h, ok := algorithms[algorithm]
	if !ok {
		return nil, fmt.Errorf("TSIG algorithm %q: use hmac-sha256, hmac-sha384 or hmac-sha512", algorithm)
	}
	if canonical, err := zone.ParseName(string(name)); err != nil || canonical != name {
		return nil, fmt.Errorf("TSIG key name %q is not a domain name in canonical form", string(name))
	}
	raw, err := base64.StdEncoding.DecodeString(s.Reveal())
	if err != nil { // the error would show a part of it
		return nil, fmt.Errorf("the secret of TSIG key %s is not base 64, which is how tsig-keygen writes it", name)
	}
	if len(raw) < minSecret {
		return nil, fmt.Errorf("the secret of TSIG key %s has only %d bytes: make one with tsig-keygen", name, len(raw))
	}
	return &key{name: name.FQDN(), algorithm: algorithm + ".", secret: secret.New(string(raw)), hash: h}, nil
}

// Generate and Verify make key a dns.TsigProvider, with which requests are signed.
func (k *key) Generate(msg []byte, _ *dns.TSIG) ([]byte, error) {
	mac := hmac.New(k.hash, []byte(k.secret.Reveal()))
	mac.Write(msg)
	return mac.Sum(nil), nil
}

func (k *key) Verify(msg []byte, t *dns.TSIG) error {
	want, err := k.Generate(msg, t)
	if got, bad := hex.DecodeString(t.MAC); err != nil || bad != nil || !hmac.Equal(got, want) {
		return dns.ErrSig
	}
	return nil
}

// sign writes a request with its signature.
func (k *key) sign(m *dns.Msg, now time.Time) (wire, mac []byte, err error) {
	m.SetTsig(k.name, k.algorithm, fudge, now.Unix())
	wire, text, err := dns.TsigGenerateWithProvider(m, k, "", false)
	if err != nil {
		return nil, nil, err
	}
	mac, err = hex.DecodeString(text)
	return wire, mac, err
}

// fudge is how far clocks may differ, in seconds (RFC 8945 section 10).
const fudge = 300

// verifier checks the signatures of one exchange: of one answer, or of all messages of
// a transfer (RFC 8945 section 5.3.1).
type verifier struct {
	key      *key
	now      func() time.Time
	prior    []byte // MAC of the request, then of the last signed message
	first    bool
	unsigned [][]byte // messages since
}

// maxUnsigned is how many messages of a transfer may go by without a signature.
const maxUnsigned = 99

var errUnsigned = errors.New("the server's answer is not signed with the TSIG key, so anybody could have written it")

// check verifies one message. Only the last message of a transfer must be signed; the
// caller asks done for that.
func (v *verifier) check(m *message) error {
	if m.tsigAt == 0 {
		if v.first {
			return errUnsigned
		}
		if v.unsigned = append(v.unsigned, m.wire); len(v.unsigned) > maxUnsigned {
			return errUnsigned
		}
		return nil
	}
	s := &m.tsig
	if s.failure != 0 {
		return tsigFailure(s.failure)
	}
	if s.name != strings.ToLower(v.key.name) || s.algorithm != v.key.algorithm {
		return errors.New("the server's answer is signed with another TSIG key or algorithm than the question")
	}
	mac := hmac.New(v.key.hash, []byte(v.key.secret.Reveal()))
	mac.Write(binary.BigEndian.AppendUint16(nil, uint16(len(v.prior))))
	mac.Write(v.prior)
	for _, wire := range v.unsigned {
		mac.Write(wire)
	}
	header := slices.Clone(m.wire[:12]) // as it was before it was signed
	binary.BigEndian.PutUint16(header, s.originalID)
	binary.BigEndian.PutUint16(header[10:], binary.BigEndian.Uint16(header[10:])-1)
	mac.Write(header)
	mac.Write(m.wire[12:m.tsigAt])
	if v.first {
		mac.Write(v.variables(s))
	} else {
		mac.Write(s.timers)
	}
	if !hmac.Equal(mac.Sum(nil), s.mac) {
		return errors.New("the signature of the server's answer is wrong: the secrets of the TSIG key differ, or somebody changed the answer on its way")
	}
	signed := int64(binary.BigEndian.Uint64(append([]byte{0, 0}, s.timers[:6]...)))
	allowed := int64(binary.BigEndian.Uint16(s.timers[6:]))
	if d := v.now().Unix() - signed; d > allowed || -d > allowed {
		return fmt.Errorf("the server's answer was signed %d seconds from now: set the clocks of both machines", d)
	}
	v.prior, v.first, v.unsigned = slices.Clone(s.mac), false, nil
	return nil
}

// variables are what is signed beside the first message (RFC 8945 section 4.3.3).
func (v *verifier) variables(s *signature) []byte {
	var b []byte
	name := func(text string) {
		buf := make([]byte, 256)
		if n, err := dns.PackDomainName(text, buf, 0, nil, false); err == nil {
			b = append(b, buf[:n]...)
		}
	}
	name(s.name)
	b = binary.BigEndian.AppendUint16(b, dns.ClassANY)
	b = binary.BigEndian.AppendUint32(b, 0)
	name(s.algorithm)
	b = append(b, s.timers...)
	b = binary.BigEndian.AppendUint16(b, s.failure)
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.other)))
	return append(b, s.other...)
}

// done says whether everything so far is covered by a signature.
func (v *verifier) done() bool { return !v.first && len(v.unsigned) == 0 }

// tsigFailure says what a TSIG error code means for whoever set the key up.
func tsigFailure(code uint16) error {
	switch code {
	case dns.RcodeBadKey:
		return errors.New("the server does not know the TSIG key: give it the key under the same name and algorithm")
	case dns.RcodeBadSig:
		return errors.New("the server finds our signature wrong: the secrets of the TSIG key differ")
	case dns.RcodeBadTime:
		return errors.New("the server's clock and ours differ by more than five minutes: set them")
	}
	return fmt.Errorf("the server refuses our signature (TSIG error %d)", code)
}
