package cert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-acme/lego/v5/acme"
)

// What Pebble cannot be made to answer is put in the place of its answers here, as
// RFC 8555 has it.

// answer is one that is given instead of Pebble's.
type answer struct {
	status int
	header map[string]string
	body   string
}

func (a answer) response(q *http.Request, real *http.Response) *http.Response {
	h := http.Header{"Content-Type": {"application/problem+json"}}
	if real != nil {
		h.Set("Replay-Nonce", real.Header.Get("Replay-Nonce"))
		io.Copy(io.Discard, real.Body)
		real.Body.Close()
	}
	for k, v := range a.header {
		h.Set(k, v)
	}
	return &http.Response{StatusCode: a.status, Header: h, Body: io.NopCloser(strings.NewReader(a.body)), Request: q, ProtoMajor: 1, ProtoMinor: 1}
}

func problemJSON(kind, detail string) string {
	return fmt.Sprintf(`{"type":"urn:ietf:params:acme:error:%s","detail":%q}`, kind, detail)
}

// instead answers requests whose path begins with prefix; change may instead edit
// the real answer's body.
type instead struct {
	rt     http.RoundTripper
	prefix string
	answer *answer
	change func(body []byte) []byte
	times  int // how often; 0 for ever
	seen   int
}

func (i *instead) RoundTrip(q *http.Request) (*http.Response, error) {
	resp, err := i.rt.RoundTrip(q)
	if err != nil || i.prefix == "" || !strings.HasPrefix(q.URL.Path, i.prefix) {
		return resp, err
	}
	if i.seen++; i.times > 0 && i.seen > i.times {
		return resp, nil
	}
	if i.answer != nil {
		return i.answer.response(q, resp), nil
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(i.change(body)))
	return resp, err
}

func edit(f func(*acme.Order)) func([]byte) []byte {
	return func(body []byte) []byte {
		var o acme.Order
		if json.Unmarshal(body, &o) != nil {
			return body
		}
		f(&o)
		out, _ := json.Marshal(o)
		return out
	}
}

