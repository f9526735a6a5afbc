package rfc2136

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/miekg/dns"

	"slipway/provider/service"
	"slipway/zone"
)

// maxUpdate is how large an update is made, in bytes before names are compressed. It
// leaves room in a message of 65,535 for the SOA prerequisite and the signature.
const maxUpdate = 60_000

// errPrerequisite: a record set that an update names is not there, or another one is.
var errPrerequisite = errors.New("the server did not make the change, because the zone is no longer the one that it was planned against")

// Write implements service.Zone. Each batch is one update message, which the server makes
// whole or not at all (RFC 2136 section 3.7). The zone must still have the serial that
// it was read with, and every set that is changed its content of then.
func (v *version) Write(ctx context.Context, parts [][]zone.Edit) (change string, err error) {
	return v.write(ctx, parts, false)
}

// WriteSets implements service.Shared: the serial may be another one by now, and the sets
// that are changed are prerequisites all the same (RFC 2136 section 2.4).
func (v *version) WriteSets(ctx context.Context, parts [][]zone.Edit) (change string, err error) {
	return v.write(ctx, parts, true)
}

func (v *version) write(ctx context.Context, parts [][]zone.Edit, shared bool) (change string, err error) {
	z := v.live.Zone
	if !v.live.Exists {
		return "", service.Refused(fmt.Errorf("the server %s does not have the zone, and a zone cannot be made by dynamic update: make an empty one there "+
			"(with a SOA and an NS record) that TSIG key %s may transfer and update", v.p.s.Server, v.p.key.name))
	}
	batches, err := cut(z, parts)
	if err != nil {
		return "", service.Refused(err)
	}
	soa := v.soa
	for i, batch := range batches {
		if shared {
			soa = nil
		}
		next, err := v.p.update(ctx, z, soa, batch)
		if errors.Is(err, errPrerequisite) && !shared {
			next, err = v.again(ctx, i == 0, soa, batch)
		}
		if err != nil {
			if len(batches) > 1 {
				err = fmt.Errorf("message %d of %d: %w", i+1, len(batches), err)
			}
			return "", err
		}
		soa = next
	}
	return fmt.Sprintf("%s:%s:%d", Type, z, soa.Serial), nil
}

// cut packs parts into messages. A name whose sets do not fit into one message goes set
// by set; a set that does not fit into one could not be asked for either.
func cut(z zone.Name, parts [][]zone.Edit) ([][]zone.Edit, error) {
	sizes := make(map[zone.Key]int)
	var fitting [][]zone.Edit
	for _, part := range parts {
		total := 0
		for _, e := range part {
			m := new(dns.Msg)
			m.SetUpdate(z.FQDN())
			if err := put(m, e); err != nil {
				return nil, err
			}
			n := 0
			for _, rr := range slices.Concat(m.Answer, m.Ns) {
				n += dns.Len(rr)
			}
			if n > maxUpdate {
				return nil, fmt.Errorf("%s %s is too large: its old and new values together have %d bytes, and an update can have %d", e.Type, e.Name, n, maxUpdate)
			}
			sizes[zone.Key{Name: e.Name, Type: e.Type}] = n
			total += n
		}
		if total <= maxUpdate {
			fitting = append(fitting, part)
			continue
		}
		for _, e := range part {
			fitting = append(fitting, []zone.Edit{e})
		}
	}
	return service.Batches(fitting, maxUpdate, func(e zone.Edit) int { return sizes[zone.Key{Name: e.Name, Type: e.Type}] }), nil
}

// again sends a message whose prerequisites did not hold, without that of the serial, when
// nothing but the serial can be the reason: a server that signs a zone behind the one that
// it updates (inline-signing) shows the serial of one and compares that of the other, and
// counts it up at any time. The sets that are changed are prerequisites still, and Apply
// reads the whole zone afterwards.
func (v *version) again(ctx context.Context, first bool, soa *dns.SOA, batch []zone.Edit) (*dns.SOA, error) {
	z := v.live.Zone
	if first {
		now, err := v.p.read(ctx, z, true)
		if err != nil {
			return nil, err
		}
		if now.live.Digest != v.live.Digest {
			return nil, errPrerequisite
		}
		return v.p.update(ctx, z, nil, batch)
	}
	c, err := v.p.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if now, err := c.soa(z); err != nil || now.Serial != soa.Serial {
		return nil, errPrerequisite
	}
	return v.p.update(ctx, z, nil, batch)
}

// settle is how long a zone may take to show an update: one that is signed behind the one
// that is updated does so a moment later.
const (
	settle = 2 * time.Second
	look   = 20 * time.Millisecond
)

