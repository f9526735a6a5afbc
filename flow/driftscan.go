package flow

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.temporal.io/sdk/workflow"
	"golang.org/x/sync/errgroup"

	"slipway/audit"
	"slipway/drift"
	"slipway/lifecycle"
	"slipway/provider"
	"slipway/repo"
	"slipway/zone"
)

// This file is the order in which zones are compared: from time to time, and when somebody asks, a few at
// a time. How far a pass has come is in the workflow's history, so that a server which is killed
// goes on with the zones that are left.

const (
	zonesAPass     = 200 // compared in one step of a workflow
	comparedAtOnce = 4   // of these at the same time
	parentsAsked   = 20  // zones that are named and whose parents are asked, too
)

// pass is a part of the zones to compare.
type pass struct {
	Zones    []string `json:",omitempty"` // none: all
	After    string   `json:",omitempty"` // begin with the zone after this one
	Asked    string   `json:",omitempty"` // who waits for it, in this process
	Thorough bool     `json:",omitempty"` // do not take a serial's word for it
}

// driftWorkflow compares the live zones with main from time to time, and looks after what follows from it.
func driftWorkflow(ctx workflow.Context) error {
	var a *acts
	for range maxPasses {
		// What failed is told in the server's log, and the next pass tries again.
		_ = workflow.ExecuteActivity(remote(ctx), a.ResumeReverts).Get(ctx, nil)
		_ = workflow.ExecuteActivity(remote(ctx), a.ServeFirst).Get(ctx, nil)
		_ = workflow.ExecuteActivity(remote(ctx), a.ReportDrift).Get(ctx, nil)
		interval := 5 * time.Minute
		_ = workflow.ExecuteLocalActivity(quick(ctx), a.DriftInterval).Get(ctx, &interval)
		if err := workflow.Sleep(ctx, interval); err != nil {
			return err
		}
		_ = comparePasses(ctx, pass{})
	}
	return workflow.NewContinueAsNewError(ctx, driftType)
}

// compareWorkflow compares zones because somebody asks.
func compareWorkflow(ctx workflow.Context, p pass) error { return comparePasses(ctx, p) }

// comparePasses compares all zones of p, a pass after the other.
func comparePasses(ctx workflow.Context, p pass) error {
	var a *acts
	for {
		var next string
		if err := workflow.ExecuteActivity(remote(ctx), a.Compare, p).Get(ctx, &next); err != nil || next == "" {
			return err
		}
		p.After = next
	}
}

func (a *acts) Compare(ctx context.Context, p pass) (next string, err error) {
	err = a.chore(ctx, "the live zones could not be compared", func(ctx context.Context) error {
		next, err = a.s.comparePass(ctx, p)
		return err
	})
	return next, err
}

// part cuts the zones of one step out of all, and returns the last of them if there are more.
func (p pass) part(zones []zone.Name) (part []zone.Name, next string) {
	if p.After != "" {
		i, found := slices.BinarySearch(zones, zone.Name(p.After))
		if found {
			i++
		}
		zones = zones[i:]
	}
	if len(zones) > zonesAPass {
		zones = zones[:zonesAPass]
		next = string(zones[len(zones)-1])
	}
	return zones, next
}

// askAbove looks above a zone that somebody asks for by name.
func (s *Service) askAbove(ctx context.Context, main *repo.Tree, z zone.Name, wait *asked) {
	rep, err := s.parentOf(ctx, main, z)
	if err != nil { // not the zone's fault
		s.o.Logger.Warn("the zone above a zone could not be asked", "zone", z, "error", err)
		return
	}
	wait.add(rep, nil)
}

// asked is what somebody waits for who asked for a comparison.
type asked struct {
	mu    sync.Mutex // held for the length of an append
	found []drift.Report
	err   error // of a zone that was named
}

func (a *asked) add(rep *drift.Report, err error) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if rep != nil {
		a.found = append(a.found, *rep)
	}
	if a.err == nil {
		a.err = err
	}
}

// Drift compares zones with main now; none named means all. What differs, or differs no more, becomes
// an event. What a merged change that is on its way will change is no drift, and is shown as such.
func (s *Service) Drift(ctx context.Context, zones []zone.Name) ([]drift.Report, error) {
	var token [8]byte
	if _, err := rand.Read(token[:]); err != nil {
		return nil, explain("compare the zones", err)
	}
	p := pass{Asked: hex.EncodeToString(token[:]), Thorough: true}
	for _, z := range zones {
		p.Zones = append(p.Zones, string(z))
	}
	slices.Sort(p.Zones)
	p.Zones = slices.Compact(p.Zones)
	wait := new(asked)
	s.asking.Store(p.Asked, wait)
	defer s.asking.Delete(p.Asked)
	run, err := s.engine.client.ExecuteWorkflow(ctx, s.startOptions(compareType+"/"+p.Asked, 0), compareType, p)
	if err != nil {
		return nil, explain("compare the zones", err)
	}
	err = run.Get(ctx, nil)
	wait.mu.Lock()
	defer wait.mu.Unlock()
	if wait.err != nil {
		return nil, wait.err
	}
	if err != nil {
		return nil, explain("compare the zones", err)
	}
	slices.SortFunc(wait.found, func(a, b drift.Report) int { return cmp.Or(cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.Scope, b.Scope)) })
	return wait.found, nil
}

