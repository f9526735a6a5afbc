// Package trial shows what other packs would decide: on the zones repository as
// it is, and on its last changes, judged once with the packs as they are and once
// with the others. It changes nothing and keeps nothing. Read Run.
package trial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/change"
	"slipway/check"
	"slipway/check/policy"
	"slipway/pack"
	"slipway/repo"
	"slipway/zone"
)

// Trial is two sets of packs and what they are tried on.
type Trial struct {
	Repo          *repo.Repo
	Revision      string // the commit that stands for "as it is", and whose history is walked
	Before, After []*pack.Pack
	Last          int // so many changes of the history
	Now           time.Time
	Progress      func(done, total int) // may be nil
}

// Report is what the two sets decide differently. Lists are never null in JSON.
type Report struct {
	Commit string `json:"commit"` // that was taken as it is
	AsItIs *Case  `json:"as_it_is"`
	Judged int    `json:"judged"`  // changes of the history
	Cases  []Case `json:"changes"` // those that are decided differently, newest first
	// Unjudged are changes of the history that cannot be judged at all, such as one that
	// left a broken file behind.
	Unjudged []Unjudged `json:"unjudged"`
}

// Differs reports whether anything would be decided differently.
func (r *Report) Differs() bool { return r.AsItIs.differs() || len(r.Cases) > 0 }

// Case is one thing that was judged twice.
type Case struct {
	Commit  string    `json:"commit"`
	Subject string    `json:"subject"`
	When    time.Time `json:"when"`
	Before  Decision  `json:"before"`
	After   Decision  `json:"after"`
	// Appear are findings that only the packs after it make, Vanish those that only the
	// packs before it make.
	Appear []check.Finding `json:"appear"`
	Vanish []check.Finding `json:"vanish"`
	// Controls counts findings that both make, with other control IDs.
	Controls int `json:"other_controls"`
}

// Decision is what a set of packs comes to.
type Decision struct {
	Tier   check.Tier `json:"tier"`
	Denied bool       `json:"denied"`
	Score  int        `json:"score"`
}

// Unjudged is a change that could not be judged.
type Unjudged struct {
	Commit string `json:"commit"`
	Why    string `json:"why"`
}

func (c *Case) differs() bool {
	return c.Before != c.After || len(c.Appear)+len(c.Vanish)+c.Controls > 0
}

// MaxLast is how many changes a trial looks back at most.
const MaxLast = 1000

// Run tries the packs. Each change is judged as of the time at which it was committed, by
// the settings and the repository's own policies before it, so that nothing but the packs differs.
func (t Trial) Run(ctx context.Context) (*Report, error) {
	commits, err := t.Repo.FirstParents(ctx, t.Revision, min(max(t.Last, 0), MaxLast))
	if err != nil {
		return nil, err
	}
	head, err := t.Repo.Tree(ctx, t.Revision)
	if err != nil {
		return nil, err
	}
	engines := [2]*check.Engine{engine(t.Before), engine(t.After)}
	total := len(commits) + 1
	t.progress(0, total)
	report := &Report{Commit: head.Commit(), Cases: []Case{}, Unjudged: []Unjudged{}}
	all, err := change.Compute(ctx, t.Repo, t.Repo.EmptyTree(), head)
	if err != nil {
		return nil, err
	}
	if report.AsItIs, err = compare(ctx, engines, check.Input{Repo: t.Repo, Base: head, Head: head, Change: all, AsOf: t.Now}); err != nil {
		return nil, err
	}
	report.AsItIs.Commit, report.AsItIs.When = head.Commit(), t.Now.UTC()
	for i, c := range commits {
		t.progress(i+1, total)
		one, err := t.change(ctx, engines, c)
		var unusable *zone.Error
		switch {
		case errors.As(err, &unusable):
			report.Unjudged = append(report.Unjudged, Unjudged{Commit: c.ID, Why: unusable.Error()})
			continue
		case err != nil:
			return nil, fmt.Errorf("commit %s: %w", c.ID, err)
		}
		report.Judged++
		if one.differs() {
			one.Commit, one.Subject, one.When = c.ID, c.Subject, c.When
			report.Cases = append(report.Cases, *one)
		}
	}
	t.progress(total, total)
	return report, nil
}

func (t Trial) progress(done, total int) {
	if t.Progress != nil {
		t.Progress(done, total)
	}
}

func engine(packs []*pack.Pack) *check.Engine {
	bundles := pack.Bundles(packs)
	return check.NewTrialEngine(func(context.Context, *repo.Tree) ([]policy.Bundle, error) { return bundles, nil })
}

