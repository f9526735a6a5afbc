package inbound

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/audit"
	"slipway/lifecycle"
	"slipway/repo"
	"slipway/zone"
)

// match is what explains a report.
type match struct {
	change, app string
	how         string // for people; "" when nothing explains it
}

const (
	// around is how far a provider's time may be from that of Slipway's own event: the
	// event is written when the provider has answered, and clocks differ.
	around = 15 * time.Minute
	// ticketsBack is how long a change may wait for what is decided on its ticket.
	ticketsBack = 90 * 24 * time.Hour

	maxLooked = 10_000 // events of one question
)

// Events whose commit is the content of their change.
var madeOf = map[audit.Action]bool{audit.SubmitChange: true, audit.ReviseChange: true, audit.MergeChange: true}

// Records that servers write by themselves when a zone changes.
var byItself = []string{"SOA", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "DNSKEY", "CDS", "CDNSKEY", "TYPE65534"}

// correlate finds what explains a report.
func (s *Service) correlate(ctx context.Context, main *repo.Tree, settings *repo.Settings, r *Report) (match, error) {
	switch r.Kind {
	case DNSChange:
		return s.correlateDNS(ctx, main, settings, r)
	case Cluster:
		return correlateCluster(ctx, main, settings, r)
	}
	if r.Commit != "" {
		events, err := s.events(ctx, audit.Query{Commit: r.Commit})
		if err != nil {
			return match{}, err
		}
		if i := slices.IndexFunc(events, func(e audit.Receipt) bool { return madeOf[e.Event.Action] }); i >= 0 {
			return match{change: events[i].Event.Change, app: events[i].Event.Resource.App, how: "the commit is that of the change"}, nil
		}
	}
	if r.Ticket != "" {
		return s.correlateTicket(ctx, r)
	}
	return match{}, nil
}

func (s *Service) correlateTicket(ctx context.Context, r *Report) (match, error) {
	events, err := s.events(ctx, audit.Query{Action: audit.SubmitChange, From: r.At.Add(-ticketsBack), Newest: true})
	if err != nil {
		return match{}, err
	}
	for _, e := range events {
		d, err := lifecycle.Decode[lifecycle.SubmitDetails](e.Event)
		if err == nil && d.Ticket != "" && strings.EqualFold(d.Ticket, r.Ticket) {
			return match{change: e.Event.Change, app: e.Event.Resource.App, how: "the ticket is that of the change"}, nil
		}
	}
	return match{}, nil
}

// correlateDNS explains each record set that was touched: by the provider's own change
// ID, by Slipway's event about it, or by its now being what is approved.
func (s *Service) correlateDNS(ctx context.Context, main *repo.Tree, settings *repo.Settings, r *Report) (match, error) {
	if strings.HasPrefix(r.Outcome, "failure") {
		return match{how: "it had no effect"}, nil
	}
	var found match
	explained := true
	for _, z := range r.zonesOf(settings.ZoneOf) {
		ours, err := s.around(ctx, z, r.At)
		if err != nil {
			return match{}, err
		}
		if change, ok := byProviderChange(ours, r.ProviderChange); ok {
			return match{change: change, how: "the provider's change ID is that of an apply"}, nil
		}
		if len(r.Edits) == 0 {
			// The source does not say which record sets: that Slipway was at work there is all that can be said.
			if i := slices.IndexFunc(ours, func(e audit.Event) bool { return e.Action == audit.ApplyZone || challenges[e.Action] }); i >= 0 {
				found = match{change: ours[i].Change, how: "Slipway changed the zone at that time"}
			} else {
				explained = false
			}
			continue
		}
		served := sync.OnceValues(func() ([]zone.RRSet, error) { return main.Served(ctx, z) })
		for _, e := range r.edits() {
			if in, ok := settings.ZoneOf(e.Name); !ok || in != z || slices.Contains(byItself, e.Type) {
				continue
			}
			if change, ok := byRecord(ours, e); ok {
				if found.change == "" {
					found = match{change: change, how: "Slipway changed the record sets at that time"}
				}
				continue
			}
			sets, err := served()
			if err != nil {
				return match{}, err
			}
			fine, how := approved(sets, settings.Zones[z].Partial, e)
			if !fine {
				explained = false
			} else if found.how == "" {
				found.how = how
			}
		}
	}
	if !explained || r.unseen() {
		return match{}, nil
	}
	return found, nil
}

// unseen says whether a report tells of more than can be looked at.
func (r *Report) unseen() bool { return r.More > 0 && r.beyond == nil }

