package observe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"slipway/zone"
)

const (
	udpSize  = 1232            // what crosses any network without fragments (RFC 9715 section 3.1)
	attempt  = 3 * time.Second // one question waits so long for its answer
	attempts = 2
)

// Resolver asks one recursive resolver.
type Resolver struct {
	address  string
	port     string // of authoritative servers
	answered atomic.Bool
}

// NewResolver asks the resolver at address, "192.0.2.53" or "192.0.2.53:5353".
func NewResolver(address string) (*Resolver, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = strings.Trim(address, "[]"), "53"
	}
	if host == "" || strings.ContainsAny(host, " /") {
		return nil, fmt.Errorf("resolver %q is not of the form address or address:port", address)
	}
	return &Resolver{address: net.JoinHostPort(host, port), port: "53"}, nil
}

// SystemResolver asks the first resolver of a file such as /etc/resolv.conf.
func SystemResolver(path string) (*Resolver, error) {
	c, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("find a resolver: %w", err)
	}
	if len(c.Servers) == 0 {
		return nil, fmt.Errorf("find a resolver: %s names none", path)
	}
	return NewResolver(net.JoinHostPort(c.Servers[0], c.Port))
}

// signed are the types that are asked for with their signatures, and without the resolver's own
// judgement of them (the CD bit, RFC 4035 section 3.2.2): a broken chain is to be seen, not hidden.
var signed = []string{"DNSKEY", "DS", "NSEC3PARAM", "SOA"}

// Ask asks the resolver. A resolver that has never answered anything is an error; one that fails on
// one question gives an Unreachable answer to it.
func (r *Resolver) Ask(ctx context.Context, q Question) (Answer, error) {
	a := Answer{Name: q.Name, Type: q.Type, Server: q.Server, Records: []string{}}
	t, known := dns.StringToType[q.Type]
	if !known {
		return a, fmt.Errorf("ask for %s: DNS cannot be asked for this type", q)
	}
	m := new(dns.Msg)
	m.SetQuestion(q.Name.FQDN(), t)
	dnssec := slices.Contains(signed, q.Type)
	m.CheckingDisabled = dnssec
	m.SetEdns0(udpSize, dnssec)
	server := r.address
	if q.Server != "" {
		m.RecursionDesired = false
		var err error
		if server, err = r.find(ctx, q.Server); err != nil || server == "" {
			a.Status = Unreachable
			return a, err
		}
	}
	answer, err := exchange(ctx, server, m)
	if err != nil {
		if ctx.Err() != nil {
			return a, ctx.Err()
		}
		if q.Server == "" && !r.answered.Load() {
			return a, fmt.Errorf("ask the resolver %s for %s: %w", r.address, q, err)
		}
		a.Status = Unreachable
		return a, nil
	}
	r.answered.Store(true)
	if a.Status = dns.RcodeToString[answer.Rcode]; a.Status == "" {
		a.Status = Failed
	}
	if len(answer.Answer) > MaxRecords {
		return a, fmt.Errorf("ask for %s: the answer has %d records; at most %d are kept", q, len(answer.Answer), MaxRecords)
	}
	for _, rr := range answer.Answer {
		text, err := record(rr)
		if err != nil {
			return a, fmt.Errorf("ask for %s: %w", q, err)
		}
		a.Records = append(a.Records, text)
	}
	slices.Sort(a.Records)
	a.Records = slices.Compact(a.Records)
	return a, nil
}

// find asks the resolver for the address of an authoritative server, "" when it has none.
func (r *Resolver) find(ctx context.Context, server zone.Name) (string, error) {
	for _, typ := range []string{"A", "AAAA"} {
		a, err := r.Ask(ctx, Question{Name: server, Type: typ})
		if err != nil {
			return "", err
		}
		if set, ok := a.Set(); ok {
			return net.JoinHostPort(set.Values[0], r.port), nil
		}
	}
	return "", nil
}

func exchange(ctx context.Context, server string, q *dns.Msg) (*dns.Msg, error) {
	var last error
	for range attempts {
		for _, network := range []string{"udp", "tcp"} {
			client := dns.Client{Net: network, UDPSize: udpSize, Timeout: attempt}
			m, _, err := client.ExchangeContext(ctx, q, server)
			if err != nil {
				last = err
				break
			}
			if len(m.Question) != 1 || !strings.EqualFold(m.Question[0].Name, q.Question[0].Name) || m.Question[0].Qtype != q.Question[0].Qtype {
				last = errors.New("it answers a question that was not asked")
				break
			}
			if !m.Truncated {
				return m, nil
			}
			last = errors.New("its answer is cut short over TCP too")
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, last
}
