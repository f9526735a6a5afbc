package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"slipway/provider"
	"slipway/provider/catalog"
	"slipway/provider/partial"
	"slipway/provider/planfile"
	"slipway/provider/service"
	"slipway/provider/zonefile"
	"slipway/repo"
	"slipway/secret"
	"slipway/zone"
)

// livePlan is a plan with what could not be planned.
type livePlan struct {
	*planfile.File
	Failed  []unplanned `json:"failed"`
	Nowhere []zone.Name `json:"without_provider"` // slipway.yaml names no provider for them
	Zones   int         `json:"zones"`            // that were looked at
	Behind  bool        `json:"behind_main"`      // main has commits that what was planned does not know
}

// unplanned is a zone that there is no plan for.
type unplanned struct {
	Zone     zone.Name `json:"zone"`
	Provider string    `json:"provider,omitempty"`
	Why      string    `json:"why"`
	err      error
}

func (p *livePlan) errs() []error {
	out := make([]error, len(p.Failed))
	for i, f := range p.Failed {
		out[i] = f.err
	}
	return out
}

// words are the failures, for reports.
func (p *livePlan) words() []string {
	out := make([]string, len(p.Failed))
	for i, f := range p.Failed {
		out[i] = f.Why
	}
	return out
}

// planner plans the zones of one tree.
type planner struct {
	head, base *repo.Tree
	settings   *repo.Settings // of the head, but the providers of what is in force
	limits     *repo.Settings // of what is in force
	untrusted  map[string]error
	catalog    *catalog.Catalog
	files      bool
	behind     bool

	mu     sync.Mutex // guards what was found
	plans  []planfile.Plan
	failed []unplanned
}

// zonesAtOnce is how many zones are read at the same time: the servers are what takes time.
const zonesAtOnce = 16

func (t *tool) makePlan(ctx context.Context, o planning) (*livePlan, error) {
	of, err := o.named()
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(o.dir); err != nil || !info.IsDir() {
		return nil, &usage{what: fmt.Sprintf("--repo %s: there is no such folder", o.dir)}
	}
	m := t.busy("Planning")
	defer m.end()
	r, err := t.repository(ctx, o.dir, o.cache)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	p, err := o.planner(ctx, r)
	if err != nil {
		return nil, err
	}
	zones, nowhere, err := p.choose(ctx, of)
	if err != nil {
		return nil, err
	}
	var g errgroup.Group
	g.SetLimit(max(zonesAtOnce, runtime.GOMAXPROCS(0)))
	for i, z := range zones {
		m.count(uint64(i), uint64(len(zones)))
		g.Go(func() error {
			p.zone(ctx, z)
			return nil
		})
	}
	g.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	slices.SortFunc(p.failed, func(a, b unplanned) int {
		return cmp.Or(cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.Provider, b.Provider))
	})
	f, err := planfile.New(p.head.Commit(), p.head.ID(), of, p.plans, t.now())
	if err != nil {
		return nil, err
	}
	return &livePlan{File: f, Failed: append([]unplanned{}, p.failed...), Nowhere: append([]zone.Name{}, nowhere...), Zones: len(zones), Behind: p.behind}, nil
}

