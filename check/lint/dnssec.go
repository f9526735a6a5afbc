package lint

import (
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"slipway/check/finding"
	"slipway/check/observe"
	"slipway/zone"
)

// Signatures that end within expirySoon, with less than a quarter of their time left, should have
// been renewed: BIND, Knot and PowerDNS renew with a third or more left, and signers that
// sign for a day at a time keep half.
const expirySoon = 7 * 24 * time.Hour

// weakAlgorithms must or should not sign any more (RFC 8624 section 3.1, RFC 9905).
var weakAlgorithms = map[uint8]string{
	dns.RSAMD5: "RSA with MD5", dns.DSA: "DSA", dns.DSANSEC3SHA1: "DSA", dns.RSASHA1: "RSA with SHA-1",
	dns.RSASHA1NSEC3SHA1: "RSA with SHA-1", dns.RSASHA512: "RSA with SHA-512", dns.ECCGOST: "GOST",
}

// weakDigests must not make a DS record (RFC 8624 section 3.3).
var weakDigests = map[uint8]string{dns.SHA1: "SHA-1", dns.GOST94: "GOST"}

const minZoneKeyBits = 2048 // of RSA: NIST SP 800-57 part 1, table 2

// dnssecRules judge delegation signers by their text, and zones for which slipway.yaml says
// dnssec: required by what is seen of them.
func dnssecRules() []Rule {
	controls := []string{boundaryControl, networkISO, "ISO27001:A.8.24"}
	const (
		required = "-- in-force/slipway.yaml --\ndomain: signed.example\nzones:\n  signed.example: {visibility: external, dnssec: required}\n"
		edit     = "-- zones/signed.example.yaml --\nshop: {type: A, ttl: 300, value: 9.9.9.10}\n"
	)
	return []Rule{
		{
			ID:       "dnssec-broken",
			Title:    "A signed zone whose signatures do not hold",
			Severity: finding.Deny,
			Why:      "For everybody whose resolver checks signatures the whole zone does not exist.",
			Help:     "Mend the zone before changing it: make the DS record at the parent match a key that signs, and sign the zone anew.",
			Controls: controls,
			Bad:      required + brokenSignatures + edit,
			Good:     required + soundSignatures + edit,
			zone: live(func(p *pass, e zone.Edit, d *delegation) {
				if d.broken != "" {
					p.report(e.Place, dnskey(e.Zone), "The signatures of %s do not hold: %s.", e.Zone.Unicode(), d.broken)
				}
			}),
		},
		{
			ID:       "dnssec-expires-soon",
			Title:    "Signatures that are about to expire",
			Severity: finding.Warn,
			Why:      "The signer should have renewed them by now. When they end, the zone is gone for everybody whose resolver checks them.",
			Help:     "Find out why the zone is not signed anew.",
			Controls: controls,
			Bad:      required + endingSignatures + edit,
			Good:     required + soundSignatures + edit,
			zone: live(func(p *pass, e zone.Edit, d *delegation) {
				if d.broken == "" && d.soon(p.AsOf) {
					p.report(e.Place, dnskey(e.Zone), "The signatures of %s end on %s and have not been renewed.", e.Zone.Unicode(), d.ends.Format("2006-01-02 at 15:04 UTC"))
				}
			}),
		},
		{
			ID:       "dnssec-missing",
			Title:    "A zone that must be signed and is not",
			Severity: finding.Deny,
			Why:      "slipway.yaml says dnssec: required for it. Without keys, and a DS record at the parent that matches one, answers can be forged.",
			Help:     "Sign the zone, and have its DS record put into the parent zone.",
			Controls: controls,
			Bad:      required + observed("signed.example DS NOERROR", "signed.example DNSKEY NOERROR", "signed.example SOA NOERROR", "signed.example NSEC3PARAM NOERROR") + edit,
			Good:     required + soundSignatures + edit,
			zone: live(func(p *pass, e zone.Edit, d *delegation) {
				switch {
				case len(d.keys) == 0:
					p.report(e.Place, dnskey(e.Zone), "%s must be signed, but publishes no key.", e.Zone.Unicode())
				case len(d.ds) == 0:
					p.report(e.Place, dnskey(e.Zone), "%s is signed, but its parent zone has no DS record for it, so nobody checks the signatures.", e.Zone.Unicode())
				}
			}),
		},
		{
			ID:       "dnssec-weak",
			Title:    "A signed zone with outdated settings",
			Severity: finding.Warn,
			Why:      "Old algorithms and short keys can be forged or are no longer checked (RFC 8624); NSEC3 iterations and salts cost resolvers much, and some treat such zones as unsigned (RFC 9276).",
			Help:     "Sign with ECDSA P-256 (algorithm 13) or Ed25519 (15), SHA-256 in DS records, and NSEC3 with 0 iterations and no salt.",
			Controls: controls,
			Bad:      required + weakSignatures + edit,
			Good:     required + soundSignatures + edit,
			zone: live(func(p *pass, e zone.Edit, d *delegation) {
				for _, why := range d.weak() {
					p.report(e.Place, dnskey(e.Zone), "%s is signed in an outdated way: %s.", e.Zone.Unicode(), why)
				}
			}),
		},
		{
			ID:       "ds-weak",
			Title:    "A DS record in an outdated form",
			Severity: finding.Warn,
			Why:      "Resolvers ignore such records or will soon (RFC 8624, RFC 9905), and then treat the zone below as unsigned.",
			Help:     "Ask whoever signs the zone below for a DS record with SHA-256, of a key with algorithm 13 or 15.",
			Controls: controls,
			Bad:      "-- zones/finmicro.example.yaml --\nlab:\n  - {type: NS, ttl: 3600, value: ns1.host.test.}\n  - {type: DS, ttl: 3600, value: {key_tag: 1, algorithm: 13, digest_type: 1, digest: 2bb183af5f22588179a53b0a98631fad1a292118}}\n",
			Good:     "-- zones/finmicro.example.yaml --\nlab:\n  - {type: NS, ttl: 3600, value: ns1.host.test.}\n  - {type: DS, ttl: 3600, value: {key_tag: 1, algorithm: 13, digest_type: 2, digest: 2bb183af5f22588179a53b0a98631fad1a2921182bb183af5f22588179a53b0a}}\n",
			set: func(p *pass, _ zone.Name, r zone.RRSet) error {
				if r.Type != "DS" {
					return nil
				}
				for _, v := range r.Values {
					rr, err := dns.NewRR(r.Name.FQDN() + " DS " + v)
					if ds, ok := rr.(*dns.DS); err == nil && ok {
						for _, why := range weakDS(ds) {
							p.reportSet(r, "%s is in an outdated form: %s.", finding.Record(r.Key()), why)
						}
					}
				}
				return nil
			},
		},
	}
}

