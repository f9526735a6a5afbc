package lint

import (
	"net/netip"
	"slices"
	"strings"

	"slipway/approval"
	"slipway/check/finding"
	"slipway/zone"
	"slipway/zone/caa"
)

// exposureRules judge what the world gets to see, and what it could take over.
func exposureRules() []Rule {
	boundary := []string{boundaryControl, networkISO}
	return []Rule{
		{
			ID:       "address-for-examples",
			Title:    "An address that is kept for documentation",
			Severity: finding.Warn,
			Why:      "Such addresses stand in manuals (RFC 5737, RFC 3849); nothing answers there.",
			Help:     "Put the real address in before people use the name.",
			Controls: boundary,
			Bad:      "-- zones/finmicro.example.yaml --\nshop: {type: A, ttl: 300, value: 192.0.2.10}\n",
			Good:     "-- zones/finmicro.example.yaml --\nshop: {type: A, ttl: 300, value: 9.9.9.10}\n",
			set: func(p *pass, z zone.Name, r zone.RRSet) error {
				for _, a := range addresses(r) {
					if p.public(z) && within(a, documentation) {
						p.reportSet(r, "%s points at %s, an address kept for documentation, where nothing answers.", finding.Record(r.Key()), a)
					}
				}
				return nil
			},
		},
		{
			ID:       "caa-missing",
			Title:    "A zone for which any authority may issue certificates",
			Severity: finding.Warn,
			Why:      "Without a CAA record every authority in the world may issue certificates for the names in the zone (RFC 8659), and a mistake of any of them is enough.",
			Help:     `Add a CAA record at the zone's apex that names the organisation's authorities, or issue ";" where none may.`,
			Controls: []string{boundaryControl, accessControl, "ISO27001:A.8.24"},
			Bad:      "-- zones/other.example.yaml --\nwww: {type: A, ttl: 300, value: 9.9.9.10}\n",
			Good:     "-- zones/other.example.yaml --\n'': {type: CAA, ttl: 300, value: {flags: 0, tag: issue, value: ca.finmicro.example}}\nwww: {type: A, ttl: 300, value: 9.9.9.10}\n",
			zone:     caaMissing,
		},
		{
			ID:       "caa-other-authority",
			Title:    "Letting another authority issue certificates",
			Severity: finding.Deny,
			Why:      "CAA names who may issue certificates (RFC 8659). The organisation's own domain names its authorities; another one could issue certificates that nobody here watches.",
			Help:     "Name one of the authorities of the organisation's own domain, or change those first.",
			Controls: []string{boundaryControl, accessControl, "ISO27001:A.8.24"},
			Bad:      "-- zones/finmicro.example.yaml --\nshop: {type: CAA, ttl: 3600, value: {flags: 0, tag: issue, value: other-ca.test}}\n",
			Good:     "-- zones/finmicro.example.yaml --\nshop: {type: CAA, ttl: 3600, value: {flags: 0, tag: issue, value: ca.finmicro.example}}\n",
			set:      caaOtherAuthority,
		},
		{
			ID:       "delegation-takeover",
			Title:    "A branch delegated to a provider where anybody can create it",
			Severity: finding.Warn,
			Why:      "The servers of such a provider answer for whoever created the zone there. When the zone is deleted, or was never created, the next customer to create it owns every name in it, and can get certificates for them.",
			Help:     "Create the zone at the provider before delegating it, declare it under zones in slipway.yaml, and remove the delegation before deleting the zone.",
			Controls: []string{boundaryControl, riskControl, inventory},
			Bad:      "-- zones/finmicro.example.yaml --\nlab: {type: NS, ttl: 3600, values: [ns-923.awsdns-51.net., ns-1737.awsdns-25.co.uk.]}\n",
			Good:     "-- zones/finmicro.example.yaml --\nlab: {type: NS, ttl: 3600, value: ns1.host.test.}\n",
			set:      delegationTakeover,
		},
		{
			ID:       "internal-target-in-external-zone",
			Title:    "A public name that points inside",
			Severity: finding.Deny,
			Why:      "The world can see the name and not what it points at: it leads nowhere, and tells strangers what is inside.",
			Help:     "Move the name into an internal zone, or point it at something public.",
			Controls: boundary,
			Bad:      "-- zones/finmicro.example.yaml --\nmenu: {type: CNAME, ttl: 300, value: menu.apps.finmicro.example.}\n",
			Good:     "-- zones/finmicro.example.yaml --\nmenu: {type: CNAME, ttl: 300, value: www.finmicro.example.}\nwww: {type: A, ttl: 300, value: 9.9.9.10}\n",
			set: func(p *pass, z zone.Name, r zone.RRSet) error {
				for _, t := range targets(r) {
					inner, ours := p.head.zoneOf(t)
					if p.public(z) && ours && !p.public(inner) && r.Type != "NS" {
						p.reportSet(r, "%s can be seen by the whole world, but points at %s, which only the company sees.", finding.Record(r.Key()), t.Unicode())
					}
				}
				return nil
			},
		},
		{
			ID:       "private-address-in-external-zone",
			Title:    "An address that only means something inside",
			Severity: finding.Deny,
			Why:      "Strangers cannot reach it, learn how the network inside is built, and can make browsers inside attack it (DNS rebinding).",
			Help:     "Use a public address, or move the name into an internal zone.",
			Controls: boundary,
			Bad:      "-- zones/finmicro.example.yaml --\nshop: {type: A, ttl: 300, value: 10.1.2.3}\n",
			Good:     "-- zones/apps.finmicro.example.yaml --\nshop: {type: A, ttl: 300, value: 10.1.2.3}\n",
			set: func(p *pass, z zone.Name, r zone.RRSet) error {
				for _, a := range addresses(r) {
					if kind := insideOnly(a); p.public(z) && kind != "" {
						p.reportSet(r, "%s can be seen by the whole world, but points at %s, %s.", finding.Record(r.Key()), a, kind)
					}
				}
				return nil
			},
		},
		{
			ID:       "restricted-type",
			Title:    "A record type that not everybody may edit",
			Severity: finding.Deny,
			Why:      "Records of this type can turn mail, certificates or a whole branch of names elsewhere, so only some groups may edit them.",
			Help:     "Ask a member of one of the groups to make the change (restricted-types in slipway.yaml names them).",
			Controls: []string{accessControl, accessISO, accessITGC},
			Bad:      "-- zones/finmicro.example.yaml --\nshop: {type: MX, ttl: 3600, value: {preference: 10, exchange: mail.finmicro.example.}}\nmail: {type: A, ttl: 3600, value: 9.9.9.25}\n",
			Good:     "-- zones/apps.finmicro.example.yaml --\nshop: {type: A, ttl: 300, value: 10.1.2.3}\n",
			edit: func(p *pass, e zone.Edit) error {
				groups, restricted := p.Settings.RestrictedTypes[e.Type]
				if !restricted || slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(p.Groups, g) }) {
					return nil
				}
				who := p.Requester + ", who asks, does not belong there"
				if p.Requester == "" {
					who = "nobody is recorded as asking"
				} else if len(groups) > 1 {
					who = p.Requester + ", who asks, belongs to none of these"
				}
				p.report(e.Place, finding.Record(zone.Key{Name: e.Name, Type: e.Type}), "Only %s may edit %s records, and %s.", approval.List(groups, "or"), e.Type, who)
				return nil
			},
		},
		{
			ID:       "takeover-risk",
			Title:    "Pointing at a service where anybody can take the name",
			Severity: finding.Warn,
			Why:      "When the account or site there is given up, the next person to claim its name answers as the organisation: with its name, its cookies, and certificates for it.",
			Help:     "Make sure that the service is set up and claimed before the name goes live, and remove the name first when it is given up.",
			Controls: []string{boundaryControl, riskControl, inventory},
			Bad:      "-- zones/finmicro.example.yaml --\nshop: {type: CNAME, ttl: 300, value: finmicro-shop.azurewebsites.net.}\n",
			Good:     "-- zones/finmicro.example.yaml --\nshop: {type: A, ttl: 300, value: 9.9.9.10}\n",
			set:      takeoverRisk,
		},
		{
			ID:       "wildcard",
			Title:    "A wildcard",
			Severity: finding.Warn,
			Why:      "It answers for every name that nobody thought of, misspellings and names of retired apps included.",
			Help:     "Name the hosts one by one; keep a wildcard only when an approver agrees that it is needed.",
			Controls: boundary,
			Bad:      "-- zones/finmicro.example.yaml --\n'*.shop': {type: A, ttl: 300, value: 9.9.9.10}\n",
			Good:     "-- zones/finmicro.example.yaml --\na.shop: {type: A, ttl: 300, value: 9.9.9.10}\n",
			set: func(p *pass, _ zone.Name, r zone.RRSet) error {
				// Below a service label nobody browses: *._domainkey with an empty key says that no mail is signed.
				service := slices.ContainsFunc(r.Name.Labels(), func(l string) bool { return strings.HasPrefix(l, "_") })
				if r.Name.Wildcard() && !service {
					p.reportSet(r, "%s answers for every name below %s that does not exist, so any such name seems to be ours.", r.Name.Unicode(), r.Name.Parent().Unicode())
				}
				return nil
			},
		},
		{
			ID:       "zone-undeclared",
			Title:    "A zone whose owner slipway.yaml does not name",
			Severity: finding.Warn,
			Why:      "Nothing says who owns the zone, who sees it and who serves it.",
			Help:     "Declare the zone under zones in slipway.yaml, with its owner.",
			Controls: []string{inventory, changeControl},
			Bad:      "-- zones/other.example.yaml --\nshop: {type: A, ttl: 300, value: 9.9.9.10}\n",
			Good:     "-- zones/finmicro.example.yaml --\nshop: {type: A, ttl: 300, value: 9.9.9.10}\n",
			zone: func(p *pass, e zone.Edit) error {
				// A zone file that slipway.yaml does not name is known by its file alone.
				if p.Settings.Zones[e.Zone].Owner == "" {
					p.report(e.Place, "", "slipway.yaml does not say whose the zone %s is.", e.Zone.Unicode())
				}
				return nil
			},
		},
	}
}

