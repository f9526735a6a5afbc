package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"slipway/internal/peer"
	"slipway/key"
	"slipway/key/keytest"
	"slipway/secret"
)

// server is a real Vault (testdata/vaultd), with the transit engine mounted.
func server(t testing.TB) Options {
	t.Helper()
	cmd := exec.Command(peer.Find(t, "slipway-vaultd"))
	var log bytes.Buffer
	cmd.Stderr = &log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close() // it ends
		if err := cmd.Wait(); err != nil {
			t.Errorf("vaultd: %v\n%s", err, log.Bytes())
		}
	})
	var at struct{ Address, Token string }
	if err := json.NewDecoder(stdout).Decode(&at); err != nil {
		t.Fatalf("vaultd: %v\n%s", err, log.Bytes())
	}
	o := Options{Address: at.Address, Mount: "transit", Token: fixed(at.Token)}
	root := open(t, Options{Address: at.Address, Mount: "sys", Token: o.Token})
	ask(t, root, "mounts/transit", map[string]any{"type": "transit"})
	return o
}

func fixed(token string) func(context.Context) (secret.Value, error) {
	return func(context.Context) (secret.Value, error) { return secret.New(token), nil }
}

func open(t testing.TB, o Options) *Manager {
	t.Helper()
	m, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func ask(t testing.TB, m *Manager, path string, body map[string]any) {
	t.Helper()
	if _, err := m.client.write(t.Context(), path, body); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestVault(t *testing.T) {
	o := server(t)
	keytest.Run(t, keytest.Store{
		Open:  func(t testing.TB) key.Manager { return open(t, o) },
		Kinds: key.Kinds(),
	})
}

func TestKeysThatCanLeaveAreRefused(t *testing.T) {
	m := open(t, server(t))
	for name, tt := range map[string]struct {
		path string
		body map[string]any
		want string
	}{
		"exportable": {"keys/exportable", map[string]any{"type": "ecdsa-p256", "exportable": true}, "exportable"},
		"backup":     {"keys/backup", map[string]any{"type": "ecdsa-p256", "allow_plaintext_backup": true}, "exportable"},
		"derived":    {"keys/derived", map[string]any{"type": "ed25519", "derived": true}, "derived"},
		"encrypts":   {"keys/encrypts", map[string]any{"type": "aes256-gcm96"}, "signing key"},
	} {
		ask(t, m, tt.path, tt.body)
		if _, _, err := m.Create(t.Context(), name, key.ECDSAP256); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Create: got %v, want %q in it", name, err, tt.want)
		}
	}
	// One that was in order when it was made, and is not any more.
	ref, _, err := m.Create(t.Context(), "turned", key.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	ask(t, m, "keys/turned/config", map[string]any{"exportable": true})
	if _, err := m.Signer(t.Context(), ref); err == nil || !strings.Contains(err.Error(), "exportable") {
		t.Errorf("Signer: got %v", err)
	}
}

// Somebody rotates a key in the vault: the certificate goes on with the version that it
// was issued for.
func TestAVersionStays(t *testing.T) {
	m := open(t, server(t))
	ref, first, err := m.Create(t.Context(), "app", key.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	ask(t, m, "keys/app/rotate", nil)
	again, second, err := m.Create(t.Context(), "app", key.ECDSAP256)
	if err != nil || again != ref {
		t.Fatalf("Create returned %q (%v), not %q", again, err, ref)
	}
	third, err := m.Signer(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if a, b, c := keytest.Certificate(t, first, "a").Leaf, keytest.Certificate(t, second, "a").Leaf, keytest.Certificate(t, third, "a").Leaf; !bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo) || !bytes.Equal(a.RawSubjectPublicKeyInfo, c.RawSubjectPublicKeyInfo) {
		t.Error("the key changed")
	}
}

// A token that ran out is fetched again from where it is kept.
func TestTheTokenIsFetchedAgain(t *testing.T) {
	o := server(t)
	good, err := o.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	current := secret.New("hvs.ran-out")
	o.Token = func(context.Context) (secret.Value, error) { return current, nil }
	m := open(t, o)
	if _, _, err := m.Create(t.Context(), "app", key.ECDSAP256); err == nil || !strings.Contains(err.Error(), "403") || strings.Contains(err.Error(), "ran-out") {
		t.Errorf("with a token that ran out: got %v", err)
	}
	current = good
	if _, _, err := m.Create(t.Context(), "app", key.ECDSAP256); err != nil {
		t.Error(err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "hvs.of-another-program")
	t.Setenv("BAO_TOKEN", "hvs.of-another-program")
	for name, tt := range map[string]struct {
		o    Options
		want string
	}{
		"no address":     {Options{Mount: "transit", Token: fixed("t")}, "https://"},
		"plain":          {Options{Address: "http://vault.example", Mount: "transit", Token: fixed("t")}, "a token is sent there"},
		"a user":         {Options{Address: "https://u:p@vault.example", Mount: "transit", Token: fixed("t")}, "https://host:port"},
		"no mount":       {Options{Address: "https://vault.example", Token: fixed("t")}, "transit"},
		"mount upwards":  {Options{Address: "https://vault.example", Mount: "../sys", Token: fixed("t")}, "mounted"},
		"no token":       {Options{Address: "https://vault.example", Mount: "transit"}, "no token"},
		"token not kept": {Options{Address: "https://vault.example", Mount: "transit", Token: func(context.Context) (secret.Value, error) { return secret.Value{}, fs.ErrNotExist }}, "token"},
	} {
		if _, err := Open(t.Context(), tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, tt.want)
		}
	}
}

// What a server that is none, or a hostile one, answers.
func TestOddAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"no JSON":              "<html>",
		"nothing":              "",
		"no data":              "{}",
		"no versions":          `{"data":{"keys":{}}}`,
		"odd version":          `{"data":{"keys":{"one":{"public_key":""}}}}`,
		"no key":               `{"data":{"keys":{"1":{"public_key":"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----"}}}}`,
		"longer than expected": `{"data":"` + strings.Repeat("a", maxAnswer) + `"}`,
		"a redirect":           "redirect",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if answer == "redirect" {
				http.Redirect(w, r, "http://elsewhere.invalid/", http.StatusTemporaryRedirect)
				return
			}
			w.Write([]byte(answer))
		}))
		m := open(t, Options{Address: server.URL, Mount: "transit", Token: fixed("t")})
		if _, _, err := m.Create(t.Context(), "app", key.ECDSAP256); err == nil {
			t.Errorf("%s: made a key", name)
		}
		if _, err := m.Signer(t.Context(), "vault:transit/app?pin=x"); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: Signer: got %v", name, err)
		}
		server.Close()
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte(`{"type":"ed25519","keys":{"1":{"public_key":"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}},"exportable":false}`))
	f.Add([]byte(`{"keys":{"1":1700000000}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if k, err := parseKey(data); err == nil && len(k.versions()) == 0 {
			t.Error("a key without a version was accepted")
		}
	})
}

func BenchmarkVault(b *testing.B) {
	keytest.Bench(b, open(b, server(b)), key.ECDSAP256, key.RSA2048)
}
