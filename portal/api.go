package portal

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"slipway/approval"
	"slipway/audit"
	"slipway/check"
	"slipway/flow"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/repo"
	"slipway/zone"
)

// via says which of our interfaces a vote came through, for the record.
func via(r *request) string {
	if agent := r.UserAgent(); agent == "slipway" || strings.HasPrefix(agent, "slipway/") {
		return "cli"
	}
	return "api"
}

// readJSON reads one JSON value, and refuses what it does not know: a
// misspelled "not_before" must not go live at once.
func readJSON(r *request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more after the first value")
		}
	}
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	return &flow.Error{Code: flow.Invalid, Message: "The body is not the JSON that is expected here: " + err.Error() + ".", Help: "Send one JSON object with the fields of this call."}
}

// number reads a whole number between 0 and limit from a query or form.
func number(v url.Values, name string, otherwise, limit int) (int, error) {
	text := strings.TrimSpace(v.Get(name))
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > limit {
		return 0, &flow.Error{Code: flow.Invalid, Message: name + " must be a whole number from 0 to " + strconv.Itoa(limit) + "."}
	}
	return n, nil
}

func (s *server) apiMe(w http.ResponseWriter, r *request) error {
	writeJSON(w, http.StatusOK, r.person)
	return nil
}

// asked is a request for an app or for files, as the API takes it.
type asked struct {
	App       *appBody           `json:"app"`
	Files     map[string]*string `json:"files"`
	Title     string             `json:"title"`
	Ticket    string             `json:"ticket"`
	NotBefore time.Time          `json:"not_before"`
	Revises   string             `json:"revises"`
	RequestID string             `json:"request_id"`
}

// appBody is repo.App with records as people write them: a TTL may be left out.
type appBody struct {
	repo.App
	Records []recordBody `json:"records"`
}

type recordBody struct {
	Name   string   `json:"name"`
	Type   string   `json:"type"`
	TTL    *int     `json:"ttl"`
	Values []string `json:"values"`
	Extra  string   `json:"extra"`
}

// maxRecords bounds the records of one app; flow.MaxFiles bounds files.
const maxRecords = 1000

// files are what the request would write on top of main.
func (a asked) files(by identity.Person) (map[string][]byte, error) {
	switch {
	case (a.App == nil) == (len(a.Files) == 0):
		return nil, &flow.Error{Code: flow.Invalid, Message: "Say what you ask for: an app, or files, and not both.", Help: `Send {"app": {…}} or {"files": {"path": "text"}}.`}
	case a.App != nil:
		return a.App.file(by)
	}
	files := make(map[string][]byte, len(a.Files))
	for path, text := range a.Files {
		if !fs.ValidPath(path) || path == "." {
			return nil, &flow.Error{Code: flow.Invalid, Message: "“" + cut(path, 100) + "” is not the path of a file in the zones repository.", Help: "Write it from the repository's root, such as apps/expense-tracker.yaml."}
		}
		files[path] = nil // deletes
		if text != nil {
			files[path] = []byte(*text)
		}
	}
	return files, nil
}

func (b *appBody) file(by identity.Person) (map[string][]byte, error) {
	app := b.App
	bad := func(message, help string) error { return &flow.Error{Code: flow.Invalid, Message: message, Help: help} }
	if !repo.ValidAppName(app.Name) {
		return nil, bad("The app needs a name of small letters, digits and hyphens, at most 63.", "Choose one such as expense-tracker.")
	}
	if app.Owner == "" {
		app.Owner = by.ID
	}
	if app.Hostname != "" {
		name, err := zone.ParseName(string(app.Hostname))
		if err != nil {
			return nil, bad("The hostname is not a name: "+plainReason(err, err.Error()), "")
		}
		app.Hostname = name
	}
	if len(b.Records) > maxRecords {
		return nil, bad("That is more than "+strconv.Itoa(maxRecords)+" records for one app.", "Split the app.")
	}
	app.Records = nil
	for _, rec := range b.Records {
		name, err := zone.ParseName(rec.Name)
		if err != nil {
			return nil, bad("A record's name is not a name: "+plainReason(err, err.Error()), "")
		}
		ttl := zone.NoTTL
		if rec.TTL != nil {
			ttl = *rec.TTL
		}
		rr, err := zone.NewRRSet(name, rec.Type, ttl, rec.Values)
		if err != nil {
			return nil, bad("The record "+cut(rec.Name+" "+rec.Type, 300)+" is not accepted: "+plainReason(err, err.Error()), "")
		}
		rr.Extra = rec.Extra
		app.Records = append(app.Records, rr)
	}
	app.Path = repo.AppPath(app.Name)
	raw, err := app.Marshal()
	if err != nil {
		return nil, &flow.Error{Code: flow.Invalid, Message: "The app cannot be written as a manifest: " + err.Error() + ".", Detail: err}
	}
	return map[string][]byte{app.Path: raw}, nil
}

