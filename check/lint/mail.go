package lint

import (
	"slices"
	"strings"

	"slipway/check/finding"
	"slipway/check/spf"
	"slipway/zone"
)

// mailRules judge what receivers of mail read: SPF (RFC 7208), DKIM (RFC 6376)
// and DMARC (RFC 9989, which obsoleted RFC 7489 in 2026).
func mailRules() []Rule {
	mail := []string{changeControl, transferISO}
	return []Rule{
		{
			ID:       "dkim-invalid",
			Title:    "A DKIM key that receivers cannot use",
			Severity: finding.Deny,
			Why:      "Mail signed with this key fails everywhere (RFC 6376 section 3.6.1, RFC 8301).",
			Help:     "Copy the record again from the mail service, whole: long keys are easily cut off.",
			Controls: mail,
			Bad:      "-- zones/finmicro.example.yaml --\ns1._domainkey: {type: TXT, ttl: 3600, value: v=DKIM1\\; k=ed25519\\; p=AAAA}\n",
			Good:     "-- zones/finmicro.example.yaml --\ns1._domainkey: {type: TXT, ttl: 3600, value: v=DKIM1\\; k=ed25519\\; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=}\n",
			set: func(p *pass, _ zone.Name, r zone.RRSet) error {
				return dkim(p, r, func(weak string, err error) {
					if err != nil {
						p.reportSet(r, "The DKIM key at %s cannot be used: %s.", r.Name.Unicode(), err)
					}
				})
			},
		},
		{
			ID:       "dkim-weak",
			Title:    "A DKIM key that protects little",
			Severity: finding.Warn,
			Why:      "Short keys can be computed by others; keys under test are ignored (RFC 8301 section 3.2, RFC 6376 section 3.6.1).",
			Help:     "Ask the mail service for a 2048-bit RSA or an Ed25519 key, and end the test.",
			Controls: mail,
			Bad:      "-- zones/finmicro.example.yaml --\ns1._domainkey: {type: TXT, ttl: 3600, value: v=DKIM1\\; t=y\\; k=ed25519\\; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=}\n",
			Good:     "-- zones/finmicro.example.yaml --\ns1._domainkey: {type: TXT, ttl: 3600, value: v=DKIM1\\; k=ed25519\\; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=}\n",
			set: func(p *pass, _ zone.Name, r zone.RRSet) error {
				return dkim(p, r, func(weak string, err error) {
					if err == nil && weak != "" {
						p.reportSet(r, "The DKIM key at %s protects little: %s.", r.Name.Unicode(), weak)
					}
				})
			},
		},
		{
			ID:       "dmarc-invalid",
			Title:    "A DMARC record that receivers ignore",
			Severity: finding.Deny,
			Why:      "A record with a mistake, or one of several, counts as none (RFC 9989), and forged mail in the organisation's name is delivered.",
			Help:     `Write one record such as v=DMARC1; p=reject; rua=mailto:dmarc@example.org`,
			Controls: mail,
			Bad:      "-- zones/finmicro.example.yaml --\n_dmarc.shop: {type: TXT, ttl: 3600, value: v=DMARC1\\; p=rejected}\n",
			Good:     "-- zones/finmicro.example.yaml --\n_dmarc.shop: {type: TXT, ttl: 3600, value: v=DMARC1\\; p=reject\\; rua=mailto:dmarc@finmicro.example}\n",
			set:      dmarcInvalid,
		},
		{
			ID:       "dmarc-only-watches",
			Title:    "A DMARC record that stops nothing",
			Severity: finding.Warn,
			Why:      "With p=none forged mail is reported and delivered all the same.",
			Help:     "When the reports show that all own mail passes, go on to p=quarantine and p=reject.",
			Controls: mail,
			Bad:      "-- zones/finmicro.example.yaml --\n_dmarc.shop: {type: TXT, ttl: 3600, value: v=DMARC1\\; p=none}\n",
			Good:     "-- zones/finmicro.example.yaml --\n_dmarc.shop: {type: TXT, ttl: 3600, value: v=DMARC1\\; p=reject}\n",
			set: func(p *pass, _ zone.Name, r zone.RRSet) error {
				if r.Type != "TXT" || !strings.HasPrefix(string(r.Name), "_dmarc.") {
					return nil
				}
				for _, txt := range texts(r) {
					tags, err := parseDMARC(txt)
					if policy, _ := value(tags, "p"); err == nil && strings.EqualFold(policy, "none") {
						p.reportSet(r, "The DMARC record at %s asks receivers to do nothing about forged mail.", r.Name.Unicode())
					}
				}
				return nil
			},
		},
		{
			ID:       "spf-allows-everyone",
			Title:    "SPF that lets anybody send",
			Severity: finding.Deny,
			Why:      "It tells receivers that mail from any machine in the world is genuine.",
			Help:     "List the senders, and end with -all or ~all.",
			Controls: append([]string{boundaryControl}, mail...),
			Bad:      "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 3600, value: v=spf1 mx +all}\n",
			Good:     "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 3600, value: v=spf1 ip4:9.9.9.0/28 -all}\n",
			set: eachSPF(func(p *pass, r zone.RRSet, s spf.Record) error {
				if term, ok := s.Everyone(); ok {
					p.reportSet(r, "The SPF record of %s says with %s that anybody in the world may send mail as %s.", r.Name.Unicode(), term, r.Name.Unicode())
				}
				return nil
			}),
		},
		{
			ID:       "spf-invalid",
			Title:    "An SPF record with a mistake",
			Severity: finding.Deny,
			Why:      "One mistake makes the whole record void (permerror, RFC 7208 section 2.6.7), for genuine mail too.",
			Help:     "Correct the term.",
			Controls: mail,
			Bad:      "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 3600, value: v=spf1 ipv4:9.9.9.9 -all}\n",
			Good:     "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 3600, value: v=spf1 ip4:9.9.9.9 -all}\n",
			set: func(p *pass, _ zone.Name, r zone.RRSet) error {
				for _, txt := range spfTexts(r) {
					if _, err := spf.Parse(txt); err != nil {
						p.reportSet(r, "The SPF record of %s is void: %s.", r.Name.Unicode(), err)
					}
				}
				return nil
			},
		},
		{
			ID:       "spf-multiple",
			Title:    "More than one SPF record",
			Severity: finding.Deny,
			Why:      "With two, receivers obey neither (RFC 7208 section 4.5).",
			Help:     "Merge the terms into one record.",
			Controls: mail,
			Bad:      "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 3600, values: [v=spf1 mx -all, v=spf1 ip4:9.9.9.9 -all]}\n",
			Good:     "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 3600, values: [v=spf1 ip4:9.9.9.9 -all, something=else]}\n",
			set: func(p *pass, _ zone.Name, r zone.RRSet) error {
				if n := len(spfTexts(r)); n > 1 {
					p.reportSet(r, "%s has %d SPF records; with more than one, receivers obey none.", r.Name.Unicode(), n)
				}
				return nil
			},
		},
		{
			ID:       "spf-no-verdict",
			Title:    "SPF that says nothing about other senders",
			Severity: finding.Warn,
			Why:      "Without an ending such as -all, or with ?all, mail from machines that are not listed is treated as if there were no record.",
			Help:     "End the record with -all, or ~all while trying it out.",
			Controls: mail,
			Bad:      "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 3600, value: 'v=spf1 ip4:9.9.9.9 ?all'}\n",
			Good:     "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 3600, value: v=spf1 ip4:9.9.9.9 -all}\n",
			set: eachSPF(func(p *pass, r zone.RRSet, s spf.Record) error {
				if end := s.Ending(); end == 0 || end == '?' {
					p.reportSet(r, "The SPF record of %s does not say what to do with mail from machines that it does not list.", r.Name.Unicode())
				}
				return nil
			}),
		},
	}
}

