package cert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds on what an authority may answer.
const (
	maxAnswer = 256 << 10 // an order for a hundred names, or a long chain in PEM, is far smaller
	// maxNonceTries bounds how often one request is signed anew because its nonce was
	// not taken. Where every second nonce is refused, as Pebble can be told to do, a
	// request fails once in 2^40.
	maxNonceTries = 40
)

// reply is what is used of an authority's answer.
type reply struct {
	status   int
	body     []byte
	location string
	retry    time.Duration // Retry-After; 0 when there is none
	nonce    string
	problem  bool // the body is a problem document (RFC 7807)
}

// maxMishaps bounds how often a request is repeated that an authority failed at.
const maxMishaps = 4

// post sends payload signed by our account, and reads the answer into out. nil asks
// for the resource itself (POST-as-GET, RFC 8555 section 6.3). It repeats what the
// authority failed at with an error of its own: step-ca does so when it has two
// requests of one account at once. So it is not for what must not be done twice.
func (a *Authority) post(ctx context.Context, url string, payload, out any) (reply, error) {
	pause := firstPause
	for mishaps := 1; ; mishaps++ {
		r, err := a.postOnce(ctx, url, payload, out)
		var p *Problem
		if !errors.As(err, &p) || p.Status < http.StatusInternalServerError || mishaps == maxMishaps {
			return r, err
		}
		if err := a.config.Sleep(ctx, pause); err != nil {
			return r, err
		}
		pause *= 2
	}
}

func (a *Authority) postOnce(ctx context.Context, url string, payload, out any) (reply, error) {
	account := a.Account()
	r, err := a.send(ctx, url, account, payload, out)
	var p *Problem
	if errors.As(err, &p) && p.Type == "accountDoesNotExist" {
		// The authority has lost our account, or is another one at the same address.
		if err := a.register(ctx, account); err != nil {
			return reply{}, err
		}
		return a.send(ctx, url, a.Account(), payload, out)
	}
	return r, err
}

// send signs and sends until a nonce is taken. RFC 8555 section 6.5: the refusal
// brings a fresh nonce, so there is nothing to wait for.
func (a *Authority) send(ctx context.Context, url, account string, payload, out any) (reply, error) {
	content := []byte{}
	if payload != nil {
		var err error
		if content, err = json.Marshal(payload); err != nil {
			return reply{}, err
		}
	}
	signer := a.signer
	signer.kid = account
	var err error
	for range maxNonceTries {
		var nonce string
		if nonce, err = a.nonce(ctx); err != nil {
			return reply{}, err
		}
		var body []byte
		if body, err = signer.sign(content, url, nonce); err != nil {
			return reply{}, fmt.Errorf("account key: %w", err)
		}
		var r reply
		if r, err = a.do(ctx, http.MethodPost, url, body, out); err == nil {
			return r, nil
		}
		var p *Problem
		if !errors.As(err, &p) || p.Type != "badNonce" {
			return r, err
		}
	}
	return reply{}, err
}

func (a *Authority) get(ctx context.Context, url string, out any) (reply, error) {
	return a.do(ctx, http.MethodGet, url, nil, out)
}

// do makes one request. The answer is read into out: JSON, or the body itself when
// out is a *[]byte.
func (a *Authority) do(ctx context.Context, method, url string, body []byte, out any) (reply, error) {
	if !strings.HasPrefix(url, "https://") {
		return reply{}, fmt.Errorf("the authority named %.200q, which is no https address", url)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("User-Agent", "slipway")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/jose+json")
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return reply{}, fmt.Errorf("the authority cannot be reached: %w", err)
	}
	defer resp.Body.Close()
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	r := reply{
		status:   resp.StatusCode,
		location: resp.Header.Get("Location"),
		retry:    retryAfter(resp.Header.Get("Retry-After"), a.config.Now()),
		nonce:    resp.Header.Get("Replay-Nonce"),
		problem:  media == "application/problem+json",
	}
	if method != http.MethodHead {
		a.nonces.push(r.nonce)
	}
	if r.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1)); err != nil {
		return r, fmt.Errorf("the authority's answer broke off: %w", err)
	}
	if len(r.body) > maxAnswer {
		return r, fmt.Errorf("the authority's answer is larger than %d bytes", maxAnswer)
	}
	if r.status < 200 || r.status > 299 {
		return r, a.problem(r)
	}
	switch out := out.(type) {
	case nil:
	case *[]byte:
		*out = r.body
	default:
		if err := json.Unmarshal(r.body, out); err != nil {
			return r, fmt.Errorf("the authority's answer from %s cannot be read: %w", url, err)
		}
	}
	return r, nil
}

// nonce is one that no request of ours has used.
func (a *Authority) nonce(ctx context.Context) (string, error) {
	if n := a.nonces.pop(); n != "" {
		return n, nil
	}
	r, err := a.do(ctx, http.MethodHead, a.dir.NewNonceURL, nil, nil)
	if err != nil {
		return "", err
	}
	if r.nonce == "" {
		return "", errors.New("the authority gives no nonce to sign with (RFC 8555 section 7.2)")
	}
	return r.nonce, nil
}

// nonces are those that answers brought, the latest used first.
type nonces struct {
	mu   sync.Mutex
	list []string
}

func (n *nonces) push(nonce string) {
	if nonce == "" || len(nonce) > 1024 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.list) >= maxNonces {
		n.list = append(n.list[:0], n.list[1:]...) // the oldest is the first to be out of date
	}
	n.list = append(n.list, nonce)
}

func (n *nonces) pop() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.list) == 0 {
		return ""
	}
	last := n.list[len(n.list)-1]
	n.list = n.list[:len(n.list)-1]
	return last
}

// maxRetryAfter bounds what an authority may ask us to wait.
const maxRetryAfter = 7 * 24 * time.Hour

// retryAfter reads the header in both of its forms (RFC 9110 section 10.2.3).
func retryAfter(header string, now time.Time) time.Duration {
	var d time.Duration
	if seconds, err := strconv.Atoi(header); err == nil {
		d = time.Duration(min(max(seconds, 0), int(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
