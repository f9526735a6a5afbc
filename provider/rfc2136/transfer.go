package rfc2136

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"

	"slipway/provider"
	"slipway/provider/service"
	"slipway/zone"
)

// maxTransfer bounds one transfer, in bytes: about five million records.
const maxTransfer = 256 << 20

// version is one version of a zone as the server handed it over.
type version struct {
	p    *Provider
	live *provider.Live
	soa  *dns.SOA // nil when there is no zone, or when it was known already
}

// Live implements service.Zone.
func (v *version) Live() *provider.Live { return v.live }

// Unmanaged is nothing: whatever DNS has, a zones repository can say.
func (v *version) Unmanaged() []service.Unmanaged { return nil }

// read transfers a zone. With brief, a zone that is the same as the last time comes
// without its sets.
func (p *Provider) read(ctx context.Context, z zone.Name, brief bool) (*version, error) {
	if err := service.CheckZone(z); err != nil {
		return nil, err
	}
	messages, err := p.transfer(ctx, z)
	return p.taken(z, messages, err, brief)
}

// taken is the zone of a transfer.
func (p *Provider) taken(z zone.Name, messages []*message, err error, brief bool) (*version, error) {
	if errors.Is(err, errNoZone) {
		return &version{p: p, live: service.Absent(z, p.s.DefaultTTL)}, nil
	}
	if err != nil {
		return nil, err
	}
	digest := sha256.New()
	for _, m := range messages {
		digest.Write(m.answer)
	}
	sum := [sha256.Size]byte(digest.Sum(nil))
	if brief {
		if live, ok := p.recall(z, sum); ok {
			return &version{p: p, live: live}, nil
		}
	}
	soa, sets, err := records(z, messages)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", provider.ErrDamaged, err)
	}
	live := service.NewLive(z, sets, soa.Serial, p.s.DefaultTTL)
	p.remember(z, sum, live)
	return &version{p: p, live: live, soa: soa}, nil
}

// errNoZone: the server is not authoritative for the zone.
var errNoZone = errors.New("the server does not have the zone")

// transfer asks for the whole zone (RFC 5936) and returns the messages once all of them
// are there and signed.
func (p *Provider) transfer(ctx context.Context, z zone.Name) ([]*message, error) {
	q := new(dns.Msg)
	q.SetAxfr(z.FQDN())
	c, err := p.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	v, err := c.send(q)
	if err != nil {
		return nil, err
	}
	return c.whole(v, nil)
}

// whole receives the messages of a transfer. first is one that was received already, or nil.
func (c *connection) whole(v *verifier, first *message) ([]*message, error) {
	var messages []*message
	for size, records := 0, 0; ; {
		m := first
		if first = nil; m == nil {
			var err error
			if m, err = c.receive(v); err != nil {
				return nil, err
			}
		}
		if m.rcode != dns.RcodeSuccess {
			return nil, c.p.transferRefused(m)
		}
		if size += len(m.wire); size > maxTransfer {
			return nil, fmt.Errorf("the transfer has more than %d bytes: the zone is too large", maxTransfer)
		}
		if len(messages) == 0 && m.first != dns.TypeSOA {
			return nil, errors.New("the server's transfer does not begin with the zone's SOA record")
		}
		messages = append(messages, m)
		records += m.answers
		// RFC 5936 section 2.2: the SOA record again ends it.
		if records > 1 && m.answers > 0 && m.last == dns.TypeSOA {
			if !v.done() {
				return nil, errUnsigned
			}
			return messages, nil
		}
	}
}

func (p *Provider) transferRefused(m *message) error {
	switch m.rcode {
	case dns.RcodeNotAuth:
		return errNoZone
	case dns.RcodeRefused:
		return fmt.Errorf("the server %s refuses to hand over the zone to TSIG key %s. Slipway compares whole zones, so it needs that: allow the key to transfer "+
			"(allow-transfer in BIND, an acl with action transfer in Knot, TSIG-ALLOW-AXFR in PowerDNS)", p.s.Server, strings.TrimSuffix(p.key.name, "."))
	}
	return fmt.Errorf("the server %s answers the request for a transfer with %s", p.s.Server, dns.RcodeToString[m.rcode])
}

// signingState is the type of the records in which BIND keeps, at the top of a zone, how
// far it is with signing it (sig-signing-type in its settings).
const signingState = 65534

