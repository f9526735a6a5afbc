package lint

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"slipway/check/finding"
	"slipway/check/spf"
	"slipway/repo"
	"slipway/zone"
)

// mailPolicyRules judge what a zone as a whole says about its mail: the transport policies of
// receivers (RFC 8461, RFC 8460, RFC 7505), domains that send none, and the organisation's templates.
func mailPolicyRules() []Rule {
	mail := []string{changeControl, transferISO}
	const (
		zones    = "-- zones/finmicro.example.yaml --\n"
		settings = "-- in-force/slipway.yaml --\ndomain: finmicro.example\nzones:\n  finmicro.example: {visibility: external"
		template = settings + "}\nmail: {spf: 'v=spf1 include:_spf.finmicro.example -all', dmarc: 'v=DMARC1; p=reject; rua=mailto:dmarc@finmicro.example'}\n"
		null     = "'':\n  - {type: MX, ttl: 3600, value: {preference: 0, exchange: .}}\n  - {type: TXT, ttl: 3600, value: v=spf1 -all}\n_dmarc: {type: TXT, ttl: 3600, value: v=DMARC1\\; p=reject}\n"
		mx       = "'':\n  - {type: MX, ttl: 3600, value: {preference: 10, exchange: mx.host.test.}}\n"
		ours     = "  - {type: TXT, ttl: 3600, value: 'v=spf1 include:_spf.finmicro.example ip4:9.9.9.9 -all'}\n_spf: {type: TXT, ttl: 3600, value: 'v=spf1 ip4:9.9.9.0/28 -all'}\n_dmarc: {type: TXT, ttl: 3600, value: 'v=DMARC1\\; p=reject\\; rua=mailto:dmarc@finmicro.example,mailto:x@host.test'}\n"
	)
	return []Rule{
		{
			ID:       "mail-template",
			Title:    "Mail records that say less than the organisation asks for",
			Severity: finding.Deny,
			Why:      "The templates under mail in slipway.yaml are what every external zone with mail must say, so that forged mail is refused and reported everywhere in the same way.",
			Help:     "Put the missing terms or tags into the record.",
			Controls: mail,
			Bad:      template + zones + mx + "  - {type: TXT, ttl: 3600, value: 'v=spf1 ip4:9.9.9.9 ~all'}\n",
			Good:     template + zones + mx + ours,
			zone:     mailTemplate,
		},
		{
			ID:       "mail-template-invalid",
			Title:    "A mail template with a mistake",
			Severity: finding.Deny,
			Why:      "No record could meet it, and none would be asked to.",
			Help:     "Write the templates under mail in slipway.yaml as the records themselves are written.",
			Controls: mail,
			Bad:      "-- slipway.yaml --\nmail: {spf: v=spf1 ipv4:9.9.9.9 -all}\n",
			Good:     "-- slipway.yaml --\nmail: {spf: v=spf1 ip4:9.9.9.9 -all}\n",
			settings: func(p *pass, s *repo.Settings) error {
				if _, err := spf.Parse(s.Mail.SPF); s.Mail.SPF != "" && err != nil {
					p.report(zone.Place{Path: s.Path, Line: 1}, "", "The template for SPF under mail cannot be read: %s.", err)
				}
				if _, err := parseDMARC(s.Mail.DMARC); s.Mail.DMARC != "" && err != nil {
					p.report(zone.Place{Path: s.Path, Line: 1}, "", "The template for DMARC under mail cannot be read: %s.", err)
				}
				return nil
			},
		},
		{
			ID:       "mail-unprotected",
			Title:    "A zone with mail and no SPF or DMARC",
			Severity: finding.Warn,
			Why:      "Anybody can send mail in the zone's name, and receivers have nothing to tell it by.",
			Help:     "Add an SPF record at the zone's apex and a DMARC record at _dmarc.",
			Controls: mail,
			Bad:      zones + mx,
			Good:     zones + mx + ours,
			zone: func(p *pass, e zone.Edit) error {
				m, err := p.mailOf(e.Zone)
				if err != nil || m == nil || !m.receives() {
					return err
				}
				for _, lack := range []struct {
					what string
					has  bool
				}{{"SPF record", len(m.spf) > 0}, {"DMARC record", len(m.dmarc) > 0}} {
					if !lack.has {
						p.report(m.at, record(e.Zone), "%s receives mail but has no %s, so anybody can send mail in its name.", e.Zone.Unicode(), lack.what)
					}
				}
				return nil
			},
		},
		{
			ID:       "mta-sts-host-missing",
			Title:    "MTA-STS without the host that serves the policy",
			Severity: finding.Warn,
			Why:      "Senders fetch the policy from https://mta-sts.<domain>/; without it they deliver without protection (RFC 8461 section 3.3).",
			Help:     "Create mta-sts below the domain, and serve /.well-known/mta-sts.txt there.",
			Controls: mail,
			Bad:      zones + "_mta-sts.shop: {type: TXT, ttl: 3600, value: v=STSv1\\; id=20261001}\n",
			Good:     zones + "_mta-sts.shop: {type: TXT, ttl: 3600, value: v=STSv1\\; id=20261001}\nmta-sts.shop: {type: A, ttl: 3600, value: 9.9.9.10}\n",
			set:      mtaSTSHost,
		},
		{
			ID:       "mta-sts-invalid",
			Title:    "An MTA-STS record that senders ignore",
			Severity: finding.Deny,
			Why:      "A record with a mistake, or one of several, counts as none (RFC 8461 section 3.1), and mail can be read on its way.",
			Help:     "Write one record such as v=STSv1; id=20261001",
			Controls: mail,
			Bad:      zones + "_mta-sts.shop: {type: TXT, ttl: 3600, value: v=STSv1\\; id=2026-10-01}\nmta-sts.shop: {type: A, ttl: 3600, value: 9.9.9.10}\n",
			Good:     zones + "_mta-sts.shop: {type: TXT, ttl: 3600, value: v=STSv1\\; id=20261001}\nmta-sts.shop: {type: A, ttl: 3600, value: 9.9.9.10}\n",
			set:      versioned("_mta-sts.", "MTA-STS", "v=STSv1", parseSTS),
		},
		{
			ID:       "null-mx-with-senders",
			Title:    "A name that takes no mail but sends some",
			Severity: finding.Warn,
			Why:      `The MX "0 ." says that nobody can answer mail from this name, and many receivers refuse such mail (RFC 7505 section 4.2).`,
			Help:     `Let the SPF record say "v=spf1 -all", or name mail servers in the MX.`,
			Controls: mail,
			Bad:      zones + "shop:\n  - {type: MX, ttl: 3600, value: {preference: 0, exchange: .}}\n  - {type: TXT, ttl: 3600, value: v=spf1 ip4:9.9.9.9 -all}\n",
			Good:     zones + "shop:\n  - {type: MX, ttl: 3600, value: {preference: 0, exchange: .}}\n  - {type: TXT, ttl: 3600, value: v=spf1 -all}\n",
			name: func(p *pass, n touched) error {
				mx, _ := n.set("MX")
				txt, _ := n.set("TXT")
				if !nullMX(mx) || !n.edited("MX", "TXT") {
					return nil
				}
				for _, record := range spfTexts(txt) {
					if s, err := spf.Parse(record); err == nil && !s.Nobody() {
						p.reportSet(n.at("MX"), "%s takes no mail, but its SPF record names machines that send mail as %s.", n.name.Unicode(), n.name.Unicode())
					}
				}
				return nil
			},
		},
		{
			ID:       "parked-with-mail",
			Title:    "A parked zone that does not refuse mail",
			Severity: finding.Deny,
			Why:      "A domain that is only kept sends no mail. Where it does not say so, others send in its name.",
			Help:     `Give the apex the MX "0 ." and the SPF record "v=spf1 -all", and _dmarc the record "v=DMARC1; p=reject".`,
			Controls: append([]string{boundaryControl}, mail...),
			Bad:      settings + ", parked: true}\n" + zones + "'': {type: TXT, ttl: 3600, value: v=spf1 mx -all}\n",
			Good:     settings + ", parked: true}\n" + zones + null,
			zone: func(p *pass, e zone.Edit) error {
				m, err := p.mailOf(e.Zone)
				if err != nil || m == nil {
					return err
				}
				return p.parked(m, e.Zone)
			},
			settings: newlyParked,
		},
		{
			ID:       "tls-rpt-invalid",
			Title:    "A TLS report record that senders ignore",
			Severity: finding.Deny,
			Why:      "A record with a mistake, or one of several, counts as none (RFC 8460 section 3), and nobody hears of attacks on mail.",
			Help:     "Write one record such as v=TLSRPTv1; rua=mailto:tls@example.org",
			Controls: mail,
			Bad:      zones + "_smtp._tls.shop: {type: TXT, ttl: 3600, value: v=TLSRPTv1\\; rua=tls@finmicro.example}\n",
			Good:     zones + "_smtp._tls.shop: {type: TXT, ttl: 3600, value: v=TLSRPTv1\\; rua=mailto:tls@finmicro.example}\n",
			set:      versioned("_smtp._tls.", "TLS report", "v=TLSRPTv1", parseTLSRPT),
		},
	}
}

