// Package inventory takes stock of an organisation's zones before it has a zones
// repository: which zones its credentials see, what is in them, who may own them, and
// what is missing or about to break. From that it writes the first repository, in which
// every zone is as it is served and none is classified yet. It changes nothing outside
// the folder that it writes. Read this file first, then owners.go for proposals,
// registry.go for expiries, compose.go for the repository and gaps.go for what is missing.
package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"slipway/provider"
	"slipway/repo"
	"slipway/zone"
)

// Lister is a provider that knows which zones it has.
type Lister interface {
	Zones(ctx context.Context) ([]zone.Name, error)
}

// Tagger is a provider whose zones bear tags, or labels.
type Tagger interface {
	Tags(ctx context.Context, z zone.Name) (map[string]string, error)
}

// Options say where to look.
type Options struct {
	// Settings name the providers and, for those that cannot list their zones, the zones.
	Settings *repo.Settings
	// Open opens one of the providers.
	Open func(ctx context.Context, name string) (provider.Provider, error)
	// History is a folder with a Git repository whose commits tell who looked after which zone; "": none.
	History string
	// Registry is asked when domains expire; nil: nobody.
	Registry *Registry
	// Now is when stock is taken.
	Now time.Time
	// Progress is told of each zone that was read; may be nil.
	Progress func(done, total int)
}

// Inventory is what was found.
type Inventory struct {
	Organisation string     `json:"organisation"`
	Domain       zone.Name  `json:"domain"`
	At           time.Time  `json:"at"`
	Providers    []Provider `json:"providers"`
	Zones        []*Zone    `json:"zones"` // by name
}

// Provider is one that was asked.
type Provider struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Zones   int    `json:"zones"`
	Problem string `json:"problem,omitempty"` // why its zones are not all here

	params map[string]string
}

// Zone is one zone as it is served.
type Zone struct {
	Name      zone.Name     `json:"name"`
	Providers []string      `json:"providers"` // the first is whose content is taken
	Sets      []zone.RRSet  `json:"-"`
	Records   int           `json:"records"`
	Owners    []Proposal    `json:"owners"`             // most likely first
	Leftovers []string      `json:"leftovers"`          // what a provider serves that has no form in a zones repository
	Registry  *Registration `json:"registry,omitempty"` // nil: not a registered domain, or nobody was asked
	Problems  []string      `json:"problems"`

	tags map[string]string
}

const (
	zonesAtOnce = 8
	maxShown    = 20 // leftovers of one zone that are told
)

// Take looks. What one provider or one zone does not let be read is noted with it; an
// error means that nothing could be done at all.
func Take(ctx context.Context, o Options) (*Inventory, error) {
	inv := &Inventory{Organisation: o.Settings.Organisation, Domain: o.Settings.Domain, At: o.Now.UTC().Truncate(time.Second), Providers: []Provider{}, Zones: []*Zone{}}
	if len(o.Settings.Providers) == 0 {
		return nil, errors.New("the settings name no provider, so there is nowhere to look")
	}
	open := map[string]provider.Provider{}
	zones := map[zone.Name]*Zone{}
	for _, name := range slices.Sorted(maps.Keys(o.Settings.Providers)) {
		set := o.Settings.Providers[name]
		p := Provider{Name: name, Type: set.Type, params: set.Params}
		listed, opened, err := list(ctx, o, name)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			p.Problem = err.Error()
		}
		open[name] = opened
		p.Zones = len(listed)
		inv.Providers = append(inv.Providers, p)
		for _, z := range listed {
			if zones[z] == nil {
				zones[z] = &Zone{Name: z, Owners: []Proposal{}, Leftovers: []string{}, Problems: []string{}}
			}
			zones[z].Providers = append(zones[z].Providers, name)
		}
	}
	inv.Zones = slices.SortedFunc(maps.Values(zones), func(a, b *Zone) int { return cmp.Compare(a.Name, b.Name) })
	history, err := readHistory(ctx, o.History, o.Now, slices.Collect(maps.Keys(zones)))
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex // guards done
	done := 0
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(zonesAtOnce)
	for _, z := range inv.Zones {
		g.Go(func() error {
			z.read(ctx, open)
			z.Owners = propose(z, o.Settings.Domain, history[z.Name])
			if o.Registry != nil {
				z.register(ctx, o.Registry)
			}
			mu.Lock()
			defer mu.Unlock()
			if done++; o.Progress != nil {
				o.Progress(done, len(inv.Zones))
			}
			return ctx.Err()
		})
	}
	return inv, g.Wait()
}

// list returns the zones of a provider: those that it lists, and those that the settings
// say it has.
func list(ctx context.Context, o Options, name string) ([]zone.Name, provider.Provider, error) {
	var out []zone.Name
	for z, set := range o.Settings.Zones {
		if slices.Contains(set.Providers, name) {
			out = append(out, z)
		}
	}
	p, err := o.Open(ctx, name)
	if err == nil {
		if lister, ok := p.(Lister); ok {
			var listed []zone.Name
			listed, err = lister.Zones(ctx)
			out = append(out, listed...)
		} else if len(out) == 0 {
			err = fmt.Errorf("a provider of this type does not list its zones: name them under zones, each with `provider: %s`", name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), p, err
}

// read takes a zone from the first provider that has it, and compares the others.
func (z *Zone) read(ctx context.Context, open map[string]provider.Provider) {
	var first *provider.Live
	for _, name := range z.Providers {
		p := open[name]
		if p == nil {
			continue // why is said with the provider
		}
		live, err := p.Read(ctx, z.Name)
		if err == nil && !live.Exists {
			err = errors.New("there is no such zone")
		}
		if err != nil {
			z.Problems = append(z.Problems, fmt.Sprintf("%s: %v", name, err))
			continue
		}
		if t, ok := p.(Tagger); ok {
			if tags, err := t.Tags(ctx, z.Name); err != nil {
				z.Problems = append(z.Problems, fmt.Sprintf("%s: the tags cannot be read: %v", name, err))
			} else {
				z.tag(tags)
			}
		}
		if u, ok := p.(interface {
			Unmanaged(context.Context, zone.Name) ([]provider.Unmanaged, error)
		}); ok {
			if left, err := u.Unmanaged(ctx, z.Name); err == nil {
				for _, l := range left[:min(len(left), maxShown)] {
					z.Leftovers = append(z.Leftovers, fmt.Sprintf("%s: %s %s: %s", name, l.Name, l.Type, l.Why))
				}
			}
		}
		if first == nil {
			first = live
			z.Sets = live.Sets
			for _, s := range live.Sets {
				z.Records += len(s.Values)
			}
			continue
		}
		if first.Digest != live.Digest {
			z.Problems = append(z.Problems, fmt.Sprintf("%s serves %d record sets and %s serves %d, and they are not the same", z.Providers[0], len(first.Sets), name, len(live.Sets)))
		}
	}
}

func (z *Zone) tag(tags map[string]string) {
	if z.tags == nil {
		z.tags = map[string]string{}
	}
	maps.Copy(z.tags, tags)
}