// spfTexts returns the SPF records among a TXT set's values. SPF's own record
// type is obsolete (RFC 7208 section 3.1) and read by nobody.
func spfTexts(r zone.RRSet) []string {
	if r.Type != "TXT" {
		return nil
	}
	return slices.DeleteFunc(texts(r), func(s string) bool { return !spf.Is(s) })
}

// eachSPF judges every SPF record that can be read.
func eachSPF(judge func(*pass, zone.RRSet, spf.Record) error) func(*pass, zone.Name, zone.RRSet) error {
	return func(p *pass, _ zone.Name, r zone.RRSet) error {
		for _, txt := range spfTexts(r) {
			s, err := spf.Parse(txt)
			if err != nil {
				continue // spf-invalid says it
			}
			if err := judge(p, r, s); err != nil {
				return err
			}
		}
		return nil
	}
}

func dkim(p *pass, r zone.RRSet, say func(weak string, err error)) error {
	labels := r.Name.Labels()
	if i := slices.Index(labels, "_domainkey"); r.Type != "TXT" || i < 1 || labels[i-1] == "_adsp" { // RFC 5617, historic, is no key
		return nil
	}
	for _, txt := range texts(r) {
		say(parseDKIM(txt))
	}
	return nil
}

func dmarcInvalid(p *pass, _ zone.Name, r zone.RRSet) error {
	if r.Type != "TXT" || !strings.HasPrefix(string(r.Name), "_dmarc.") {
		return nil
	}
	n := 0
	for _, txt := range texts(r) {
		if isDMARC(txt) {
			n++
		}
		if _, err := parseDMARC(txt); err != nil {
			p.reportSet(r, "The DMARC record at %s counts for nothing: %s.", r.Name.Unicode(), err)
		}
	}
	if n > 1 {
		p.reportSet(r, "%s has %d DMARC records; with more than one, receivers obey none.", r.Name.Unicode(), n)
	}
	return nil
}
