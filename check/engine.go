package check

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/change"
	"slipway/check/finding"
	"slipway/check/lint"
	"slipway/check/policy"
	"slipway/check/risk"
	"slipway/repo"
	"slipway/starter"
	"slipway/zone"
)

// PoliciesPattern is where the zones repository keeps its own policies.
const PoliciesPattern = "policies/**.rego"

// maxCompiled bounds the cache of compiled policies: those in force, those of a few open changes.
const maxCompiled = 16

// Source finds policies that a tree asks for beside its own files, such as the
// packs that it pins. A fault that a person can mend is a *zone.Error. Bundles come
// in an order that depends on the tree alone.
type Source func(context.Context, *repo.Tree) ([]policy.Bundle, error)

// Engine holds compiled policies, cached by the digest of their sources, for
// many runs. Safe for concurrent use.
type Engine struct {
	sources  []Source
	mu       sync.Mutex // held for look-ups only, never while compiling
	compiled map[string]*policy.Policies
}

// NewEngine returns an engine that judges by the starter's policies, those that the
// sources find, and the repository's own. It does no work until the first Run.
func NewEngine(sources ...Source) *Engine {
	return &Engine{sources: sources, compiled: map[string]*policy.Policies{}}
}

// Run judges a change. Errors are unusable input (*zone.Error) or I/O; a denial is not an error.
func (e *Engine) Run(ctx context.Context, in Input) (*Verdict, error) {
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
	})
	if err != nil {
		return nil, err
	}
	signals := risk.Signals(risk.Input{
		Change: in.Change, Settings: settings, NewZones: newZones,
		Requester: in.Requester.ID, ThirdParty: in.Requester.ThirdParty,
	})

	bundles, err := e.bundles(ctx, in.Base)
	if err != nil {
		return nil, err
	}
	policies, err := e.compile(ctx, bundles)
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
	findings = slices.Concat(findings, broken, unserved)

	facts := policyInput(in, inForce, settings, signals, findings)
	judged, err := policies.Judge(ctx, facts, in.AsOf)
	if err != nil {
		return nil, err
	}
	findings = finding.Normalise(append(findings, overridable(judged, inForce)...))
	facts.Findings = findings
	decision, err := policies.Decide(ctx, facts, in.AsOf)
	if err != nil {
		return nil, err
	}
	v := &Verdict{
		Denied:       finding.Denied(findings),
		Signals:      signals,
		Findings:     findings,
		Change:       withLists(in.Change),
		PolicyDigest: policyDigest(bundles, inForce),
		Requester:    in.Requester,
		AsOf:         in.AsOf,
		Version:      lint.Version,
	}
	v.decide(decision, inForce)
	return v, nil
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

// identify completes the requester from the settings in force.
func identify(r Requester, s *repo.Settings) Requester {
	r.ID = strings.ToLower(strings.TrimSpace(r.ID))
	if r.Groups == nil {
		r.Groups = s.GroupsOf(r.ID)
	}
	r.Groups = slices.Compact(slices.Sorted(slices.Values(r.Groups)))
	r.ThirdParty = r.ThirdParty || s.ThirdParty(r.ID)
	return r
}

// withNewZones returns the settings in force together with what the head says
// about zones that they do not know: nothing in force speaks about those, and the
// change that declares them is red for editing the settings. The second result
// lists zones that have their first file in the head.
func withNewZones(ctx context.Context, in Input, inForce *repo.Settings) (*repo.Settings, []zone.Name, error) {
	proposed, err := in.Head.Settings(ctx)
	if err != nil {
		return nil, nil, err
	}
	settings := *inForce
	settings.Zones = maps.Clone(inForce.Zones)
	if settings.Zones == nil {
		settings.Zones = map[zone.Name]repo.Zone{}
	}
	for name, z := range proposed.Zones {
		if _, known := settings.Zones[name]; !known {
			settings.Zones[name] = z
		}
	}
	var fresh []zone.Name
	for _, name := range in.Change.Zones() {
		was, err := hasFile(ctx, in.Base, name)
		if err != nil {
			return nil, nil, err
		}
		if _, known := inForce.Zones[name]; was || known {
			continue
		}
		now, err := hasFile(ctx, in.Head, name)
		if err != nil {
			return nil, nil, err
		}
		if now {
			fresh = append(fresh, name)
		}
	}
	return &settings, fresh, nil
}

