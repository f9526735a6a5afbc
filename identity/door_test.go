package identity_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"slipway/identity"
)

func TestTheDoor(t *testing.T) {
	s := newWorld(t).service(t)
	for _, secure := range []bool{true, false} {
		t.Run(fmt.Sprintf("secure=%v", secure), func(t *testing.T) {
			door := identity.NewDoor(s, secure, nil)
			link, err := s.IssueLink(t.Context(), identity.Person{ID: identity.System}, "ana@example.com", "", 0)
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			p, err := door.Enter(w, httptest.NewRequest("POST", "/", nil), link)
			if err != nil {
				t.Fatal(err)
			}
			c := w.Result().Cookies()[0]
			if !c.HttpOnly || c.Secure != secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || strings.HasPrefix(c.Name, "__Host-") != secure {
				t.Errorf("cookie %+v", c)
			}
			r := httptest.NewRequest("GET", "/", nil)
			r.AddCookie(c)
			if got, err := door.Session(r); err != nil || got.ID != "ana@example.com" {
				t.Errorf("session: %+v, %v", got, err)
			}

			token, err := s.IssueToken(t.Context(), p, "laptop", 0)
			if err != nil {
				t.Fatal(err)
			}
			b := httptest.NewRequest("GET", "/", nil)
			b.Header.Set("Authorization", "Bearer "+token)
			if got, err := door.Bearer(b); err != nil || got.Via != "token" {
				t.Errorf("bearer: %+v, %v", got, err)
			}
			g := httptest.NewRequest("GET", "/", nil)
			g.SetBasicAuth("whoever", token)
			if got, err := door.Basic(g); err != nil || got.Via != "token" {
				t.Errorf("basic: %+v, %v", got, err)
			}
			if err := door.Leave(httptest.NewRecorder(), r); err != nil {
				t.Fatal(err)
			}
			if _, err := door.Session(r); !errors.Is(err, identity.ErrNoSession) {
				t.Errorf("after leaving: %v", err)
			}
			if _, err := door.Session(b); !errors.Is(err, identity.ErrNoCredentials) {
				t.Errorf("no cookie: %v", err)
			}
		})
	}
}

func TestGuessingIsSlowedDown(t *testing.T) {
	w := newWorld(t)
	s := w.service(t)
	_, p := signIn(t, s, "ana@example.com", "")
	token, err := s.IssueToken(t.Context(), p, "laptop", 0)
	if err != nil {
		t.Fatal(err)
	}
	door := identity.NewDoor(s, true, nil)
	try := func(address, secret string) error {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = address
		r.Header.Set("Authorization", "Bearer "+secret)
		_, err := door.Bearer(r)
		return err
	}
	var throttled *identity.ThrottledError
	guesses := 0
	for ; guesses < 1000; guesses++ {
		// Of IPv6 a whole /64 counts as one.
		if err := try(fmt.Sprintf("[2001:db8::%x]:1000", guesses), "slip_guess"); errors.As(err, &throttled) {
			break
		}
	}
	if guesses < 5 || guesses > 50 {
		t.Errorf("%d guesses before the throttle", guesses)
	}
	if err := try("[2001:db8::1]:2000", token); !errors.As(err, &throttled) {
		t.Errorf("a right token from there: %v", err)
	}
	if err := try("192.0.2.1:1000", token); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
	w.pass(throttled.Wait + time.Second)
	if err := try("[2001:db8::1]:2000", token); err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

func TestTheThrottleForgets(t *testing.T) {
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	th := identity.NewThrottle(func() time.Time { return now })
	for range 100 {
		th.Failed("192.0.2.1")
	}
	if th.Wait("192.0.2.1") == 0 {
		t.Fatal("not throttled")
	}
	for i := range 20_000 {
		th.Failed(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255))
	}
	if th.Wait("192.0.2.1") != 0 {
		t.Error("more addresses are remembered than the bound allows")
	}
}
