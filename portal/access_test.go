package portal_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"slipway/identity"
	"slipway/portal"
)

func TestAccessTable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	want := portal.AccessTable(b.handler)
	if *update {
		if err := os.WriteFile("ACCESS.md", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("ACCESS.md")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("ACCESS.md is not what routes.go says (%v); run go test ./portal -run TestAccessTable -update", err)
	}
}

// permissions says what each route answers to whom. One letter for each of: nobody,
// the requester, another employee, a third party, an approver, an auditor, an administrator.
//
//	.  done            s  sign in first
//	f  forbidden       n  not found, since it may not be seen
//	r  refused by the rules of voting, or not possible as things stand
var permissions = map[string]string{
	"GET /{$}":                               "s......",
	"GET /sign-in":                           ".......",
	"GET /sign-in/{token}":                   ".......",
	"POST /sign-in/{token}":                  "nnnnnnn", // a guess
	"POST /sign-out":                         ".......",
	"GET /apps/new":                          "s......",
	"POST /apps/new":                         "s......",
	"POST /apps/preview":                     "s......",
	"GET /changes":                           "s......",
	"GET /changes/{id}":                      "s..n...",
	"GET /changes/{id}/live":                 "s..n...",
	"POST /changes/{id}/votes":               "srrn.rr",
	"POST /changes/{id}/cancel":              "s.fnfff",
	"POST /changes/{id}/schedule":            "s.fnfff",
	"POST /changes/{id}/retry":               "srfnffr",
	"POST /changes/{id}/rollback":            "srrnrrr", // it is not on main yet
	"POST /api/v1/changes/{id}/rollback":     "srrnrrr",
	"POST /changes/{id}/release":             "srrnrrr", // nothing of it waits for a release; see TestReleaseAtEveryDoor
	"POST /api/v1/changes/{id}/release":      "srrnrrr",
	"POST /drift/{zone}/revert":              "sfff.ff",
	"POST /drift/{zone}/adopt":               "s..f...",
	"POST /api/v1/drift/{zone}/revert":       "sfff.ff",
	"POST /api/v1/drift/{zone}/adopt":        "s..f...",
	"GET /inbox":                             "s......",
	"GET /apps":                              "s......",
	"GET /apps/{name}":                       "s..n...",
	"GET /drift":                             "s..f...",
	"POST /drift":                            "s..f...",
	"GET /drift/report":                      "s..f...",
	"GET /certificates":                      "s......",
	"GET /certificates/{id}":                 "s..n...",
	"GET /certificates/{id}/chain.pem":       "s..n...",
	"POST /certificates/{id}/renew":          "s.fn.ff",
	"GET /certificates/{id}/revoke":          "s.fn.ff",
	"POST /certificates/{id}/revoke":         "s.fn.ff",
	"GET /strays":                            "s..f...",
	"POST /strays/{id}/accept":               "sfff.ff",
	"GET /controls":                          "sfff...",
	"GET /api/v1/controls":                   "sfff...",
	"POST /evidence":                         "s.fn...",
	"GET /api/v1/evidence":                   "s.fn...",
	"GET /ca":                                ".......",
	"GET /account":                           "s......",
	"POST /account/tokens":                   "s......",
	"POST /account/tokens/{id}/revoke":       "s.nnnn.",
	"GET /admin":                             "sfffff.",
	"POST /admin/links":                      "sfffff.",
	"POST /admin/accounts/{person}/disable":  "sfffff.",
	"POST /admin/accounts/{person}/enable":   "sfffff.",
	"GET /api/v1/me":                         "s......",
	"POST /api/v1/preview":                   "s..f...", // files
	"GET /api/v1/changes":                    "s......",
	"POST /api/v1/changes":                   "s..f...", // files
	"GET /api/v1/changes/{id}":               "s..n...",
	"GET /api/v1/changes/{id}/wait":          "s..n...",
	"POST /api/v1/changes/{id}/votes":        "srrn.rr",
	"POST /api/v1/changes/{id}/cancel":       "s.fnfff",
	"POST /api/v1/changes/{id}/schedule":     "s.fnfff",
	"POST /api/v1/changes/{id}/retry":        "srfnffr",
	"GET /api/v1/inbox":                      "s......",
	"GET /api/v1/apps":                       "s......",
	"GET /api/v1/apps/{name}":                "s..n...",
	"GET /api/v1/drift":                      "s..f...",
	"POST /api/v1/drift":                     "s..f...",
	"GET /api/v1/drift/report":               "s..f...",
	"GET /api/v1/certificates":               "s......",
	"GET /api/v1/certificates/{id}":          "s..n...",
	"POST /api/v1/certificates/{id}/renew":   "s.fn.ff",
	"POST /api/v1/certificates/{id}/revoke":  "s.fn.ff",
	"POST /api/v1/apps/{name}/certificate":   "s.fnfff",
	"GET /api/v1/strays":                     "s..f...",
	"POST /api/v1/strays/{id}/accept":        "sfff.ff",
	"GET /api/v1/certificate-warnings":       "s..f...",
	"GET /ca/root.pem":                       ".......",
	"GET /ca/root.crt":                       ".......",
	"GET /ca/crl":                            ".......",
	"GET /api/v1/tokens":                     "s......",
	"POST /api/v1/tokens":                    "s......",
	"DELETE /api/v1/tokens/{id}":             "s.nnnn.",
	"POST /api/v1/links":                     "sfffff.",
	"GET /api/v1/accounts":                   "sfffff.",
	"POST /api/v1/accounts/{person}/disable": "sfffff.",
	"POST /api/v1/accounts/{person}/enable":  "sfffff.",
	"GET /api/v1/events":                     "s......",
	"GET /allowed_signers":                   ".......",
	"GET /keys.json":                         ".......",
	"GET /healthz":                           ".......",
	"GET /assets/{file}":                     ".......",
	"GET /log/":                              ".......",
	"/git/zones.git/":                        ".......", // the Git host asks for a token itself
}

