// Package client speaks the server's JSON API, for the command line and for
// programs. It reads no environment and keeps no state but the connection: the
// server's address and the token are arguments. Read client.go for how a request
// is made, then api.go for what can be asked.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits and delays. They are generous for people and finite for mishaps.
const (
	MaxResponse     = 64 << 20         // bytes; a list of a thousand changes is well below
	DefaultTimeout  = 30 * time.Second // for one request
	SubmitTimeout   = 2 * time.Minute  // a submission returns when its verdict is recorded
	DefaultAttempts = 3                // of a request that may be repeated
	firstPause      = 250 * time.Millisecond
	longestPause    = 10 * time.Second
)

// Client asks one server. Safe for concurrent use.
type Client struct {
	base      *url.URL
	token     string
	userAgent string
	plain     bool
	http      *http.Client
	pause     func(ctx context.Context, d time.Duration) error
}

// Option changes a default of a client.
type Option func(*Client)

// PlainHTTP allows http:// to other machines, for where something else protects the connection.
func PlainHTTP(allow bool) Option { return func(c *Client) { c.plain = allow } }

// UserAgent names the program to the server.
func UserAgent(name string) Option { return func(c *Client) { c.userAgent = name } }

// Transport carries the requests in place of http.DefaultTransport.
func Transport(t http.RoundTripper) Option { return func(c *Client) { c.http.Transport = t } }

// Pause waits between attempts in place of the clock.
func Pause(wait func(ctx context.Context, d time.Duration) error) Option {
	return func(c *Client) { c.pause = wait }
}

// New returns a client of the server ("https://slipway.finmicro.example"; plain http only
// to this machine) that speaks for the owner of a personal token ("slip_…"; empty for what
// is public). It makes no request.
func New(server, token string, options ...Option) (*Client, error) {
	c := &Client{token: token, userAgent: "slipway", pause: pauseByClock}
	c.http = &http.Client{
		// A redirect would move the token, or turn a POST into a GET, without anybody noticing.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for _, o := range options {
		o(c)
	}
	var err error
	if c.base, err = parseServer(server, c.plain); err != nil {
		return nil, err
	}
	if strings.ContainsAny(token, "\r\n \t") {
		return nil, &Error{Code: Invalid, Message: "The token has spaces or line breaks in it.", Help: "Sign in again with slipway login, and paste the token alone."}
	}
	return c, nil
}

// Server is the address that the client speaks to, for messages.
func (c *Client) Server() string { return c.base.String() }

func parseServer(server string, plain bool) (*url.URL, error) {
	if server == "" {
		return nil, &Error{Code: Invalid, Message: "No server is set.", Help: "Give --server https://…, set SLIPWAY_SERVER, or sign in once with slipway login --server https://…"}
	}
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, &Error{Code: Invalid, Message: fmt.Sprintf("%q is not a server's address.", server), Help: "Write it as https://slipway.example.com"}
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, &Error{Code: Invalid, Message: "A server's address has no user name, query or fragment.", Help: "Write it as https://slipway.example.com"}
	}
	if u.Scheme == "http" && !plain && !loopback(u.Hostname()) {
		return nil, &Error{Code: Invalid,
			Message: fmt.Sprintf("%s would carry your token over an unprotected connection.", server),
			Help:    "Use https://, or add --plain-http if something else protects the connection."}
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}

func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761 section 6.3
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// call is one request to the API.
type call struct {
	method  string
	path    []string // below the server's address, escaped here
	query   url.Values
	body    any // JSON; nil for none
	timeout time.Duration
	// repeat says that asking twice does no more than asking once, so that a lost answer may be asked for again.
	repeat bool
}

// json makes the call and decodes the answer into out, unless that is nil.
func (c *Client) json(ctx context.Context, r call, out any) error {
	answer, err := c.do(ctx, r)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return &Error{Code: Unavailable, Message: c.base.Host + " answered with something that is not Slipway's.", Help: "Check the server's address.", Detail: err}
	}
	return nil
}

