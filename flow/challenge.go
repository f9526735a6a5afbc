package flow

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"slipway/audit"
	"slipway/cert"
	"slipway/lifecycle"
	"slipway/provider"
	"slipway/provider/several"
	"slipway/repo"
	"slipway/zone"
)

// The records that prove a name to a certificate authority (RFC 8555 section 8.4) never stand in the zones
// repository. Each is an event before it is written and another after it is gone, and in between every other
// part of Slipway sees the zone without it: it is no drift, and no apply takes it away.

// challengeTTL is short, so that no resolver keeps a proof longer than the authority needs it.
const challengeTTL = 60

// provider is the zone's provider as everything but the challenges sees it.
func (s *Service) provider(ctx context.Context, t *repo.Tree, z zone.Name) (provider.Provider, error) {
	p, err := s.o.Provider(ctx, t, z)
	if err != nil || s.certs == nil {
		return p, err
	}
	open := s.openChallenges(z)
	if len(open) == 0 {
		return p, nil
	}
	return &masked{p: p, open: open}, nil
}

// openChallenges are the challenge records that a live zone may have.
func (s *Service) openChallenges(z zone.Name) []cert.Challenge {
	return slices.DeleteFunc(s.certs.Challenges(), func(c cert.Challenge) bool { return c.Zone != z })
}

// masked is a provider whose zone has challenge records that nobody else is to see.
type masked struct {
	p    provider.Provider
	open []cert.Challenge
}

func (m *masked) Read(ctx context.Context, z zone.Name) (*provider.Live, error) {
	live, err := m.p.Read(ctx, z)
	if err != nil {
		return nil, err
	}
	return without(live, m.open), nil
}

func (m *masked) Apply(ctx context.Context, plan provider.Plan) (*provider.Receipt, error) {
	live, err := m.p.Read(ctx, plan.Zone)
	if err != nil && plan.Expect != provider.ExpectAnything {
		return nil, err
	}
	after := provider.Digest(plan.Desired)
	full := provider.NewPlan(plan.Zone, with(plan.Desired, m.open), live, plan.ChangeID, plan.Commit)
	before := ""
	if plan.Expect == provider.ExpectAnything {
		full.Expect = plan.Expect
	} else if before = without(live, m.open).Digest; before != plan.Expect && before != after {
		return nil, &provider.DriftedError{Zone: plan.Zone, Expect: plan.Expect, Found: before}
	}
	receipt, err := m.p.Apply(ctx, full)
	if err != nil {
		return nil, err
	}
	masked := *receipt
	masked.Before, masked.After = before, after
	return &masked, nil
}

// without is a live zone without challenge records.
func without(live *provider.Live, open []cert.Challenge) *provider.Live {
	if len(live.Parts) > 0 { // each of its providers has them, or the one that has got further
		parts := slices.Clone(live.Parts)
		for i := range parts {
			parts[i].Live = without(parts[i].Live, open)
		}
		return several.Combine(live.Zone, parts)
	}
	out := *live
	out.Sets = nil
	stripped := false
	for _, set := range live.Sets {
		if set.Type == "TXT" && slices.ContainsFunc(open, func(c cert.Challenge) bool { return c.Name == set.Name }) {
			values := slices.DeleteFunc(slices.Clone(set.Values), func(v string) bool {
				return slices.ContainsFunc(open, func(c cert.Challenge) bool { return c.Name == set.Name && challengeText(c) == v })
			})
			stripped = stripped || len(values) < len(set.Values)
			if len(values) == 0 {
				continue
			}
			set.Values = values
		}
		out.Sets = append(out.Sets, set)
	}
	if stripped {
		out.Digest = provider.Digest(out.WithTTLs(out.Sets))
	}
	return &out
}

// with is record sets with challenge records among them.
func with(sets []zone.RRSet, open []cert.Challenge) []zone.RRSet {
	out := slices.Clone(sets)
	for _, c := range open {
		i := slices.IndexFunc(out, func(set zone.RRSet) bool { return set.Name == c.Name && set.Type == "TXT" })
		if i < 0 {
			out = append(out, zone.RRSet{Name: c.Name, Type: "TXT", TTL: challengeTTL, Values: []string{challengeText(c)}})
			continue
		}
		if !slices.Contains(out[i].Values, challengeText(c)) {
			out[i].Values = append(slices.Clone(out[i].Values), challengeText(c))
			slices.Sort(out[i].Values)
		}
	}
	return out
}

