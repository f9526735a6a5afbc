package portal_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"slipway/audit"
	"slipway/check"
	"slipway/lifecycle"
)

type answer struct {
	Change  lifecycle.State   `json:"change"`
	Verdict *check.Verdict    `json:"verdict"`
	Events  []audit.Receipt   `json:"events"`
	Changes []lifecycle.State `json:"changes"`
	Token   string            `json:"token"`
	URL     string            `json:"url"`
	Error   struct{ Code, Message, Help string }
}

func decode(t testing.TB, w *httptest.ResponseRecorder) answer {
	t.Helper()
	var a answer
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("%d: %v: %s", w.Code, err, w.Body)
	}
	if kind := w.Header().Get("Content-Type"); kind != "application/json" {
		t.Errorf("Content-Type %q", kind)
	}
	return a
}

const appJSON = `{"app":{"name":"shop","team":"web","purpose":"Sells things","exposure":"external","data":["none"],"hostname":"Shop.finmicro-apps.example","certificate":false,
	"records":[{"name":"shop.finmicro-apps.example","type":"A","ttl":300,"values":["192.0.2.10"]}]},"request_id":"r1","ticket":"CHG-1"}`

func TestAPIOneChangeAllTheWay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.call(ana, "POST", "/api/v1/preview", strings.Replace(appJSON, `,"request_id":"r1","ticket":"CHG-1"`, "", 1))
	var v check.Verdict
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != http.StatusOK || v.Tier != check.Yellow {
		t.Fatalf("preview: %d, %v, %s", w.Code, err, w.Body)
	}
	w = b.call(ana, "POST", "/api/v1/changes", appJSON)
	a := decode(t, w)
	if w.Code != http.StatusCreated || a.Change.Phase != lifecycle.Waiting || a.Verdict == nil || a.Change.Via != "api" || a.Change.Ticket != "CHG-1" {
		t.Fatalf("submit: %d %s", w.Code, w.Body)
	}
	if after := a.Verdict.Change.Apps[0].After; after.Owner != ana || after.Hostname != "shop.finmicro-apps.example" {
		t.Errorf("the app: %+v", after)
	}
	if again := decode(t, b.call(ana, "POST", "/api/v1/changes", appJSON)); again.Change.ID != a.Change.ID {
		t.Error("a repeated request is another change")
	}
	id := a.Change.ID
	if d := decode(t, b.call(bob, "GET", "/api/v1/changes/"+id, "")); d.Change.ID != id || len(d.Events) != 2 || d.Verdict == nil {
		t.Errorf("detail: %d events", len(d.Events))
	}
	began := time.Now()
	if d := decode(t, b.call(bob, "GET", "/api/v1/changes/"+id+"/wait?phase=live&timeout=30s", "")); d.Change.Phase != lifecycle.Waiting || time.Since(began) > 10*time.Second {
		t.Errorf("a wait for people took %s", time.Since(began))
	}
	if in := decode(t, b.call(ivy, "GET", "/api/v1/inbox", "")); len(in.Changes) != 1 {
		t.Errorf("inbox: %d", len(in.Changes))
	}
	vote := `{"decision":"approve","reason":"ok","change_digest":"` + a.Change.Subject.ChangeDigest + `","policy_digest":"` + a.Change.Subject.PolicyDigest + `"}`
	if r := decode(t, b.call(ana, "POST", "/api/v1/changes/"+id+"/votes", vote)); r.Error.Code != "refused" || r.Error.Message == "" {
		t.Errorf("self-approval: %+v", r.Error)
	}
	if r := decode(t, b.call(ivy, "POST", "/api/v1/changes/"+id+"/votes", vote)); r.Change.Phase != lifecycle.Live {
		t.Errorf("after the vote: %s", r.Change.Phase)
	}
	if d := decode(t, b.call(ivy, "GET", "/api/v1/events?action=approve-change&change="+id, "")); len(d.Events) != 1 || d.Events[0].Event.Actor.ID != ivy {
		t.Errorf("events: %+v", d.Events)
	}
	all := decode(t, b.call(ivy, "GET", "/api/v1/events?change="+id, "")).Events
	for _, r := range all {
		if commit := r.Event.GitCommit; commit != "" {
			d := decode(t, b.call(ivy, "GET", "/api/v1/events?commit="+commit, ""))
			if len(d.Events) == 0 || d.Events[0].Event.GitCommit != commit {
				t.Errorf("events of commit %s: %+v", commit, d.Events)
			}
		}
		for _, digest := range r.Event.ArtifactRefs {
			if d := decode(t, b.call(ivy, "GET", "/api/v1/events?limit=1&document="+digest, "")); len(d.Events) != 1 {
				t.Errorf("events that refer to %s: %+v", digest, d.Events)
			}
		}
	}
}

