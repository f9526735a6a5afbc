package portal

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"slipway/drift"
	"slipway/flow"
	"slipway/zone"
)

// This file shows what differs from what was approved, and how much of it there was in a month. What people
// do about it is in mend.go.

type driftView struct {
	Zones []zoneDrift
	At    time.Time // of the oldest comparison
	Done  string    // what was just done

	MayRevert bool
	Problem   *flow.Error // what was tried and refused
}

type zoneDrift struct {
	drift.Report
	ID    string // of the section
	Edits []edit
	Said  []drift.Difference // of the parent, in sentences
}

// Parent says whether this is about what the zone above says.
func (z zoneDrift) Parent() bool { return z.Scope == drift.Parent }

func (s *server) driftPage(w http.ResponseWriter, r *request) error {
	reports, err := s.Service.LastDrift(r.Context())
	if err != nil {
		return err
	}
	return s.showDrift(w, r, reports, driftView{Done: map[string]string{"revert": "The zone was put back, and the decision is on record."}[r.URL.Query().Get("done")]})
}

func (s *server) compareNow(w http.ResponseWriter, r *request) error {
	reports, err := s.Service.Drift(r.Context(), nil)
	if err != nil {
		return err
	}
	return s.showDrift(w, r, reports, driftView{Done: "Compared just now."})
}

func (s *server) showDrift(w http.ResponseWriter, r *request, reports []drift.Report, v driftView) error {
	settings, err := s.Settings(r.Context())
	if err != nil {
		return err
	}
	v.MayRevert = flow.MayRevertDrift(settings, r.person.ID)
	for i, rep := range reports {
		z := zoneDrift{Report: rep, ID: fmt.Sprintf("zone-%d", i)}
		if z.Parent() {
			z.Said = rep.Differences
		} else {
			z.Edits = differences(rep.Differences)
		}
		v.Zones = append(v.Zones, z)
		if v.At.IsZero() || rep.At.Before(v.At) {
			v.At = rep.At
		}
	}
	status := http.StatusOK
	if v.Problem != nil {
		status = statusOf[v.Problem.Code]
	}
	return s.show(w, r, status, "drift", "Drift", v)
}

// driftRefused shows what is known of the zones, with the refusal above it.
func (s *server) driftRefused(w http.ResponseWriter, r *request, refusal error) error {
	e := explain(refusal)
	if e.Code == flow.Unavailable || e.Code == flow.NotFound {
		return refusal
	}
	reports, err := s.Service.LastDrift(r.Context())
	if err != nil {
		return err
	}
	return s.showDrift(w, r, reports, driftView{Problem: e})
}

// drifted are the zones that are not as approved, for a person who may put them back.
func (s *server) drifted(r *request) ([]drift.Report, error) {
	settings, err := s.Settings(r.Context())
	if err != nil || !flow.MayRevertDrift(settings, r.person.ID) {
		return nil, err
	}
	reports, err := s.Service.LastDrift(r.Context())
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(reports), func(rep drift.Report) bool { return len(rep.Differences) == 0 }), nil
}

func (s *server) apiLastDrift(w http.ResponseWriter, r *request) error {
	return writeReports(w)(s.Service.LastDrift(r.Context()))
}

func (s *server) apiDrift(w http.ResponseWriter, r *request) error {
	var b struct {
		Zones []string `json:"zones"`
	}
	if r.ContentLength != 0 {
		if err := readJSON(r, &b); err != nil {
			return err
		}
	}
	names := make([]zone.Name, 0, len(b.Zones))
	for _, z := range b.Zones {
		name, err := zone.ParseName(z)
		if err != nil {
			return &flow.Error{Code: flow.Invalid, Message: "“" + cut(z, 100) + "” is not the name of a zone.", Detail: err}
		}
		names = append(names, name)
	}
	return writeReports(w)(s.Service.Drift(r.Context(), names))
}

func writeReports(w http.ResponseWriter) func([]drift.Report, error) error {
	return func(reports []drift.Report, err error) error {
		if err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, map[string][]drift.Report{"reports": append([]drift.Report{}, reports...)})
		return nil
	}
}

func (s *server) apiDriftMonth(w http.ResponseWriter, r *request) error {
	m, err := s.Service.DriftMonth(r.Context(), r.URL.Query().Get("month"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, m)
	return nil
}

// monthView is a month's report as a page.
type monthView struct {
	*drift.Month
	Title        string
	Before, Next string // months, to go to
	Chart        []chartBar
}

// chartBar is one month in the chart, in the units of its drawing.
type chartBar struct {
	Month        string
	N            int
	X, Y, Height int
	This         bool
}

// The chart's drawing: as wide as twelve bars, and this high.
const (
	chartHeight = 100
	barStep     = 56
)

func (s *server) driftMonthPage(w http.ResponseWriter, r *request) error {
	m, err := s.Service.DriftMonth(r.Context(), r.URL.Query().Get("month"))
	if err != nil {
		return err
	}
	begin, err := drift.ParseMonth(m.Month)
	if err != nil {
		return err
	}
	v := monthView{Month: m, Title: begin.Format("January 2006"), Chart: chart(m)}
	if len(m.Before) > 0 {
		v.Before = drift.MonthName(begin.AddDate(0, -1, 0))
	}
	if m.Whole {
		v.Next = drift.MonthName(begin.AddDate(0, 1, 0))
	}
	return s.show(w, r, http.StatusOK, "drift-month", "Drift in "+v.Title, v)
}

// chart draws the months before, and this one.
func chart(m *drift.Month) []chartBar {
	counts := append(slices.Clone(m.Before), drift.Count{Name: m.Month, N: m.Found})
	most := 1
	for _, c := range counts {
		most = max(most, c.N)
	}
	out := make([]chartBar, len(counts))
	for i, c := range counts {
		height := c.N * chartHeight / most
		if c.N > 0 {
			height = max(height, 2)
		}
		out[i] = chartBar{Month: c.Name, N: c.N, X: i * barStep, Y: chartHeight - height, Height: height, This: i == len(counts)-1}
	}
	return out
}

// Width is the width of the drawing, with room for the words below the first bar and the last.
func (v monthView) Width() int { return len(v.Chart)*barStep + 16 }

// Spoken is the chart in words.
func (v monthView) Spoken() string {
	s := "Drift found in each month:"
	for i, b := range v.Chart {
		if i > 0 {
			s += ","
		}
		s += fmt.Sprintf(" %s %d", b.Month, b.N)
	}
	return s + "."
}