func (t Trial) change(ctx context.Context, engines [2]*check.Engine, c repo.Commit) (*Case, error) {
	base := t.Repo.EmptyTree()
	head, err := t.Repo.Tree(ctx, c.ID)
	if err == nil && c.Parent != "" {
		base, err = t.Repo.Tree(ctx, c.Parent)
	}
	if err != nil {
		return nil, err
	}
	return compare(ctx, engines, check.Input{
		Repo: t.Repo, Base: base, Head: head, AsOf: c.When, Requester: check.Requester{ID: c.Author.Email},
	})
}

// compare judges one thing by both engines.
func compare(ctx context.Context, engines [2]*check.Engine, in check.Input) (*Case, error) {
	if in.Change == nil {
		c, err := change.Compute(ctx, in.Repo, in.Base, in.Head)
		if err != nil {
			return nil, err
		}
		in.Change = c
	}
	before, err := engines[0].Run(ctx, in)
	if err != nil {
		return nil, err
	}
	after, err := engines[1].Run(ctx, in)
	if err != nil {
		return nil, err
	}
	c := &Case{Before: decision(before), After: decision(after), Appear: []check.Finding{}, Vanish: []check.Finding{}}
	was := make(map[string][]string, len(before.Findings))
	for _, f := range before.Findings {
		was[key(f)] = f.Controls
	}
	for _, f := range after.Findings {
		controls, both := was[key(f)]
		switch {
		case !both:
			c.Appear = append(c.Appear, f)
		case !slices.Equal(controls, f.Controls):
			c.Controls++
		}
		delete(was, key(f))
	}
	for _, f := range before.Findings {
		if _, gone := was[key(f)]; gone {
			c.Vanish = append(c.Vanish, f)
		}
	}
	return c, nil
}

func decision(v *check.Verdict) Decision {
	return Decision{Tier: v.Tier, Denied: v.Denied, Score: v.Score}
}

// key tells findings apart by all that a person would call different.
func key(f check.Finding) string {
	return fmt.Sprintf("%s\x00%s\x00%s\x00%s\x00%d\x00%s\x00%s", f.Severity, f.Rule, f.Record, f.Path, f.Line, f.Message, f.Override)
}

// Exchange returns packs with the one of old's and new's name taken out and new put in; either
// may be nil.
func Exchange(packs []*pack.Pack, old, new *pack.Pack) (before, after []*pack.Pack) {
	for _, p := range packs {
		if (old == nil || p.Name != old.Name) && (new == nil || p.Name != new.Name) {
			before, after = append(before, p), append(after, p)
		}
	}
	if old != nil {
		before = append(before, old)
	}
	if new != nil {
		after = append(after, new)
	}
	byName := func(a, b *pack.Pack) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortFunc(before, byName)
	slices.SortFunc(after, byName)
	return before, after
}

// Rules says how the rules of two versions of a pack differ, without judging anything.
type Rules struct {
	Added   []policy.Rule `json:"added"`
	Removed []policy.Rule `json:"removed"`
	Changed []string      `json:"changed_files"` // files that both have, with other content
}

// CompareRules compares the rules of two packs; either may be nil.
func CompareRules(ctx context.Context, old, new *pack.Pack) (*Rules, error) {
	before, err := rules(ctx, old)
	if err != nil {
		return nil, err
	}
	after, err := rules(ctx, new)
	if err != nil {
		return nil, err
	}
	out := &Rules{Added: []policy.Rule{}, Removed: []policy.Rule{}, Changed: []string{}}
	has := func(list []policy.Rule, r policy.Rule) bool {
		return slices.ContainsFunc(list, func(s policy.Rule) bool { return s.ID == r.ID })
	}
	for _, r := range after {
		if !has(before, r) {
			out.Added = append(out.Added, r)
		}
	}
	for _, r := range before {
		if !has(after, r) {
			out.Removed = append(out.Removed, r)
		}
	}
	if old == nil || new == nil {
		return out, nil
	}
	was := map[string]string{}
	for _, f := range old.Policies {
		was[file(f.Path)] = string(f.Src)
	}
	for _, f := range new.Policies {
		if src, both := was[file(f.Path)]; both && src != string(f.Src) {
			out.Changed = append(out.Changed, file(f.Path))
		}
	}
	return out, nil
}

// file is a policy's path within its pack: "pack:mine@1.0.0/a/b.rego" is a/b.rego.
func file(path string) string {
	_, name, _ := strings.Cut(path, "/")
	return name
}

func rules(ctx context.Context, p *pack.Pack) ([]policy.Rule, error) {
	if p == nil {
		return nil, nil
	}
	compiled, err := policy.Compile(ctx, p.Bundle())
	if err != nil {
		return nil, err
	}
	return compiled.Rules(), nil
}
