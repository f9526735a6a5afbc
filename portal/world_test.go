package portal_test

import (
	"bytes"
	"context"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/audit"
	"slipway/audit/audittest"
	"slipway/drift"
	"slipway/evidence"
	"slipway/identity"
	"slipway/key"
	"slipway/portal"
	"slipway/repo"
	"slipway/zone"
)

var update = flag.Bool("update", false, "write what is made from code anew")

const settingsYAML = `
organisation: Fin Micro Ltd
domain: finmicro.example
brands: [finmicro]
zones:
  directory: zones
  apps.finmicro.example: {visibility: internal, owner: finmicro.example, provider: local}
  finmicro-apps.example: {visibility: external, owner: finmicro.example, provider: local}
groups:
  infosec: {members: [ivy@finmicro.example]}
  platform-ops: {members: [omar@finmicro.example]}
  legal: {members: [lena@finmicro.example]}
  security: {members: [sam@finmicro.example]}
  product: {members: [pia@finmicro.example]}
  auditors: {members: [audrey@finmicro.example]}
administrators: [admin@finmicro.example]
approvals:
  yellow: {any_of: [infosec, platform-ops], count: 1, expires: 7d}
  red: {all_of: [legal, security, product], expires: 14d}
providers:
  local: {type: zonefile}
`

const (
	ana    = "ana@finmicro.example"
	bob    = "bob@finmicro.example"
	tess   = "tess@partner.example" // third party
	ivy    = "ivy@finmicro.example"
	audrey = "audrey@finmicro.example"
	admin  = "admin@finmicro.example"
)

// bench is a portal with real accounts and a real log, over a desk.
type bench struct {
	t       testing.TB
	handler http.Handler
	people  *identity.Service
	log     *audit.Log
	desk    *desk
	logged  *lines
	cookies map[string]*http.Cookie
	tokens  map[string]string

	mu sync.Mutex
	at time.Time
	n  int
}

// lines is what the operator gets to read.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newBench(t testing.TB, change ...func(*portal.Options)) *bench {
	t.Helper()
	ctx := context.Background()
	b := &bench{t: t, logged: &lines{}, cookies: map[string]*http.Cookie{}, tokens: map[string]string{}, at: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}
	dir := audittest.TempDir(t)
	store, err := key.OpenStore(filepath.Join(dir, "keys"), []byte("a test's passphrase"))
	if err != nil {
		t.Fatal(err)
	}
	signer := func(name string) *key.Signer {
		s, err := store.Signer(ctx, name, true)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	b.log, err = audit.Open(ctx, audit.Options{Dir: filepath.Join(dir, "audit"), Origin: "slipway.finmicro.example/log", Events: signer("events"), Log: signer("log"), Now: b.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.log.Close(ctx) })
	settings, err := repo.ParseSettings("slipway.yaml", []byte(settingsYAML))
	if err != nil {
		t.Fatal(err)
	}
	b.people, err = identity.New(ctx, b.log, func(_ context.Context, id string) ([]string, bool, bool, error) {
		return settings.GroupsOf(id), settings.ThirdParty(id), slices.Contains(settings.Administrators, id), nil
	}, b.now)
	if err != nil {
		t.Fatal(err)
	}
	b.desk = &desk{log: b.log, settings: settings, now: b.now, apps: map[string]*repo.App{}}
	o := portal.Options{
		Service: b.desk, Identity: b.people, Record: b.log, Git: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "git "+r.URL.Path) }),
		Settings:       func(context.Context) (*repo.Settings, error) { return settings, nil },
		AllowedSigners: []byte("slipway@localhost ssh-ed25519 AAAA\n"), BaseURL: "https://slipway.finmicro.example", DNS: "127.0.0.1:5353",
		Evidence: evidence.NewExporter(b.log, nil, nil, nil),
		Root:     func() []byte { return []byte(chainPEM) }, CRL: func() ([]byte, error) { return []byte{0x30, 0}, nil },
		Logger: slog.New(slog.NewTextHandler(b.logged, nil)), Now: b.now,
	}
	for _, f := range change {
		f(&o)
	}
	b.handler, err = portal.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

// next is a number that was not there before.
func (b *bench) next() int {
	b.n++
	return b.n
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = b.at.Add(d)
}

var roles = map[string]string{ana: "product-manager", tess: "vendor", ivy: "infosec", audrey: "auditor", admin: "administrator"}

// cookie signs a person in, once.
func (b *bench) cookie(id string) *http.Cookie {
	b.t.Helper()
	if b.cookies[id] == nil {
		link, err := b.people.IssueLink(context.Background(), identity.Person{ID: identity.System}, id, roles[id], 0)
		if err != nil {
			b.t.Fatal(err)
		}
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, httptest.NewRequest("POST", "/sign-in/"+link, nil))
		if w.Code != http.StatusSeeOther || len(w.Result().Cookies()) != 1 {
			b.t.Fatalf("sign-in of %s: %d %s", id, w.Code, w.Body)
		}
		b.cookies[id] = w.Result().Cookies()[0]
	}
	return b.cookies[id]
}

