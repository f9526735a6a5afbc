package flow

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"slipway/drift"
	"slipway/repo"
	"slipway/zone"
)

// This file looks at what the zones above say of ours, from time to time and when somebody asks for a zone by
// name. What is found becomes an event as every drift does; nobody here can put it right.

// delegationWorkflow looks at all zones' parents, a pass after the other.
func delegationWorkflow(ctx workflow.Context) error {
	var a *acts
	// A server that starts has enough to do, and its own zones may not be served yet.
	if err := workflow.Sleep(ctx, time.Minute); err != nil {
		return err
	}
	for range maxPasses {
		p := pass{}
		for {
			var next string
			if err := workflow.ExecuteActivity(remote(ctx), a.LookAbove, p).Get(ctx, &next); err != nil || next == "" {
				break
			}
			p.After = next
		}
		interval := repo.DefaultDelegationInterval
		_ = workflow.ExecuteLocalActivity(quick(ctx), a.DelegationInterval).Get(ctx, &interval)
		if err := workflow.Sleep(ctx, interval); err != nil {
			return err
		}
	}
	return workflow.NewContinueAsNewError(ctx, delegationType)
}

func (a *acts) DelegationInterval(ctx context.Context) (time.Duration, error) {
	settings, err := a.s.settings(ctx)
	if err != nil {
		return 0, failed("reading the settings", err)
	}
	return settings.Drift.Delegation, nil
}

func (a *acts) LookAbove(ctx context.Context, p pass) (next string, err error) {
	err = a.chore(ctx, "what the zones above say could not be looked at", func(ctx context.Context) error {
		next, err = a.s.parentsPass(ctx, p)
		return err
	})
	return next, err
}

// parentsPass looks above the next zones of a pass, and returns the last of them if there are more.
func (s *Service) parentsPass(ctx context.Context, p pass) (string, error) {
	main, err := s.main(ctx)
	if err != nil {
		return "", err
	}
	all, err := allZones(ctx, main)
	if err != nil {
		return "", err
	}
	zones, next := p.part(all)
	var trouble zoneTrouble
	for _, z := range zones {
		if _, err := s.parentOf(ctx, main, z); err != nil {
			if ctx.Err() != nil {
				return "", err
			}
			trouble.add(z, err)
		}
	}
	trouble.tell(s, "the zones above some zones could not be asked")
	return next, nil
}

// parentOf compares what the zone above says of a zone with what it is. nil: there is nobody to ask.
func (s *Service) parentOf(ctx context.Context, main *repo.Tree, z zone.Name) (*drift.Report, error) {
	if s.o.Parents == nil {
		return nil, nil
	}
	settings, err := main.Settings(ctx)
	if err != nil {
		return nil, err
	}
	signed := settings.Zones[z].DNSSEC == "required"
	look := func() ([]drift.Difference, error) {
		d, err := s.o.Parents(ctx, main, z)
		if err != nil {
			return nil, err
		}
		return d.Differences(signed), nil
	}
	found, err := look()
	if errors.Is(err, drift.ErrNoParent) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	unlock, err := s.zones.take(ctx, "parent/"+string(z))
	if err != nil {
		return nil, err
	}
	defer unlock()
	rep := drift.NewReport(z, drift.Parent, main.Commit(), found, s.now())
	if len(found) > 0 {
		if known, _, open, err := s.openDrift(ctx, subject{z, drift.Parent}); err != nil {
			return nil, err
		} else if !open || known.Digest != rep.Digest {
			// What is new is believed when it is seen twice: a packet that is lost is no finding.
			again, err := look()
			if err != nil {
				return nil, err
			}
			seen := make(map[string]bool)
			for _, d := range again {
				seen[d.Sentence()] = true
			}
			found = slices.DeleteFunc(found, func(d drift.Difference) bool { return !seen[d.Sentence()] })
			rep = drift.NewReport(z, drift.Parent, main.Commit(), found, s.now())
		}
	}
	return rep, s.found(ctx, rep, "")
}
