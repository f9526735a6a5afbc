package lint

import (
	"fmt"
	"slices"
	"strings"

	"slipway/check/finding"
	"slipway/zone"
)

// Limits of an evaluation (RFC 7208 section 4.6.4).
const (
	MaxSPFLookups = 10 // terms that ask DNS
	MaxSPFVoids   = 2  // look-ups that find nothing
	maxSPFHosts   = 10 // names of one mx term
)

// walkedLookups ends a walk: a record that asks so often is void many times over.
const walkedLookups = 60

// spfWalk evaluates an SPF record as a receiver does for a sender that nothing matches: every
// term in order, through every include and redirect (RFC 7208 section 4.6). Terms with macros
// count as the one look-up that they are; where they lead depends on the sender.
type spfWalk struct {
	pass    *pass
	at      zone.RRSet
	lookups int
	voids   []string // terms that find nothing
	broken  []string // why an included record makes the whole one void (permerror)
	open    string   // the way to an included term that lets anybody pass
	err     error
}

// walk evaluates the SPF record of a set that has just one that can be read; nil when it has not.
func (p *pass) walk(r zone.RRSet) (*spfWalk, error) {
	found := spfTexts(r)
	if len(found) != 1 {
		return nil, nil // spf-multiple says it
	}
	s, err := parseSPF(found[0])
	if err != nil {
		return nil, nil // spf-invalid says it
	}
	key := finding.Record(r.Key())
	if w, done := p.walks[key]; done {
		return w, w.err
	}
	w := &spfWalk{pass: p, at: r}
	p.walks[key] = w
	w.follow(s, []zone.Name{r.Name}, true)
	return w, w.err
}

// follow evaluates s, the record of the last of way. passes says that what s lets pass, passes.
func (w *spfWalk) follow(s spf, way []zone.Name, passes bool) {
	here := way[len(way)-1]
	for _, t := range s.lookups() {
		if w.lookups++; w.lookups > walkedLookups || w.err != nil {
			return
		}
		name, plain := t.domain()
		if t.value == "" {
			name, plain = here, true
		}
		if !plain {
			continue
		}
		switch t.name {
		case "include", "redirect":
			w.included(t, name, way, passes && (t.qualifier == '+' || t.name == "redirect"))
		case "a":
			w.hosts(t, name, "A", "AAAA")
		case "mx":
			w.hosts(t, name, "MX")
		case "exists":
			w.hosts(t, name, "A") // of IPv4 whatever the sender is (RFC 7208 section 5.7)
		}
	}
}

// included follows include and redirect. A domain without one readable record makes the
// whole evaluation void (RFC 7208 sections 5.2 and 6.1).
func (w *spfWalk) included(t spfTerm, name zone.Name, way []zone.Name, passes bool) {
	if slices.Contains(way, name) {
		w.broken = append(w.broken, fmt.Sprintf("%s leads back to itself (%s)", name.Unicode(), path(append(slices.Clone(way), name))))
		return
	}
	set, known := w.ask(name, "TXT")
	if !known {
		return
	}
	if len(set.Values) == 0 {
		w.voids = append(w.voids, t.text())
	}
	found := spfTexts(set)
	if len(found) != 1 {
		w.broken = append(w.broken, fmt.Sprintf("%s has %s, where one is needed", name.Unicode(), map[bool]string{true: "no SPF record", false: "several SPF records"}[len(found) == 0]))
		return
	}
	s, err := parseSPF(found[0])
	if err != nil {
		w.broken = append(w.broken, fmt.Sprintf("the SPF record of %s is void: %v", name.Unicode(), err))
		return
	}
	if term, ok := s.everyone(); ok && passes && w.open == "" {
		w.open = term + " at " + name.Unicode()
	}
	w.follow(s, append(slices.Clone(way), name), passes)
}

// hosts looks for the records that a term compares the sender with.
func (w *spfWalk) hosts(t spfTerm, name zone.Name, types ...string) {
	void := true
	for _, typ := range types {
		set, known := w.ask(name, typ)
		if !known || w.err != nil {
			return
		}
		void = void && len(set.Values) == 0
		if typ == "MX" && len(set.Values) > maxSPFHosts {
			w.broken = append(w.broken, fmt.Sprintf("%s has %d mail servers; receivers stop at %d", name.Unicode(), len(set.Values), maxSPFHosts))
		}
	}
	if void {
		w.voids = append(w.voids, t.text())
	}
}

func (w *spfWalk) ask(name zone.Name, typ string) (zone.RRSet, bool) {
	if w.err != nil {
		return zone.RRSet{}, false
	}
	set, known, err := w.pass.ask(w.at, name, typ)
	w.err = err
	return set, known && err == nil
}

// text is the term as people write it.
func (t spfTerm) text() string {
	switch {
	case t.qualifier == 0:
		return t.name + "=" + t.value
	case t.value != "":
		return strings.TrimPrefix(string(t.qualifier), "+") + t.name + ":" + t.value + t.prefix
	}
	return strings.TrimPrefix(string(t.qualifier), "+") + t.name + t.prefix
}

// eachWalk judges the evaluation of every SPF record that the change edits.
func eachWalk(judge func(*pass, zone.RRSet, *spfWalk)) func(*pass, zone.Name, zone.RRSet) error {
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
			set: eachWalk(func(p *pass, r zone.RRSet, w *spfWalk) {
				for _, why := range w.broken {
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
			set: eachWalk(func(p *pass, r zone.RRSet, w *spfWalk) {
				if w.open != "" {
					p.reportSet(r, "The SPF record of %s includes one that lets anybody in the world send (%s).", r.Name.Unicode(), w.open)
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
			set: eachSPF(func(p *pass, r zone.RRSet, s spf) error {
				if slices.ContainsFunc(s.lookups(), func(t spfTerm) bool { return t.name == "ptr" }) {
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
			set: eachWalk(func(p *pass, r zone.RRSet, w *spfWalk) {
				if w.lookups > MaxSPFLookups {
					p.reportSet(r, "The SPF record of %s needs at least %d look-ups in DNS; receivers stop at %d and then hold it void.", r.Name.Unicode(), min(w.lookups, walkedLookups), MaxSPFLookups)
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
			set: eachWalk(func(p *pass, r zone.RRSet, w *spfWalk) {
				if len(w.voids) > MaxSPFVoids {
					p.reportSet(r, "The SPF record of %s has %d terms that find nothing (%s); receivers may stop at more than %d and then hold it void.",
						r.Name.Unicode(), len(w.voids), strings.Join(w.voids, ", "), MaxSPFVoids)
				}
			}),
		},
	}
}
