// Package risk finds the signals of a change: facts that bear on how risky it
// is, each with a strength from 0 to 1 and its reason in words. What a signal
// weighs, and which tier follows, is Rego's to say (package slipway.tier).
// Signals are pure functions of their input. Read Signals, then brand.go.
package risk

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/approval"
	"slipway/change"
	"slipway/check/finding"
	"slipway/provider"
	"slipway/repo"
	"slipway/zone"
)

// Signal is a fact that bears on risk.
type Signal struct {
	Name   string    `json:"name"`   // "brand-in-name"
	Value  float64   `json:"value"`  // 0..1
	Weight int       `json:"weight"` // from Rego; 0..100
	Reason string    `json:"reason"`
	Record string    `json:"record,omitempty"`
	Zone   zone.Name `json:"zone,omitempty"` // the zone that it was seen in, when it is about one
}

// Names of the signals.
const (
	BrandInName          = "brand-in-name"
	PublicExposure       = "public-exposure"
	PersonalData         = "personal-data"
	FinancialData        = "financial-data"
	HealthData           = "health-data"
	ThirdParty           = "third-party"
	PolicyOrSettingsEdit = "policy-or-settings-edit"
	Wildcard             = "wildcard"
	RestrictedType       = "restricted-type"
	BulkChange           = "bulk-change"
	Deletion             = "deletion"
	LowTTL               = "low-ttl"
	NewApp               = "new-app"
	NewZone              = "new-zone"
	DomainEdit           = "domain-edit"
	Dependants           = "dependants"    // others that point at a name which changes or goes
	YoungApp             = "young-app"     // an app that came to be lately
	UnsettledApp         = "unsettled-app" // an app that was changed many times lately
	ApplyLimit           = "apply-limit"   // more of a zone than its settings let be applied without a person looking
)

// Strength 1 is reached at so many.
const (
	bulkEdits     = 100
	bulkFrom      = 10
	manyDeletions = 25
	lowTTL        = 60 // seconds; a name that can be turned elsewhere within a minute

	manyDependants = 10
	manyChanges    = 10
	changesFrom    = 3
	youngFor       = 30 * 24 * time.Hour

	// Recent is how far back an app's changes are counted.
	Recent = youngFor
)

// maxPerName bounds how many signals of one name are kept, the strongest first:
// a change of ten thousand names is told by its size, not by ten thousand sentences.
const maxPerName = 20

// Input is what signals are found in.
type Input struct {
	Change     *change.Change
	Settings   *repo.Settings // in force
	Requester  string         // e-mail address
	ThirdParty bool           // the requester is from outside the organisation
	NewZones   []zone.Name    // zones with a file in the head and none in the base

	// What the rest of the repository and its history say, as far as they were asked.
	Dependants map[zone.Name][]zone.RRSet // by name that is changed or removed: the record sets of others that point at it
	Pasts      map[string]repo.Past       // by path of an app that is changed or removed
	Sizes      map[zone.Name]int          // record sets of the zones that the change may take too much of
	AsOf       time.Time
}

// Signals returns the signals of a change, sorted by name, strongest first.
func Signals(in Input) []Signal {
	f := &finder{in: in, brands: OfOrganisation(in.Settings), found: map[string][]Signal{}}
	f.edits()
	f.apps()
	f.files()
	f.size()
	f.dependants()
	f.pasts()
	if in.ThirdParty {
		f.add(Signal{Name: ThirdParty, Value: 1, Reason: fmt.Sprintf("%s, who asks, is not of the organisation.", in.Requester)})
	}
	return f.signals()
}

// OfOrganisation prepares the brands and domains of an organisation's settings.
func OfOrganisation(s *repo.Settings) *Brands {
	domains := []zone.Name{s.Domain}
	for name, z := range s.Zones {
		if z.Visibility == "external" {
			domains = append(domains, name)
		}
	}
	return NewBrands(s.Brands, domains...)
}

type finder struct {
	in     Input
	brands *Brands
	found  map[string][]Signal
}

func (f *finder) add(s Signal) { f.found[s.Name] = append(f.found[s.Name], s) }

func (f *finder) signals() []Signal {
	all := []Signal{}
	for _, list := range f.found {
		slices.SortStableFunc(list, compare)
		all = append(all, list[:min(len(list), maxPerName)]...)
	}
	slices.SortFunc(all, compare)
	return all
}

func compare(a, b Signal) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(b.Value, a.Value),
		cmp.Compare(a.Record, b.Record), cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.Reason, b.Reason))
}

