// Package lint finds what is wrong with a change whatever an organisation
// thinks: names and data that DNS forbids, mail records that receivers ignore,
// addresses that must not be seen outside, manifests that leave out who answers
// for an app. Rules are pure functions of the change, the two trees, the
// settings in force and the time; they look only at what the change edits and at
// what that touches, so that cost follows the change. Read Run here, then Rules
// (rules.go); each other file is one family of rules.
package lint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"slipway/change"
	"slipway/check/except"
	"slipway/check/finding"
	"slipway/check/observe"
	"slipway/check/spf"
	"slipway/repo"
	"slipway/zone"
)

// Input is everything that the rules may look at.
type Input struct {
	Change     *change.Change
	Base, Head *repo.Tree     // Base is nil before the first commit
	Settings   *repo.Settings // in force: of Base
	Requester  string         // e-mail address; "" when nobody is recorded
	Groups     []string       // of the requester
	AsOf       time.Time
	Observed   *observe.Log // what is seen outside the repository; nil: nobody looks
}

// Run judges the change by every rule. Findings are sorted; each has a place.
func Run(ctx context.Context, in Input) ([]finding.Finding, error) {
	p, err := newPass(ctx, in)
	if err != nil {
		return nil, err
	}
	rules := p.all
	for i, e := range in.Change.Edits {
		p.zone = e.Zone
		for _, r := range rules {
			if r.zone != nil && (i == 0 || in.Change.Edits[i-1].Zone != e.Zone) {
				p.judge(r, func() error { return r.zone(p, e) })
			}
			if r.edit != nil {
				p.judge(r, func() error { return r.edit(p, e) })
			}
			if r.set != nil && e.After != nil {
				p.judge(r, func() error { return r.set(p, e.Zone, *e.After) })
			}
		}
	}
	for _, n := range p.touched() {
		p.zone = n.zone
		for _, r := range rules {
			if r.name != nil {
				p.judge(r, func() error { return r.name(p, n) })
			}
		}
	}
	for _, a := range in.Change.Apps {
		p.zone = ""
		if a.After != nil {
			p.zone, _ = p.head.zoneOf(a.After.Hostname)
		}
		for _, r := range rules {
			if r.app != nil && a.After != nil {
				p.judge(r, func() error { return r.app(p, a.After) })
			}
		}
	}
	p.zone = ""
	settings := in.Settings
	if p.settingsEdited() {
		settings = p.head.settings
	}
	for _, r := range rules {
		if r.settings != nil {
			p.judge(r, func() error { return r.settings(p, settings) })
		}
	}
	if p.err != nil {
		return nil, p.err
	}
	return finding.Normalise(except.New(in.Settings, in.AsOf, WaiverUsed()).Apply(p.found)), nil
}

// pass is one run over one change.
type pass struct {
	Input
	ctx   context.Context
	head  *view
	base  *view // made by before
	all   []Rule
	rules map[string]Rule           // by ID
	edits map[zone.Name][]zone.Edit // of each zone
	rule  Rule                      // that is asked now
	zone  zone.Name                 // that it is asked about, "" for none
	found []finding.Finding
	err   error                 // the first; no rule is asked after it
	walks map[string]*spf.Trace // by the record set that an evaluation began at
}

func newPass(ctx context.Context, in Input) (*pass, error) {
	p := &pass{Input: in, ctx: ctx, all: Rules(), rules: map[string]Rule{}, walks: map[string]*spf.Trace{}, edits: map[zone.Name][]zone.Edit{}}
	for rest := in.Change.Edits; len(rest) > 0; { // they stand in the order of their zones
		n := slices.IndexFunc(rest, func(e zone.Edit) bool { return e.Zone != rest[0].Zone })
		if n < 0 {
			n = len(rest)
		}
		p.edits[rest[0].Zone], rest = rest[:n], rest[n:]
	}
	for _, r := range p.all {
		p.rules[r.ID] = r
	}
	var err error
	if p.head, err = newView(ctx, in.Head, in.Settings); err != nil {
		return nil, err
	}
	return p, p.head.expect(in.Change)
}

func (p *pass) judge(r Rule, judge func() error) {
	if p.err != nil {
		return
	}
	p.rule = r
	if err := judge(); err != nil {
		p.err = fmt.Errorf("rule %s: %w", r.ID, err)
		if errors.As(err, new(*zone.Error)) {
			p.err = err // says where and what by itself
		}
	}
}

// before is the view of the base, nil when there is none.
func (p *pass) before() (*view, error) {
	if p.base == nil && p.Base != nil {
		var err error
		if p.base, err = newView(p.ctx, p.Base, p.Settings); err != nil {
			return nil, err
		}
	}
	return p.base, nil
}

// fresh reports whether a zone has its first file in the head.
func (p *pass) fresh(z zone.Name) (bool, error) {
	base, err := p.before()
	if base == nil || err != nil {
		return base == nil, err
	}
	f, err := base.file(z)
	return f == nil, err
}

// report records what the rule that is asked now has found.
func (p *pass) report(at zone.Place, record, format string, args ...any) {
	p.add(p.finding(p.rule, at, record, format, args...))
}

func (p *pass) add(f finding.Finding) { p.found = append(p.found, f) }

// reportSet is report about a record set.
func (p *pass) reportSet(r zone.RRSet, format string, args ...any) {
	p.report(r.Place, finding.Record(r.Key()), format, args...)
}

// reportApp is report about one key of an app's manifest.
func (p *pass) reportApp(a *repo.App, key, format string, args ...any) {
	p.report(zone.Place{Path: a.Path, Line: max(1, a.Lines[key])}, "", format, args...)
}

// public says whether the whole world sees a zone. An undeclared one may be seen.
func (p *pass) public(z zone.Name) bool { return p.Settings.Zones[z].Visibility != "internal" }

// touched is one name at which record sets came to be or changed.
type touched struct {
	zone  zone.Name
	name  zone.Name
	sets  []zone.RRSet // all that the head serves there
	fresh []zone.RRSet // those of them that the change edits
}

// set returns the record set of a type, if there is one.
func (t touched) set(typ string) (zone.RRSet, bool) {
	for _, r := range t.sets {
		if r.Type == typ {
			return r, true
		}
	}
	return zone.RRSet{}, false
}

// at is where a finding about the name stands: the edit of the given type, or any edit.
func (t touched) at(typ string) zone.RRSet {
	for _, r := range t.fresh {
		if r.Type == typ {
			return r
		}
	}
	return t.fresh[0]
}

// edited reports whether the change edits one of the types.
func (t touched) edited(types ...string) bool {
	return slices.ContainsFunc(t.fresh, func(r zone.RRSet) bool { return slices.Contains(types, r.Type) })
}

// touched lists the names in the order of edits, which is by zone and name.
func (p *pass) touched() []touched {
	var out []touched
	for _, e := range p.Change.Edits {
		if e.After == nil || p.err != nil {
			continue
		}
		if n := len(out); n > 0 && out[n-1].name == e.Name && out[n-1].zone == e.Zone {
			out[n-1].fresh = append(out[n-1].fresh, *e.After)
			continue
		}
		sets, err := p.head.at(e.Zone, e.Name)
		if err != nil {
			p.err = err
			return nil
		}
		out = append(out, touched{zone: e.Zone, name: e.Name, sets: sets, fresh: []zone.RRSet{*e.After}})
	}
	return out
}
