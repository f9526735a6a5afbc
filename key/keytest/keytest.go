// Package keytest holds every key.Manager to the same promises, and looks for
// private keys where none may be. It is imported by tests only. Read this file for
// what is promised, and find.go for the search.
package keytest

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"slipway/key"
)

// Store is a Manager under test.
type Store struct {
	// Open opens the store, each time the same one, as after a restart. It sees to the
	// closing.
	Open func(t testing.TB) key.Manager
	// Kinds are those that the store has keys of. The others it must refuse.
	Kinds []key.Kind
}

// Run holds the store to what key.Manager promises.
func Run(t *testing.T, s Store) {
	manager := s.Open(t)
	refs := map[key.Kind]string{}
	for _, kind := range s.Kinds {
		ref, signer, err := manager.Create(t.Context(), "app-"+string(kind), kind)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		refs[kind] = ref
		t.Run(string(kind), func(t *testing.T) {
			checkRef(t, ref)
			if got, err := key.KindOf(signer.Public()); err != nil || got != kind {
				t.Errorf("made a key of kind %q (%v)", got, err)
			}
			checkSignatures(t, kind, signer)
			checkRequest(t, signer)
			checkHandshakes(t, signer)
			checkPrinting(t, ref, signer)
			if kind == key.ECDSAP256 || kind == key.Ed25519 {
				checkRecord(t, ref, signer)
			}
		})
	}
	first := s.Kinds[0]
	t.Run("create again", func(t *testing.T) { createAgain(t, manager, first, refs[first]) })
	t.Run("create at once", func(t *testing.T) { createAtOnce(t, manager, first) })
	t.Run("restart", func(t *testing.T) { restart(t, manager, s.Open(t), refs) })
	t.Run("refusals", func(t *testing.T) { refusals(t, manager, s.Kinds) })
	t.Run("misuse", func(t *testing.T) { misuse(t, manager, refs) })
	t.Run("many at once", func(t *testing.T) { manyAtOnce(t, manager, refs[first]) })
	t.Run("destroy", func(t *testing.T) { destroy(t, manager, s.Open(t), first, refs) })
}

// checkRef: the ref goes into events, pages and files.
func checkRef(t *testing.T, ref string) {
	t.Helper()
	scheme, rest, ok := strings.Cut(ref, ":")
	switch {
	case !ok || scheme == "" || rest == "":
		t.Errorf("the ref %q is not a URI", ref)
	case len(ref) > 1024 || strings.ContainsFunc(ref, func(r rune) bool { return r <= ' ' || r > '~' }):
		t.Errorf("the ref %q is too long for an event or has characters that a URI has not", ref)
	case strings.Contains(ref, "pin-value"), strings.Contains(ref, "token=hvs"), strings.Contains(ref, "module-path"), strings.HasPrefix(rest, "/"):
		t.Errorf("the ref %q holds a secret or a path of a machine", ref)
	}
}

func createAgain(t *testing.T, m key.Manager, kind key.Kind, ref string) {
	again, signer, err := m.Create(t.Context(), "app-"+string(kind), kind)
	if err != nil || again != ref {
		t.Errorf("a second Create returned %q (%v), not %q", again, err, ref)
	} else {
		sameKey(t, m, ref, signer.Public())
	}
	other := key.ECDSAP384
	if kind == other {
		other = key.ECDSAP256
	}
	if _, _, err := m.Create(t.Context(), "app-"+string(kind), other); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a name that a key of another kind has: got %v", err)
	}
}

func createAtOnce(t *testing.T, m key.Manager, kind key.Kind) {
	refs := make([]string, 6)
	var wg sync.WaitGroup
	for i := range refs {
		wg.Go(func() {
			ref, _, err := m.Create(t.Context(), "contended", kind)
			if err != nil {
				t.Error(err)
			}
			refs[i] = ref
		})
	}
	wg.Wait()
	if got := slices.Compact(refs); len(got) != 1 {
		t.Errorf("one name, several keys: %v", got)
	}
}

func restart(t *testing.T, before, after key.Manager, refs map[key.Kind]string) {
	for kind, ref := range refs {
		old, err := before.Signer(t.Context(), ref)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		sameKey(t, after, ref, old.Public())
		again, _, err := after.Create(t.Context(), "app-"+string(kind), kind)
		if err != nil || again != ref {
			t.Errorf("%s: Create after a restart returned %q (%v), not %q", kind, again, err, ref)
		}
	}
}

