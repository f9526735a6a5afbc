package libdns_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/provider"
	"slipway/provider/libdns"
	"slipway/provider/service/servicetest"
	"slipway/secret"
	"slipway/zone"
)

// deSEC is the API of deSEC as its documentation has it, as far as its libdns package
// uses it.
type deSEC struct {
	mu   sync.Mutex // held for one request
	sets map[string]rrset
	fail int // answer so many requests with an error
}

type rrset struct {
	Domain  string   `json:"domain"`
	Subname string   `json:"subname"`
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Records []string `json:"records"`
	TTL     int      `json:"ttl"`
}

func (d *deSEC) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	path, ok := strings.CutPrefix(r.URL.Path, "/api/v1/domains/finmicro.example/rrsets/")
	switch {
	case r.Header.Get("Authorization") != "Token "+token:
		reply(w, http.StatusUnauthorized, map[string]string{"detail": "Invalid token."})
	case !ok:
		reply(w, http.StatusNotFound, map[string]string{"detail": "Not found."})
	case d.fail > 0:
		d.fail--
		// What a careless server may do: give back what it was sent.
		reply(w, http.StatusBadRequest, map[string]string{"detail": "cannot do that with " + r.Header.Get("Authorization")})
	case path == "" && r.Method == http.MethodGet:
		all := []rrset{}
		for _, s := range d.sets {
			all = append(all, s)
		}
		slices.SortFunc(all, func(a, b rrset) int { return strings.Compare(a.Subname+a.Type, b.Subname+b.Type) })
		reply(w, http.StatusOK, all)
	case path == "" && (r.Method == http.MethodPut || r.Method == http.MethodPatch):
		var in []rrset
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			reply(w, http.StatusBadRequest, map[string]string{"detail": err.Error()})
			return
		}
		for _, s := range in {
			if len(s.Records) == 0 {
				delete(d.sets, s.Subname+" "+s.Type)
				continue
			}
			d.sets[s.Subname+" "+s.Type] = s
		}
		reply(w, http.StatusOK, in)
	case r.Method == http.MethodGet:
		sub, typ, _ := strings.Cut(strings.TrimSuffix(path, "/"), "/")
		if sub == "@" {
			sub = ""
		}
		s, there := d.sets[sub+" "+typ]
		if !there {
			reply(w, http.StatusNotFound, map[string]string{"detail": "Not found."})
			return
		}
		reply(w, http.StatusOK, s)
	default:
		reply(w, http.StatusMethodNotAllowed, nil)
	}
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// detour sends requests for one host to another.
type detour struct{ host, to string }

func (d detour) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != d.host {
		return &http.Response{StatusCode: http.StatusBadGateway, Body: io.NopCloser(strings.NewReader("no such host in this test")), Request: r}, nil
	}
	to, err := url.Parse(d.to)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = to.Scheme, to.Host
	return http.DefaultTransport.RoundTrip(r)
}

// The libdns package for deSEC itself, against that API.
func TestDeSEC(t *testing.T) {
	srv := &deSEC{sets: map[string]rrset{" NS": {Type: "NS", TTL: 3600, Records: []string{"ns1.desec.io.", "ns2.desec.org."}}}}
	at := httptest.NewServer(srv)
	defer at.Close()
	// The package has no other way in.
	was := http.DefaultClient.Transport
	http.DefaultClient.Transport = detour{host: "desec.io", to: at.URL}
	defer func() { http.DefaultClient.Transport = was }()

	s := libdns.Settings{
		Service: "desec", Refs: map[string]secret.Ref{"token": "env:DESEC_TOKEN"}, Journal: t.TempDir(), Settle: []time.Duration{},
		Secrets: func(context.Context, secret.Ref) (secret.Value, error) { return secret.New(token), nil },
		Sleep:   func(context.Context, time.Duration) error { return nil },
	}
	p, err := libdns.New(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	set := func(host, typ string, values ...string) zone.RRSet {
		t.Helper()
		r, err := zone.NewRRSet(zone.Name(host)+"."+servicetest.Z, typ, 3600, values)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for i, desired := range [][]zone.RRSet{
		{set("menu", "A", "192.0.2.1"), set("menu", "TXT", `say "hi" \ there`), set("mail", "MX", "10 mx.example.net.")},
		{set("menu", "A", "192.0.2.1", "192.0.2.2"), set("mail", "MX", "20 mx.example.net."), set("caa", "CAA", `0 issue "letsencrypt.org"`)},
		{set("menu", "CNAME", "host.example.net."), set("svc", "HTTPS", `1 . alpn="h2,h3"`), set("_sip._tcp", "SRV", "10 60 5060 sip.example.net.")},
	} {
		plan := servicetest.Plan(t, p, "change", desired...)
		r, err := p.Apply(t.Context(), plan)
		if err != nil || !r.Applied {
			t.Fatalf("step %d: %+v, %v", i, r, err)
		}
		if left := servicetest.Plan(t, p, "look", desired...); len(left.Edits) != 0 {
			t.Errorf("step %d: %+v is not as asked for", i, left.Edits)
		}
	}
	if _, err := p.Apply(t.Context(), servicetest.Plan(t, p, "short", servicetest.A("menu", "192.0.2.1"))); err == nil || !strings.Contains(err.Error(), "3600") {
		t.Errorf("a TTL that deSEC would raise unasked: %v", err)
	}
	plan := servicetest.Plan(t, p, "leak", set("menu", "A", "192.0.2.7"))
	srv.mu.Lock()
	srv.fail = 3
	srv.mu.Unlock()
	if _, err := p.Apply(t.Context(), plan); err == nil || strings.Contains(err.Error(), token) || !strings.Contains(err.Error(), secret.Mask) {
		t.Errorf("the error of a server that tells secrets: %v", err)
	}
	srv.mu.Lock()
	srv.fail = 0
	srv.mu.Unlock()
	var receipt *provider.Receipt
	if receipt, err = p.Apply(t.Context(), plan); err != nil || !receipt.Applied {
		t.Errorf("%+v, %v", receipt, err)
	}
}