func record(z zone.Name) string { return finding.Record(zone.Key{Name: z, Type: "TXT"}) }

func nullMX(r zone.RRSet) bool { return r.Type == "MX" && slices.Equal(r.Values, []string{"0 ."}) }

// zoneMail is what a zone says about its mail, in the head.
type zoneMail struct {
	at    zone.Place // of the first edit that has to do with it
	mx    *zone.RRSet
	spf   []string
	dmarc []string // at _dmarc, or at _dmarc of a zone of ours above (RFC 9989 section 4.10)
}

func (m *zoneMail) receives() bool { return m.mx != nil && !nullMX(*m.mx) }

// mailOf reads the mail records of an external zone. It is nil when the change has nothing to
// do with them: they stay as they were, and the zone is not new.
func (p *pass) mailOf(z zone.Name) (*zoneMail, error) {
	if !p.public(z) {
		return nil, nil
	}
	fresh, err := p.fresh(z)
	if err != nil {
		return nil, err
	}
	dmarc, err := zone.ParseName("_dmarc." + string(z))
	if err != nil {
		return nil, nil // longer than a name can be
	}
	for _, e := range p.edits[z] {
		if fresh || (e.Type == "MX" || e.Type == "TXT") && (e.Name == z || e.Name == dmarc) {
			m, err := p.readMail(z)
			if m != nil {
				m.at = e.Place
			}
			return m, err
		}
	}
	return nil, nil
}