func hasFile(ctx context.Context, t *repo.Tree, name zone.Name) (bool, error) {
	_, err := t.ZonePath(ctx, name)
	if errors.Is(err, repo.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// bundles gathers the policies that a tree puts in force.
func (e *Engine) bundles(ctx context.Context, t *repo.Tree) ([]policy.Bundle, error) {
	shipped, err := policy.Starter(starter.Policies())
	if err != nil {
		return nil, fmt.Errorf("starter policies: %w", err)
	}
	all := []policy.Bundle{shipped}
	for _, source := range e.sources {
		more, err := source(ctx, t)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	own, err := OwnPolicies(ctx, t, false)
	if err != nil {
		return nil, err
	}
	return append(all, own), nil
}

// OwnPolicies reads the policies that a tree holds itself, with or without their tests.
func OwnPolicies(ctx context.Context, t *repo.Tree, tests bool) (policy.Bundle, error) {
	own := policy.Bundle{Name: "repository", Own: true}
	paths, err := t.Glob(ctx, PoliciesPattern)
	if err != nil {
		return own, err
	}
	for _, p := range paths {
		if policy.IsTest(p) && !tests {
			continue
		}
		src, err := t.ReadFile(ctx, p)
		if errors.Is(err, repo.ErrNotFound) { // listed, but a link
			return own, &zone.Error{Place: zone.Place{Path: p, Line: 1}, What: "the policy is not a plain file", Help: "put the file itself there"}
		}
		if err != nil {
			return own, err
		}
		own.Files = append(own.Files, policy.File{Path: p, Src: src})
	}
	return own, nil
}

// Policies compiles the policies that a tree puts in force.
func (e *Engine) Policies(ctx context.Context, t *repo.Tree) (*policy.Policies, error) {
	bundles, err := e.bundles(ctx, t)
	if err != nil {
		return nil, err
	}
	return e.compile(ctx, bundles)
}

// compile returns compiled policies, from the cache where it can.
func (e *Engine) compile(ctx context.Context, bundles []policy.Bundle) (*policy.Policies, error) {
	key := policy.Digest(bundles...)
	e.mu.Lock()
	p := e.compiled[key]
	e.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := policy.Compile(ctx, bundles...)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.compiled) >= maxCompiled {
		clear(e.compiled) // rare, and compiling again takes milliseconds
	}
	e.compiled[key] = p
	return p, nil
}

// brokenPolicies judges a change of policies by whether the new ones compile.
// Merged broken ones would judge every later change, the repair included, as unusable.
func (e *Engine) brokenPolicies(ctx context.Context, in Input) ([]Finding, error) {
	if !slices.ContainsFunc(in.Change.Files, func(f change.FileEdit) bool { return f.Kind == change.KindPolicy }) {
		return nil, nil
	}
	_, err := e.Policies(ctx, in.Head)
	var fault *zone.Error
	switch {
	case err == nil:
		return nil, nil
	case !errors.As(err, &fault):
		return nil, err
	}
	return []Finding{{
		Rule:     "policy-broken",
		Severity: Deny,
		Message:  fmt.Sprintf("The policies could not judge any later change, not even their repair: %s.", fault.What),
		Help:     fault.Help,
		Path:     fault.Place.Path,
		Line:     fault.Place.Line,
		Controls: []string{"SOC2:CC8.1", "ISO27001:A.8.32", "SOX:ITGC-CM"},
	}}, nil
}

// withoutProvider finds the zones of a change that no provider serves: nothing could
// bring it to the name servers. A repository that names no provider at all is only
// judged by Slipway, and served by other means.
func withoutProvider(ctx context.Context, in Input) ([]Finding, error) {
	head, err := in.Head.Settings(ctx)
	if err != nil {
		return nil, err
	}
	base, err := in.Base.Settings(ctx)
	if err != nil {
		return nil, err
	}
	if len(head.Providers)+len(base.Providers) == 0 {
		return nil, nil
	}
	var found []Finding
	for i, e := range in.Change.Edits {
		if i > 0 && in.Change.Edits[i-1].Zone == e.Zone {
			continue
		}
		s := head
		at, listed := head.Zones[e.Zone]
		if !listed { // the change takes the zone away: who serves it now takes it down
			s, at = base, base.Zones[e.Zone]
		}
		if _, known := s.Providers[at.Provider]; known {
			continue
		}
		found = append(found, Finding{
			Rule:     "zone-without-provider",
			Severity: Deny,
			Message: fmt.Sprintf("Nothing says which provider serves the zone %s, so this change could be approved and never reach the name servers.",
				e.Zone.Unicode()),
			Help: fmt.Sprintf("Name one of the providers in slipway.yaml: zones, then %s, then provider.", e.Zone),
			Path: e.Place.Path, Line: e.Place.Line,
			Controls: []string{"SOC2:CC8.1", "ISO27001:A.8.32", "SOX:ITGC-CM"},
		})
	}
	return found, nil
}

// policyInput gathers what policies see.
func policyInput(in Input, inForce, settings *repo.Settings, signals []Signal, findings []Finding) policy.Input {
	facts := policy.Input{
		Organisation: policy.Organisation{
			Name: inForce.Organisation, Domain: inForce.Domain, Brands: inForce.Brands, AllowedExternal: allowedExternal(inForce),
		},
		Requester: policy.Requester{
			ID: in.Requester.ID, Role: in.Requester.Role, Groups: in.Requester.Groups, ThirdParty: in.Requester.ThirdParty,
		},
		AsOf:          in.AsOf.Format(time.RFC3339),
		Change:        policy.NewChange(in.Change),
		Findings:      findings,
		ApprovalRules: slices.Sorted(maps.Keys(inForce.Approvals)),
	}
	for _, name := range in.Change.Zones() {
		z := settings.Zones[name]
		facts.Zones = append(facts.Zones, policy.Zone{
			Name: name, Owner: z.Owner, Visibility: z.Visibility, DNSSEC: z.DNSSEC, Provider: z.Provider, Parked: z.Parked,
		})
	}
	for _, a := range in.Change.Apps {
		facts.Apps = append(facts.Apps, policy.NewApp(a))
	}
	for _, s := range signals {
		facts.Signals = append(facts.Signals, policy.Signal{Name: s.Name, Value: s.Value, Reason: s.Reason, Record: s.Record, Zone: s.Zone})
	}
	return facts
}

// allowedExternal lists the external zones that changes may touch: those of
// allowed-external, or every external zone that slipway.yaml lists.
func allowedExternal(s *repo.Settings) []zone.Name {
	if len(s.AllowedExternal) > 0 {
		return slices.Sorted(slices.Values(s.AllowedExternal))
	}
	var names []zone.Name
	for name, z := range s.Zones {
		if z.Visibility == "external" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
