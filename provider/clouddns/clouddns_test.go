package clouddns_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"slipway/provider"
	"slipway/provider/clouddns"
	"slipway/provider/providertest"
	"slipway/provider/service/servicetest"
	"slipway/secret"
)

const attempts = 4

func settings(t *testing.T, f *servicetest.Front) clouddns.Settings {
	return clouddns.Settings{
		Project: "finmicro-dns", Endpoint: f.URL, Client: &http.Client{}, Journal: t.TempDir(), CreateZones: true,
		Attempts: attempts, Sleep: func(context.Context, time.Duration) error { return nil },
	}
}

func open(t *testing.T, s clouddns.Settings) *clouddns.Provider {
	t.Helper()
	p, err := clouddns.New(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newServer() *server { return &server{zones: map[string]*managedZone{}} }

func TestProvider(t *testing.T) {
	providertest.Suite{
		Backend: func(t *testing.T) func() provider.Provider {
			s := settings(t, servicetest.NewFront(t, newServer()))
			return func() provider.Provider { return open(t, s) }
		},
		Lacks: []string{"DNAME", "LOC", "OPENPGPKEY", "URI", "TYPE65280"},
	}.Run(t)
}

func changing(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/changes")
}

func TestService(t *testing.T) {
	servicetest.Run(t, func(t *testing.T) servicetest.Backend {
		f := servicetest.NewFront(t, newServer())
		journal := t.TempDir()
		return servicetest.Backend{
			Front: f, Changes: changing, Attempts: attempts,
			Open: func(t *testing.T, again bool) provider.Provider {
				s := settings(t, f)
				if again {
					s.Journal = journal
				}
				return open(t, s)
			},
			Throttle: func(w http.ResponseWriter) {
				refuse(w, http.StatusForbidden, "rateLimitExceeded", "Quota exceeded for quota metric 'Queries'")
			},
			Deny: func(w http.ResponseWriter) {
				refuse(w, http.StatusForbidden, "forbidden", "Permission 'dns.changes.create' denied")
			},
		}
	})
}

// One of the same name that is not meant must not be touched.
func TestPrivateAndPublic(t *testing.T) {
	f := servicetest.NewFront(t, newServer())
	s := settings(t, f)
	servicetest.Apply(t, open(t, s), "public", servicetest.A("menu", "192.0.2.1"))
	s.Private, s.CreateZones = true, false
	p := open(t, s)
	if live, err := p.Read(t.Context(), servicetest.Z); err != nil || live.Exists {
		t.Errorf("the public zone was taken for the private one: %+v, %v", live, err)
	}
	if _, err := p.Apply(t.Context(), servicetest.Plan(t, p, "x", servicetest.A("menu", "192.0.2.1"))); err == nil || !strings.Contains(err.Error(), "no such managed zone") {
		t.Errorf("a private zone out of nothing: %v", err)
	}
}

func TestUnmanaged(t *testing.T) {
	srv := newServer()
	p := open(t, settings(t, servicetest.NewFront(t, srv)))
	servicetest.Apply(t, p, "first", servicetest.A("menu", "192.0.2.1"))
	ttl := int64(300)
	for _, z := range srv.zones {
		z.sets["geo.finmicro.example. A"] = rrset{Name: "geo.finmicro.example.", Type: "A", TTL: &ttl, RoutingPolicy: json.RawMessage(`{"geo":{"items":[{"location":"europe-west1","rrdatas":["192.0.2.1"]}]}}`)}
	}
	servicetest.Apply(t, p, "second", servicetest.A("menu", "192.0.2.2"))
	kept, err := p.Unmanaged(t.Context(), servicetest.Z)
	if err != nil || len(kept) != 1 || kept[0].Name != "geo.finmicro.example" {
		t.Errorf("%+v, %v", kept, err)
	}
	if _, err := p.Apply(t.Context(), servicetest.Plan(t, p, "over", servicetest.A("menu", "192.0.2.2"), servicetest.A("geo", "192.0.2.2"))); err == nil || !strings.Contains(err.Error(), "does not manage") {
		t.Errorf("a routing policy was replaced: %v", err)
	}
}

// The key file is fetched when a token is needed, and appears in no error.
func TestCredentials(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	srv := newServer()
	allow := true
	f := servicetest.NewFront(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token" && allow:
			answer(w, map[string]any{"access_token": servicetest.Secret, "token_type": "Bearer", "expires_in": 3600})
		case r.URL.Path == "/token":
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`)
		case r.Header.Get("Authorization") != "Bearer "+servicetest.Secret:
			refuse(w, http.StatusUnauthorized, "authError", "Request had invalid authentication credentials.")
		default:
			srv.ServeHTTP(w, r)
		}
	}))
	file, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "slipway@finmicro-dns.iam.gserviceaccount.com", "private_key_id": "1", "private_key": text, "token_uri": f.URL + "/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	s := settings(t, f)
	s.Client, s.Credentials = nil, "env:GOOGLE_KEY"
	held := string(file)
	s.Secrets = func(context.Context, secret.Ref) (secret.Value, error) { return secret.New(held), nil }
	servicetest.Apply(t, open(t, s), "first", servicetest.A("menu", "192.0.2.1"))
	allow = false
	_, refused := open(t, s).Read(t.Context(), servicetest.Z)
	held = `{"type":"external_account","credential_source":{"executable":{"command":"` + servicetest.Secret + `"}}}`
	_, other := open(t, s).Read(t.Context(), servicetest.Z)
	for _, err := range []error{refused, other} {
		if err == nil {
			t.Error("no error")
			continue
		}
		if text := fmt.Sprintf("%v %+v", err, err); strings.Contains(text, servicetest.Secret) || strings.Contains(text, "PRIVATE") || strings.Contains(text, held) {
			t.Errorf("a credential is in %s", text)
		}
	}
}

func TestSettings(t *testing.T) {
	for want, s := range map[string]clouddns.Settings{
		"project":      {Project: "../x"},
		"private zone": {Project: "finmicro-dns", Private: true, CreateZones: true},
		"TTL":          {Project: "finmicro-dns", DefaultTTL: -1},
	} {
		if _, err := clouddns.New(t.Context(), s); err == nil || !strings.Contains(err.Error(), want) {
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
	if tags, err := p.Tags(t.Context(), servicetest.Z); err != nil || tags["owner"] != "web-team" {
		t.Errorf("%v, %v", tags, err)
	}
}
