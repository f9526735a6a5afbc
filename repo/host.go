package repo

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// HostOptions wires the smart-HTTP host to the server.
type HostOptions struct {
	// Authenticate returns the person behind a request (HTTP basic: user, token). Refusal is 401.
	Authenticate func(r *http.Request) (Person, error)
	// Receive handles `git push origin HEAD:refs/for/main`: lines written to progress reach the pusher at once.
	// A nil error accepts the push; the text of any other is shown to the pusher. When it returns, the commit is
	// kept only if Receive made a ref for it.
	Receive      func(ctx context.Context, by Person, commit string, options []string, progress io.Writer) error
	MaxPackBytes int64 // default 64 MiB
	// Log hears of faults of the server, which a pusher is only told of; nil is silence.
	Log *slog.Logger
}

// Bounds of what clients may ask of the host.
const (
	DefaultMaxPackBytes = 64 << 20
	maxFetchRequest     = 16 << 20 // of "have" lines
	maxFetches          = 16       // at once
	maxPushes           = 4        // at once
	requestTimeout      = 10 * time.Minute
	stallTimeout        = time.Minute // without a byte of the answer taken
)

// host speaks Git's smart HTTP protocol (gitprotocol-http(5)). Fetches are run by
// git upload-pack. Pushes are read here: no hook, no shell and no receive-pack
// takes part, so nothing but refs/for/main can ever get further than receive.go.
type host struct {
	repo *Repo
	HostOptions
	fetches, pushes chan struct{}
}

