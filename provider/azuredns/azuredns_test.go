package azuredns_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"slipway/provider"
	"slipway/provider/azuredns"
	"slipway/provider/providertest"
	"slipway/provider/service/servicetest"
	"slipway/zone"
)

const attempts = 4

// token is a credential that needs no directory.
type token struct{}

func (token) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: servicetest.Secret, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// plain sends over HTTP what the SDK insists on sending over HTTPS.
type plain struct{}

func (plain) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme = "http"
	return http.DefaultTransport.RoundTrip(r)
}

func settings(t *testing.T, f *servicetest.Front) azuredns.Settings {
	return azuredns.Settings{
		Subscription: "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", ResourceGroup: "dns-prod", Credential: token{},
		Endpoint: strings.Replace(f.URL, "http://", "https://", 1), Client: &http.Client{Transport: plain{}},
		Journal: t.TempDir(), CreateZones: true, Attempts: attempts, Backoff: time.Millisecond,
	}
}

func open(t *testing.T, s azuredns.Settings) *azuredns.Provider {
	t.Helper()
	p, err := azuredns.New(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newServer() *server { return &server{zones: map[string]map[string]recordSet{}} }

func TestProvider(t *testing.T) {
	providertest.Suite{
		Backend: func(t *testing.T) func() provider.Provider {
			s := settings(t, servicetest.NewFront(t, newServer()))
			return func() provider.Provider { return open(t, s) }
		},
		Prepare: func(_ *testing.T, z zone.Name) bool {
			return !strings.ContainsAny(string(z), `\/`) && strings.Contains(string(z), ".")
		},
		Lacks: []string{"DNAME", "DS", "HTTPS", "LOC", "NAPTR", "OPENPGPKEY", "SPF", "SSHFP", "SVCB", "TLSA", "TYPE65280", "URI"},
		Holds: func(n zone.Name) bool { return !strings.ContainsAny(string(n), `\$/`) },
		Texts: func(s string) bool {
			return len(s) <= 4096 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
		},
		MinTTL: 1,
	}.Run(t)
}

func TestService(t *testing.T) {
	servicetest.Run(t, func(t *testing.T) servicetest.Backend {
		f := servicetest.NewFront(t, newServer())
		journal := t.TempDir()
		return servicetest.Backend{
			Front: f, Attempts: attempts,
			Changes: func(r *http.Request) bool { return r.Method == http.MethodPut || r.Method == http.MethodDelete },
			Open: func(t *testing.T, again bool) provider.Provider {
				s := settings(t, f)
				if again {
					s.Journal = journal
				}
				return open(t, s)
			},
			Throttle: func(w http.ResponseWriter) {
				w.Header().Set("X-Ms-Retry-After-Ms", "1")
				refuse(w, http.StatusTooManyRequests, "TooManyRequests", "The request was throttled.")
			},
			Deny: func(w http.ResponseWriter) {
				refuse(w, http.StatusForbidden, "AuthorizationFailed", "The client does not have authorization to perform action 'Microsoft.Network/dnsZones/A/write'")
			},
		}
	})
}

// An apply that stopped between two record sets goes on with the rest, and no other does.
func TestStoppedHalfWay(t *testing.T) {
	f := servicetest.NewFront(t, newServer())
	s := settings(t, f)
	p := open(t, s)
	servicetest.Apply(t, p, "first", servicetest.A("menu", "192.0.2.1"), servicetest.A("old", "192.0.2.2"))
	left := 1
	f.Break(func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if r.Method == http.MethodGet || left > 0 {
			if r.Method != http.MethodGet {
				left--
			}
			return false
		}
		refuse(w, http.StatusForbidden, "AuthorizationFailed", "no more")
		return true
	})
	plan := servicetest.Plan(t, p, "second", servicetest.A("menu", "192.0.2.9"), servicetest.A("new", "192.0.2.3"))
	if _, err := p.Apply(t.Context(), plan); err == nil || !strings.Contains(err.Error(), "Run the same change again") {
		t.Fatalf("stopped half-way: %v", err)
	}
	// What was done is the addition: the old names still answer as before.
	if live, err := p.Read(t.Context(), servicetest.Z); err != nil || len(live.Sets) != 4 {
		t.Errorf("half-way: %+v, %v", live, err)
	}
	f.Break(nil)
	r, err := open(t, s).Apply(t.Context(), plan)
	if err != nil || !r.Applied || r.Before != plan.Expect {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestUnmanaged(t *testing.T) {
	srv := newServer()
	p := open(t, settings(t, servicetest.NewFront(t, srv)))
	servicetest.Apply(t, p, "first", servicetest.A("menu", "192.0.2.1"))
	z := srv.zones[string(servicetest.Z)]
	srv.put(z, string(servicetest.Z), "shop", "A", map[string]any{"TTL": 60, "targetResource": map[string]string{"id": "/subscriptions/x/providers/Microsoft.Cdn/profiles/shop"}})
	menu := z["menu A"]
	menu.Properties["metadata"] = map[string]string{"owner": "ops"}
	servicetest.Apply(t, p, "second", servicetest.A("menu", "192.0.2.2"))
	if kept := z["menu A"].Properties["metadata"]; kept == nil {
		t.Error("metadata of a record set is gone")
	}
	kept, err := p.Unmanaged(t.Context(), servicetest.Z)
	if err != nil || len(kept) != 1 || kept[0].Name != "shop.finmicro.example" {
		t.Errorf("%+v, %v", kept, err)
	}
	if _, err := p.Apply(t.Context(), servicetest.Plan(t, p, "over", servicetest.A("menu", "192.0.2.2"), servicetest.A("shop", "192.0.2.2"))); err == nil || !strings.Contains(err.Error(), "does not manage") {
		t.Errorf("an alias was replaced: %v", err)
	}
}

func TestSettings(t *testing.T) {
	good := azuredns.Settings{Subscription: "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", ResourceGroup: "dns-prod"}
	for want, change := range map[string]func(*azuredns.Settings){
		"subscription":   func(s *azuredns.Settings) { s.Subscription = "x/../y" },
		"resource group": func(s *azuredns.Settings) { s.ResourceGroup = "a/b" },
		"go together":    func(s *azuredns.Settings) { s.ClientID = "x" },
		"TTL":            func(s *azuredns.Settings) { s.DefaultTTL = -1 },
	} {
		s := good
		change(&s)
		if _, err := azuredns.New(t.Context(), s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestTags(t *testing.T) {
	p := open(t, settings(t, servicetest.NewFront(t, newServer())))
	servicetest.Apply(t, p, "first", servicetest.A("menu", "192.0.2.1"))
	if names, err := p.Zones(t.Context()); err != nil || len(names) != 1 || names[0] != servicetest.Z {
		t.Errorf("%v, %v", names, err)
	}
	if tags, err := p.Tags(t.Context(), servicetest.Z); err != nil || tags["Owner"] != "web-team" {
		t.Errorf("%v, %v", tags, err)
	}
}
