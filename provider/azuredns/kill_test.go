package azuredns_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"sync"
	"testing"

	"slipway/provider"
	"slipway/provider/azuredns"
	"slipway/provider/service/servicetest"
	"slipway/zone"
)

// goal is a plan of several requests: a name comes, one changes, one becomes an alias, one goes.
var goal = []zone.RRSet{
	servicetest.A("menu", "192.0.2.2"), servicetest.A("new", "192.0.2.3"),
	{Name: "moved." + servicetest.Z, Type: "CNAME", TTL: 300, Values: []string{"host.example.net."}},
}

// TestChild is no test: it is what TestKill starts and kills.
func TestChild(t *testing.T) {
	at := os.Getenv("SLIPWAY_TEST_SERVER")
	if at == "" {
		t.Skip("TestKill starts this in a process of its own")
	}
	s := settings(t, &servicetest.Front{Server: &httptest.Server{}})
	s.Endpoint, s.Journal = at, os.Getenv("SLIPWAY_TEST_JOURNAL")
	servicetest.Apply(t, open(t, s), "change", goal...)
}

// An apply whose process is killed, at whatever request, before or after the request was
// served, is finished by the next process, and by none twice.
func TestKill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for at := 1; ; at++ {
		for _, served := range []bool{false, true} {
			if killAt(t, self, at, served) {
				continue
			}
			if at < 5 {
				t.Errorf("the plan took only %d requests", at-1)
			}
			return
		}
	}
}

// killAt kills a child at its nth changing request and finishes its work. False: there
// were not so many.
func killAt(t *testing.T, self string, n int, served bool) bool {
	t.Helper()
	f := servicetest.NewFront(t, newServer())
	s := settings(t, f)
	p := open(t, s)
	servicetest.Apply(t, p, "first", servicetest.A("menu", "192.0.2.1"), servicetest.A("moved", "192.0.2.4"), servicetest.A("old", "192.0.2.5"))
	plan := servicetest.Plan(t, p, "change", goal...)
	child := exec.Command(self, "-test.run=^TestChild$")
	child.Env = append(os.Environ(), "SLIPWAY_TEST_SERVER="+s.Endpoint, "SLIPWAY_TEST_JOURNAL="+s.Journal)
	var mu sync.Mutex
	requests, killed := 0, false
	f.Break(func(w http.ResponseWriter, r *http.Request, body []byte) bool {
		if r.Method == http.MethodGet {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		if requests++; requests != n {
			return false
		}
		killed = true
		child.Process.Kill()
		if served {
			f.Lose(r, body)
		}
		panic(http.ErrAbortHandler)
	})
	out, err := child.CombinedOutput()
	mu.Lock()
	defer mu.Unlock()
	if !killed {
		if err != nil {
			t.Fatalf("the child failed by itself: %v\n%s", err, out)
		}
		return false
	}
	f.Break(nil)
	r, err := open(t, s).Apply(t.Context(), plan)
	if err != nil || !r.Applied || r.Before != plan.Expect || r.After != provider.Digest(plan.Desired) {
		t.Errorf("killed at request %d (served: %v): %+v, %v", n, served, r, err)
		return true
	}
	if again, err := open(t, s).Apply(t.Context(), plan); err != nil || !reflect.DeepEqual(again, r) {
		t.Errorf("killed at request %d (served: %v), and a third run: %+v, %v", n, served, again, err)
	}
	return true
}

var _ provider.Provider = (*azuredns.Provider)(nil)
