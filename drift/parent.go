package drift

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"slipway/zone"
)

// Limits on what is asked about one zone. What a parent answers decides whom else is asked, so
// none of it may lead on without end.
const (
	maxServers     = 13 // name servers of one zone
	maxAddresses   = 4  // of one name server
	maxLabels      = 128
	attempts       = 3
	defaultTimeout = 2 * time.Second
)

// Parents asks the zones above. It finds the parent of a zone by walking up, with the resolver
// (RFC 9471 and RFC 1034 section 4.2.1 say what a parent has), and then asks the parent's own
// servers. Of a parent that this organisation serves itself it is told the servers.
type Parents struct {
	Resolver string // host:port; "": only parents whose servers are known are asked

	Dial    func(ctx context.Context, network, address string) (net.Conn, error) // default a net.Dialer's
	Timeout time.Duration                                                        // of one question; default 2 seconds
}

// ErrNoParent: nobody knows where the parent's servers are.
var ErrNoParent = errors.New("the zone above is not known")

// Above is a parent whose servers are known.
type Above struct {
	Zone    zone.Name
	Servers []string // host:port
}

// Look finds out what the zone above says of z, and what z says itself. above is the parent where
// it is one of our own zones; the zero Above is looked for.
func (p *Parents) Look(ctx context.Context, z zone.Name, above Above) (*Delegated, error) {
	if above.Zone == "" {
		var err error
		if above, err = p.find(ctx, z); err != nil {
			return nil, fmt.Errorf("the zone above %s: %w", z, err)
		}
	}
	d := &Delegated{Zone: z, Parent: above.Zone, Glue: map[zone.Name][]netip.Addr{}, OwnGlue: map[zone.Name][]netip.Addr{}}
	if err := p.askParent(ctx, d, above.Servers); err != nil {
		return nil, fmt.Errorf("the zone above %s, %s: %w", z, above.Zone, err)
	}
	if d.Hidden {
		return d, p.askZone(ctx, d, above.Servers[:1])
	}
	var good []string
	for _, name := range d.NS[:min(len(d.NS), maxServers)] {
		addresses := d.Glue[name]
		if len(addresses) == 0 {
			addresses = p.addresses(ctx, name)
		}
		if len(addresses) == 0 {
			d.Servers = append(d.Servers, ServerState{Name: name, Problem: "has no address that can be found"})
		}
		for _, a := range addresses[:min(len(addresses), maxAddresses)] {
			server := net.JoinHostPort(a.String(), "53")
			problem := p.lame(ctx, z, server)
			if problem == "" {
				good = append(good, server)
			}
			d.Servers = append(d.Servers, ServerState{name, a, problem})
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if len(good) == 0 {
		return d, nil
	}
	return d, p.askZone(ctx, d, good)
}

// find walks up until there is a zone.
func (p *Parents) find(ctx context.Context, z zone.Name) (Above, error) {
	if p.Resolver == "" {
		return Above{}, ErrNoParent
	}
	for name, n := z.Parent(), 0; n < maxLabels; name, n = name.Parent(), n+1 {
		if name == "" {
			name = "."
		}
		m, err := p.ask(ctx, p.Resolver, name, dns.TypeNS, true)
		if err != nil {
			return Above{}, err
		}
		if names := namesOf(m.Answer, name); len(names) > 0 {
			above := Above{Zone: name}
			for _, ns := range names[:min(len(names), maxServers)] {
				for _, a := range p.addresses(ctx, ns) {
					above.Servers = append(above.Servers, net.JoinHostPort(a.String(), "53"))
				}
			}
			if len(above.Servers) == 0 {
				return above, fmt.Errorf("no name server of %s has an address", name)
			}
			return above, nil
		}
		if name == "." {
			break
		}
	}
	return Above{}, ErrNoParent
}

// addresses finds a host's addresses; none when the resolver cannot tell.
func (p *Parents) addresses(ctx context.Context, host zone.Name) (out []netip.Addr) {
	if p.Resolver == "" {
		return nil
	}
	for _, t := range []uint16{dns.TypeA, dns.TypeAAAA} {
		if m, err := p.ask(ctx, p.Resolver, host, t, true); err == nil {
			out = append(out, addressesOf(m.Answer, host)...)
		}
	}
	return out[:min(len(out), maxAddresses)]
}

// askParent asks the parent's servers, one after the other until one answers.
func (p *Parents) askParent(ctx context.Context, d *Delegated, servers []string) error {
	var last error
	for _, server := range servers {
		m, err := p.ask(ctx, server, d.Zone, dns.TypeNS, false)
		if err == nil && m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
			err = fmt.Errorf("server %s answers with %s", server, dns.RcodeToString[m.Rcode])
		}
		if err != nil {
			last = err
			continue
		}
		names := namesOf(m.Ns, d.Zone)
		switch {
		case m.Authoritative && len(namesOf(m.Answer, d.Zone)) > 0:
			d.Hidden = true
		case len(names) > 0:
			d.Found, d.NS, d.NSTTL = true, names, ttlOf(m.Ns, d.Zone)
			for _, ns := range names {
				if a := addressesOf(m.Extra, ns); len(a) > 0 {
					d.Glue[ns] = a
				}
			}
		case !m.Authoritative:
			last = fmt.Errorf("server %s does not answer for %s", server, d.Parent)
			continue
		}
		// Whoever serves both zones answers this for the upper one (RFC 4035 section 3.1.4.1).
		if m, err = p.ask(ctx, server, d.Zone, dns.TypeDS, false); err != nil {
			last = err
			continue
		}
		for _, rr := range m.Answer {
			if ds, ok := rr.(*dns.DS); ok && owner(rr) == d.Zone {
				d.DS = append(d.DS, *ds)
			}
		}
		return nil
	}
	if last == nil {
		last = ErrNoParent
	}
	return last
}

// lame says what is wrong with a name server, in words that follow "it"; "" for nothing.
func (p *Parents) lame(ctx context.Context, z zone.Name, server string) string {
	m, err := p.ask(ctx, server, z, dns.TypeSOA, false)
	switch {
	case err != nil:
		return "does not answer"
	case m.Rcode == dns.RcodeRefused:
		return "refuses to answer for it"
	case m.Rcode != dns.RcodeSuccess:
		return "answers with " + dns.RcodeToString[m.Rcode]
	case !m.Authoritative || !slices.ContainsFunc(m.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA && owner(rr) == z }):
		return "does not have the zone"
	}
	return ""
}

