package portal_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"slipway/identity"
	"slipway/portal"
)

func TestOptionsAreChecked(t *testing.T) {
	if _, err := portal.New(portal.Options{}); err == nil {
		t.Error("a portal without a service was made")
	}
}

func TestARequestGoesLiveWithoutAnybody(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.ask(ana, filled())
	body := b.do(ana, "GET", "/changes/"+id, nil).Body.String()
	for _, want := range []string{"everything answers as approved", "Approved by rule", "expenses.apps.finmicro.example", "192.0.2.10", "Launch expense-tracker"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page of the request does not say %q", want)
		}
	}
	if body := b.do(bob, "GET", "/apps/expense-tracker", nil).Body.String(); !strings.Contains(body, "Tracks team expenses") || !strings.Contains(body, ana) {
		t.Error("the page of the app does not say what it is for and whose it is")
	}
}

func TestVotesAreBoundToWhatWasSeen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.ask(ana, external("shop"))
	page := b.do(ivy, "GET", "/changes/"+id, nil).Body.String()
	if !strings.Contains(page, ">Approve</button>") {
		t.Fatal("an approver is offered no vote")
	}
	if page := b.do(ana, "GET", "/changes/"+id, nil).Body.String(); strings.Contains(page, ">Approve</button>") || !strings.Contains(page, "somebody else must approve it") {
		t.Error("the requester is offered a vote, or not told why not")
	}
	if w := b.decide(ana, id, "approve", ""); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("self-approval: %d", w.Code)
	}
	if w := b.decide(ivy, id, "reject", ""); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "Say why") {
		t.Errorf("rejection without a reason: %d", w.Code)
	}
	st, _, _, err := b.desk.Change(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	revised := external("shop", "targets", "192.0.2.99", "revises", id)
	if w := b.do(ana, "POST", "/apps/new", revised); w.Code != http.StatusSeeOther {
		t.Fatalf("revision: %d %s", w.Code, w.Body)
	}
	w := b.do(ivy, "POST", "/changes/"+id+"/votes", url.Values{"decision": {"approve"}, "reason": {"as it was"}, "change_digest": {st.Subject.ChangeDigest}, "policy_digest": {st.Subject.PolicyDigest}})
	if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "as it was") {
		t.Errorf("a vote on the earlier content: %d; the typed reason must stay", w.Code)
	}
	if w := b.decide(ivy, id, "approve", "looks right"); w.Code != http.StatusSeeOther {
		t.Errorf("a vote on the current content: %d %s", w.Code, w.Body)
	}
	if page := b.do(ana, "GET", "/changes/"+id, nil).Body.String(); !strings.Contains(page, "looks right") || !strings.Contains(page, "everything answers") {
		t.Error("the timeline lacks the approval, or it is not live")
	}
}

func TestAFormThatIsSentTwiceAsksOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	form := external("shop", "request_id", "ABC")
	if one, two := b.ask(ana, form), b.ask(ana, form); one != two {
		t.Errorf("two changes, %s and %s", one, two)
	}
	// Another person's form with the same ID is another request.
	if b.ask(bob, external("kiosk", "request_id", "ABC")) == b.ask(ana, form) {
		t.Error("bob got ana's change")
	}
}

func TestANewAppDoesNotReplaceAnother(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ask(ana, filled())
	w := b.do(bob, "POST", "/apps/new", filled())
	if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "There is an app with this name already") {
		t.Errorf("%d", w.Code)
	}
	id := b.ask(bob, filled("editing", "expense-tracker", "targets", "192.0.2.11"))
	_, _, v, err := b.desk.Change(t.Context(), id)
	if err != nil || v.Change.Apps[0].After.Owner != ana {
		t.Errorf("the owner changed with bob's edit: %+v, %v", v, err)
	}
}

func TestTheOldAddressesOfAnEditedAppGo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ask(ana, filled("targets", "192.0.2.10\n2001:db8::1"))
	id := b.ask(ana, filled("editing", "expense-tracker", "targets", "lb.hosting.example"))
	_, _, v, err := b.desk.Change(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	records := v.Change.Apps[0].After.Records
	if len(records) != 1 || records[0].Type != "CNAME" || records[0].Values[0] != "lb.hosting.example." {
		t.Errorf("records %+v", records)
	}
}

func TestLookingAtALinkDoesNotUseItUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	link, err := b.people.IssueLink(t.Context(), identity.Person{ID: identity.System}, ana, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if w := b.do("", "GET", "/sign-in/"+link, nil); w.Code != http.StatusOK {
			t.Fatalf("GET: %d", w.Code)
		}
	}
	if w := b.do("", "POST", "/sign-in/"+link, nil); w.Code != http.StatusSeeOther {
		t.Fatalf("POST: %d", w.Code)
	}
	for _, method := range []string{"GET", "POST"} {
		if w := b.do("", method, "/sign-in/"+link, nil); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "already been used") {
			t.Errorf("%s again: %d", method, w.Code)
		}
	}
	if strings.Contains(b.logged.String(), link) {
		t.Error("the link stands in the operator's log")
	}
}