func (s *server) apiPreview(w http.ResponseWriter, r *request) error {
	var body asked
	if err := readJSON(r, &body); err != nil {
		return err
	}
	files, err := body.files(r.person)
	if err != nil {
		return err
	}
	if err := s.mayAsk(r.Context(), r.person, body); err != nil {
		return err
	}
	v, err := s.tryOut(r.Context(), r.person, files)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, v)
	return nil
}

// detail is one change with all that belongs to it.
type detail struct {
	Change  lifecycle.State `json:"change"`
	Verdict *check.Verdict  `json:"verdict"`
	Events  []audit.Receipt `json:"events"`
	Plans   []plan          `json:"plans,omitempty"` // of the applies that were stopped
}

func (s *server) apiSubmit(w http.ResponseWriter, r *request) error {
	var body asked
	if err := readJSON(r, &body); err != nil {
		return err
	}
	files, err := body.files(r.person)
	if err != nil {
		return err
	}
	if err := s.mayAsk(r.Context(), r.person, body); err != nil {
		return err
	}
	if body.Title == "" && body.App != nil {
		body.Title = "Launch or change " + body.App.Name
	}
	st, verdict, err := s.Service.Submit(r.Context(), flow.Submission{
		By: r.person, Via: via(r), Files: files, Title: body.Title, Ticket: body.Ticket,
		NotBefore: body.NotBefore, Revises: body.Revises, RequestID: body.RequestID,
	}, io.Discard)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, struct {
		Change  lifecycle.State `json:"change"`
		Verdict *check.Verdict  `json:"verdict"`
	}{st, verdict})
	return nil
}

type changesBody struct {
	Changes []lifecycle.State `json:"changes"`
}

func (s *server) apiChanges(w http.ResponseWriter, r *request) error {
	v := r.URL.Query()
	limit, err := number(v, "limit", 100, 1000)
	if err != nil {
		return err
	}
	offset, err := number(v, "offset", 0, 1_000_000)
	if err != nil {
		return err
	}
	q := audit.ChangeQuery{App: v.Get("app"), OpenOnly: isSet(v, "open"), Limit: limit, Offset: offset}
	if isSet(v, "mine") || !isInsider(r.person) {
		q.Requester = r.person.ID
	}
	states, err := s.Service.Changes(r.Context(), q)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, changesBody{onlyVisible(r.person, states)})
	return nil
}

func isSet(v url.Values, name string) bool { return v.Get(name) == "1" || v.Get(name) == "true" }

func (s *server) detail(ctx context.Context, p identity.Person, id string) (detail, error) {
	st, events, verdict, err := s.Service.Change(ctx, id)
	if err == nil && !maySee(p, st) {
		err = notFound("This change")
	}
	if events == nil {
		events = []audit.Receipt{}
	}
	if err != nil {
		return detail{}, err
	}
	return detail{st, verdict, events, s.plans(ctx, p, st)}, nil
}

