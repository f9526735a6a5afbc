package service

import (
	"slipway/provider"
)

// Resumes implements provider.Resumer: the journal must say that this very plan was begun
// on the zone that it was first made against, and live must be a mixture of that and of
// what the plan asks for.
func (s Service) Resumes(plan provider.Plan, live, before *provider.Live) (bool, error) {
	e, err := s.Journal.Load(plan.Zone)
	if err != nil {
		return false, Fault(plan.Zone, err)
	}
	plan.Desired = (&provider.Live{DefaultTTL: s.DefaultTTL}).WithTTLs(plan.Desired)
	begun := e.Change == plan.ChangeID && e.Commit == plan.Commit && e.Asked == provider.Digest(plan.Desired)
	sets := live.WithTTLs(before.Sets)
	if !begun || e.done() || e.Before != provider.Digest(sets) {
		return false, nil
	}
	return provider.Mixture(live.Sets, sets, live.WithTTLs(plan.Desired)), nil
}
