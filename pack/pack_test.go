package pack

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/bundle"

	"slipway/check/policy"
)

const mineManifest = `{"revision": "1.2.0", "roots": ["packs/mine"], "rego_version": 1, "metadata": {"name": "mine", "title": "Mine"}}`

const mineRego = "package packs.mine\n\ndeny contains \"no\" if input.zone.name == data.packs.mine.forbidden\n"

func mine() []File {
	return []File{
		{".manifest", []byte(mineManifest)},
		{"mine.rego", []byte(mineRego)},
		{"data.json", []byte(`{"packs": {"mine": {"forbidden": "finmicro.example", "controls": {"*": ["MINE:1"], "wildcard": ["MINE:2"]}}}}`)},
		{"README.md", []byte("# Mine\n")},
	}
}

func build(t testing.TB, files []File) []byte {
	t.Helper()
	src, _, err := Build(files)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func signingKey(t testing.TB) (private, public []byte) {
	t.Helper()
	private, public, err := NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

func TestBuild(t *testing.T) {
	src, p, err := Build(mine())
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "mine" || p.Version != "1.2.0" || p.Title != "Mine" || p.SignedBy != "" || p.Digest != Digest(src) {
		t.Errorf("got %+v", p)
	}
	if p.Controls["*"][0] != "MINE:1" || p.Controls["wildcard"][0] != "MINE:2" {
		t.Errorf("controls are %v", p.Controls)
	}
	if len(p.Policies) != 2 || !strings.Contains(string(p.Policies[1].Src), `forbidden := "finmicro.example"`) {
		t.Errorf("policies are %s", p.Policies)
	}
	again, _, err := Build([]File{mine()[3], mine()[1], mine()[0], mine()[2]})
	if err != nil || !bytes.Equal(src, again) {
		t.Errorf("the order of files changes the bundle: %v", err)
	}
	if _, err := policy.Compile(t.Context(), p.Bundle()); err != nil {
		t.Error(err)
	}
	// Any reader of OPA bundles reads it.
	if _, err := bundle.NewReader(bytes.NewReader(src)).Read(); err != nil {
		t.Error(err)
	}
}

func TestSign(t *testing.T) {
	private, public := signingKey(t)
	_, otherPublic := signingKey(t)
	src := build(t, mine())
	signed, err := Sign(src, "ours", private)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := Key{"ours", string(public)}, Key{"theirs", string(otherPublic)}
	for _, c := range []struct {
		name   string
		src    []byte
		keys   []Key
		signer string
		fault  string
	}{
		{"our key", signed, []Key{theirs, ours}, "ours", ""},
		{"no keys", signed, nil, "", ""},
		{"not signed", src, []Key{ours}, "", ""},
		{"another key", signed, []Key{theirs}, "", "none of the keys that count made it"},
		{"another key under our name", signed, []Key{{"ours", string(otherPublic)}}, "", "none of the keys that count made it"},
		{"changed policy", edited(t, signed, "mine.rego", func(b []byte) []byte { return append(b, "\n# x\n"...) }), []Key{ours}, "", "digest mismatch"},
		{"changed data", edited(t, signed, "data.json", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("finmicro"), []byte("other")) }), []Key{ours}, "", "digest mismatch"},
		{"added file", archived(t, append(unpacked(t, signed), File{"more.rego", []byte("package packs.mine\n")})), []Key{ours}, "", "more.rego is signed by a digest"},
		{"missing file", archived(t, without(unpacked(t, signed), "README.md")), []Key{ours}, "", "README.md was signed and is not there"},
		{"plug-in named by the bundle", edited(t, signed, signaturesFile, func(b []byte) []byte {
			return bytes.Replace(b, []byte("{"), []byte(`{"plugin": "none",`), 1)
		}), []Key{ours}, "ours", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Open(c.src, c.keys)
			if c.fault != "" {
				if err == nil || !strings.Contains(err.Error(), c.fault) {
					t.Errorf("got %v, want %q", err, c.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if p.SignedBy != c.signer {
				t.Errorf("signed by %q, want %q", p.SignedBy, c.signer)
			}
		})
	}
	// OPA itself accepts the signature.
	config := bundle.NewVerificationConfig(map[string]*bundle.KeyConfig{"ours": {Key: string(public), Algorithm: "ES256"}}, "", "", nil)
	if _, err := bundle.NewReader(bytes.NewReader(signed)).WithBundleVerificationConfig(config).Read(); err != nil {
		t.Errorf("OPA: %v", err)
	}
	// Signing again replaces the signature.
	if again, err := Sign(signed, "ours", private); err != nil || len(unpacked(t, again)) != len(unpacked(t, signed)) {
		t.Errorf("signing again: %v", err)
	}
}

// What OPA's own tools sign, Slipway accepts: they take RS256 for RSA keys.
func TestSignedByOPA(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	public, err := publicHalf(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.NewReader(bytes.NewReader(build(t, mine()[:3]))).Read()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.GenerateSignature(bundle.NewSigningConfig(string(private), "RS256", ""), "opa", false); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := bundle.NewWriter(&out).UseModulePath(true).DisableFormat(true).Write(b); err != nil {
		t.Fatal(err)
	}
	p, err := Open(out.Bytes(), []Key{{"opa", string(public)}})
	if err != nil || p.SignedBy != "opa" {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestKeys(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	strong, err := publicHalf(weak.Public())
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := publicHalf(p384.Public())
	if err != nil {
		t.Fatal(err)
	}
	private, public := signingKey(t)
	for _, c := range []struct{ name, key, want string }{
		{"P-256", string(public), "ES256"},
		{"P-384", string(curve), "ES384"},
		{"RSA", string(strong), "PS256"},
		{"a private key", string(private), ""},
		{"two keys", string(public) + string(public), ""},
		{"a shared secret", "secret", ""},
		{"nothing", "", ""},
	} {
		got, err := Key{"k", c.key}.algorithms()
		if (err == nil) != (c.want != "") || err == nil && got[0] != c.want {
			t.Errorf("%s: got %v, %v", c.name, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "MII") {
			t.Errorf("%s: the error shows the key: %v", c.name, err)
		}
	}
	if _, err := Sign(build(t, mine()), "k", []byte("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")); err == nil || strings.Contains(err.Error(), "c2VjcmV0") {
		t.Errorf("got %v", err)
	}
}

// entry is one member of a hand-made archive.
type entry struct {
	name, link string
	kind       byte
	src        []byte
}

func tarred(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range entries {
		if e.kind == 0 {
			e.kind = tar.TypeReg
		}
		if err := w.WriteHeader(&tar.Header{Name: e.name, Linkname: e.link, Typeflag: e.kind, Mode: 0o644, Size: int64(len(e.src))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.src); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestHostileArchives(t *testing.T) {
	manifest := entry{name: ".manifest", src: []byte(mineManifest)}
	rego := entry{name: "mine.rego", src: []byte(mineRego)}
	good := tarred(t, manifest, rego)
	many := []entry{manifest}
	for i := range MaxFiles + 1 {
		many = append(many, entry{name: fmt.Sprintf("f%d.rego", i), src: []byte("package packs.mine\n")})
	}
	large := []entry{manifest}
	for i := range maxTotal>>20 + 1 {
		large = append(large, entry{name: fmt.Sprintf("f%d.md", i), src: make([]byte, 1<<20)})
	}
	for _, c := range []struct {
		name string
		src  []byte
		want string
	}{
		{"nothing", nil, "not a tar.gz"},
		{"no archive", []byte("hello"), "not a tar.gz"},
		{"cut off", good[:len(good)-20], "damaged"},
		{"path upwards", tarred(t, manifest, entry{name: "../x.rego", src: []byte(mineRego)}), "leads out of it"},
		{"path upwards inside", tarred(t, manifest, entry{name: "a/../../x.rego", src: []byte(mineRego)}), "leads out of it"},
		{"absolute twice", tarred(t, manifest, entry{name: "//etc/x.rego", src: []byte(mineRego)}), "leads out of it"},
		{"backslash", tarred(t, manifest, entry{name: `..\x.rego`, src: []byte(mineRego)}), "leads out of it"},
		{"drive", tarred(t, manifest, entry{name: `C:/x.rego`, src: []byte(mineRego)}), "leads out of it"},
		{"symbolic link", tarred(t, manifest, entry{name: "x.rego", kind: tar.TypeSymlink, link: "/etc/passwd"}), "not a plain file"},
		{"hard link", tarred(t, manifest, entry{name: "x.rego", kind: tar.TypeLink, link: "mine.rego"}), "not a plain file"},
		{"device", tarred(t, manifest, entry{name: "x.rego", kind: tar.TypeChar}), "not a plain file"},
		{"twice", tarred(t, manifest, rego, entry{name: "./mine.rego", src: []byte(mineRego)}), "twice"},
		{"program", tarred(t, manifest, rego, entry{name: "policy.wasm"}), "nothing that a pack holds"},
		{"signature elsewhere", tarred(t, manifest, rego, entry{name: "a/.signatures.json", src: []byte("{}")}), "nothing that a pack holds"},
		{"large file", tarred(t, manifest, entry{name: "x.rego", src: make([]byte, policy.MaxFileBytes+1)}), "larger than"},
		{"too many files", tarred(t, many...), "more than"},
		{"bomb", tarred(t, large...), "unpacked, it is larger"},
		{"no manifest", tarred(t, rego), "no .manifest"},
		{"outside its root", tarred(t, manifest, entry{name: "x.rego", src: []byte("package slipway.tier\n\ntier := \"green\"\n")}), "do not permit"},
		{"data outside its root", tarred(t, manifest, rego, entry{name: "data.json", src: []byte(`{"packs": {"other": {"x": 1}}}`)}), "not a bundle"},
		{"not Rego", tarred(t, manifest, entry{name: "x.rego", src: []byte("deny[")}), "not a bundle"},
		{"old Rego", tarred(t, manifest, entry{name: "x.rego", src: []byte("package packs.mine\n\ndeny[m] { m = 1 }\n")}), "not a bundle"},
		{"no content", tarred(t, manifest), "neither policies nor data"},
		{"root everything", tarred(t, entry{name: ".manifest", src: []byte(strings.Replace(mineManifest, "packs/mine", "", 1))}, rego), "not a path of Rego names"},
		{"no version", tarred(t, entry{name: ".manifest", src: []byte(strings.Replace(mineManifest, "1.2.0", "latest", 1))}, rego), "version"},
		{"name upwards", tarred(t, entry{name: ".manifest", src: []byte(strings.Replace(mineManifest, `"mine"`, `"../mine"`, 1))}, rego), "names it"},
		{"controls of another form", tarred(t, manifest, rego, entry{name: "data.json", src: []byte(`{"packs": {"mine": {"controls": ["x"]}}}`)}), "not of the form"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(c.src, nil)
			var fault *Fault
			if !errors.As(err, &fault) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want a fault with %q", err, c.want)
			}
		})
	}
	if _, err := Open(good, nil); err != nil {
		t.Errorf("the archive that they were made from: %v", err)
	}
	if _, err := Open(make([]byte, MaxBundle+1), nil); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("large bundle: %v", err)
	}
}

func TestDisjoint(t *testing.T) {
	a, b := &Pack{Name: "a", Roots: []string{"packs/a"}}, &Pack{Name: "b", Roots: []string{"packs"}}
	if err := Disjoint([]*Pack{a, b}); err == nil {
		t.Error("two packs share packs/a")
	}
	if err := Disjoint([]*Pack{a, {Name: "c", Roots: []string{"packs/ab"}}}); err != nil {
		t.Error(err)
	}
}

func unpacked(t testing.TB, src []byte) []File {
	t.Helper()
	files, err := unpack(src)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func archived(t testing.TB, files []File) []byte {
	t.Helper()
	files, err := ordered(files)
	if err != nil {
		t.Fatal(err)
	}
	return archive(files)
}

func edited(t testing.TB, src []byte, name string, edit func([]byte) []byte) []byte {
	t.Helper()
	files := unpacked(t, src)
	for i := range files {
		if files[i].Path == name {
			files[i].Src = edit(files[i].Src)
		}
	}
	return archived(t, files)
}

func without(files []File, name string) []File {
	var out []File
	for _, f := range files {
		if f.Path != name {
			out = append(out, f)
		}
	}
	return out
}

// Nearly every change of a compressed file breaks its checksum, so what comes is tried
// both as it is and as the archive within.
func FuzzOpen(f *testing.F) {
	src := build(f, mine())
	private, public := signingKey(f)
	signed, err := Sign(src, "ours", private)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(src)
	f.Add(signed[:len(signed)/2])
	for _, whole := range [][]byte{src, signed, tarred(f, entry{name: "../x.rego", src: []byte("package x\n")})} {
		z, err := gzip.NewReader(bytes.NewReader(whole))
		if err != nil {
			f.Fatal(err)
		}
		raw, err := io.ReadAll(z)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte{})
	keys := []Key{{"ours", string(public)}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var zipped bytes.Buffer
		z, err := gzip.NewWriterLevel(&zipped, gzip.NoCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := z.Write(raw); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		for _, src := range [][]byte{raw, zipped.Bytes()} {
			p, err := Open(src, keys)
			if err == nil {
				opened(t, p, src)
			}
		}
	})
}

// FuzzContent tries what a maker may write into the files of a pack.
func FuzzContent(f *testing.F) {
	files := mine()
	f.Add(string(files[0].Src), string(files[1].Src), string(files[2].Src))
	f.Add(`{"revision": "1.0.0", "roots": ["a/b"], "rego_version": 1, "metadata": {"name": "x"}}`, "package a.b.c\n", `{"a": {"b": {"controls": {}, "x y": 1}}}`)
	f.Add(`{"roots": [""]}`, "", `[]`)
	f.Fuzz(func(t *testing.T, manifest, rego, data string) {
		src, p, err := Build([]File{{".manifest", []byte(manifest)}, {"x.rego", []byte(rego)}, {"data.json", []byte(data)}})
		if err == nil {
			opened(t, p, src)
		}
	})
}

// opened holds what was opened against what every pack promises.
func opened(t *testing.T, p *Pack, src []byte) {
	t.Helper()
	if p.Digest != Digest(src) || !namePattern.MatchString(p.Name) || !versionPattern.MatchString(p.Version) || len(p.Policies) == 0 {
		t.Errorf("opened %+v", p)
	}
	files, err := unpack(src)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !filepath.IsLocal(f.Path) {
			t.Errorf("%q leads out of the bundle", f.Path)
		}
	}
	if _, _, err := Build(files); err != nil {
		t.Errorf("opened, and cannot be built: %v", err)
	}
}

func BenchmarkOpenSigned(b *testing.B) {
	src, _, err := Builtin("email-auth")
	if err != nil {
		b.Fatal(err)
	}
	private, public := signingKey(b)
	if src, err = Sign(src, "ours", private); err != nil {
		b.Fatal(err)
	}
	keys := []Key{{"ours", string(public)}}
	for b.Loop() {
		if _, err := Open(src, keys); err != nil {
			b.Fatal(err)
		}
	}
}
