package zonefile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"slipway/provider"
	"slipway/zone"
)

// Type is the provider's type in slipway.yaml.
const Type = "zonefile"

// maxID bounds the change ID and the commit that are written into a file's header.
const maxID = 512

// SOA timers in seconds, as RFC 1912 section 2.2 advises; the minimum is the TTL of
// "there is no such name" (RFC 2308 section 5), short because new names are asked
// for before they exist.
const (
	refresh = 3600
	retry   = 600
	expire  = 14 * 24 * 3600
	minimum = 60
)

// Apply replaces the zone's file by one that holds p.Desired. See
// provider.Provider for what it promises when it is killed and run again.
func (p *Provider) Apply(ctx context.Context, plan provider.Plan) (*provider.Receipt, error) {
	var receipt *provider.Receipt
	err := p.locked(ctx, plan, func(now *content) (err error) {
		err = p.summarise(now)
		switch {
		case errors.Is(err, provider.ErrDamaged) && plan.Expect == provider.ExpectAnything:
			now.serial = now.header.Serial // the best guess at what secondaries have
			now.digest = fmt.Sprintf("sha256:%x", sha256.Sum256(now.bytes))
		case err != nil:
			return err
		}
		receipt, err = p.apply(ctx, now, plan)
		return err
	})
	return receipt, err
}

// locked has do look at a zone's file and change it, as the only one on the machine.
func (p *Provider) locked(ctx context.Context, plan provider.Plan, do func(now *content) error) error {
	if len(plan.ChangeID) > maxID || len(plan.Commit) > maxID {
		return fmt.Errorf("zone %s: a change ID or commit of more than %d bytes is not one", plan.Zone, maxID)
	}
	if err := plan.Validate(); err != nil {
		return err
	}
	unlock, err := p.lock(ctx, plan.Zone)
	if err != nil {
		return err
	}
	defer unlock()
	now, err := p.open(ctx, plan.Zone)
	if err != nil {
		return err
	}
	return do(now)
}

func (p *Provider) apply(ctx context.Context, now *content, plan provider.Plan) (*provider.Receipt, error) {
	plan.Desired = (&provider.Live{DefaultTTL: p.o.DefaultTTL}).WithTTLs(plan.Desired)
	after := provider.Digest(plan.Desired)
	if now.exists && now.digest == after {
		// Also after a kill between the file being in place and the server in this
		// process being told.
		p.applied(plan.Zone)
		return p.unchanged(now, plan), nil
	}
	if plan.Expect != provider.ExpectAnything && plan.Expect != now.digest {
		return nil, &provider.DriftedError{Zone: plan.Zone, Expect: plan.Expect, Found: now.digest}
	}
	next, err := p.render(now, plan, after)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := Replace(next.path, 0o644, func(w io.Writer) error { _, err := w.Write(next.bytes); return err }); err != nil {
		return nil, fmt.Errorf("zone %s: %w", plan.Zone, err)
	}
	p.remember(next)
	p.applied(plan.Zone)
	return p.receipt(plan.Zone, next.header), nil
}

func (p *Provider) applied(z zone.Name) {
	if p.o.Applied != nil {
		p.o.Applied(z)
	}
}

// unchanged is the receipt for a zone that is as desired already: that of its last
// apply when the same change made it so, else one that says nothing was done.
func (p *Provider) unchanged(now *content, plan provider.Plan) *provider.Receipt {
	h := now.header
	if h.Change == plan.ChangeID && h.Commit == plan.Commit && h.After == now.digest && h.Serial == now.serial {
		return p.receipt(plan.Zone, h)
	}
	return &provider.Receipt{
		Provider:       p.o.Name,
		Name:           p.o.Name,
		Zone:           plan.Zone,
		ProviderChange: changeID(plan.Zone, now.serial),
		SerialBefore:   now.serial,
		Serial:         now.serial,
		Before:         now.digest,
		After:          now.digest,
		At:             p.o.Now().UTC(),
	}
}

// receipt is the receipt of the apply that wrote a file with header h.
func (p *Provider) receipt(z zone.Name, h header) *provider.Receipt {
	return &provider.Receipt{
		Provider:       p.o.Name,
		Name:           p.o.Name,
		Zone:           z,
		ProviderChange: changeID(z, h.Serial),
		SerialBefore:   h.SerialBefore,
		Serial:         h.Serial,
		Before:         h.Before,
		After:          h.After,
		Applied:        true,
		At:             h.At,
	}
}

