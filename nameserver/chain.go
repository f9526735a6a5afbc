package nameserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// chain checks signatures against the keys that the zones themselves publish. It
// shows that a signed zone is signed throughout, not that a parent vouches for it.
type chain struct {
	server string

	// mu guards zones, and is held while a zone's keys are asked for, so that many
	// sets of one zone ask once.
	mu    sync.Mutex
	zones map[string]*apex // by name
}

// apex is what a zone says about its keys.
type apex struct {
	keys []*dns.DNSKEY // none: the zone is not signed
	err  error
}

// forget drops what was learnt, before sets are asked for again: keys may change
// while a zone is reloaded.
func (c *chain) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.zones)
}

// check verifies the signature of a set in an answer, if the zone is signed.
func (c *chain) check(ctx context.Context, m *dns.Msg, name string, t uint16, set []dns.RR) error {
	var signatures []*dns.RRSIG
	for _, rr := range pick(m.Answer, name, dns.TypeRRSIG) {
		if sig := rr.(*dns.RRSIG); sig.TypeCovered == t {
			signatures = append(signatures, sig)
		}
	}
	if len(signatures) == 0 {
		zone, err := c.zoneOf(ctx, m, name, t)
		if err != nil || zone == "" {
			return err
		}
		keys, err := c.keysOf(ctx, zone)
		if err == nil && len(keys) > 0 {
			err = fmt.Errorf("zone %s is signed (DNSSEC) but this answer has no signature", zone)
		}
		return err
	}
	var errs []error
	for _, sig := range signatures {
		if err := c.verify(ctx, sig, set); err != nil {
			errs = append(errs, err)
			continue
		}
		return nil // one valid signature is enough (RFC 4035 section 5.3.3)
	}
	return errors.Join(errs...)
}

func (c *chain) verify(ctx context.Context, sig *dns.RRSIG, set []dns.RR) error {
	if !dns.IsSubDomain(sig.SignerName, set[0].Header().Name) {
		return fmt.Errorf("its signature is by %s, which is not its zone", sig.SignerName)
	}
	if !sig.ValidityPeriod(time.Now()) {
		return errors.New("its signature is outside its period of validity")
	}
	keys, err := c.keysOf(ctx, sig.SignerName)
	if err != nil {
		return err
	}
	return verifyWith(keys, sig, set)
}

func verifyWith(keys []*dns.DNSKEY, sig *dns.RRSIG, set []dns.RR) error {
	for _, key := range keys {
		if key.KeyTag() == sig.KeyTag && key.Algorithm == sig.Algorithm && key.Flags&dns.ZONE != 0 && sig.Verify(key, set) == nil {
			return nil
		}
	}
	return fmt.Errorf("its signature (key %d of %s) is not valid under the zone's keys", sig.KeyTag, sig.SignerName)
}

// keysOf returns the zone's keys, having checked that one of them signed them all.
func (c *chain) keysOf(ctx context.Context, zone string) ([]*dns.DNSKEY, error) {
	zone = dns.CanonicalName(zone)
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.zones[zone]; a != nil {
		return a.keys, a.err
	}
	a := &apex{}
	a.keys, a.err = c.askKeys(ctx, zone)
	c.zones[zone] = a
	return a.keys, a.err
}

func (c *chain) askKeys(ctx context.Context, zone string) ([]*dns.DNSKEY, error) {
	m, err := ask(ctx, c.server, zone, dns.TypeDNSKEY, true)
	if err != nil {
		return nil, err
	}
	set := pick(m.Answer, zone, dns.TypeDNSKEY)
	if len(set) == 0 {
		return nil, nil
	}
	keys := make([]*dns.DNSKEY, len(set))
	for i, rr := range set {
		keys[i] = rr.(*dns.DNSKEY)
	}
	for _, rr := range pick(m.Answer, zone, dns.TypeRRSIG) {
		sig := rr.(*dns.RRSIG)
		if sig.TypeCovered == dns.TypeDNSKEY && sig.ValidityPeriod(time.Now()) && verifyWith(keys, sig, set) == nil {
			return keys, nil
		}
	}
	return nil, fmt.Errorf("the keys of zone %s are not signed by one of themselves", zone)
}

// zoneOf finds the zone that an unsigned answer comes from: the owner of the NS or
// SOA records beside it or, without any, of the SOA record asked for.
func (c *chain) zoneOf(ctx context.Context, m *dns.Msg, name string, t uint16) (string, error) {
	if t == dns.TypeSOA || t == dns.TypeNS {
		return name, nil
	}
	for range 2 {
		for _, rr := range slices.Concat(m.Ns, m.Answer) {
			h := rr.Header()
			if (h.Rrtype == dns.TypeSOA || h.Rrtype == dns.TypeNS) && dns.IsSubDomain(h.Name, name) {
				return h.Name, nil
			}
		}
		var err error
		if m, err = ask(ctx, c.server, name, dns.TypeSOA, false); err != nil {
			return "", err
		}
	}
	return "", nil
}
