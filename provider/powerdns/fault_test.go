package powerdns_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"slipway/provider"
	"slipway/provider/powerdns"
	"slipway/provider/providertest/servers"
	"slipway/secret"
	"slipway/zone"
)

func read(t testing.TB, p provider.Provider) *provider.Live {
	t.Helper()
	live, err := p.Read(t.Context(), z)
	if err != nil {
		t.Fatal(err)
	}
	return live
}

func apply(t testing.TB, p provider.Provider, plan provider.Plan) *provider.Receipt {
	t.Helper()
	r, err := p.Apply(t.Context(), plan)
	if err != nil {
		t.Fatalf("apply %s: %v", plan.ChangeID, err)
	}
	return r
}

func host(name, address string) zone.RRSet {
	return zone.RRSet{Name: zone.Name(name) + "." + z, Type: "A", TTL: 300, Values: []string{address}}
}

// wire is an http.RoundTripper that does something at the nth request.
type wire struct {
	at int
	do func(send func() (*http.Response, error)) (*http.Response, error)
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	send := func() (*http.Response, error) { return http.DefaultTransport.RoundTrip(r) }
	if w.at--; w.at == 0 {
		return w.do(send)
	}
	return send()
}

var errBroken = errors.New("the network is broken")

// Whatever request fails, before or after it was done: run again, the change is made once.
func TestBrokenNetwork(t *testing.T) {
	s := servers.StartPowerDNS(t, z)
	healthy := open(t, settings(s, t.TempDir()))
	apply(t, healthy, provider.NewPlan(z, []zone.RRSet{host("a", "192.0.2.1")}, read(t, healthy), "first", "commit"))
	for name, do := range map[string]func(send func() (*http.Response, error)) (*http.Response, error){
		"before": func(func() (*http.Response, error)) (*http.Response, error) { return nil, errBroken },
		"after": func(send func() (*http.Response, error)) (*http.Response, error) {
			if answer, err := send(); err == nil {
				answer.Body.Close()
			}
			return nil, errBroken
		},
		"in the answer": func(send func() (*http.Response, error)) (*http.Response, error) {
			answer, err := send()
			if err == nil {
				answer.Body.Close()
				answer.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), badReader{}))
			}
			return answer, err
		},
	} {
		for at := 1; ; at++ {
			w := &wire{at: at, do: do}
			set := settings(s, t.TempDir())
			set.Client = &http.Client{Transport: w}
			before := read(t, healthy)
			plan := provider.NewPlan(z, []zone.RRSet{host("a", fmt.Sprintf("192.0.2.%d", at)), host(name[:2], "192.0.2.1")}, before, fmt.Sprint(name, at), "commit")
			_, err := open(t, set).Apply(t.Context(), plan)
			if err != nil && !errors.Is(err, errBroken) {
				t.Fatalf("broken %s request %d: %v", name, at, err)
			}
			unbroken := w.at > 0
			w.at = 0
			p := open(t, set)
			r := apply(t, p, plan)
			live := read(t, healthy)
			if !r.Applied || r.Before != before.Digest || r.After != live.Digest || r.Serial != live.Serial || r.Serial != before.Serial+1 {
				t.Errorf("broken %s request %d (%v) and run again: %+v, live %s serial %d", name, at, err, r, live.Digest, live.Serial)
			}
			if again := apply(t, p, plan); !reflect.DeepEqual(again, r) {
				t.Errorf("broken %s request %d, and the third run has another receipt", name, at)
			}
			if unbroken {
				break
			}
		}
	}
}

type badReader struct{}

func (badReader) Read([]byte) (int, error) { return 0, errBroken }

// Somebody changes the zone between the reading and the change.
func TestChangedMeanwhile(t *testing.T) {
	s := servers.StartPowerDNS(t, z)
	other := open(t, settings(s, t.TempDir()))
	apply(t, other, provider.NewPlan(z, []zone.RRSet{host("a", "192.0.2.1")}, read(t, other), "first", "commit"))
	w := &wire{at: 2, do: func(send func() (*http.Response, error)) (*http.Response, error) {
		apply(t, other, provider.NewPlan(z, []zone.RRSet{host("a", "192.0.2.66")}, read(t, other), "other", "commit"))
		return send()
	}}
	set := settings(s, t.TempDir())
	set.Client = &http.Client{Transport: w}
	_, err := open(t, set).Apply(t.Context(), provider.NewPlan(z, []zone.RRSet{host("a", "192.0.2.2")}, read(t, other), "mine", "commit"))
	if !errors.Is(err, provider.ErrDrifted) {
		t.Errorf("a zone that was changed meanwhile: %v", err)
	}
	if live := read(t, other); live.Digest != provider.Digest(live.WithTTLs([]zone.RRSet{host("a", "192.0.2.66")})) {
		t.Error("the other's change was undone")
	}
}

