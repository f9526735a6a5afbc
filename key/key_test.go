package key

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

func open(t testing.TB, dir, passphrase string) *Store {
	t.Helper()
	s, err := OpenStore(dir, []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func signer(t testing.TB, s *Store, name string) *Signer {
	t.Helper()
	k, err := s.Signer(t.Context(), name, true)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeysComeBack(t *testing.T) {
	for _, passphrase := range []string{"", "correct horse battery staple"} {
		dir := filepath.Join(t.TempDir(), "keys")
		first := signer(t, open(t, dir, passphrase), "events")
		again := signer(t, open(t, dir, passphrase), "events")
		if first.ID() != again.ID() || first.URI() != again.URI() {
			t.Errorf("%v came back as %v", first, again)
		}
		signature, err := again.Sign([]byte("m"))
		if err != nil || !ed25519.Verify(first.Public().(ed25519.PublicKey), []byte("m"), signature) {
			t.Errorf("signature does not verify (%v)", err)
		}
		for _, name := range []string{"events.key", derivationFile} {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %04o", name, info.Mode().Perm())
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "events.pub")); err != nil {
			t.Error(err)
		}
	}
}

func TestDestroy(t *testing.T) {
	dir := t.TempDir()
	store := open(t, dir, "p")
	id := signer(t, store, "events").ID()
	signer(t, store, "log")
	damaged := filepath.Join(dir, "events-2.key")
	if err := os.WriteFile(damaged, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if names, err := store.Names(); err != nil || strings.Join(names, " ") != "events-2 events log" {
		t.Errorf("names %q, %v", names, err)
	}
	for _, name := range []string{"events", "events", "events-2"} { // the second time there is nothing to do
		if err := store.Destroy(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	if err := store.Destroy(t.Context(), "../log"); err == nil {
		t.Error("destroyed a key outside the store")
	}
	if names, err := store.Names(); err != nil || strings.Join(names, " ") != "log" {
		t.Errorf("names %q, %v", names, err)
	}
	if _, err := store.Signer(t.Context(), "events", false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a destroyed key: %v", err)
	}
	if signer(t, store, "events").ID() == id {
		t.Error("a destroyed key came back")
	}
}

func TestSSH(t *testing.T) {
	k := signer(t, open(t, t.TempDir(), "p"), "commits")
	s, err := k.SSH()
	if err != nil {
		t.Fatal(err)
	}
	signature, err := s.Sign(nil, []byte("commit"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PublicKey().Verify([]byte("commit"), signature); err != nil {
		t.Error(err)
	}
	if s.PublicKey().Type() != ssh.KeyAlgoED25519 {
		t.Errorf("type %s", s.PublicKey().Type())
	}
}

// The example of RFC 8037 appendix A.3.
func TestThumbprint(t *testing.T) {
	pub, err := base64.RawURLEncoding.DecodeString("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Thumbprint(ed25519.PublicKey(pub)); err != nil || got != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" {
		t.Errorf("got %s (%v)", got, err)
	}
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, dir string) error
		want string
	}{
		{"wrong passphrase", func(t *testing.T, dir string) error {
			_, err := open(t, dir, "another").Signer(t.Context(), "events", false)
			return err
		}, "passphrase is not the one"},
		{"readable by others", func(t *testing.T, dir string) error {
			os.Chmod(filepath.Join(dir, "events.key"), 0o644)
			_, err := open(t, dir, "p").Signer(t.Context(), "events", true)
			return err
		}, "chmod 600"},
		{"one file in another's place", func(t *testing.T, dir string) error {
			os.Rename(filepath.Join(dir, "events.key"), filepath.Join(dir, "log.key"))
			_, err := open(t, dir, "p").Signer(t.Context(), "log", true)
			return err
		}, "altered"},
		{"not there", func(t *testing.T, dir string) error {
			_, err := open(t, dir, "p").Signer(t.Context(), "nothing", false)
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("not fs.ErrNotExist: %v", err)
			}
			return err
		}, "nothing"},
		{"a name that is a path", func(t *testing.T, dir string) error {
			_, err := open(t, dir, "p").Signer(t.Context(), "../events", true)
			return err
		}, "name"},
		{"an absurd cost", func(t *testing.T, dir string) error {
			raw := bytes.Replace(read(t, dir, derivationFile), []byte("19456"), []byte("4000000000"), 1)
			os.WriteFile(filepath.Join(dir, derivationFile), raw, 0o600)
			_, err := OpenStore(dir, []byte("p"))
			return err
		}, "out of bounds"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			signer(t, open(t, dir, "p"), "events")
			err := tt.do(t, dir)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestEveryFlippedByteIsNoticed(t *testing.T) {
	dir := t.TempDir()
	id := signer(t, open(t, dir, "p"), "events").ID()
	raw := read(t, dir, "events.key")
	store := open(t, dir, "p")
	for i := range raw {
		altered := bytes.Clone(raw)
		altered[i] ^= 1
		// What changes only the PEM's layout may still be the same key; never another one.
		if k, err := store.folder.parse("events", altered); err == nil {
			if got, err := Thumbprint(k.Public()); err != nil || got != id {
				t.Errorf("byte %d: opened as another key", i)
			}
		}
	}
}

func TestNothingPrintsTheKey(t *testing.T) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	k, err := NewSigner("events", "file:///keys/events.key", private)
	if err != nil {
		t.Fatal(err)
	}
	holder := struct{ k Signer }{*k}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", k, *k, holder)
	}
	//lint:ignore SA9005 that nothing comes out is what is tested
	encoded, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "key", k, "value", *k)
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "key", k, "holder", holder)
	seed := private.Seed()
	for _, form := range []string{
		string(seed), fmt.Sprintf("%x", seed), base64.StdEncoding.EncodeToString(seed),
		strings.Trim(fmt.Sprint([]byte(seed)), "[]"), strings.Trim(fmt.Sprintf("%#v", seed[:8]), "[]byte{}"),
	} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the private key was printed: %s", out.String())
		}
	}
}

func TestManyMakersAgree(t *testing.T) {
	dir := t.TempDir()
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			s, err := OpenStore(dir, nil)
			if err != nil {
				t.Error(err)
				return
			}
			k, err := s.Signer(t.Context(), "log", true)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = k.ID()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("different keys: %v", ids)
		}
	}
}

func read(t testing.TB, dir, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func FuzzParseKeyFile(f *testing.F) {
	dir := f.TempDir()
	store := open(f, dir, "p")
	signer(f, store, "events")
	f.Add(read(f, dir, "events.key"))
	f.Add([]byte("-----BEGIN " + sealedType + "-----\n\n-----END " + sealedType + "-----\n"))
	f.Fuzz(func(t *testing.T, raw []byte) { store.folder.parse("events", raw) })
}

func FuzzParseDerivation(f *testing.F) {
	f.Add([]byte(`{"version":1,"kdf":"argon2id","time":2,"memory_kib":19456,"threads":1,"salt":"AAAAAAAAAAAAAAAAAAAAAA=="}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if d, err := parseDerivation(raw); err == nil && (d.Memory > maxMemory || d.Time > maxTime) {
			t.Errorf("accepted %+v", d)
		}
	})
}

// What a server's start pays for its three keys.
func BenchmarkOpenThreeKeys(b *testing.B) {
	dir := b.TempDir()
	names := []string{"log", "events", "commits"}
	for _, name := range names {
		signer(b, open(b, dir, "p"), name)
	}
	for b.Loop() {
		s := open(b, dir, "p")
		for _, name := range names {
			signer(b, s, name)
		}
	}
}
