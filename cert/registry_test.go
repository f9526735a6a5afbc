package cert

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/audit"
)

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// record is a log that is written in a test.
type record struct{ events []audit.Receipt }

func (r *record) add(at time.Time, action audit.Action, details any) {
	raw, err := json.Marshal(details)
	if err != nil {
		panic(err)
	}
	r.events = append(r.events, audit.Receipt{Index: uint64(len(r.events)), Event: audit.Event{Timestamp: at, Action: action, Details: raw}})
}

func (r *record) into(t testing.TB, g *Registry) {
	t.Helper()
	for _, e := range r.events {
		if err := g.Take(e); err != nil {
			t.Fatal(err)
		}
	}
}

func testID(n int) string {
	sum := sha256.Sum256(fmt.Append(nil, "certificate ", n))
	return hex.EncodeToString(sum[:])
}

func testCertificate(n int, app string, at time.Time, life time.Duration, names ...string) Certificate {
	return Certificate{
		ID: testID(n), Request: fmt.Sprintf("c-%d/%s", n, app), App: app, Change: fmt.Sprintf("c-%d", n),
		Approved: []string{"ivy@finmicro.example"}, Names: names, Serial: fmt.Sprintf("%032x", n+1), Issuer: "CN=Internal CA,O=Fin Micro",
		Authority: "internal", KeyRef: "file:" + app, KeyKind: "ecdsa-p256", NotBefore: at, NotAfter: at.Add(life),
		Chain: "sha256:" + testID(-n), Issued: at,
	}
}

// story is two apps: one whose certificate was renewed at the second try, one whose
// certificate was revoked.
func story() (*record, []Certificate) {
	a := testCertificate(1, "expenses", start, 90*day, "expenses.finmicro.example")
	b := testCertificate(2, "pay", start.Add(time.Hour), 90*day, "pay.finmicro.example", "*.pay.finmicro.example")
	c := testCertificate(3, "expenses", start.Add(61*day), 90*day, "expenses.finmicro.example")
	c.Request, c.Replaces = "expenses/"+a.Serial, a.ID
	r := &record{}
	order := func(c Certificate, at time.Time, url string) {
		r.add(at, audit.OrderCertificate, OrderDetails{Order{Request: c.Request, Authority: "internal", URL: url, Account: "https://ca/1", Names: c.Names, At: at}})
	}
	one := Challenge{Request: a.Request, Name: "_acme-challenge.expenses.finmicro.example", Value: "v1"}
	two := Challenge{Request: b.Request, Name: "_acme-challenge.pay.finmicro.example", Value: "v2"}
	order(a, start, "https://ca/order/1")
	r.add(start, audit.WriteChallenge, ChallengeDetails{Challenge: one, Serial: 7})
	r.add(start, audit.RemoveChallenge, ChallengeDetails{Challenge: one, Serial: 8})
	r.add(a.Issued, audit.IssueCertificate, IssueDetails{a})
	order(b, start, "https://ca/order/2")
	r.add(start, audit.WriteChallenge, ChallengeDetails{Challenge: two})
	order(b, start.Add(time.Minute), "https://ca/order/3") // the first came to nothing
	r.add(b.Issued, audit.IssueCertificate, IssueDetails{b})
	r.add(start.Add(60*day), audit.FailCertificate, FailDetails{ID: a.ID, Problem: "the zone did not answer", Next: start.Add(61 * day)})
	order(c, start.Add(61*day), "https://ca/order/4")
	r.add(c.Issued, audit.IssueCertificate, IssueDetails{c})
	r.add(start.Add(62*day), audit.RevokeCertificate, RevokeDetails{ID: b.ID, Reason: "key-compromise", Why: "a laptop was stolen"})
	order(Certificate{Request: "open"}, start, "https://ca/order/5")
	return r, []Certificate{a, b, c}
}