func TestAWaitEndsWhenItHappens(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.desk.held = true
	id := b.ask(ana, filled())
	b.token(ana)
	done := make(chan answer)
	go func() { done <- decode(t, b.call(ana, "GET", "/api/v1/changes/"+id+"/wait?phase=live", "")) }()
	b.desk.mu.Lock()
	b.desk.held = false
	err := b.desk.advance(t.Context(), id)
	b.desk.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if a := <-done; a.Change.Phase != lifecycle.Live {
		t.Errorf("the wait ended at %s", a.Change.Phase)
	}
}

func TestTheVoteOfTheCommandLineSaysSo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := httptest.NewRequest("POST", "/api/v1/changes", strings.NewReader(appJSON))
	r.Header.Set("Authorization", "Bearer "+b.token(ana))
	r.Header.Set("User-Agent", "slipway/1.0")
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	if a := decode(t, w); a.Change.Via != "cli" {
		t.Errorf("via %q", a.Change.Via)
	}
}

func TestAPIRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, c := range []struct {
		who, method, path, body string
		status                  int
		code                    string
	}{
		{"", "GET", "/api/v1/me", "", 401, "unauthenticated"},
		{ana, "GET", "/api/v1/changes/none", "", 404, "not-found"},
		{ana, "GET", "/api/v1/nothing", "", 404, "not-found"},
		{ana, "PATCH", "/api/v1/changes", "", 405, "method-not-allowed"},
		{ana, "GET", "/api/v1/changes?limit=-1", "", 400, "invalid"},
		{ana, "GET", "/api/v1/changes?limit=x", "", 400, "invalid"},
		{ana, "GET", "/api/v1/changes/x/wait?phase=lively", "", 400, "invalid"},
		{ana, "GET", "/api/v1/changes/x/wait?timeout=long", "", 400, "invalid"},
		{ana, "POST", "/api/v1/changes", "", 400, "invalid"},
		{ana, "POST", "/api/v1/changes", "{}", 400, "invalid"},
		{ana, "POST", "/api/v1/changes", `{"app":{"name":"a"},"files":{"x":"y"}}`, 400, "invalid"},
		{ana, "POST", "/api/v1/changes", `{"files":{"../x":"y"}}`, 400, "invalid"},
		{ana, "POST", "/api/v1/changes", `{"files":{"/etc/x":"y"}}`, 400, "invalid"},
		{ana, "POST", "/api/v1/changes", `{"files":{"x":"y"},"notbefore":"2027-01-01T00:00:00Z"}`, 400, "invalid"},
		{ana, "POST", "/api/v1/changes", `{"files":{"x":"y"}} trailing`, 400, "invalid"},
		{ana, "POST", "/api/v1/changes", `{"app":{"name":"../x"}}`, 400, "invalid"},
		{ana, "POST", "/api/v1/changes", `{"app":{"name":"x","hostname":"a..b"}}`, 400, "invalid"},
		{ana, "POST", "/api/v1/changes", `{"app":{"name":"x","records":[{"name":"a.finmicro-apps.example","type":"A","values":["nonsense"]}]}}`, 400, "invalid"},
		{ana, "POST", "/api/v1/tokens", `{"label":"","days":1}`, 400, "invalid"},
		{ana, "POST", "/api/v1/tokens", `{"label":"x","days":1000}`, 400, "invalid"},
		{ana, "DELETE", "/api/v1/tokens/none", "", 404, "not-found"},
		{ana, "POST", "/api/v1/links", `{"person":"x@finmicro.example"}`, 403, "forbidden"},
		{admin, "POST", "/api/v1/links", `{"person":"x"}`, 400, "invalid"},
		{ana, "GET", "/api/v1/events?from=yesterday", "", 400, "invalid"},
		{ana, "GET", "/api/v1/events?after=-1", "", 400, "invalid"},
		{ana, "POST", "/api/v1/drift", `{"zones":["a..b"]}`, 400, "invalid"},
		{tess, "POST", "/api/v1/drift", "", 403, "forbidden"},
	} {
		w := b.call(c.who, c.method, c.path, c.body)
		if a := decode(t, w); w.Code != c.status || a.Error.Code != c.code || a.Error.Message == "" {
			t.Errorf("%s %s %s: %d %+v, want %d %s", c.method, c.path, c.body, w.Code, a.Error, c.status, c.code)
		}
	}
	r := httptest.NewRequest("GET", "/api/v1/me", nil)
	r.Header.Set("Authorization", "Bearer slip_guess")
	r.AddCookie(b.cookie(ana))
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("a wrong token beside a right cookie: %d", w.Code)
	}
}

