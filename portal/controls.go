package portal

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"slipway/audit"
	"slipway/evidence/controls"
	"slipway/flow"
	"slipway/zone"
)

// The page of controls: which of what Slipway keeps is evidence for which, and which have none. It says
// how often everything happened, so it is open to those who may read the whole log.

// coverage works out the controls and counts their events in the period that the address asks for.
func (s *server) coverage(r *request) (*controls.Coverage, error) {
	if !seesRecord(r.person) {
		return nil, &flow.Error{Code: flow.Forbidden, Message: "This counts everything on record, so it is open to auditors, approvers and administrators only.", Help: "Ask one of them, or an administrator to be let in as an auditor."}
	}
	p, err := countedIn(r.URL.Query())
	if err != nil {
		return nil, err
	}
	mapping, checks, err := s.mapping(r)
	if fault, ok := errors.AsType[*zone.Error](err); ok {
		return nil, &flow.Error{Code: flow.Conflict, Message: fmt.Sprintf("What is on main cannot be read. %s, line %d: %s.", fault.Place.Path, fault.Place.Line, fault.What), Help: sentence(fault.Help), Detail: fault}
	}
	if err != nil {
		return nil, err
	}
	counts, err := s.Record.Index().Counts(r.Context(), p.From, p.To)
	if err != nil {
		return nil, err
	}
	return mapping.Cover(checks, counts, &p), nil
}

func (s *server) mapping(r *request) (*controls.Mapping, []controls.Check, error) {
	if s.Controls != nil {
		return s.Controls(r.Context())
	}
	mapping, err := controls.Default()
	if err != nil {
		return nil, nil, err
	}
	checks, err := controls.Shipped(r.Context())
	return mapping, checks, err
}

func countedIn(v url.Values) (p controls.Period, err error) {
	for _, bound := range []struct {
		name, label string
		to          *time.Time
	}{{"from", "The beginning", &p.From}, {"to", "The end", &p.To}} {
		text := strings.TrimSpace(v.Get(bound.name))
		if text == "" {
			continue
		}
		if *bound.to, err = parseTime(text); err != nil {
			return p, &flow.Error{Code: flow.Invalid, Message: bound.label + " of the period cannot be read as a day.", Help: "Write it as 2027-01-31, or leave it empty."}
		}
	}
	if !p.From.IsZero() && !p.To.IsZero() && !p.From.Before(p.To) {
		return p, &flow.Error{Code: flow.Invalid, Message: "The period ends before it begins.", Help: "Write the earlier day first. The last day itself is not counted."}
	}
	return p, nil
}

func (s *server) apiControls(w http.ResponseWriter, r *request) error {
	c, err := s.coverage(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, c)
	return nil
}

type controlsView struct {
	Coverage *controls.Coverage
	Chosen   controls.Framework
	From, To string // as typed
	Total    int    // controls of the framework
}

// States are the parts of the page, those that need somebody's eye first.
func (v controlsView) States() []controls.State { return controls.States() }

// Rows are the controls in one of the parts.
func (v controlsView) Rows(s controls.State) []controls.Row { return v.Coverage.Of(v.Chosen.Name, s) }

// Count is how many controls a framework has in a state.
func (v controlsView) Count(framework string, s controls.State) int {
	return v.Coverage.Count(framework)[s]
}

// Events lists the actions of a piece of evidence, each with how often it happened.
func (v controlsView) Events(p controls.Shown) []countedAction {
	out := make([]countedAction, len(p.Events))
	for i, a := range p.Events {
		out[i] = countedAction{a, p.Counts[a]}
	}
	return out
}

type countedAction struct {
	Action audit.Action
	Count  int
}

// Address leads to another framework with the same period.
func (v controlsView) Address(framework string) string {
	q := url.Values{"framework": {framework}}
	for name, value := range map[string]string{"from": v.From, "to": v.To} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return "/controls?" + q.Encode()
}

func (s *server) controlsPage(w http.ResponseWriter, r *request) error {
	c, err := s.coverage(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	v := controlsView{Coverage: c, From: cut(strings.TrimSpace(q.Get("from")), maxLine), To: cut(strings.TrimSpace(q.Get("to")), maxLine)}
	if len(c.Frameworks) > 0 {
		i := max(0, slices.IndexFunc(c.Frameworks, func(f controls.Framework) bool { return f.Name == q.Get("framework") }))
		v.Chosen = c.Frameworks[i]
	}
	for _, n := range c.Count(v.Chosen.Name) {
		v.Total += n
	}
	return s.show(w, r, http.StatusOK, "controls", "Controls", v)
}
