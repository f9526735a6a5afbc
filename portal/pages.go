package portal

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/audit"
	"slipway/cert"
	"slipway/drift"
	"slipway/flow"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/repo"
	"slipway/zone"
)

type homeView struct {
	Mine    []lifecycle.State
	Waiting []lifecycle.State
	Now     time.Time

	Warnings []cert.WarnDetails
	Drifted  []drift.Report // for those who may put zones back
}

// homeList is how many of one's requests the first page shows.
const homeList = 10

func (s *server) homePage(w http.ResponseWriter, r *request) error {
	mine, err := s.Service.Changes(r.Context(), audit.ChangeQuery{Requester: r.person.ID, Limit: homeList})
	if err != nil {
		return err
	}
	waiting, err := s.Service.Inbox(r.Context(), r.person)
	if err != nil {
		return err
	}
	v := homeView{Mine: mine, Waiting: waiting, Now: s.Now()}
	if isInsider(r.person) {
		if v.Warnings, err = s.certificateWarnings(r); err != nil {
			return err
		}
		if v.Drifted, err = s.drifted(r); err != nil {
			return err
		}
	}
	return s.show(w, r, http.StatusOK, "home", "Home", v)
}

func (s *server) signInPage(w http.ResponseWriter, r *request) error {
	if r.person.Via != "" {
		http.Redirect(w, r.Request, "/", http.StatusSeeOther)
		return nil
	}
	return s.show(w, r, http.StatusOK, "sign-in", "Sign in", nil)
}

// linkPage shows a button and no more: whoever only looks at a link, such as a
// mail scanner, must not use it up.
func (s *server) linkPage(w http.ResponseWriter, r *request) error {
	if err := s.Identity.LinkValid(r.PathValue("token")); err != nil && !errors.Is(err, identity.ErrNoLink) {
		return err
	}
	// An unknown link gets the button too, and is refused by the throttled POST:
	// guessing must not be cheaper by looking.
	return s.show(w, r, http.StatusOK, "sign-in", "Sign in", r.PathValue("token"))
}

func (s *server) redeemLink(w http.ResponseWriter, r *request) error {
	if _, err := s.door.Enter(w, r.Request, r.PathValue("token")); err != nil {
		return err
	}
	http.Redirect(w, r.Request, "/", http.StatusSeeOther)
	return nil
}

func (s *server) signOut(w http.ResponseWriter, r *request) error {
	if err := s.door.Leave(w, r.Request); err != nil {
		return err
	}
	http.Redirect(w, r.Request, "/sign-in", http.StatusSeeOther)
	return nil
}

func (s *server) visibleApps(r *request) ([]*repo.App, error) {
	apps, err := s.Service.Apps(r.Context())
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(apps), func(a *repo.App) bool { return !maySeeApp(r.person, a) }), nil
}

type appsView struct {
	Search string
	Apps   []*repo.App
	More   int // that are not listed
}

// appsList is how many apps one page lists; whoever has more searches.
const appsList = 500

func (s *server) appsPage(w http.ResponseWriter, r *request) error {
	apps, err := s.visibleApps(r)
	if err != nil {
		return err
	}
	v := appsView{Search: cut(strings.TrimSpace(r.URL.Query().Get("search")), maxLine)}
	for _, word := range strings.Fields(strings.ToLower(v.Search)) {
		apps = slices.DeleteFunc(apps, func(a *repo.App) bool {
			return !strings.Contains(strings.ToLower(strings.Join([]string{a.Name, a.Hostname.Unicode(), a.Purpose, a.Owner, a.Team}, "\n")), word)
		})
	}
	v.Apps = apps[:min(len(apps), appsList)]
	v.More = len(apps) - len(v.Apps)
	return s.show(w, r, http.StatusOK, "apps", "Apps", v)
}

type appView struct {
	App     *repo.App
	Records []edit
	Changes []lifecycle.State
	Events  []timelineEntry
	Open    *lifecycle.State // a change of it that is not done
	Expired bool
	Now     time.Time

	CanTakeOut bool // evidence

	Certificate appCertificate
}

func (s *server) app(r *request) (*repo.App, []lifecycle.State, []audit.Receipt, error) {
	app, changes, events, err := s.Service.App(r.Context(), r.PathValue("name"))
	if err != nil {
		return nil, nil, nil, err
	}
	if app == nil {
		if asked := onlyVisible(r.person, changes); len(asked) > 0 {
			return nil, nil, nil, &flow.Error{Code: flow.NotFound, Message: "The app " + r.PathValue("name") + " is not live.", Help: "It was asked for. Look at where that stands in the list of requests."}
		}
	}
	if app == nil || !maySeeApp(r.person, app) {
		return nil, nil, nil, notFound("This app")
	}
	return app, onlyVisible(r.person, changes), events, nil
}

func (s *server) appPage(w http.ResponseWriter, r *request) error {
	app, changes, events, err := s.app(r)
	if err != nil {
		return err
	}
	v := appView{App: app, Changes: changes, Events: timeline(events), Now: s.Now(), CanTakeOut: s.offersEvidence(r.person, app.Owner)}
	for _, rr := range app.Records {
		v.Records = append(v.Records, edit{Name: rr.Name.Unicode(), Kind: rr.Type, After: contentOf(&rr)})
	}
	for i := range changes {
		if !changes[i].Phase.Ended() {
			v.Open = &changes[i]
			break
		}
	}
	v.Certificate = certificateOf(app.Certificate, app.Name, s.Service.Certificates(r.Context(), cert.Query{App: app.Name}), v.Open, s.Now())
	if until, err := time.Parse(time.DateOnly, app.Expires); err == nil {
		v.Expired = !s.Now().Before(until.AddDate(0, 0, 1))
	}
	return s.show(w, r, http.StatusOK, "app", app.Name, v)
}