func (c *Client) do(ctx context.Context, r call) ([]byte, error) {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return nil, fmt.Errorf("request to %s: %w", strings.Join(r.path, "/"), err)
		}
	}
	attempts := 1
	if r.repeat {
		attempts = DefaultAttempts
	}
	pause := firstPause
	for {
		answer, retryAfter, err := c.once(ctx, r, body)
		attempts--
		if err == nil || attempts == 0 || retryAfter < 0 {
			return answer, err
		}
		if err := c.pause(ctx, min(max(pause, retryAfter), longestPause)); err != nil {
			return nil, err
		}
		pause *= 4
	}
}

// never as a delay: asking again would not help.
const never time.Duration = -1

func (c *Client) once(ctx context.Context, r call, body []byte) (answer []byte, retryAfter time.Duration, err error) {
	timeout := r.timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	for _, s := range r.path {
		if s == "" || s == "." || s == ".." { // JoinPath would ask for something else
			return nil, never, &Error{Code: Invalid, Message: fmt.Sprintf("%q is no name or ID.", s), Help: "Give the ID as slipway request list shows it."}
		}
	}
	u := c.base.JoinPath(r.path...)
	u.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, never, fmt.Errorf("request to %s: %w", u.Path, err)
	}
	req.Header.Set("User-Agent", c.userAgent)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}

	resp, err := c.http.Do(req)
	if err != nil {
		return nil, 0, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, MaxResponse+1))
	if err != nil {
		return nil, 0, c.unreachable(ctx, err)
	}
	if len(answer) > MaxResponse {
		return nil, never, &Error{Code: Unavailable, Message: fmt.Sprintf("%s sent more than %d MiB, which is not read.", c.base.Host, MaxResponse>>20), Help: "Ask for less at a time, for example with --limit."}
	}
	if resp.StatusCode/100 == 2 {
		return answer, never, nil
	}
	return nil, mayPass(resp), c.refused(resp, answer)
}

// mayPass says after how long the same request may succeed.
func mayPass(resp *http.Response) time.Duration {
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")) // RFC 9110 section 10.2.3; the date form is not worth a clock
		if err != nil || seconds < 0 || seconds > 3600 {
			return 0
		}
		return time.Duration(seconds) * time.Second
	}
	return never
}

// refused reads the error that the server sent, or says what the status means.
func (c *Client) refused(resp *http.Response, answer []byte) error {
	var sent struct {
		Error *Error `json:"error"`
	}
	if json.Unmarshal(answer, &sent) == nil && sent.Error != nil && sent.Error.Message != "" {
		sent.Error.Status = resp.StatusCode
		return sent.Error
	}
	e := &Error{Status: resp.StatusCode, Code: codeOf(resp.StatusCode)}
	switch {
	case resp.StatusCode/100 == 3:
		e.Message = fmt.Sprintf("%s points to %s instead of answering.", c.base.Host, place(resp.Header.Get("Location")))
		e.Help = "Use that address as the server, if you trust it."
	case resp.StatusCode == http.StatusUnauthorized:
		e.Message, e.Help = c.base.Host+" does not know you.", "Sign in with slipway login."
	case resp.StatusCode == http.StatusNotFound:
		e.Message, e.Help = c.base.Host+" has nothing there.", "Check the server's address and the name or ID that you gave."
	default:
		e.Message, e.Help = fmt.Sprintf("%s answered %s.", c.base.Host, resp.Status), "Try again in a while; if it stays so, tell whoever runs the server."
	}
	return e
}

// place reduces a redirect's target to what is safe to print.
func place(location string) string {
	u, err := url.Parse(location)
	if err != nil || u.Host == "" {
		return "another address"
	}
	return u.Scheme + "://" + u.Host
}

func (c *Client) unreachable(ctx context.Context, err error) error {
	var dns *net.DNSError
	e := &Error{Code: Unavailable, Detail: err, Message: "Slipway's server at " + c.base.Host + " cannot be reached."}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		e.Message, e.Help = "Slipway's server at "+c.base.Host+" did not answer in time.", "Try again in a while."
	case errors.As(err, &dns):
		e.Help = "There is no such host name. Check the server's address."
	default:
		e.Help = "Check that it runs and that the address is right."
	}
	return e
}

func pauseByClock(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