func (p *pass) readMail(z zone.Name) (*zoneMail, error) {
	m := &zoneMail{}
	apex, err := p.head.at(z, z)
	if err != nil {
		return nil, err
	}
	for i, r := range apex {
		if r.Type == "MX" {
			m.mx = &apex[i]
		}
		m.spf = append(m.spf, spfTexts(r)...)
	}
	for n := z; n != "." && len(m.dmarc) == 0; n = n.Parent() {
		name, err := zone.ParseName("_dmarc." + string(n))
		if err != nil {
			continue
		}
		a, ours, err := p.head.resolve(name)
		if err != nil {
			return nil, err
		}
		if !ours {
			break
		}
		for _, r := range a.sets {
			if r.Type == "CNAME" || r.Type == "TXT" && slices.ContainsFunc(texts(r), isDMARC) {
				m.dmarc = append(m.dmarc, texts(r)...)
			}
		}
	}
	return m, nil
}

// parked holds a parked zone to saying that it has no mail.
func (p *pass) parked(m *zoneMail, z zone.Name) error {
	if !p.Settings.Zones[z].Parked && !p.head.settings.Zones[z].Parked {
		return nil
	}
	var lacks []string
	if m.mx == nil || !nullMX(*m.mx) {
		lacks = append(lacks, `its MX is not "0 ."`)
	}
	sends := true
	if len(m.spf) == 1 {
		s, err := spf.Parse(m.spf[0])
		sends = err != nil || !s.Nobody()
	}
	if sends {
		lacks = append(lacks, `its SPF record is not "v=spf1 -all"`)
	}
	tags, err := []tag(nil), errors.New("none")
	if len(m.dmarc) == 1 {
		tags, err = parseDMARC(m.dmarc[0])
	}
	if policy, _ := value(tags, "p"); err != nil || !strings.EqualFold(policy, "reject") {
		lacks = append(lacks, "its DMARC record does not say p=reject")
	}
	if len(lacks) > 0 {
		p.report(m.at, record(z), "%s is parked but does not refuse mail: %s.", z.Unicode(), strings.Join(lacks, ", "))
	}
	return nil
}