func TestRegistry(t *testing.T) {
	log, certs := story()
	g := NewRegistry()
	log.into(t, g)
	a, b, c := certs[0], certs[1], certs[2]
	now := start.Add(63 * day)

	for _, id := range []string{a.ID, a.ID[:8], strings.ToUpper(a.ID[:20]), a.Serial} {
		if got, ok := g.Get(id); !ok || got.ID != a.ID || got.ReplacedBy != c.ID || got.Status(now) != Replaced || got.Problem != "" {
			t.Errorf("Get(%s) = %+v, %v", id, got, ok)
		}
	}
	for _, id := range []string{"", a.ID[:7], "zz", testID(99)} {
		if got, ok := g.Get(id); ok {
			t.Errorf("Get(%q) = %+v", id, got)
		}
	}
	if got, _ := g.Get(b.ID); got.Status(now) != Revoked || got.Reason != "key-compromise" || !got.RenewAt.IsZero() {
		t.Errorf("revoked: %+v", got)
	}
	if got, ok := g.Current("expenses", now); !ok || got.ID != c.ID {
		t.Errorf("current of expenses is %+v, %v", got, ok)
	}
	if got, ok := g.Current("pay", now); ok {
		t.Errorf("pay has %+v, which is revoked", got)
	}
	if order, cert := g.Order(b.Request); order != nil || cert == nil || cert.ID != b.ID {
		t.Errorf("order of an issued request: %v, %v", order, cert)
	}
	if order, cert := g.Order("open"); order == nil || cert != nil || order.URL != "https://ca/order/5" {
		t.Errorf("open order: %v, %v", order, cert)
	}
	if order, cert := g.Order("none"); order != nil || cert != nil {
		t.Errorf("no order: %v, %v", order, cert)
	}
	if left := g.Challenges(); len(left) != 1 || left[0].Value != "v2" {
		t.Errorf("challenges %v", left)
	}

	find := []struct {
		q    Query
		want []string
	}{
		{Query{}, []string{a.ID, b.ID, c.ID}},
		{Query{Limit: 2}, []string{a.ID, b.ID}},
		{Query{App: "expenses"}, []string{a.ID, c.ID}},
		{Query{Name: "Expenses.finmicro.example."}, []string{a.ID, c.ID}},
		{Query{Name: "api.pay.finmicro.example"}, []string{b.ID}},
		{Query{Name: "deep.api.pay.finmicro.example"}, nil},
		{Query{Name: "*.finmicro.example", Status: Valid}, []string{c.ID}},
		{Query{Name: "*.pay.finmicro.example"}, []string{b.ID}},
		{Query{Serial: "00:" + strings.Repeat("00:", 14) + "03"}, []string{b.ID}},
		{Query{Issuer: "internal ca"}, []string{a.ID, b.ID, c.ID}},
		{Query{Authority: "public"}, nil},
		{Query{Change: "c-2"}, []string{b.ID}},
		{Query{Before: b.NotAfter}, []string{a.ID}},
		{Query{Status: Revoked}, []string{b.ID}},
		{Query{Status: Expired}, nil},
	}
	for _, f := range find {
		var ids []string
		for _, c := range g.Find(f.q, now) {
			ids = append(ids, c.ID)
		}
		if !slices.Equal(ids, f.want) {
			t.Errorf("Find(%+v) found %d, want %d", f.q, len(ids), len(f.want))
		}
	}
}

// TestRegistryAnyOrder folds the same events in other orders, and twice.
func TestRegistryAnyOrder(t *testing.T) {
	log, _ := story()
	straight := NewRegistry()
	log.into(t, straight)
	now := start.Add(63 * day)
	want := straight.Find(Query{}, now)
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		g := NewRegistry()
		shuffled := &record{append(slices.Clone(log.events), log.events...)}
		random.Shuffle(len(shuffled.events), func(i, j int) {
			shuffled.events[i], shuffled.events[j] = shuffled.events[j], shuffled.events[i]
		})
		shuffled.into(t, g)
		if got := g.Find(Query{}, now); !reflect.DeepEqual(got, want) {
			t.Fatalf("in another order:\n%+v\nwant\n%+v", got, want)
		}
		if got := g.Challenges(); !reflect.DeepEqual(got, straight.Challenges()) {
			t.Fatalf("challenges %v", got)
		}
		if order, _ := g.Order("open"); order == nil {
			t.Fatal("the open order is gone")
		}
	}
}

