package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"slipway/approval"
	"slipway/audit"
	"slipway/lifecycle"
	"slipway/repo"
)

const token = "slip_test"

// server answers every request by handle and returns a client of it that does not wait between attempts.
func server(t *testing.T, handle http.HandlerFunc) (*Client, *[]time.Duration) {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	var pauses []time.Duration
	c, err := New(s.URL+"/", token, UserAgent("slipway/test"), Transport(s.Client().Transport), Pause(func(ctx context.Context, d time.Duration) error {
		pauses = append(pauses, d)
		return ctx.Err()
	}))
	if err != nil {
		t.Fatal(err)
	}
	return c, &pauses
}

// TestRequests says what each method asks for, in the API's words.
func TestRequests(t *testing.T) {
	at := time.Date(2026, 5, 1, 8, 0, 0, 0, time.FixedZone("CEST", 7200))
	text := "---\n"
	ctx := context.Background()
	for _, c := range []struct {
		name   string
		call   func(*Client) error
		line   string // method and target
		body   string // "" for none
		answer string
	}{
		{"me", func(c *Client) error { _, err := c.Me(ctx); return err }, "GET /api/v1/me", "", `{"id":"ana@finmicro.example"}`},
		{"preview", func(c *Client) error {
			_, err := c.Preview(ctx, Request{Files: map[string]*string{"zones/a.yaml": &text, "zones/b.yaml": nil}, Title: "not sent", RequestID: "not sent"})
			return err
		}, "POST /api/v1/preview", `{"files":{"zones/a.yaml":"---\n","zones/b.yaml":null}}`, `{"tier":"green"}`},
		{"submit", func(c *Client) error {
			_, err := c.Submit(ctx, Request{Files: map[string]*string{"f": nil}, Title: "T", Ticket: "CHG-1", NotBefore: at, Revises: "c0", RequestID: "r1"})
			return err
		}, "POST /api/v1/changes", `{"files":{"f":null},"title":"T","ticket":"CHG-1","not_before":"2026-05-01T08:00:00+02:00","revises":"c0","request_id":"r1"}`, `{"change":{"id":"c1"}}`},
		{"changes", func(c *Client) error {
			_, err := c.Changes(ctx, ChangesQuery{Mine: true, Open: true, App: "expense tracker", Limit: 5, Offset: 10})
			return err
		}, "GET /api/v1/changes?app=expense+tracker&limit=5&mine=1&offset=10&open=1", "", `{"changes":[]}`},
		{"all changes", func(c *Client) error { _, err := c.Changes(ctx, ChangesQuery{}); return err }, "GET /api/v1/changes", "", `{"changes":[]}`},
		{"change", func(c *Client) error { _, err := c.Change(ctx, "c1"); return err }, "GET /api/v1/changes/c1", "", `{"change":{},"verdict":null,"events":[]}`},
		{"an ID stays one segment", func(c *Client) error { _, err := c.Change(ctx, "../me?x"); return err }, "GET /api/v1/changes/..%2Fme%3Fx", "", `{}`},
		{"wait", func(c *Client) error { _, err := c.Wait(ctx, "c1", lifecycle.Live, 30*time.Second); return err }, "GET /api/v1/changes/c1/wait?phase=live&timeout=30s", "", `{}`},
		{"vote", func(c *Client) error {
			_, err := c.Vote(ctx, "c1", Vote{Decision: approval.Reject, Reason: "no", ChangeDigest: "sha256:c", PolicyDigest: "sha256:p"})
			return err
		}, "POST /api/v1/changes/c1/votes", `{"decision":"reject","reason":"no","change_digest":"sha256:c","policy_digest":"sha256:p"}`, `{"change":{}}`},
		{"cancel", func(c *Client) error { _, err := c.Cancel(ctx, "c1", "not needed"); return err }, "POST /api/v1/changes/c1/cancel", `{"reason":"not needed"}`, `{"change":{}}`},
		{"schedule", func(c *Client) error { _, err := c.Schedule(ctx, "c1", at); return err }, "POST /api/v1/changes/c1/schedule", `{"not_before":"2026-05-01T06:00:00Z"}`, `{"change":{}}`},
		{"retry", func(c *Client) error { _, err := c.Retry(ctx, "c1"); return err }, "POST /api/v1/changes/c1/retry", `{}`, `{"change":{}}`},
		{"release", func(c *Client) error {
			_, err := c.Release(ctx, "c1", "finmicro.example", "sha256:p", "gone")
			return err
		}, "POST /api/v1/changes/c1/release", `{"plan":"sha256:p","reason":"gone","zone":"finmicro.example"}`, `{"change":{}}`},
		{"inbox", func(c *Client) error { _, err := c.Inbox(ctx); return err }, "GET /api/v1/inbox", "", `{"changes":[]}`},
		{"apps", func(c *Client) error { _, err := c.Apps(ctx); return err }, "GET /api/v1/apps", "", `{"apps":[]}`},
		{"app", func(c *Client) error { _, err := c.App(ctx, "expense-tracker"); return err }, "GET /api/v1/apps/expense-tracker", "", `{"app":{}}`},
		{"drift now", func(c *Client) error { _, err := c.Drift(ctx, nil); return err }, "POST /api/v1/drift", `{"zones":[]}`, `{"reports":[]}`},
		{"drift of one", func(c *Client) error { _, err := c.Drift(ctx, []string{"finmicro.example"}); return err }, "POST /api/v1/drift", `{"zones":["finmicro.example"]}`, `{"reports":[]}`},
		{"last drift", func(c *Client) error { _, err := c.LastDrift(ctx); return err }, "GET /api/v1/drift", "", `{"reports":[]}`},
		{"tokens", func(c *Client) error { _, err := c.Tokens(ctx); return err }, "GET /api/v1/tokens", "", `{"tokens":[]}`},
		{"new token", func(c *Client) error { _, err := c.NewToken(ctx, "laptop", 30); return err }, "POST /api/v1/tokens", `{"label":"laptop","days":30}`, `{"token":"slip_x"}`},
		{"revoke", func(c *Client) error { return c.RevokeToken(ctx, "t1") }, "DELETE /api/v1/tokens/t1", "", ``},
		{"link", func(c *Client) error { _, err := c.Link(ctx, "ivy@finmicro.example", "infosec"); return err }, "POST /api/v1/links", `{"person":"ivy@finmicro.example","role":"infosec"}`, `{"url":"u"}`},
		{"events", func(c *Client) error {
			for _, err := range c.Events(ctx, audit.Query{Change: "c1", Action: audit.GoLive, From: at, After: 0, HasAfter: true, Limit: 3}) {
				return err
			}
			return nil
		}, "GET /api/v1/events?action=go-live&after=0&change=c1&from=2026-05-01T06%3A00%3A00Z&limit=3", "", `{"events":[]}`},
		{"signers", func(c *Client) error { _, err := c.AllowedSigners(ctx); return err }, "GET /allowed_signers", "", "slipway ssh-ed25519 AAAA\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
				if got := r.Method + " " + r.URL.RequestURI(); got != c.line {
					t.Errorf("asks %s, want %s", got, c.line)
				}
				body, _ := io.ReadAll(r.Body)
				if string(body) != c.body {
					t.Errorf("sends %s, want %s", body, c.body)
				}
				if got := r.Header.Get("Authorization"); got != "Bearer "+token {
					t.Errorf("authorization %q", got)
				}
				io.WriteString(w, c.answer)
			})
			if err := c.call(cl); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAppGoesAsItsManifest(t *testing.T) {
	var got struct{ App repo.App }
	c, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		json.NewDecoder(r.Body).Decode(&got)
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"change":{"id":"c1","phase":"denied","problem":"no purpose"},"verdict":{"denied":true}}`)
	})
	d, err := c.Submit(context.Background(), Request{App: &repo.App{Name: "expense-tracker", Exposure: "internal"}, RequestID: "r"})
	if err != nil {
		t.Fatal(err)
	}
	if got.App.Name != "expense-tracker" || d.Change.Phase != lifecycle.Denied || !d.Verdict.Denied {
		t.Errorf("sent %+v, got %+v", got, d)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		header string // Location
		body   string
		code   string
		says   string
	}{
		{"the server's own words", 422, "", `{"error":{"code":"refused","message":"You asked for this change.","help":"Ask InfoSec."}}`, Refused, "You asked for this change. Ask InfoSec."},
		{"a code of its own wins over the status", 409, "", `{"error":{"code":"refused","message":"No."}}`, Refused, "No."},
		{"a proxy's page", 502, "", "<html>Bad Gateway", Unavailable, "502"},
		{"no body", 401, "", "", Unauthenticated, "slipway login"},
		{"an empty error", 404, "", `{"error":{}}`, NotFound, "nothing there"},
		{"forbidden", 403, "", "", Forbidden, "403"},
		{"too large", 413, "", "", Invalid, "413"},
		{"a redirect", 302, "https://evil.example/api?token=x", "", Unavailable, "points to https://evil.example instead"},
		{"a local redirect", 302, "/sign-in", "", Unavailable, "another address"},
		{"not JSON", 200, "", "<html>Welcome", Unavailable, "not Slipway's"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
				if c.header != "" {
					w.Header().Set("Location", c.header)
				}
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
			})
			_, err := cl.Retry(context.Background(), "c1")
			if !Is(err, c.code) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %s saying %q", err, c.code, c.says)
			}
			if strings.Contains(fmt.Sprintf("%+v", err), token) {
				t.Error("the token is in the error")
			}
		})
	}
}

func TestRepeats(t *testing.T) {
	ctx := context.Background()
	get := func(c *Client) error { _, err := c.Inbox(ctx); return err }
	vote := func(c *Client) error { _, err := c.Vote(ctx, "c1", Vote{Decision: approval.Approve}); return err }
	submit := func(id string) func(*Client) error {
		return func(c *Client) error { _, err := c.Submit(ctx, Request{RequestID: id}); return err }
	}
	for _, c := range []struct {
		name     string
		call     func(*Client) error
		statuses []int // one an attempt; 0 drops the connection
		ok       bool
	}{
		{"a read after a restart", get, []int{503, 0, 200}, true},
		{"a read, thrice in vain", get, []int{503, 503, 503}, false},
		{"a read that is refused", get, []int{403}, false},
		{"a submission with an ID", submit("r1"), []int{0, 201}, true},
		{"a submission without", submit(""), []int{0}, false},
		{"a vote is cast once", vote, []int{503}, false},
		{"a vote whose answer is lost", vote, []int{0}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := 0
			cl, pauses := server(t, func(w http.ResponseWriter, r *http.Request) {
				if asked >= len(c.statuses) {
					t.Error("asked too often")
					return
				}
				asked++
				if c.statuses[asked-1] == 0 {
					panic(http.ErrAbortHandler)
				}
				w.Header().Set("Retry-After", "2")
				w.WriteHeader(c.statuses[asked-1])
				io.WriteString(w, `{}`)
			})
			if err := c.call(cl); (err == nil) != c.ok {
				t.Errorf("error %v", err)
			}
			// net/http itself asks again, at once, when a read's kept connection is dropped.
			if asked != len(c.statuses) || len(*pauses) > asked-1 {
				t.Errorf("asked %d times with %d pauses, want %d", asked, len(*pauses), len(c.statuses))
			}
			for i, p := range *pauses {
				if c.statuses[i] == 503 && p < 2*time.Second {
					t.Errorf("pause %s is shorter than the server asked for", p)
				}
			}
		})
	}
}

func TestNoEndlessAnswer(t *testing.T) {
	c, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 1<<20)
		for range MaxResponse>>20 + 1 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	if _, err := c.Inbox(context.Background()); !Is(err, Unavailable) || !strings.Contains(err.Error(), "64 MiB") {
		t.Errorf("got %v", err)
	}
}

func TestGone(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	url := s.URL
	s.Close()
	c, err := New(url, "", Pause(func(context.Context, time.Duration) error { return nil }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Me(context.Background()); !Is(err, Unavailable) || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Me(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the cancellation", err)
	}
	for _, id := range []string{"", ".", ".."} {
		if _, err := c.Change(context.Background(), id); !Is(err, Invalid) {
			t.Errorf("ID %q: got %v", id, err)
		}
	}
}

func TestServerAddress(t *testing.T) {
	for _, c := range []struct {
		server string
		plain  bool
		says   string // "" for accepted
	}{
		{"https://slipway.finmicro.example", false, ""},
		{"https://slipway.finmicro.example/below/", false, ""},
		{"http://127.0.0.1:8080", false, ""},
		{"http://[::1]:8080", false, ""},
		{"http://localhost:8080", false, ""},
		{"http://slipway.finmicro.example", true, ""},
		{"http://slipway.finmicro.example", false, "unprotected"},
		{"http://127.0.0.1.evil.example", false, "unprotected"},
		{"", false, "No server"},
		{"slipway.finmicro.example", false, "not a server's address"},
		{"ftp://slipway.finmicro.example", false, "not a server's address"},
		{"https://user:pass@slipway.finmicro.example", false, "no user name"},
		{"https://slipway.finmicro.example?x=1", false, "no user name"},
		{"https://%zz", false, "not a server's address"},
	} {
		_, err := New(c.server, token, PlainHTTP(c.plain))
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", c.server, err)
		case c.says != "" && (!Is(err, Invalid) || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: got %v, want %q", c.server, err, c.says)
		}
	}
	if _, err := New("https://a.example", "slip_a\r\nX: y"); !Is(err, Invalid) || strings.Contains(err.Error(), "slip_a") {
		t.Errorf("a token with a line break: %v", err)
	}
}

// TestEventsByPages reads a log that is longer than one answer.
func TestEventsByPages(t *testing.T) {
	const size = 2500
	for _, limit := range []int{0, 1, 1000, 1001, 2499, 9999} {
		asked := 0
		c, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
			asked++
			from, _ := strconv.Atoi(r.URL.Query().Get("after"))
			if r.URL.Query().Has("after") {
				from++
			}
			page, _ := strconv.Atoi(r.URL.Query().Get("limit"))
			out := struct {
				Events []audit.Receipt `json:"events"`
			}{[]audit.Receipt{}}
			for i := from; i < min(size, from+page); i++ {
				out.Events = append(out.Events, audit.Receipt{Index: uint64(i)})
			}
			json.NewEncoder(w).Encode(out)
		})
		next := uint64(0)
		for r, err := range c.Events(context.Background(), audit.Query{Limit: limit}) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Index != next {
				t.Fatalf("limit %d: event %d after %d others", limit, r.Index, next)
			}
			next++
		}
		want := size
		if limit > 0 {
			want = min(size, limit)
		}
		if int(next) != want || asked != (want+999)/1000 {
			t.Errorf("limit %d: %d events by %d requests, want %d", limit, next, asked, want)
		}
	}
	c, _ := server(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) })
	for _, err := range c.Events(context.Background(), audit.Query{}) {
		if !Is(err, Forbidden) {
			t.Errorf("got %v", err)
		}
	}
}
