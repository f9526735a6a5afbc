package portal

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"slipway/check"
	"slipway/flow"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/repo"
	"slipway/zone"
)

// formView is the request form as a template needs it.
type formView struct {
	Form    requestForm
	Errors  []fieldError // in the form's order, for the summary at the top
	Problem *flow.Error  // what is wrong with none of the fields
	Zones   []zoneChoice
	Preview *previewView // nil until something was checked
	Changes string       // title of the change that is revised
}

type fieldError struct {
	field
	Text string
}

type zoneChoice struct {
	Name  zone.Name
	Label string
}

// control is what stands beside one field: an error from reading the form, or findings of the checks.
type control struct {
	ID       string
	Error    string
	Findings []check.Finding
}

// DataClasses are the kinds of data in the form's order.
func (v formView) DataClasses() []string { return dataClasses }

// Handles reports whether a kind of data was chosen.
func (v formView) Handles(class string) bool { return slices.Contains(v.Form.Data, class) }

// Advanced reports whether something in the folded part of the form has to be seen.
func (v formView) Advanced() bool {
	for _, e := range v.Errors {
		if e.ID == "ttl" || e.ID == "ticket" || e.ID == "not_before" {
			return true
		}
	}
	// A finding about the cache time needs one to have been typed.
	return v.Form.TTL+v.Form.Ticket+v.Form.NotBefore != ""
}

func (v formView) control(id string) control {
	c := control{ID: id}
	for _, e := range v.Errors {
		if e.ID == id {
			c.Error = e.Text
		}
	}
	if v.Preview != nil {
		for _, f := range v.Preview.Findings {
			if f.Field == id {
				c.Findings = append(c.Findings, f.Finding)
			}
		}
	}
	return c
}

// previewView is what the checks say to a form.
type previewView struct {
	Todo     []string     // what has to be filled in before anything can be said
	Problem  *flow.Error  // the checks could not run
	Mistakes []fieldError // what was filled in and cannot be understood
	Verdict  *check.Verdict
	Findings []placedFinding
}

// placedFinding is a finding and the field that it is about, if any.
type placedFinding struct {
	check.Finding
	Field, Label string
}

// draft is a form together with what it is about.
type draft struct {
	form     requestForm
	settings *repo.Settings
	before   *repo.App        // the app as it is, or as it was asked for in the change that is revised
	revised  *lifecycle.State // that change
}

// draft finds out what a form is about, and whether the person may.
func (s *server) draft(ctx context.Context, p identity.Person, f requestForm) (*draft, error) {
	settings, err := s.Settings(ctx)
	if err != nil {
		return nil, err
	}
	d := &draft{form: f, settings: settings}
	switch {
	case f.Revises != "":
		st, _, verdict, err := s.Service.Change(ctx, f.Revises)
		if err != nil {
			return nil, err
		}
		if !maySee(p, st) {
			return nil, notFound("This request")
		}
		if st.Requester != p.ID {
			return nil, &flow.Error{Code: flow.Forbidden, Message: "Only " + st.Requester + " can send a new version of this request.", Help: "Ask for what you need in a request of your own."}
		}
		if d.before = appOf(verdict); d.before == nil {
			return nil, &flow.Error{Code: flow.Refused, Message: "This request cannot be edited in a form, because it is about more than one app.", Help: "Push the new version by Git with: git push -o revises=" + st.ID + " origin HEAD:refs/for/main"}
		}
		d.revised = &st
	case f.Editing != "":
		app, _, _, err := s.Service.App(ctx, f.Editing)
		if err != nil {
			return nil, err
		}
		if app == nil || !maySeeApp(p, app) {
			return nil, notFound("This app")
		}
		d.before = app
	}
	return d, nil
}

// appOf returns the one app that a change is about, as it is to be.
func appOf(v *check.Verdict) *repo.App {
	if v == nil || v.Change == nil || len(v.Change.Apps) != 1 || len(v.Change.Files) > 0 {
		return nil
	}
	return v.Change.Apps[0].After
}

// app builds what the form asks for. Whoever asks owns a new app.
func (d *draft) app(by identity.Person) (*repo.App, problems) {
	if d.form.Editing != "" {
		d.form.Name = d.form.Editing
	}
	return d.form.build(by.ID, d.settings, d.before)
}

