package fetch

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway/pack"
)

// packFolder writes the files of a small pack.
func packFolder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, src := range map[string]string{
		".manifest":      `{"revision": "1.0.0", "roots": ["packs/mine"], "rego_version": 1, "metadata": {"name": "mine", "title": "Mine"}}`,
		"mine.rego":      "package packs.mine\n\ndeny contains \"no\" if input.zone.parked\n",
		".editorconfig":  "root = true\n",
		".github/ci.yml": "on: push\n",
	} {
		at := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(src), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func get(t testing.TB, source string, o Options) []byte {
	t.Helper()
	src, err := Get(t.Context(), source, o)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// refused checks that a source gives nothing but a sentence.
func refused(t testing.TB, source string, o Options, want string) {
	t.Helper()
	_, err := Get(t.Context(), source, o)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: got %v, want %q", source, err, want)
	}
}

func TestLocal(t *testing.T) {
	dir := packFolder(t)
	src := get(t, dir, Options{})
	file := filepath.Join(t.TempDir(), "mine.tar.gz")
	if err := os.WriteFile(file, src, 0o644); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(get(t, file, Options{}), src) {
		t.Error("the file differs from the folder that it was built of")
	}
	if p, err := pack.Open(src, nil); err != nil || p.Name != "mine" {
		t.Errorf("%v, %v", p, err)
	}
	refused(t, filepath.Join(dir, "nowhere"), Options{}, "no such file")
	refused(t, "ftp://packs.example/x", Options{}, "do not come by this scheme")
	refused(t, "builtin:nothing", Options{}, "no pack of that name")
	large := filepath.Join(t.TempDir(), "large.tar.gz")
	if err := os.WriteFile(large, make([]byte, pack.MaxBundle+1), 0o644); err != nil {
		t.Fatal(err)
	}
	refused(t, large, Options{}, "larger than")
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "x.rego")); err != nil {
		t.Fatal(err)
	}
	refused(t, dir, Options{}, "not a plain file")
	if p, err := pack.Open(get(t, "builtin:soc2", Options{}), nil); err != nil || p.Name != "soc2" {
		t.Errorf("%v, %v", p, err)
	}
}

func TestHTTP(t *testing.T) {
	src := get(t, packFolder(t), Options{})
	const token = "not-for-others"
	var elsewhere string
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/mine.tar.gz":
			w.Write(src)
		case "/private.tar.gz":
			if r.Header.Get("Authorization") != "Bearer "+token {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.Write(src)
		case "/moved.tar.gz":
			http.Redirect(w, r, elsewhere, http.StatusFound)
		case "/loop.tar.gz":
			http.Redirect(w, r, "/loop.tar.gz", http.StatusFound)
		case "/large.tar.gz":
			for range pack.MaxBundle>>20 + 1 {
				w.Write(make([]byte, 1<<20))
			}
		default:
			http.NotFound(w, r)
		}
	})
	plain := httptest.NewServer(serve)
	defer plain.Close()
	encrypted := httptest.NewTLSServer(serve)
	defer encrypted.Close()
	elsewhere = plain.URL + "/mine.tar.gz"
	o := Options{HTTP: encrypted.Client()}
	if !bytes.Equal(get(t, encrypted.URL+"/mine.tar.gz", o), src) || !bytes.Equal(get(t, plain.URL+"/mine.tar.gz", Options{}), src) {
		t.Error("another bundle came")
	}
	refused(t, encrypted.URL+"/private.tar.gz", o, "401")
	o.Token = token
	if !bytes.Equal(get(t, encrypted.URL+"/private.tar.gz", o), src) {
		t.Error("another bundle came with the token")
	}
	refused(t, encrypted.URL+"/nothing.tar.gz", o, "404")
	refused(t, encrypted.URL+"/large.tar.gz", o, "larger than")
	refused(t, encrypted.URL+"/moved.tar.gz", o, "not encrypted")
	refused(t, encrypted.URL+"/loop.tar.gz", o, "redirects")
	refused(t, "http://packs.example/mine.tar.gz", Options{}, "unencrypted")
	_, err := Get(t.Context(), "https://ana:secret@packs.example/mine.tar.gz", Options{})
	if err == nil || !strings.Contains(err.Error(), "holds a password") || strings.Contains(err.Error(), "secret@") {
		t.Errorf("got %v", err)
	}
}

func TestGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	dir := t.TempDir()
	folder := packFolder(t)
	if err := os.CopyFS(filepath.Join(dir, "packs", "mine"), os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	built := get(t, folder, Options{})
	if err := os.WriteFile(filepath.Join(dir, "mine.tar.gz"), built, 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) {
		t.Helper()
		c := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=Ana", "-c", "user.email=ana@finmicro.example"}, args...)...)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	run("init", "-q", "-b", "main")
	run("add", "-A")
	run("commit", "-q", "-m", "one")
	run("tag", "v1")
	if err := os.WriteFile(filepath.Join(dir, "packs", "mine", "README.md"), []byte("more\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	run("add", "-A")
	run("commit", "-q", "-m", "two")
	// As in a hook of another repository.
	t.Setenv("GIT_DIR", t.TempDir())
	t.Setenv("GIT_OBJECT_DIRECTORY", t.TempDir())
	address := "git+file://" + dir
	if !bytes.Equal(get(t, address+"//packs/mine@v1", Options{}), built) {
		t.Error("the folder at v1 differs from the one it was made of")
	}
	if bytes.Equal(get(t, address+"//packs/mine", Options{}), built) {
		t.Error("without a revision, an old one came")
	}
	if !bytes.Equal(get(t, address+"//mine.tar.gz@main", Options{}), built) {
		t.Error("another bundle came")
	}
	refused(t, address+"//nothing@v1", Options{}, "there is nothing")
	refused(t, address+"//packs/mine@v9", Options{}, "cannot fetch v9")
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "packs", "mine", "x.rego")); err != nil {
		t.Fatal(err)
	}
	os.Unsetenv("GIT_DIR")
	os.Unsetenv("GIT_OBJECT_DIRECTORY")
	run("add", "-A")
	run("commit", "-q", "-m", "link")
	refused(t, address+"//packs/mine", Options{}, "not a plain file")
}

func TestGitSources(t *testing.T) {
	for source, want := range map[string]gitSource{
		"git+https://git.example/packs.git//mine@v1":        {"https://git.example/packs.git", "https", "mine", "v1"},
		"git+https://git.example/packs.git":                 {"https://git.example/packs.git", "https", "", "HEAD"},
		"git+ssh://git@git.example/packs.git":               {"ssh://git@git.example/packs.git", "ssh", "", "HEAD"},
		"git+ssh://git@git.example/packs.git//a/b@main":     {"ssh://git@git.example/packs.git", "ssh", "a/b", "main"},
		"git+file:///srv/packs.git//mine.tar.gz@0123456789": {"file:///srv/packs.git", "file", "mine.tar.gz", "0123456789"},
	} {
		if got, err := parseGit(source); err != nil || got != want {
			t.Errorf("%s: %+v, %v", source, got, err)
		}
	}
	for _, source := range []string{
		"git+ext::sh -c true", "git+http://git.example/x", "git+https://", "git+https://git.example/x@--upload-pack=touch",
		"git+https://git.example/x//../y@v1", "git+https://git.example/x//-y@v1", "git+https://git.example/x@a..b", "git+https://a:b@git.example/x",
	} {
		if g, err := parseGit(source); err == nil {
			t.Errorf("%s was read as %+v", source, g)
		}
	}
}

func FuzzParseGit(f *testing.F) {
	f.Add("git+https://git.example/packs.git//mine@v1")
	f.Add("git+ssh://git@git.example/packs.git")
	f.Add("git+file:///srv/x//../y@-z")
	f.Add("git+file:///srv/x//..y/z")
	f.Add("git+file://///0/0")
	f.Add("git+file:///srv/x//..\xb6/y")
	f.Fuzz(func(t *testing.T, source string) {
		g, err := parseGit(source)
		if err != nil {
			return
		}
		if strings.HasPrefix(g.revision, "-") || strings.HasPrefix(g.path, "-") || g.path != "" && !filepath.IsLocal(g.path) || strings.HasPrefix(g.address, "-") {
			t.Errorf("%q became %+v", source, g)
		}
	})
}