// person is who has signed in as id.
func (b *bench) person(id string) identity.Person {
	b.t.Helper()
	p, err := b.people.Session(context.Background(), b.cookie(id).Value)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// token is a personal token of a person.
func (b *bench) token(id string) string {
	b.t.Helper()
	if b.tokens[id] == "" {
		token, err := b.people.IssueToken(context.Background(), b.person(id), "test", 0)
		if err != nil {
			b.t.Fatal(err)
		}
		b.tokens[id] = token
	}
	return b.tokens[id]
}

// do makes a request as a browser does; id "" is nobody.
func (b *bench) do(id, method, path string, form url.Values) *httptest.ResponseRecorder {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, path, body)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if id != "" {
		r.AddCookie(b.cookie(id))
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

// call makes a request as a program does.
func (b *bench) call(id, method, path, body string) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if id != "" {
		r.Header.Set("Authorization", "Bearer "+b.token(id))
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

// filled is a form that asks for an app that only people in the company can reach.
func filled(change ...string) url.Values {
	v := url.Values{
		"name": {"expense-tracker"}, "purpose": {"Tracks team expenses before they reach the ledger"}, "team": {"finance-operations"}, "exposure": {"internal"},
		"host": {"expenses"}, "zone": {"apps.finmicro.example"}, "targets": {"192.0.2.10"}, "data": {"none"}, "certificate": {"yes"}, "expires": {"2027-06-30"},
	}
	for i := 0; i < len(change); i += 2 {
		v.Set(change[i], change[i+1])
	}
	return v
}

// external is one that anyone can reach: yellow.
func external(name string, change ...string) url.Values {
	return filled(append([]string{"name", name, "host", name, "zone", "finmicro-apps.example", "exposure", "external"}, change...)...)
}

// ask sends the form and returns the ID of the change.
func (b *bench) ask(id string, form url.Values) string {
	b.t.Helper()
	w := b.do(id, "POST", "/apps/new", form)
	if w.Code != http.StatusSeeOther {
		b.t.Fatalf("asking as %s: %d\n%s", id, w.Code, errorsOf(w.Body.String()))
	}
	return strings.TrimPrefix(w.Header().Get("Location"), "/changes/")
}

// errorsOf is what a page says went wrong.
func errorsOf(body string) string {
	_, rest, found := strings.Cut(body, `role="alert"`)
	if !found {
		return "(the page says of no error)"
	}
	rest, _, _ = strings.Cut(rest, "</div>")
	return rest
}

// decide votes with what the page of the change shows.
func (b *bench) decide(id, change, decision, reason string) *httptest.ResponseRecorder {
	b.t.Helper()
	st, _, _, err := b.desk.Change(context.Background(), change)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(id, "POST", "/changes/"+change+"/votes", url.Values{"decision": {decision}, "reason": {reason}, "change_digest": {st.Subject.ChangeDigest}, "policy_digest": {st.Subject.PolicyDigest}})
}

func driftReports(at time.Time) []drift.Report {
	rr := func(v string) *zone.RRSet {
		return &zone.RRSet{Name: "expenses.apps.finmicro.example", Type: "A", TTL: 300, Values: []string{v}}
	}
	return []drift.Report{
		{Zone: "apps.finmicro.example", Serial: 2026112401, At: at, Digest: digest("d"), Live: digest("live"), Differences: []drift.Difference{
			{Kind: drift.Changed, Zone: "apps.finmicro.example", Name: "expenses.apps.finmicro.example", Type: "A", Approved: rr("192.0.2.10"), Live: rr("203.0.113.66")},
			{Kind: drift.Extra, Zone: "apps.finmicro.example", Name: "old.apps.finmicro.example", Type: "A", Live: rr("203.0.113.67")},
		}},
		{Zone: "finmicro-apps.example", Serial: 2026112400, At: at, Notes: []drift.Note{{Kind: drift.SerialOnly, Detail: "The serial moved."}, {Kind: drift.Pending, Name: "x.finmicro-apps.example", Type: "A", Change: "c-0123456789abcdef", Detail: "On its way."}}},
		{Zone: "finmicro-apps.example", Scope: drift.Parent, At: at, Digest: digest("p"), Differences: []drift.Difference{{Kind: drift.DS, Zone: "finmicro-apps.example", Name: "finmicro-apps.example", Type: "DS", Detail: "The zone above vouches for a key that is not there."}}},
	}
}