// planner opens the two sides.
func (o *planning) planner(ctx context.Context, r *repo.Repo) (*planner, error) {
	p := &planner{files: o.files != ""}
	sides := comparison{base: o.base, head: workTree}
	var err error
	if o.commit == "" {
		p.head, err = r.WorkTree(ctx)
	} else {
		sides.head = o.commit
		p.head, err = tree(ctx, r, "--commit", o.commit)
	}
	if err != nil {
		return nil, err
	}
	if o.base != "" {
		p.base, err = tree(ctx, r, "--base", o.base)
	} else {
		p.base, err = sides.defaultBase(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	if o.base == "" && p.base.Commit() != "" {
		if p.behind, err = behind(ctx, r, p.base.Commit()); err != nil {
			return nil, err
		}
	}
	head, err := p.head.Settings(ctx)
	if err != nil {
		return nil, err
	}
	if p.limits, err = p.base.Settings(ctx); err != nil {
		return nil, err
	}
	p.settings = head
	if p.base.ID() == "" {
		p.limits = head // nothing is in force yet
	} else if !o.ownSettings {
		p.trust(head)
	}
	opts := catalog.Options{Secrets: secret.NewResolver()}
	if o.files != "" {
		if info, err := os.Stat(o.files); err != nil || !info.IsDir() {
			return nil, &usage{what: fmt.Sprintf("--zone-files %s: there is no such folder", o.files)}
		}
		if opts.Files, err = zonefile.New(zonefile.Options{Dir: o.files}); err != nil {
			return nil, err
		}
	}
	p.catalog = catalog.New(opts)
	return p, nil
}

// behind says whether main has gone on since the commit at which what is planned left it.
func behind(ctx context.Context, r *repo.Repo, base string) (bool, error) {
	for _, main := range mains {
		commit, err := r.Resolve(ctx, main)
		if errors.Is(err, repo.ErrNotFound) {
			continue
		}
		return commit != base, err
	}
	return false, nil
}

// trust takes the providers from what is in force, and notes those that the head has otherwise.
func (p *planner) trust(head *repo.Settings) {
	own := *head
	own.Providers = p.limits.Providers
	p.settings, p.untrusted = &own, map[string]error{}
	for name, of := range head.Providers {
		was, known := p.limits.Providers[name]
		switch {
		case !known:
			p.untrusted[name] = fmt.Errorf("provider %s is new in slipway.yaml and not on main yet", name)
		case was.Type != of.Type || !maps.Equal(was.Params, of.Params):
			p.untrusted[name] = fmt.Errorf("provider %s has other settings in slipway.yaml than on main", name)
		}
	}
}

// choose lists the zones to plan, those that are gone from the head too: nothing is to be left
// of them. Of those that nobody named, the ones without a provider are not planned.
func (p *planner) choose(ctx context.Context, of []zone.Name) (zones, nowhere []zone.Name, err error) {
	all := make(map[zone.Name]bool, len(p.settings.Zones))
	for z := range p.settings.Zones {
		all[z] = true
	}
	gone := make(map[zone.Name]repo.Zone)
	for z, s := range p.limits.Zones {
		if _, stays := p.settings.Zones[z]; !stays && len(s.Providers) > 0 {
			gone[z], all[z] = s, true
		}
	}
	if len(gone) > 0 {
		own := *p.settings
		own.Zones = maps.Clone(own.Zones)
		maps.Copy(own.Zones, gone)
		p.settings = &own
	}
	for _, z := range of {
		if !all[z] {
			return nil, nil, &usage{what: fmt.Sprintf("--zone %s: the repository has no such zone", z)}
		}
	}
	for _, z := range slices.Sorted(maps.Keys(all)) {
		switch {
		case len(of) > 0 && !slices.Contains(of, z):
		case len(of) == 0 && len(p.settings.Zones[z].Providers) == 0:
			nowhere = append(nowhere, z)
		default:
			zones = append(zones, z)
		}
	}
	if len(zones) == 0 && len(nowhere) > 0 {
		return nil, nil, &usage{what: "slipway.yaml names no provider for any zone, so there is nowhere to look for what is live",
			help: "Name one for each zone (docs/providers), or compare two versions of the repository with slipway diff."}
	}
	return zones, nowhere, nil
}

// zone plans one zone at each of its providers.
func (p *planner) zone(ctx context.Context, z zone.Name) {
	desired, err := p.head.Served(ctx, z)
	if errors.Is(err, repo.ErrNotFound) {
		desired, err = nil, nil
	}
	if err != nil {
		p.fail(z, "", err)
		return
	}
	names := p.settings.Zones[z].Providers
	if len(names) == 0 {
		p.fail(z, "", &refusal{what: fmt.Sprintf("zone %s: slipway.yaml names no provider for it", z), help: "Name one under zones, as docs/providers shows."})
	}
	for _, name := range names {
		plan, err := p.at(ctx, z, name, desired)
		if err != nil {
			p.fail(z, name, err)
			continue
		}
		p.mu.Lock()
		p.plans = append(p.plans, plan)
		p.mu.Unlock()
	}
}

func (p *planner) fail(z zone.Name, name string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = append(p.failed, unplanned{z, name, err.Error(), err})
}

// at plans one zone at one provider.
func (p *planner) at(ctx context.Context, z zone.Name, name string, desired []zone.RRSet) (planfile.Plan, error) {
	var none planfile.Plan
	if err := p.untrusted[name]; err != nil {
		return none, &usage{what: fmt.Sprintf("zone %s: %v", z, err),
			help: "It is not asked, because an unapproved change could have credentials sent anywhere by that. If you have read these settings, add --own-settings."}
	}
	set, ok := p.settings.Providers[name]
	if !ok {
		return none, fmt.Errorf("zone %s: provider %q is not in slipway.yaml", z, name)
	}
	if set.Type == zonefile.Type && !p.files {
		return none, &usage{what: fmt.Sprintf("zone %s: provider %s keeps zone files, and where they are is not in slipway.yaml", z, name),
			help: "Say it with --zone-files, on the machine of the server: they are in the folder zones of its data."}
	}
	open, err := p.catalog.Open(ctx, name, set.Type, set.Params)
	if err != nil {
		return none, apart(ctx, fmt.Errorf("zone %s: %w", z, err))
	}
	live, others, err := p.look(ctx, open, z, desired)
	if err != nil {
		return none, apart(ctx, fmt.Errorf("%w (at provider %s)", service.Fault(z, err), name))
	}
	edits := provider.NewPlan(z, desired, live, "", p.head.Commit())
	var come []zone.RRSet
	for _, e := range edits.Edits {
		if e.After != nil {
			come = append(come, *e.After)
		}
	}
	if err := provider.Blocked(come, others); err != nil {
		return none, apart(ctx, fmt.Errorf("%w (at provider %s)", service.Fault(z, err), name))
	}
	plan := planfile.Of(edits, name, set.Type, live, provider.Limits(p.limits.Limits(z)))
	plan.Others = len(others)
	return plan, nil
}

// look reads a zone, and of a partial one what is Slipway's; others are what is left alone. What Slipway
// has applied before is what is in force.
func (p *planner) look(ctx context.Context, whole provider.Provider, z zone.Name, desired []zone.RRSet) (live *provider.Live, others []provider.Unmanaged, err error) {
	if !p.settings.Zones[z].Partial {
		live, err = whole.Read(ctx, z)
		return live, nil, err
	}
	before, err := p.base.Served(ctx, z)
	if err != nil && !errors.Is(err, repo.ErrNotFound) {
		return nil, nil, err
	}
	claims := partial.Claims{Approved: partial.KeysOf(desired), Applied: partial.KeysOf(before)}
	return partial.New(whole, func(context.Context, zone.Name) (partial.Claims, error) { return claims, nil }).Look(ctx, z)
}

// apart is a fault of a provider as one message that begins with the zone, whatever it is made of:
// one of the repository's files would else be looked for where the provider's place is.
func apart(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.New(err.Error())
}
