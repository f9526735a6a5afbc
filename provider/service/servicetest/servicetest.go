// Package servicetest breaks a DNS service on purpose and looks whether a provider gets
// through: throttled, cut off after it did what was asked, changed by somebody else in
// between. It goes beside providertest, which knows no network. Read Run first.
package servicetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"

	"slipway/provider"
	"slipway/zone"
)

// Z is the zone that the scenarios use.
const Z = zone.Name("finmicro.example")

// Secret is the credential that a backend has to be opened with. It must appear in no
// error.
const Secret = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"

// Fault answers a request in the service's stead when it returns true. It gets the body,
// which has been read.
type Fault func(w http.ResponseWriter, r *http.Request, body []byte) bool

// Front stands before a service and breaks it.
type Front struct {
	*httptest.Server
	Service http.Handler

	// mu guards fault, for no longer than it takes to copy it.
	mu    sync.Mutex
	fault Fault
}

// NewFront starts a front that ends with the test.
func NewFront(t *testing.T, s http.Handler) *Front {
	f := &Front{Service: s}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

// Break sets what happens to every request from now on; nil mends.
func (f *Front) Break(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// Lose passes a request on and cuts the connection instead of answering.
func (f *Front) Lose(r *http.Request, body []byte) {
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.Service.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	f.mu.Lock()
	fault := f.fault
	f.mu.Unlock()
	if fault != nil && fault(w, r, body) {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.Service.ServeHTTP(w, r)
}

// Backend is one empty service.
type Backend struct {
	Front *Front

	// Open opens the provider on it. With again it is what a restarted process opens,
	// with the same journal; else what another machine does.
	Open func(t *testing.T, again bool) provider.Provider

	// Changes says whether a request changes record sets.
	Changes func(r *http.Request) bool

	// Throttle and Deny answer as the service does.
	Throttle, Deny func(w http.ResponseWriter)

	// Attempts bounds how often one throttled request may be sent.
	Attempts int

	// Unguarded: the service takes changes without being told what they were planned
	// against, so that somebody else's change at the same instant is found only afterwards.
	Unguarded bool
}

// A is an address record set of the zone.
func A(host string, values ...string) zone.RRSet {
	return zone.RRSet{Name: zone.Name(host) + "." + Z, Type: "A", TTL: 300, Values: values}
}

// Plan plans against what is live.
func Plan(t *testing.T, p provider.Provider, change string, desired ...zone.RRSet) provider.Plan {
	t.Helper()
	live, err := p.Read(t.Context(), Z)
	if err != nil {
		t.Fatal(err)
	}
	return provider.NewPlan(Z, desired, live, change, "commit")
}

// Apply plans and applies.
func Apply(t *testing.T, p provider.Provider, change string, desired ...zone.RRSet) *provider.Receipt {
	t.Helper()
	r, err := p.Apply(t.Context(), Plan(t, p, change, desired...))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Run runs every scenario against a backend of its own.
func Run(t *testing.T, make func(t *testing.T) Backend) {
	for name, test := range map[string]func(*testing.T, Backend){
		"Throttled":    throttled,
		"Denied":       denied,
		"AnswerLost":   answerLost,
		"Killed":       killed,
		"SomebodyElse": somebodyElse,
		"Stopped":      stopped,
		"Zones":        zones,
	} {
		t.Run(name, func(t *testing.T) { test(t, make(t)) })
	}
}

func throttled(t *testing.T, b Backend) {
	p := b.Open(t, true)
	Apply(t, p, "first", A("menu", "192.0.2.1"))
	left := map[bool]int{false: 2, true: 2} // requests that change something or not
	b.Front.Break(func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if left[b.Changes(r)] == 0 {
			return false
		}
		left[b.Changes(r)]--
		b.Throttle(w)
		return true
	})
	if r := Apply(t, p, "second", A("menu", "192.0.2.2")); !r.Applied {
		t.Errorf("%+v", r)
	}
	n := 0
	b.Front.Break(func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		n++
		b.Throttle(w)
		return true
	})
	if _, err := p.Read(t.Context(), Z); err == nil || n < 2 || n > b.Attempts {
		t.Errorf("throttled without end: %d requests, %v", n, err)
	}
}

func denied(t *testing.T, b Backend) {
	p := b.Open(t, true)
	Apply(t, p, "first", A("menu", "192.0.2.1"))
	second := Plan(t, p, "second", A("menu", "192.0.2.2"))
	b.Front.Break(func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if b.Changes(r) {
			b.Deny(w)
		}
		return b.Changes(r)
	})
	_, applying := p.Apply(t.Context(), second)
	b.Front.Break(func(w http.ResponseWriter, r *http.Request, _ []byte) bool { b.Deny(w); return true })
	_, reading := p.Read(t.Context(), Z)
	for _, err := range []error{applying, reading} {
		if err == nil || errors.Is(err, provider.ErrDrifted) {
			t.Errorf("denied: %v", err)
			continue
		}
		if !strings.Contains(err.Error(), string(Z)) {
			t.Errorf("the error does not say which zone: %v", err)
		}
		if text := fmt.Sprintf("%v %+v %#v %+v %#v", err, err, err, p, p); strings.Contains(text, Secret) {
			t.Errorf("the credential is in %s", text)
		}
	}
	b.Front.Break(nil)
	if live, err := p.Read(t.Context(), Z); err != nil || live.Digest != second.Expect {
		t.Errorf("a denied change: %+v, %v", live, err)
	}
}

func answerLost(t *testing.T, b Backend) {
	p := b.Open(t, true)
	Apply(t, p, "first", A("menu", "192.0.2.1"), A("old", "192.0.2.9"))
	b.Front.Break(func(w http.ResponseWriter, r *http.Request, body []byte) bool {
		if b.Changes(r) {
			b.Front.Lose(r, body)
		}
		return false
	})
	second := Plan(t, p, "second", A("menu", "192.0.2.2"), A("new", "192.0.2.3"))
	var r *provider.Receipt
	var err error
	// Where a change takes several requests, each of them is lost once.
	for range 10 {
		if r, err = p.Apply(t.Context(), second); err == nil {
			break
		}
		if errors.Is(err, provider.ErrDrifted) {
			t.Fatal(err)
		}
	}
	if err != nil || !r.Applied || r.Before != second.Expect {
		t.Fatalf("%+v, %v", r, err)
	}
	again, err := b.Open(t, true).Apply(t.Context(), second)
	if err != nil || !reflect.DeepEqual(again, r) {
		t.Errorf("run again: %+v, %v; first %+v", again, err, r)
	}
}

func killed(t *testing.T, b Backend) {
	p := b.Open(t, true)
	Apply(t, p, "first", A("menu", "192.0.2.1"))
	second := Plan(t, p, "second", A("menu", "192.0.2.2"), A("new", "192.0.2.3"))
	ctx, kill := context.WithCancel(t.Context())
	b.Front.Break(func(w http.ResponseWriter, r *http.Request, body []byte) bool {
		if b.Changes(r) {
			kill()
			b.Front.Lose(r, body)
		}
		return false
	})
	if _, err := p.Apply(ctx, second); err == nil {
		t.Fatal("killed, and finished")
	}
	b.Front.Break(nil)
	r, err := b.Open(t, true).Apply(t.Context(), second)
	if err != nil || !r.Applied || r.Before != second.Expect || r.After != provider.Digest(second.Desired) {
		t.Errorf("run again: %+v, %v", r, err)
	}
}

func somebodyElse(t *testing.T, b Backend) {
	p, other := b.Open(t, true), b.Open(t, false)
	Apply(t, p, "first", A("menu", "192.0.2.1"))
	ours := Plan(t, p, "ours", A("menu", "192.0.2.2"))
	once := sync.OnceFunc(func() { Apply(t, other, "theirs", A("menu", "192.0.2.99")) })
	b.Front.Break(func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if b.Changes(r) {
			b.Front.Break(nil)
			once()
		}
		return false
	})
	_, err := p.Apply(t.Context(), ours)
	if b.Unguarded {
		return
	}
	var drift *provider.DriftedError
	if !errors.As(err, &drift) {
		t.Fatalf("a set that was changed between reading and writing: %v", err)
	}
	if live, err := p.Read(t.Context(), Z); err != nil || live.Digest != drift.Found {
		t.Errorf("their change was undone: %+v, %v", live, err)
	}
}

