package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/audit"
	"slipway/audit/audittest"
	"slipway/audit/postgres"
	"slipway/key"
	"slipway/secret"
)

func options(t testing.TB) audit.Options {
	t.Helper()
	store, err := key.OpenStore(filepath.Join(t.TempDir(), "keys"), []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	o := audit.Options{Dir: filepath.Join(audittest.TempDir(t), "audit"), Origin: "slipway.finmicro.example/log", Logger: slog.New(slog.DiscardHandler)}
	for name, signer := range map[string]**key.Signer{"events": &o.Events, "log": &o.Log} {
		if *signer, err = store.Signer(t.Context(), name, true); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func database(t testing.TB, c *cluster, schema string) *audit.Database {
	t.Helper()
	t.Setenv("TEST_PG_PASSWORD", password)
	db, err := postgres.Open(postgres.Settings{URL: c.url(schema), Password: "env:TEST_PG_PASSWORD"})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func open(t testing.TB, o audit.Options) *audit.Log {
	t.Helper()
	l, err := audit.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(context.WithoutCancel(t.Context())) })
	return l
}

func closeLog(t testing.TB, l *audit.Log) {
	t.Helper()
	if err := l.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

// pick is one of a few words, or none.
func pick(r *rand.Rand, words ...string) string {
	if i := r.IntN(len(words) + 1); i < len(words) {
		return words[i]
	}
	return ""
}

var digests = []string{"sha256:" + strings.Repeat("0a", 32), "sha256:" + strings.Repeat("0b", 32), "sha256:" + strings.Repeat("0c", 32)}

// write appends events with whatever can be selected by, some alone and some in a rush.
func write(t testing.TB, l *audit.Log, r *rand.Rand, from, n int) {
	t.Helper()
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	events := make([]audit.Event, n)
	for i := range events {
		e := audit.Event{
			Actor: audit.Actor{ID: "p" + pick(r, "1", "2", "3"), Role: "r"}, Change: pick(r, "c1", "c2", "c3", "c4"), GitCommit: pick(r, "aaaa", "bbbb"),
			Action:       []audit.Action{audit.SubmitChange, audit.CheckChange, audit.GoLive, audit.SignIn}[r.IntN(4)],
			Resource:     audit.Resource{App: pick(r, "a1", "a2"), Zone: pick(r, "z1", "z2"), Record: pick(r, "r1", "r2", "r3")},
			ArtifactRefs: map[string]string{},
			Timestamp:    at.Add(time.Duration(from+i)*time.Minute + time.Duration(r.IntN(300)-150)*time.Second),
			Once:         pick(r, fmt.Sprint("once", from+i)),
		}
		for _, name := range []string{"verdict", "request"} {
			if d := pick(r, digests...); d != "" {
				e.ArtifactRefs[name] = d
			}
		}
		events[i] = e
	}
	var wg sync.WaitGroup
	for i, e := range events {
		appendOne := func() {
			if _, err := l.Append(t.Context(), e); err != nil {
				t.Error(err)
			}
		}
		if i < 20 {
			appendOne()
			if _, err := l.Index().Events(t.Context(), audit.Query{Limit: 1}); err != nil { // a span of its own
				t.Fatal(err)
			}
			continue
		}
		wg.Go(appendOne)
	}
	wg.Wait()
}

func randomQuery(r *rand.Rand, size int) audit.Query {
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	q := audit.Query{Newest: r.IntN(2) == 0, Limit: []int{0, 1, 3, 50}[r.IntN(4)]}
	for range r.IntN(4) {
		switch r.IntN(11) {
		case 0:
			q.Change = pick(r, "c1", "c2", "c9")
		case 1:
			q.App = pick(r, "a1", "a2")
		case 2:
			q.Zone = pick(r, "z1", "z2")
		case 3:
			q.Record = pick(r, "r1", "r2")
		case 4:
			q.Actor = "p" + pick(r, "1", "2", "' OR ''='")
		case 5:
			q.Action = []audit.Action{audit.SubmitChange, audit.GoLive, "none"}[r.IntN(3)]
		case 6:
			q.Commit = pick(r, "aaaa", "bbbb", "cccc")
		case 7:
			q.Document = pick(r, digests...)
		case 8:
			q.From = at.Add(time.Duration(r.IntN(size)) * time.Minute)
		case 9:
			q.To = at.Add(time.Duration(r.IntN(size)) * time.Minute)
		default:
			q.After, q.HasAfter = uint64(r.IntN(size)), r.IntN(2) == 0
			q.Before, q.HasBefore = uint64(r.IntN(size)), r.IntN(2) == 0
		}
	}
	return q
}

// byHand answers a query from the log's files.
func byHand(t testing.TB, dir string, q audit.Query) []uint64 {
	t.Helper()
	found := []uint64{}
	for r, err := range audit.Read(t.Context(), dir, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if q.Selects(&r.Event) && !(q.HasAfter && r.Index <= q.After) && !(q.HasBefore && r.Index >= q.Before) {
			found = append(found, r.Index)
		}
	}
	if q.Newest {
		slices.Reverse(found)
	}
	limit := q.Limit
	if limit == 0 {
		limit = 1000
	}
	return found[:min(len(found), limit)]
}

func indices(events []audit.Receipt) []uint64 {
	out := []uint64{}
	for _, r := range events {
		out = append(out, r.Index)
	}
	return out
}

// An index answers every query as the log's files do, wherever it is kept, also after it
// was made anew, and both give the same.
func TestAnswersAsTheLogDoes(t *testing.T) {
	places := map[string]func(t *testing.T) *audit.Database{
		"sqlite":   func(*testing.T) *audit.Database { return nil },
		"postgres": func(t *testing.T) *audit.Database { return database(t, newCluster(t), "conformance") },
	}
	for name, place := range places {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			o.Index = place(t)
			l := open(t, o)
			r := rand.New(rand.NewPCG(1, 2))
			write(t, l, r, 0, 300)
			compare := func(l *audit.Log) {
				t.Helper()
				for range 300 {
					q := randomQuery(r, 330)
					found, err := l.Index().Events(t.Context(), q)
					if err != nil {
						t.Fatalf("%+v: %v", q, err)
					}
					if got, want := indices(found), byHand(t, o.Dir, q); !slices.Equal(got, want) {
						t.Errorf("%+v: got %v, want %v", q, got, want)
					}
				}
				all := map[audit.Action]int{}
				period := audit.Query{From: time.Date(2026, 6, 1, 13, 0, 0, 0, time.UTC), To: time.Date(2026, 6, 1, 15, 0, 0, 0, time.UTC)}
				last := audit.Receipt{}
				for r, err := range audit.Read(t.Context(), o.Dir, 0) {
					if err != nil {
						t.Fatal(err)
					}
					if period.Selects(&r.Event) {
						all[r.Event.Action]++
					}
					last = r
				}
				if got, err := l.Index().Counts(t.Context(), period.From, period.To); err != nil || !reflect.DeepEqual(got, all) {
					t.Errorf("counts %v (%v), want %v", got, err, all)
				}
				if got, found, err := l.Index().Event(t.Context(), last.Event.EventID); err != nil || !found || got.Index != last.Index {
					t.Errorf("by its ID: %v %v %v", got.Index, found, err)
				}
				if _, found, err := l.Index().Event(t.Context(), "0197d2b4-0000-7000-8000-000000000000"); err != nil || found {
					t.Errorf("by no ID: %v %v", found, err)
				}
			}
			compare(l)
			changes, err := l.Index().ChangeIDs(t.Context(), audit.ChangeQuery{App: "a1", Requester: "p1"})
			if err != nil {
				t.Fatal(err)
			}
			open1, err := l.Index().ChangeIDs(t.Context(), audit.ChangeQuery{OpenOnly: true, Limit: 2, Offset: 1})
			if err != nil {
				t.Fatal(err)
			}
			closeLog(t, l)
			if err := audit.Reindex(t.Context(), o, nil); err != nil {
				t.Fatal(err)
			}
			l = open(t, o)
			compare(l)
			if again, err := l.Index().ChangeIDs(t.Context(), audit.ChangeQuery{App: "a1", Requester: "p1"}); err != nil || !slices.Equal(again, changes) {
				t.Errorf("changes %v (%v), before %v", again, err, changes)
			}
			if again, err := l.Index().ChangeIDs(t.Context(), audit.ChangeQuery{OpenOnly: true, Limit: 2, Offset: 1}); err != nil || !slices.Equal(again, open1) {
				t.Errorf("open changes %v (%v), before %v", again, err, open1)
			}
		})
	}
}

// Losing the database loses no event: the log takes them, and the index learns of them
// when the database is back.
func TestDatabaseGoesAway(t *testing.T) {
	c := newCluster(t)
	o := options(t)
	o.Index = database(t, c, "goes_away")
	l := open(t, o)
	write(t, l, rand.New(rand.NewPCG(3, 4)), 0, 30)
	c.stop()
	e := audit.Event{Actor: audit.Actor{ID: "ana", Role: "r"}, Action: audit.SubmitChange, Change: "c-away", Timestamp: time.Date(2026, 6, 2, 0, 0, 0, 0, time.UTC)}
	for range 5 {
		if _, err := l.Append(t.Context(), e); err != nil {
			t.Fatalf("the log does not take an event while the index is away: %v", err)
		}
	}
	if found, err := l.Index().Events(t.Context(), audit.Query{Change: "c-away"}); err == nil {
		t.Errorf("an index that is away has found %d events", len(found))
	}
	c.start()
	var found []audit.Receipt
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if found, err = l.Index().Events(t.Context(), audit.Query{Change: "c-away"}); err == nil {
			break
		}
	}
	if err != nil || len(found) != 5 {
		t.Errorf("%d events found: %v", len(found), err)
	}
	closeLog(t, l)

	// A server that starts while it is away says so, and throws nothing away.
	c.stop()
	if _, err := audit.Open(t.Context(), o); err == nil || strings.Contains(err.Error(), password) {
		t.Errorf("opened without its index: %v", err)
	}
	c.start()
	l = open(t, o)
	if found, err := l.Index().Events(t.Context(), audit.Query{Change: "c-away"}); err != nil || len(found) != 5 {
		t.Errorf("%d events found: %v", len(found), err)
	}
}