func letter(code int, location string) string {
	switch {
	case code == http.StatusUnauthorized, code == http.StatusSeeOther && location == "/sign-in":
		return "s"
	case code == http.StatusForbidden:
		return "f"
	case code == http.StatusNotFound:
		return "n"
	case code == http.StatusUnprocessableEntity, code == http.StatusConflict:
		return "r"
	case code < 400:
		return "."
	}
	return "?"
}

// Every route is asked as everyone.
func TestEveryPermission(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ask(ana, filled())
	b.desk.reports = driftReports(b.now())
	patterns := portal.Patterns(b.handler)
	if len(patterns) != len(permissions) {
		t.Errorf("%d routes and %d lines in the table of permissions", len(patterns), len(permissions))
	}
	if _, err := b.people.IssueLink(t.Context(), identity.Person{ID: identity.System}, "gone@finmicro.example", "", 0); err != nil {
		t.Fatal(err)
	}
	everyone := []string{"", ana, bob, tess, ivy, audrey, admin}
	waiting := b.ask(ana, external("shop"))
	for _, pattern := range patterns {
		want, ok := permissions[pattern]
		if !ok {
			t.Errorf("%s: nothing says who may do this", pattern)
			continue
		}
		got := ""
		for i, who := range everyone {
			if who != "" {
				b.token(who)
			}
			id := waiting
			if strings.Contains(pattern, "POST") && want[i] == '.' {
				// What succeeds changes something: it gets a change of its own.
				id = b.fresh(pattern)
			}
			got += b.try(who, pattern, id)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", pattern, got, want)
		}
	}
}

// fresh returns a change that waits for a vote, or any one for what is not about changes.
func (b *bench) fresh(pattern string) string {
	if !strings.Contains(pattern, "changes/{id}") {
		return ""
	}
	return b.ask(ana, external(fmt.Sprintf("fresh-%d", b.next())))
}