func (d *draft) view() formView {
	v := formView{Form: d.form}
	for name, z := range d.settings.Zones {
		if z.Parked {
			continue
		}
		label := name.Unicode() + " (on the internet)"
		if z.Visibility == "internal" {
			label = name.Unicode() + " (inside the company)"
		}
		v.Zones = append(v.Zones, zoneChoice{name, label})
	}
	slices.SortFunc(v.Zones, func(a, b zoneChoice) int {
		internal := func(c zoneChoice) int {
			if d.settings.Zones[c.Name].Visibility == "internal" {
				return 0
			}
			return 1
		}
		return cmp.Or(internal(a)-internal(b), cmp.Compare(a.Name, b.Name))
	})
	if d.revised != nil {
		v.Changes = d.revised.Title
	}
	return v
}

func (d *draft) title() string {
	switch {
	case d.revised != nil:
		return "Send a new version"
	case d.form.Editing != "":
		return "Change the app " + d.form.Editing
	}
	return "Ask for an app"
}

func inOrder(bad problems) []fieldError {
	var out []fieldError
	for _, f := range fields {
		if text := bad[f.ID]; text != "" {
			out = append(out, fieldError{f, text})
		}
	}
	return out
}

func (s *server) requestPage(w http.ResponseWriter, r *request) error {
	q := r.URL.Query()
	f := requestForm{Revises: cut(q.Get("revises"), maxLine), Editing: cut(q.Get("editing"), maxLine)}
	d, err := s.draft(r.Context(), r.person, f)
	if err != nil {
		return err
	}
	if d.before != nil {
		d.form = formOf(d.before, d.settings)
		d.form.Revises, d.form.Editing = f.Revises, f.Editing
	}
	if d.revised != nil {
		d.form.Ticket = d.revised.Ticket
		if !d.revised.NotBefore.IsZero() {
			d.form.NotBefore = d.revised.NotBefore.UTC().Format("2006-01-02T15:04")
		}
	}
	d.form.RequestID = rand.Text()
	return s.show(w, r, http.StatusOK, "request", d.title(), d.view())
}

// readPost parses a posted form; a body that is too large or not a form is an error of the asker.
func readPost(r *request) (url.Values, error) {
	if err := r.ParseForm(); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, err
		}
		return nil, &flow.Error{Code: flow.Invalid, Message: "What was sent is not a form that can be read.", Help: "Go back and send it again.", Detail: err}
	}
	return r.PostForm, nil
}

func (s *server) submitRequest(w http.ResponseWriter, r *request) error {
	posted, err := readPost(r)
	if err != nil {
		return err
	}
	d, err := s.draft(r.Context(), r.person, readForm(posted))
	if err != nil {
		return err
	}
	app, bad := d.app(r.person)
	if err := s.nameTaken(r.Context(), d, app, bad); err != nil {
		return err
	}
	if posted.Get("do") == "check" || len(bad) > 0 {
		v := d.view()
		v.Errors = inOrder(bad)
		status := http.StatusOK
		if len(bad) > 0 {
			status = http.StatusUnprocessableEntity
		} else {
			v.Preview = s.preview(r.Context(), r.person, d)
		}
		return s.show(w, r, status, "request", d.title(), v)
	}
	st, err := s.submitApp(r.Context(), r.person, d, app)
	if err != nil {
		e := explain(err)
		if e.Code != flow.Invalid && e.Code != flow.Refused && e.Code != flow.Conflict {
			return err
		}
		v := d.view()
		if mistake, ok := misplaced(e, app); ok {
			v.Errors = []fieldError{mistake}
		} else {
			v.Problem = e
		}
		return s.show(w, r, statusOf[e.Code], "request", d.title(), v)
	}
	http.Redirect(w, r.Request, "/changes/"+url.PathEscape(st.ID), http.StatusSeeOther)
	return nil
}

func (s *server) submitApp(ctx context.Context, by identity.Person, d *draft, app *repo.App) (lifecycle.State, error) {
	raw, err := app.Marshal()
	if err != nil {
		return lifecycle.State{}, err
	}
	notBefore, _ := d.form.notBefore() // build has looked at it
	title := "Launch " + app.Name
	if d.form.Editing != "" || d.revised != nil {
		title = "Change " + app.Name
	}
	if d.revised != nil && app.Name == d.before.Name {
		title = d.revised.Title
	}
	st, _, err := s.Service.Submit(ctx, flow.Submission{
		By: by, Via: "portal", Files: map[string][]byte{app.Path: raw}, Title: title,
		Ticket: d.form.Ticket, NotBefore: notBefore, Revises: d.form.Revises, RequestID: d.form.RequestID,
	}, io.Discard)
	return st, err
}

