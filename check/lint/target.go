package lint

import (
	"net/netip"
	"slices"
	"strings"

	"slipway/check/finding"
	"slipway/zone"
)

// maxChain is how many aliases in a row a name may take. Resolvers give up at
// about a dozen; each costs a look-up before anybody is served.
const maxChain = 4

// targetRules judge what records point at, across all zones of the repository.
func targetRules() []Rule {
	const twoZones = "-- in-force/slipway.yaml --\ndomain: finmicro.example\nzones:\n  finmicro.example: {visibility: external}\n  lab.finmicro.example: {visibility: external}\n"
	return []Rule{
		{
			ID:       "alias-chain",
			Title:    "Too many aliases in a row",
			Severity: finding.Warn,
			Why:      "Each CNAME in a row is one more look-up and one more name that can break or be taken over.",
			Help:     "Point the name at the end of the chain.",
			Controls: []string{changeControl},
			Bad:      "-- zones/finmicro.example.yaml --\na: {type: CNAME, ttl: 300, value: b.finmicro.example.}\nb: {type: CNAME, ttl: 300, value: c.finmicro.example.}\nc: {type: CNAME, ttl: 300, value: d.finmicro.example.}\nd: {type: CNAME, ttl: 300, value: e.finmicro.example.}\ne: {type: CNAME, ttl: 300, value: f.finmicro.example.}\nf: {type: A, ttl: 300, value: 9.9.9.10}\n",
			Good:     "-- zones/finmicro.example.yaml --\na: {type: CNAME, ttl: 300, value: b.finmicro.example.}\nb: {type: A, ttl: 300, value: 9.9.9.10}\n",
			set:      aliasChain,
		},
		{
			ID:       "alias-loop",
			Title:    "Aliases that lead back to themselves",
			Severity: finding.Deny,
			Why:      "Whoever asks for such a name is sent round until they give up (RFC 1034 section 3.6.2).",
			Help:     "Point one of the aliases at a name with addresses.",
			Controls: []string{changeControl, changeISO},
			Bad:      "-- zones/finmicro.example.yaml --\na: {type: CNAME, ttl: 300, value: b.finmicro.example.}\nb: {type: CNAME, ttl: 300, value: a.finmicro.example.}\n",
			Good:     "-- zones/finmicro.example.yaml --\na: {type: CNAME, ttl: 300, value: b.finmicro.example.}\nb: {type: A, ttl: 300, value: 9.9.9.10}\n",
			set:      aliasLoop,
		},
		{
			ID:       "dangling-target",
			Title:    "A target that does not exist",
			Severity: finding.Deny,
			Why:      "The name that this points at lies in a zone of ours and has no records there, so nobody who follows it arrives.",
			Help:     "Correct the target, or create it in the same change.",
			Controls: []string{changeControl, inventory},
			Bad:      "-- zones/finmicro.example.yaml --\nshop: {type: CNAME, ttl: 300, value: nowhere.finmicro.example.}\n",
			Good:     "-- zones/finmicro.example.yaml --\nshop: {type: CNAME, ttl: 300, value: front.finmicro.example.}\nfront: {type: A, ttl: 300, value: 9.9.9.10}\n",
			set:      danglingTarget,
		},
		{
			ID:       "missing-glue",
			Title:    "A delegation to servers below it without their addresses",
			Severity: finding.Deny,
			Why:      "To ask these name servers one must first know their addresses, and only they could tell (RFC 1034 section 4.2.1).",
			Help:     "Add A or AAAA records for the name servers beside the delegation.",
			Controls: []string{changeControl, networkISO},
			Bad:      "-- zones/finmicro.example.yaml --\nlab: {type: NS, ttl: 3600, value: ns1.lab.finmicro.example.}\n",
			Good:     "-- zones/finmicro.example.yaml --\nlab: {type: NS, ttl: 3600, value: ns1.lab.finmicro.example.}\nns1.lab: {type: A, ttl: 3600, value: 9.9.9.53}\n",
			set:      missingGlue,
		},
		{
			ID:       "delegation-inconsistent",
			Title:    "A delegation that says otherwise than the zone itself",
			Severity: finding.Warn,
			Why:      "The name servers, or their addresses, in the zone above differ from those in the zone below (RFC 1034 section 4.2.2). Which ones are asked is then chance, and those that only one side names may serve nothing.",
			Help:     "Make the NS records above and below the same, and the addresses of their servers too.",
			Controls: []string{changeControl, networkISO},
			Bad:      twoZones + "-- zones/finmicro.example.yaml --\nlab: {type: NS, ttl: 3600, values: [ns1.host.test., ns2.host.test.]}\n-- zones/lab.finmicro.example.yaml --\n'': {type: NS, ttl: 3600, values: [ns1.host.test., ns3.host.test.]}\n",
			Good:     twoZones + "-- zones/finmicro.example.yaml --\nlab: {type: NS, ttl: 3600, values: [ns1.host.test., ns2.host.test.]}\n-- zones/lab.finmicro.example.yaml --\n'': {type: NS, ttl: 3600, values: [ns1.host.test., ns2.host.test.]}\n",
			set:      delegationInconsistent,
		},
		{
			ID:       "still-pointed-at",
			Title:    "Removing a name that others point at",
			Severity: finding.Deny,
			Why:      "Other records of the zone lead to this name, and would lead nowhere.",
			Help:     "Change or remove those records in the same change.",
			Controls: []string{changeControl, inventory},
			Bad:      "-- zones/finmicro.example.yaml --\nblog: {type: CNAME, ttl: 300, value: www.finmicro.example.}\n",
			Good:     "-- zones/finmicro.example.yaml --\nblog: {type: A, ttl: 300, value: 9.9.9.10}\n",
			edit:     stillPointedAt,
		},
		{
			ID:       "target-is-address",
			Title:    "An address where a name belongs",
			Severity: finding.Deny,
			Why:      "CNAME, MX, NS and SRV point at names. An address there is read as a name that does not exist.",
			Help:     "Create a name with the address, and point at that.",
			Controls: []string{changeControl},
			Bad:      "-- zones/finmicro.example.yaml --\nshop: {type: CNAME, ttl: 300, value: 9.9.9.10.}\n",
			Good:     "-- zones/finmicro.example.yaml --\nshop: {type: A, ttl: 300, value: 9.9.9.10}\n",
			set: func(p *pass, _ zone.Name, r zone.RRSet) error {
				for _, t := range targets(r) {
					if _, err := netip.ParseAddr(string(t)); err == nil {
						p.reportSet(r, "%s points at %s, which is an address; a %s points at a name.", finding.Record(r.Key()), t, r.Type)
					}
				}
				return nil
			},
		},
		{
			ID:       "target-is-cname",
			Title:    "NS, MX or SRV pointing at an alias",
			Severity: finding.Deny,
			Why:      "Name servers, mail servers and services must be named by their own names, not by a CNAME (RFC 2181 section 10.3, RFC 2782). Some senders do not deliver, some resolvers do not find the zone.",
			Help:     "Point at the name that the alias leads to.",
			Controls: []string{changeControl, changeISO},
			Bad:      "-- zones/finmicro.example.yaml --\nlists: {type: MX, ttl: 300, value: {preference: 10, exchange: mx.finmicro.example.}}\nmx: {type: CNAME, ttl: 300, value: mail.host.test.}\n",
			Good:     "-- zones/finmicro.example.yaml --\nlists: {type: MX, ttl: 300, value: {preference: 10, exchange: mx.finmicro.example.}}\nmx: {type: A, ttl: 300, value: 9.9.9.25}\n",
			name:     targetIsCNAME,
		},
	}
}