// newlyParked holds zones that the change parks to saying so, even when their records stay as they are.
func newlyParked(p *pass, s *repo.Settings) error {
	if !p.settingsEdited() {
		return nil
	}
	before := map[zone.Name]repo.Zone{}
	if p.Base != nil {
		old, err := p.Base.Settings(p.ctx)
		if err != nil {
			return err
		}
		before = old.Zones
	}
	for _, z := range slices.Sorted(maps.Keys(s.Zones)) {
		if !s.Zones[z].Parked || before[z].Parked || s.Zones[z].Visibility == "internal" {
			continue
		}
		if m, err := p.mailOf(z); err != nil || m != nil {
			if err != nil {
				return err
			}
			continue // judged with the zone's edits
		}
		m, err := p.readMail(z)
		if err != nil {
			return err
		}
		m.at = zone.Place{Path: s.Path, Line: 1}
		if err := p.parked(m, z); err != nil {
			return err
		}
	}
	return nil
}

// versioned judges the TXT set at a name that begins with label: one record of the version, readable.
func versioned(label, what, version string, parse func(string) error) func(*pass, zone.Name, zone.RRSet) error {
	return func(p *pass, _ zone.Name, r zone.RRSet) error {
		if r.Type != "TXT" || !strings.HasPrefix(string(r.Name), label) {
			return nil
		}
		n := 0
		for _, txt := range texts(r) {
			first, _, _ := strings.Cut(txt, ";")
			if strings.TrimSpace(first) == version {
				n++
			} else {
				p.reportSet(r, "The %s record at %s counts for nothing: it does not begin with %s.", what, r.Name.Unicode(), version)
				continue
			}
			if err := parse(txt); err != nil {
				p.reportSet(r, "The %s record at %s counts for nothing: %s.", what, r.Name.Unicode(), err)
			}
		}
		if n > 1 {
			p.reportSet(r, "%s has %d %s records; with more than one, senders obey none.", r.Name.Unicode(), n, what)
		}
		return nil
	}
}

// parseSTS reads an MTA-STS record (RFC 8461 section 3.1).
func parseSTS(txt string) error {
	tags, err := parseTags(txt)
	if err != nil {
		return err
	}
	id, ok := value(tags, "id")
	if !ok {
		return errors.New("it has no id=")
	}
	if len(id) < 1 || len(id) > 32 || strings.Trim(strings.ToLower(id), "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return fmt.Errorf("id=%s is not 1 to 32 letters and digits", id)
	}
	return nil
}

// parseTLSRPT reads a TLS reporting record (RFC 8460 section 3).
func parseTLSRPT(txt string) error {
	tags, err := parseTags(txt)
	if err != nil {
		return err
	}
	rua, ok := value(tags, "rua")
	if !ok {
		return errors.New("it has no rua=, so nobody gets reports")
	}
	for _, s := range strings.Split(rua, ",") {
		s = strings.TrimSpace(s)
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "mailto" && u.Scheme != "https" {
			return fmt.Errorf("rua=%s is neither a mailto: nor an https: address", s)
		}
	}
	return reportAddresses(tag{"rua", rua})
}

func mtaSTSHost(p *pass, _ zone.Name, r zone.RRSet) error {
	domain, found := strings.CutPrefix(string(r.Name), "_mta-sts.")
	if r.Type != "TXT" || !found {
		return nil
	}
	host, err := zone.ParseName("mta-sts." + domain)
	if err != nil {
		return nil // longer than a name can be
	}
	a, ours, err := p.head.resolve(host)
	if err == nil && ours && !a.beyond && len(a.sets) == 0 {
		p.reportSet(r, "%s announces a policy, but %s, where it is fetched, does not exist.", r.Name.Unicode(), host.Unicode())
	}
	return err
}
