package lint

import (
	"errors"
	"slices"
	"strings"

	"slipway/check/finding"
	"slipway/zone"
)

// dataRules judge names and values as DNS itself does.
func dataRules() []Rule {
	return []Rule{
		{
			ID:       "alias-beside-address",
			Title:    "ALIAS beside records that it stands for",
			Severity: finding.Deny,
			Why:      "An ALIAS stands for the addresses of another name. Beside addresses or a CNAME of its own, each provider serves something else.",
			Help:     "Keep either the ALIAS or the A, AAAA and CNAME records at this name.",
			Controls: []string{changeControl, changeISO},
			Bad:      "-- zones/finmicro.example.yaml --\nshop:\n  - {type: ALIAS, ttl: 300, value: www.finmicro.example.}\n  - {type: A, ttl: 300, value: 9.9.9.10}\n",
			Good:     "-- zones/finmicro.example.yaml --\nshop: {type: ALIAS, ttl: 300, value: mail.finmicro.example.}\nmail: {type: A, ttl: 300, value: 9.9.9.25}\n",
			name:     aliasBesideAddress,
		},
		{
			ID:       "cname-at-apex",
			Title:    "CNAME at the top of a zone",
			Severity: finding.Deny,
			Why:      "The top of a zone holds the records that make it a zone, and a CNAME allows nothing beside it (RFC 1034 section 3.6.2). The zone would fail to load, with every name in it.",
			Help:     "Use A and AAAA records, or ALIAS where the provider has it.",
			Controls: []string{changeControl, changeISO},
			Bad:      "-- zones/finmicro.example.yaml --\n'': {type: CNAME, ttl: 300, value: app.host.test.}\n",
			Good:     "-- zones/finmicro.example.yaml --\n'': {type: A, ttl: 300, value: 9.9.9.10}\n",
			set: func(p *pass, z zone.Name, r zone.RRSet) error {
				if r.Type == "CNAME" && r.Name == z {
					p.reportSet(r, "%s is the top of its zone and cannot be a CNAME: the whole zone would fail to load.", z.Unicode())
				}
				return nil
			},
		},
		{
			ID:       "cname-beside-other-data",
			Title:    "CNAME beside other records",
			Severity: finding.Deny,
			Why:      "A CNAME says that the name is another name's alias, so nothing else may stand at it (RFC 1034 section 3.6.2, RFC 2181 section 10.1). Servers refuse such a zone or answer at random.",
			Help:     "Keep the CNAME, or replace it by the records of its target.",
			Controls: []string{changeControl, changeISO},
			Bad:      "-- zones/finmicro.example.yaml --\nshop: {type: CNAME, ttl: 300, value: app.host.test.}\n-- apps/shop.yaml --\nowner: ana@finmicro.example\npurpose: Sells things\nexposure: external\ndata: [none]\nexpires: 2027-01-31\nhostname: shop.finmicro.example\nrecords:\n  - {name: shop.finmicro.example, type: A, ttl: 300, values: [9.9.9.10]}\n",
			Good:     "-- zones/finmicro.example.yaml --\nshop: {type: CNAME, ttl: 300, value: app.host.test.}\n",
			name:     cnameBesideOtherData,
		},
		{
			ID:       "dname-conflict",
			Title:    "DNAME where other records stand",
			Severity: finding.Deny,
			Why:      "A DNAME sends every name below it elsewhere, so none may exist there, and it cannot share its name with a CNAME (RFC 6672 section 2.4). What stands below it is never served.",
			Help:     "Remove the DNAME, or the records at or below it.",
			Controls: []string{changeControl, changeISO},
			Bad:      "-- zones/finmicro.example.yaml --\nold: {type: DNAME, ttl: 300, value: finmicro.example.}\na.old: {type: A, ttl: 300, value: 9.9.9.10}\n",
			Good:     "-- zones/finmicro.example.yaml --\nold: {type: DNAME, ttl: 300, value: finmicro.example.}\nolder: {type: A, ttl: 300, value: 9.9.9.10}\n",
			name:     dnameConflict,
		},
		{
			ID:       "malformed-value",
			Title:    "A value that is not valid for its type",
			Severity: finding.Deny,
			Why:      "DNS servers refuse a zone with a value that they cannot read.",
			Help:     "Write the value as its type asks for.",
			Controls: []string{changeControl, changeISO},
			Bad:      "-- zones/finmicro.example.yaml --\nshop: {type: A, ttl: 300, value: 9.9.9.300}\n",
			Good:     "-- zones/finmicro.example.yaml --\nshop: {type: A, ttl: 300, value: 9.9.9.30}\n",
			set:      malformedValue,
		},
		{
			ID:       "name-not-a-hostname",
			Title:    "A host's name with characters that hosts may not have",
			Severity: finding.Warn,
			Why:      "Names of hosts have letters, digits and hyphens (RFC 952, RFC 1123 section 2.1). Browsers, certificates and mail servers refuse others.",
			Help:     "Use letters, digits and hyphens, and no hyphen at either end.",
			Controls: []string{changeControl},
			Bad:      "-- zones/finmicro.example.yaml --\nmy_shop: {type: A, ttl: 300, value: 9.9.9.10}\n",
			Good:     "-- zones/finmicro.example.yaml --\nmy-shop: {type: A, ttl: 300, value: 9.9.9.10}\n_dmarc.shop: {type: TXT, ttl: 300, value: v=DMARC1\\; p=reject}\n",
			set:      nameNotHostname,
		},
		{
			ID:       "never-served",
			Title:    "Records below a name that is delegated away",
			Severity: finding.Warn,
			Why:      "Below a delegation, or in a deeper zone of ours, answers come from there (RFC 1034 section 4.2.1). The record looks as if it were live and never is.",
			Help:     "Put the record into the zone that answers for it.",
			Controls: []string{changeControl, inventory},
			Bad:      "-- zones/finmicro.example.yaml --\nmenu.apps: {type: A, ttl: 300, value: 9.9.9.10}\n",
			Good:     "-- zones/apps.finmicro.example.yaml --\nmenu: {type: A, ttl: 300, value: 10.1.2.3}\n",
			set:      neverServed,
		},
		{
			ID:       "no-ttl",
			Title:    "No TTL of its own",
			Severity: finding.Info,
			Why:      "Without a TTL a provider's default applies, which may change under you.",
			Help:     "Give the record set a ttl in seconds; 300 suits most names.",
			Controls: []string{changeControl},
			Bad:      "-- zones/finmicro.example.yaml --\nshop: {type: A, value: 9.9.9.10}\n",
			Good:     "-- zones/finmicro.example.yaml --\nshop: {type: A, ttl: 300, value: 9.9.9.10}\n",
			set: func(p *pass, _ zone.Name, r zone.RRSet) error {
				if r.TTL == zone.NoTTL {
					p.reportSet(r, "%s says nothing about how long answers may be kept; the provider's default applies.", finding.Record(r.Key()))
				}
				return nil
			},
		},
		{
			ID:       "ttl-out-of-bounds",
			Title:    "TTL shorter or longer than allowed",
			Severity: finding.Deny,
			Why:      "A very short TTL burdens the name servers and lets a name be turned elsewhere in seconds; a very long one keeps a mistake alive.",
			Help:     "Choose a ttl within the bounds of slipway.yaml (ttl: min, max, and types where a record type has others); 300 suits most names.",
			Controls: []string{changeControl, changeISO},
			Bad:      "-- zones/finmicro.example.yaml --\nshop: {type: A, ttl: 5, value: 9.9.9.10}\n",
			Good:     "-- zones/finmicro.example.yaml --\nshop: {type: A, ttl: 60, value: 9.9.9.10}\n",
			set:      ttlOutOfBounds,
		},
	}
}

