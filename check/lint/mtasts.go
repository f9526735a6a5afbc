package lint

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipway/check/finding"
	"slipway/check/observe"
	"slipway/zone"
)

// stsRules judge the MTA-STS policy that senders fetch over HTTPS (RFC 8461), beside the records of the zone.
func stsRules() []Rule {
	mail := []string{changeControl, transferISO}
	const (
		zones = "-- zones/finmicro.example.yaml --\n"
		shop  = zones + "shop: {type: MX, ttl: 3600, value: {preference: 10, exchange: mx1.host.test.}}\n_mta-sts.shop: {type: TXT, ttl: 3600, value: v=STSv1\\; id=20261001}\nmta-sts.shop: {type: A, ttl: 3600, value: 9.9.9.10}\n"
		host  = "mx1.host.test A NOERROR\nmx1.host.test. A 9.9.9.25"
		page  = "https://mta-sts.shop.finmicro.example/.well-known/mta-sts.txt GET 200 text/plain"
	)
	serves := func(lines ...string) string {
		return observed(append([]string{host, page}, lines...)...)
	}
	return []Rule{
		{
			ID:       "mta-sts-policy-invalid",
			Title:    "An MTA-STS policy that senders ignore",
			Severity: finding.Deny,
			Why:      "Senders that cannot fetch or read the policy deliver without it, so mail can be read or led astray on its way (RFC 8461 sections 3.2, 3.3 and 5).",
			Help:     "Serve the policy at /.well-known/mta-sts.txt of mta-sts below the domain: as text/plain, with a certificate for that name, without redirect; with the lines version: STSv1, mode, max_age and mx.",
			Controls: mail,
			Bad:      serves("| version: STSv1", "| mode: enforced", "| max_age: 604800", "| mx: mx1.host.test") + shop,
			Good:     serves("| version: STSv1", "| mode: enforce", "| max_age: 604800", "| mx: mx1.host.test") + shop,
			name:     judgeSTS("mta-sts-policy-invalid"),
		},
		{
			ID:       "mta-sts-policy-mx",
			Title:    "An MTA-STS policy that does not know a mail server",
			Severity: finding.Deny,
			Why:      "Senders that obey the policy do not deliver to a server that it does not name (RFC 8461 section 4.1). While its mode is testing they deliver and report.",
			Help:     "Add the server to the policy and wait until senders have it (a new id in the TXT record tells them), then to the MX record. Take servers away in the other order.",
			Controls: mail,
			Bad:      serves("| version: STSv1", "| mode: enforce", "| max_age: 604800", "| mx: mx2.host.test") + shop,
			Good:     serves("| version: STSv1", "| mode: enforce", "| max_age: 604800", "| mx: *.host.test") + shop,
			name:     judgeSTS("mta-sts-policy-mx"),
		},
		{
			ID:       "mta-sts-policy-weak",
			Title:    "An MTA-STS policy that protects little",
			Severity: finding.Warn,
			Why:      "In the modes testing and none senders deliver even to a server that cannot be trusted, and a policy that lasts less than a day is forgotten as soon as an attacker keeps senders from it (RFC 8461 sections 3.2, 5 and 10.2).",
			Help:     "When TLS reports show that all mail arrives, say mode: enforce and a max_age of some weeks.",
			Controls: mail,
			Bad:      serves("| version: STSv1", "| mode: enforce", "| max_age: 3600", "| mx: mx1.host.test") + shop,
			Good:     serves("| version: STSv1", "| mode: enforce", "| max_age: 2419200", "| mx: mx1.host.test") + shop,
			name:     judgeSTS("mta-sts-policy-weak"),
		},
	}
}