func (b *bench) try(who, pattern, change string) string {
	b.t.Helper()
	var changeDigest, policyDigest string
	if st, _, _, err := b.desk.Change(b.t.Context(), change); err == nil {
		changeDigest, policyDigest = st.Subject.ChangeDigest, st.Subject.PolicyDigest
	}
	method, path, ok := strings.Cut(pattern, " ")
	if !ok {
		method, path = "GET", pattern+"info/refs"
	}
	token := "none"
	if strings.Contains(pattern, "tokens/{id}") {
		token = b.tokenOf(ana)
	}
	path = strings.NewReplacer("{$}", "", "{token}", "guess", "{name}", "expense-tracker", "{zone}", "apps.finmicro.example", "{person}", "gone@finmicro.example", "{file}", "slipway.css", "/log/", "/log/checkpoint").Replace(path)
	if strings.Contains(pattern, "tokens") {
		path = strings.ReplaceAll(path, "{id}", token)
	}
	switch {
	case strings.Contains(path, "certificates/{id}"):
		path = strings.ReplaceAll(path, "{id}", certificateID)
	case strings.Contains(path, "strays/{id}"):
		path = strings.ReplaceAll(path, "{id}", strayID)
	}
	path = strings.ReplaceAll(path, "{id}", change)
	if strings.HasPrefix(path, "/api/") {
		body := map[string]string{
			"/api/v1/preview": `{"files":{"policies/x.rego":"package x"}}`, "/api/v1/changes": `{"files":{"policies/x.rego":"package x"}}`,
			"/api/v1/tokens": `{"label":"t"}`, "/api/v1/links": `{"person":"new@finmicro.example"}`,
		}[path]
		switch {
		case strings.Contains(path, "/drift/"):
			body = `{"live":"` + digest("live") + `"}`
		case strings.HasSuffix(path, "/votes"):
			body = `{"decision":"approve","change_digest":"` + changeDigest + `","policy_digest":"` + policyDigest + `"}`
		case strings.HasSuffix(path, "/release"):
			body = `{"zone":"apps.finmicro.example","plan":"` + digest("plan") + `","reason":"Only a test."}`
		case strings.HasSuffix(path, "/cancel"), strings.HasSuffix(path, "/disable"), strings.HasSuffix(path, "/schedule"):
			body = `{}`
		case strings.HasSuffix(path, "/revoke"):
			body = `{"reason":"superseded","why":"Only a test."}`
		case strings.HasSuffix(path, "/accept"):
			body = `{"reason":"Only a test."}`
		case strings.HasSuffix(path, "/certificate"):
			body = `{"csr":"…"}`
		case strings.HasSuffix(path, "/evidence"):
			path += "?app=expense-tracker"
		case strings.HasSuffix(path, "/wait"):
			path += "?phase=live&timeout=0s"
		}
		w := b.call(who, method, path, body)
		return letter(w.Code, "")
	}
	form := url.Values{}
	switch {
	case strings.HasPrefix(path, "/drift/"):
		form.Set("live", digest("live"))
	case strings.HasSuffix(path, "/votes"):
		form = url.Values{"decision": {"approve"}, "change_digest": {changeDigest}, "policy_digest": {policyDigest}}
	case strings.HasSuffix(path, "/release"):
		form = url.Values{"zone": {"apps.finmicro.example"}, "plan": {digest("plan")}, "reason": {"Only a test."}}
	case path == "/apps/new", path == "/apps/preview":
		form = external("kiosk-" + strings.SplitN(who+"@", "@", 2)[0])
	case strings.HasSuffix(path, "/revoke"):
		form = url.Values{"reason": {"superseded"}, "why": {"Only a test."}}
	case strings.HasSuffix(path, "/accept"):
		form.Set("reason", "Only a test.")
	case path == "/evidence":
		form.Set("app", "expense-tracker")
	case path == "/account/tokens":
		form.Set("label", "t")
	case path == "/admin/links":
		form.Set("person", "new@finmicro.example")
	}
	if method == "GET" {
		form = nil
		if strings.HasSuffix(path, "/live") {
			path += "?seen=other"
		}
	}
	w := b.do(who, method, path, form)
	location := w.Header().Get("Location")
	if path == "/sign-out" {
		location = "" // where it leads is no refusal
		delete(b.cookies, who)
	}
	if path == "/sign-in" && who != "" {
		return letter(w.Code, location)
	}
	return letter(w.Code, location)
}

// tokenOf makes a token of a person and returns its ID.
func (b *bench) tokenOf(id string) string {
	b.t.Helper()
	if _, err := b.people.IssueToken(b.t.Context(), b.person(id), "to be revoked", 0); err != nil {
		b.t.Fatal(err)
	}
	list, err := b.people.Tokens(b.t.Context(), identity.Person{ID: id})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, info := range list {
		if info.Label == "to be revoked" {
			return info.ID
		}
	}
	b.t.Fatal("the token is gone")
	return ""
}

