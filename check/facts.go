package check

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"slipway/cert/assess"
	"slipway/check/lint"
	"slipway/check/policy"
	"slipway/check/risk"
	"slipway/repo"
	"slipway/zone"
)

// This file gathers what policies are told about a change.

// identify completes the requester from the settings in force.
func identify(r Requester, s *repo.Settings) Requester {
	r.ID = strings.ToLower(strings.TrimSpace(r.ID))
	if r.Groups == nil {
		r.Groups = s.GroupsOf(r.ID)
	}
	r.Groups = slices.Compact(slices.Sorted(slices.Values(r.Groups)))
	r.ThirdParty = r.ThirdParty || s.ThirdParty(r.ID)
	return r
}

// withNewZones returns the settings in force together with what the head says
// about zones that they do not know: nothing in force speaks about those, and the
// change that declares them is red for editing the settings. The second result
// lists zones that have their first file in the head.
func withNewZones(ctx context.Context, in Input, inForce *repo.Settings) (*repo.Settings, []zone.Name, error) {
	proposed, err := in.Head.Settings(ctx)
	if err != nil {
		return nil, nil, err
	}
	settings := *inForce
	settings.Zones = maps.Clone(inForce.Zones)
	if settings.Zones == nil {
		settings.Zones = map[zone.Name]repo.Zone{}
	}
	for name, z := range proposed.Zones {
		if _, known := settings.Zones[name]; !known {
			settings.Zones[name] = z
		}
	}
	var fresh []zone.Name
	for _, name := range in.Change.Zones() {
		was, err := hasFile(ctx, in.Base, name)
		if err != nil {
			return nil, nil, err
		}
		if _, known := inForce.Zones[name]; was || known {
			continue
		}
		now, err := hasFile(ctx, in.Head, name)
		if err != nil {
			return nil, nil, err
		}
		if now {
			fresh = append(fresh, name)
		}
	}
	return &settings, fresh, nil
}