func TestRegistryRefuses(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for name, e := range map[string]struct {
		action  audit.Action
		details any
	}{
		"no ID":      {audit.IssueCertificate, IssueDetails{Certificate{ID: "abc"}}},
		"long text":  {audit.IssueCertificate, IssueDetails{Certificate{ID: testID(1), Issuer: long}}},
		"many names": {audit.IssueCertificate, IssueDetails{Certificate{ID: testID(1), Names: make([]string, 101)}}},
		"replaces":   {audit.IssueCertificate, IssueDetails{Certificate{ID: testID(1), Replaces: "x"}}},
		"order":      {audit.OrderCertificate, OrderDetails{Order{}}},
		"revoke":     {audit.RevokeCertificate, RevokeDetails{ID: "x"}},
		"fail":       {audit.FailCertificate, FailDetails{}},
		"challenge":  {audit.WriteChallenge, ChallengeDetails{Challenge: Challenge{Value: long}}},
		"no object":  {audit.IssueCertificate, "text"},
	} {
		log, g := &record{}, NewRegistry()
		log.add(start, e.action, e.details)
		if err := g.Take(log.events[0]); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	log, g := &record{}, NewRegistry()
	log.add(start, audit.GoLive, "whatever")
	log.into(t, g)
}

func TestRegistryForgetsRemovedChallenges(t *testing.T) {
	g := NewRegistry()
	log := &record{}
	for i := range 3 * maxRemoved {
		c := ChallengeDetails{Challenge: Challenge{Request: "r", Name: "_acme-challenge.a.example", Value: fmt.Sprint(i)}}
		log.add(start, audit.WriteChallenge, c)
		log.add(start, audit.RemoveChallenge, c)
	}
	log.into(t, g)
	if len(g.challenges) > 2*maxRemoved+1 || len(g.Challenges()) != 0 {
		t.Errorf("%d challenges are kept, %d of them as if written", len(g.challenges), len(g.Challenges()))
	}
}

func TestExpiredAreRenewedLast(t *testing.T) {
	g, log := NewRegistry(), &record{}
	log.add(start, audit.IssueCertificate, IssueDetails{testCertificate(1, "a", start, 90*day, "a.example")})              // just expired
	log.add(start, audit.IssueCertificate, IssueDetails{testCertificate(2, "b", start.Add(-60*day), 90*day, "b.example")}) // long gone
	log.add(start, audit.IssueCertificate, IssueDetails{testCertificate(3, "c", start.Add(15*day), 90*day, "c.example")})  // due
	log.add(start, audit.IssueCertificate, IssueDetails{testCertificate(4, "d", start.Add(80*day), 90*day, "d.example")})  // not due
	own := testCertificate(5, "e", start.Add(5*day), 90*day, "e.example")
	own.KeyRef = "" // the app's own to renew
	log.add(start, audit.IssueCertificate, IssueDetails{own})
	log.into(t, g)
	var apps []string
	for _, c := range g.Due(start.Add(91*day), 0) {
		apps = append(apps, c.App)
	}
	if got := strings.Join(apps, ""); got != "ca" {
		t.Errorf("due: %s, want the one that can be saved, then the one that has just expired", got)
	}
	if early := g.Due(start.Add(31*day), 0); len(early) != 1 || early[0].App != "b" {
		t.Errorf("due after a month: %+v", early)
	}
}

func TestSuggestedWindow(t *testing.T) {
	g, log := NewRegistry(), &record{}
	c := testCertificate(1, "a", start, 90*day, "a.example")
	log.add(start, audit.IssueCertificate, IssueDetails{c})
	log.into(t, g)
	if due := g.Due(start.Add(2*day), 0); len(due) != 0 {
		t.Fatalf("due at once: %v", due)
	}
	g.Suggest(c.ID, Window{Start: start, End: start.Add(day)}) // the authority will revoke it
	if due := g.Due(start.Add(2*day), 0); len(due) != 1 {
		t.Errorf("the authority's window is over, and %d are due", len(due))
	}
}

// fill is a registry of n certificates, in the third year of its use.
func fill(b testing.TB, n int) (*Registry, *record) {
	g, log := NewRegistry(), &record{}
	for i := range n {
		at := start.Add(time.Duration(i) * time.Minute)
		name := fmt.Sprintf("app-%d.finmicro.example", i)
		c := testCertificate(i, fmt.Sprintf("app-%d", i), at, 90*day, name)
		log.add(at, audit.OrderCertificate, OrderDetails{Order{Request: c.Request, Authority: "internal", URL: "https://ca/" + name, Names: c.Names, At: at}})
		log.add(at, audit.IssueCertificate, IssueDetails{c})
	}
	log.into(b, g)
	return g, log
}

const fleet = 10_000

func BenchmarkTake(b *testing.B) {
	_, log := fill(b, fleet)
	b.ReportAllocs()
	for b.Loop() {
		g := NewRegistry()
		for _, e := range log.events {
			if err := g.Take(e); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(log.events)), "ns/event")
}

// What one certificate costs in memory, with its order.
func BenchmarkMemory(b *testing.B) {
	var before, after runtime.MemStats
	_, log := fill(b, fleet)
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		g := NewRegistry()
		log.into(b, g)
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(g)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/fleet, "B/certificate")
}

func BenchmarkFind(b *testing.B) {
	g, _ := fill(b, fleet)
	for name, q := range map[string]Query{
		"All":  {},
		"Name": {Name: "app-77.finmicro.example"},
		"App":  {App: "app-77"},
		"Page": {Limit: 50, Status: Valid},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if len(g.Find(q, start)) == 0 {
					b.Fatal("nothing found")
				}
			}
		})
	}
}

func BenchmarkDue(b *testing.B) {
	g, _ := fill(b, fleet)
	for b.Loop() {
		g.Due(start.Add(70*day), 100)
	}
}

func BenchmarkGetPrefix(b *testing.B) {
	g, _ := fill(b, fleet)
	for b.Loop() {
		if _, ok := g.Get(testID(5000)[:12]); !ok {
			b.Fatal("not found")
		}
	}
}

func FuzzTake(f *testing.F) {
	log, _ := story()
	for _, e := range log.events {
		f.Add(string(e.Event.Action), []byte(e.Event.Details))
	}
	f.Fuzz(func(t *testing.T, action string, details []byte) {
		g := NewRegistry()
		e := audit.Receipt{Event: audit.Event{Action: audit.Action(action), Details: details, Timestamp: start}}
		if g.Take(e) != nil {
			return
		}
		if err := g.Take(e); err != nil {
			t.Fatalf("taken once, and not twice: %v", err)
		}
		for _, c := range g.Find(Query{}, start) {
			if _, ok := g.Get(c.ID); !ok || len(c.Names) > maxNames {
				t.Fatalf("found, and not to be had: %+v", c)
			}
			g.Order(c.Request)
		}
		g.Due(start, 0)
		g.Challenges()
	})
}
