package kms

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/key"
	"slipway/key/keytest"
	"slipway/secret"
)

// reopen makes a key, closes the store, and uses the key by its ref.
func reopen(t *testing.T, uri string, o Options) {
	t.Helper()
	m, closer, err := Open(t.Context(), uri, o)
	if err != nil {
		t.Fatal(err)
	}
	ref, _, err := m.Create(t.Context(), "app", key.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	if err := closer.Close(); err != nil {
		t.Error(err)
	}
	m, closer, err = Open(t.Context(), uri, o)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	signer, err := m.Signer(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	keytest.Certificate(t, signer, "expenses.apps.finmicro.example")
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("KEYS_PASSPHRASE", "correct horse")
	reopen(t, "file:keys/certificates?passphrase=env:KEYS_PASSPHRASE", Options{Dir: dir})
	if _, err := os.Stat(filepath.Join(dir, "keys/certificates/app.key")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "keys/certificates/passphrase")); err == nil {
		t.Error("a passphrase was given, and another one lies beside the keys")
	}
	keytest.NoneIn(t, dir)
}

func TestSoftHSM(t *testing.T) {
	token := keytest.SoftHSM(t)
	if _, closer, err := Open(t.Context(), token.URI(), Options{}); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if err == nil {
		closer.Close()
	}
	reopen(t, token.URI(), Options{})
}

func TestWhatCannotBeOpened(t *testing.T) {
	notThere := func(context.Context, secret.Ref) (secret.Value, error) { return secret.Value{}, os.ErrNotExist }
	for uri, want := range map[string]string{
		"":                                    "named by a URI",
		"keys":                                "named by a URI",
		"gopher:keys":                         "not a kind of store",
		"file:":                               "no directory",
		"file:keys?passphrase=hunter2hunter":  "where the secret is kept",
		"file:keys?passphrase=env:MISSING":    "does not exist",
		"file:keys?colour=red":                `no setting "colour"`,
		"file:keys?passphrase":                "equals sign",
		"file:%zz":                            "hex digits",
		"pkcs11:token=slipway":                "module-path",
		"pkcs11:module-path=/m.so;token=a":    "/m.so",
		"pkcs11:module-path=m.so;token=a":     "whole path",
		"pkcs11:module-path=/usr/lib;token=a": "not a file",
		"file:../keys":                        "leads out",
		"pkcs11:module-path=/m.so;token=a?pin-value=hunter2hunter": "change the PIN",
		"pkcs11:module-path=/m.so;token=a?pin-source=/run/pin":     "pin-source",
		"pkcs11:module-path=/m.so;token=a;max-sessions=many":       "not a number",
		"pkcs11:token=a;token=b":                                   "twice",
		"awskms:profile=p":                                         "region=",
		"cloudkms:projects/p":                                      "key ring",
		"cloudkms:projects/p/locations/l/keyRings/r?protection=x":  "neither hsm nor software",
		"cloudkms:projects/p/locations/l/keyRings/r?credentials={\"private_key\":\"hunter2hunter\"}": "where the secret is kept",
		"azurekms:vault=../x":                                                          "vault's name",
		"azurekms:vault=finmicro?hsm=maybe":                                            "neither true nor false",
		"vault:transit?token=env:T":                                                    "https://",
		"vault:https://vault.example:8200/transit":                                     "no token",
		"vault:https://vault.example:8200/transit?token=hunter2hunter":                 "where the secret is kept",
		"vault:https://vault.example:8200/transit?token=env:T":                         "token",
		"vault:http://vault.example/transit?token=env:T":                               "a token is sent there",
		"vault:https://hunter2hunter@vault.example/transit?token=env:T":                "https://host:port",
		"vault:https://vault.example/transit?token=env:T&ca=/nowhere":                  "/nowhere",
		"file:" + strings.Repeat("a", maxURI):                                          "too long",
		"file:keys?passphrase=file:/run/a\nb":                                          "named by a URI",
		"vault:https://vault.example/sub/transit/?token=env:T":                         "mounted",
		"pkcs11:module-path=/m.so;token=a?pin-source=hunter2hunter":                    "where the secret is kept",
		"file:keys?passphrase=vault:https://vault.example/v1/secret/data/keys#no-such": "does not exist",
	} {
		_, _, err := Open(t.Context(), uri, Options{Dir: t.TempDir(), Secret: notThere})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: got %v, want %q in it", uri, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%.80s: the error repeats a secret: %v", uri, err)
		}
	}
}

// Settings come from a repository, and must not have the server load what somebody
// could have put into it.
func TestAModuleThatOthersCanChange(t *testing.T) {
	module := filepath.Join(t.TempDir(), "module.so")
	if err := os.WriteFile(module, []byte("\x7fELF"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(t.Context(), "pkcs11:module-path="+module+";token=a", Options{}); err == nil || !strings.Contains(err.Error(), "administrator") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsOpenedWithoutAsking(t *testing.T) {
	token := func(context.Context, secret.Ref) (secret.Value, error) { return secret.New("t"), nil }
	for _, uri := range []string{
		"awskms:region=eu-central-1;endpoint=https://vpce.example",
		"azurekms:vault=finmicro;domain=vault.usgovcloudapi.net?hsm=true",
		"vault:https://vault.example:8200/teams/a/transit?token=env:T&namespace=finmicro",
	} {
		_, closer, err := Open(t.Context(), uri, Options{Secret: token})
		if err != nil {
			t.Errorf("%s: %v", uri, err)
			continue
		}
		closer.Close()
	}
}

func FuzzParseURI(f *testing.F) {
	for _, uri := range []string{
		"file:keys/certificates?passphrase=env:KEYS_PASSPHRASE",
		"pkcs11:module-path=/usr/lib/softhsm/libsofthsm2.so;token=slip%20way?pin-source=file:/run/secrets/pin",
		"vault:https://vault.finmicro.example:8200/transit?token=file:/run/secrets/vault-token",
	} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := parseURI(text)
		if err == nil && (u.scheme == "" || u.path != "" && strings.ContainsRune(u.scheme, ':')) {
			t.Errorf("%q is read as %+v", text, u)
		}
	})
}
