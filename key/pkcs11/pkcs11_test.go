//go:build cgo

package pkcs11

import (
	"crypto/ecdsa"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/ThalesIgnite/crypto11"

	"slipway/key"
	"slipway/key/keytest"
	"slipway/secret"
)

func softHSM(t testing.TB) Options { return options(keytest.SoftHSM(t)) }

func options(token keytest.Token) Options {
	return Options{Module: token.Module, Token: token.Label, PIN: secret.New(token.PIN), MaxSessions: 6}
}

func open(t testing.TB, o Options) *Manager {
	t.Helper()
	m, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func TestSoftHSM(t *testing.T) {
	token := keytest.SoftHSM(t)
	o := options(token)
	keytest.Run(t, keytest.Store{
		Open:  func(t testing.TB) key.Manager { return open(t, o) },
		Kinds: []key.Kind{key.ECDSAP256, key.ECDSAP384, key.RSA2048, key.RSA3072, key.RSA4096},
	})
	keytest.NoneIn(t, token.Dir())
}

// Ends and starts the library in between, as a restart of the server does.
func TestAKeyOutlivesTheLibrary(t *testing.T) {
	o := softHSM(t)
	m, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ref, signer, err := m.Create(t.Context(), "app", key.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := signer.Sign(nil, make([]byte, 32), nil); err == nil {
		t.Error("a signer of a closed token signs")
	}
	again, err := open(t, o).Signer(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if !signer.Public().(*ecdsa.PublicKey).Equal(again.Public()) {
		t.Error("another key came back")
	}
}

// A key that the token would give out, or that came from outside, is not used.
func TestKeysThatCanLeaveAreRefused(t *testing.T) {
	m := open(t, softHSM(t))
	id := []byte("0123456789abcdef")
	public, err := crypto11.NewAttributeSetWithIDAndLabel(id, []byte("leaky"))
	if err != nil {
		t.Fatal(err)
	}
	private := public.Copy()
	if err := private.Set(crypto11.CkaExtractable, true); err != nil {
		t.Fatal(err)
	}
	if _, err := m.token.GenerateRSAKeyPairWithAttributes(public, private, 2048); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Create(t.Context(), "leaky", key.RSA2048); err == nil || !strings.Contains(err.Error(), "taken out") {
		t.Errorf("Create: got %v", err)
	}
	ref := formatRef("leaky", id)
	if _, err := m.Signer(t.Context(), ref); err == nil || !strings.Contains(err.Error(), "taken out") {
		t.Errorf("Signer: got %v", err)
	}
	if err := m.Destroy(t.Context(), ref); err != nil {
		t.Errorf("it cannot be destroyed either: %v", err)
	}
	if _, err := m.Signer(t.Context(), ref); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("destroyed: got %v", err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	good := softHSM(t)
	for name, tt := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"no module":        {func(o *Options) { o.Module = "" }, "module-path"},
		"module not there": {func(o *Options) { o.Module = "/nowhere.so" }, "/nowhere.so"},
		"token not there":  {func(o *Options) { o.Token = "other" }, "other"},
		"label and serial": {func(o *Options) { o.Serial = "1" }, "one of the two"},
		"wrong PIN":        {func(o *Options) { o.PIN = secret.New("11112222") }, "PIN"},
		"one session":      {func(o *Options) { o.MaxSessions = 1 }, "at least 2"},
	} {
		o := good
		tt.change(&o)
		m, err := Open(o)
		if err == nil {
			m.Close()
			t.Errorf("%s: opened", name)
		} else if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "11112222") {
			t.Errorf("%s: got %v, want %q in it", name, err, tt.want)
		}
	}
}

func FuzzParseRef(f *testing.F) {
	f.Add(formatRef("app-01J", make([]byte, idSize)))
	f.Add("pkcs11:id=%00;object=a")
	f.Fuzz(func(t *testing.T, ref string) {
		if name, id, err := parseRef(ref); err == nil && formatRef(name, id) != ref {
			t.Errorf("%q is read as %q", ref, formatRef(name, id))
		}
	})
}

func BenchmarkSoftHSM(b *testing.B) {
	o := softHSM(b)
	o.MaxSessions = 0
	keytest.Bench(b, open(b, o), key.ECDSAP256, key.RSA2048)
}