// edits looks at each record set that comes to be, and each that goes.
func (f *finder) edits() {
	public := map[zone.Name]bool{}
	named := map[zone.Name]bool{} // names already compared with brands
	for _, e := range f.in.Change.Edits {
		settings, declared := f.in.Settings.Zones[e.Zone]
		if !declared || settings.Visibility != "internal" {
			public[e.Zone] = true
		}
		record := finding.Record(zone.Key{Name: e.Name, Type: e.Type})
		if groups, restricted := f.in.Settings.RestrictedTypes[e.Type]; restricted {
			f.add(Signal{Name: RestrictedType, Value: 1, Record: record, Zone: e.Zone,
				Reason: fmt.Sprintf("%s can turn mail, trust or a whole branch of names elsewhere, and belongs to %s.", record, approval.List(groups, "or"))})
		}
		if e.Op == zone.Delete {
			continue
		}
		if e.Name.Wildcard() {
			f.add(Signal{Name: Wildcard, Value: 1, Record: record, Zone: e.Zone,
				Reason: fmt.Sprintf("%s answers for every name that nobody thought of.", record)})
		}
		if e.After.TTL >= 0 && e.After.TTL < lowTTL {
			f.add(Signal{Name: LowTTL, Value: 1, Record: record, Zone: e.Zone,
				Reason: fmt.Sprintf("%s can be turned elsewhere within %d seconds.", record, e.After.TTL)})
		}
		if !named[e.Name] {
			named[e.Name] = true
			f.brand(e.Name, e.Zone, record)
		}
	}
	for z := range public {
		f.add(Signal{Name: PublicExposure, Value: 1, Zone: z,
			Reason: fmt.Sprintf("Names in %s can be seen by the whole world.", z.Unicode())})
	}
}

func (f *finder) brand(name, apex zone.Name, record string) {
	if l, ok := f.brands.Match(name, apex); ok {
		f.add(Signal{Name: BrandInName, Value: l.Value, Record: record, Zone: apex, Reason: l.Reason + "."})
	}
}

// data classes of app manifests and their signals.
var dataSignals = map[string]struct{ signal, what string }{
	"pii":       {PersonalData, "personal data"},
	"financial": {FinancialData, "financial data"},
	"health":    {HealthData, "health data"},
}

// apps looks at manifests: at what they say, and at what they say no longer.
func (f *finder) apps() {
	for _, a := range f.in.Change.Apps {
		if a.Op == zone.Create {
			f.add(Signal{Name: NewApp, Value: 1, Reason: fmt.Sprintf("The app %s is new.", a.Name)})
		}
		classes := map[string]bool{}
		exposed := false
		for _, app := range []*repo.App{a.Before, a.After} {
			if app == nil {
				continue
			}
			for _, class := range app.Data {
				classes[class] = true
			}
			exposed = exposed || app.Exposure == "external"
			if app == a.After && app.ThirdParty != "" {
				f.add(Signal{Name: ThirdParty, Value: 1, Reason: fmt.Sprintf("The app %s is run or asked for by %s, a third party.", a.Name, app.ThirdParty)})
			}
		}
		for class := range classes {
			if s, ok := dataSignals[class]; ok {
				f.add(Signal{Name: s.signal, Value: 1, Reason: fmt.Sprintf("The app %s handles %s.", a.Name, s.what)})
			}
		}
		if exposed {
			f.add(Signal{Name: PublicExposure, Value: 1, Reason: fmt.Sprintf("The app %s can be reached from outside the company.", a.Name)})
		}
	}
}

// files looks at settings, policies, domains and new zones.
func (f *finder) files() {
	for _, file := range f.in.Change.Files {
		switch file.Kind {
		case "settings", "policy":
			f.add(Signal{Name: PolicyOrSettingsEdit, Value: 1, Reason: fmt.Sprintf("%s decides how every later change is judged.", file.Path)})
		case "domain":
			f.add(Signal{Name: DomainEdit, Value: 1, Reason: fmt.Sprintf("It %ss %s, the registration of a domain.", file.Op, file.Path)})
			base := file.Path[strings.LastIndexByte(file.Path, '/')+1:]
			if name, err := zone.ParseName(strings.TrimSuffix(base, ".yaml")); err == nil && file.Op == zone.Create {
				f.brand(name, "", name.Unicode())
			}
		}
	}
	for _, z := range f.in.NewZones {
		f.add(Signal{Name: NewZone, Value: 1, Zone: z, Reason: fmt.Sprintf("The zone %s is new.", z.Unicode())})
		if z != f.in.Settings.Domain && !z.In(f.in.Settings.Domain) {
			f.brand(z, "", z.Unicode())
		}
	}
}

