// Package several makes one provider of all that serve a zone together: they hold the same
// record sets, a plan is made at each of them, and nothing counts as live before all have it.
// It talks to no server itself, and knows no kind of provider. Serial numbers, and name
// servers that a service puts at the top of its zones by itself, are each provider's own and
// no difference.
//
// Read this file first, then combine.go (what they agree on, and what it looks like when
// they do not), apply.go (how a plan is made at all of them, in which order) and state.go
// (how an apply that stopped between two of them is told from somebody's edit).
package several

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"slipway/provider"
	"slipway/provider/journal"
	"slipway/zone"
)

// Member is one of the providers.
type Member struct {
	Name     string // what slipway.yaml calls it
	Provider provider.Provider
}

// Options are what a provider of several is made of.
type Options struct {
	Members []Member // in the order in which plans are made at them; two at least
	Journal *Journal // of all zones of this server; nil keeps one in memory
	Now     func() time.Time
}

// Provider implements provider.Provider, provider.Summariser and provider.Resumer. It is
// safe for concurrent use, and costs nothing to make.
type Provider struct{ o Options }

// maxEntry bounds what the journal keeps of one zone while a plan is being made, in bytes:
// each record set that changes, before and after, for each provider.
const maxEntry = 256 << 20

// Journal remembers which plan is being made at which zone. See package journal.
type Journal = journal.Journal[entry]

// OpenJournal opens the journal in dir; with "" it is in memory and dies with the process.
func OpenJournal(dir string) (*Journal, error) { return journal.Open[entry](dir, maxEntry) }

