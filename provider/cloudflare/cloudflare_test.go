package cloudflare_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"slipway/provider"
	"slipway/provider/cloudflare"
	"slipway/provider/providertest"
	"slipway/provider/service/servicetest"
	"slipway/secret"
	"slipway/zone"
)

const attempts = 4

func settings(t *testing.T, f *servicetest.Front) cloudflare.Settings {
	return cloudflare.Settings{
		Token:    "env:CLOUDFLARE_TOKEN",
		Secrets:  func(context.Context, secret.Ref) (secret.Value, error) { return secret.New(servicetest.Secret), nil },
		Endpoint: f.URL, Journal: t.TempDir(), Attempts: attempts,
		Sleep: func(context.Context, time.Duration) error { return nil },
	}
}

func open(t *testing.T, s cloudflare.Settings) *cloudflare.Provider {
	t.Helper()
	p, err := cloudflare.New(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newServer() *server {
	return &server{token: servicetest.Secret, zones: map[string]string{}, records: map[string]map[string]map[string]any{}}
}

func TestProvider(t *testing.T) {
	var srv *server
	providertest.Suite{
		Backend: func(t *testing.T) func() provider.Provider {
			srv = newServer()
			s := settings(t, servicetest.NewFront(t, srv))
			return func() provider.Provider { return open(t, s) }
		},
		Prepare: func(_ *testing.T, z zone.Name) bool {
			if strings.ContainsAny(string(z), `\/`) {
				return false
			}
			srv.zone(string(z))
			return true
		},
		Lacks:  []string{"DNAME", "SPF", "TYPE65280"},
		Holds:  func(n zone.Name) bool { return !strings.ContainsAny(string(n), `\$/`) },
		MinTTL: 30,
	}.Run(t)
}

func backend(t *testing.T) (*server, *servicetest.Front) {
	srv := newServer()
	srv.zone(string(servicetest.Z))
	return srv, servicetest.NewFront(t, srv)
}

func TestService(t *testing.T) {
	servicetest.Run(t, func(t *testing.T) servicetest.Backend {
		_, f := backend(t)
		journal := t.TempDir()
		return servicetest.Backend{
			Front: f, Attempts: attempts,
			Changes: func(r *http.Request) bool { return r.Method == http.MethodPost },
			Open: func(t *testing.T, again bool) provider.Provider {
				s := settings(t, f)
				if again {
					s.Journal = journal
				}
				return open(t, s)
			},
			Throttle: func(w http.ResponseWriter) {
				w.Header().Set("Retry-After", "240")
				refuse(w, http.StatusTooManyRequests, 971, "Please wait and consider throttling your request speed")
			},
			Deny: func(w http.ResponseWriter) { refuse(w, http.StatusForbidden, 10000, "Authentication error") },
		}
	})
}

const (
	proxied = `{"octodns":{"cloudflare":{"proxied":true}}}`
	auto    = `{"octodns":{"cloudflare":{"auto-ttl":true}}}`
)

// What octoDNS writes beside a record comes back as it was, and a change of it keeps what
// people wrote beside the record at Cloudflare.
func TestExtras(t *testing.T) {
	srv, f := backend(t)
	p := open(t, settings(t, f))
	shop := servicetest.A("shop", "192.0.2.1")
	shop.Extra = proxied
	alias := zone.RRSet{Name: servicetest.Z, Type: "ALIAS", TTL: 300, Values: []string{"edge.example.net."}, Extra: auto}
	servicetest.Apply(t, p, "first", shop, alias)
	if again := servicetest.Plan(t, p, "again", shop, alias); len(again.Edits) != 0 {
		t.Fatalf("not as they were: %+v", again.Edits)
	}
	id := srv.zone(string(servicetest.Z))
	for _, r := range srv.records[id] {
		r["comment"] = "asked for by Ana"
	}
	shop.Extra, shop.TTL = "", 600
	servicetest.Apply(t, p, "second", shop, alias)
	for _, r := range srv.records[id] {
		if r["comment"] != "asked for by Ana" {
			t.Errorf("a comment is gone: %v", r)
		}
	}
	// Half of a set proxied by hand is drift, and mended.
	both := servicetest.A("shop", "192.0.2.1", "192.0.2.2")
	servicetest.Apply(t, p, "third", both)
	for _, r := range srv.records[id] {
		if r["content"] == "192.0.2.2" {
			r["proxied"], r["ttl"] = true, 1
		}
	}
	plan := servicetest.Plan(t, p, "mend", both)
	if len(plan.Edits) != 1 {
		t.Errorf("half of a set was proxied by hand, and the plan is %+v", plan.Edits)
	}
	if r, err := p.Apply(t.Context(), plan); err != nil || !r.Applied {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRefusals(t *testing.T) {
	_, f := backend(t)
	p := open(t, settings(t, f))
	geo := servicetest.A("geo", "192.0.2.1")
	geo.Extra = `{"dynamic":{}}`
	mail := zone.RRSet{Name: "mail." + servicetest.Z, Type: "TXT", TTL: 300, Values: []string{`"x"`}, Extra: proxied}
	short := servicetest.A("short", "192.0.2.1")
	short.TTL = 5
	fast := servicetest.A("fast", "192.0.2.1")
	fast.TTL, fast.Extra = 60, proxied
	for want, set := range map[string]zone.RRSet{
		"beside ttl":         geo,
		"can be proxied":     mail,
		"TTL of 5":           short,
		"sets the TTL":       fast,
		"write ALIAS":        {Name: servicetest.Z, Type: "CNAME", TTL: 300, Values: []string{"x.example.net."}},
		"has CNAME for this": {Name: "x." + servicetest.Z, Type: "ALIAS", TTL: 300, Values: []string{"x.example.net."}},
		"cannot be had at":   {Name: "x." + servicetest.Z, Type: "DNAME", TTL: 300, Values: []string{"x.example.net."}},
	} {
		if _, err := p.Apply(t.Context(), servicetest.Plan(t, p, "x", set)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	srv := newServer()
	p = open(t, settings(t, servicetest.NewFront(t, srv)))
	if _, err := p.Apply(t.Context(), servicetest.Plan(t, p, "x", servicetest.A("a", "192.0.2.1"))); err == nil || !strings.Contains(err.Error(), "no such zone") {
		t.Errorf("a zone that is not there: %v", err)
	}
}