func TestGuessingTokensIsSlowedDown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var w *httptest.ResponseRecorder
	for range 100 {
		r := httptest.NewRequest("GET", "/api/v1/me", nil)
		r.Header.Set("Authorization", "Bearer slip_guess")
		w = httptest.NewRecorder()
		b.handler.ServeHTTP(w, r)
	}
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("the hundredth guess: %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
}

func TestAPITokensAndLinks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.call(ana, "POST", "/api/v1/tokens", `{"label":"ci","days":30}`)
	a := decode(t, w)
	if w.Code != http.StatusCreated || !strings.HasPrefix(a.Token, "slip_") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if list := b.call(ana, "GET", "/api/v1/tokens", "").Body.String(); !strings.Contains(list, `"ci"`) || strings.Contains(list, a.Token) {
		t.Errorf("tokens: %s", list)
	}
	w = b.call(admin, "POST", "/api/v1/links", `{"person":"New@finmicro.example","role":"designer"}`)
	link := decode(t, w).URL
	if w.Code != http.StatusCreated || !strings.HasPrefix(link, "https://slipway.finmicro.example/sign-in/") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	in := b.do("", "POST", strings.TrimPrefix(link, "https://slipway.finmicro.example"), nil)
	if in.Code != http.StatusSeeOther {
		t.Errorf("sign-in: %d", in.Code)
	}
}

func FuzzAPISubmit(f *testing.F) {
	b := newBench(f)
	b.desk.broken = nil
	token := b.token(ana)
	f.Add(appJSON)
	f.Add(`{"files":{"apps/a.yaml":null}}`)
	f.Add(`{"app":{"name":"x","records":[{"name":"\\300","type":"TXT","ttl":-5,"values":["\"","\\"]}]}}`)
	f.Add(`{"app":{"name":"x","data":["none"],"expires":"2027-02-30","artifacts":{"sbom":"x"}}}`)
	f.Add(`[1]`)
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/api/v1/preview", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK && w.Code != http.StatusBadRequest {
			t.Errorf("%d: %s", w.Code, w.Body)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("the answer is not JSON: %s", w.Body)
		}
	})
}

func FuzzEventQuery(f *testing.F) {
	b := newBench(f)
	token := b.token(ana)
	f.Add("change=x&app=y&from=2027-01-31&to=2027-01-31T09:00:00Z&after=3&limit=10")
	f.Add("after=-1&limit=99999999999999999999&from=%00")
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/api/v1/events", nil)
		r.URL.RawQuery = query
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK && w.Code != http.StatusBadRequest || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%q: %d: %s", query, w.Code, w.Body)
		}
	})
}
