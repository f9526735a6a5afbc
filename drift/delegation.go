package drift

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"slipway/zone"
)

// Delegated is what the zone above says of a zone, and what the zone says itself.
type Delegated struct {
	Zone   zone.Name
	Parent zone.Name

	// At the parent.
	Found  bool        // it delegates the zone
	Hidden bool        // its servers answer for the zone themselves, so that nobody sees the delegation
	NS     []zone.Name // sorted
	NSTTL  int
	Glue   map[zone.Name][]netip.Addr
	DS     []dns.DS

	// At the name servers that the parent names.
	Servers []ServerState
	OwnNS   []zone.Name
	OwnTTL  int
	OwnGlue map[zone.Name][]netip.Addr // of name servers inside the zone
	Keys    []dns.DNSKEY
	CDS     []dns.CDS // what the zone asks the parent to have (RFC 7344); none: it does not say
}

// ServerState is one name server that the parent names.
type ServerState struct {
	Name    zone.Name
	Address netip.Addr // invalid: it has none
	Problem string     // "" when it answers for the zone with authority
}

// Differences says what of it is wrong. With signed, the organisation wants the zone to be signed.
func (d *Delegated) Differences(signed bool) []Difference {
	var out []Difference
	if !d.Hidden {
		out = append(out, d.delegation()...)
	}
	if d.Found || d.Hidden {
		out = append(out, d.trust(signed)...)
	}
	if !d.Hidden {
		out = append(out, d.glue()...)
	}
	return out
}

// delegation compares the name servers, and says which of them do not answer (RFC 1912 section 2.8).
func (d *Delegated) delegation() (out []Difference) {
	own := nsSet(d.Zone, d.OwnNS, d.OwnTTL)
	if !d.Found {
		return []Difference{{Kind: Delegation, Zone: d.Zone, Name: d.Zone, Type: "NS", Approved: own,
			Detail: fmt.Sprintf("The zone above, %s, does not delegate %s, so nobody finds it. Enter its name servers at the registrar, or in that zone.", d.Parent.Unicode(), d.Zone.Unicode())}}
	}
	if len(d.OwnNS) > 0 && !slices.Equal(d.NS, d.OwnNS) {
		var what []string
		if only := without(d.NS, d.OwnNS); len(only) > 0 {
			what = append(what, "Only the zone above names "+listed(only)+".")
		}
		if only := without(d.OwnNS, d.NS); len(only) > 0 {
			what = append(what, "Only the zone itself names "+listed(only)+".")
		}
		out = append(out, Difference{Kind: Delegation, Zone: d.Zone, Name: d.Zone, Type: "NS", Approved: own, Live: nsSet(d.Zone, d.NS, d.NSTTL),
			Detail: fmt.Sprintf("The zone above, %s, names other name servers for %s than the zone does. %s Make the two agree: at the registrar, or in the zone.", d.Parent.Unicode(), d.Zone.Unicode(), strings.Join(what, " "))})
	}
	for _, s := range d.Servers {
		if s.Problem == "" {
			continue
		}
		at := ""
		if s.Address.IsValid() {
			at = " (" + s.Address.String() + ")"
		}
		out = append(out, Difference{Kind: Delegation, Zone: d.Zone, Name: s.Name, Type: "NS",
			Detail: fmt.Sprintf("The zone above names %s%s as a name server of %s, but it %s. Who asks it gets no answer: mend the server, or take it out at the registrar.", s.Name.Unicode(), at, d.Zone.Unicode(), s.Problem)})
	}
	return out
}

// trust compares the DS records with the keys that the zone is signed with (RFC 4035 section 5).
func (d *Delegated) trust(signed bool) []Difference {
	find := func(detail string) []Difference {
		diff := Difference{Kind: DS, Zone: d.Zone, Name: d.Zone, Type: "DS", Detail: detail}
		if set := dsSet(d.Zone, d.DS); len(set.Values) > 0 {
			diff.Live = set
		}
		if set := dsSet(d.Zone, d.wanted()); len(set.Values) > 0 {
			diff.Approved = set
		}
		return []Difference{diff}
	}
	name, parent := d.Zone.Unicode(), d.Parent.Unicode()
	if len(d.OwnNS) == 0 {
		return nil // nobody could be asked for the keys, which is a finding of its own
	}
	removes := slices.ContainsFunc(d.CDS, func(c dns.CDS) bool { return c.Algorithm == 0 }) // RFC 8078 section 4
	switch {
	case len(d.DS) == 0 && len(d.Keys) == 0 && signed:
		return find(fmt.Sprintf("%s has to be signed, but it has no keys, and the zone above, %s, has no DS record.", name, parent))
	case len(d.DS) == 0 && len(d.Keys) > 0 && !removes && (signed || len(d.CDS) > 0):
		return find(fmt.Sprintf("%s is signed, but the zone above, %s, has no DS record for it, so nobody checks the signatures. Enter the DS record at the registrar, or in that zone.", name, parent))
	case len(d.DS) == 0:
		return nil
	case len(d.Keys) == 0:
		return find(fmt.Sprintf("The zone above, %s, says that %s is signed, and it is not: whoever checks signatures takes its answers for forged, and does not reach it. Sign the zone, or take the DS record out.", parent, name))
	case removes:
		return find(fmt.Sprintf("%s asks that its DS records be taken out, and the zone above, %s, still has them.", name, parent))
	}
	var left []string
	for i := range d.DS {
		if !d.matches(&d.DS[i]) {
			left = append(left, fmt.Sprint(d.DS[i].KeyTag))
		}
	}
	switch {
	case len(left) == len(d.DS):
		return find(fmt.Sprintf("No DS record that the zone above, %s, has for %s fits a key of the zone: whoever checks signatures takes its answers for forged, and does not reach it. Enter the right DS record at once.", parent, name))
	case len(left) > 0:
		return find(fmt.Sprintf("The zone above, %s, has a DS record for %s that fits none of its keys (key tag %s). If no change of keys is under way, take it out: nobody knows who has that key.", parent, name, strings.Join(left, ", ")))
	case len(d.CDS) > 0 && !sameDS(d.DS, d.wanted()):
		return find(fmt.Sprintf("%s asks the zone above, %s, for other DS records than it has (CDS): a change of keys waits for it.", name, parent))
	}
	return nil
}