// What Slipway does not manage stays: keys, metadata, comments, disabled records.
func TestLeftAlone(t *testing.T) {
	s := servers.StartPowerDNS(t, z)
	p := open(t, settings(s, t.TempDir()))
	apply(t, p, provider.NewPlan(z, []zone.RRSet{host("a", "192.0.2.1")}, read(t, p), "first", "commit"))
	path := "/zones/" + z.FQDN()
	s.Call("PATCH", path, fmt.Sprintf(`{"rrsets":[{"name":"a.%s","type":"A","ttl":300,"changetype":"REPLACE","records":[{"content":"192.0.2.1","disabled":false},{"content":"192.0.2.99","disabled":true}],
		"comments":[{"content":"ask Ana","account":"ana"}]},{"name":"l.%s","type":"LUA","ttl":60,"changetype":"REPLACE","records":[{"content":"A \"ifportup(443, {'192.0.2.1'})\"","disabled":false}]}]}`, z.FQDN(), z.FQDN()))
	s.Call("PUT", path, `{"dnssec":true}`)
	s.Call("POST", path+"/metadata", `{"kind":"ALSO-NOTIFY","metadata":["192.0.2.53"]}`)
	live := read(t, p)
	var lua *zone.RRSet
	for _, set := range live.Sets {
		switch set.Type {
		case "PowerDNS/LUA":
			lua = &set
		case "DNSKEY", "RRSIG", "NSEC":
			t.Errorf("%s is taken for somebody's", set.Type)
		}
	}
	if lua == nil {
		t.Fatalf("what only PowerDNS knows is not seen: %+v", live.Sets)
	}
	// A change of one set keeps the rest, and what is disabled in it.
	apply(t, p, provider.NewPlan(z, []zone.RRSet{host("a", "192.0.2.2"), *lua}, live, "second", "commit"))
	got := s.Get(path)
	for _, want := range []string{`"content": "192.0.2.99", "disabled": true`, `"ask Ana"`, `"dnssec": true`, `192.0.2.2`, `ifportup`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is gone:\n%s", want, got)
		}
	}
	if meta := s.Get(path + "/metadata"); !strings.Contains(meta, "192.0.2.53") {
		t.Errorf("metadata is gone:\n%s", meta)
	}
	// Deleting a set deletes what is served of it.
	apply(t, p, provider.NewPlan(z, nil, read(t, p), "third", "commit"))
	if got := s.Get(path); !strings.Contains(got, "192.0.2.99") || strings.Contains(got, "192.0.2.2\"") || strings.Contains(got, "ifportup") {
		t.Errorf("after deleting:\n%s", got)
	}
}

func TestRefusals(t *testing.T) {
	const key = "hunter2-hunter2"
	s := servers.StartPowerDNS(t, z)
	var log bytes.Buffer
	// An API that redirects, and one that repeats the key in its answer.
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("redirected, with key %q", r.Header.Get("X-API-Key"))
	}))
	defer elsewhere.Close()
	redirects := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer redirects.Close()
	chatty := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, `{"error":"no luck with %s"}`, r.Header.Get("X-API-Key"))
	}))
	defer chatty.Close()
	for url, want := range map[string]string{s.URL: "refuses the API key", redirects.URL: "redirects", chatty.URL: "no luck with [secret]", "http://127.0.0.1:1": "connect"} {
		set := powerdns.Settings{URL: url, APIKey: secret.New(key), DNS: "127.0.0.1"}
		_, err := open(t, set).Read(t.Context(), z)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
		fmt.Fprintf(&log, "%v %+v %#v\n", err, set, set)
		slog.New(slog.NewTextHandler(&log, nil)).Error("refused", "error", err, "settings", set)
	}
	for _, bad := range []powerdns.Settings{
		{}, {URL: "https://dns.example"}, {URL: "https://dns.example", APIKey: secret.New(key)},
		{URL: "https://u:p@dns.example", APIKey: secret.New(key), DNS: "x"}, {URL: "ftp://dns.example", APIKey: secret.New(key), DNS: "x"},
		{URL: "http://dns.example", APIKey: secret.New(key), DNS: "x"}, {URL: "https://dns.example", APIKey: secret.New(key), DNS: "x", Kind: "slave"},
		{URL: "https://dns.example", APIKey: secret.New(key), DNS: "x", DefaultTTL: -1},
	} {
		_, err := powerdns.New(t.Context(), bad)
		if err == nil {
			t.Errorf("%+v was taken", bad)
		}
		fmt.Fprintln(&log, err)
	}
	if strings.Contains(log.String(), key) {
		t.Errorf("the key is shown in\n%s", log.String())
	}
}
