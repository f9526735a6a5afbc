package controls

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"

	"slipway/cert/assess"
	"slipway/check"
	"slipway/check/lint"
	"slipway/check/policy"
	"slipway/pack"
	"slipway/repo"
	"slipway/starter"
)

// Check is one rule that judges changes, with the controls that its findings name.
type Check struct {
	ID       string   `json:"id"` // as findings name it: "caa-missing", "dns.policy/zone-owner"
	Title    string   `json:"title"`
	From     string   `json:"from"` // "lint", "certificates", "policies", or "pack tls"
	Controls []string `json:"-"`
}

// InForce lists the checks that judge changes of a tree: the rules that are built in, and
// those of the tree's policies and packs. A fault of its files is a *zone.Error. The
// engine keeps what it compiles.
func InForce(ctx context.Context, e *check.Engine, t *repo.Tree) ([]Check, error) {
	policies, err := e.Policies(ctx, t)
	if err != nil {
		return nil, err
	}
	packs, err := pack.Pinned(ctx, t)
	if err != nil {
		return nil, err
	}
	return collect(policies, packs), nil
}

// Shipped lists the checks that are in force where nothing is pinned or written.
func Shipped(ctx context.Context) ([]Check, error) { return shipped(ctx, nil) }

// All lists every check that Slipway brings, those of all its packs included, as if all
// were pinned.
func All(ctx context.Context) ([]Check, error) {
	names, err := pack.BuiltinNames()
	if err != nil {
		return nil, err
	}
	var packs []*pack.Pack
	for _, name := range names {
		_, p, err := pack.Builtin(name)
		if err != nil {
			return nil, err
		}
		packs = append(packs, p)
	}
	return shipped(ctx, packs)
}

func shipped(ctx context.Context, packs []*pack.Pack) ([]Check, error) {
	bundle, err := policy.Starter(starter.Policies())
	if err != nil {
		return nil, err
	}
	policies, err := policy.Compile(ctx, append([]policy.Bundle{bundle}, pack.Bundles(packs)...)...)
	if err != nil {
		return nil, err
	}
	return collect(policies, packs), nil
}

// collect is a list without repeats, in the order in which a reader looks for them.
func collect(policies *policy.Policies, packs []*pack.Pack) []Check {
	var out []Check
	seen := map[string]int{}
	add := func(c Check) {
		if i, twice := seen[c.ID]; twice {
			// One rule may have several bodies, each with controls of its own.
			out[i].Controls = append(out[i].Controls, c.Controls...)
			return
		}
		seen[c.ID] = len(out)
		c.Controls = slices.Clone(c.Controls)
		out = append(out, c)
	}
	for _, r := range lint.Rules() {
		add(Check{r.ID, r.Title, "lint", r.Controls})
	}
	for _, r := range assess.Rules() {
		add(Check{r.ID, r.Title, "certificates", r.Controls})
	}
	from := map[string]string{}
	for _, p := range packs {
		for _, root := range p.Roots {
			from[root] = "pack " + p.Name
		}
	}
	source := func(pkg string) string {
		// A pack's roots are paths of Rego's data, a package its name with dots.
		for root, name := range from {
			if covers(root, pkg) {
				return name
			}
		}
		return "policies"
	}
	for _, p := range policies.Packages() {
		if p.Name == policy.TierPackage {
			add(Check{p.Name, p.Title, source(p.Name), p.Controls})
		}
	}
	for _, r := range policies.Rules() {
		add(Check{r.ID, r.Title, source(r.Package), r.Controls})
	}
	for i := range out {
		for _, p := range packs {
			out[i].Controls = append(out[i].Controls, p.Controls[policy.EveryRule]...)
			out[i].Controls = append(out[i].Controls, p.Controls[out[i].ID]...)
		}
		slices.Sort(out[i].Controls)
		out[i].Controls = slices.Compact(out[i].Controls)
	}
	return out
}

// covers says whether a Rego package lies at or below a root such as "packs/tls".
func covers(root, pkg string) bool {
	dotted := strings.ReplaceAll(root, "/", ".")
	return pkg == dotted || strings.HasPrefix(pkg, dotted+".")
}

// matching picks the checks that a pattern names.
func matching(pattern string, checks []Check) []Check {
	var out []Check
	for _, c := range checks {
		if ok, err := path.Match(pattern, c.ID); err == nil && ok {
			out = append(out, c)
		}
	}
	return out
}

// Named lists every control ID that checks name, sorted.
func Named(checks []Check) []string {
	ids := map[string]bool{}
	for _, c := range checks {
		for _, id := range c.Controls {
			ids[id] = true
		}
	}
	return slices.Sorted(maps.Keys(ids))
}