func TestAnswers(t *testing.T) {
	z := newTestZone(t)
	p := startPebble(t, z, pebbleOptions{})
	account, leaf := newKey(t), newKey(t)
	other := selfSigned(t, leaf, "other.example")

	isWait := func(until time.Duration) func(error) bool {
		return func(err error) bool {
			var w *WaitError
			return errors.As(err, &w) && errors.Is(err, ErrRateLimited) && !errors.Is(err, ErrRefused) &&
				w.Until.Sub(time.Now().Add(until)).Abs() < time.Minute
		}
	}
	refused := func(err error) bool { return errors.Is(err, ErrRefused) && !errors.Is(err, ErrRateLimited) }
	retried := func(err error) bool {
		return err != nil && !errors.Is(err, ErrRefused) && !errors.Is(err, ErrRateLimited)
	}
	count := 0
	for name, c := range map[string]struct {
		i    instead
		r    Request
		want func(error) bool
		says string
	}{
		"rate limited":            {instead{prefix: "/order-plz", answer: &answer{429, map[string]string{"Retry-After": "7200"}, problemJSON("rateLimited", "too many certificates (5) already issued")}}, Request{}, isWait(2 * time.Hour), "too many certificates (5)"},
		"rate limited, a date":    {instead{prefix: "/order-plz", answer: &answer{429, map[string]string{"Retry-After": time.Now().Add(3 * time.Hour).UTC().Format(http.TimeFormat)}, problemJSON("rateLimited", "x")}}, Request{}, isWait(3 * time.Hour), ""},
		"rate limited, no time":   {instead{prefix: "/order-plz", answer: &answer{429, nil, problemJSON("rateLimited", "x")}}, Request{}, isWait(time.Hour), ""},
		"rate limited, for ever":  {instead{prefix: "/order-plz", answer: &answer{429, map[string]string{"Retry-After": "99999999999"}, ""}}, Request{}, isWait(7 * 24 * time.Hour), ""},
		"busy":                    {instead{prefix: "/order-plz", answer: &answer{503, map[string]string{"Retry-After": "600"}, "busy"}}, Request{}, isWait(10 * time.Minute), ""},
		"CAA":                     {instead{prefix: "/finalize", answer: &answer{403, nil, problemJSON("caa", "CAA record for answers.example prevents issuance")}}, Request{}, refused, "CAA records"},
		"CAA of one name":         {instead{prefix: "/order-plz", answer: &answer{403, nil, `{"type":"urn:ietf:params:acme:error:compound","detail":"several","subproblems":[{"type":"urn:ietf:params:acme:error:dns","detail":"d"},{"type":"urn:ietf:params:acme:error:caa","detail":"forbidden","identifier":{"type":"dns","value":"answers.example"}}]}`}}, Request{}, refused, "CAA records of answers.example"},
		"account closed":          {instead{prefix: "/order-plz", answer: &answer{403, nil, problemJSON("unauthorized", "account is deactivated")}}, Request{}, retried, "account was closed"},
		"bad CSR":                 {instead{prefix: "/finalize", answer: &answer{400, nil, problemJSON("badCSR", "key too small")}}, Request{}, refused, "certificate request"},
		"wants a person":          {instead{prefix: "/order-plz", answer: &answer{403, nil, `{"type":"urn:ietf:params:acme:error:userActionRequired","detail":"new terms","instance":"https://ca.example/terms"}`}}, Request{}, refused, "https://ca.example/terms"},
		"no validity":             {instead{prefix: "/order-plz", answer: &answer{400, nil, problemJSON("malformed", "NotBefore and NotAfter are not supported")}}, Request{Validity: 24 * time.Hour}, refused, "Take the validity out"},
		"no JSON":                 {instead{prefix: "/order-plz", answer: &answer{502, map[string]string{"Content-Type": "text/html"}, "<html>bad gateway</html>"}}, Request{}, retried, "HTTP status 502"},
		"fails three times":       {instead{prefix: "/order-plz", answer: &answer{500, nil, problemJSON("serverInternal", "oops")}, times: 3}, Request{}, func(err error) bool { return err == nil }, ""},
		"fails to issue":          {instead{prefix: "/finalize", answer: &answer{500, nil, problemJSON("serverInternal", "oops")}, times: 1}, Request{}, retried, "problem of its own"},
		"cut off":                 {instead{prefix: "/order-plz", change: func(b []byte) []byte { return b[:len(b)/2] }}, Request{}, retried, "cannot be read"},
		"too large":               {instead{prefix: "/order-plz", change: func([]byte) []byte { return bytes.Repeat([]byte(" "), maxAnswer+1) }}, Request{}, retried, "larger than"},
		"redirect":                {instead{prefix: "/order-plz", answer: &answer{307, map[string]string{"Location": "https://192.0.2.1/"}, ""}}, Request{}, retried, "307"},
		"no nonce is taken":       {instead{prefix: "/order-plz", answer: &answer{400, nil, problemJSON("badNonce", "no")}}, Request{}, retried, "out of date"},
		"other names":             {instead{prefix: "/order-plz", change: edit(func(o *acme.Order) { o.Identifiers[0].Value = "other.example" })}, Request{}, retried, "other.example"},
		"plain HTTP":              {instead{prefix: "/order-plz", change: edit(func(o *acme.Order) { o.Authorizations[0] = "http://192.0.2.1/" })}, Request{}, retried, "no https address"},
		"many authorizations":     {instead{prefix: "/order-plz", change: edit(func(o *acme.Order) { o.Authorizations = make([]string, 101) })}, Request{}, retried, "101 authorizations"},
		"unknown state":           {instead{prefix: "/order-plz", change: edit(func(o *acme.Order) { o.Status = "odd" })}, Request{}, retried, "odd"},
		"invalid, without reason": {instead{prefix: "/my-order", change: edit(func(o *acme.Order) { o.Status = acme.StatusInvalid })}, Request{}, retried, "without saying why"},
		"invalid, CAA": {instead{prefix: "/my-order", change: edit(func(o *acme.Order) {
			o.Status, o.Error = acme.StatusInvalid, &acme.ProblemDetails{Type: "urn:ietf:params:acme:error:caa"}
		})}, Request{}, refused, "CAA"},
		"processing for long": {instead{prefix: "/my-order", change: edit(func(o *acme.Order) { o.Status = acme.StatusProcessing })}, Request{}, isWait(maxPatience + time.Minute), "taking long"},
		"pending for ever":    {instead{prefix: "/my-order", change: edit(func(o *acme.Order) { o.Status = acme.StatusPending })}, Request{}, isWait(maxPatience + time.Minute), "taking long"},
		"another name to prove": {instead{prefix: "/authZ", change: func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte("answers.example"), []byte("victims.example"))
		}}, Request{}, retried, "victims.example"},
		"no dns-01":               {instead{prefix: "/authZ", change: func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`"dns-01"`), []byte(`"dns-09"`)) }}, Request{}, refused, "dns-01"},
		"malformed token":         {instead{prefix: "/authZ", change: func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`"token": "`), []byte(`"token": "a b`)) }}, Request{}, retried, "malformed"},
		"another certificate":     {instead{prefix: "/certZ", change: func([]byte) []byte { return PEM([][]byte{other}) }}, Request{}, retried, "other names"},
		"no certificate":          {instead{prefix: "/certZ", change: func([]byte) []byte { return []byte("hello") }}, Request{}, retried, "not used"},
		"somebody else was first": {instead{prefix: "/finalize", answer: &answer{403, nil, problemJSON("orderNotReady", "it is processing")}}, Request{}, func(err error) bool { return err == nil }, ""},
		"account lost":            {instead{prefix: "/order-plz", answer: &answer{400, nil, problemJSON("accountDoesNotExist", "gone")}, times: 1}, Request{}, func(err error) bool { return err == nil }, ""},
		"accepted by another":     {instead{prefix: "/chalZ", answer: &answer{400, nil, problemJSON("malformed", "authorization is not pending")}}, Request{}, func(err error) bool { return err == nil }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			i := c.i
			a, err := through(t.Context(), p.config(account), func(rt http.RoundTripper) http.RoundTripper { i.rt = rt; return &i })
			if err != nil {
				t.Fatal(err)
			}
			a.config.Sleep = tick(a)
			r := c.r
			// Of its own: Pebble uses an authorization again in one case of a hundred, whatever it is told.
			count++
			r.ID, r.Names, r.Signer = name, names(fmt.Sprintf("n%d.answers.example", count)), leaf
			w := newTestWorld(z)
			_, err = a.Issue(t.Context(), r, nil, w)
			if !c.want(err) {
				t.Fatalf("%v", err)
			}
			if err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
			if z.left() != 0 {
				t.Errorf("%d records are left", z.left())
			}
			if i.seen == 0 {
				t.Error("nothing was answered instead")
			}
		})
	}
}