func TestThirdPartiesSeeTheirOwn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	theirs, other := b.ask(tess, external("stand")), b.ask(ana, external("shop"))
	b.decide(ivy, theirs, "approve", "")
	for path, want := range map[string]bool{"/changes?show=all": true, "/apps": true, "/api/v1/changes": true, "/api/v1/events": true} {
		var body string
		if strings.HasPrefix(path, "/api/") {
			body = b.call(tess, "GET", path, "").Body.String()
		} else {
			body = b.do(tess, "GET", path, nil).Body.String()
		}
		if strings.Contains(body, "stand") != want || strings.Contains(body, "shop") || strings.Contains(body, other) {
			t.Errorf("%s shows another's change, or not one's own", path)
		}
	}
	for _, path := range []string{"/changes/" + theirs, "/apps/stand", "/apps/new?editing=stand"} {
		if w := b.do(tess, "GET", path, nil); w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	for _, path := range []string{"/changes/" + other, "/apps/new?revises=" + other} {
		if w := b.do(tess, "GET", path, nil); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := b.do(bob, "GET", "/apps/new?revises="+other, nil); w.Code != http.StatusForbidden {
		t.Errorf("bob revises ana's: %d", w.Code)
	}
}

func TestWhoReadsTheRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ask(ana, external("shop"))
	b.ask(bob, external("kiosk"))
	for who, sees := range map[string]string{ana: "shop", bob: "kiosk", ivy: "shop kiosk sign-in", audrey: "shop kiosk sign-in", admin: "shop kiosk sign-in"} {
		body := b.call(who, "GET", "/api/v1/events", "").Body.String()
		for _, word := range []string{"shop", "kiosk", "sign-in"} {
			if strings.Contains(body, word) != strings.Contains(sees, word) {
				t.Errorf("%s sees %s: %v", who, word, strings.Contains(body, word))
			}
		}
	}
}

// A third party cannot find out by asking what it cannot see.
func TestThirdPartiesLearnNothingByAsking(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ask(ana, filled("purpose", "A plan that nobody outside may know"))
	other := b.ask(ana, external("shop"))
	theirs := `{"app":{"name":"stand","team":"web","purpose":"x","exposure":"external","data":["none"],"hostname":"stand.finmicro-apps.example"}}`
	if w := b.call(tess, "POST", "/api/v1/preview", theirs); w.Code != http.StatusOK {
		t.Errorf("their own: %d %s", w.Code, w.Body)
	}
	for what, try := range map[string]func() *httptest.ResponseRecorder{
		"preview of another's app": func() *httptest.ResponseRecorder {
			return b.call(tess, "POST", "/api/v1/preview", strings.Replace(theirs, "stand", "expense-tracker", 1))
		},
		"request for another's app": func() *httptest.ResponseRecorder {
			return b.call(tess, "POST", "/api/v1/changes", strings.Replace(theirs, "stand", "expense-tracker", 1))
		},
		"revision of another's request": func() *httptest.ResponseRecorder {
			return b.call(tess, "POST", "/api/v1/changes", strings.Replace(theirs, `{"app"`, `{"revises":"`+other+`","app"`, 1))
		},
		"files": func() *httptest.ResponseRecorder {
			return b.call(tess, "POST", "/api/v1/preview", `{"files":{"apps/expense-tracker.yaml":null}}`)
		},
		"form for another's app": func() *httptest.ResponseRecorder { return b.do(tess, "POST", "/apps/new", filled()) },
		"edit of another's app":  func() *httptest.ResponseRecorder { return b.do(tess, "GET", "/apps/new?editing=expense-tracker", nil) },
		"preview of an edit": func() *httptest.ResponseRecorder {
			return b.do(tess, "POST", "/apps/preview", filled("editing", "expense-tracker"))
		},
		"clone": func() *httptest.ResponseRecorder {
			r := httptest.NewRequest("GET", "/git/zones.git/info/refs?service=git-upload-pack", nil)
			r.SetBasicAuth("tess", b.token(tess))
			w := httptest.NewRecorder()
			b.handler.ServeHTTP(w, r)
			return w
		},
	} {
		w := try()
		if w.Code < 400 || strings.Contains(w.Body.String(), "nobody outside") || strings.Contains(w.Body.String(), ana) {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
	}
}

func TestTheGitHostIsForInsiders(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, c := range []struct {
		token string
		code  int
	}{{"", 200}, {b.token(ana), 200}, {b.token(tess), 403}, {"slip_guess", 401}} {
		r := httptest.NewRequest("GET", "/git/zones.git/info/refs", nil)
		if c.token != "" {
			r.SetBasicAuth("x", c.token)
		}
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, r)
		if w.Code != c.code || c.code == 401 && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%.5s…: %d, want %d", c.token, w.Code, c.code)
		}
	}
}
