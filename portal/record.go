package portal

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"slipway/audit"
	"slipway/flow"
	"slipway/identity"
)

// What is about the record and about tokens rather than about changes.

func (s *server) apiTokens(w http.ResponseWriter, r *request) error {
	tokens, err := s.Identity.Tokens(r.Context(), r.person)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string][]identity.TokenInfo{"tokens": tokens})
	return nil
}

func (s *server) apiCreateToken(w http.ResponseWriter, r *request) error {
	var b struct {
		Label string `json:"label"`
		Days  int    `json:"days"`
	}
	if err := readJSON(r, &b); err != nil {
		return err
	}
	if b.Days < 0 || b.Days > 366 {
		return &flow.Error{Code: flow.Invalid, Message: "A token can be valid for 366 days at most.", Help: "Send days as a number from 1 to 366."}
	}
	token, err := s.Identity.IssueToken(r.Context(), r.person, b.Label, time.Duration(b.Days)*24*time.Hour)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, map[string]string{"token": token})
	return nil
}

func (s *server) apiRevokeToken(w http.ResponseWriter, r *request) error {
	if err := s.revoke(r); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *server) apiLink(w http.ResponseWriter, r *request) error {
	var b struct {
		Person string `json:"person"`
		Role   string `json:"role"`
	}
	if err := readJSON(r, &b); err != nil {
		return err
	}
	link, err := s.link(r, b.Person, b.Role)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, map[string]string{"url": link})
	return nil
}

func (s *server) apiAccounts(w http.ResponseWriter, r *request) error {
	accounts, err := s.Identity.Accounts(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string][]identity.Person{"accounts": accounts})
	return nil
}

func (s *server) apiDisable(w http.ResponseWriter, r *request) error {
	var b struct {
		Reason string `json:"reason"`
	}
	if err := readJSON(r, &b); err != nil {
		return err
	}
	if err := s.Identity.DisableAccount(r.Context(), r.person, r.PathValue("person"), b.Reason); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *server) apiEnable(w http.ResponseWriter, r *request) error {
	if err := s.Identity.EnableAccount(r.Context(), r.person, r.PathValue("person")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Bounds on reading the record.
const (
	maxEvents   = 1000 // in one answer
	eventsRead  = 1000 // from the index at a time
	eventsPages = 100  // looked through for somebody who may see few of them
)

func (s *server) apiEvents(w http.ResponseWriter, r *request) error {
	q, err := eventQuery(r.URL.Query())
	if err != nil {
		return err
	}
	var events []audit.Receipt
	if seesRecord(r.person) {
		events, err = s.Record.Index().Events(r.Context(), q)
	} else {
		events, err = s.ownEvents(r.Context(), r.person, q)
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string][]audit.Receipt{"events": append([]audit.Receipt{}, events...)})
	return nil
}

// ownEvents are those of changes that p asked for.
func (s *server) ownEvents(ctx context.Context, p identity.Person, q audit.Query) ([]audit.Receipt, error) {
	ids, err := s.Record.Index().ChangeIDs(ctx, audit.ChangeQuery{Requester: p.ID, Limit: eventsRead})
	if err != nil {
		return nil, err
	}
	mine := map[string]bool{}
	for _, id := range ids {
		mine[id] = true
	}
	limit := q.Limit
	q.Limit = eventsRead
	var out []audit.Receipt
	for range eventsPages {
		page, err := s.Record.Index().Events(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			if mine[e.Event.Change] {
				if out = append(out, e); len(out) == limit {
					return out, nil
				}
			}
		}
		if len(page) < eventsRead {
			break
		}
		q.Next(page[len(page)-1])
	}
	return out, nil
}

func eventQuery(v url.Values) (audit.Query, error) {
	q := audit.Query{
		Change: v.Get("change"), App: v.Get("app"), Zone: v.Get("zone"), Record: v.Get("record"), Actor: v.Get("actor"),
		Action: audit.Action(v.Get("action")), Commit: v.Get("commit"), Document: v.Get("document"), Newest: isSet(v, "newest"),
	}
	var err error
	if q.Limit, err = number(v, "limit", maxEvents, maxEvents); err != nil {
		return q, err
	}
	if q.Limit == 0 {
		q.Limit = maxEvents
	}
	for name, to := range map[string]*time.Time{"from": &q.From, "to": &q.To} {
		if text := v.Get(name); text != "" {
			if *to, err = parseTime(text); err != nil {
				return q, &flow.Error{Code: flow.Invalid, Message: name + " cannot be read as a time.", Help: "Write it as 2027-01-31T09:00:00Z or 2027-01-31."}
			}
		}
	}
	for _, bound := range []struct {
		name string
		to   *uint64
		set  *bool
	}{{"after", &q.After, &q.HasAfter}, {"before", &q.Before, &q.HasBefore}} {
		if text := v.Get(bound.name); text != "" {
			if *bound.to, err = strconv.ParseUint(text, 10, 64); err != nil {
				return q, &flow.Error{Code: flow.Invalid, Message: bound.name + " must be the index of an event in the log.", Help: "Send the index of the last event that you have."}
			}
			*bound.set = true
		}
	}
	return q, nil
}

func parseTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339, s)
}

func (s *server) allowedSigners(w http.ResponseWriter, _ *request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(s.AllowedSigners)
	return nil
}

func (s *server) publicKeys(w http.ResponseWriter, _ *request) error {
	w.Header().Set("Content-Type", "application/json")
	return s.Record.PublicKeys().Write(w)
}

func (s *server) health(w http.ResponseWriter, _ *request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
	return nil
}

// logTiles serves the log as C2SP tlog-tiles says. Tiles never change, so the
// log's own handler decides what may be kept by caches.
func (s *server) logTiles(w http.ResponseWriter, r *request) error {
	w.Header().Del("Cache-Control")
	http.StripPrefix("/log", s.Record.Handler()).ServeHTTP(w, r.Request)
	return nil
}

// gitHost passes a request on to the Git host, which asks for a token by
// itself. A repository cannot be shown in part, so third parties do not get it.
func (s *server) gitHost(w http.ResponseWriter, r *request) error {
	p, err := s.door.Basic(r.Request)
	switch {
	case errors.Is(err, identity.ErrNoCredentials):
	case err != nil:
		e := explain(err)
		if e.Code == unauthenticated {
			w.Header().Set("WWW-Authenticate", `Basic realm="Slipway"`)
		}
		http.Error(w, e.Message+" "+e.Help, statusOf[e.Code])
		return nil
	case !isInsider(p):
		http.Error(w, "The repository holds every name of the organisation, so third parties cannot read it. Ask by the form in the portal, or by the command line.", http.StatusForbidden)
		return nil
	}
	hr := r.Request
	if err == nil {
		hr = hr.WithContext(identity.WithPerson(hr.Context(), p))
	}
	http.StripPrefix("/git/zones.git", s.Git).ServeHTTP(w, hr)
	return nil
}