// comparePass compares the next zones of a pass, and returns the last of them if there are more.
func (s *Service) comparePass(ctx context.Context, p pass) (next string, err error) {
	var wait *asked
	if v, ok := s.asking.Load(p.Asked); ok {
		wait = v.(*asked)
	}
	main, err := s.main(ctx)
	if err != nil {
		wait.add(nil, explain("read the zones repository", err))
		return "", err
	}
	var zones []zone.Name
	for _, z := range p.Zones {
		zones = append(zones, zone.Name(z))
	}
	named := len(zones) > 0
	if !named {
		if zones, err = allZones(ctx, main); err != nil {
			wait.add(nil, explain("read the zones repository", err))
			return "", err
		}
	}
	zones, next = p.part(zones)
	var mu sync.Mutex // of trouble
	var trouble zoneTrouble
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(comparedAtOnce)
	for _, z := range zones {
		g.Go(func() error {
			rep, err := s.driftOf(gctx, main, z, p.Thorough)
			switch {
			case err == nil:
				wait.add(rep, nil)
				if named && len(p.Zones) <= parentsAsked {
					s.askAbove(gctx, main, z, wait)
				}
			case named || gctx.Err() != nil:
				wait.add(nil, explain(fmt.Sprintf("compare the zone %s", z), err))
				return err
			default:
				mu.Lock()
				defer mu.Unlock()
				trouble.add(z, err)
			}
			return nil
		})
	}
	err = g.Wait()
	trouble.tell(s, "zones could not be compared")
	return next, err
}

// allZones lists the zones that main serves: those with a file, and those of the settings, which apps alone may fill.
func allZones(ctx context.Context, main *repo.Tree) ([]zone.Name, error) {
	names, err := main.ZoneNames(ctx)
	if err != nil {
		return nil, err
	}
	settings, err := main.Settings(ctx)
	if err != nil {
		return nil, err
	}
	all := slices.AppendSeq(slices.Clone(names), maps.Keys(settings.Zones))
	slices.Sort(all)
	return slices.Compact(all), nil
}

// zoneTrouble gathers what went wrong with zones, to be told in one line: a repository may have hundreds that no
// provider is set for.
type zoneTrouble struct {
	n     int
	first zone.Name
	err   error
}

func (t *zoneTrouble) add(z zone.Name, err error) {
	if t.n++; t.n == 1 {
		t.first, t.err = z, err
	}
}

func (t *zoneTrouble) tell(s *Service, what string) {
	if t.n > 0 {
		s.o.Logger.Warn(what, "count", t.n, "zone", t.first, "error", t.err)
	}
}

// driftInterval is how often to compare, from the settings in force.
func (s *Service) driftInterval(ctx context.Context) (time.Duration, error) {
	settings, err := s.settings(ctx)
	if err != nil {
		return 0, err
	}
	if d := settings.Drift.Interval; d > 0 {
		return d, nil
	}
	return 5 * time.Minute, nil
}

// serveFirst applies the zones that no provider has yet and that Slipway never applied: a new
// organisation's first zones are on main without having been a change.
func (s *Service) serveFirst(ctx context.Context) error {
	main, err := s.main(ctx)
	if err != nil {
		return err
	}
	names, err := allZones(ctx, main)
	if err != nil {
		return err
	}
	var trouble zoneTrouble
	for _, z := range names {
		if err := s.serveFirstZone(ctx, main, z); err != nil {
			if ctx.Err() != nil {
				return err
			}
			trouble.add(z, err)
		}
	}
	trouble.tell(s, "zones that are not served yet could not be applied")
	return nil
}

func (s *Service) serveFirstZone(ctx context.Context, main *repo.Tree, z zone.Name) error {
	unlock, err := s.zones.take(ctx, string(z))
	if err != nil {
		return err
	}
	defer unlock()
	if last, err := s.lastApplied(ctx, z); err != nil || last.commit != "" {
		return err
	}
	p, err := s.provider(ctx, main, z)
	if err != nil {
		return err
	}
	live, err := drift.Glance(ctx, p, z)
	if err != nil || !live.Empty() {
		return err
	}
	want, err := s.targetAt(ctx, main.Commit(), z)
	if err != nil {
		return err
	}
	receipt, err := p.Apply(ctx, provider.NewPlan(z, want.sets, live, "", main.Commit()))
	if err != nil {
		return err
	}
	refs := make(map[string]string)
	if refs["zone-before"], err = s.snapshot(ctx, z, live.Sets, nil); err != nil {
		return err
	}
	if refs["zone-after"], err = s.snapshot(ctx, z, want.sets, nil); err != nil {
		return err
	}
	if refs["receipt"], err = s.keep(ctx, "receipt", receipt); err != nil {
		return err
	}
	raw, err := lifecycle.Encode(lifecycle.ApplyDetails{Receipt: *receipt, Commit: main.Commit()})
	if err != nil {
		return err
	}
	_, err = s.o.Log.Append(ctx, audit.Event{
		Actor: system, Action: audit.ApplyZone, Timestamp: s.now(), Resource: audit.Resource{Zone: string(z)}, GitCommit: main.Commit(),
		ArtifactRefs: refs, Details: raw, Once: "first/" + string(z),
	})
	return err
}
