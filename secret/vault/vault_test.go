package vault_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"slipway/secret"
	"slipway/secret/vault"
)

const (
	token  = "s.token-of-the-server"
	hidden = "hunter2-hunter2"
)

// server answers as the HTTP API of Vault and OpenBao describes it: key-value engine
// versions 1 and 2, 403 without a good token, 404 for what is not there.
func server(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	answer := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Vault-Token") != token {
				w.WriteHeader(http.StatusForbidden)
				fmt.Fprintf(w, `{"errors":["permission denied for %s"]}`, r.Header.Get("X-Vault-Token"))
				return
			}
			fmt.Fprint(w, body)
		}
	}
	mux.Handle("GET /v1/secret/data/dns", answer(`{"data":{"data":{"key":"`+hidden+`","n":7},"metadata":{"version":2}}}`))
	mux.Handle("GET /v1/kv/dns", answer(`{"data":{"key":"`+hidden+`","data":"x"}}`))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"errors":[]}`)
	})
	s := httptest.NewTLSServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestRead(t *testing.T) {
	s := server(t)
	resolver := func(token string) *secret.Resolver {
		source, err := vault.New(vault.Options{Address: s.URL, Token: secret.New(token), Client: s.Client()})
		if err != nil {
			t.Fatal(err)
		}
		r := secret.NewResolver()
		if err := r.Register(secret.Vault, source); err != nil {
			t.Fatal(err)
		}
		return r
	}
	for ref, want := range map[string]string{
		"/v1/secret/data/dns#key":  "",
		"/v1/kv/dns#key":           "",
		"/v1/kv/dns#none":          `no text field "none"`,
		"/v1/secret/data/dns#n":    `no text field "n"`,
		"/v1/secret/data/none#key": "no secret there",
	} {
		v, err := resolver(token).Resolve(t.Context(), secret.Ref("vault:"+s.URL+ref))
		if want == "" && (err != nil || v.Reveal() != hidden) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", ref, err)
		}
		if err != nil && strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: the error shows the secret: %v", ref, err)
		}
	}
	_, err := resolver("s.wrong-token").Resolve(t.Context(), secret.Ref("vault:"+s.URL+"/v1/kv/dns#key"))
	if err == nil || !strings.Contains(err.Error(), "403") || strings.Contains(err.Error(), "wrong-token") {
		t.Errorf("a wrong token: %v", err)
	}
	// Another host must not be shown the token.
	other := server(t)
	if _, err := resolver(token).Resolve(t.Context(), secret.Ref("vault:"+other.URL+"/v1/kv/dns#key")); err == nil || !strings.Contains(err.Error(), "only") {
		t.Errorf("another address: %v", err)
	}
}

func TestNew(t *testing.T) {
	for _, o := range []vault.Options{
		{Address: "http://vault.example", Token: secret.New(token)},
		{Address: "https://u:p@vault.example", Token: secret.New(token)},
		{Address: "vault.example", Token: secret.New(token)},
		{Address: "https://vault.example"},
	} {
		if _, err := vault.New(o); err == nil || strings.Contains(err.Error(), token) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := vault.New(vault.Options{Address: "http://127.0.0.1:8200", Token: secret.New(token)}); err != nil {
		t.Error(err)
	}
}