// chain follows the aliases from r as far as our zones tell. loop is true when
// it comes back to a name that it has passed.
func (p *pass) chain(r zone.RRSet) (names []zone.Name, loop bool, err error) {
	names = []zone.Name{r.Name}
	for r.Type == "CNAME" && len(r.Values) == 1 && len(names) <= 4*maxChain {
		next := targets(r)
		if len(next) == 0 {
			return names, false, nil
		}
		if slices.Contains(names, next[0]) {
			return append(names, next[0]), true, nil
		}
		names = append(names, next[0])
		a, ours, err := p.head.resolve(next[0])
		if err != nil || !ours {
			return names, false, err
		}
		i := slices.IndexFunc(a.sets, func(s zone.RRSet) bool { return s.Type == "CNAME" })
		if i < 0 {
			return names, false, nil
		}
		r = a.sets[i]
	}
	return names, false, nil
}

func path(names []zone.Name) string {
	var out []string
	for _, n := range names {
		out = append(out, n.Unicode())
	}
	return strings.Join(out, " → ")
}

func aliasChain(p *pass, _ zone.Name, r zone.RRSet) error {
	if r.Type != "CNAME" {
		return nil
	}
	names, loop, err := p.chain(r)
	if err != nil || loop || len(names)-1 <= maxChain {
		return err
	}
	p.reportSet(r, "%s is reached by %d aliases in a row (%s); each is a look-up more and a name more that can break.", names[len(names)-1].Unicode(), len(names)-1, path(names))
	return nil
}

func aliasLoop(p *pass, _ zone.Name, r zone.RRSet) error {
	if r.Type != "CNAME" {
		return nil
	}
	names, loop, err := p.chain(r)
	if err == nil && loop {
		p.reportSet(r, "%s leads back to itself (%s), so nobody who asks for it gets an answer.", r.Name.Unicode(), path(names))
	}
	return err
}

func danglingTarget(p *pass, _ zone.Name, r zone.RRSet) error {
	if r.Type == "DNAME" {
		return nil // a branch may well have nothing at its top
	}
	for _, t := range targets(r) {
		if _, err := netip.ParseAddr(string(t)); err == nil {
			continue // target-is-address says it
		}
		a, ours, err := p.head.resolve(t)
		if err != nil {
			return err
		}
		if ours && len(a.sets) == 0 && !a.beyond && t != a.zone {
			p.reportSet(r, "%s points at %s, which does not exist in the zone %s, so whoever follows it arrives nowhere.", finding.Record(r.Key()), t.Unicode(), a.zone.Unicode())
		}
	}
	return nil
}

