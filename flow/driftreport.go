package flow

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"slipway/audit"
	"slipway/drift"
	"slipway/lifecycle"
	"slipway/zone"
)

// This file counts a month's drift from the log, and puts the numbers on record once the month is over:
// also of months that ended while no server ran.

// monthsAtOnce bounds the reports that one pass makes.
const monthsAtOnce = 24

// maxDriftEvents bounds what one report reads of the log.
const maxDriftEvents = 500_000

// ReportDetails goes with report-drift.
type reportDetails struct {
	Month  string `json:"month"`
	Found  int    `json:"found"`
	Ended  int    `json:"ended"`
	Open   int    `json:"open"`
	Zones  int    `json:"zones"`
	Before int    `json:"before"` // found in the month before
}

func (a *acts) ReportDrift(ctx context.Context) error {
	return a.chore(ctx, "the drift of a month could not be reported", a.s.reportDrift)
}

// reportDrift records the reports of the months that are over and have none.
func (s *Service) reportDrift(ctx context.Context) error {
	since, err := s.recordBegan(ctx)
	if err != nil || since.IsZero() {
		return err
	}
	made, err := s.o.Log.Index().Events(ctx, audit.Query{Action: audit.ReportDrift, Limit: 10_000})
	if err != nil {
		return err
	}
	has := make(map[string]bool, len(made))
	for _, r := range made {
		has[r.Event.Resource.Name] = true
	}
	now := s.now()
	var missing []time.Time
	for begin := monthOf(since); begin.AddDate(0, 1, 0).Compare(now) <= 0 && len(missing) < monthsAtOnce; begin = begin.AddDate(0, 1, 0) {
		if !has[drift.MonthName(begin)] {
			missing = append(missing, begin)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	incidents, err := s.incidents(ctx)
	if err != nil {
		return err
	}
	for _, begin := range missing {
		if err := s.recordMonth(ctx, drift.Monthly(begin, incidents, since, now)); err != nil {
			return fmt.Errorf("report of %s: %w", drift.MonthName(begin), err)
		}
	}
	return nil
}

func (s *Service) recordMonth(ctx context.Context, m *drift.Month) error {
	doc, err := s.keep(ctx, "drift report", m)
	if err != nil {
		return err
	}
	d := reportDetails{Month: m.Month, Found: m.Found, Ended: m.Ended, Open: m.Open, Zones: len(m.Zones)}
	if n := len(m.Before); n > 0 {
		d.Before = m.Before[n-1].N
	}
	raw, err := lifecycle.Encode(d)
	if err != nil {
		return err
	}
	_, err = s.o.Log.Append(ctx, audit.Event{
		Actor: system, Action: audit.ReportDrift, Timestamp: s.now(), Resource: audit.Resource{Name: m.Month},
		ArtifactRefs: map[string]string{"drift-report": doc}, Details: raw, Once: "drift-report/" + m.Month,
	})
	return err
}

func monthOf(t time.Time) time.Time {
	return time.Date(t.UTC().Year(), t.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
}

// recordBegan is the time of the log's first event.
func (s *Service) recordBegan(ctx context.Context) (time.Time, error) {
	first, err := s.o.Log.Index().Events(ctx, audit.Query{Limit: 1})
	if err != nil || len(first) == 0 {
		return time.Time{}, err
	}
	return first[0].Event.Timestamp, nil
}

// DriftMonth is the drift of a month: as it is on record, or, of one that is not over, as far as it is known. ""
// is the last month that is over.
func (s *Service) DriftMonth(ctx context.Context, name string) (*drift.Month, error) {
	now := s.now()
	if name == "" {
		name = drift.MonthName(monthOf(now).AddDate(0, -1, 0))
	}
	begin, err := drift.ParseMonth(name)
	if err != nil {
		return nil, fault(Invalid, "For example 2026-10.", "%s is not a month.", short(name, 40))
	}
	since, err := s.recordBegan(ctx)
	if err != nil {
		return nil, explain("read the record", err)
	}
	if since.IsZero() || begin.Before(monthOf(since)) || begin.After(now) {
		return nil, fault(NotFound, fmt.Sprintf("Choose a month from %s to %s.", drift.MonthName(since), drift.MonthName(now)), "There is no record of %s.", name)
	}
	made, err := s.o.Log.Index().Events(ctx, audit.Query{Action: audit.ReportDrift, Limit: 10_000})
	if err != nil {
		return nil, explain("read the record", err)
	}
	for _, r := range made {
		if r.Event.Resource.Name != name {
			continue
		}
		// Where the document was erased, the log still tells.
		if raw, err := s.o.Log.Documents().Get(ctx, r.Event.ArtifactRefs["drift-report"]); err == nil {
			m := new(drift.Month)
			if err := json.Unmarshal(raw, m); err != nil {
				return nil, explain("read the report of "+name, err)
			}
			return m, nil
		}
	}
	incidents, err := s.incidents(ctx)
	if err != nil {
		return nil, explain("read the record", err)
	}
	return drift.Monthly(begin, incidents, since, now), nil
}

// incidents are all drifts on record, oldest first.
func (s *Service) incidents(ctx context.Context) ([]drift.Incident, error) {
	var events []audit.Receipt
	for _, action := range []audit.Action{audit.DetectDrift, audit.ResolveDrift, audit.AttributeDrift} {
		q := audit.Query{Action: action, Limit: 10_000}
		for {
			page, err := s.o.Log.Index().Events(ctx, q)
			if err != nil {
				return nil, err
			}
			if events = append(events, page...); len(events) > maxDriftEvents {
				return nil, fmt.Errorf("there are more than %d events about drift", maxDriftEvents)
			}
			if len(page) < q.Limit {
				break
			}
			q.Next(page[len(page)-1])
		}
	}
	slices.SortFunc(events, func(a, b audit.Receipt) int { return cmp.Compare(a.Index, b.Index) })
	var f incidentFolder
	for _, r := range events {
		if err := f.add(r.Event); err != nil {
			return nil, fmt.Errorf("event %s: %w", r.Event.EventID, err)
		}
	}
	return f.all, nil
}

// incidentFolder puts events about drift together.
type incidentFolder struct {
	all    []drift.Incident
	open   map[subject]int // index of the newest
	by     map[string]int  // zone and digest of differences
	goesOn map[subject]bool
}

func (f *incidentFolder) add(e audit.Event) error {
	if f.open == nil {
		f.open, f.by, f.goesOn = make(map[subject]int), make(map[string]int), make(map[subject]bool)
	}
	z := zone.Name(e.Resource.Zone)
	switch e.Action {
	case audit.DetectDrift:
		d, err := lifecycle.Decode[lifecycle.DriftDetails](e)
		if err != nil {
			return err
		}
		about := subject{z, drift.Scope(d.Scope)}
		if f.goesOn[about] {
			f.all[f.open[about]].Ended, f.all[f.open[about]].How = time.Time{}, ""
		} else {
			kinds := d.Kinds
			if kinds == nil { // as older servers recorded it
				kinds = make(map[string]int)
				for _, x := range d.Differences {
					kinds[x.Kind]++
				}
			}
			f.all = append(f.all, drift.Incident{Zone: z, Scope: about.scope, Found: e.Timestamp, Kinds: kinds})
			f.open[about] = len(f.all) - 1
		}
		f.goesOn[about] = false
		f.by[e.Resource.Zone+" "+d.Digest] = f.open[about]
	case audit.ResolveDrift:
		d, err := lifecycle.Decode[lifecycle.DriftEndDetails](e)
		if err != nil {
			return err
		}
		about := subject{z, drift.Scope(d.Scope)}
		i, known := f.open[about]
		if !known {
			return nil
		}
		f.all[i].Ended, f.all[i].How = e.Timestamp, drift.EndedItself
		switch {
		case d.Rule != "":
			f.all[i].How = drift.EndedRule
		case d.How == driftOverwrite:
			f.all[i].How = drift.EndedPerson
		}
		f.goesOn[about] = d.How == driftChanged
	case audit.AttributeDrift:
		d, err := lifecycle.Decode[attribution](e)
		i, known := f.by[e.Resource.Zone+" "+d.Digest]
		if err != nil || !known {
			return err
		}
		for _, x := range d.Edits {
			if x.By != "" && !slices.Contains(f.all[i].People, x.By) {
				f.all[i].People = append(f.all[i].People, x.By)
			}
		}
	}
	return nil
}
