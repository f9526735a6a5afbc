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
	"slipway/check/finding"
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
}

// Run judges the change by every rule. Findings are sorted; each has a place.
func Run(ctx context.Context, in Input) ([]finding.Finding, error) {
	p := &pass{Input: in, ctx: ctx}
	var err error
	if p.head, err = newView(ctx, in.Head, in.Settings); err != nil {
		return nil, err
	}
	if err := p.head.expect(in.Change); err != nil {
		return nil, err
	}
	rules := Rules()
	for i, e := range in.Change.Edits {
		for _, r := range rules {
			if r.zone != nil && (i == 0 || in.Change.Edits[i-1].Zone != e.Zone) {
				p.ask(r, func() error { return r.zone(p, e) })
			}
			if r.edit != nil {
				p.ask(r, func() error { return r.edit(p, e) })
			}
			if r.set != nil && e.After != nil {
				p.ask(r, func() error { return r.set(p, e.Zone, *e.After) })
			}
		}
	}
	for _, n := range p.touched() {
		for _, r := range rules {
			if r.name != nil {
				p.ask(r, func() error { return r.name(p, n) })
			}
		}
	}
	for _, a := range in.Change.Apps {
		for _, r := range rules {
			if r.app != nil && a.After != nil {
				p.ask(r, func() error { return r.app(p, a.After) })
			}
		}
	}
	if p.err != nil {
		return nil, p.err
	}
	return finding.Normalise(p.found), nil
}

// pass is one run over one change.
type pass struct {
	Input
	ctx   context.Context
	head  *view
	base  *view // made by before
	rule  Rule  // that is asked now
	found []finding.Finding
	err   error // the first; no rule is asked after it
}

func (p *pass) ask(r Rule, judge func() error) {
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

// report records what the rule that is asked now has found.
func (p *pass) report(at zone.Place, record, format string, args ...any) {
	p.found = append(p.found, finding.Finding{
		Rule:     p.rule.ID,
		Severity: p.rule.Severity,
		Message:  fmt.Sprintf(format, args...),
		Help:     p.rule.Help,
		Path:     at.Path,
		Line:     at.Line,
		Record:   record,
		Controls: slices.Clone(p.rule.Controls),
	})
}

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