func sameKey(t *testing.T, m key.Manager, ref string, want crypto.PublicKey) {
	t.Helper()
	signer, err := m.Signer(t.Context(), ref)
	if err != nil {
		t.Error(err)
		return
	}
	if !want.(interface{ Equal(crypto.PublicKey) bool }).Equal(signer.Public()) {
		t.Errorf("%s opens another key", ref)
	}
}

func refusals(t *testing.T, m key.Manager, has []key.Kind) {
	for _, kind := range append(key.Kinds(), "dsa-1024", "") {
		if slices.Contains(has, kind) {
			continue
		}
		if _, _, err := m.Create(t.Context(), "unsupported", kind); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("a key of kind %q: got %v", kind, err)
		}
	}
	for _, name := range []string{"", "../events", "a/b", "a b", "-a", "a\x00", "ä", strings.Repeat("a", 101), "a?b", "a;b", "a%2fb"} {
		if _, _, err := m.Create(t.Context(), name, has[0]); err == nil {
			t.Errorf("made a key with the name %q", name)
		}
	}
	if _, _, err := m.Create(t.Context(), strings.Repeat("a", 100), has[0]); err != nil {
		t.Errorf("a name of 100 characters: %v", err)
	}
	for _, ref := range []string{"", ":", "file:", "nothing:here", "%zz", "file:../../etc/passwd?pin=x", "pkcs11:", "pkcs11:id=zz", "awskms:", "awskms:key-id=", "cloudkms:", "azurekms:", "vault:", strings.Repeat("a", 1<<16)} {
		_, err := m.Signer(t.Context(), ref)
		if err == nil {
			t.Errorf("the ref %.40q opened a key", ref)
		} else if len(err.Error()) > 4096 {
			t.Errorf("the ref %.40q comes back in an error of %d bytes", ref, len(err.Error()))
		}
		if err := m.Destroy(t.Context(), ref); err == nil {
			t.Errorf("the ref %.40q, which no key here can have, was destroyed", ref)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := m.Create(gone, "cancelled", has[0]); err == nil {
		t.Error("made a key for somebody who had left")
	}
}

// misuse: what no TLS handshake and no request asks for is refused by every store, so
// that nothing works with one and fails with the next.
func misuse(t *testing.T, m key.Manager, refs map[key.Kind]string) {
	for kind, ref := range refs {
		signer, err := m.Signer(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range misuses(kind) {
			if _, err := signer.Sign(rand.Reader, tt.digest, tt.opts); err == nil {
				t.Errorf("%s: signed %s", kind, tt.name)
			}
		}
	}
}

func manyAtOnce(t *testing.T, m key.Manager, ref string) {
	signer, err := m.Signer(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	kind, err := key.KindOf(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 4 {
				checkSignatures(t, kind, signer)
				if _, err := m.Signer(t.Context(), ref); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func destroy(t *testing.T, m, other key.Manager, kind key.Kind, refs map[key.Kind]string) {
	ref, signer, err := m.Create(t.Context(), "short-lived", kind)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Destroy(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	digest := crypto.SHA256.New().Sum(nil)
	if _, err := signer.Sign(rand.Reader, digest, crypto.SHA256); err == nil {
		t.Error("a signer of a destroyed key signs")
	}
	for name, m := range map[string]key.Manager{"same": m, "reopened": other} {
		if _, err := m.Signer(t.Context(), ref); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s manager: the ref of a destroyed key: got %v", name, err)
		}
		if err := m.Destroy(t.Context(), ref); err != nil {
			t.Errorf("%s manager: destroyed again: %v", name, err)
		}
	}
	again, _, err := m.Create(t.Context(), "short-lived", kind)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		t.Errorf("a destroyed key's name: %v", err)
	}
	if again == ref {
		t.Errorf("a new key has the ref %q of a destroyed one", ref)
	}
	if err == nil {
		if err := m.Destroy(t.Context(), ref); err != nil {
			t.Error(err)
		}
		if _, err := m.Signer(t.Context(), again); err != nil {
			t.Errorf("destroying the old key took the new one of the same name: %v", err)
		}
	}
	for kind, ref := range refs {
		if _, err := m.Signer(t.Context(), ref); err != nil {
			t.Errorf("%s: destroying one key took another: %v", kind, err)
		}
	}
}