// nameTaken refuses a new app under the name of one that exists: sent as it
// is, it would replace that app.
func (s *server) nameTaken(ctx context.Context, d *draft, app *repo.App, bad problems) error {
	if bad["name"] != "" || d.before != nil && d.before.Name == app.Name {
		return nil
	}
	there, _, _, err := s.Service.App(ctx, app.Name)
	switch {
	case err == nil && there == nil: // asked for once, and not live
	case err == nil:
		bad.add("name", "There is an app with this name already. Choose another name, or change that app on its own page.")
	case explain(err).Code != flow.NotFound:
		return err
	}
	return nil
}

// previewRequest answers the script with the part of the form's page that says what would happen.
func (s *server) previewRequest(w http.ResponseWriter, r *request) error {
	posted, err := readPost(r)
	if err != nil {
		return err
	}
	d, err := s.draft(r.Context(), r.person, readForm(posted))
	if err != nil {
		return err
	}
	return s.fragment(w, http.StatusOK, "request", "preview", s.preview(r.Context(), r.person, d))
}

// previewTimeout bounds one preview: somebody is waiting for it while typing.
const previewTimeout = 10 * time.Second

// preview judges a draft as far as it goes. What is missing is a thing to do,
// not a mistake: whoever is typing knows that they are not done.
func (s *server) preview(ctx context.Context, by identity.Person, d *draft) *previewView {
	v := &previewView{}
	app, bad := d.app(by)
	if err := s.nameTaken(ctx, d, app, bad); err != nil {
		v.Problem = explain(err)
		return v
	}
	empty := map[string]bool{
		"name": d.form.Name == "", "purpose": d.form.Purpose == "", "team": d.form.Team == "", "exposure": d.form.Exposure == "",
		"host": d.form.Host == "", "zone": d.form.Zone == "", "targets": d.form.Targets == "", "data": len(d.form.Data) == 0, "expires": d.form.Expires == "",
	}
	ready := true
	for _, e := range inOrder(bad) {
		if empty[e.ID] {
			v.Todo = append(v.Todo, e.Label)
		} else {
			v.Mistakes = append(v.Mistakes, e)
		}
		// Purpose, team and addresses may still be missing: the tier hardly depends on them.
		ready = ready && (e.ID == "purpose" || e.ID == "team" || e.ID == "targets")
	}
	if !ready {
		return v
	}
	verdict, err := s.judge(ctx, by, app)
	if err != nil {
		e := explain(err)
		if e.Detail != nil && e.Code == flow.Unavailable {
			s.Logger.Error("preview", "person", by.ID, "app", app.Name, "error", e.Detail)
		}
		if mistake, ok := misplaced(e, app); ok {
			v.Mistakes = append(v.Mistakes, mistake)
		} else {
			v.Problem = e
		}
		return v
	}
	v.Verdict = verdict
	labels := map[string]string{}
	for _, f := range fields {
		labels[f.ID] = f.Label
	}
	lines := manifestLines(app)
	for _, f := range verdict.Findings {
		id := fieldOf(f, app.Path, lines)
		if empty[id] && slices.Contains(v.Todo, labels[id]) {
			continue // it is on the list of things to do
		}
		v.Findings = append(v.Findings, placedFinding{f, id, labels[id]})
	}
	return v
}

// misplaced finds the field that an unusable manifest is about: whoever filled
// in a form has never seen the file that came of it.
func misplaced(e *flow.Error, app *repo.App) (fieldError, bool) {
	source, ok := errors.AsType[*zone.Error](e.Detail)
	if !ok {
		return fieldError{}, false
	}
	id := fieldOf(check.Finding{Path: source.Place.Path, Line: source.Place.Line}, app.Path, manifestLines(app))
	for _, f := range fields {
		if f.ID == id {
			return fieldError{f, plainReason(source, e.Message)}, true
		}
	}
	return fieldError{}, false
}

func (s *server) judge(ctx context.Context, by identity.Person, app *repo.App) (*check.Verdict, error) {
	raw, err := app.Marshal()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, previewTimeout)
	defer cancel()
	return s.tryOut(ctx, by, map[string][]byte{app.Path: raw})
}

// manifestLines says where the keys of an app's manifest stand in the file that will be written.
func manifestLines(app *repo.App) map[string]int {
	raw, err := app.Marshal()
	if err != nil {
		return nil
	}
	parsed, err := repo.ParseApp(app.Path, raw)
	if err != nil {
		return nil
	}
	return parsed.Lines
}