func zones(t *testing.T, b Backend) {
	p := b.Open(t, true)
	lister, ok := p.(interface {
		Zones(ctx context.Context) ([]zone.Name, error)
	})
	if !ok {
		t.Skip("the provider does not list zones")
	}
	Apply(t, p, "first", A("menu", "192.0.2.1"))
	names, err := lister.Zones(t.Context())
	if err != nil || len(names) != 1 || names[0] != Z {
		t.Errorf("%v, %v", names, err)
	}
	b.Front.Break(func(w http.ResponseWriter, r *http.Request, _ []byte) bool { b.Deny(w); return true })
	if _, err := lister.Zones(t.Context()); err == nil || strings.Contains(err.Error(), Secret) {
		t.Errorf("denied: %v", err)
	}
}

// stopped is a plan too large for one request, refused in the middle.
func stopped(t *testing.T, b Backend) {
	p := b.Open(t, true)
	desired := make([]zone.RRSet, 1000)
	for i := range desired {
		desired[i] = A(fmt.Sprintf("host%d", i), "192.0.2.1")
	}
	// First something, so that a provider which makes its zones has made this one.
	Apply(t, p, "first", A("menu", "192.0.2.1"))
	many := Plan(t, p, "many", append(desired, A("menu", "192.0.2.1"))...)
	requests := 0
	b.Front.Break(func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if !b.Changes(r) {
			return false
		}
		if requests++; requests < 2 {
			return false
		}
		b.Deny(w)
		return true
	})
	if _, err := p.Apply(t.Context(), many); err == nil || errors.Is(err, provider.ErrDrifted) || !strings.Contains(err.Error(), "Run the same change again") {
		t.Fatalf("stopped half-way: %v", err)
	}
	b.Front.Break(nil)
	other := many
	other.ChangeID = "other"
	if _, err := p.Apply(t.Context(), other); !errors.Is(err, provider.ErrDrifted) {
		t.Errorf("another change went on where this one stopped: %v", err)
	}
	r, err := b.Open(t, true).Apply(t.Context(), many)
	if err != nil || !r.Applied || r.Before != many.Expect {
		t.Errorf("run again: %+v, %v", r, err)
	}
}
