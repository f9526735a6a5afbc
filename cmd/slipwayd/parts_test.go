package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/audit"
	"slipway/audit/audittest"
	"slipway/inbound"
	"slipway/lifecycle"
	"slipway/repo"
	"slipway/starter"
)

// The readers of the record that slipway.yaml names are told what happens, and one that
// cannot be reached disturbs neither the others nor the change.
func TestReadersOfTheRecord(t *testing.T) {
	out := filepath.Join(t.TempDir(), "events.log")
	t.Setenv("TEST_HEC", "hunter2hunter2")
	dir := kitWith(t, func(text string) string {
		return text + fmt.Sprintf("\nrecord:\n  forward:\n    agent: {type: file, path: %q, format: ocsf}\n    down: {type: hec, url: \"http://127.0.0.1:1\", token: \"env:TEST_HEC\"}\n  sources:\n    registrar: {type: report, token: \"env:TEST_HEC\"}\n", out)
	})
	data := filepath.Join(audittest.TempDir(t), "data")
	srv, err := start(t.Context(), settings{
		data: data, listen: "127.0.0.1:0", dns: "127.0.0.1:0", dnsExternal: "127.0.0.1:0", namespace: "slipway",
		logFormat: "text", logLevel: "error", repository: dir, organisation: starter.Sample(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.close(t.Context())
	ana, err := srv.demoClient(t.Context(), demoRequester, "product-manager")
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	id, err := srv.demoRequest(t.Context(), &shown, ana, "expense-tracker", "internal", "expenses.apps.finmicro.example", "")
	if err != nil {
		t.Fatalf("%v\n%s", err, &shown)
	}
	if err := follow(t.Context(), &shown, ana, id, lifecycle.Live); err != nil {
		t.Fatalf("%v\n%s", err, &shown)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		raw, _ := os.ReadFile(out)
		if strings.Contains(string(raw), `"event_code":"go-live"`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("go-live was not handed on; the file has %d bytes", len(raw))
		}
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var first struct{ Metadata struct{ Sequence uint64 } }
	line, _, _ := strings.Cut(string(raw), "\n")
	if err := json.Unmarshal([]byte(line), &first); err != nil || first.Metadata.Sequence != 0 {
		t.Errorf("the first event that was handed on is %q, %v", line, err)
	}
	t.Run("what a source reports is on record", func(t *testing.T) { sourceReports(t, srv) })
	t.Run("as main says now", func(t *testing.T) { partsFollowSettings(t, srv) })
}

// partsFollowSettings: what is named runs, once; what is named otherwise is begun anew; what is
// not named any more ends; what failed is tried again.
func partsFollowSettings(t *testing.T, srv *server) {
	wanted := map[string]repo.Part{"a": {Type: "x"}, "b": {Type: "x"}, "broken": {Type: "y"}}
	var log []string
	ended := make(chan string, 10)
	p := &parts{srv: srv, sort: "tests", running: map[string]*runningPart{}, guards: map[string]*audit.Guard{}, of: func(repo.RecordSettings) map[string]repo.Part { return wanted }}
	guards := map[*audit.Guard]int{} // tries to start what cannot be started
	p.start = func(_ context.Context, name string, part repo.Part, guard *audit.Guard) (func(context.Context) error, error) {
		if part.Type == "y" {
			guards[guard]++
			return nil, fmt.Errorf("no")
		}
		log = append(log, name+" "+part.Type)
		return func(ctx context.Context) error { <-ctx.Done(); ended <- name; return nil }, nil
	}
	step := func(want ...string) {
		t.Helper()
		log = nil
		p.keep(t.Context())
		slices.Sort(log)
		if !reflect.DeepEqual(log, want) {
			t.Errorf("started %v, want %v", log, want)
		}
	}
	step("a x", "b x")
	step()
	if len(guards) != 1 {
		t.Errorf("%d outages of one part: none of them would ever last long enough to be told", len(guards))
	}
	wanted = map[string]repo.Part{"a": {Type: "z"}, "broken": {Type: "x"}}
	step("a z", "broken x")
	if got := []string{<-ended, <-ended}; !slices.Contains(got, "a") || !slices.Contains(got, "b") {
		t.Errorf("ended: %v", got)
	}
	wanted = nil
	step()
	if len(p.running) != 0 {
		t.Errorf("%d still run", len(p.running))
	}
}

// sourceReports: a source with its credential is heard, one without it is not, and neither needs a session.
func sourceReports(t *testing.T, srv *server) {
	for token, want := range map[string]int{"hunter2hunter2": http.StatusNoContent, "x": http.StatusUnauthorized} {
		body := strings.NewReader(`{"kind":"domain","id":"1","at":"2026-06-30T08:58:00Z","zone":"finmicro-apps.example","by":"omar"}`)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.settings.baseURL+inbound.Path+"registrar", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s instead of %d", res.Status, want)
		}
	}
	got, err := srv.record.Index().Events(t.Context(), audit.Query{Action: audit.ReceiveReport})
	if err != nil || len(got) != 1 || got[0].Event.Resource.Zone != "finmicro-apps.example" {
		t.Errorf("%+v, %v", got, err)
	}
}
