package lint

import (
	"errors"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"slipway/check/finding"
	"slipway/check/observe"
	"slipway/zone"
)

// observations is the name under which an example keeps what was seen outside.
const observations = "observations"

// observed writes observations into an example: lines of "name type status", with the
// server where one was asked itself, each followed by the records of the answer.
func observed(lines ...string) string {
	return "-- " + observations + " --\n" + strings.Join(lines, "\n") + "\n"
}

// look asks what is seen outside. ok is false when nobody looks outside, and when the
// answer is missing or says nothing definite; then the finding not-observed tells so at the place
// that is given.
func (p *pass) look(at zone.Place, record string, q observe.Question) (a observe.Answer, ok bool, err error) {
	if p.Observed == nil {
		return a, false, nil
	}
	a, err = p.Observed.Ask(p.ctx, q)
	missing := p.rules[notObserved]
	switch {
	case errors.Is(err, observe.ErrMissing):
		p.add(p.finding(missing, at, record, "It is not recorded what the DNS says about %s, so %s was judged without it.", q, record))
		return a, false, nil
	case err != nil:
		return a, false, err
	case !a.Definite():
		p.add(p.finding(missing, at, record, "The DNS gave no answer about %s (%s), so %s was judged without it.", q, a.Status, record))
		return a, false, nil
	}
	return a, true, nil
}

// maxFollow is how many aliases are followed to an answer in our own zones.
const maxFollow = 8

// ask returns the record set of a name: from the head where our zones answer, else from outside.
// known is false when nobody can tell; a set without values does not exist.
func (p *pass) ask(at zone.RRSet, name zone.Name, typ string) (set zone.RRSet, known bool, err error) {
	set, beyond, known, err := p.within(name, typ, func(zone.Name) {})
	if err != nil || beyond == "" {
		return set, known, err
	}
	seen, ok, err := p.look(at.Place, finding.Record(at.Key()), observe.Question{Name: beyond, Type: typ})
	if err != nil || !ok {
		return zone.RRSet{}, false, err
	}
	set, _ = seen.Set()
	return set, true, nil
}

// within answers from our own zones alone, and tells of each name that it meets. Where they lead
// outside, beyond is the name to ask for there.
func (p *pass) within(name zone.Name, typ string, met func(zone.Name)) (set zone.RRSet, beyond zone.Name, known bool, err error) {
	for range maxFollow {
		met(name)
		a, ours, err := p.head.resolve(name)
		if err != nil {
			return set, "", false, err
		}
		if !ours || a.beyond {
			return set, name, false, nil
		}
		var alias *zone.RRSet
		for i, s := range a.sets {
			met(s.Name) // of a wildcard
			if s.Type == typ {
				return s, "", true, nil
			}
			if s.Type == "CNAME" {
				alias = &a.sets[i]
			}
		}
		if alias == nil {
			return set, "", true, nil
		}
		next := targets(*alias)
		if len(next) != 1 {
			return set, "", true, nil
		}
		name = next[0]
	}
	return set, "", false, nil
}

// outsideRules judge what lies outside our zones, by what was seen there.
func outsideRules() []Rule {
	return []Rule{
		{
			ID:       "dangling-outside",
			Title:    "A target outside that does not exist",
			Severity: finding.Deny,
			Why:      "Whoever follows the name arrives nowhere, until somebody else creates or registers what it points at and answers as the organisation.",
			Help:     "Set up the service first, or remove the record.",
			Controls: []string{boundaryControl, riskControl, inventory},
			Bad:      observed("gone.host.test A NXDOMAIN") + "-- zones/finmicro.example.yaml --\nshop: {type: CNAME, ttl: 300, value: gone.host.test.}\n",
			Good:     observed("there.host.test A NOERROR", "there.host.test. A 9.9.9.10") + "-- zones/finmicro.example.yaml --\nshop: {type: CNAME, ttl: 300, value: there.host.test.}\n",
			set: func(p *pass, z zone.Name, r zone.RRSet) error {
				if !slices.Contains([]string{"CNAME", "ALIAS", "NS", "MX", "SRV"}, r.Type) || p.Observed == nil {
					return nil
				}
				if strings.HasPrefix(string(r.Name), "_acme-challenge.") {
					return nil // the proof it points at exists only while a certificate is issued (RFC 8555 section 8.4)
				}
				for _, t := range targets(r) { // NXDOMAIN is for every type (RFC 8020)
					if _, ours := p.head.zoneOf(t); ours {
						continue
					}
					a, ok, err := p.look(r.Place, finding.Record(r.Key()), observe.Question{Name: t, Type: "A"})
					if err != nil {
						return err
					}
					if ok && a.Status == observe.NoSuchName {
						p.reportSet(r, "%s points at %s, which does not exist: whoever creates it answers in our name.", finding.Record(r.Key()), t.Unicode())
					}
				}
				return nil
			},
		},
		{
			ID:       "delegation-unserved",
			Title:    "A delegation to servers that do not serve it",
			Severity: finding.Deny,
			Why:      "The servers know nothing of the zone. Whoever creates it at their provider answers for every name in it, and can get certificates for them.",
			Help:     "Create the zone at its servers before delegating to them, or remove the delegation.",
			Controls: []string{boundaryControl, riskControl, inventory},
			Bad:      observed("ns1.host.test A NOERROR", "ns1.host.test. A 9.9.9.53", "lab.finmicro.example SOA REFUSED ns1.host.test") + "-- zones/finmicro.example.yaml --\nlab: {type: NS, ttl: 3600, value: ns1.host.test.}\n",
			Good:     observed("ns1.host.test A NOERROR", "ns1.host.test. A 9.9.9.53", "lab.finmicro.example SOA NOERROR ns1.host.test", "lab.finmicro.example. SOA ns1.host.test. h.host.test. 1 3600 600 86400 300") + "-- zones/finmicro.example.yaml --\nlab: {type: NS, ttl: 3600, value: ns1.host.test.}\n",
			set:      delegationUnserved,
		},
	}
}

// delegationUnserved asks the servers of a zone cut whether they have the zone: a server that
// has answers with its SOA record (RFC 1034 section 4.2.1).
func delegationUnserved(p *pass, z zone.Name, r zone.RRSet) error {
	if r.Type != "NS" || r.Name == z || p.Observed == nil {
		return nil
	}
	for _, t := range targets(r) {
		if _, ours := p.head.zoneOf(t); ours {
			continue // its address may be a part of this very change
		}
		q := observe.Question{Name: r.Name, Type: "SOA", Server: t}
		a, err := p.Observed.Ask(p.ctx, q)
		switch {
		case errors.Is(err, observe.ErrMissing) || err == nil && a.Status == observe.Unreachable:
			if _, _, err := p.look(r.Place, finding.Record(r.Key()), q); err != nil {
				return err
			}
		case err != nil:
			return err
		case len(only[*dns.SOA](a, r.Name.FQDN())) == 0:
			p.reportSet(r, "%s is delegated to %s, which does not serve it (it answers %s).", r.Name.Unicode(), t.Unicode(), map[bool]string{true: "without the zone", false: a.Status}[a.Status == observe.NoError])
		}
	}
	return nil
}
