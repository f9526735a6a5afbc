package several

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/provider"
	"slipway/provider/service"
	"slipway/zone"
)

// maxID bounds the change ID and the commit that a journal holds.
const maxID = 512

// PartialError says that some of the providers have a change, or a part of it, and others
// have not. Nobody is told that it is live; the same apply goes on from there.
type PartialError struct {
	Zone zone.Name
	Done []provider.Receipt // of those that took a step
	Err  error              // why the others did not
}

func (e *PartialError) Error() string {
	var done []string
	for _, r := range e.Done {
		done = append(done, r.Provider+" ("+r.ProviderChange+")")
	}
	return fmt.Sprintf("zone %s is at several providers, and only some have this change so far: %s. The others are tried again, and nothing counts as live before all have it: %v",
		e.Zone, strings.Join(done, ", "), e.Err)
}

func (e *PartialError) Unwrap() error { return e.Err }

// checker is a provider that can say without being asked to write whether it could hold a set.
type checker interface {
	Check(z zone.Name, set zone.RRSet) error
}

// Apply makes the plan at each member. It goes in waves (see provider.Waves): within one, each
// member takes its part in turn, and one that fails keeps none of the others from theirs; the
// next wave begins when all have come that far. So a name is never broken for somebody who
// asks one provider's server for it and another's for what it points at.
func (p *Provider) Apply(ctx context.Context, plan provider.Plan) (*provider.Receipt, error) {
	if len(plan.ChangeID) > maxID || len(plan.Commit) > maxID {
		return nil, fmt.Errorf("zone %s: a change ID or commit of more than %d bytes is not one", plan.Zone, maxID)
	}
	if err := service.CheckZone(plan.Zone); err != nil {
		return nil, err
	}
	plan.Desired = withoutMark(plan.Zone, plan.Desired)
	if err := plan.Validate(); err != nil {
		return nil, err
	}
	unlock, err := p.o.Journal.Lock(ctx, plan.Zone)
	if err != nil {
		return nil, err
	}
	defer unlock()
	v, err := p.look(ctx, plan.Zone)
	if errors.Is(err, provider.ErrDamaged) && plan.Expect == provider.ExpectAnything {
		return p.repair(ctx, plan, v)
	}
	if err != nil {
		return nil, err
	}
	return p.apply(ctx, plan, v)
}

func (p *Provider) apply(ctx context.Context, plan provider.Plan, v *view) (*provider.Receipt, error) {
	z := plan.Zone
	// One TTL for all, where the plan gives none.
	plan.Desired = (&provider.Live{DefaultTTL: v.live.DefaultTTL}).WithTTLs(plan.Desired)
	e := v.entry
	asked, after := provider.Digest(plan.Desired), provider.Digest(v.live.WithTTLs(plan.Desired))
	same := e.Change == plan.ChangeID && e.Commit == plan.Commit && e.Asked == asked
	begun := same && !e.Done && len(e.Members) > 0
	switch {
	case !v.under && len(v.live.Parts) == 0 && v.live.Exists && v.live.Digest == after:
		if same && e.Done && e.Receipt != nil && e.Receipt.Serial == v.live.Serial && e.Receipt.After == after {
			return named(*e.Receipt), nil
		}
		if !begun {
			return p.unchanged(z, v.live), nil
		}
	case plan.Expect != provider.ExpectAnything && plan.Expect != v.live.Digest:
		return nil, &provider.DriftedError{Zone: z, Expect: plan.Expect, Found: v.live.Digest}
	}
	if err := p.check(plan, v.now); err != nil {
		return nil, err
	}
	if !begun || !v.under && v.live.Digest != after {
		var err error
		if e, err = p.begin(plan, v, asked, after); err != nil {
			return nil, err
		}
	}
	return p.run(ctx, plan, e, v.now)
}

// check refuses what one member could not hold, before another one has it.
func (p *Provider) check(plan provider.Plan, now []provider.Part) error {
	for i, m := range p.o.Members {
		c, ok := m.Provider.(checker)
		if !ok {
			continue
		}
		for _, edit := range now[i].Live.Edits(plan.Zone, plan.Desired) {
			if edit.After == nil {
				continue
			}
			if err := c.Check(plan.Zone, *edit.After); err != nil {
				return fmt.Errorf("zone %s was not changed at any of its providers, because %s could not hold it: %w", plan.Zone, m.Name, err)
			}
		}
	}
	return nil
}

