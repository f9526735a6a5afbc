package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/audit"
	"slipway/client"
)

// A server that goes away and comes back costs a follower nothing but time: it asks less and
// less often, says so once, and leaves no event out.
func TestFollowOutlivesTheServer(t *testing.T) {
	var mu sync.Mutex
	var size uint64 // events of the log
	down, refused := false, false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case down:
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case refused:
			w.WriteHeader(http.StatusForbidden)
			return
		}
		q := r.URL.Query()
		from := uint64(0)
		if q.Has("after") {
			after, _ := strconv.ParseUint(q.Get("after"), 10, 64)
			from = after + 1
		}
		limit, _ := strconv.Atoi(q.Get("limit"))
		events := []audit.Receipt{}
		for i := from; i < size && len(events) < limit; i++ {
			events = append(events, audit.Receipt{Index: i})
		}
		json.NewEncoder(w).Encode(map[string]any{"events": events})
	}))
	defer server.Close()
	// What the client waits before it asks again is not the follower's.
	cl, err := client.New(server.URL, "slip_ana", client.Pause(func(context.Context, time.Duration) error { return nil }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var waited []string
	steps := []func(){
		func() {},
		func() { size = 2500 }, // more than one page
		func() { down = true }, func() {}, func() {}, func() {}, func() {}, func() {}, func() { size++ },
		func() { down = false },
		func() { size++ },
		stop,
	}
	var stdout, stderr bytes.Buffer
	f := follower{
		tool: &tool{stdout: &stdout, stderr: &stderr}, client: cl, every: time.Second,
		after: func(d time.Duration) <-chan time.Time {
			mu.Lock()
			defer mu.Unlock()
			waited = append(waited, d.String())
			steps[0]()
			if steps = steps[1:]; ctx.Err() != nil {
				return nil
			}
			ready := make(chan time.Time, 1)
			ready <- time.Time{}
			return ready
		},
	}
	var next uint64
	f.show = func(_ io.Writer, r audit.Receipt) error {
		if r.Index != next {
			t.Fatalf("event %d came where %d was to come", r.Index, next)
		}
		next++
		return nil
	}
	if err := f.follow(ctx, audit.Query{}); err != nil {
		t.Errorf("ended by Ctrl-C: %v", err)
	}
	if next != 2502 {
		t.Errorf("%d events were shown, of 2502", next)
	}
	if got, want := strings.Join(waited, " "), "1s 1s 1s 2s 4s 8s 16s 30s 30s 30s 1s 1s"; got != want {
		t.Errorf("it waited %s, want %s", got, want)
	}
	if got := stderr.String(); strings.Count(got, "Waiting for it") != 1 || strings.Count(got, "answers again") != 1 {
		t.Errorf("it said:\n%s", got)
	}

	mu.Lock()
	refused = true
	mu.Unlock()
	steps = []func(){func() {}}
	ctx = t.Context()
	if err := f.follow(ctx, audit.Query{}); !client.Is(err, client.Forbidden) {
		t.Errorf("a server that says no: %v", err)
	}
	mu.Lock()
	refused = false
	mu.Unlock()
	full := errors.New("the disk is full")
	steps = []func(){func() {}}
	f.show = func(io.Writer, audit.Receipt) error { return full }
	if err := f.follow(ctx, audit.Query{}); !errors.Is(err, full) {
		t.Errorf("an output that takes nothing: %v", err)
	}
}