// askZone asks a zone's own servers what it says of itself.
func (p *Parents) askZone(ctx context.Context, d *Delegated, servers []string) error {
	var last error
	for _, server := range servers {
		ns, err := p.ask(ctx, server, d.Zone, dns.TypeNS, false)
		if err != nil {
			last = err
			continue
		}
		keys, err := p.ask(ctx, server, d.Zone, dns.TypeDNSKEY, false)
		if err != nil {
			last = err
			continue
		}
		cds, err := p.ask(ctx, server, d.Zone, dns.TypeCDS, false)
		if err != nil {
			last = err
			continue
		}
		d.OwnNS, d.OwnTTL = namesOf(ns.Answer, d.Zone), ttlOf(ns.Answer, d.Zone)
		for _, rr := range keys.Answer {
			if k, ok := rr.(*dns.DNSKEY); ok && owner(rr) == d.Zone && k.Flags&dns.ZONE != 0 && k.Flags&dns.REVOKE == 0 {
				d.Keys = append(d.Keys, *k)
			}
		}
		for _, rr := range cds.Answer {
			if c, ok := rr.(*dns.CDS); ok && owner(rr) == d.Zone {
				d.CDS = append(d.CDS, *c)
			}
		}
		for _, name := range d.NS[:min(len(d.NS), maxServers)] {
			if !name.In(d.Zone) {
				continue
			}
			for _, t := range []uint16{dns.TypeA, dns.TypeAAAA} {
				if m, err := p.ask(ctx, server, name, t, false); err == nil && m.Authoritative {
					d.OwnGlue[name] = append(d.OwnGlue[name], addressesOf(m.Answer, name)...)
				}
			}
		}
		return nil
	}
	return last
}

// ask asks one server, a few times, and over TCP when the answer does not fit.
func (p *Parents) ask(ctx context.Context, server string, name zone.Name, typ uint16, recursive bool) (m *dns.Msg, err error) {
	for range attempts {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		m, err = p.exchange(ctx, "udp", server, name, typ, recursive)
		if err == nil && m.Truncated {
			m, err = p.exchange(ctx, "tcp", server, name, typ, recursive)
		}
		if err == nil {
			return m, nil
		}
	}
	return nil, fmt.Errorf("server %s: %w", server, err)
}

func (p *Parents) exchange(ctx context.Context, network, server string, name zone.Name, typ uint16, recursive bool) (*dns.Msg, error) {
	q := new(dns.Msg)
	q.SetQuestion(name.FQDN(), typ)
	q.RecursionDesired = recursive
	q.SetEdns0(1232, false) // no fragments on any path
	var id [2]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	q.Id = binary.BigEndian.Uint16(id[:])
	dial := p.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	timeout := p.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := dial(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c := &dns.Conn{Conn: conn, UDPSize: dns.MaxMsgSize}
	if err := c.WriteMsg(q); err != nil {
		return nil, err
	}
	for {
		m, err := c.ReadMsg()
		if err != nil {
			return nil, err
		}
		// What does not answer this very question is somebody else's, or nobody's.
		if m.Id != q.Id || !m.Response || len(m.Question) != 1 || m.Question[0].Qtype != typ || !strings.EqualFold(m.Question[0].Name, q.Question[0].Name) {
			if network == "udp" {
				continue
			}
			return nil, errors.New("it answers another question")
		}
		return m, nil
	}
}

func owner(rr dns.RR) zone.Name {
	n, err := zone.ParseName(rr.Header().Name)
	if err != nil {
		return ""
	}
	return n
}

// namesOf are the name servers of a zone among records, sorted.
func namesOf(rrs []dns.RR, z zone.Name) (out []zone.Name) {
	for _, rr := range rrs {
		ns, ok := rr.(*dns.NS)
		if !ok || owner(rr) != z {
			continue
		}
		if n, err := zone.ParseName(ns.Ns); err == nil {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func ttlOf(rrs []dns.RR, z zone.Name) int {
	for _, rr := range rrs {
		if rr.Header().Rrtype == dns.TypeNS && owner(rr) == z {
			return int(rr.Header().Ttl)
		}
	}
	return zone.NoTTL
}

// addressesOf are a host's addresses among records.
func addressesOf(rrs []dns.RR, host zone.Name) (out []netip.Addr) {
	for _, rr := range rrs {
		var raw net.IP
		switch r := rr.(type) {
		case *dns.A:
			raw = r.A
		case *dns.AAAA:
			raw = r.AAAA
		default:
			continue
		}
		if a, ok := netip.AddrFromSlice(raw); ok && owner(rr) == host {
			out = append(out, a.Unmap())
		}
	}
	return out
}
