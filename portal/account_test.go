package portal_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"slipway/audit"
	"slipway/client"
	"slipway/lifecycle"
)

func TestAnAdministratorStopsAnAccount(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.token(bob)
	path := "/admin/accounts/" + bob + "/"
	if w := b.do(admin, "POST", "/admin/accounts/"+admin+"/disable", url.Values{}); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "another administrator") {
		t.Errorf("disabling oneself: %d", w.Code)
	}
	if w := b.do(admin, "POST", path+"disable", url.Values{"reason": {"left"}}); w.Code != http.StatusSeeOther {
		t.Fatalf("disable: %d %s", w.Code, errorsOf(w.Body.String()))
	}
	if w := b.do(bob, "GET", "/changes", nil); w.Header().Get("Location") != "/sign-in" {
		t.Errorf("a disabled person's session: %d", w.Code)
	}
	if w := b.call(bob, "GET", "/api/v1/me", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("a disabled person's token: %d", w.Code)
	}
	page := b.do(admin, "GET", "/admin?done=disable", nil).Body.String()
	if !strings.Contains(page, "The account is disabled") || !strings.Contains(page, path+"enable") {
		t.Error("the page does not offer to enable the account")
	}
	if w := b.do(admin, "POST", "/admin/links", url.Values{"person": {bob}}); w.Code != http.StatusBadRequest {
		t.Errorf("a link for a disabled account: %d", w.Code)
	}
	server := httptest.NewServer(b.handler)
	defer server.Close()
	c, err := client.New(server.URL, b.token(admin))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.EnableAccount(t.Context(), bob); err != nil {
		t.Fatal(err)
	}
	if err := c.DisableAccount(t.Context(), "nobody@finmicro.example", ""); !client.Is(err, client.NotFound) {
		t.Errorf("nobody's account: %v", err)
	}
	accounts, err := c.Accounts(t.Context())
	if err != nil || len(accounts) != 2 || accounts[1].ID != bob || accounts[1].Disabled {
		t.Errorf("accounts: %+v, %v", accounts, err)
	}
}

// Whose link somebody signed in by is on the page of what they decided.
func TestPagesTellWhoseLinkPeopleSignedInBy(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, id := range []string{ana, ivy} {
		link, err := b.people.IssueLink(t.Context(), b.person(admin), id, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, httptest.NewRequest("POST", "/sign-in/"+link, nil))
		b.cookies[id] = w.Result().Cookies()[0]
	}
	id := b.ask(ana, external("shop"))
	b.desk.held = true
	if w := b.decide(ivy, id, "approve", ""); w.Code != http.StatusSeeOther {
		t.Fatalf("approval: %d", w.Code)
	}
	page := b.do(ana, "GET", "/changes/"+id, nil).Body.String()
	for _, words := range []string{
		"Asked by " + ana + " (signed in by a link from " + admin + ")",
		"approved by " + ivy + " <span class=\"small\">(signed in by a link from " + admin + ")",
		"The sign-ins of " + ana + ", " + ivy + " all go back to links from " + admin,
	} {
		if !strings.Contains(page, words) {
			t.Errorf("the page does not say %q", words)
		}
	}
}

func TestEventsNewestFirstPageByPage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.ask(ana, filled())
	server := httptest.NewServer(b.handler)
	defer server.Close()
	for _, who := range []string{ana, audrey} { // her own, and everything
		c, err := client.New(server.URL, b.token(who))
		if err != nil {
			t.Fatal(err)
		}
		var up, down []uint64
		for r, err := range c.Events(t.Context(), audit.Query{Change: id}) {
			if err != nil {
				t.Fatal(err)
			}
			up = append(up, r.Index)
		}
		q := audit.Query{Change: id, Newest: true, Limit: 2}
		for len(down) < len(up) {
			before := len(down)
			for r, err := range c.Events(t.Context(), q) {
				if err != nil {
					t.Fatal(err)
				}
				down = append(down, r.Index)
				q.Next(r)
			}
			if len(down) == before {
				break
			}
		}
		for i := range up {
			if len(down) != len(up) || down[len(down)-1-i] != up[i] {
				t.Fatalf("%s: forwards %v, backwards %v", who, up, down)
			}
		}
	}
}

// A request that is held open answers as soon as something is on record, and is not woken by what is not about it.
func TestAWaitEndsWithTheEvent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.token(ana)
	id := b.ask(ana, external("shop"))
	b.desk.held = true
	b.decide(ivy, id, "approve", "")
	answered := make(chan lifecycle.Phase, 1)
	go func() {
		answered <- decode(t, b.call(ana, "GET", "/api/v1/changes/"+id+"/wait?timeout=60s", "")).Change.Phase
	}()
	b.ask(ana, filled()) // about another change
	select {
	case p := <-answered:
		t.Fatalf("answered with %s before anything happened", p)
	default:
	}
	b.desk.mu.Lock()
	b.desk.held = false
	err := b.desk.advance(t.Context(), id)
	b.desk.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if p := <-answered; p != lifecycle.Live {
		t.Errorf("answered with %s", p)
	}
}

// What was asked for and is not live has no page of its own, and its name is free again once it is refused.
func TestAnAppThatIsNotLive(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.ask(ana, external("kiosk"))
	for _, path := range []string{"/apps/kiosk", "/apps/new?editing=kiosk"} {
		if w := b.do(ana, "GET", path, nil); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := b.do(ana, "GET", "/apps/kiosk", nil); !strings.Contains(w.Body.String(), "is not live") {
		t.Error("the page does not say that the app is not live")
	}
	if w := b.do(tess, "GET", "/apps/kiosk", nil); w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "not live") {
		t.Errorf("a third party learns of it: %d", w.Code)
	}
	if w := b.call(ana, "GET", "/api/v1/apps/kiosk", ""); w.Code != http.StatusNotFound {
		t.Errorf("API: %d", w.Code)
	}
	b.decide(ivy, id, "reject", "it misleads")
	b.ask(ana, external("kiosk"))
}