type accountView struct {
	Tokens  []identity.TokenInfo
	Token   string // the new one, shown this once
	Label   string
	BaseURL string
	DNS     string    // as dig's arguments
	Zone    zone.Name // one to ask for
	Problem *flow.Error
	Done    string
}

func (s *server) accountPage(w http.ResponseWriter, r *request) error {
	v := accountView{}
	if r.URL.Query().Get("done") == "revoked" {
		v.Done = "The token was revoked. Programs that use it can no longer act for you."
	}
	return s.showAccount(w, r, http.StatusOK, v)
}

func (s *server) showAccount(w http.ResponseWriter, r *request, status int, v accountView) (err error) {
	v.Tokens, err = s.Identity.Tokens(r.Context(), r.person)
	if err != nil {
		return err
	}
	settings, err := s.Settings(r.Context())
	if err != nil {
		return err
	}
	for name, z := range settings.Zones {
		if z.Visibility == "internal" && (v.Zone == "" || name < v.Zone) {
			v.Zone = name
		}
	}
	v.BaseURL, v.DNS = s.BaseURL, digArguments(s.DNS)
	return s.show(w, r, status, "account", "Account", v)
}

// digArguments turns host:port into the words that dig wants.
func digArguments(address string) string {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return ""
	}
	return "@" + ap.Addr().String() + " -p " + strconv.Itoa(int(ap.Port()))
}

func (s *server) createToken(w http.ResponseWriter, r *request) error {
	form, err := readPost(r)
	if err != nil {
		return err
	}
	v := accountView{Label: cut(form.Get("label"), maxLine)}
	days, err := number(form, "days", 90, 366)
	if err == nil {
		v.Token, err = s.Identity.IssueToken(r.Context(), r.person, form.Get("label"), time.Duration(days)*24*time.Hour)
	}
	if err != nil {
		if v.Problem = explain(err); v.Problem.Code != flow.Invalid {
			return err
		}
		return s.showAccount(w, r, http.StatusBadRequest, v)
	}
	return s.showAccount(w, r, http.StatusOK, v)
}

func (s *server) revokeToken(w http.ResponseWriter, r *request) error {
	if err := s.revoke(r); err != nil {
		return err
	}
	http.Redirect(w, r.Request, "/account?done=revoked", http.StatusSeeOther)
	return nil
}

// revoke is one for the page and the API. A token that is not there is "not
// found", unlike a request made with one.
func (s *server) revoke(r *request) error {
	err := s.Identity.RevokeToken(r.Context(), r.person, r.PathValue("id"))
	if errors.Is(err, identity.ErrNoToken) {
		return notFound("This token")
	}
	return err
}

type adminView struct {
	Accounts []identity.Person
	Link     string // the new one, shown this once
	For      string
	Person   string // as typed, when it was refused
	Role     string
	Done     string
	Me       string
	Problem  *flow.Error
}

func (s *server) adminPage(w http.ResponseWriter, r *request) error {
	v := adminView{Done: map[string]string{
		"disable": "The account is disabled. Its sessions, tokens and unused links have ended.",
		"enable":  "The account is enabled. Make a sign-in link for its person.",
	}[r.URL.Query().Get("done")]}
	return s.showAdmin(w, r, http.StatusOK, v)
}

func (s *server) disableAccount(w http.ResponseWriter, r *request) error {
	form, err := readPost(r)
	if err != nil {
		return err
	}
	return s.changeAccount(w, r, "disable", s.Identity.DisableAccount(r.Context(), r.person, r.PathValue("person"), form.Get("reason")))
}

func (s *server) enableAccount(w http.ResponseWriter, r *request) error {
	return s.changeAccount(w, r, "enable", s.Identity.EnableAccount(r.Context(), r.person, r.PathValue("person")))
}

// changeAccount shows the accounts after one was changed, or why it was not.
func (s *server) changeAccount(w http.ResponseWriter, r *request, what string, err error) error {
	if err == nil {
		http.Redirect(w, r.Request, "/admin?done="+what, http.StatusSeeOther)
		return nil
	}
	e := explain(err)
	if e.Code != flow.Invalid && e.Code != flow.Forbidden {
		return err
	}
	return s.showAdmin(w, r, statusOf[e.Code], adminView{Problem: e})
}

func (s *server) showAdmin(w http.ResponseWriter, r *request, status int, v adminView) (err error) {
	if v.Accounts, err = s.Identity.Accounts(r.Context()); err != nil {
		return err
	}
	v.Me = r.person.ID
	return s.show(w, r, status, "admin", "Administration", v)
}

func (s *server) createLink(w http.ResponseWriter, r *request) error {
	form, err := readPost(r)
	if err != nil {
		return err
	}
	v := adminView{Person: cut(form.Get("person"), maxLine), Role: cut(form.Get("role"), maxLine)}
	v.Link, err = s.link(r, form.Get("person"), form.Get("role"))
	if err != nil {
		if v.Problem = explain(err); v.Problem.Code != flow.Invalid {
			return err
		}
		return s.showAdmin(w, r, http.StatusBadRequest, v)
	}
	v.For, v.Person, v.Role = v.Person, "", ""
	return s.showAdmin(w, r, http.StatusOK, v)
}

// link is one for the page and the API.
func (s *server) link(r *request, person, role string) (string, error) {
	token, err := s.Identity.IssueLink(r.Context(), r.person, person, role, 0)
	if err != nil {
		return "", err
	}
	return s.BaseURL + "/sign-in/" + token, nil
}