func (s *server) apiChange(w http.ResponseWriter, r *request) error {
	d, err := s.detail(r.Context(), r.person, r.PathValue("id"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, d)
	return nil
}

// maxWait is the longest that a call waits; whoever wants to wait longer calls again.
const maxWait = 60 * time.Second

func (s *server) apiWait(w http.ResponseWriter, r *request) error {
	phase := lifecycle.Phase(r.URL.Query().Get("phase"))
	if phase == "" {
		phase = lifecycle.Live
	}
	if _, known := phaseWords[phase]; !known {
		return &flow.Error{Code: flow.Invalid, Message: "There is no phase called “" + cut(string(phase), 50) + "”.", Help: "Wait for live, for example."}
	}
	timeout := 30 * time.Second
	if text := r.URL.Query().Get("timeout"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return &flow.Error{Code: flow.Invalid, Message: "The timeout cannot be read.", Help: "Write it as 30s."}
		}
		timeout = min(d, maxWait)
	}
	id := r.PathValue("id")
	if err := s.visible(r.Context(), r.person, id); err != nil {
		return err
	}
	if _, err := s.hold(r.Context(), id, timeout, func(st lifecycle.State) bool { return reached(st, phase) }); err != nil {
		return err
	}
	return s.apiChange(w, r)
}

type changeBody struct {
	Change lifecycle.State `json:"change"`
}

// apiAct does something to a change and answers with it.
func (s *server) apiAct(w http.ResponseWriter, r *request, body any, try func(ctx context.Context, id string) (lifecycle.State, error)) error {
	id := r.PathValue("id")
	if err := s.visible(r.Context(), r.person, id); err != nil {
		return err
	}
	if body != nil {
		if err := readJSON(r, body); err != nil {
			return err
		}
	}
	st, err := try(r.Context(), id)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, changeBody{st})
	return nil
}

func (s *server) apiVote(w http.ResponseWriter, r *request) error {
	var b struct {
		Decision     approval.Decision `json:"decision"`
		Reason       string            `json:"reason"`
		ChangeDigest string            `json:"change_digest"`
		PolicyDigest string            `json:"policy_digest"`
	}
	return s.apiAct(w, r, &b, func(ctx context.Context, id string) (lifecycle.State, error) {
		return s.Service.Vote(ctx, r.person, id, b.Decision, b.Reason, b.ChangeDigest, b.PolicyDigest, via(r))
	})
}

func (s *server) apiCancel(w http.ResponseWriter, r *request) error {
	var b struct {
		Reason string `json:"reason"`
	}
	return s.apiAct(w, r, &b, func(ctx context.Context, id string) (lifecycle.State, error) {
		return s.Service.Cancel(ctx, r.person, id, b.Reason, via(r))
	})
}

func (s *server) apiSchedule(w http.ResponseWriter, r *request) error {
	var b struct {
		NotBefore time.Time `json:"not_before"`
	}
	return s.apiAct(w, r, &b, func(ctx context.Context, id string) (lifecycle.State, error) {
		return s.Service.Schedule(ctx, r.person, id, b.NotBefore, via(r))
	})
}

func (s *server) apiRetry(w http.ResponseWriter, r *request) error {
	return s.apiAct(w, r, nil, func(ctx context.Context, id string) (lifecycle.State, error) {
		return s.Service.Retry(ctx, r.person, id)
	})
}

func (s *server) apiInbox(w http.ResponseWriter, r *request) error {
	states, err := s.Service.Inbox(r.Context(), r.person)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, changesBody{append([]lifecycle.State{}, states...)})
	return nil
}

func (s *server) apiApps(w http.ResponseWriter, r *request) error {
	apps, err := s.visibleApps(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string][]*repo.App{"apps": append([]*repo.App{}, apps...)})
	return nil
}

func (s *server) apiApp(w http.ResponseWriter, r *request) error {
	app, changes, events, err := s.app(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		App     *repo.App         `json:"app"`
		Changes []lifecycle.State `json:"changes"`
		Events  []audit.Receipt   `json:"events"`
	}{app, append([]lifecycle.State{}, changes...), append([]audit.Receipt{}, events...)})
	return nil
}