// wanted are the DS records that the zone asks for, or those of its signing keys.
func (d *Delegated) wanted() (out []dns.DS) {
	for _, c := range d.CDS {
		if c.Algorithm != 0 {
			out = append(out, c.DS)
		}
	}
	if len(d.CDS) > 0 {
		return out
	}
	for i := range d.Keys {
		if d.Keys[i].Flags&dns.SEP == 0 {
			continue
		}
		if ds := d.Keys[i].ToDS(dns.SHA256); ds != nil {
			out = append(out, *ds)
		}
	}
	return out
}

// matches reports whether a DS record vouches for a key of the zone. A digest that we cannot
// compute is taken by its key tag and algorithm.
func (d *Delegated) matches(ds *dns.DS) bool {
	return slices.ContainsFunc(d.Keys, func(k dns.DNSKEY) bool {
		if k.KeyTag() != ds.KeyTag || k.Algorithm != ds.Algorithm {
			return false
		}
		ours := k.ToDS(ds.DigestType)
		return ours == nil || strings.EqualFold(ours.Digest, ds.Digest)
	})
}

// glue compares the addresses of name servers inside the zone.
func (d *Delegated) glue() (out []Difference) {
	for _, name := range d.NS {
		above, known := d.Glue[name]
		own := d.OwnGlue[name]
		if !known || !name.In(d.Zone) || len(own) == 0 {
			continue
		}
		for _, six := range []bool{false, true} {
			there, here := family(above, six), family(own, six)
			if slices.Equal(there, here) || len(there) == 0 && six { // a parent may do without
				continue
			}
			typ := map[bool]string{false: "A", true: "AAAA"}[six]
			diff := Difference{Kind: Glue, Zone: d.Zone, Name: name, Type: typ, Live: addressSet(name, typ, there), Approved: addressSet(name, typ, here)}
			diff.Detail = fmt.Sprintf("The zone above, %s, has %s as the address of the name server %s, but the zone itself has %s. Make the two agree: at the registrar, or in the zone.",
				d.Parent.Unicode(), content(diff.Live), name.Unicode(), content(diff.Approved))
			out = append(out, diff)
		}
	}
	return out
}

func family(list []netip.Addr, six bool) (out []netip.Addr) {
	for _, a := range list {
		if a = a.Unmap(); a.Is6() == six {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

func addressSet(name zone.Name, typ string, list []netip.Addr) *zone.RRSet {
	if len(list) == 0 {
		return nil
	}
	set := &zone.RRSet{Name: name, Type: typ, TTL: zone.NoTTL}
	for _, a := range list {
		set.Values = append(set.Values, a.String())
	}
	return set
}

func nsSet(z zone.Name, names []zone.Name, ttl int) *zone.RRSet {
	if len(names) == 0 {
		return nil
	}
	set := &zone.RRSet{Name: z, Type: "NS", TTL: ttl}
	for _, n := range names {
		set.Values = append(set.Values, n.FQDN())
	}
	return set
}

func dsSet(z zone.Name, list []dns.DS) *zone.RRSet {
	set := &zone.RRSet{Name: z, Type: "DS", TTL: zone.NoTTL}
	for _, ds := range list {
		set.Values = append(set.Values, fmt.Sprintf("%d %d %d %s", ds.KeyTag, ds.Algorithm, ds.DigestType, strings.ToLower(ds.Digest)))
	}
	slices.Sort(set.Values)
	return set
}

// sameDS compares by key: a parent may have other digests of the same one.
func sameDS(a, b []dns.DS) bool {
	keys := func(list []dns.DS) (out []string) {
		for _, ds := range list {
			out = append(out, fmt.Sprintf("%d %d", ds.KeyTag, ds.Algorithm))
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	return slices.Equal(keys(a), keys(b))
}

func without(list, other []zone.Name) []zone.Name {
	return slices.DeleteFunc(slices.Clone(list), func(n zone.Name) bool { return slices.Contains(other, n) })
}

func listed(names []zone.Name) string {
	words := make([]string, len(names))
	for i, n := range names {
		words[i] = n.Unicode()
	}
	return strings.Join(words, ", ")
}