// begin notes durably what is about to be done.
func (p *Provider) begin(plan provider.Plan, v *view, asked, after string) (entry, error) {
	e := entry{
		Version: v.entry.Version, Change: plan.ChangeID, Commit: plan.Commit, Asked: asked,
		Before: v.live.Digest, After: after, SerialBefore: v.live.Serial,
	}
	for i, part := range v.before {
		// What the plan makes of the zone as it is, told from what it was.
		desired := v.now[i].Live.WithTTLs(plan.Desired)
		b := begin(plan.Zone, part, desired)
		if earlier, ok := v.entry.member(part.Provider); ok && v.under {
			if err := b.over(earlier, desired); err != nil {
				return e, fmt.Errorf("zone %s: %w", plan.Zone, err)
			}
		}
		e.Members = append(e.Members, b)
	}
	return e, p.save(plan.Zone, &e)
}

func (p *Provider) save(z zone.Name, e *entry) error {
	e.Version++
	return p.o.Journal.Save(z, *e)
}

// run takes the steps that are left, and ends when all members are as asked for.
func (p *Provider) run(ctx context.Context, plan provider.Plan, e entry, now []provider.Part) (*provider.Receipt, error) {
	z := plan.Zone
	moved := make([]bool, len(now))
	waves := provider.Waves((&provider.Live{Zone: z, Parts: now}).Edits(z, plan.Desired))
	for _, wave := range waves {
		turn := make(map[zone.Name]bool, len(wave))
		for _, part := range wave {
			turn[part[0].Name] = true
		}
		if err := p.inTurn(z, &e, func(i int) (*provider.Receipt, error) {
			r, err := p.step(ctx, plan, i, now, turn)
			moved[i] = moved[i] || r != nil
			return r, err
		}); err != nil {
			return nil, err
		}
	}
	// Who had nothing left to do says what it did before, and a zone without record sets is made.
	if err := p.inTurn(z, &e, func(i int) (*provider.Receipt, error) {
		if moved[i] {
			return nil, nil
		}
		return p.step(ctx, plan, i, now, nil)
	}); err != nil {
		return nil, err
	}
	return p.finish(ctx, plan, e)
}

// inTurn has each member take a step in turn, and notes the receipts.
func (p *Provider) inTurn(z zone.Name, e *entry, step func(i int) (*provider.Receipt, error)) error {
	var faults []error
	for i, m := range p.o.Members {
		r, err := step(i)
		if err != nil {
			faults = append(faults, fmt.Errorf("provider %s: %w", m.Name, err))
			continue
		}
		if r == nil {
			continue
		}
		part := *r
		part.Provider, part.Name, part.At = m.Name, m.Name, r.At.UTC().Round(0)
		e.took(part)
		if err := p.save(z, e); err != nil {
			return err
		}
	}
	if len(faults) == 0 {
		return nil
	}
	done := slices.DeleteFunc(slices.Clone(e.Parts), func(r provider.Receipt) bool { return !r.Applied })
	if len(done) == 0 {
		return errors.Join(faults...)
	}
	return &PartialError{Zone: z, Done: done, Err: errors.Join(faults...)}
}

// step makes at one member what the plan says of some names; nil means all. now[i] is then
// what the member has. No receipt: there was nothing to do.
func (p *Provider) step(ctx context.Context, plan provider.Plan, i int, now []provider.Part, turn map[zone.Name]bool) (*provider.Receipt, error) {
	live := now[i].Live
	part := plan
	part.Expect = live.Digest
	part.Desired = live.WithTTLs(plan.Desired)
	part.Edits = zone.Diff(plan.Zone, live.Sets, part.Desired)
	if turn != nil {
		part.Edits = slices.DeleteFunc(part.Edits, func(e zone.Edit) bool { return !turn[e.Name] })
		if len(part.Edits) == 0 {
			return nil, nil
		}
		part.Desired = made(live.Sets, part.Edits)
	}
	r, err := p.o.Members[i].Provider.Apply(ctx, part)
	if err != nil {
		return nil, err
	}
	next := *live
	next.Sets, next.Digest, next.Exists = part.Desired, r.After, true
	if r.After != provider.Digest(part.Desired) { // a zone that was made just now has name servers of its own
		read, err := p.o.Members[i].Provider.Read(ctx, plan.Zone)
		if err != nil {
			return nil, err
		}
		next = *read
		next.DefaultTTL = live.DefaultTTL
	}
	now[i].Live = &next
	return r, nil
}