func TestSigningOutEndsTheSession(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if w := b.do(ana, "GET", "/", nil); w.Code != http.StatusOK {
		t.Fatalf("home: %d", w.Code)
	}
	b.do(ana, "POST", "/sign-out", url.Values{})
	if w := b.do(ana, "GET", "/", nil); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/sign-in" {
		t.Errorf("after signing out: %d to %q", w.Code, w.Header().Get("Location"))
	}
}

func TestOtherSitesCannotAct(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, path := range []string{"/apps/new", "/sign-out", "/account/tokens", "/api/v1/changes"} {
		r := httptest.NewRequest("POST", path, strings.NewReader(filled().Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.AddCookie(b.cookie(ana))
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("%s from another site: %d", path, w.Code)
		}
	}
	r := httptest.NewRequest("POST", "/api/v1/preview", strings.NewReader(`{"files":{"a.yaml":"x"}}`))
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Authorization", "Bearer "+b.token(ana))
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Errorf("a token from anywhere: %d %s", w.Code, w.Body)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, path := range []string{"/", "/sign-in", "/nowhere", "/api/v1/me", "/healthz"} {
		h := b.do("", "GET", path, nil).Header()
		for name, want := range map[string]string{"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Strict-Transport-Security": "max-age", "Cache-Control": "no-store"} {
			if !strings.Contains(h.Get(name), want) {
				t.Errorf("%s: %s is %q", path, name, h.Get(name))
			}
		}
		if strings.Contains(h.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s: the content policy is not strict", path)
		}
	}
}

func TestFaultsAreToldToTheOperatorOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cookie(ana)
	b.desk.broken = errors.New("disk 7 is on fire")
	for path, code := range map[string]int{"/changes/x": 503, "/api/v1/changes/x": 503} {
		w := b.do(ana, "GET", path, nil)
		if w.Code != code || strings.Contains(w.Body.String(), "fire") {
			t.Errorf("%s: %d, and the reason is shown: %v", path, w.Code, strings.Contains(w.Body.String(), "fire"))
		}
	}
	if !strings.Contains(b.logged.String(), "disk 7 is on fire") {
		t.Error("the operator is not told")
	}
}

func TestTooLargeAndUnreadableBodies(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	big := url.Values{"purpose": {strings.Repeat("x", 300<<10)}}
	if w := b.do(ana, "POST", "/apps/new", big); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "too large") {
		t.Errorf("a form of 300 KiB: %d", w.Code)
	}
	if w := b.call(ana, "POST", "/api/v1/changes", `{"title":"`+strings.Repeat("x", 5<<20)+`"}`); w.Code != http.StatusBadRequest {
		t.Errorf("JSON of 5 MiB: %d", w.Code)
	}
	r := httptest.NewRequest("POST", "/apps/new", strings.NewReader("a=%zz"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.AddCookie(b.cookie(ana))
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest {
		t.Errorf("a broken form: %d", w.Code)
	}
}

func TestPublicPlaces(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cookie(ana) // so that the log has entries
	for path, want := range map[string]string{
		"/allowed_signers": "ssh-ed25519", "/keys.json": "keys", "/healthz": "ok", "/log/checkpoint": "slipway.finmicro.example/log",
		"/git/zones.git/info/refs": "git /info/refs", "/assets/slipway.css": "--ink", "/assets/slipway.js": "preview",
	} {
		if w := b.do("", "GET", path, nil); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %.80s", path, w.Code, w.Body)
		}
	}
	for path, code := range map[string]int{"/assets/none": 404, "/assets/../portal.go": 307, "/nowhere": 404, "/api/v1/nowhere": 404} {
		if w := b.do("", "GET", path, nil); w.Code != code {
			t.Errorf("%s: %d, want %d", path, w.Code, code)
		}
	}
	if w := b.do(ana, "DELETE", "/changes", nil); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" {
		t.Errorf("DELETE /changes: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

func TestSecretsAreShownOnceAndNeverLogged(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.do(ana, "POST", "/account/tokens", url.Values{"label": {"laptop"}, "days": {"30"}})
	i := strings.Index(w.Body.String(), "slip_")
	if w.Code != http.StatusOK || i < 0 {
		t.Fatalf("make a token: %d", w.Code)
	}
	token := w.Body.String()[i : i+len("slip_")+43]
	if again := b.do(ana, "GET", "/account", nil).Body.String(); strings.Contains(again, token) || !strings.Contains(again, "laptop") {
		t.Error("the account page shows the token again, or does not list it")
	}
	r := httptest.NewRequest("GET", "/api/v1/me", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	me := httptest.NewRecorder()
	b.handler.ServeHTTP(me, r)
	if me.Code != http.StatusOK || !strings.Contains(me.Body.String(), ana) {
		t.Errorf("the token: %d %s", me.Code, me.Body)
	}
	link := b.do(admin, "POST", "/admin/links", url.Values{"person": {"new@finmicro.example"}, "role": {"designer"}})
	if link.Code != http.StatusOK || !strings.Contains(link.Body.String(), "https://slipway.finmicro.example/sign-in/") {
		t.Errorf("make a link: %d", link.Code)
	}
	if strings.Contains(b.logged.String(), token) {
		t.Error("the token stands in the operator's log")
	}
}
