package lint

import (
	"errors"
	"slices"

	"slipway/check/finding"
	"slipway/check/spf"
	"slipway/repo"
	"slipway/zone"
)

// senderRules judge SPF for the machines that slipway.yaml says send the organisation's mail.
func senderRules() []Rule {
	const (
		settings = "-- in-force/slipway.yaml --\ndomain: finmicro.example\nzones:\n  finmicro.example: {visibility: external}\nmail:\n  senders:\n    shop.finmicro.example: [9.9.9.25, '2620:fe::25']\n"
		zones    = "-- zones/finmicro.example.yaml --\n"
		hosts    = "mx1:\n  - {type: A, ttl: 3600, value: 9.9.9.25}\n  - {type: AAAA, ttl: 3600, value: '2620:fe::25'}\n"
	)
	return []Rule{{
		ID:       "spf-sender-refused",
		Title:    "A machine that sends our mail and that SPF does not let pass",
		Severity: finding.Deny,
		Why:      "slipway.yaml names the machine under mail: senders. Its mail would be refused or taken for forged by whoever obeys the SPF record as it would become (RFC 7208 section 2.6).",
		Help:     "Name the machine in the SPF record, by ip4, ip6, a, mx or include; or take it out of mail: senders if it sends no more.",
		Controls: []string{changeControl, transferISO},
		Bad:      settings + zones + "shop: {type: TXT, ttl: 3600, value: v=spf1 a:mx1.finmicro.example -all}\nmx1: {type: A, ttl: 3600, value: 9.9.9.25}\n",
		Good:     settings + zones + "shop: {type: TXT, ttl: 3600, value: v=spf1 a:mx1.finmicro.example -all}\n" + hosts,
		settings: spfSenders,
	}}
}

// spfTypes are the records that an evaluation of SPF asks for, and those that lead to them.
var spfTypes = []string{"TXT", "A", "AAAA", "MX", "PTR", "CNAME", "DNAME", "NS"}

// spfSenders evaluates the SPF record of every domain with named senders that the change has to do with: it
// edits a name that the evaluation asks about, or names the senders.
func spfSenders(p *pass, s *repo.Settings) error {
	if len(s.Mail.Senders) == 0 {
		return nil
	}
	edited := map[zone.Name]zone.Place{}
	for _, e := range p.Change.Edits {
		if _, known := edited[e.Name]; !known && slices.Contains(spfTypes, e.Type) {
			edited[e.Name] = e.Place
		}
	}
	if len(edited) == 0 && !p.settingsEdited() {
		return nil
	}
	for _, domain := range s.Mail.Senders {
		at, concerned, err := p.concerns(domain, edited)
		if err != nil {
			return err
		}
		if !concerned && slices.ContainsFunc(p.Settings.Mail.Senders, func(o repo.MailSender) bool {
			return o.Domain == domain.Domain && slices.Equal(o.Addresses, domain.Addresses)
		}) {
			continue
		}
		if !concerned {
			at = zone.Place{Path: s.Path, Line: domain.Line}
		}
		if err := p.sends(domain, at); err != nil {
			return err
		}
	}
	return nil
}

// concerns finds the first edit that an evaluation of the domain's SPF meets in our own zones.
func (p *pass) concerns(domain repo.MailSender, edited map[zone.Name]zone.Place) (at zone.Place, found bool, err error) {
	meet := func(n zone.Name) {
		if place, ok := edited[n]; ok && !found {
			at, found = place, true
		}
	}
	ask := func(n zone.Name, typ string) ([]string, error) {
		set, _, known, err := p.within(n, typ, meet)
		switch {
		case err != nil:
			return nil, err
		case !known:
			return nil, spf.ErrUnknown
		case typ == "TXT":
			return texts(set), nil
		}
		return set.Values, nil
	}
	txts, err := ask(domain.Domain, "TXT")
	if errors.Is(err, spf.ErrUnknown) {
		return at, found, nil
	}
	if err != nil {
		return at, found, err
	}
	for _, txt := range txts {
		if r, err := spf.Parse(txt); err == nil {
			if _, err := spf.Follow(domain.Domain, r, ask); err != nil {
				return at, found, err
			}
		}
	}
	return at, found, nil
}

// sends asks for each machine of a domain what receivers would say of its mail.
func (p *pass) sends(domain repo.MailSender, at zone.Place) error {
	p.zone, _ = p.head.zoneOf(domain.Domain)
	defer func() { p.zone = "" }()
	record := zone.RRSet{Name: domain.Domain, Type: "TXT", Place: at}
	for _, a := range domain.Addresses {
		out, err := spf.Check(spf.Sender{IP: a, From: "postmaster@" + string(domain.Domain), Helo: string(domain.Domain), At: p.AsOf}, p.askSPF(record))
		if errors.Is(err, spf.ErrUnknown) {
			continue // not-observed says it, where somebody looked
		}
		if err != nil {
			return err
		}
		if out.Result == spf.Pass {
			continue
		}
		why := "the record is void: " + out.Problem
		switch {
		case out.Result == spf.None:
			why = "there is no SPF record"
		case out.Problem == "" && out.Term == "":
			why = "no term names it"
		case out.Problem == "":
			why = out.Term + " at " + out.At.Unicode() + " decides"
		}
		p.reportSet(record, "Mail that %s sends as %s would get the SPF result %s, not pass: %s.", a, domain.Domain.Unicode(), out.Result, why)
	}
	return nil
}
