// Package catalog opens providers by what slipway.yaml says of them: a type, and settings
// that are texts. It owns which types there are and what their settings are called, and
// fetches the credentials that the settings refer to. It is the one place that knows
// every provider. Read this file first, then types.go, which a new provider is added to.
package catalog

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/internal/part"
	"slipway/provider"
	"slipway/provider/several"
	"slipway/provider/zonefile"
	"slipway/repo"
	"slipway/secret"
	"slipway/zone"
)

// Options are what providers need from the server.
type Options struct {
	Files   *zonefile.Provider // the embedded provider, for type zonefile
	Secrets *secret.Resolver   // default one that knows env: and file:
	Dir     string             // where providers keep journals, each below its name
	Now     func() time.Time   // default time.Now
}

// Catalog opens providers and keeps them, since they remember what they have read. It is
// safe for concurrent use.
type Catalog struct {
	o Options

	// mu guards open and joined, and is held while a provider is opened: one for all who need it.
	mu     sync.Mutex
	open   map[string]*opened
	joined *several.Journal // nil until it is needed
}

// opened is a provider with what it was opened from.
type opened struct {
	p       provider.Provider
	from    [sha256.Size]byte // the settings
	secrets [sha256.Size]byte
	at      time.Time // when the secrets were looked at
}

// refresh is how often a provider's secrets are fetched again, so that one which was
// replaced where it is kept is used before long.
const refresh = time.Minute

// New makes an empty catalog.
func New(o Options) *Catalog {
	if o.Secrets == nil {
		o.Secrets = secret.NewResolver()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Catalog{o: o, open: map[string]*opened{}}
}

// Open returns the provider that slipway.yaml calls name. Its settings are checked;
// its server need not be there.
func (c *Catalog) Open(ctx context.Context, name, typ string, params map[string]string) (provider.Provider, error) {
	read, ok := types[typ]
	if !ok {
		return nil, fmt.Errorf("provider %q has type %q, which is none of: %s", name, typ, strings.Join(Types(), ", "))
	}
	from := digest(typ, params)
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.o.Now()
	have := c.open[name]
	if have != nil && have.from == from && now.Sub(have.at) < refresh {
		return have.p, nil
	}
	in := &settings{Reader: part.Read("provider "+name, params, c.o.Secrets), catalog: c, name: name, secrets: sha256.New()}
	finish := read(ctx, in)
	if err := in.Done(); err != nil {
		return nil, err
	}
	sum := [sha256.Size]byte(in.secrets.Sum(nil))
	if have != nil && have.from == from && have.secrets == sum {
		have.at = now
		return have.p, nil
	}
	p, err := finish()
	if err != nil {
		return nil, err
	}
	c.open[name] = &opened{p: p, from: from, secrets: sum, at: now}
	return p, nil
}

// OpenZone returns what serves a zone as s names it: its provider, or all of its providers as
// one. It is Serving and Join.
func (c *Catalog) OpenZone(ctx context.Context, s *repo.Settings, z zone.Name) (provider.Provider, error) {
	all, err := c.Serving(ctx, s, z)
	if err != nil {
		return nil, err
	}
	return c.Join(all)
}

// Serving returns each of the providers that serve a zone, in the order in which s names them.
func (c *Catalog) Serving(ctx context.Context, s *repo.Settings, z zone.Name) ([]several.Member, error) {
	names := s.Zones[z].Providers
	if len(names) == 0 {
		return nil, fmt.Errorf("zone %s: slipway.yaml names no provider for it", z)
	}
	var all []several.Member
	for _, name := range names {
		set, ok := s.Providers[name]
		if !ok {
			return nil, fmt.Errorf("zone %s: provider %q is not in slipway.yaml", z, name)
		}
		p, err := c.Open(ctx, name, set.Type, set.Params)
		if err != nil {
			return nil, fmt.Errorf("zone %s: %w", z, err)
		}
		all = append(all, several.Member{Name: name, Provider: p})
	}
	return all, nil
}

// Join makes one provider of those that serve a zone, which the caller may have put something
// around.
func (c *Catalog) Join(all []several.Member) (provider.Provider, error) {
	if len(all) == 1 {
		return all[0].Provider, nil
	}
	journal, err := c.journal()
	if err != nil {
		return nil, err
	}
	return several.New(several.Options{Members: all, Journal: journal, Now: c.o.Now})
}

// together is the directory of the journal of zones that several providers serve. No
// provider's own has a name like it.
const together = "several"

// journal is one for all zones, opened when the first needs it.
func (c *Catalog) journal() (*several.Journal, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.joined != nil {
		return c.joined, nil
	}
	dir := ""
	if c.o.Dir != "" {
		dir = filepath.Join(c.o.Dir, together)
	}
	j, err := several.OpenJournal(dir)
	if err == nil {
		c.joined = j
	}
	return j, err
}

// Types lists the types that a provider can have.
func Types() []string { return slices.Sorted(maps.Keys(types)) }

func digest(typ string, params map[string]string) [sha256.Size]byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%q", typ)
	for _, k := range slices.Sorted(maps.Keys(params)) {
		fmt.Fprintf(&b, " %q %q", k, params[k])
	}
	return sha256.Sum256([]byte(b.String()))
}

// Answerer is a provider that knows which servers answer for its zones.
type Answerer interface {
	// Servers returns them as host:port.
	Servers(ctx context.Context, z zone.Name) ([]string, error)
}

// Servers returns the servers to ask whether a change of zone z has arrived: those that
// the provider names, or else those of the zone's own NS records.
func Servers(ctx context.Context, p provider.Provider, z zone.Name) ([]string, error) {
	if a, ok := p.(Answerer); ok {
		return a.Servers(ctx, z)
	}
	live, err := p.Read(ctx, z)
	if err != nil {
		return nil, err
	}
	for _, set := range live.Sets {
		if set.Name != z || set.Type != "NS" {
			continue
		}
		var out []string
		for _, v := range set.Values {
			out = append(out, net.JoinHostPort(strings.TrimSuffix(v, "."), "53"))
		}
		return out, nil
	}
	return nil, fmt.Errorf("zone %s has no NS records at its provider, so there is no server to ask", z)
}
