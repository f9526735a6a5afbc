package portal

import (
	"net/http"
	"net/url"

	"slipway/check"
	"slipway/flow"
	"slipway/lifecycle"
	"slipway/zone"
)

// This file takes things back: a change that is live, and what somebody changed past Slipway.

// asking is the answer to what became a change.
type asking struct {
	Change  lifecycle.State `json:"change"`
	Verdict *check.Verdict  `json:"verdict"`
}

func (s *server) apiRollback(w http.ResponseWriter, r *request) error {
	id := r.PathValue("id")
	if err := s.visible(r.Context(), r.person, id); err != nil {
		return err
	}
	var b struct {
		Ticket string `json:"ticket"`
	}
	if r.ContentLength != 0 {
		if err := readJSON(r, &b); err != nil {
			return err
		}
	}
	st, verdict, err := s.Service.Rollback(r.Context(), r.person, id, b.Ticket, via(r))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, asking{st, verdict})
	return nil
}

// rollbackPage leads to the new change, or shows the refusal on the page of the old one.
func (s *server) rollbackPage(w http.ResponseWriter, r *request) error {
	id := r.PathValue("id")
	if err := s.visible(r.Context(), r.person, id); err != nil {
		return err
	}
	form, err := readPost(r)
	if err != nil {
		return err
	}
	st, _, err := s.Service.Rollback(r.Context(), r.person, id, form.Get("ticket"), "portal")
	if err == nil {
		http.Redirect(w, r.Request, "/changes/"+url.PathEscape(st.ID)+"?done=rollback", http.StatusSeeOther)
		return nil
	}
	e := explain(err)
	v, shown := s.changeView(r.Context(), r.person, id)
	if shown != nil || e.Code == flow.Unavailable {
		return err
	}
	v.Problem = e
	return s.show(w, r, statusOf[e.Code], "change", v.State.Title, v)
}

// zoneOf is the zone that the address names.
func zoneOf(r *request) (zone.Name, error) {
	z, err := zone.ParseName(r.PathValue("zone"))
	if err != nil {
		return "", &flow.Error{Code: flow.Invalid, Message: "“" + cut(r.PathValue("zone"), 100) + "” is not the name of a zone.", Detail: err}
	}
	return z, nil
}

// seenBody names what a person saw live, by its digest.
type seenBody struct {
	Live   string `json:"live"`
	Ticket string `json:"ticket"`
}

func (s *server) apiRevertDrift(w http.ResponseWriter, r *request) error {
	z, err := zoneOf(r)
	if err != nil {
		return err
	}
	var b seenBody
	if err := readJSON(r, &b); err != nil {
		return err
	}
	if err := s.Service.RevertDrift(r.Context(), r.person, z, b.Live); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]string{"zone": string(z), "state": "as approved"})
	return nil
}

func (s *server) apiAdoptDrift(w http.ResponseWriter, r *request) error {
	z, err := zoneOf(r)
	if err != nil {
		return err
	}
	var b seenBody
	if err := readJSON(r, &b); err != nil {
		return err
	}
	st, verdict, err := s.Service.AdoptDrift(r.Context(), r.person, z, b.Live, b.Ticket, via(r))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, asking{st, verdict})
	return nil
}

func (s *server) revertDriftPage(w http.ResponseWriter, r *request) error {
	z, err := zoneOf(r)
	if err != nil {
		return err
	}
	form, err := readPost(r)
	if err != nil {
		return err
	}
	if err := s.Service.RevertDrift(r.Context(), r.person, z, form.Get("live")); err != nil {
		return s.driftRefused(w, r, err)
	}
	http.Redirect(w, r.Request, "/drift?done=revert", http.StatusSeeOther)
	return nil
}

func (s *server) adoptDriftPage(w http.ResponseWriter, r *request) error {
	z, err := zoneOf(r)
	if err != nil {
		return err
	}
	form, err := readPost(r)
	if err != nil {
		return err
	}
	st, _, err := s.Service.AdoptDrift(r.Context(), r.person, z, form.Get("live"), form.Get("ticket"), "portal")
	if err != nil {
		return s.driftRefused(w, r, err)
	}
	http.Redirect(w, r.Request, "/changes/"+url.PathEscape(st.ID)+"?done=adopt", http.StatusSeeOther)
	return nil
}