func aliasBesideAddress(p *pass, n touched) error {
	alias, ok := n.set("ALIAS")
	if !ok {
		return nil
	}
	for _, r := range n.sets {
		if r.Type == "A" || r.Type == "AAAA" || r.Type == "CNAME" {
			p.reportSet(n.at("ALIAS"), "%s is an ALIAS (%s) and has %s records of its own (%s) as well; providers disagree on which to serve.",
				n.name.Unicode(), alias.Place, r.Type, r.Place)
			return nil
		}
	}
	return nil
}

func cnameBesideOtherData(p *pass, n touched) error {
	cname, ok := n.set("CNAME")
	if !ok || n.name == n.zone {
		return nil // cname-at-apex says it
	}
	var types, places []string
	for _, r := range n.sets {
		if r.Type != "CNAME" {
			types = append(types, r.Type)
			places = append(places, r.Place.String())
		}
	}
	if len(types) > 0 {
		p.reportSet(n.at("CNAME"), "%s is an alias of another name (CNAME at %s), so no other record can stand there, but it has %s as well (%s).",
			n.name.Unicode(), cname.Place, strings.Join(types, ", "), strings.Join(slices.Compact(places), ", "))
	}
	return nil
}

func dnameConflict(p *pass, n touched) error {
	if dname, ok := n.set("DNAME"); ok {
		if cname, both := n.set("CNAME"); both {
			p.reportSet(n.at("DNAME"), "%s has a DNAME (%s) and a CNAME (%s); it can have one of the two.", n.name.Unicode(), dname.Place, cname.Place)
		}
	}
	for above := n.name; above != n.zone && above != "."; {
		above = above.Parent()
		sets, err := p.head.at(n.zone, above)
		if err != nil {
			return err
		}
		for _, r := range sets {
			if r.Type == "DNAME" {
				p.reportSet(n.fresh[0], "%s lies below %s, whose DNAME (%s) sends all names below it elsewhere, so it would never be served.",
					n.name.Unicode(), above.Unicode(), r.Place)
			}
		}
	}
	return nil
}