func missingGlue(p *pass, z zone.Name, r zone.RRSet) error {
	if r.Type != "NS" || r.Name == z {
		return nil
	}
	for _, t := range targets(r) {
		if !t.In(r.Name) {
			continue
		}
		sets, err := p.head.at(z, t)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(sets, func(s zone.RRSet) bool { return s.Type == "A" || s.Type == "AAAA" }) {
			p.reportSet(r, "%s is delegated to %s, which lies below it, and no address of that server is given, so the branch cannot be reached.", r.Name.Unicode(), t.Unicode())
		}
	}
	return nil
}

// delegationInconsistent compares the two sides of a zone cut between zones of ours, once for each change of either.
func delegationInconsistent(p *pass, z zone.Name, r zone.RRSet) error {
	if r.Type != "NS" {
		return nil
	}
	above, below := z, r.Name
	if r.Name == z {
		var ours bool
		if above, ours = p.head.zoneOf(z.Parent()); !ours {
			return nil
		}
		if slices.ContainsFunc(p.edits[above], func(e zone.Edit) bool { return e.Name == z && e.Type == "NS" && e.After != nil }) {
			return nil // told at the other side
		}
	}
	if !p.head.ours[below] {
		return nil
	}
	parent, hasParent, err := p.setOf(above, below, "NS")
	if err != nil {
		return err
	}
	child, hasChild, err := p.setOf(below, below, "NS")
	if err != nil || !hasParent || !hasChild { // many repositories leave the apex to the provider
		return err
	}
	if !slices.Equal(parent.Values, child.Values) {
		p.reportSet(r, "%s is delegated to %s, but says itself that its name servers are %s.", below.Unicode(), listed(targets(parent)), listed(targets(child)))
		return nil
	}
	for _, server := range targets(parent) {
		if !server.In(below) {
			continue
		}
		for _, typ := range []string{"A", "AAAA"} {
			glue, hasGlue, err := p.setOf(above, server, typ)
			if err != nil {
				return err
			}
			own, hasOwn, err := p.setOf(below, server, typ)
			if err != nil {
				return err
			}
			if hasGlue && hasOwn && !slices.Equal(glue.Values, own.Values) {
				p.reportSet(r, "The delegation of %s says that its name server %s has the address %s, but the zone itself says %s.",
					below.Unicode(), server.Unicode(), strings.Join(glue.Values, ", "), strings.Join(own.Values, ", "))
			}
		}
	}
	return nil
}

// setOf is one record set that a zone holds.
func (p *pass) setOf(z, name zone.Name, typ string) (zone.RRSet, bool, error) {
	sets, err := p.head.at(z, name)
	i := slices.IndexFunc(sets, func(r zone.RRSet) bool { return r.Type == typ })
	if err != nil || i < 0 {
		return zone.RRSet{}, false, err
	}
	return sets[i], true, nil
}

// listed names names in a sentence.
func listed(names []zone.Name) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = n.Unicode()
	}
	return strings.Join(out, ", ")
}

// stillPointedAt looks for records of the same zone that lead to a name whose last record set goes.
func stillPointedAt(p *pass, e zone.Edit) error {
	if e.Op != zone.Delete {
		return nil
	}
	a, ours, err := p.head.resolve(e.Name)
	if err != nil || !ours || len(a.sets) > 0 || a.beyond {
		return err
	}
	sources, err := p.head.pointingAt(e.Zone, e.Name)
	if err != nil {
		return err
	}
	for _, s := range sources {
		p.report(e.Place, finding.Record(zone.Key{Name: e.Name, Type: e.Type}), "%s goes away, but %s (%s) still points at it.", e.Name.Unicode(), finding.Record(s.Key()), s.Place)
		return nil // one is enough to say so
	}
	return nil
}

func targetIsCNAME(p *pass, n touched) error {
	for _, r := range n.fresh {
		if r.Type != "NS" && r.Type != "MX" && r.Type != "SRV" {
			continue
		}
		for _, t := range targets(r) {
			a, ours, err := p.head.resolve(t)
			if err != nil {
				return err
			}
			if i := slices.IndexFunc(a.sets, func(s zone.RRSet) bool { return s.Type == "CNAME" }); ours && i >= 0 {
				p.reportSet(r, "%s names %s, which is only an alias (CNAME at %s); it must name a host with addresses.", finding.Record(r.Key()), t.Unicode(), a.sets[i].Place)
			}
		}
	}
	if !n.edited("CNAME") {
		return nil
	}
	// The other way round: the name becomes an alias while a record of the zone relies on it.
	sources, err := p.head.pointingAt(n.zone, n.name)
	if err != nil {
		return err
	}
	for _, s := range sources {
		if s.Type == "NS" || s.Type == "MX" || s.Type == "SRV" {
			p.reportSet(n.at("CNAME"), "%s becomes an alias, but %s (%s) needs it to be a host with addresses.", n.name.Unicode(), finding.Record(s.Key()), s.Place)
		}
	}
	return nil
}
