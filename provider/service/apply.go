package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"slipway/provider"
	"slipway/zone"
)

// maxID bounds the change ID and the commit that a journal holds.
const maxID = 512

// Lost stands for the service's own change ID where its answer never arrived, but the
// zone shows that the change was made.
const Lost = "unknown: the answer was lost, and the zone was found as asked for"

// Apply makes the zone equal to plan.Desired. See provider.Provider for what that
// promises when it is killed and run again. An apply that stopped in the middle goes on
// when the journal says that this plan was begun and the live zone is a mixture of what
// it was made against and what it asks for, and of nothing else.
func (s Service) Apply(ctx context.Context, plan provider.Plan) (*provider.Receipt, error) {
	if len(plan.ChangeID) > maxID || len(plan.Commit) > maxID {
		return nil, fmt.Errorf("zone %s: a change ID or commit of more than %d bytes is not one", plan.Zone, maxID)
	}
	if err := CheckZone(plan.Zone); err != nil {
		return nil, err
	}
	plan.Desired = (&provider.Live{DefaultTTL: s.DefaultTTL}).WithTTLs(plan.Desired)
	if err := plan.Validate(); err != nil {
		return nil, err
	}
	for _, set := range plan.Desired {
		if name, err := zone.ParseName(string(set.Name)); err != nil || name != set.Name {
			return nil, fmt.Errorf("zone %s was not changed: %q is not a domain name in canonical form", plan.Zone, string(set.Name))
		}
		if s.Check != nil {
			if err := s.Check(plan.Zone, set); err != nil {
				return nil, fmt.Errorf("zone %s was not changed: %w", plan.Zone, err)
			}
		}
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Sleep == nil {
		s.Sleep = Pause
	}
	unlock, err := s.Journal.Lock(ctx, plan.Zone)
	if err != nil {
		return nil, err
	}
	defer unlock()
	r, err := s.apply(ctx, plan)
	return r, Fault(plan.Zone, err)
}

// apply is Apply for a plan that is in order. The caller holds the zone's lock.
func (s Service) apply(ctx context.Context, plan provider.Plan) (*provider.Receipt, error) {
	now, err := s.Read(ctx, plan.Zone)
	if err != nil {
		return nil, err
	}
	e, err := s.Journal.Load(plan.Zone)
	if err != nil {
		return nil, err
	}
	live, asked := now.Live(), provider.Digest(plan.Desired)
	plan.Desired = live.WithTTLs(plan.Desired)
	after := provider.Digest(plan.Desired)
	begun := e.Change == plan.ChangeID && e.Commit == plan.Commit && e.Asked == asked
	if live.Exists && live.Digest == after {
		return s.already(plan, live, e, begun)
	}
	before := live.Digest
	switch {
	case plan.Expect == provider.ExpectAnything, plan.Expect == live.Digest:
	case begun && !e.done() && e.Before == plan.Expect && provider.Mixture(live.Sets, plan.Base(), plan.Desired):
		before = e.Before
	default:
		return nil, &provider.DriftedError{Zone: plan.Zone, Expect: plan.Expect, Found: live.Digest}
	}
	if begun && !e.done() && e.Live == live.Digest {
		before = e.Before // planned anew after a kill: it is still the same apply
	}
	e = entry{Change: plan.ChangeID, Commit: plan.Commit, Asked: asked, SerialBefore: live.Serial, Before: before, After: after, Live: live.Digest}
	if err := s.Journal.Save(plan.Zone, e); err != nil {
		return nil, err
	}
	parts := provider.Order(zone.Diff(plan.Zone, live.Sets, plan.Desired))
	var come []zone.RRSet
	for _, edit := range slices.Concat(parts...) {
		if edit.After != nil {
			come = append(come, *edit.After)
		}
	}
	if err := provider.Blocked(come, now.Unmanaged()); err != nil {
		return nil, err
	}
	change, failed := now.Write(ctx, parts)
	if errors.Is(failed, errRefused) {
		return nil, failed
	}
	found, err := s.find(ctx, plan, failed != nil)
	if err != nil {
		return nil, errors.Join(failed, fmt.Errorf("the zone could not be read again, so whether it was changed is not known; run this again to find out: %w", err))
	}
	// A zone that was made just now has got its own NS set.
	plan.Desired = found.WithTTLs(plan.Desired)
	e.After = provider.Digest(plan.Desired)
	switch {
	case found.Exists && found.Digest == e.After:
		if change == "" {
			change = Lost
		}
		return s.finish(plan, e, found, change)
	case failed != nil && found.Digest == live.Digest:
		return nil, failed // nothing was changed
	case !provider.Mixture(found.Sets, live.Sets, plan.Desired):
		// Not by us: what was live, what was asked for, or something in between.
		if failed == nil {
			failed = fmt.Errorf("the provider accepted this change, and then was found to differ from it in %s", summary(zone.Diff(plan.Zone, found.Sets, plan.Desired)))
		}
		return nil, errors.Join(&provider.DriftedError{Zone: plan.Zone, Expect: plan.Expect, Found: found.Digest}, failed)
	}
	e.Live = found.Digest
	if err := s.Journal.Save(plan.Zone, e); err != nil {
		return nil, err
	}
	left := zone.Diff(plan.Zone, found.Sets, plan.Desired)
	if failed == nil {
		failed = errors.New("the provider accepted the change and shows something else")
	}
	return nil, fmt.Errorf("%d record sets are not as asked for yet (%s). Run the same change again to go on from here: %w", len(left), summary(left), failed)
}

// already is the receipt for a zone that is as desired: that of the apply which made it
// so when it was this one, else one that says nothing was done.
func (s Service) already(plan provider.Plan, live *provider.Live, e entry, begun bool) (*provider.Receipt, error) {
	switch {
	case begun && !e.done():
		return s.finish(plan, e, live, Lost)
	case begun && (s.shared || e.Serial == live.Serial) && e.After == live.Digest:
		return s.receipt(plan.Zone, e), nil
	}
	return &provider.Receipt{
		Provider: s.Name, Name: s.Name, Zone: plan.Zone, ProviderChange: "none: the zone was as asked for already",
		SerialBefore: live.Serial, Serial: live.Serial, Before: live.Digest, After: live.Digest, At: s.Now().UTC(),
	}, nil
}

func (s Service) finish(plan provider.Plan, e entry, live *provider.Live, change string) (*provider.Receipt, error) {
	e.ProviderChange, e.Serial, e.At, e.Live, e.After = change, live.Serial, s.Now().UTC(), live.Digest, live.Digest
	if err := s.Journal.Save(plan.Zone, e); err != nil {
		return nil, err
	}
	return s.receipt(plan.Zone, e), nil
}

func (s Service) receipt(z zone.Name, e entry) *provider.Receipt {
	return &provider.Receipt{
		Provider: s.Name, Name: s.Name, Zone: z, ProviderChange: e.ProviderChange, SerialBefore: e.SerialBefore, Serial: e.Serial,
		Before: e.Before, After: e.After, Applied: true, At: e.At,
	}
}

// find reads the zone until it is as asked for or the service had time to settle. After
// a failure it does so in a time of its own when the caller's has run out: what was
// done is better known than not.
func (s Service) find(ctx context.Context, plan provider.Plan, failed bool) (*provider.Live, error) {
	if failed && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
	}
	for i := 0; ; i++ {
		now, err := s.Read(ctx, plan.Zone)
		if err != nil {
			return nil, err
		}
		live := now.Live()
		if i == len(s.Settle) || live.Exists && live.Digest == provider.Digest(live.WithTTLs(plan.Desired)) {
			return live, nil
		}
		if err := s.Sleep(ctx, s.Settle[i]); err != nil {
			return nil, err
		}
	}
}

// errRefused is what Refused wraps.
var errRefused = errors.New("nothing was sent")

// Refused marks an error of Write before anything was sent, so that the zone need not be
// read again.
func Refused(err error) error { return &refusedError{err} }

type refusedError struct{ err error }

func (e *refusedError) Error() string        { return e.err.Error() }
func (e *refusedError) Unwrap() error        { return e.err }
func (e *refusedError) Is(target error) bool { return target == errRefused }

// summary names the first few sets of some edits.
func summary(edits []zone.Edit) string {
	names := make([]string, len(edits))
	for i, e := range edits {
		names[i] = fmt.Sprintf("%s %s", e.Type, e.Name)
	}
	return provider.Listing(names)
}