func malformedValue(p *pass, _ zone.Name, r zone.RRSet) error {
	err := r.Validate()
	var e *zone.Error
	switch {
	case err == nil:
	case errors.As(err, &e):
		help := e.Help
		if help == "" {
			help = p.rule.Help
		}
		p.reportSet(r, "%s.", e.What)
		p.found[len(p.found)-1].Help = help
	default:
		return err
	}
	return nil
}

// nameNotHostname judges owners of addresses; service labels (RFC 8552) own other types.
func nameNotHostname(p *pass, z zone.Name, r zone.RRSet) error {
	if r.Type != "A" && r.Type != "AAAA" {
		return nil
	}
	for _, label := range r.Name.Labels() {
		if label == "*" && r.Name.Wildcard() {
			continue
		}
		if strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			p.reportSet(r, "The part %q of %s cannot stand in the name of a host; browsers and certificates refuse it.", label, r.Name.Unicode())
			return nil
		}
	}
	return nil
}

func neverServed(p *pass, z zone.Name, r zone.RRSet) error {
	if deeper, ok := p.head.zoneOf(r.Name); ok && deeper != z && deeper.In(z) {
		if r.Name == deeper && (r.Type == "NS" || r.Type == "DS") {
			return nil // the delegation itself belongs above the cut
		}
		if cut, ok, err := p.setOf(z, deeper, "NS"); err != nil || ok && (r.Type == "A" || r.Type == "AAAA") && slices.Contains(targets(cut), r.Name) {
			return err // glue for it
		}
		p.reportSet(r, "%s lies in the zone %s, which answers for it; here, in %s, it is never served.", r.Name.Unicode(), deeper.Unicode(), z.Unicode())
		return nil
	}
	address := r.Type == "A" || r.Type == "AAAA"
	for above := r.Name; above != z && above.Parent() != z; {
		above = above.Parent()
		sets, err := p.head.at(z, above)
		if err != nil {
			return err
		}
		for _, s := range sets {
			// Addresses of the delegation's own servers are glue, which does stand below it.
			if s.Type == "NS" && !(address && slices.Contains(targets(s), r.Name)) {
				p.reportSet(r, "%s lies below %s, which is delegated to other name servers (%s), so it is never served from here.",
					r.Name.Unicode(), above.Unicode(), s.Place)
				return nil
			}
		}
	}
	return nil
}

// Records that name servers and validators keep on purpose for long.
var slowTypes = []string{"NS", "DS", "DNSKEY", "SOA"}

const maxSlowTTL = 7 * 24 * 3600

func ttlOutOfBounds(p *pass, _ zone.Name, r zone.RRSet) error {
	low, high := p.Settings.TTL.Min, p.Settings.TTL.Max
	if of, ok := p.Settings.TTLOfType[r.Type]; ok {
		low, high = of.Min, of.Max
	} else if slices.Contains(slowTypes, r.Type) && high > 0 {
		high = max(high, maxSlowTTL)
	}
	switch {
	case r.TTL == zone.NoTTL:
	case strings.Contains(r.Type, "/"): // a provider's own type, whose TTL the provider sets
	case r.TTL < low:
		p.reportSet(r, "Answers for %s may be kept for %d s; at least %d s are required.", finding.Record(r.Key()), r.TTL, low)
	case high > 0 && r.TTL > high:
		p.reportSet(r, "Answers for %s may be kept for %d s; at most %d s are allowed, so that a mistake does not outlive its repair.", finding.Record(r.Key()), r.TTL, high)
	}
	return nil
}