// records takes a transfer apart.
func records(z zone.Name, messages []*message) (*dns.SOA, []zone.RRSet, error) {
	var soa *dns.SOA
	n := 0
	for _, m := range messages {
		n += m.answers
	}
	all := make([]dns.RR, 0, n)
	for i, m := range messages {
		var msg dns.Msg
		if err := msg.Unpack(m.wire); err != nil {
			return nil, nil, fmt.Errorf("the server's transfer cannot be read: %w", err)
		}
		for j, rr := range msg.Answer {
			if s, ok := rr.(*dns.SOA); ok && soa == nil {
				soa = s
			} else if ok {
				if i != len(messages)-1 || j != len(msg.Answer)-1 || s.Serial != soa.Serial {
					return nil, nil, errors.New("the server's transfer has another SOA record in its middle")
				}
				continue
			}
			if rr.Header().Rrtype == signingState {
				continue
			}
			all = append(all, rr)
		}
	}
	_, sets, err := zone.FromRecords(all, z, "the transfer")
	if err != nil {
		return nil, nil, err
	}
	if soa == nil {
		return nil, nil, errors.New("the server's transfer has no SOA record")
	}
	return soa, sets, nil
}

// connection is one TCP connection to the server, for one request after the other.
type connection struct {
	p    *Provider
	conn net.Conn
	stop func() bool
	ctx  context.Context
	id   uint16
}

func (p *Provider) dial(ctx context.Context) (*connection, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	conn, err := p.s.Dial(ctx, "tcp", p.s.Server)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", p.s.Server, err)
	}
	deadline := time.Now().Add(timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	conn.SetDeadline(deadline) // a connection without deadlines fails on reading soon enough
	c := &connection{p: p, conn: conn, ctx: ctx}
	c.stop = context.AfterFunc(ctx, func() { conn.Close() })
	return c, nil
}

func (c *connection) close() {
	c.stop()
	c.conn.Close()
}

// fault puts the end of the context before what it did to the connection.
func (c *connection) fault(err error) error {
	if cause := c.ctx.Err(); cause != nil {
		return cause
	}
	return fmt.Errorf("server %s: %w", c.p.s.Server, err)
}

// send signs and sends a request, and returns what checks the answers to it.
func (c *connection) send(q *dns.Msg) (*verifier, error) {
	wire, mac, err := c.p.key.sign(q, c.p.s.Now())
	if err != nil {
		return nil, fmt.Errorf("request for %s: %w", q.Question[0].Name, err)
	}
	if len(wire) > dns.MaxMsgSize {
		return nil, fmt.Errorf("request for %s: it is too large for one message", q.Question[0].Name)
	}
	c.id = q.Id
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, len(wire)+2), uint16(len(wire)))
	if _, err := c.conn.Write(append(framed, wire...)); err != nil {
		return nil, c.fault(err)
	}
	return &verifier{key: c.p.key, now: c.p.s.Now, prior: mac, first: true}, nil
}

// receive returns the next answer, its signature checked.
func (c *connection) receive(v *verifier) (*message, error) {
	var size [2]byte
	if _, err := io.ReadFull(c.conn, size[:]); err != nil {
		return nil, c.fault(err)
	}
	wire := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c.conn, wire); err != nil {
		return nil, c.fault(err)
	}
	m, err := parse(wire)
	if err != nil {
		return nil, c.fault(err)
	}
	if m.id != c.id || !m.isResponse {
		return nil, c.fault(errors.New("the server answers a question that was not asked"))
	}
	if err := v.check(m); err != nil {
		// Knot and NSD cannot sign that they do not have a zone, because its settings would
		// name the key. Somebody on the way could say it in their place, and gains
		// nothing: a zone that is not there is not changed.
		if errors.Is(err, errUnsigned) && v.first && m.rcode == dns.RcodeNotAuth {
			return m, nil
		}
		return nil, c.fault(err)
	}
	return m, nil
}

// ask sends one request and returns its answer.
func (c *connection) ask(q *dns.Msg) (*dns.Msg, error) {
	v, err := c.send(q)
	if err != nil {
		return nil, err
	}
	m, err := c.receive(v)
	if err != nil {
		return nil, err
	}
	answer := new(dns.Msg)
	if err := answer.Unpack(m.wire); err != nil {
		return nil, c.fault(err)
	}
	return answer, nil
}
