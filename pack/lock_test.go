package pack

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway/repo"
	"slipway/zone"
)

var someDigest = "sha256:" + strings.Repeat("0a", 32)

func TestLockRoundTrip(t *testing.T) {
	_, public := signingKey(t)
	l := &Lock{Keys: []Key{{"ours", string(public)}}}
	l.Set(Pin{Name: "mine", Version: "1.2.0", Source: "https://packs.finmicro.example/mine.tar.gz", Digest: someDigest, Key: "ours"})
	l.Set(Pin{Name: "exposure", Version: "1.0.0", Source: "builtin:exposure", Digest: someDigest, Unsigned: BuiltinUnsigned})
	src, err := l.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseLock(LockPath, src)
	if err != nil {
		t.Fatal(err)
	}
	again, err := got.Marshal()
	if err != nil || string(again) != string(src) {
		t.Errorf("%v\n%s\nwas\n%s", err, again, src)
	}
	if p, ok := got.Pin("mine"); !ok || p.Key != "ours" || got.Packs[0].Name != "exposure" {
		t.Errorf("got %+v", got.Packs)
	}
}

func TestLockRefused(t *testing.T) {
	pin := "  - {name: a, version: 1.0.0, source: s, digest: " + `"` + someDigest + `"`
	for _, c := range []struct {
		name, src, want string
		line            int
	}{
		{"nothing", "", "not as slipway pack writes it", 1},
		{"not YAML", "version: [", "not as slipway pack writes it", 1},
		{"unknown key", "version: 1\npacks: []\nextra: 1\n", "extra", 1},
		{"version", "version: 2\npacks: []\n", "version 2", 1},
		{"two documents", "version: 1\npacks: []\n---\nversion: 1\n", "more than one document", 1},
		{"unsigned without reason", "version: 1\npacks:\n" + pin + "}\n", "the key that signed it, or the reason", 3},
		{"blank reason", "version: 1\npacks:\n" + pin + ", unsigned: ' '}\n", "the key that signed it, or the reason", 3},
		{"both", "version: 1\npacks:\n" + pin + ", unsigned: x, key: k}\n", "the key that signed it, or the reason", 3},
		{"unknown signer", "version: 1\npacks:\n" + pin + ", key: k}\n", "not under keys", 3},
		{"twice", "version: 1\npacks:\n" + pin + ", unsigned: x}\n" + pin + ", unsigned: x}\n", "twice", 4},
		{"no digest", "version: 1\npacks:\n  - {name: a, version: 1.0.0, source: s, digest: latest, unsigned: x}\n", "not pinned by a digest", 3},
		{"name upwards", "version: 1\npacks:\n  - {name: ../a, version: 1.0.0, source: s, digest: x, unsigned: x}\n", "pack name", 3},
		{"unknown key of a pack", "version: 1\npacks:\n" + pin + ", unsigned: x, trust: all}\n", "trust", 3},
		{"bad key", "version: 1\nkeys: {ours: hello}\npacks: []\n", "key ours cannot be used", 1},
		{"large", strings.Repeat("#", maxLock+1), "larger than", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseLock(LockPath, []byte(c.src))
			var e *zone.Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) || e.Place.Line != c.line {
				t.Errorf("got %v, want line %d and %q", err, c.line, c.want)
			}
		})
	}
}

// repository makes a zones repository with these files, committed.
func repository(t *testing.T, files map[string][]byte) *repo.Tree {
	t.Helper()
	dir := t.TempDir()
	for name, src := range files {
		at := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, src, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"-c", "user.name=Ana", "-c", "user.email=ana@finmicro.example", "commit", "-q", "-m", "first"}} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	r, err := repo.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	tree, err := r.Tree(t.Context(), "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestPinned(t *testing.T) {
	private, public := signingKey(t)
	src := build(t, mine())
	signed, err := Sign(src, "ours", private)
	if err != nil {
		t.Fatal(err)
	}
	lock := func(pins ...Pin) []byte {
		l := &Lock{Keys: []Key{{"ours", string(public)}}}
		for _, p := range pins {
			l.Set(p)
		}
		out, err := l.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	pin := func(src []byte, key, unsigned string) Pin {
		return Pin{Name: "mine", Version: "1.2.0", Source: "s", Digest: Digest(src), Key: key, Unsigned: unsigned}
	}
	other := pin(signed, "ours", "")
	other.Version = "2.0.0"
	for _, c := range []struct {
		name  string
		files map[string][]byte
		want  string
	}{
		{"signed", map[string][]byte{LockPath: lock(pin(signed, "ours", "")), BundlePath("mine"): signed}, ""},
		{"unsigned with a reason", map[string][]byte{LockPath: lock(pin(src, "", "made here")), BundlePath("mine"): src}, ""},
		{"nothing pinned", map[string][]byte{"README.md": nil}, ""},
		{"another bundle", map[string][]byte{LockPath: lock(pin(signed, "ours", "")), BundlePath("mine"): src}, "not the one that is pinned"},
		{"signature wanted", map[string][]byte{LockPath: lock(pin(src, "ours", "")), BundlePath("mine"): src}, "it is not signed"},
		{"another version", map[string][]byte{LockPath: lock(other), BundlePath("mine"): signed}, "its bundle is of mine 1.2.0"},
		{"no bundle", map[string][]byte{LockPath: lock(pin(signed, "ours", ""))}, "its bundle is not in the repository"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := repository(t, c.files)
			bundles, err := Source(t.Context(), tree)
			if c.want != "" {
				var e *zone.Error
				if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want a *zone.Error with %q", err, c.want)
				}
				return
			}
			if err != nil || len(bundles) != len(c.files)/2 {
				t.Errorf("got %v, %v", bundles, err)
			}
		})
	}
}

func FuzzParseLock(f *testing.F) {
	_, public := signingKey(f)
	l := &Lock{Keys: []Key{{"ours", string(public)}}}
	l.Set(Pin{Name: "mine", Version: "1.2.0", Source: "s", Digest: someDigest, Key: "ours"})
	src, err := l.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(src)
	f.Add([]byte("version: 1\npacks:\n  - {name: a, version: 1.0.0, source: s, digest: x, unsigned: y}\n"))
	f.Add([]byte("version: 1\npacks: [&a {name: a}, *a]\n"))
	f.Add([]byte("---\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		l, err := ParseLock(LockPath, src)
		if err != nil {
			var e *zone.Error
			if !errors.As(err, &e) || e.Place.Line < 1 {
				t.Errorf("not an error with a place: %v", err)
			}
			return
		}
		out, err := l.Marshal()
		if err != nil {
			t.Fatalf("read, and cannot be written: %v", err)
		}
		if _, err := ParseLock(LockPath, out); err != nil {
			t.Errorf("written, and cannot be read: %v\n%s", err, out)
		}
	})
}