// made is sets with some edits made.
func made(sets []zone.RRSet, edits []zone.Edit) []zone.RRSet {
	edited := make(map[zone.Key]bool, len(edits))
	var out []zone.RRSet
	for _, e := range edits {
		edited[zone.Key{Name: e.Name, Type: e.Type}] = true
		if e.After != nil {
			out = append(out, *e.After)
		}
	}
	for _, set := range sets {
		if !edited[set.Key()] {
			out = append(out, set)
		}
	}
	return out
}

// finish looks at all members once more, and notes the receipt.
func (p *Provider) finish(ctx context.Context, plan provider.Plan, e entry) (*provider.Receipt, error) {
	z := plan.Zone
	v, err := p.look(ctx, z)
	if err != nil {
		return nil, fmt.Errorf("the providers took this change, and could not be read again, so whether all have it is not known; run this again to find out: %w", err)
	}
	live := Combine(z, v.now)
	after := provider.Digest(live.WithTTLs(plan.Desired))
	if len(live.Parts) > 0 || !live.Exists || live.Digest != after {
		left := live.Edits(z, plan.Desired)
		var names []string
		for _, edit := range left {
			names = append(names, edit.Type+" "+string(edit.Name))
		}
		return nil, errors.Join(&provider.DriftedError{Zone: z, Expect: after, Found: live.Digest},
			fmt.Errorf("all providers took this change, and then were found to differ from it in %s", provider.Listing(names)))
	}
	r := provider.Receipt{
		Provider: p.names(), Zone: z, SerialBefore: e.SerialBefore, Serial: live.Serial, Before: e.Before, After: after, Parts: e.Parts,
	}
	slices.SortFunc(r.Parts, func(a, b provider.Receipt) int { return p.index(a.Provider) - p.index(b.Provider) })
	var changes []string
	for _, part := range r.Parts {
		r.Applied = r.Applied || part.Applied
		if part.At.After(r.At) {
			r.At = part.At
		}
		changes = append(changes, part.Provider+" "+part.ProviderChange)
	}
	r.ProviderChange = cut(strings.Join(changes, "; "), maxChange)
	e.After, e.Members, e.Parts, e.Done, e.Receipt = after, nil, nil, true, &r
	if err := p.save(z, &e); err != nil {
		return nil, err
	}
	return named(r), nil
}

// named fills in what a receipt does not keep when it is written down.
func named(r provider.Receipt) *provider.Receipt {
	r.Name, r.Parts = r.Provider, slices.Clone(r.Parts)
	for i := range r.Parts {
		r.Parts[i].Name = r.Parts[i].Provider
	}
	return &r
}

// unchanged is the receipt for a zone that was as asked for at all members, by no doing of this apply.
func (p *Provider) unchanged(z zone.Name, live *provider.Live) *provider.Receipt {
	return named(provider.Receipt{
		Provider: p.names(), Zone: z, ProviderChange: "none: the zone was as asked for already, at all of its providers",
		SerialBefore: live.Serial, Serial: live.Serial, Before: live.Digest, After: live.Digest, At: p.o.Now().UTC().Round(time.Microsecond),
	})
}

// repair makes a zone what the plan says although some member's cannot be read: a person has
// decided that. Those are replaced whole; the others are changed as always.
func (p *Provider) repair(ctx context.Context, plan provider.Plan, v *view) (*provider.Receipt, error) {
	e := entry{Version: v.entry.Version, Change: plan.ChangeID, Commit: plan.Commit, Before: "damaged"}
	ttl := 0
	for i, m := range p.o.Members {
		if ttl == 0 && v.now[i].Live != nil {
			ttl = v.now[i].Live.DefaultTTL
		}
		if v.now[i].Live == nil {
			if _, err := m.Provider.Read(ctx, plan.Zone); err != nil && !errors.Is(err, provider.ErrDamaged) {
				return nil, fmt.Errorf("provider %s: %w", m.Name, err)
			}
		}
	}
	plan.Desired = (&provider.Live{DefaultTTL: ttl}).WithTTLs(plan.Desired)
	e.Asked = provider.Digest(plan.Desired)
	e.After = e.Asked
	if err := p.save(plan.Zone, &e); err != nil {
		return nil, err
	}
	err := p.inTurn(plan.Zone, &e, func(i int) (*provider.Receipt, error) { return p.o.Members[i].Provider.Apply(ctx, plan) })
	if err != nil {
		return nil, err
	}
	return p.finish(ctx, plan, e)
}
