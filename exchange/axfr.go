package exchange

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/miekg/dns"

	"slipway/zone"
)

// TSIG is a key that a server asks for (RFC 8945).
type TSIG struct {
	Name      string
	Algorithm string // hmac-sha256 when empty
	Secret    string // base 64
}

// Format hides the secret from whatever prints the key.
func (TSIG) Format(s fmt.State, _ rune) { fmt.Fprint(s, "TSIG key") }

// ParseTSIG reads a key from a file's content: either the secret alone, or a key
// clause of named.conf as tsig-keygen writes it. name and algorithm, if given, win. No error
// repeats what is in the file.
func ParseTSIG(content []byte, name, algorithm string) (*TSIG, error) {
	if len(content) > 64<<10 {
		return nil, errors.New("the file is too large for a TSIG key")
	}
	k := &TSIG{Name: name, Algorithm: algorithm, Secret: strings.TrimSpace(string(content))}
	if m := keyClause.FindSubmatch(content); m != nil {
		k.Secret = ""
		if s := keySecret.FindSubmatch(m[2]); s != nil {
			k.Secret = string(s[1])
		}
		if a := keyAlgorithm.FindSubmatch(m[2]); a != nil && algorithm == "" {
			k.Algorithm = string(a[1])
		}
		if name == "" {
			k.Name = string(m[1])
		}
	}
	if k.Algorithm == "" {
		k.Algorithm = "hmac-sha256"
	}
	k.Algorithm = strings.ToLower(strings.TrimSuffix(k.Algorithm, "."))
	if !tsigAlgorithms[k.Algorithm] {
		return nil, fmt.Errorf("the TSIG algorithm %q is not one of hmac-sha224, hmac-sha256, hmac-sha384, hmac-sha512", k.Algorithm)
	}
	if _, err := zone.ParseName(k.Name); err != nil || k.Name == "" {
		return nil, errors.New("the TSIG key has no name: give it with --tsig-key")
	}
	if b, err := base64.StdEncoding.DecodeString(k.Secret); err != nil || len(b) == 0 {
		return nil, errors.New("the TSIG key's secret is not base 64")
	}
	return k, nil
}

var (
	keyClause    = regexp.MustCompile(`(?s)key\s+"?([^"\s{]+)"?\s*\{(.*?)\}`)
	keySecret    = regexp.MustCompile(`secret\s+"?([^";\s]+)"?\s*;`)
	keyAlgorithm = regexp.MustCompile(`algorithm\s+"?([^";\s]+)"?\s*;`)

	tsigAlgorithms = map[string]bool{"hmac-sha224": true, "hmac-sha256": true, "hmac-sha384": true, "hmac-sha512": true}
)

// Transfer says where zones are transferred from.
type Transfer struct {
	Server  string // host or host:port
	TSIG    *TSIG  // nil for none
	Timeout time.Duration
}

// DefaultTimeout is how long a server may take for one message.
const DefaultTimeout = 30 * time.Second

// typeSigning is where BIND keeps the state of its signing in a zone; nobody else reads it.
const typeSigning = 65534

// ReadAXFR transfers zones from a nameserver (RFC 5936).
func ReadAXFR(ctx context.Context, o Transfer, zones []zone.Name) (*Result, error) {
	out := &Result{}
	for _, z := range zones {
		one, err := transfer(ctx, o, z)
		if err != nil {
			return nil, fmt.Errorf("transfer of %s from %s: %w", z, o.Server, err)
		}
		out.Zones = append(out.Zones, *one)
	}
	return out, nil
}

func transfer(ctx context.Context, o Transfer, z zone.Name) (*Zone, error) {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	address := o.Server
	if _, _, err := net.SplitHostPort(address); err != nil {
		address = net.JoinHostPort(strings.Trim(address, "[]"), "53")
	}
	dialer := net.Dialer{Timeout: o.Timeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	m := new(dns.Msg)
	m.SetAxfr(z.FQDN())
	t := &dns.Transfer{Conn: &dns.Conn{Conn: conn}, ReadTimeout: o.Timeout, WriteTimeout: o.Timeout}
	if k := o.TSIG; k != nil {
		name := dns.CanonicalName(k.Name)
		t.TsigSecret = map[string]string{name: k.Secret}
		m.SetTsig(name, dns.Fqdn(k.Algorithm), 300, time.Now().Unix())
	}
	envelopes, err := t.In(m, address)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	soas := 0
	for e := range envelopes {
		if err = errors.Join(err, e.Error); err != nil {
			conn.Close() // the sender of envelopes ends
			continue
		}
		for _, rr := range e.RR {
			if rr.Header().Rrtype == dns.TypeSOA {
				if soas++; soas > 1 {
					continue // the SOA closes the transfer, too
				}
			}
			if rr.Header().Rrtype == typeSigning {
				continue
			}
			text.WriteString(rr.String())
			text.WriteByte('\n')
		}
		if text.Len() > maxSource {
			err = fmt.Errorf("the zone is larger than %d bytes", maxSource)
			conn.Close()
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	soa, sets, err := zone.ReadMaster(&text, z, string(z))
	if err != nil {
		return nil, err
	}
	return &Zone{z, soa, sets}, nil
}
