// Package fetch brings policy packs from where they are published: a folder or a
// file, HTTP(S), Git, an OCI registry, or Slipway itself; and publishes them to
// a registry. What it brings is bytes of a bounded size and nothing more: whether
// they are to be believed is for package pack, by digest and signature. It takes
// no secrets in addresses, since those end up in packs.lock. Read Get first.
package fetch

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"slipway/pack"
)

// Timeout is how long one source may take.
const Timeout = 2 * time.Minute

// Options are what a source may need.
type Options struct {
	HTTP         *http.Client // nil for one without special settings
	PlainHTTP    bool         // allow http:// to other machines
	Token        string       // bearer token for HTTP(S) sources; "" for none
	DockerConfig string       // Docker's config.json with registry credentials; "" for the usual place
	UserAgent    string
}

// Fault says why a source does not give a pack, for people.
type Fault struct {
	Source string
	What   string
	Help   string
	Err    error
}

func (f *Fault) Error() string {
	if f.Err != nil {
		return fmt.Sprintf("%s: %s: %v", f.Source, f.What, f.Err)
	}
	return fmt.Sprintf("%s: %s", f.Source, f.What)
}

func (f *Fault) Unwrap() error { return f.Err }

const (
	builtinScheme = "builtin:"
	ociScheme     = "oci://"
	gitScheme     = "git+"
)

// Get brings a pack's bundle from its source:
//
//	./packs/mine                                a folder, built on the way
//	mine.tar.gz                                 a file
//	builtin:email-auth                          a pack that comes with Slipway
//	https://packs.example/mine.tar.gz
//	git+https://git.example/packs.git//mine@v1  a folder or bundle in a Git repository
//	oci://registry.example/packs/mine:1.2.0     an artifact in a registry
func Get(ctx context.Context, source string, o Options) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	switch {
	case strings.HasPrefix(source, builtinScheme):
		src, _, err := pack.Builtin(strings.TrimPrefix(source, builtinScheme))
		return src, err
	case strings.HasPrefix(source, ociScheme):
		return o.registry(ctx, source)
	case strings.HasPrefix(source, gitScheme):
		return git(ctx, source)
	case strings.HasPrefix(source, "https://"), strings.HasPrefix(source, "http://"):
		return o.web(ctx, source)
	case strings.Contains(source, "://"):
		return nil, &Fault{Source: source, What: "packs do not come by this scheme", Help: "Use a path, builtin:, https://, git+https://, git+ssh://, git+file:// or oci://."}
	}
	return local(source)
}

// IsBuiltin reports whether a source is a pack that comes with Slipway.
func IsBuiltin(source string) bool { return strings.HasPrefix(source, builtinScheme) }

func local(source string) ([]byte, error) {
	info, err := os.Stat(source)
	if err != nil {
		return nil, &Fault{Source: source, What: "there is no such file or folder", Help: "A pack that comes with Slipway is written builtin:NAME; slipway pack list --available lists them."}
	}
	if info.IsDir() {
		// A root, so that links in the folder cannot lead out of it.
		root, err := os.OpenRoot(source)
		if err != nil {
			return nil, err
		}
		defer root.Close()
		return folder(root.FS())
	}
	f, err := os.Open(source)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return bounded(source, f)
}

func folder(dir fs.FS) ([]byte, error) {
	files, err := pack.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	src, _, err := pack.Build(files)
	return src, err
}

func bounded(source string, r io.Reader) ([]byte, error) {
	src, err := io.ReadAll(io.LimitReader(r, pack.MaxBundle+1))
	if err != nil {
		return nil, &Fault{Source: source, What: "it could not be read to its end", Err: err}
	}
	if len(src) > pack.MaxBundle {
		return nil, &Fault{Source: source, What: fmt.Sprintf("it is larger than %d MiB", pack.MaxBundle>>20), Help: "Packs hold policies; keep other data out of them."}
	}
	return src, nil
}

// address parses a URL and refuses what must not stand in one.
func (o Options) address(source, raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" && u.Scheme != "file" {
		return nil, &Fault{Source: withoutSecret(raw), What: "this is not an address"}
	}
	if _, secret := u.User.Password(); secret {
		return nil, &Fault{Source: withoutSecret(raw), What: "the address holds a password, which would end up in packs.lock", Help: "Leave it out. Registries take it from Docker's config.json, Git from its credential helpers, HTTP from --token-from."}
	}
	if u.Scheme == "http" && !o.PlainHTTP && !loopback(u.Hostname()) {
		return nil, &Fault{Source: source, What: "it would come over the network unencrypted", Help: "Use https://, or allow it with --plain-http; digest and signature are checked either way."}
	}
	return u, nil
}

// withoutSecret makes an address safe to show.
func withoutSecret(raw string) string {
	scheme, rest, found := strings.Cut(raw, "://")
	at := strings.LastIndexByte(rest, '@')
	if !found || at < 0 {
		return raw
	}
	return scheme + "://…" + rest[at:]
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (o Options) web(ctx context.Context, source string) ([]byte, error) {
	u, err := o.address(source, source)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, &Fault{Source: source, What: "this is not an address"}
	}
	request.Header.Set("Accept", "application/gzip, application/vnd.openpolicyagent.bundles, application/octet-stream;q=0.9, */*;q=0.1")
	if o.UserAgent != "" {
		request.Header.Set("User-Agent", o.UserAgent)
	}
	if o.Token != "" {
		request.Header.Set("Authorization", "Bearer "+o.Token) // Go leaves it out when redirected to another host
	}
	answer, err := o.client().Do(request)
	if err != nil {
		return nil, &Fault{Source: source, What: "it cannot be fetched", Help: "Is the address right, and can this machine reach it?", Err: err}
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, &Fault{Source: source, What: "the server answers " + answer.Status, Help: "Is the address right? For one that needs a token, use --token-from."}
	}
	return bounded(source, answer.Body)
}

const maxRedirects = 5

// client follows no redirect to an unencrypted address that the source did not begin with.
func (o Options) client() *http.Client {
	c := http.Client{}
	if o.HTTP != nil {
		c = *o.HTTP
	}
	c.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		if next.URL.Scheme != "https" && via[0].URL.Scheme == "https" {
			return fmt.Errorf("redirected to %s, which is not encrypted", next.URL.Host)
		}
		return nil
	}
	return &c
}
