package secret_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"slipway/secret"
)

const hidden = "hunter2-hunter2"

func TestValueIsNeverShown(t *testing.T) {
	v := secret.New(hidden)
	type holder struct {
		Name  string
		Key   secret.Value
		inner secret.Value
		p     *secret.Value
		m     map[string]secret.Value
	}
	h := holder{"x", v, v, &v, map[string]secret.Value{"k": v}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p"} {
		fmt.Fprintf(&out, verb+"\n", v)
		fmt.Fprintf(&out, verb+"\n", &v)
		fmt.Fprintf(&out, verb+"\n", h)
		fmt.Fprintf(&out, verb+"\n", []secret.Value{v})
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("x", "v", v, "p", &v, "h", h, "list", []secret.Value{v})
	}
	for _, x := range []any{v, &v, h, map[string]any{"v": v}} {
		raw, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(raw)
	}
	if text, err := v.MarshalText(); err != nil || string(text) != secret.Mask {
		t.Errorf("as text: %q, %v", text, err)
	}
	fmt.Fprintln(&out, fmt.Errorf("no: %w", fmt.Errorf("%v", v)), fmt.Sprint(v), v.String(), v.GoString())
	for _, form := range []string{hidden, fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden), fmt.Sprint([]byte(hidden))} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the value is shown as %q in\n%s", form, out.String())
		}
	}
	if v.Reveal() != hidden || v.Empty() || !(secret.Value{}).Empty() || (secret.Value{}).Reveal() != "" {
		t.Error("a value is not what it was made from")
	}
}

func TestParse(t *testing.T) {
	for text, good := range map[string]bool{
		"env:POWERDNS_API_KEY":                                true,
		"file:/run/secrets/powerdns":                          true,
		"file:/with space/key":                                true,
		"vault:https://vault.example/v1/secret/data/dns#key":  true,
		"vault:https://vault.example:8200/v1/kv/a/b#key":      true,
		"aws-secret:arn:aws:secretsmanager:eu-1:1:secret:dns": true,
		"gcp-secret:projects/p/secrets/s/versions/1":          true,
		"azure-secret:https://x.vault.azure.net/secrets/dns":  true,
		"":                           false,
		"hunter2":                    false,
		"ENV:NAME":                   false,
		"env:":                       false,
		"env:1NAME":                  false,
		"env:NAME=value":             false,
		"env:SLIPWAY_KEY_PASSPHRASE": false,
		"env:Slipway_key":            false,
		"file:relative":              false,
		"file:/a/../b":               false,
		"file:/a\nb":                 false,
		"vault:https://vault.example/v1/secret/data/dns":        false,
		"vault:https://vault.example/secret/data/dns#key":       false,
		"vault:https://user:pw@vault.example/v1/secret/dns#key": false,
		"vault:ftp://vault.example/v1/secret/dns#key":           false,
		"vault:https://vault.example/v1/a/../b#key":             false,
		"vault:https://vault.example/v1/a?b#key":                false,
		"http://vault.example":                                  false,
		"env:" + strings.Repeat("A", 3000):                      false,
	} {
		ref, err := secret.Parse(text)
		if (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil && (string(ref) != text || ref.Scheme()+":"+ref.Rest() != text) {
			t.Errorf("%q becomes %q", text, ref)
		}
		if err != nil && ref != "" {
			t.Errorf("%q is refused and returned", text)
		}
	}
	if _, err := secret.Parse(hidden); !errors.Is(err, secret.ErrLiteral) {
		t.Errorf("a literal: %v", err)
	}
}

// Whatever is taken for a reference, an error does not repeat it.
func FuzzParse(f *testing.F) {
	f.Add("env:NAME")
	f.Add("file:/run/x")
	f.Add("vault:https://vault.example/v1/secret/data/dns#key")
	f.Add("vault:https://u:p@h/v1/x#y")
	f.Add("azure-secret:https://%zz")
	f.Fuzz(func(t *testing.T, text string) {
		ref, err := secret.Parse(text)
		if err != nil {
			if _, rest, _ := strings.Cut(text, ":"); len(rest) > 30 && strings.Contains(err.Error(), rest) {
				t.Errorf("the error repeats the text: %v", err)
			}
			return
		}
		if ref.Scheme() == secret.Vault {
			if at, err := ref.Locate(); err != nil || strings.Contains(at.Path, "..") && strings.HasPrefix(at.Path, "..") {
				t.Errorf("%q: %+v, %v", text, at, err)
			}
		}
	})
}

func TestNamesSecret(t *testing.T) {
	for key, want := range map[string]bool{
		"api-key": true, "API_KEY": true, "tsig-secret": true, "secret": true, "password": true, "cloudflare-api-token": true, "token": true, "access_key": true,
		"private-key": true, "credentials": true, "key": false, "tsig-key": false, "secretary": false, "server": false, "key-name": false, "nosecret": false, "": false,
	} {
		if secret.NamesSecret(key) != want {
			t.Errorf("%q: %v", key, !want)
		}
	}
}

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return "file:" + path
	}
	t.Setenv("TEST_DNS_KEY", hidden)
	t.Setenv("TEST_EMPTY", "")
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for ref, good := range map[string]bool{
		"env:TEST_DNS_KEY":                                   true,
		"env:TEST_EMPTY":                                     false,
		"env:TEST_ABSENT":                                    false,
		write("a", hidden, 0o600):                            true,
		write("b", hidden+"\n", 0o400):                       true,
		write("c", hidden+"\r\n", 0o640):                     true,
		write("d", hidden, 0o644):                            false,
		write("e", hidden, 0o620):                            false,
		write("f", "\n", 0o600):                              false,
		write("g", strings.Repeat("x", 70000), 0o600):        false,
		"file:" + dir:                                        false,
		"file:" + filepath.Join(dir, "none"):                 false,
		"file:" + pipe:                                       false,
		"vault:https://vault.example/v1/secret/data/dns#key": false,
		hidden: false,
	} {
		v, err := secret.Resolve(t.Context(), secret.Ref(ref))
		if (err == nil) != good || good && v.Reveal() != hidden {
			t.Errorf("%s: %v", ref, err)
		}
		if err != nil && (strings.Contains(err.Error(), hidden) || strings.Contains(err.Error(), "xxxx")) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := secret.Resolve(ctx, "env:TEST_DNS_KEY"); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func TestRegister(t *testing.T) {
	r := secret.NewResolver()
	source := func(_ context.Context, ref secret.Ref) (secret.Value, error) {
		return secret.New("of " + ref.Rest()), nil
	}
	if err := r.Register(secret.AWS, source); err != nil {
		t.Fatal(err)
	}
	if v, err := r.Resolve(t.Context(), "aws-secret:dns"); err != nil || v.Reveal() != "of dns" {
		t.Errorf("%q, %v", v.Reveal(), err)
	}
	if r.Register(secret.AWS, source) == nil || r.Register(secret.Env, source) == nil || r.Register("nosuch", source) == nil {
		t.Error("a scheme was registered that must not be")
	}
}