// An index of another log, or one that has seen more than the log has, is refused.
func TestIndexOfAnotherLog(t *testing.T) {
	c := newCluster(t)
	one, other := options(t), options(t)
	one.Index = database(t, c, "shared")
	l := open(t, one)
	write(t, l, rand.New(rand.NewPCG(5, 6)), 0, 40)
	closeLog(t, l)
	l = open(t, other) // its own index is elsewhere
	write(t, l, rand.New(rand.NewPCG(7, 8)), 0, 20)
	closeLog(t, l)
	other.Index = one.Index
	if _, err := audit.Open(t.Context(), other); err == nil || !strings.Contains(err.Error(), "its index has already seen 41") {
		t.Errorf("the index of a longer log was taken: %v", err)
	}
	other.Index = nil
	l = open(t, other)
	write(t, l, rand.New(rand.NewPCG(9, 8)), 20, 40)
	closeLog(t, l)
	other.Index = one.Index
	if _, err := audit.Open(t.Context(), other); err == nil || !strings.Contains(err.Error(), "is not the one that the index has seen there") {
		t.Errorf("the index of another log was taken: %v", err)
	}
	// Whose it is finds it as it was.
	l = open(t, one)
	if found, err := l.Index().Events(t.Context(), audit.Query{}); err != nil || len(found) != 41 {
		t.Errorf("%d events: %v", len(found), err)
	}
	closeLog(t, l)

	// What is not an index is not dropped to make one.
	db, err := one.Index.Open(1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE shared.customers(name TEXT)"); err != nil {
		t.Fatal(err)
	}
	if err := audit.Reindex(t.Context(), one, nil); err == nil || !strings.Contains(err.Error(), "would be dropped") {
		t.Errorf("%v", err)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for u, want := range map[string]string{
		"postgres://slipway@db.example/slipway?sslmode=verify-full": "",
		"postgres://slipway@db.example/slipway?schema=audit_index":  "",
		"postgres://slipway:hunter2@db.example/slipway":             "must not have a password",
		"postgres://slipway@db.example/slipway?password=hunter2":    "must not have a password",
		"mysql://slipway@db.example/slipway":                        "write the database as",
		"postgres://slipway@db.example/slipway?schema=public":       "cannot be used",
		"postgres://slipway@db.example/slipway?schema=A%22b":        "cannot be used",
		"postgres://slipway@db.example:port/slipway":                "write the database as",
	} {
		_, err := postgres.Open(postgres.Settings{URL: u, Password: secret.Ref("env:PW")})
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: %v", u, err)
		}
	}
}
