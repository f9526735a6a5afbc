package service

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Retry is an http.RoundTripper for services whose SDK does not wait when it is told to
// come back later. It sends a request again when the service says that it did nothing
// (429, 503), and one that changes nothing also when no answer came. A request that
// changes something and got no answer is not sent again: whether it happened is found
// out by reading.
type Retry struct {
	Base     http.RoundTripper // default http.DefaultTransport
	Attempts int               // default DefaultAttempts
	Longest  time.Duration     // pause; default DefaultPause
	Sleep    func(ctx context.Context, d time.Duration) error

	// Throttled recognises other answers that say "later". It leaves the body as it was.
	Throttled func(r *http.Response) bool
}

// Defaults of Retry.
const (
	DefaultAttempts = 6
	DefaultPause    = 30 * time.Second
)

// RoundTrip implements http.RoundTripper.
func (r *Retry) RoundTrip(req *http.Request) (*http.Response, error) {
	base, attempts, longest, sleep := r.Base, r.Attempts, r.Longest, r.Sleep
	if base == nil {
		base = http.DefaultTransport
	}
	if attempts == 0 {
		attempts = DefaultAttempts
	}
	if longest == 0 {
		longest = DefaultPause
	}
	if sleep == nil {
		sleep = Pause
	}
	safe := req.Method == http.MethodGet || req.Method == http.MethodHead
	for i, pause := 1, time.Second; ; i, pause = i+1, 2*pause {
		resp, err := base.RoundTrip(req)
		later := err == nil && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable || r.Throttled != nil && r.Throttled(resp))
		if i >= attempts || !later && (err == nil || !safe) || req.Context().Err() != nil || req.Body != nil && req.GetBody == nil {
			return resp, err
		}
		wait := pause
		if err == nil {
			if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s >= 0 {
				wait = time.Duration(min(s, 3600)) * time.Second
			}
			io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
			resp.Body.Close()
		}
		if err := sleep(req.Context(), min(wait, longest)); err != nil {
			return nil, err
		}
		if req.Body != nil {
			body, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			req = req.Clone(req.Context())
			req.Body = body
		}
	}
}
