package service_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/provider"
	"slipway/provider/service"
	"slipway/secret"
	"slipway/zone"
)

const z = zone.Name("finmicro.example")

func set(host, typ string, ttl int, values ...string) zone.RRSet {
	return zone.RRSet{Name: zone.Name(host) + "." + z, Type: typ, TTL: ttl, Values: values}
}

func TestBatches(t *testing.T) {
	edit := func(host string) zone.Edit { return zone.Edit{Name: zone.Name(host)} }
	parts := [][]zone.Edit{{edit("a")}, {edit("b"), edit("b")}, {edit("c")}, {edit("d"), edit("d"), edit("d"), edit("d")}, {edit("e")}}
	var got []string
	for _, batch := range service.Batches(parts, 3, func(zone.Edit) int { return 1 }) {
		var names strings.Builder
		for _, e := range batch {
			names.WriteString(string(e.Name))
		}
		got = append(got, names.String())
	}
	if want := []string{"abb", "c", "dddd", "e"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := service.Batches(nil, 3, nil); got != nil {
		t.Errorf("nothing to do in %d batches", len(got))
	}
}

// store is a service in memory, to look at the journal alone.
type store struct {
	sets   []zone.RRSet
	serial uint32
	fail   error
}

type version struct {
	s    *store
	live *provider.Live
}

func (v version) Live() *provider.Live           { return v.live }
func (v version) Unmanaged() []service.Unmanaged { return nil }

func (v version) Write(_ context.Context, parts [][]zone.Edit) (string, error) {
	for _, part := range parts {
		for _, e := range part {
			v.s.sets = slices.DeleteFunc(slices.Clone(v.s.sets), func(r zone.RRSet) bool { return r.Name == e.Name && r.Type == e.Type })
			if e.After != nil {
				v.s.sets = append(v.s.sets, *e.After)
			}
			if v.s.fail != nil {
				return "", v.s.fail
			}
		}
	}
	v.s.serial++
	return fmt.Sprint("change-", v.s.serial), nil
}

func (s *store) service(j *service.Journal, at time.Time) service.Service {
	return service.Service{
		Name: "store", Journal: j, Now: func() time.Time { return at },
		Read: func(context.Context, zone.Name) (service.Zone, error) {
			return version{s, service.NewLive(z, slices.Clone(s.sets), s.serial, 0)}, nil
		},
	}
}

func journal(t *testing.T, dir string) *service.Journal {
	t.Helper()
	j, err := service.OpenJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestJournal(t *testing.T) {
	dir := t.TempDir()
	at := time.Unix(1_800_000_000, 0).UTC()
	s := &store{}
	desired := []zone.RRSet{set("a", "A", 300, "192.0.2.1"), set("b", "A", 300, "192.0.2.2")}
	plan := provider.NewPlan(z, desired, &provider.Live{Zone: z}, "change", "commit")

	// Stopped after the first set: only this plan goes on, and says since when it began.
	s.fail = errors.New("cut off")
	if _, err := s.service(journal(t, dir), at).Apply(t.Context(), plan); !errors.Is(err, s.fail) || errors.Is(err, provider.ErrDrifted) {
		t.Fatalf("stopped: %v", err)
	}
	s.fail = nil
	if _, err := s.service(journal(t, t.TempDir()), at).Apply(t.Context(), plan); !errors.Is(err, provider.ErrDrifted) {
		t.Errorf("without the journal: %v", err)
	}
	other := plan
	other.ChangeID = "other"
	if _, err := s.service(journal(t, dir), at).Apply(t.Context(), other); !errors.Is(err, provider.ErrDrifted) {
		t.Errorf("another change: %v", err)
	}
	r, err := s.service(journal(t, dir), at).Apply(t.Context(), plan)
	if err != nil || !r.Applied || r.Before != plan.Expect || r.ProviderChange != "change-1" || !r.At.Equal(at) {
		t.Fatalf("%+v, %v", r, err)
	}
	// The receipt is kept, and given for this very version only.
	again, err := s.service(journal(t, dir), at.Add(time.Hour)).Apply(t.Context(), plan)
	if err != nil || !reflect.DeepEqual(again, r) {
		t.Errorf("%+v, %v", again, err)
	}
	s.serial++
	if later, err := s.service(journal(t, dir), at).Apply(t.Context(), plan); err != nil || later.Applied {
		t.Errorf("somebody else made it so again: %+v, %v", later, err)
	}
	// A damaged journal is none.
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(files[0], []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := s.service(journal(t, dir), at).Apply(t.Context(), plan); err != nil || r.Applied {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestPlanTooLong(t *testing.T) {
	s := &store{}
	for _, p := range []provider.Plan{{ChangeID: strings.Repeat("x", 600)}, {Commit: strings.Repeat("x", 600)}} {
		p.Zone, p.Expect = z, provider.Digest(nil)
		if _, err := s.service(journal(t, ""), time.Time{}).Apply(t.Context(), p); err == nil {
			t.Errorf("%.20s… was taken", p.ChangeID+p.Commit)
		}
	}
}

// trip answers in turn.
type trip struct {
	answers []any // *http.Response or error
	bodies  []string
}

func (tr *trip) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body = string(b)
	}
	tr.bodies = append(tr.bodies, body)
	next := tr.answers[min(len(tr.bodies)-1, len(tr.answers)-1)]
	if err, ok := next.(error); ok {
		return nil, err
	}
	return next.(*http.Response), nil
}

func status(code int, after string) *http.Response {
	return &http.Response{StatusCode: code, Header: http.Header{"Retry-After": {after}}, Body: io.NopCloser(strings.NewReader("x"))}
}

func TestRetry(t *testing.T) {
	cut := errors.New("connection reset")
	for _, tt := range []struct {
		name, method string
		answers      []any
		sent         int
		status       int // 0: an error
		waits        []time.Duration
	}{
		{"at once", "GET", []any{status(200, "")}, 1, 200, nil},
		{"later", "POST", []any{status(429, "7"), status(503, ""), status(200, "")}, 3, 200, []time.Duration{7 * time.Second, 2 * time.Second}},
		{"much later", "GET", []any{status(429, "86400"), status(200, "")}, 2, 200, []time.Duration{30 * time.Second}},
		{"never", "POST", []any{status(429, "")}, 4, 429, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
		{"refused", "POST", []any{status(403, "")}, 1, 403, nil},
		{"reading, cut off", "GET", []any{cut, status(200, "")}, 2, 200, []time.Duration{time.Second}},
		{"changing, cut off", "POST", []any{cut, status(200, "")}, 1, 0, nil},
		{"nonsense in Retry-After", "GET", []any{status(429, "-5"), status(200, "")}, 2, 200, []time.Duration{time.Second}},
	} {
		tr := &trip{answers: tt.answers}
		var waits []time.Duration
		c := &http.Client{Transport: &service.Retry{Base: tr, Attempts: 4, Sleep: func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }}}
		var body io.Reader
		if tt.method == "POST" {
			body = bytes.NewReader([]byte("change"))
		}
		req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://dns.example/", body)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Do(req)
		code := 0
		if err == nil {
			code = got.StatusCode
			got.Body.Close()
		}
		if code != tt.status || len(tr.bodies) != tt.sent || !slices.Equal(waits, tt.waits) {
			t.Errorf("%s: %d %v after %d requests and pauses of %v", tt.name, code, err, len(tr.bodies), waits)
		}
		for _, b := range tr.bodies {
			if tt.method == "POST" && b != "change" {
				t.Errorf("%s: the body %q was sent", tt.name, b)
			}
		}
	}
}

func TestCredential(t *testing.T) {
	now, held, fetches := time.Unix(1_800_000_000, 0), "first", 0
	var fail error
	c := &service.Credential{Ref: "env:X", Keep: time.Minute, Now: func() time.Time { return now }, Fetch: func(context.Context, secret.Ref) (secret.Value, error) {
		fetches++
		return secret.New(held), fail
	}}
	get := func(want string, times int) {
		t.Helper()
		if v, err := c.Get(t.Context()); err != nil || v.Reveal() != want || fetches != times {
			t.Errorf("%q after %d fetches, %v; want %q after %d", v.Reveal(), fetches, err, want, times)
		}
	}
	get("first", 1)
	held = "second"
	get("first", 1)
	now = now.Add(time.Hour)
	get("second", 2)
	now, fail = now.Add(time.Hour), errors.New("gone")
	if _, err := c.Get(t.Context()); !errors.Is(err, fail) {
		t.Errorf("%v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v", c, c, c.Ref); strings.Contains(text, "second") {
		t.Errorf("shown: %s", text)
	}
}

// BenchmarkApply changes one set of 100,000 where reading and writing cost nothing.
func BenchmarkApply(b *testing.B) {
	s := &store{}
	for i := range 100_000 {
		s.sets = append(s.sets, set(fmt.Sprintf("host%06d", i), "A", 300, fmt.Sprintf("192.0.2.%d", i%256)))
	}
	j, err := service.OpenJournal(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		desired := slices.Clone(s.sets)
		desired[500] = set(string(desired[500].Name[:10]), "A", 300, fmt.Sprintf("198.51.100.%d", i%256))
		plan := provider.NewPlan(z, desired, service.NewLive(z, slices.Clone(s.sets), s.serial, 0), fmt.Sprint(i), "commit")
		if r, err := s.service(j, time.Unix(1_800_000_000, 0)).Apply(b.Context(), plan); err != nil || !r.Applied {
			b.Fatal(r, err)
		}
	}
}