var (
	challenges    = map[audit.Action]bool{audit.WriteChallenge: true, audit.RemoveChallenge: true}
	recordActions = map[audit.Action]bool{audit.CreateDNSRecord: true, audit.UpdateDNSRecord: true, audit.DeleteDNSRecord: true, audit.WriteChallenge: true, audit.RemoveChallenge: true}
)

// around is what Slipway itself did in a zone at about a time.
func (s *Service) around(ctx context.Context, z zone.Name, at time.Time) ([]audit.Event, error) {
	events, err := s.events(ctx, audit.Query{Zone: string(z), From: at.Add(-around), To: at.Add(around)})
	if err != nil {
		return nil, err
	}
	var out []audit.Event
	for _, r := range events {
		if r.Event.Action == audit.ApplyZone || recordActions[r.Event.Action] {
			out = append(out, r.Event)
		}
	}
	return out, nil
}

func byProviderChange(ours []audit.Event, id string) (change string, ok bool) {
	for _, e := range ours {
		if e.Action != audit.ApplyZone || id == "" {
			continue
		}
		// A provider that needs several calls has several IDs in one text.
		d, err := lifecycle.Decode[lifecycle.ApplyDetails](e)
		if err == nil && slices.Contains(strings.FieldsFunc(strings.ReplaceAll(d.Receipt.ProviderChange, "/change/", ""), func(r rune) bool { return r == ',' || r == ' ' }), id) {
			return e.Change, true
		}
	}
	return "", false
}

// byRecord finds Slipway's own event about just this edit: the same record set, and no
// value that Slipway did not write.
func byRecord(ours []audit.Event, e Edit) (change string, ok bool) {
	for _, o := range ours {
		if !recordActions[o.Action] || o.Resource.Record != string(e.Name) || e.Type != "" && o.Resource.Type != e.Type {
			continue
		}
		if challenges[o.Action] {
			return o.Change, true // its name and type are nobody else's
		}
		d, err := lifecycle.Decode[lifecycle.RecordDetails](o)
		if err != nil {
			continue
		}
		switch {
		case e.Delete && d.Before != nil:
			return o.Change, true
		case e.Delete || d.After == nil:
			continue
		case e.Values == nil || d.After.Values == nil || !slices.ContainsFunc(e.Values, func(v string) bool {
			return !slices.ContainsFunc(d.After.Values, func(w string) bool { return strings.EqualFold(v, w) })
		}):
			return o.Change, true
		}
	}
	return "", false
}

// approved reports whether an edit leaves a record set as main has it, or is about one
// of a shared zone that is not Slipway's. sets are what main says.
func approved(sets []zone.RRSet, shared bool, e Edit) (ok bool, how string) {
	i := slices.IndexFunc(sets, func(s zone.RRSet) bool { return s.Name == e.Name && (e.Type == "" || s.Type == e.Type) })
	switch {
	case i < 0 && shared:
		return true, "the record set is not Slipway's"
	case i < 0:
		return e.Delete, "what was removed is not approved"
	case e.Delete || e.Values == nil:
		return false, ""
	}
	want, got := slices.Sorted(slices.Values(sets[i].Values)), slices.Sorted(slices.Values(e.Values))
	return slices.EqualFunc(want, got, strings.EqualFold), "it is as approved"
}

// correlateCluster explains names that a cluster claims by the apps that have them.
func correlateCluster(ctx context.Context, main *repo.Tree, settings *repo.Settings, r *Report) (match, error) {
	if strings.HasPrefix(r.Outcome, "failure") {
		return match{how: "it had no effect"}, nil
	}
	wanted := map[zone.Name]bool{}
	for _, h := range r.hosts() {
		if _, ours := settings.ZoneOf(h); ours {
			wanted[h] = true
		}
	}
	apps, err := main.AppsNaming(ctx, wanted)
	if err != nil {
		return match{}, err
	}
	var found match
	for _, a := range apps {
		for h := range wanted {
			if a.Hostname == h || slices.ContainsFunc(a.Records, func(s zone.RRSet) bool { return s.Name == h }) {
				delete(wanted, h)
				found = match{app: a.Name, how: "the name is an app's"}
			}
		}
	}
	if len(wanted) > 0 || r.unseen() {
		return match{}, nil
	}
	return found, nil
}

func (s *Service) events(ctx context.Context, q audit.Query) ([]audit.Receipt, error) {
	q.Limit = maxLooked
	return s.o.Log.Index().Events(ctx, q)
}

// read gives back the report of an event.
func read(e audit.Event) (details, error) {
	var d details
	err := json.Unmarshal(e.Details, &d)
	return d, err
}
