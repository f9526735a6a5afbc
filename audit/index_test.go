package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// story appends the events of four changes and returns the log.
func story(t testing.TB, o Options) *Log {
	t.Helper()
	l := openLog(t, o)
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for i, s := range []struct {
		change, app, actor string
		action             Action
	}{
		{"c1", "app1", "ana", SubmitChange}, // index 1
		{"c2", "app2", "ben", SubmitChange},
		{"c1", "app1", "slipway", CheckChange},
		{"c3", "app1", "ana", SubmitChange},
		{"c1", "", "slipway", GoLive}, // 5
		{"c2", "", "ivy", RejectChange},
		{"c4", "app3", "ana", SubmitChange},
		{"c3", "", "slipway", FailChange},
		{"", "", "ana", SignIn}, // 9
		{"c1", "", "slipway", RefuseVote},
	} {
		digest := map[string]string{"verdict": "sha256:" + strings.Repeat("0"+s.change+"0", 16)}
		if s.change == "" {
			digest = nil
		}
		add(t, l, Event{Actor: Actor{ID: s.actor, Role: "r"}, Action: s.action, Change: s.change, GitCommit: "commit" + s.app, ArtifactRefs: digest,
			Timestamp: at.Add(time.Duration(i) * time.Hour),
			Resource:  Resource{App: s.app, Zone: "zone" + s.app, Record: "record" + s.app}})
	}
	return l
}