func dnskey(z zone.Name) string { return finding.Record(zone.Key{Name: z, Type: "DNSKEY"}) }

// delegation is what is seen of a zone's signatures from its parent down.
type delegation struct {
	ds     []*dns.DS
	keys   []*dns.DNSKEY
	nsec3  []*dns.NSEC3PARAM
	broken string    // why the signatures do not hold, "" when they do
	begins time.Time // of the signature that ends first
	ends   time.Time
}

// live asks about every zone that must be signed.
func live(judge func(*pass, zone.Edit, *delegation)) func(*pass, zone.Edit) error {
	return func(p *pass, e zone.Edit) error {
		if p.Settings.Zones[e.Zone].DNSSEC != "required" || p.Observed == nil {
			return nil
		}
		answers := map[string]observe.Answer{}
		for _, typ := range []string{"DS", "DNSKEY", "SOA", "NSEC3PARAM"} {
			a, ok, err := p.look(e.Place, dnskey(e.Zone), observe.Question{Name: e.Zone, Type: typ})
			if err != nil || !ok {
				return err
			}
			answers[typ] = a
		}
		judge(p, e, newDelegation(e.Zone, answers, p.AsOf))
		return nil
	}
}

func newDelegation(z zone.Name, answers map[string]observe.Answer, at time.Time) *delegation {
	d := &delegation{}
	owner := z.FQDN()
	keys := only[*dns.DNSKEY](answers["DNSKEY"], owner)
	d.ds, d.nsec3 = only[*dns.DS](answers["DS"], owner), only[*dns.NSEC3PARAM](answers["NSEC3PARAM"], owner)
	for _, k := range keys {
		if k.Flags&dns.ZONE != 0 && k.Protocol == 3 { // RFC 4034 section 2.1
			d.keys = append(d.keys, k)
		}
	}
	if len(d.ds) == 0 || len(d.keys) == 0 {
		return d // dnssec-missing says so
	}
	// RFC 4035 section 5.2: a key that a DS record names signs the keys; section 5.3: the keys sign the zone.
	var entry []*dns.DNSKEY
	for _, k := range d.keys {
		if k.Flags&dns.REVOKE == 0 && slices.ContainsFunc(d.ds, func(ds *dns.DS) bool { return matches(ds, k) }) {
			entry = append(entry, k)
		}
	}
	if len(entry) == 0 {
		d.broken = "no DS record at the parent matches a key of the zone"
		return d
	}
	for _, step := range []struct {
		what string
		keys []*dns.DNSKEY
		set  []dns.RR
		a    observe.Answer
	}{
		{"keys", entry, rrs(keys), answers["DNSKEY"]},
		{"SOA record", d.keys, rrs(only[*dns.SOA](answers["SOA"], owner)), answers["SOA"]},
	} {
		if d.broken = d.signed(step.set, step.keys, only[*dns.RRSIG](step.a, owner), at); d.broken != "" {
			d.broken += " over the " + step.what
			return d
		}
	}
	return d
}