// update sends one message and returns the SOA record after it. soa is that before it;
// nil when it is no prerequisite.
func (p *Provider) update(ctx context.Context, z zone.Name, soa *dns.SOA, batch []zone.Edit) (*dns.SOA, error) {
	c, err := p.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	prerequisite := soa
	if soa == nil {
		if soa, err = c.soa(z); err != nil {
			return nil, err
		}
	}
	if err := c.update(z, prerequisite, batch); err != nil {
		return nil, err
	}
	for waited := time.Duration(0); ; waited += look {
		now, err := c.soa(z)
		if err != nil || now.Serial != soa.Serial || waited >= settle {
			return now, err
		}
		if err := service.Pause(ctx, look); err != nil {
			return nil, err
		}
	}
}

func (c *connection) update(z zone.Name, soa *dns.SOA, batch []zone.Edit) error {
	m := new(dns.Msg)
	m.SetUpdate(z.FQDN())
	m.Compress = true
	if soa != nil {
		m.Used([]dns.RR{dns.Copy(soa)})
	}
	for _, e := range batch {
		if err := put(m, e); err != nil {
			return err
		}
	}
	answer, err := c.ask(m)
	if err != nil {
		return err
	}
	switch answer.Rcode {
	case dns.RcodeSuccess:
		return nil
	case dns.RcodeNXRrset, dns.RcodeYXRrset, dns.RcodeNameError, dns.RcodeYXDomain: // RFC 2136 section 3.2
		return errPrerequisite
	case dns.RcodeRefused:
		return fmt.Errorf("the server %s does not let TSIG key %s update the zone: allow it (allow-update or update-policy in BIND, an acl with action update in Knot), "+
			"or it refuses a record set as such; its log says which", c.p.s.Server, c.p.key.name)
	case dns.RcodeNotAuth:
		return fmt.Errorf("the server %s is not the zone's primary, which updates must be sent to", c.p.s.Server)
	}
	return fmt.Errorf("the server %s answers the update with %s", c.p.s.Server, dns.RcodeToString[answer.Rcode])
}

// put adds one edit to an update: as a prerequisite that the set is what it was (RFC 2136
// sections 2.4.2 and 2.4.3), then as the change.
func put(m *dns.Msg, e zone.Edit) error {
	var before, after []dns.RR
	var err error
	if e.Before != nil {
		if before, err = wireRecords(*e.Before); err != nil {
			return err
		}
	}
	if e.After != nil {
		if after, err = wireRecords(*e.After); err != nil {
			return err
		}
	}
	if len(before) > 0 {
		m.Used(copies(before))
	} else {
		m.RRsetNotUsed(after[:1])
	}
	switch {
	case len(before) == 0:
		m.Insert(after)
	case len(after) == 0:
		m.RemoveRRset(before[:1])
	case e.Type == "NS" && e.Name.FQDN() == m.Question[0].Name:
		// The zone's own NS set cannot be taken away, not even for a moment (RFC 2136
		// section 3.4.2.3): first the new ones, then the old ones by name.
		m.Insert(copies(after))
		m.Remove(slices.DeleteFunc(before, func(b dns.RR) bool {
			return slices.ContainsFunc(after, func(a dns.RR) bool { return dns.IsDuplicate(a, b) })
		}))
	default:
		m.RemoveRRset(before[:1])
		m.Insert(after)
	}
	return nil
}

// copies, because package dns writes class and TTL into the records it is given.
func copies(rrs []dns.RR) []dns.RR {
	out := make([]dns.RR, len(rrs))
	for i, rr := range rrs {
		out[i] = dns.Copy(rr)
	}
	return out
}

// wireRecords turns a set into records.
func wireRecords(set zone.RRSet) ([]dns.RR, error) {
	out := make([]dns.RR, len(set.Values))
	for i, value := range set.Values {
		rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", set.Name.FQDN(), set.TTL, set.Type, value))
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", set.Type, set.Name, err)
		}
		if rr == nil {
			return nil, fmt.Errorf("%s %s: %q is not the data of a record", set.Type, set.Name, value)
		}
		out[i] = rr
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s %s has no values", set.Type, set.Name)
	}
	return out, nil
}

// soa asks for the zone's SOA record.
func (c *connection) soa(z zone.Name) (*dns.SOA, error) {
	q := new(dns.Msg)
	q.SetQuestion(z.FQDN(), dns.TypeSOA)
	q.RecursionDesired = false
	answer, err := c.ask(q)
	if err != nil {
		return nil, err
	}
	for _, rr := range answer.Answer {
		if soa, ok := rr.(*dns.SOA); ok {
			return soa, nil
		}
	}
	return nil, fmt.Errorf("the server %s answers the question for the zone's SOA record with %s and no record", c.p.s.Server, dns.RcodeToString[answer.Rcode])
}