// challengeText is the value as a TXT record set has it. It is base64url, so nothing in it needs escaping.
func challengeText(c cert.Challenge) string { return `"` + c.Value + `"` }

// proving is what one issuance does to zones and log; it is the cert.World of one request.
type proving struct {
	s      *Service
	about  about
	keyRef string
}

// about is what a certificate's events say besides the certificate.
type about struct {
	app    string
	change string // "" for a renewal
	commit string
	chain  []string
}

// record appends an event about certificates and lets the registry know.
func (s *Service) recordCertificate(ctx context.Context, a about, e audit.Event, details any) error {
	var err error
	if e.Details, err = lifecycle.Encode(details); err != nil {
		return err
	}
	if e.Actor.ID == "" {
		e.Actor = system
	}
	e.Timestamp = s.now()
	if e.Resource.App == "" {
		e.Resource.App = a.app
	}
	e.Change, e.GitCommit, e.ApprovalChain = a.change, a.commit, a.chain
	logger := s.o.Logger.With("step", e.Action, "app", e.Resource.App)
	logger.Info("recording")
	r, err := s.o.Log.Append(ctx, e)
	if err != nil {
		return fmt.Errorf("record %s: %w", e.Action, err)
	}
	logger.Info("recorded")
	return s.certs.Take(r)
}

func (w *proving) Ordered(ctx context.Context, o cert.Order) error {
	o.KeyRef = w.keyRef
	return w.s.recordCertificate(ctx, w.about, audit.Event{
		Action: audit.OrderCertificate, Resource: audit.Resource{Record: first(o.Names)}, Once: "order/" + o.Request + "/" + o.URL, // one order can serve two requests for the same names
	}, cert.OrderDetails{Order: o})
}

func (w *proving) Present(ctx context.Context, all []cert.Challenge) error {
	all, err := w.placed(ctx, all)
	if err != nil {
		return err
	}
	return byZone(all, func(z zone.Name, these []cert.Challenge) error { return w.present(ctx, z, these) })
}

func (w *proving) CleanUp(ctx context.Context, all []cert.Challenge) error {
	all, err := w.placed(ctx, all)
	if err != nil {
		return err
	}
	return byZone(all, func(z zone.Name, these []cert.Challenge) error { return w.remove(ctx, z, these) })
}

func byZone(all []cert.Challenge, do func(zone.Name, []cert.Challenge) error) error {
	for len(all) > 0 {
		z := all[0].Zone
		var these, others []cert.Challenge
		for _, c := range all {
			if c.Zone == z {
				these = append(these, c)
			} else {
				others = append(others, c)
			}
		}
		if err := do(z, these); err != nil {
			return err
		}
		all = others
	}
	return nil
}

// maxAliases bounds the CNAME records followed from a challenge's name.
const maxAliases = 8

// placed finds where each challenge's record belongs: at its own name, or where an approved CNAME there points.
// Only the record is placed elsewhere; what the authority asked for stays as it is.
func (w *proving) placed(ctx context.Context, all []cert.Challenge) ([]cert.Challenge, error) {
	main, err := w.s.main(ctx)
	if err != nil {
		return nil, err
	}
	settings, err := main.Settings(ctx)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(all)
	for i, c := range out {
		for hops := 0; ; hops++ {
			z, ok := settings.ZoneOf(out[i].Name)
			if !ok {
				return nil, fmt.Errorf("%s, where %s has to be proven, is in none of the zones of slipway.yaml", out[i].Name, c.Name)
			}
			out[i].Zone = z
			sets, err := main.Served(ctx, z)
			if err != nil {
				return nil, err
			}
			alias := slices.IndexFunc(sets, func(set zone.RRSet) bool { return set.Name == out[i].Name && set.Type == "CNAME" })
			if alias < 0 {
				break
			}
			if hops == maxAliases {
				return nil, fmt.Errorf("the CNAME records from %s lead nowhere in %d steps", c.Name, maxAliases)
			}
			target, err := zone.ParseName(strings.TrimSuffix(sets[alias].Values[0], "."))
			if err != nil {
				return nil, fmt.Errorf("the CNAME record of %s: %w", out[i].Name, err)
			}
			out[i].Name = target
		}
	}
	return out, nil
}