// New makes a provider of several.
func New(o Options) (*Provider, error) {
	if len(o.Members) < 2 {
		return nil, errors.New("several providers: there are not two of them")
	}
	seen := map[string]bool{}
	for _, m := range o.Members {
		if m.Name == "" || m.Provider == nil || seen[m.Name] {
			return nil, fmt.Errorf("several providers: %q is named twice, or is none", m.Name)
		}
		seen[m.Name] = true
	}
	if o.Journal == nil {
		var err error
		if o.Journal, err = OpenJournal(""); err != nil {
			return nil, err
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Provider{o}, nil
}

// names are all members, for people.
func (p *Provider) names() string {
	var all []string
	for _, m := range p.o.Members {
		all = append(all, m.Name)
	}
	return strings.Join(all, ", ")
}

// Read returns what all of them have. Where they differ, Live.Parts says what each has. While
// a plan is being made, the zone is what it was when that began: it changes when all have it.
func (p *Provider) Read(ctx context.Context, z zone.Name) (*provider.Live, error) {
	v, err := p.look(ctx, z)
	if err != nil {
		return nil, err
	}
	return v.live, nil
}

// Summary implements provider.Summariser: members that agree are not asked for their sets.
func (p *Provider) Summary(ctx context.Context, z zone.Name) (*provider.Live, error) {
	before, err := p.o.Journal.Load(z)
	if err != nil {
		return nil, err
	}
	if before.Change == "" && before.Commit == "" || before.Done {
		parts, err := p.each(ctx, func(ctx context.Context, m provider.Provider) (*provider.Live, error) {
			if s, ok := m.(provider.Summariser); ok {
				return s.Summary(ctx, z)
			}
			return m.Read(ctx, z)
		})
		if err != nil {
			return nil, err
		}
		now, err := p.o.Journal.Load(z)
		if err != nil {
			return nil, err
		}
		if agreed(parts) && now.Version == before.Version {
			live := Combine(z, parts)
			live.Sets = nil
			return live, nil
		}
	}
	live, err := p.Read(ctx, z)
	if err != nil {
		return nil, err
	}
	short := *live
	short.Sets, short.Parts = nil, nil
	return &short, nil
}

// each asks all members at once. The TTL that a set has which gives none is the first
// member's, so that all get the same.
func (p *Provider) each(ctx context.Context, ask func(context.Context, provider.Provider) (*provider.Live, error)) ([]provider.Part, error) {
	parts := make([]provider.Part, len(p.o.Members))
	faults := make([]error, len(parts))
	var g errgroup.Group
	for i, m := range p.o.Members {
		g.Go(func() error {
			live, err := ask(ctx, m.Provider)
			if err != nil {
				faults[i] = fmt.Errorf("provider %s: %w", m.Name, err)
				return nil
			}
			own := *live // providers may remember what they return
			parts[i] = provider.Part{Provider: m.Name, Live: &own}
			return nil
		})
	}
	_ = g.Wait() // each tells its own fault
	if err := errors.Join(faults...); err != nil {
		return parts, err
	}
	ttl := parts[0].Live.DefaultTTL
	for _, part := range parts {
		part.Live.DefaultTTL = ttl
	}
	return parts, nil
}

// view is a zone at all members.
type view struct {
	entry  entry
	now    []provider.Part
	before []provider.Part // as they were when the plan that is being made was begun; now when none is
	live   *provider.Live  // what all have, of before
	under  bool            // a plan is being made, and the zone is somewhere on its way
}

// maxLooks bounds how often a zone is read again because a plan was begun or finished meanwhile.
const maxLooks = 5

func (p *Provider) look(ctx context.Context, z zone.Name) (*view, error) {
	for looks := 1; ; looks++ {
		e, err := p.o.Journal.Load(z)
		if err != nil {
			return nil, err
		}
		now, err := p.each(ctx, func(ctx context.Context, m provider.Provider) (*provider.Live, error) { return m.Read(ctx, z) })
		if err != nil {
			return &view{entry: e, now: now}, err
		}
		after, err := p.o.Journal.Load(z)
		if err != nil {
			return nil, err
		}
		if after.Version == e.Version || looks == maxLooks {
			return p.see(z, after, now), nil
		}
	}
}

// see finds out what a zone is, from what each member has and from the plan that was begun.
func (p *Provider) see(z zone.Name, e entry, now []provider.Part) *view {
	v := &view{entry: e, now: now, before: now, live: Combine(z, now)}
	if e.Done || len(e.Members) == 0 || len(v.live.Parts) == 0 && v.live.Digest == e.After {
		return v
	}
	before := make([]provider.Part, len(now))
	moved := false
	for i, part := range now {
		m, ok := e.member(part.Provider)
		if !ok {
			return v
		}
		sets, ok := m.undo(part.Live.Sets, p.inSteps(i))
		if !ok {
			return v
		}
		was := *part.Live
		was.Sets, was.Digest, was.Exists = sets, m.Before, m.Existed
		if was.ApexNS = nil; m.OwnNS {
			was.ApexNS = apexNS(z, sets)
		}
		moved = moved || was.Digest != part.Live.Digest || was.Exists != part.Live.Exists
		before[i] = provider.Part{Provider: part.Provider, Live: &was}
	}
	v.before, v.live, v.under = before, Combine(z, before), moved
	if moved {
		v.live.Serial = e.SerialBefore
	}
	return v
}

// inSteps says whether a member may be left between two steps of one plan.
func (p *Provider) inSteps(i int) bool {
	_, ok := p.o.Members[i].Provider.(provider.Resumer)
	return ok
}

// Unmanaged lists what is in the zone at any member and stays there as it is.
func (p *Provider) Unmanaged(ctx context.Context, z zone.Name) ([]provider.Unmanaged, error) {
	var all []provider.Unmanaged
	for _, m := range p.o.Members {
		u, ok := m.Provider.(interface {
			Unmanaged(ctx context.Context, z zone.Name) ([]provider.Unmanaged, error)
		})
		if !ok {
			continue
		}
		its, err := u.Unmanaged(ctx, z)
		if err != nil {
			return nil, fmt.Errorf("provider %s: %w", m.Name, err)
		}
		for _, one := range its {
			if !slices.ContainsFunc(all, func(had provider.Unmanaged) bool { return had.Name == one.Name && had.Type == one.Type }) {
				all = append(all, one)
			}
		}
	}
	return all, nil
}

// Resumes implements provider.Resumer, for when the journal is lost, and for a member that
// is new to the zone: each part must be what it was before, or what the plan asks for, or
// something of both, and nothing that anybody else did. An empty one is nobody's edit.
func (p *Provider) Resumes(plan provider.Plan, live, before *provider.Live) (bool, error) {
	for _, part := range live.Parts {
		i := p.index(part.Provider)
		if i < 0 {
			return false, nil
		}
		if part.Live.Empty() {
			continue
		}
		was := *part.Live
		was.Sets = part.Live.WithTTLs(before.Sets)
		was.Digest = provider.Digest(was.Sets)
		b := begin(plan.Zone, provider.Part{Provider: part.Provider, Live: &was}, part.Live.WithTTLs(withoutMark(plan.Zone, plan.Desired)))
		if _, ok := b.undo(part.Live.Sets, p.inSteps(i)); !ok {
			return false, nil
		}
	}
	return len(live.Parts) > 0, nil
}

func (p *Provider) index(name string) int {
	for i, m := range p.o.Members {
		if m.Name == name {
			return i
		}
	}
	return -1
}
