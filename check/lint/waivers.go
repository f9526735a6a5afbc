package lint

import (
	"fmt"
	"slices"
	"strings"

	"slipway/change"
	"slipway/check/except"
	"slipway/check/finding"
	"slipway/repo"
	"slipway/zone"
)

// The rules that a run reports by itself.
const (
	waiverUsed    = "waiver-used"
	waiverExpired = "waiver-expired"
	notObserved   = "not-observed"
)

// gateRules judge the settings that change what other rules say, and say what was not checked.
func gateRules() []Rule {
	const settings = "-- slipway.yaml --\ndomain: finmicro.example\nzones:\n  finmicro.example: {visibility: external}\n"
	const waiver = "waivers:\n  - {rule: wildcard, record: '*.shop.finmicro.example A', reason: The shop names its branches, by: ivy@finmicro.example, expires: "
	change, shop := []string{changeControl, changeISO, changeITGC}, "-- zones/finmicro.example.yaml --\n'*.shop': {type: A, ttl: 300, value: 9.9.9.10}\n"
	return []Rule{
		{
			ID:       notObserved,
			Title:    "Something outside that could not be looked at",
			Severity: finding.Warn,
			Why:      "A rule needed an answer of the DNS that was not recorded or did not come. What it would have found is unknown; that nothing was found says nothing.",
			Help:     "Run slipway check --online --record FILE again, when the servers answer.",
			Controls: change,
			Bad:      observed() + "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 3600, value: v=spf1 include:mail.test -all}\n",
			Good:     observed("mail.test TXT NOERROR", `mail.test. TXT "v=spf1 ip4:9.9.9.0/28 -all"`) + "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 3600, value: v=spf1 include:mail.test -all}\n",
		},
		{
			ID:       "rule-unknown",
			Title:    "A setting for a rule that does not exist",
			Severity: finding.Deny,
			Why:      "A misspelt rule changes nothing, and everybody thinks that it does.",
			Help:     "Correct the rule's ID; slipway rules lists them.",
			Controls: change,
			Bad:      settings + "rules:\n  wildcards: {severity: deny}\n",
			Good:     settings + "rules:\n  wildcard: {severity: deny}\n",
			settings: ruleUnknown,
		},
		{
			ID:       waiverExpired,
			Title:    "A waiver whose time is over",
			Severity: finding.Info,
			Why:      "It lets nothing pass any more, and readers may think that it does.",
			Help:     "Remove it from slipway.yaml, or ask for it again with a new day and reason.",
			Controls: change,
			Bad:      settings + waiver + "2026-09-30}\n",
			Good:     settings + waiver + "2026-10-01}\n",
			settings: func(p *pass, s *repo.Settings) error {
				for _, w := range s.Waivers {
					if !p.AsOf.Before(w.Expires) {
						record := ""
						if w.Record.Type != "" {
							record = w.Target()
						}
						p.report(zone.Place{Path: s.Path, Line: w.Line}, record, "The waiver of %s for %s ended on %s.", w.Rule, w.Target(), except.LastDay(w))
					}
				}
				return nil
			},
		},
		{
			ID:       waiverUsed,
			Title:    "A finding that a waiver lets pass",
			Severity: finding.Info,
			Why:      "Somebody decided that this record may be as it is. Whoever approves should see that, and why.",
			Help:     "Read the reason; it stands under waivers in slipway.yaml.",
			Controls: change,
			Bad:      inForce(settings+waiver+"2026-10-01}\n") + shop,
			Good:     inForce(settings) + shop,
		},
	}
}

// inForce marks the files of an example that are in force before the change.
func inForce(archive string) string {
	return strings.ReplaceAll(archive, "-- slip", "-- in-force/slip")
}

// ruleUnknown denies a change of the settings that names unknown rules; of settings in force, which
// this change does not touch, it only says so.
func ruleUnknown(p *pass, s *repo.Settings) error {
	severity := finding.Info
	if p.settingsEdited() {
		severity = finding.Deny
	}
	say := func(what, id string, line int) {
		if _, known := p.rules[id]; known || strings.Contains(id, "/") {
			return // rules of policies are for package check to know
		}
		f := p.finding(p.rule, zone.Place{Path: s.Path, Line: line}, "", "There is no lint rule %q, so this %s changes nothing.", id, what)
		f.Severity = severity
		p.add(f)
	}
	for _, r := range s.Rules {
		say("severity", r.Rule, r.Line)
	}
	for _, w := range s.Waivers {
		say("waiver", w.Rule, w.Line)
	}
	return nil
}

func (p *pass) settingsEdited() bool {
	return slices.ContainsFunc(p.Change.Files, func(f change.FileEdit) bool { return f.Kind == change.KindSettings })
}

// WaiverUsed is what a waived finding becomes, but for its message and place.
func WaiverUsed() finding.Finding {
	i := slices.IndexFunc(gateRules(), func(r Rule) bool { return r.ID == waiverUsed })
	r := gateRules()[i]
	return finding.Finding{Rule: r.ID, Severity: r.Severity, Help: r.Help, Controls: r.Controls}
}

func (p *pass) finding(r Rule, at zone.Place, record, format string, args ...any) finding.Finding {
	return finding.Finding{
		Rule:     r.ID,
		Severity: r.Severity,
		Message:  fmt.Sprintf(format, args...),
		Help:     r.Help,
		Path:     at.Path,
		Line:     at.Line,
		Record:   record,
		Controls: slices.Clone(r.Controls),
		Zone:     p.zone,
	}
}