// Host serves the repository at the handler's root, to signed-in people only.
// Pushes to anything but refs/for/main are refused with a sentence.
func (r *Repo) Host(o HostOptions) (http.Handler, error) {
	if o.Authenticate == nil {
		return nil, errors.New("host: without Authenticate everybody could read the repository")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxPackBytes <= 0 {
		o.MaxPackBytes = DefaultMaxPackBytes
	}
	// What pushes left in quarantine when the server was killed.
	stale, err := filepath.Glob(filepath.Join(r.git.dir, quarantinePrefix+"*"))
	if err != nil {
		return nil, err
	}
	for _, dir := range stale {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > requestTimeout {
			if err := os.RemoveAll(dir); err != nil {
				return nil, fmt.Errorf("host: %w", err)
			}
		}
	}
	return &host{repo: r, HostOptions: o, fetches: make(chan struct{}, maxFetches), pushes: make(chan struct{}, maxPushes)}, nil
}

const (
	uploadPack  = "git-upload-pack"
	receivePack = "git-receive-pack"
)

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	person, err := h.Authenticate(r)
	if err != nil {
		header.Set("WWW-Authenticate", `Basic realm="Slipway", charset="UTF-8"`)
		http.Error(w, "Sign in with your e-mail address as the user name and a personal token as the password.", http.StatusUnauthorized)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	r = r.WithContext(ctx)
	rc := http.NewResponseController(w)
	// Not every server can do this; those that cannot have their own limits.
	_ = rc.SetReadDeadline(time.Now().Add(requestTimeout))

	service := strings.TrimPrefix(r.URL.Path, "/")
	switch {
	case service == "info/refs" && r.Method == http.MethodGet:
		h.advertise(w, r)
	case (service == uploadPack || service == receivePack) && r.Method == http.MethodPost:
		// Also keeps pages of other sites from posting with a browser's credentials.
		if r.Header.Get("Content-Type") != "application/x-"+service+"-request" {
			http.Error(w, "This address is for git, not for a browser.", http.StatusUnsupportedMediaType)
			return
		}
		body, err := requestBody(r)
		if err != nil {
			http.Error(w, "The request is not valid gzip.", http.StatusBadRequest)
			return
		}
		header.Set("Content-Type", "application/x-"+service+"-result")
		if service == uploadPack {
			h.upload(w, r, io.LimitReader(body, maxFetchRequest))
		} else {
			h.push(w, r, person, bufio.NewReaderSize(body, 64<<10))
		}
	default:
		http.NotFound(w, r)
	}
}

func requestBody(r *http.Request) (io.Reader, error) {
	switch r.Header.Get("Content-Encoding") {
	case "", "identity":
		return r.Body, nil
	case "gzip", "x-gzip":
		return gzip.NewReader(r.Body)
	}
	return nil, errors.New("unknown content encoding")
}

// enter takes a place among those served at once.
func enter(ctx context.Context, places chan struct{}) (leave func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// advertise answers GET info/refs: which refs there are, and what the service can.
func (h *host) advertise(w http.ResponseWriter, r *http.Request) {
	service := r.URL.Query().Get("service")
	switch {
	case service == uploadPack:
		w.Header().Set("Content-Type", "application/x-"+uploadPack+"-advertisement")
		if !strings.Contains(protocolOf(r), "version=2") {
			io.WriteString(w, pkt("# service="+uploadPack+"\n")+flushPkt)
		}
		h.upload(w, r, nil, "--http-backend-info-refs")
	case service == receivePack && h.Receive != nil:
		main, err := h.repo.Resolve(r.Context(), Main)
		if err != nil {
			http.Error(w, "The repository cannot be read just now; try again in a minute.", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/x-"+receivePack+"-advertisement")
		format := "sha1"
		if len(main) == 64 {
			format = "sha256"
		}
		// delete-refs and atomic are here so that those pushes reach the sentence that refuses them.
		io.WriteString(w, pkt("# service="+receivePack+"\n")+flushPkt+
			pkt(main+" "+Main+"\x00report-status side-band-64k ofs-delta delete-refs atomic quiet push-options object-format="+format+" agent=slipway\n")+flushPkt)
	default:
		http.Error(w, "Only Git's smart HTTP protocol is spoken here.", http.StatusForbidden)
	}
}

var protocolHeader = regexp.MustCompile(`^[a-z0-9=:.-]{1,64}$`)

// protocolOf returns the protocol version that a client asks for, to be handed to git.
func protocolOf(r *http.Request) string {
	if p := r.Header.Get("Git-Protocol"); protocolHeader.MatchString(p) {
		return p
	}
	return ""
}

// upload runs git upload-pack with the answer as its output.
func (h *host) upload(w http.ResponseWriter, r *http.Request, body io.Reader, args ...string) {
	leave, err := enter(r.Context(), h.fetches)
	if err != nil {
		return // the client has gone
	}
	defer leave()
	args = append([]string{
		"-c", "transfer.hideRefs=refs/slipway", "-c", "uploadpack.allowFilter=true", "-c", "pack.threads=1",
		"upload-pack", "--stateless-rpc", "--strict", "--timeout=60",
	}, args...)
	g := git{safe: h.repo.git.safe}
	if p := protocolOf(r); p != "" {
		g.extra = append(g.extra, "GIT_PROTOCOL="+p)
	}
	cmd := g.command(r.Context(), append(args, h.repo.git.dir)...)
	cmd.Stdin, cmd.Stdout = body, newFlushWriter(w)
	// Its complaints are about the client's request and reach the client within the protocol.
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		h.Log.ErrorContext(r.Context(), "fetch cannot be served", "error", err)
		http.Error(w, "git cannot be run on this server.", http.StatusInternalServerError)
	}
}

// flushWriter passes every write on at once, and gives up on a client that takes nothing.
type flushWriter struct {
	w  io.Writer
	rc *http.ResponseController
}

func newFlushWriter(w http.ResponseWriter) *flushWriter {
	return &flushWriter{w, http.NewResponseController(w)}
}

func (f *flushWriter) Write(p []byte) (int, error) {
	_ = f.rc.SetWriteDeadline(time.Now().Add(stallTimeout)) // as far as the server can
	n, err := f.w.Write(p)
	if err == nil {
		err = f.flush()
	}
	return n, err
}

func (f *flushWriter) flush() error {
	if err := f.rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