// changeID is the provider's own name for one version of a zone. The serial is what
// every DNS server and every secondary of it knows that version by.
func changeID(z zone.Name, serial uint32) string { return fmt.Sprintf("%s:%s:%d", Type, z, serial) }

// render writes the next version of the zone into memory and reads it back: what
// goes into the file is what the plan says, or nothing does.
func (p *Provider) render(now *content, plan provider.Plan, after string) (*content, error) {
	at := p.o.Now().UTC()
	next := &content{
		zone:   plan.Zone,
		path:   now.path,
		exists: true,
		header: header{
			Change:       plan.ChangeID,
			Commit:       plan.Commit,
			Serial:       nextSerial(now, uint32(at.Unix())),
			SerialBefore: now.serial,
			Before:       now.digest,
			After:        after,
			At:           at,
		},
	}
	sets := plan.Desired
	if !slices.ContainsFunc(sets, func(r zone.RRSet) bool { return r.Name == plan.Zone && r.Type == "NS" }) {
		next.header.ApexNS = p.nameServer()
		sets = append(slices.Clip(sets), apexNS(plan.Zone, next.header.ApexNS))
	}
	soa := zone.SOA{MName: p.o.MName, RName: p.o.RName, Serial: next.header.Serial, Refresh: refresh, Retry: retry, Expire: expire, Minimum: minimum}
	if soa.MName == "" {
		soa.MName = below("ns", plan.Zone)
	}
	if soa.RName == "" {
		soa.RName = below("hostmaster", plan.Zone) // RFC 2142 section 7
	}
	var buf bytes.Buffer
	if err := next.header.write(&buf, plan.Zone); err != nil {
		return nil, fmt.Errorf("zone %s: %w", plan.Zone, err)
	}
	if err := zone.WriteMaster(&buf, plan.Zone, soa, sets, p.o.DefaultTTL); err != nil {
		return nil, fmt.Errorf("zone %s: %w", plan.Zone, err)
	}
	if buf.Len() > MaxFile {
		return nil, fmt.Errorf("zone %s would have %d bytes, more than the %d that a zone may have", plan.Zone, buf.Len(), MaxFile)
	}
	next.bytes = buf.Bytes()
	check := &content{zone: next.zone, path: next.path, exists: true, bytes: next.bytes, header: parseHeader(next.bytes)}
	if err := check.parse(); err != nil {
		return nil, fmt.Errorf("zone %s was not changed: what would be written does not read back: %w", plan.Zone, err)
	}
	if check.digest != after || check.serial != next.header.Serial {
		return nil, fmt.Errorf("zone %s was not changed: what would be written reads back as something else than was approved (%s, not %s)", plan.Zone, check.digest, after)
	}
	next.digest, next.serial = check.digest, check.serial
	return next, nil
}

// nextSerial is the serial after the one in force, in the arithmetic of RFC 1982
// (0 is passed over: some servers take it for "none"). The first one is the time, so that a zone
// whose file was lost and made anew goes on from a higher serial, and secondaries
// take it.
func nextSerial(now *content, time uint32) uint32 {
	if !now.exists {
		return max(time, 1)
	}
	if now.serial == 1<<32-1 {
		return 1
	}
	return now.serial + 1
}

// nameServer is the NS record of a zone that was approved without any. A name below
// the zone would need an address too, or BIND refuses the whole zone, so without
// Options.MName it is one that can never exist (RFC 6761 section 6.4): the zone
// loads, and nobody is sent anywhere.
func (p *Provider) nameServer() zone.Name {
	if p.o.MName != "" {
		return p.o.MName
	}
	return "ns.invalid"
}

// apexNSTTL is the TTL in seconds of a made NS set.
const apexNSTTL = 3600

func apexNS(z, server zone.Name) zone.RRSet {
	return zone.RRSet{Name: z, Type: "NS", TTL: apexNSTTL, Values: []string{server.FQDN()}}
}

func below(label zone.Name, z zone.Name) zone.Name {
	if z == "." {
		return label
	}
	return label + "." + z
}