// size looks at how much there is of it.
func (f *finder) size() {
	c := f.in.Change
	if n := len(c.Edits); n >= bulkFrom {
		f.add(Signal{Name: BulkChange, Value: share(n, bulkEdits), Reason: fmt.Sprintf("It edits %d record sets at once.", n)})
	}
	if c.Deletes > 0 {
		f.add(Signal{Name: Deletion, Value: share(c.Deletes, manyDeletions), Reason: fmt.Sprintf("It removes %s.", count(c.Deletes, "record set"))})
	}
	f.limits()
}

// Taken counts, zone by zone, what a change creates, updates and deletes.
func Taken(c *change.Change) map[zone.Name]provider.Counts {
	taken := map[zone.Name]provider.Counts{}
	for _, e := range c.Edits {
		n := taken[e.Zone]
		switch e.Op {
		case zone.Create:
			n.Creates++
		case zone.Update:
			n.Updates++
		case zone.Delete:
			n.Deletes++
		}
		taken[e.Zone] = n
	}
	return taken
}

// limits looks at the zones whose settings say how large a change usually is there, and how much of
// them is applied without a person looking.
func (f *finder) limits() {
	edits, deletes := map[zone.Name]int{}, map[zone.Name]int{}
	for z, n := range Taken(f.in.Change) {
		edits[z], deletes[z] = n.Edits(), n.Deletes
		n.Live = f.in.Sizes[z]
		if why, exceeds := n.Exceed(z, provider.Limits(f.in.Settings.Limits(z))); exceeds {
			f.add(Signal{Name: ApplyLimit, Value: 1, Zone: z,
				Reason: fmt.Sprintf("I%s. So much is applied only when somebody who may release it has looked at it.", strings.TrimPrefix(why, "i"))})
		}
	}
	for z, n := range edits {
		if most := f.in.Settings.Zones[z].MaxEdits; most > 0 && n > most {
			f.add(Signal{Name: BulkChange, Value: 1, Zone: z,
				Reason: fmt.Sprintf("It edits %s of %s at once, where at most %d is usual.", count(n, "record set"), z.Unicode(), most)})
		}
	}
	for z, n := range deletes {
		if most := f.in.Settings.Zones[z].MaxDeletes; n > 0 && most > 0 && n > most {
			f.add(Signal{Name: Deletion, Value: 1, Zone: z,
				Reason: fmt.Sprintf("It removes %s from %s, where at most %d is usual.", count(n, "record set"), z.Unicode(), most)})
		}
	}
}

// dependants looks at who else relies on a name that changes or goes.
func (f *finder) dependants() {
	for name, sets := range f.in.Dependants {
		if len(sets) == 0 {
			continue
		}
		first := finding.Record(sets[0].Key())
		others := ""
		if n := len(sets) - 1; n > 0 {
			others = " and " + count(n, "other")
		}
		verb := "depend"
		if len(sets) == 1 {
			verb = "depends"
		}
		f.add(Signal{Name: Dependants, Value: share(len(sets), manyDependants), Record: name.Unicode(),
			Reason: fmt.Sprintf("%s%s %s on %s, which this changes.", first, others, verb, name.Unicode())})
	}
}

// pasts looks at how settled the apps are that change.
func (f *finder) pasts() {
	for _, a := range f.in.Change.Apps {
		if a.Before == nil {
			continue
		}
		past := f.in.Pasts[a.Before.Path]
		if age := f.in.AsOf.Sub(past.Created); !past.Created.IsZero() && age >= 0 && age < youngFor {
			days := int(age / (24 * time.Hour))
			f.add(Signal{Name: YoungApp, Value: share(30-days, 30),
				Reason: fmt.Sprintf("The app %s has been there for %s only.", a.Name, count(days, "day"))})
		}
		if past.Changes >= changesFrom {
			f.add(Signal{Name: UnsettledApp, Value: share(past.Changes, manyChanges),
				Reason: fmt.Sprintf("The app %s was changed %d times within 30 days.", a.Name, past.Changes)})
		}
	}
}

// share is n of most, at most 1, to two digits so that verdicts stay short and equal everywhere.
func share(n, most int) float64 { return float64(min(100, n*100/most)) / 100 }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