// present makes the zone have these records, beside those of other issuances, and sees them answered.
func (w *proving) present(ctx context.Context, z zone.Name, these []cert.Challenge) error {
	unlock, err := w.s.zones.take(ctx, string(z))
	if err != nil {
		return err
	}
	defer unlock()
	open := w.s.openChallenges(z)
	for _, c := range these {
		if slices.Contains(open, c) {
			continue // written, or about to be when this was killed
		}
		if err := w.s.recordCertificate(ctx, w.about, challengeEvent(audit.WriteChallenge, c), cert.ChallengeDetails{Challenge: c}); err != nil {
			return err
		}
	}
	live, _, err := w.write(ctx, z, w.s.openChallenges(z))
	if err != nil {
		return err
	}
	var sets []zone.RRSet
	for _, set := range live {
		if set.Type == "TXT" && slices.ContainsFunc(these, func(c cert.Challenge) bool { return c.Name == set.Name }) {
			sets = append(sets, set)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, verifyFor)
	defer cancel()
	main, err := w.s.main(ctx)
	if err != nil {
		return err
	}
	if err := w.s.o.Verify(ctx, main, z, sets, nil); err != nil {
		return fmt.Errorf("zone %s: the records that prove the name: %w", z, err)
	}
	return nil
}

// remove takes these records out of the zone, whoever wrote them.
func (w *proving) remove(ctx context.Context, z zone.Name, these []cert.Challenge) error {
	unlock, err := w.s.zones.take(ctx, string(z))
	if err != nil {
		return err
	}
	defer unlock()
	open := w.s.openChallenges(z)
	gone := slices.DeleteFunc(slices.Clone(these), func(c cert.Challenge) bool { return !slices.Contains(open, c) })
	if len(gone) == 0 {
		return nil
	}
	stay := slices.DeleteFunc(slices.Clone(open), func(c cert.Challenge) bool { return slices.Contains(gone, c) })
	_, receipt, err := w.write(ctx, z, stay)
	if err != nil {
		return err
	}
	for _, c := range gone {
		d := cert.ChallengeDetails{Challenge: c, Serial: receipt.Serial, Receipt: receipt.ProviderChange}
		if err := w.s.recordCertificate(ctx, w.about, challengeEvent(audit.RemoveChallenge, c), d); err != nil {
			return err
		}
	}
	return nil
}

func challengeEvent(a audit.Action, c cert.Challenge) audit.Event {
	return audit.Event{Action: a, Resource: audit.Resource{Zone: string(c.Zone), Record: string(c.Name), Type: "TXT"}}
}

// write makes the zone have just these challenge records, and leaves all else as it is live: also what somebody
// changed by hand, which drift tells of. The caller holds the zone's lock.
func (w *proving) write(ctx context.Context, z zone.Name, want []cert.Challenge) ([]zone.RRSet, *provider.Receipt, error) {
	main, err := w.s.main(ctx)
	if err != nil {
		return nil, nil, err
	}
	p, err := w.s.o.Provider(ctx, main, z)
	if err != nil {
		return nil, nil, err
	}
	live, err := p.Read(ctx, z)
	if err != nil {
		return nil, nil, err
	}
	if !live.Exists {
		return nil, nil, fmt.Errorf("zone %s is not served yet, so no name in it can be proven to an authority", z)
	}
	desired := with(without(live, w.s.openChallenges(z)).Sets, want)
	// The change is this very content, so that the same proof written twice is one apply.
	plan := provider.NewPlan(z, desired, live, "challenge-"+strings.TrimPrefix(provider.Digest(desired), "sha256:")[:16], main.Commit())
	receipt, err := p.Apply(ctx, plan)
	return desired, receipt, err
}
