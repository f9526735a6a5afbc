package portal

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"slipway/audit"
	"slipway/evidence"
	"slipway/flow"
	"slipway/identity"
)

// Evidence is taken out as a file that is verified without the server. Whoever may read the
// whole record may have any of it; the owner of an app may have that app's.

func (s *server) evidencePage(w http.ResponseWriter, r *request) error {
	form, err := readPost(r)
	if err != nil {
		return err
	}
	return s.takeOut(w, r, form)
}

func (s *server) apiEvidence(w http.ResponseWriter, r *request) error {
	// Taking evidence out goes into the record, so it is not for a page of another site to cause.
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return &flow.Error{Code: flow.Forbidden, Message: "This request came from another site, so nothing was done.", Help: "Ask with a personal token, or use the button on the app's page."}
	}
	return s.takeOut(w, r, r.URL.Query())
}

// takeOut makes the bundle in a file first: a download that has begun can no longer say that it failed.
func (s *server) takeOut(w http.ResponseWriter, r *request, v url.Values) error {
	subject, err := subjectOf(v)
	if err != nil {
		return err
	}
	if err := s.mayTakeOut(r.Context(), r.person, subject); err != nil {
		return err
	}
	if s.Evidence == nil {
		return &flow.Error{Code: flow.Unavailable, Message: "This server takes no evidence out.", Help: "Ask whoever runs it; slipway evidence export --data works on its files."}
	}
	file, err := os.CreateTemp("", "slipway-evidence-")
	if err != nil {
		return err
	}
	defer file.Close()
	if err := os.Remove(file.Name()); err != nil { // it lives for as long as it is open, also when we are killed
		return err
	}
	if _, err := s.Evidence.Export(r.Context(), file, audit.Actor{ID: r.person.ID, Role: roleOf(r.person)}, subject); err != nil {
		return notTakenOut(err)
	}
	size, err := file.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	h.Set("Content-Disposition", `attachment; filename="`+bundleName(subject)+`"`)
	_, _ = io.Copy(w, file) // a browser that has gone is no error of ours
	return nil
}

// roleOf is never empty: an event always names a role.
func roleOf(p identity.Person) string {
	if p.Role == "" {
		return "person"
	}
	return p.Role
}

func subjectOf(v url.Values) (evidence.Subject, error) {
	sub := evidence.Subject{App: v.Get("app"), Change: v.Get("change"), Zone: v.Get("zone"), Complete: isSet(v, "complete")}
	for name, to := range map[string]*time.Time{"from": &sub.From, "to": &sub.To} {
		if text := v.Get(name); text != "" {
			var err error
			if *to, err = parseTime(text); err != nil {
				return sub, &flow.Error{Code: flow.Invalid, Message: name + " cannot be read as a time.", Help: "Write it as 2027-01-31T09:00:00Z or 2027-01-31."}
			}
		}
	}
	return sub, nil
}

// mayTakeOut refuses everybody but those who may read the whole record, and owners their own app.
func (s *server) mayTakeOut(ctx context.Context, p identity.Person, sub evidence.Subject) error {
	if seesRecord(p) {
		return nil
	}
	refused := &flow.Error{Code: flow.Forbidden, Message: "Evidence is for auditors, approvers and administrators, and for the owner of an app about that app.", Help: "Ask one of them for it."}
	name := sub.App
	if sub.Change != "" && name == "" {
		st, _, _, err := s.Service.Change(ctx, sub.Change)
		if err != nil {
			return err
		}
		if !maySee(p, st) {
			return notFound("This request")
		}
		name = st.App
	}
	if name == "" || sub.Zone != "" || sub.Complete || !sub.From.IsZero() || !sub.To.IsZero() {
		return refused
	}
	app, changes, _, err := s.Service.App(ctx, name)
	switch {
	case err != nil:
		return err
	case app == nil || !maySeeApp(p, app):
		return notFound("This app")
	case !strings.EqualFold(app.Owner, p.ID):
		return refused
	case !isInsider(p) && len(onlyVisible(p, changes)) < len(changes):
		// Others have asked for changes of it, which a third party may not see.
		return refused
	}
	return nil
}

// offersEvidence says whether a page about something of owner has the button. The owner of a change's app
// finds it on the app's page.
func (s *server) offersEvidence(p identity.Person, owner string) bool {
	return s.Evidence != nil && (seesRecord(p) || isInsider(p) && strings.EqualFold(owner, p.ID))
}

func notTakenOut(err error) error {
	var asked *evidence.SubjectError
	switch {
	case errors.As(err, &asked):
		return &flow.Error{Code: flow.Invalid, Message: sentence(asked.What), Help: "slipway evidence export --help has examples."}
	case errors.Is(err, evidence.ErrNothing):
		return &flow.Error{Code: flow.NotFound, Message: "There is nothing on record about that.", Help: "Check the name; slipway audit log shows what is on record."}
	}
	return err
}

var unfit = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// bundleName is a file name of letters, digits, dots and hyphens.
func bundleName(sub evidence.Subject) string {
	name := "period"
	for _, n := range []string{sub.Zone, sub.Change, sub.App} {
		if n != "" {
			name = n
		}
	}
	return "evidence-" + strings.Trim(unfit.ReplaceAllString(name, "-"), ".-") + ".zip"
}