// stsDomain is a mail domain whose MTA-STS policy a change has to do with: it edits the record that announces
// the policy, or the mail servers of a domain that has one.
func (p *pass) stsDomain(n touched) (domain zone.Name, announced bool, err error) {
	if rest, ok := strings.CutPrefix(string(n.name), "_mta-sts."); ok {
		return zone.Name(rest), n.edited("TXT", "CNAME") && hasAny(n.sets, "TXT", "CNAME"), nil
	}
	label, err := zone.ParseName("_mta-sts." + string(n.name))
	if err != nil || !n.edited("MX") || slices.ContainsFunc(p.edits[n.zone], func(e zone.Edit) bool { return e.Name == label && e.After != nil }) {
		return "", false, nil // longer than a name can be; or judged there
	}
	a, ours, err := p.head.resolve(label)
	return n.name, err == nil && ours && hasAny(a.sets, "TXT", "CNAME"), err
}

func hasAny(sets []zone.RRSet, types ...string) bool {
	return slices.ContainsFunc(sets, func(r zone.RRSet) bool { return slices.Contains(types, r.Type) })
}

// judgeSTS makes the judge of one of the rules.
func judgeSTS(rule string) func(*pass, touched) error {
	return func(p *pass, n touched) error {
		if p.Observed == nil || !p.public(n.zone) {
			return nil
		}
		domain, announced, err := p.stsDomain(n)
		if err != nil || !announced {
			return err
		}
		at := n.fresh[0]
		page, ok, err := p.fetch(at.Place, finding.Record(at.Key()), "https://mta-sts."+string(domain)+"/.well-known/mta-sts.txt")
		if err != nil || !ok {
			return err
		}
		policy, wrong := policyOfPage(page)
		switch {
		case wrong != nil && rule == "mta-sts-policy-invalid":
			p.reportSet(at, "The MTA-STS policy of %s counts for nothing: %s.", domain.Unicode(), wrong)
		case wrong != nil:
		case rule == "mta-sts-policy-weak":
			if policy.mode != "enforce" {
				p.reportSet(at, "The MTA-STS policy of %s is in the mode %s, which keeps no mail from being read on its way.", domain.Unicode(), policy.mode)
			} else if policy.age < weakSTSAge {
				p.reportSet(at, "The MTA-STS policy of %s lasts %d seconds, less than a day.", domain.Unicode(), policy.age)
			}
		case rule == "mta-sts-policy-mx" && policy.mode != "none":
			return p.stsServers(policy, domain, at)
		}
		return nil
	}
}

// stsServers finds mail servers of the domain, in the head, that a policy does not name.
func (p *pass) stsServers(policy stsPolicy, domain zone.Name, at zone.RRSet) error {
	set, known, err := p.ask(at, domain, "MX")
	if err != nil || !known {
		return err
	}
	var strange []string
	for _, host := range targets(set) {
		if !policy.allows(host) {
			strange = append(strange, host.Unicode())
		}
	}
	if len(strange) == 0 {
		return nil
	}
	f := p.finding(p.rule, at.Place, finding.Record(at.Key()), "The MTA-STS policy of %s does not name its mail server %s, so senders that obey it will not deliver there.", domain.Unicode(), strings.Join(strange, ", "))
	if policy.mode == "testing" {
		f.Severity = finding.Warn
		f.Message = fmt.Sprintf("The MTA-STS policy of %s, still in the mode testing, does not name its mail server %s.", domain.Unicode(), strings.Join(strange, ", "))
	}
	p.add(f)
	return nil
}

// fetch gets a page, as look gets an answer of the DNS.
func (p *pass) fetch(at zone.Place, record, url string) (page observe.Page, ok bool, err error) {
	page, err = p.Observed.Get(p.ctx, url)
	switch {
	case errors.Is(err, observe.ErrMissing):
		p.add(p.finding(p.rules[notObserved], at, record, "It is not recorded what stands at %s, so %s was judged without it.", url, record))
		return page, false, nil
	case err != nil:
		return page, false, err
	case !page.Definite():
		p.add(p.finding(p.rules[notObserved], at, record, "No server answers at %s, so %s was judged without it.", url, record))
		return page, false, nil
	}
	return page, true, nil
}
