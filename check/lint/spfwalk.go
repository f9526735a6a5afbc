package lint

import (
	"slices"
	"strings"

	"slipway/check/finding"
	"slipway/check/spf"
	"slipway/zone"
)

// askSPF answers what an evaluation of SPF asks, for the record set that it is judged with.
func (p *pass) askSPF(at zone.RRSet) spf.Ask {
	return func(n zone.Name, typ string) ([]string, error) {
		set, known, err := p.ask(at, n, typ)
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
}

// walk follows the SPF record of a set that has just one that can be read; nil when it has not.
func (p *pass) walk(r zone.RRSet) (*spf.Trace, error) {
	found := spfTexts(r)
	if len(found) != 1 {
		return nil, nil // spf-multiple says it
	}
	s, err := spf.Parse(found[0])
	if err != nil {
		return nil, nil // spf-invalid says it
	}
	key := finding.Record(r.Key())
	if w, done := p.walks[key]; done {
		return w, nil
	}
	w, err := spf.Follow(r.Name, s, p.askSPF(r))
	if err != nil {
		return nil, err
	}
	p.walks[key] = &w
	return &w, nil
}

// eachWalk judges the evaluation of every SPF record that the change edits.
func eachWalk(judge func(*pass, zone.RRSet, *spf.Trace)) func(*pass, zone.Name, zone.RRSet) error {
	return func(p *pass, _ zone.Name, r zone.RRSet) error {
		w, err := p.walk(r)
		if err == nil && w != nil {
			judge(p, r, w)
		}
		return err
	}
}

// spfWalkRules judge where an SPF record leads.
func spfWalkRules() []Rule {
	mail := []string{changeControl, transferISO}
	return []Rule{
		{
			ID:       "spf-broken-include",
			Title:    "SPF that includes a record that is none",
			Severity: finding.Deny,
			Why:      "An include or redirect to a domain without one valid SPF record makes the whole record void (RFC 7208 sections 5.2 and 6.1), for genuine mail too.",
			Help:     "Correct or remove the term. slipway check --online follows terms that lead outside.",
			Controls: mail,
			Bad:      observed("mail.test TXT NXDOMAIN") + "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 3600, value: v=spf1 include:mail.test -all}\n",
			Good:     observed("mail.test TXT NOERROR", `mail.test. TXT "v=spf1 ip4:9.9.9.0/28 -all"`) + "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 3600, value: v=spf1 include:mail.test -all}\n",
			set: eachWalk(func(p *pass, r zone.RRSet, w *spf.Trace) {
				for _, why := range w.Broken {
					p.reportSet(r, "The SPF record of %s is void because of where it leads: %s.", r.Name.Unicode(), why)
				}
			}),
		},
		{
			ID:       "spf-include-allows-everyone",
			Title:    "SPF that includes a record that lets anybody send",
			Severity: finding.Deny,
			Why:      "What an included record lets pass, passes: mail from any machine in the world counts as genuine.",
			Help:     "Remove the include, and tell whoever keeps that record.",
			Controls: append([]string{boundaryControl}, mail...),
			Bad:      observed("mail.test TXT NOERROR", `mail.test. TXT "v=spf1 +all"`) + "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 3600, value: v=spf1 include:mail.test -all}\n",
			Good:     observed("mail.test TXT NOERROR", `mail.test. TXT "v=spf1 ?all"`) + "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 3600, value: v=spf1 include:mail.test -all}\n",
			set: eachWalk(func(p *pass, r zone.RRSet, w *spf.Trace) {
				if w.Open != "" {
					p.reportSet(r, "The SPF record of %s includes one that lets anybody in the world send (%s).", r.Name.Unicode(), w.Open)
				}
			}),
		},
		{
			ID:       "spf-ptr",
			Title:    "SPF that relies on reverse names",
			Severity: finding.Warn,
			Why:      "The term ptr is slow and unreliable, and some receivers skip it (RFC 7208 section 5.5 says not to use it).",
			Help:     "Name the senders by ip4, ip6, a or include.",
			Controls: mail,
			Bad:      "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 3600, value: v=spf1 ptr -all}\n",
			Good:     "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 3600, value: v=spf1 ip4:9.9.9.9 -all}\n",
			set: eachSPF(func(p *pass, r zone.RRSet, s spf.Record) error {
				if slices.ContainsFunc(s.Lookups(), func(t spf.Term) bool { return t.Name == "ptr" }) {
					p.reportSet(r, "The SPF record of %s uses ptr, which receivers need not obey.", r.Name.Unicode())
				}
				return nil
			}),
		},
		{
			ID:       "spf-too-many-lookups",
			Title:    "SPF that asks DNS too often",
			Severity: finding.Deny,
			Why:      "Receivers stop at ten look-ups and hold the record void (RFC 7208 section 4.6.4). Look-ups of included records count; slipway check --online follows those that lead outside.",
			Help:     "Replace include, a and mx by the addresses (ip4, ip6) that they stand for, or drop senders that are used no more.",
			Controls: mail,
			Bad:      "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 3600, value: \"v=spf1 include:a.test include:b.test include:c.test include:d.test include:e.test include:f.test include:g.test include:h.test include:i.test include:j.test include:k.test -all\"}\n",
			Good:     "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 3600, value: \"v=spf1 include:a.test include:b.test -all\"}\n",
			set: eachWalk(func(p *pass, r zone.RRSet, w *spf.Trace) {
				if w.Lookups > spf.MaxLookups {
					p.reportSet(r, "The SPF record of %s needs at least %d look-ups in DNS; receivers stop at %d and then hold it void.", r.Name.Unicode(), min(w.Lookups, spf.MaxFollowed), spf.MaxLookups)
				}
			}),
		},
		{
			ID:       "spf-void-lookups",
			Title:    "SPF that asks for what does not exist",
			Severity: finding.Warn,
			Why:      "Receivers may stop at the third look-up that finds nothing and hold the record void (RFC 7208 section 4.6.4). A name that does not exist can also be registered by somebody who then may send.",
			Help:     "Remove the terms that lead nowhere.",
			Controls: append([]string{riskControl}, mail...),
			Bad:      "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 3600, value: v=spf1 a:x.finmicro.example mx:y.finmicro.example exists:z.finmicro.example -all}\n",
			Good:     "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 3600, value: v=spf1 a:www.finmicro.example -all}\nwww: {type: A, ttl: 300, value: 9.9.9.8}\n",
			set: eachWalk(func(p *pass, r zone.RRSet, w *spf.Trace) {
				for _, family := range []struct {
					of    string
					voids []string
					named bool // senders of this family are among those that the record lets pass
				}{{"", w.Voids, true}, {" for senders with IPv4 addresses", w.Voids4, w.Pass4}, {" for senders with IPv6 addresses", w.Voids6, w.Pass6}} {
					if len(family.voids) > spf.MaxVoids && family.named {
						p.reportSet(r, "The SPF record of %s makes %d look-ups that find nothing%s (%s); receivers may stop at more than %d and then hold it void.",
							r.Name.Unicode(), len(family.voids), family.of, strings.Join(family.voids, ", "), spf.MaxVoids)
						return
					}
				}
			}),
		},
	}
}