// signed says what keeps a record set from being signed well; "" when one signature holds.
func (d *delegation) signed(set []dns.RR, keys []*dns.DNSKEY, sigs []*dns.RRSIG, at time.Time) string {
	if len(set) == 0 {
		return "there is nothing signed"
	}
	why := "there is no signature of a trusted key"
	for _, s := range sigs {
		if s.TypeCovered != set[0].Header().Rrtype {
			continue
		}
		for _, k := range keys {
			if k.KeyTag() != s.KeyTag || k.Algorithm != s.Algorithm {
				continue
			}
			begins, ends := serialTime(s.Inception, at), serialTime(s.Expiration, at)
			switch {
			case at.After(ends):
				why = fmt.Sprintf("the signature ended on %s", ends.Format(time.DateOnly))
			case at.Before(begins):
				why = fmt.Sprintf("the signature begins only on %s", begins.Format(time.DateOnly))
			case s.Verify(k, set) != nil:
				why = "the signature is wrong"
			default:
				if d.ends.IsZero() || ends.Before(d.ends) {
					d.begins, d.ends = begins, ends
				}
				return ""
			}
		}
	}
	return why
}

func (d *delegation) soon(at time.Time) bool {
	left := d.ends.Sub(at)
	return !d.ends.IsZero() && left < expirySoon && left < d.ends.Sub(d.begins)/4
}

// weak lists what is outdated.
func (d *delegation) weak() []string {
	var out []string
	for _, ds := range d.ds {
		if why := weakDigests[ds.DigestType]; why != "" {
			out = append(out, "a DS record at the parent uses "+why)
		}
	}
	for _, k := range d.keys {
		if why := weakAlgorithms[k.Algorithm]; why != "" {
			out = append(out, fmt.Sprintf("key %d is for %s", k.KeyTag(), why))
		}
		if n := rsaBits(k); n > 0 && n < minZoneKeyBits {
			out = append(out, fmt.Sprintf("key %d has %d bits; use at least %d", k.KeyTag(), n, minZoneKeyBits))
		}
	}
	for _, n := range d.nsec3 {
		if n.Iterations > 0 {
			out = append(out, fmt.Sprintf("NSEC3 has %d iterations where 0 are to be used", n.Iterations))
		}
		if n.Salt != "" {
			out = append(out, "NSEC3 has a salt, which protects nothing")
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func weakDS(ds *dns.DS) []string {
	var out []string
	if why := weakDigests[ds.DigestType]; why != "" {
		out = append(out, "its digest is made with "+why)
	}
	if why := weakAlgorithms[ds.Algorithm]; why != "" {
		out = append(out, "its key is for "+why)
	}
	return out
}

func matches(ds *dns.DS, k *dns.DNSKEY) bool {
	if ds.KeyTag != k.KeyTag() || ds.Algorithm != k.Algorithm {
		return false
	}
	made := k.ToDS(ds.DigestType)
	return made != nil && strings.EqualFold(made.Digest, ds.Digest)
}

// rsaBits is the length of an RSA key (RFC 3110 section 2), 0 for others.
func rsaBits(k *dns.DNSKEY) int {
	if !slices.Contains([]uint8{dns.RSAMD5, dns.RSASHA1, dns.RSASHA1NSEC3SHA1, dns.RSASHA256, dns.RSASHA512}, k.Algorithm) {
		return 0
	}
	raw, err := base64.StdEncoding.DecodeString(k.PublicKey)
	if err != nil || len(raw) < 3 {
		return 0
	}
	skip := 1 + int(raw[0])
	if raw[0] == 0 {
		skip = 3 + int(raw[1])<<8 + int(raw[2])
	}
	if skip >= len(raw) {
		return 0
	}
	return (&rsa.PublicKey{N: new(big.Int).SetBytes(raw[skip:])}).N.BitLen()
}

// serialTime reads a signature's 32-bit time, which wraps (RFC 4034 section 3.1.5), near at.
func serialTime(t uint32, at time.Time) time.Time {
	return time.Unix(at.Unix()+int64(int32(t-uint32(at.Unix()))), 0).UTC()
}

// only returns the records of one type at owner.
func only[T dns.RR](a observe.Answer, owner string) []T {
	var out []T
	for _, rr := range a.RRs() {
		if t, ok := rr.(T); ok && strings.EqualFold(rr.Header().Name, owner) {
			out = append(out, t)
		}
	}
	return out
}

func rrs[T dns.RR](in []T) []dns.RR {
	out := make([]dns.RR, len(in))
	for i, r := range in {
		out[i] = r
	}
	return out
}