func hasFile(ctx context.Context, t *repo.Tree, name zone.Name) (bool, error) {
	_, err := t.ZonePath(ctx, name)
	if errors.Is(err, repo.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// withoutProvider finds the zones of a change that no provider serves: nothing could
// bring it to the name servers. A repository that names no provider at all is only
// judged by Slipway, and served by other means.
func withoutProvider(ctx context.Context, in Input) ([]Finding, error) {
	head, err := in.Head.Settings(ctx)
	if err != nil {
		return nil, err
	}
	base, err := in.Base.Settings(ctx)
	if err != nil {
		return nil, err
	}
	if len(head.Providers)+len(base.Providers) == 0 {
		return nil, nil
	}
	var found []Finding
	for i, e := range in.Change.Edits {
		if i > 0 && in.Change.Edits[i-1].Zone == e.Zone {
			continue
		}
		s := head
		at, listed := head.Zones[e.Zone]
		if !listed { // the change takes the zone away: who serves it now takes it down
			s, at = base, base.Zones[e.Zone]
		}
		if _, known := s.Providers[at.Provider]; known {
			continue
		}
		found = append(found, Finding{
			Rule:     "zone-without-provider",
			Severity: Deny,
			Message: fmt.Sprintf("Nothing says which provider serves the zone %s, so this change could be approved and never reach the name servers.",
				e.Zone.Unicode()),
			Help: fmt.Sprintf("Name one of the providers in slipway.yaml: zones, then %s, then provider.", e.Zone),
			Path: e.Place.Path, Line: e.Place.Line,
			Controls: []string{"SOC2:CC8.1", "ISO27001:A.8.32", "SOX:ITGC-CM"},
		})
	}
	return found, nil
}

// policyInput gathers what policies see.
func policyInput(in Input, inForce, settings *repo.Settings, certificates []assess.Facts, signals []Signal, findings []Finding) policy.Input {
	facts := policy.Input{
		Organisation: policy.Organisation{
			Name: inForce.Organisation, Domain: inForce.Domain, Brands: inForce.Brands, AllowedExternal: allowedExternal(inForce),
		},
		Requester: policy.Requester{
			ID: in.Requester.ID, Role: in.Requester.Role, Groups: in.Requester.Groups, ThirdParty: in.Requester.ThirdParty,
		},
		AsOf:          in.AsOf.Format(time.RFC3339),
		Change:        policy.NewChange(in.Change),
		Certificates:  certificates,
		Findings:      findings,
		ApprovalRules: slices.Sorted(maps.Keys(inForce.Approvals)),
	}
	for _, name := range in.Change.Zones() {
		z := settings.Zones[name]
		facts.Zones = append(facts.Zones, policy.Zone{
			Name: name, Owner: z.Owner, Visibility: z.Visibility, DNSSEC: z.DNSSEC, Provider: z.Provider, Parked: z.Parked, MaxEdits: z.MaxEdits, MaxDeletes: z.MaxDeletes,
		})
	}
	for _, a := range in.Change.Apps {
		facts.Apps = append(facts.Apps, policy.NewApp(a))
	}
	for _, s := range signals {
		facts.Signals = append(facts.Signals, policy.Signal{Name: s.Name, Value: s.Value, Reason: s.Reason, Record: s.Record, Zone: s.Zone})
	}
	return facts
}

// allowedExternal lists the external zones that changes may touch: those of
// allowed-external, or every external zone that slipway.yaml lists.
func allowedExternal(s *repo.Settings) []zone.Name {
	if len(s.AllowedExternal) > 0 {
		return slices.Sorted(slices.Values(s.AllowedExternal))
	}
	var names []zone.Name
	for name, z := range s.Zones {
		if z.Visibility == "external" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// sizes counts the record sets of the zones that a change may take too much of, as they are before it. A
// change that would not take too much of the smallest zone that has a limit costs no look at any.
func sizes(ctx context.Context, in Input, settings *repo.Settings) (map[zone.Name]int, error) {
	found := map[zone.Name]int{}
	for z, n := range risk.Taken(in.Change) {
		limits := settings.Limits(z)
		if n.Live = max(limits.From, 1); n.Deletes*100 <= limits.Deletes*n.Live && n.Updates*100 <= limits.Updates*n.Live {
			continue
		}
		sets, err := in.Base.Served(ctx, z)
		if errors.Is(err, repo.ErrNotFound) || errors.As(err, new(*zone.Error)) {
			continue // a zone that is new, or that nobody could serve as it is
		}
		if err != nil {
			return nil, err
		}
		found[z] = len(sets)
	}
	return found, nil
}

// maxAsked bounds the names whose dependants are looked for. A change of more names
// is told by its size.
const maxAsked = 16

// dependants finds who else points at the names that a change alters or takes away,
// across the repository as it would become: record sets that the change leaves as they are.
func dependants(ctx context.Context, in Input) (map[zone.Name][]zone.RRSet, error) {
	names, edited := map[zone.Name]bool{}, map[zone.Key]bool{}
	for _, e := range in.Change.Edits {
		edited[zone.Key{Name: e.Name, Type: e.Type}] = true
		if e.Op != zone.Create && len(names) < maxAsked && answers(e.Type) {
			names[e.Name] = true
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	found := map[zone.Name][]zone.RRSet{}
	take := func(sets []zone.RRSet) {
		for _, r := range sets {
			if edited[r.Key()] {
				continue
			}
			for _, t := range lint.Targets(r) {
				if names[t] && t != r.Name {
					found[t] = append(found[t], r)
				}
			}
		}
	}
	search := zone.NewSearch(names)
	zones, err := in.Head.ZonesNaming(ctx, names)
	if err != nil {
		return nil, err
	}
	for _, z := range zones {
		sets, err := mentioning(ctx, in.Head, z, search)
		if errors.As(err, new(*zone.Error)) {
			continue // a file that nobody can read or serve, and whoever mends it is judged then
		}
		if err != nil {
			return nil, err
		}
		take(sets)
	}
	apps, err := in.Head.AppsMentioning(ctx, names)
	if err != nil {
		return nil, err
	}
	for _, a := range apps {
		take(a.Records)
	}
	for _, sets := range found {
		slices.SortFunc(sets, func(a, b zone.RRSet) int { return repo.CompareKeys(a.Key(), b.Key()) })
	}
	return found, nil
}

// mentioning returns the record sets of a zone's file that may hold what is searched for.
func mentioning(ctx context.Context, t *repo.Tree, z zone.Name, search *zone.Search) ([]zone.RRSet, error) {
	f, err := t.ZoneFile(ctx, z)
	if err != nil {
		return nil, err
	}
	return f.Mentioning(search)
}

// answers reports whether records of a type are what others point at a name for.
func answers(t string) bool {
	switch t {
	case "A", "AAAA", "CNAME", "ALIAS", "DNAME":
		return true
	}
	return false
}

// pasts looks up how lately the apps of a change were touched before it.
func pasts(ctx context.Context, in Input) (map[string]repo.Past, error) {
	var paths []string
	for _, a := range in.Change.Apps {
		if a.Before != nil && len(paths) < maxAsked {
			paths = append(paths, a.Before.Path)
		}
	}
	return in.Base.Pasts(ctx, paths, in.AsOf.Add(-risk.Recent))
}