// ranges with names, since netip's methods know only some of them.
type addressRange struct {
	prefix netip.Prefix
	kind   string
}

func ranges(kind string, prefixes ...string) []addressRange {
	out := make([]addressRange, len(prefixes))
	for i, p := range prefixes {
		out[i] = addressRange{netip.MustParsePrefix(p), kind}
	}
	return out
}

// documentation: RFC 5737, RFC 3849, RFC 9637.
var documentation = ranges("", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20")

// internalRanges are those of the IANA special-purpose registries (RFC 6890)
// that no stranger can reach.
var internalRanges = slices.Concat(
	ranges("an address of this very machine", "127.0.0.0/8", "::1/128", "0.0.0.0/8", "::/128"),
	ranges("a private address", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
	ranges("an address that is valid on one cable only", "169.254.0.0/16", "fe80::/10"),
	ranges("an address from inside a provider's network", "100.64.0.0/10"),
	ranges("an address for benchmarks", "198.18.0.0/15", "2001:2::/48"),
	ranges("an address of a group, not of a host", "224.0.0.0/4", "ff00::/8"),
	ranges("a reserved address", "240.0.0.0/4", "100::/64", "192.0.0.0/24"),
)

func within(a netip.Addr, list []addressRange) bool {
	return slices.ContainsFunc(list, func(r addressRange) bool { return r.prefix.Contains(a.Unmap()) })
}

// insideOnly says what kind of address strangers cannot reach a is, or "".
func insideOnly(a netip.Addr) string {
	for _, r := range internalRanges {
		if r.prefix.Contains(a.Unmap()) {
			return r.kind
		}
	}
	return ""
}

// caaMissing looks for a CAA record at the apex of a public zone that is new or loses its own, and at
// the names above it that our zones answer for (RFC 8659 section 3).
func caaMissing(p *pass, e zone.Edit) error {
	if !p.public(e.Zone) {
		return nil
	}
	fresh, err := p.fresh(e.Zone)
	if err != nil {
		return err
	}
	lost := slices.ContainsFunc(p.edits[e.Zone], func(o zone.Edit) bool {
		return o.Name == e.Zone && o.Type == "CAA" && o.After == nil
	})
	if !fresh && !lost {
		return nil
	}
	for n := e.Zone; n != "." && n != ""; n = n.Parent() {
		a, ours, err := p.head.resolve(n)
		if err != nil || !ours {
			if err != nil {
				return err
			}
			break
		}
		if slices.ContainsFunc(a.sets, func(r zone.RRSet) bool { return r.Type == "CAA" }) {
			return nil
		}
	}
	p.report(e.Place, finding.Record(zone.Key{Name: e.Zone, Type: "CAA"}), "%s has no CAA record, so any authority in the world may issue certificates for it.", e.Zone.Unicode())
	return nil
}

func caaOtherAuthority(p *pass, z zone.Name, r zone.RRSet) error {
	if r.Type != "CAA" || r.Name == p.Settings.Domain {
		return nil
	}
	authorities, err := p.authorities()
	if err != nil || len(authorities) == 0 {
		return err
	}
	for _, c := range caa.Properties(r) {
		if issuer := c.Issuer().Domain; (c.Tag == "issue" || c.Tag == "issuewild") && issuer != "" && !slices.Contains(authorities, issuer) {
			p.reportSet(r, "%s lets %s issue certificates for %s; the organisation's own domain allows only %s.",
				finding.Record(r.Key()), issuer, r.Name.Unicode(), strings.Join(authorities, ", "))
		}
	}
	return nil
}

// authorities are those that the CAA record set of the organisation's domain
// names in the base: a change cannot vouch for its own authority.
func (p *pass) authorities() ([]string, error) {
	base, err := p.before()
	if base == nil || p.Settings.Domain == "" {
		return nil, err
	}
	sets, err := base.at(p.Settings.Domain, p.Settings.Domain)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, r := range sets {
		if r.Type != "CAA" {
			continue
		}
		for _, c := range caa.Properties(r) {
			if issuer := c.Issuer().Domain; c.Tag == "issue" && issuer != "" {
				out = append(out, issuer)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func takeoverRisk(p *pass, z zone.Name, r zone.RRSet) error {
	if r.Type != "CNAME" && r.Type != "ALIAS" {
		return nil
	}
	for _, t := range targets(r) {
		if _, ours := p.head.zoneOf(t); ours || claimedForGood(t) {
			continue
		}
		for _, s := range claimable {
			if strings.HasSuffix(string(t), s.suffix) && strings.Contains(string(t), s.part) {
				p.reportSet(r, "%s points at %s, a name at %s. %s", finding.Record(r.Key()), t.Unicode(), s.service, s.reason)
				break
			}
		}
	}
	return nil
}
