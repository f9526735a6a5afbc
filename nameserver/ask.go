package nameserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"slipway/zone"
)

// udpSize is the answer size asked for over UDP: what crosses any network without
// fragments (RFC 9715 section 3.1). Longer answers come over TCP.
const udpSize = 1232

// attempt is how long one datagram is waited for before it is sent again: a lost
// one must not cost the whole time that the caller gives.
const attempt = time.Second

// Resolve asks server (address:port) for a record set over UDP, then TCP when
// truncated, and returns its values as zone.RRSet has them. It asks for exactly that
// set: aliases are not followed, and a name or type that does not exist has no
// values. A server that refuses or fails is an error.
func Resolve(ctx context.Context, server string, name zone.Name, typ string, timeout time.Duration) ([]string, error) {
	t, ok := wireType(typ)
	if !ok {
		return nil, fmt.Errorf("resolve %s: %s is not a type that DNS can be asked for", name, typ)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	m, err := ask(ctx, server, name.FQDN(), t, false)
	if err != nil {
		return nil, err
	}
	rrs := pick(m.Answer, name.FQDN(), t)
	if len(rrs) == 0 {
		rrs = referral(m, name.FQDN(), t)
	}
	return values(name, typ, rrs), nil
}

// ask sends one question until it is answered or ctx ends. dnssec asks for
// signatures (RFC 4035 section 3.2.1).
func ask(ctx context.Context, server, name string, qtype uint16, dnssec bool) (*dns.Msg, error) {
	q := new(dns.Msg)
	q.SetQuestion(name, qtype)
	q.RecursionDesired = false
	q.SetEdns0(udpSize, dnssec)
	for {
		m, err := exchange(ctx, server, q)
		switch {
		case err == nil && (m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError):
			return m, nil
		case err == nil:
			err = fmt.Errorf("the server answers %s", rcodeText(m.Rcode))
		case timedOut(err) && ctx.Err() == nil:
			continue
		}
		return nil, fmt.Errorf("ask %s for %s %s: %w", server, name, dns.TypeToString[qtype], err)
	}
}

func exchange(ctx context.Context, server string, q *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	var m *dns.Msg
	for _, network := range []string{"udp", "tcp"} {
		client := dns.Client{Net: network, UDPSize: udpSize}
		var err error
		if m, _, err = client.ExchangeContext(ctx, q, server); err != nil {
			return nil, err
		}
		if len(m.Question) != 1 || !strings.EqualFold(m.Question[0].Name, q.Question[0].Name) || m.Question[0].Qtype != q.Question[0].Qtype {
			return nil, errors.New("the server answers a question that was not asked")
		}
		if !m.Truncated {
			return m, nil
		}
	}
	return nil, errors.New("the answer is cut short over TCP too")
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

func rcodeText(rcode int) string {
	switch rcode {
	case dns.RcodeRefused:
		return "REFUSED (it does not serve this zone, or not to us)"
	case dns.RcodeServerFailure:
		return "SERVFAIL (it has the zone but cannot answer for it)"
	}
	return dns.RcodeToString[rcode]
}

// pick returns the records of one set.
func pick(rrs []dns.RR, name string, t uint16) []dns.RR {
	var out []dns.RR
	for _, rr := range rrs {
		if h := rr.Header(); h.Rrtype == t && h.Class == dns.ClassINET && strings.EqualFold(h.Name, name) {
			out = append(out, rr)
		}
	}
	return out
}

// referral returns a set that lies at or below a zone cut, where an authoritative
// server says it beside the answer: NS records in the authority section, addresses
// of name servers as glue in the additional one (RFC 1034 section 4.3.2).
func referral(m *dns.Msg, name string, t uint16) []dns.RR {
	if !delegated(m) {
		return nil
	}
	switch t {
	case dns.TypeNS:
		return pick(m.Ns, name, t)
	case dns.TypeA, dns.TypeAAAA:
		return pick(m.Extra, name, t)
	}
	return nil
}

// delegated reports whether m sends the asker on to the servers of a zone below.
func delegated(m *dns.Msg) bool {
	return len(m.Answer) == 0 && !m.Authoritative && slices.ContainsFunc(m.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeNS })
}

// values writes records' data in the one form that package zone gives it.
func values(name zone.Name, typ string, rrs []dns.RR) []string {
	if len(rrs) == 0 {
		return nil
	}
	data := make([]string, len(rrs))
	for i, rr := range rrs {
		data[i] = strings.TrimPrefix(rr.String(), rr.Header().String())
	}
	if set, err := zone.NewRRSet(name, typ, int(rrs[0].Header().Ttl), data); err == nil {
		return set.Values
	}
	slices.Sort(data)
	return slices.Compact(data)
}

// wireType returns the number of a type that can be asked for. ALIAS, octoDNS's
// own types and those of a provider have none.
func wireType(typ string) (uint16, bool) {
	if t, ok := dns.StringToType[typ]; ok {
		return t, true
	}
	rr, err := dns.NewRR(". 0 IN " + typ + ` \# 0`) // RFC 3597 section 5: TYPE65280
	if err != nil || rr == nil || !strings.HasPrefix(typ, "TYPE") {
		return 0, false
	}
	return rr.Header().Rrtype, true
}
