package observe

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// policyServer is a real HTTPS server, and a fetcher that is led to it whatever the name is. Its certificate is
// for example.com.
func policyServer(t *testing.T) (*Fetcher, *httptest.Server) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/policy", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write([]byte("version: STSv1\r\nx: \xff\r\n"))
	})
	mux.Handle("/moved", http.RedirectHandler("/policy", http.StatusMovedPermanently))
	mux.HandleFunc("/long", func(w http.ResponseWriter, r *http.Request) { w.Write(bytes.Repeat([]byte("x"), MaxPage+1)) })
	mux.HandleFunc("/cut", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.Write([]byte("x"))
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := httptest.NewUnstartedServer(mux)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return NewFetcher(roots, func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, s.Listener.Addr().String())
	}), s
}

// Pages are fetched once, kept to the octet and replayed.
func TestPages(t *testing.T) {
	f, _ := policyServer(t)
	seen := newLog(live{&Resolver{}, f}, Set{At: when, Resolver: "192.0.2.53:53"})
	for url, want := range map[string]Page{
		"https://example.com/policy": {Status: OK, Type: "text/plain; charset=utf-8", Body: []byte("version: STSv1\r\nx: \xff\r\n")},
		"https://example.com/moved":  {Status: "301", Type: "text/html; charset=utf-8", Body: []byte("<a href=\"/policy\">Moved Permanently</a>.\n\n")},
		"https://example.com/none":   {Status: "404", Type: "text/plain; charset=utf-8", Body: []byte("404 page not found\n")},
		"https://example.com/long":   {Status: TooLong},
		"https://example.com/cut":    {Status: Unreachable},
		"https://other.test/policy":  {Status: BadCertificate},
	} {
		got, err := seen.Get(t.Context(), url)
		if err != nil || got.URL != url || got.Status != want.Status || got.Type != want.Type || !bytes.Equal(got.Body, want.Body) {
			t.Errorf("%s: %+v, %v", url, got, err)
		}
	}
	read, err := Read("seen.json", bytes.NewReader(seen.Set().Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if read.Digest() != seen.Set().Digest() || !bytes.Contains(read.Bytes(), []byte(`"format":"slipway-observations/2"`)) {
		t.Errorf("read back otherwise:\n%s", read.Bytes())
	}
	replay := Replay(read)
	for _, p := range read.Pages {
		got, err := replay.Get(t.Context(), p.URL)
		if err != nil || got.Status != p.Status || !bytes.Equal(got.Body, p.Body) {
			t.Errorf("replayed %+v, %v", got, err)
		}
	}
	if replay.Set().Digest() != read.Digest() {
		t.Error("a replay that fetches the same has another digest")
	}
	if _, err := replay.Get(t.Context(), "https://unseen.test/"); !errors.Is(err, ErrMissing) {
		t.Errorf("got %v", err)
	}
	for _, url := range []string{"http://example.com/policy", "https://example.com:8443/", "https://user@example.com/", "https://example.com/?x", "https://example.com", "https:///x", "::"} {
		if _, err := f.Get(t.Context(), url); err == nil {
			t.Errorf("%s is fetched", url)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Get(ctx, "https://example.com/slow"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A file from before there were pages keeps its digest.
func TestOldFile(t *testing.T) {
	const old = `{"answers":[],"at":"2026-10-01T12:00:00Z","format":"slipway-observations/1","resolver":"192.0.2.53:53"}`
	s, err := Read("seen.json", strings.NewReader(old))
	if err != nil || string(s.Bytes()) != old {
		t.Errorf("%s, %v", s.Bytes(), err)
	}
}

// A name that leads into a private network is not followed there.
func TestPublicAddressesAlone(t *testing.T) {
	_, s := policyServer(t)
	r, err := NewResolver(serve(t, "local.test. 60 IN A 127.0.0.1\nlocal.test. 60 IN AAAA ::1\nprivate.test. 60 IN A 10.0.0.1\nshared.test. 60 IN A 100.64.0.1\nmapped.test. 60 IN AAAA ::ffff:169.254.169.254\npublic.test. 60 IN A 127.0.0.1\npublic.test. 60 IN A 203.0.113.9\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"local.test", "private.test", "shared.test", "mapped.test", "none.test"} {
		if a, err := r.public(t.Context(), host); err == nil {
			t.Errorf("%s leads to %s", host, a)
		}
	}
	if a, err := r.public(t.Context(), "public.test"); err != nil || a.String() != "203.0.113.9" {
		t.Errorf("public.test: %v, %v", a, err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	if p, err := NewFetcher(roots, r.DialPublic).Get(t.Context(), "https://local.test/policy"); err != nil || p.Status != Unreachable {
		t.Errorf("%+v, %v", p, err)
	}
}