func TestQueries(t *testing.T) {
	t.Parallel()
	l := story(t, options(t))
	at := func(hour int) time.Time { return time.Date(2026, 6, 1, 12+hour, 0, 0, 0, time.UTC) }
	tests := []struct {
		name string
		q    Query
		want []uint64
	}{
		{"change", Query{Change: "c1"}, []uint64{1, 3, 5, 10}},
		{"app", Query{App: "app1"}, []uint64{1, 3, 4}},
		{"zone", Query{Zone: "zoneapp2"}, []uint64{2}},
		{"record", Query{Record: "recordapp3"}, []uint64{7}},
		{"actor", Query{Actor: "ana"}, []uint64{1, 4, 7, 9}},
		{"action", Query{Action: SubmitChange}, []uint64{1, 2, 4, 7}},
		{"two at once", Query{Actor: "ana", App: "app1"}, []uint64{1, 4}},
		{"newest", Query{Actor: "ana", Newest: true, Limit: 2}, []uint64{9, 7}},
		{"after", Query{Actor: "ana", After: 4, HasAfter: true}, []uint64{7, 9}},
		{"after zero", Query{After: 0, HasAfter: true, Limit: 1}, []uint64{1}},
		{"before", Query{Actor: "ana", Before: 7, HasBefore: true, Newest: true}, []uint64{4, 1}},
		{"time", Query{From: at(1), To: at(3)}, []uint64{2, 3}},
		{"commit", Query{Commit: "commitapp1"}, []uint64{1, 3, 4}},
		{"document", Query{Document: "sha256:" + strings.Repeat("0c20", 16)}, []uint64{2, 6}},
		{"document of nobody", Query{Document: "sha256:" + strings.Repeat("0c21", 16)}, []uint64{}},
		{"nothing", Query{Change: "c' OR ''='"}, []uint64{}},
	}
	for _, tt := range tests {
		found, err := l.Index().Events(t.Context(), tt.q)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := []uint64{}
		for _, r := range found {
			got = append(got, r.Index)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestChangeIDs(t *testing.T) {
	t.Parallel()
	l := story(t, options(t))
	for _, tt := range []struct {
		q    ChangeQuery
		want []string
	}{
		{ChangeQuery{}, []string{"c1", "c3", "c4", "c2"}},
		{ChangeQuery{OpenOnly: true}, []string{"c3", "c4"}},
		{ChangeQuery{Requester: "ana"}, []string{"c1", "c3", "c4"}},
		{ChangeQuery{Requester: "ivy"}, []string{}},
		{ChangeQuery{App: "app1"}, []string{"c1", "c3"}},
		{ChangeQuery{App: "app1", OpenOnly: true}, []string{"c3"}},
		{ChangeQuery{Limit: 2, Offset: 1}, []string{"c3", "c4"}},
	} {
		got, err := l.Index().ChangeIDs(t.Context(), tt.q)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%+v: got %v (%v), want %v", tt.q, got, err, tt.want)
		}
	}
}

func TestReindexGivesTheSame(t *testing.T) {
	t.Parallel()
	o := options(t)
	l := story(t, o)
	all := func(l *Log) (events []Receipt, changes []string) {
		t.Helper()
		events, err := l.Index().Events(t.Context(), Query{})
		if err != nil {
			t.Fatal(err)
		}
		changes, err = l.Index().ChangeIDs(t.Context(), ChangeQuery{})
		if err != nil {
			t.Fatal(err)
		}
		return events, changes
	}
	events, changes := all(l)
	closeLog(t, l)
	var last [2]uint64
	if err := Reindex(t.Context(), o, func(done, total uint64) { last = [2]uint64{done, total} }); err != nil {
		t.Fatal(err)
	}
	if last != [2]uint64{11, 11} {
		t.Errorf("progress ended at %v", last)
	}
	again, changesAgain := all(openLog(t, o))
	if !reflect.DeepEqual(again, events) || !reflect.DeepEqual(changesAgain, changes) {
		t.Errorf("rebuilt index differs:\n%v\n%v", again, events)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	l := openLog(t, options(t))
	ctx, cancel := context.WithCancel(t.Context())
	first, second := l.Index().Watch(ctx), l.Index().Watch(t.Context())
	add(t, l, submitted("c1"))
	add(t, l, submitted("c2"))
	for _, c := range []<-chan struct{}{first, second} {
		<-c
		select {
		case _, open := <-c:
			if !open {
				t.Error("closed too early")
			}
		default: // the second event may have been told with the first
		}
	}
	cancel()
	for range first { // ends because it is closed
	}
	closeLog(t, l)
	for range second {
	}
	if _, open := <-l.Index().Watch(t.Context()); open {
		t.Error("a closed index tells of events")
	}
}

func TestErase(t *testing.T) {
	t.Parallel()
	o := options(t)
	l := openLog(t, o)
	digest, err := l.Documents().Put(t.Context(), []byte("a person's data"))
	if err != nil {
		t.Fatal(err)
	}
	e := submitted("c1")
	e.ArtifactRefs = map[string]string{"request": digest}
	add(t, l, e)
	by := Actor{ID: "adam@finmicro.example", Role: "administrator"}
	first, err := l.Erase(t.Context(), by, digest, "ticket 1")
	if err != nil {
		t.Fatal(err)
	}
	again, err := l.Erase(t.Context(), by, digest, "ticket 1")
	if err != nil || again.Index != first.Index {
		t.Errorf("again: %v, %v", again, err)
	}
	if there, err := l.Documents().Has(digest); there || err != nil {
		t.Errorf("still there: %v, %v", there, err)
	}
	var details struct{ Because string }
	if err := json.Unmarshal(first.Event.Details, &details); err != nil || details.Because != "ticket 1" {
		t.Errorf("details %s", first.Event.Details)
	}
	if _, err := l.Erase(t.Context(), by, "sha256:"+fmt.Sprintf("%064d", 0), "none"); err == nil {
		t.Error("erased what was not there")
	}
	closeLog(t, l)
	wantSound(t, o.Dir, l.PublicKeys())
}

func TestLeftoversAreRemoved(t *testing.T) {
	t.Parallel()
	o := options(t)
	l := openLog(t, o)
	add(t, l, submitted("c1"))
	closeLog(t, l)
	left := []string{"log/tile/entries/000.p/7", "log/tile/entries/000.p/2123456", "log/tile/0/000.p/9", "log/tile/entries/001", "log/checkpoint99", "log/.state/treeState1234"}
	for _, name := range left {
		path := filepath.Join(o.Dir, name)
		if err := os.WriteFile(path, []byte("torn"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	report := verify(t, o.Dir, l.PublicKeys())
	e := submitted("c1")
	e.ArtifactRefs = nil
	slices.Sort(left)
	if slices.Sort(report.Leftovers); !slices.Equal(report.Leftovers, left) {
		t.Errorf("left over: %v", report.Leftovers)
	}
	l = openLog(t, o)
	for range 8 {
		add(t, l, e)
	}
	closeLog(t, l)
	if report := verify(t, o.Dir, l.PublicKeys()); len(report.Leftovers) > 0 {
		t.Errorf("still left over: %v", report.Leftovers)
	}
}

// After a clean end the index is one file, also when a reader lets go of its connection late.
func TestCloseLeavesOneFile(t *testing.T) {
	o := options(t)
	l := openLog(t, o)
	add(t, l, submitted("c-1"))
	conn, err := l.index.readers.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	if info, err := os.Stat(filepath.Join(o.Dir, indexFile+"-wal")); err == nil && info.Size() > 0 {
		t.Errorf("%d bytes are still apart", info.Size())
	}
	conn.Close()
}
