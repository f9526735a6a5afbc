package check

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"slipway/change"
	"slipway/check/finding"
	"slipway/check/lint"
	"slipway/check/policy"
	"slipway/check/risk"
	"slipway/pack"
	"slipway/repo"
	"slipway/zone"
)

// PoliciesPattern is where the zones repository keeps its own policies.
const PoliciesPattern = "policies/**.rego"

// maxCompiled bounds the cache of compiled policies: those in force, those of a few open changes.
const maxCompiled = 16

// Engine holds compiled policies, cached by the digest of their sources, for
// many runs. Safe for concurrent use.
type Engine struct {
	sources  []Source
	mu       sync.Mutex // held for look-ups only, never while compiling
	compiled map[string]*policy.Policies
}

// NewEngine returns an engine that judges by the starter's policies, the packs that
// the base pins, those that the sources find, and the repository's own. It does no
// work until the first Run.
func NewEngine(sources ...Source) *Engine {
	return NewTrialEngine(slices.Concat([]Source{pack.Source}, sources)...)
}

// NewTrialEngine returns an engine that passes over the packs that the base pins and
// takes only those of the sources, to see what others would decide. What it says is in
// force nowhere.
func NewTrialEngine(sources ...Source) *Engine {
	return &Engine{sources: sources, compiled: map[string]*policy.Policies{}}
}

// Run judges a change. Errors are unusable input (*zone.Error) or I/O; a denial is not an error.
func (e *Engine) Run(ctx context.Context, in Input) (*Verdict, error) {
	q, err := e.prepare(ctx, in)
	if err != nil {
		return nil, err
	}
	judged, err := q.policies.Judge(ctx, q.facts, q.AsOf)
	if err != nil {
		return nil, err
	}
	findings := finding.Normalise(withControls(append(q.facts.Findings, overridable(q.excepted(judged), q.inForce)...), q.bundles))
	q.facts.Findings = findings
	decision, err := q.policies.Decide(ctx, q.facts, q.AsOf)
	if err != nil {
		return nil, err
	}
	v := &Verdict{
		Denied:       finding.Denied(findings),
		Signals:      q.signals,
		Findings:     findings,
		Change:       withLists(q.Change),
		PolicyDigest: policyDigest(q.bundles, q.inForce),
		Requester:    q.Requester,
		AsOf:         q.AsOf,
		Version:      lint.Version,
	}
	if q.Observed != nil {
		v.Observations = q.Observed.Set().Digest()
	}
	v.decide(decision, q.inForce)
	return v, nil
}

// Explain says which policies have something to say about a change, and which parts
// of what they see made them say it.
func (e *Engine) Explain(ctx context.Context, in Input) ([]policy.Explanation, error) {
	q, err := e.prepare(ctx, in)
	if err != nil {
		return nil, err
	}
	found, err := q.policies.Explain(ctx, q.facts, q.AsOf)
	for i := range found {
		overridable([]Finding{found[i].Finding}, q.inForce)
	}
	return found, err
}

// Time measures how long the policies take over a change, each rule rounds times.
func (e *Engine) Time(ctx context.Context, in Input, rounds int, now func() time.Time) ([]policy.Timing, error) {
	q, err := e.prepare(ctx, in)
	if err != nil {
		return nil, err
	}
	return q.policies.Time(ctx, q.facts, q.AsOf, rounds, now)
}

// question is a change with all that the policies are asked about it.
type question struct {
	Input
	inForce  *repo.Settings
	signals  []Signal
	bundles  []policy.Bundle
	policies *policy.Policies
	facts    policy.Input // with the findings of lint and of the engine itself
}

// prepare finds the facts of a change.
func (e *Engine) prepare(ctx context.Context, in Input) (*question, error) {
	if in.Head == nil {
		return nil, errors.New("check: there is no head to judge")
	}
	if in.Base == nil {
		if in.Repo == nil {
			return nil, errors.New("check: there is neither a base nor a repository")
		}
		in.Base = in.Repo.EmptyTree()
	}
	in.AsOf = in.AsOf.UTC().Truncate(time.Second)
	inForce, err := in.Base.Settings(ctx)
	if err != nil {
		return nil, err
	}
	// Compiling takes longer than anything else, and needs nothing that is found out meanwhile.
	inForcePolicies := e.compileMeanwhile(ctx, in.Base)
	defer inForcePolicies.wait()
	if in.Change == nil {
		if in.Change, err = change.Compute(ctx, in.Repo, in.Base, in.Head); err != nil {
			return nil, err
		}
	}
	in.Requester = identify(in.Requester, inForce)
	settings, newZones, err := withNewZones(ctx, in, inForce)
	if err != nil {
		return nil, err
	}
	findings, err := lint.Run(ctx, lint.Input{
		Change: in.Change, Base: in.Base, Head: in.Head, Settings: settings,
		Requester: in.Requester.ID, Groups: in.Requester.Groups, AsOf: in.AsOf,
		Observed: in.Observed,
	})
	if err != nil {
		return nil, err
	}
	relying, err := dependants(ctx, in)
	if err != nil {
		return nil, err
	}
	past, err := pasts(ctx, in)
	if err != nil {
		return nil, err
	}
	taken, err := sizes(ctx, in, settings)
	if err != nil {
		return nil, err
	}
	signals := risk.Signals(risk.Input{
		Change: in.Change, Settings: settings, NewZones: newZones, Sizes: taken,
		Requester: in.Requester.ID, ThirdParty: in.Requester.ThirdParty,
		Dependants: relying, Pasts: past, AsOf: in.AsOf,
	})

	bundles, policies, err := inForcePolicies.wait()
	if err != nil {
		return nil, err
	}
	broken, err := e.brokenPolicies(ctx, in)
	if err != nil {
		return nil, err
	}
	unserved, err := withoutProvider(ctx, in)
	if err != nil {
		return nil, err
	}
	certificates, bad, err := certificatesWanted(ctx, in, settings)
	if err != nil {
		return nil, err
	}
	vain, err := e.vainExceptions(ctx, in, inForce, policies)
	if err != nil {
		return nil, err
	}
	findings = slices.Concat(findings, broken, unserved, bad, vain)
	return &question{
		Input: in, inForce: inForce, signals: signals, bundles: bundles,
		policies: policies.Within(policy.Limits{Time: inForce.PolicyLimits.Time, Memory: inForce.PolicyLimits.Memory}),
		facts:    policyInput(in, inForce, settings, certificates, signals, findings),
	}, nil
}

// withLists is the change with every list a list, as the verdict's JSON promises.
func withLists(c *change.Change) *change.Change {
	out := *c
	if out.Edits == nil {
		out.Edits = []zone.Edit{}
	}
	app := func(a *repo.App) *repo.App {
		if a == nil || a.Data != nil && a.Records != nil {
			return a
		}
		one := *a
		one.Data, one.Records = append([]string{}, a.Data...), append([]zone.RRSet{}, a.Records...)
		return &one
	}
	out.Apps = slices.Clone(c.Apps)
	for i := range out.Apps {
		out.Apps[i].Before, out.Apps[i].After = app(out.Apps[i].Before), app(out.Apps[i].After)
	}
	return &out
}
