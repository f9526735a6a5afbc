package portal

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"slipway/flow"
)

// Bounds of one request.
const (
	maxForm      = 256 << 10
	maxJSON      = 4 << 20
	readTimeout  = 30 * time.Second
	writeTimeout = 3 * time.Minute // more than a submission or a wait may take
)

// contentPolicy lets a page load what this server serves and nothing else:
// no inline script or style, no frame, no other origin.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// protect is around everything: headers, cross-origin requests, sizes, times and panics.
func (s *server) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-store")
		if s.https {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		rt := route{face: faceOf(r.URL.Path)}
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				// The pattern, not the path: a path can hold a sign-in link's secret.
				s.Logger.Error("panic", "method", r.Method, "route", r.Pattern, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				s.fail(w, &request{Request: r}, rt, fmt.Errorf("panic while serving %s", r.Method))
			}
		}()
		if strings.HasPrefix(r.URL.Path, "/git/") {
			// Packs are large and slow; the Git host has its own bounds, and no cookie opens it.
			next.ServeHTTP(w, r)
			return
		}
		// Not every ResponseWriter can do this; the server's own can.
		rc := http.NewResponseController(w)
		_ = rc.SetReadDeadline(s.wallClock().Add(readTimeout))
		_ = rc.SetWriteDeadline(s.wallClock().Add(writeTimeout))
		limit := int64(maxForm)
		if rt.face == api {
			limit = maxJSON
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		// A bearer token is never sent by a browser on its own, so only cookies need this.
		if rt.face != api || r.Header.Get("Authorization") == "" {
			if err := s.csrf.Check(r); err != nil {
				s.fail(w, &request{Request: r}, rt, &flow.Error{Code: flow.Forbidden, Message: "This request came from another site, so nothing was done.", Help: "Open the page on this site and try again.", Detail: err})
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// wallClock is for deadlines of the network, which know no other clock than the real one.
func (s *server) wallClock() time.Time { return time.Now() }

func faceOf(path string) face {
	if strings.HasPrefix(path, "/api/") {
		return api
	}
	return page
}

// dispatch runs the mux, and says in our own words what the mux would say in English for programmers.
func (s *server) dispatch(w http.ResponseWriter, r *http.Request) {
	h, pattern := s.mux.Handler(r)
	if pattern != "" {
		s.mux.ServeHTTP(w, r) // sets the path's values, which h alone does not
		return
	}
	probe := &discard{header: http.Header{}}
	h.ServeHTTP(probe, r)
	rt, req := route{face: faceOf(r.URL.Path)}, &request{Request: r}
	if p, err := s.door.Session(r); err == nil {
		req.person = p
	}
	switch {
	case probe.status == http.StatusMethodNotAllowed:
		w.Header().Set("Allow", probe.header.Get("Allow"))
		s.fail(w, req, rt, &flow.Error{Code: methodNotAllowed, Message: "This address does not take " + r.Method + " requests.", Help: "It takes: " + probe.header.Get("Allow") + "."})
	case probe.status >= 300 && probe.status < 400:
		h.ServeHTTP(w, r) // a path that was not clean
	default:
		s.fail(w, req, rt, notFound("This page"))
	}
}

// discard is a ResponseWriter that keeps the status and headers only.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
