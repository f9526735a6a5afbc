package forward

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"slipway/audit"
	"slipway/internal/part"
	"slipway/internal/webhook"
	"slipway/secret"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 10

// post is the part that HEC and webhooks share.
type post struct {
	url    string
	client *http.Client
	origin string
	format format
}

// newPost reads where to post to; path is where that is on a server of which only the
// name is given.
func newPost(ctx context.Context, in *part.Reader, o Options, usual, path string) post {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	address := in.URL("url")
	if strings.Trim(address.Path, "/") == "" {
		address.Path = path
	}
	transport.TLSClientConfig = tlsOf(ctx, in)
	return post{
		url: address.String(), origin: o.Origin, format: formatOf(in, usual),
		client: &http.Client{
			Transport: transport, Timeout: sendTimeout,
			// A redirect could carry the token to somewhere else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// send posts a body and reads the answer. An error says what the other side said, which
// never holds what was sent in a header.
func (p *post) send(ctx context.Context, body []byte, header map[string]string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return nil, fmt.Errorf("%s answers %s: %.200q", p.url, res.Status, answer)
	}
	return answer, nil
}

func (p *post) unsettled() (uint64, bool, time.Duration) { return 0, false, 0 }
func (p *post) close() error                             { p.client.CloseIdleConnections(); return nil }

// hec is an HTTP event collector as Splunk has it: events one after the other in one body.
type hec struct {
	post
	token        secret.Value
	index, stype string
}

func openHEC(ctx context.Context, in *part.Reader, o Options) func() (sink, error) {
	h := &hec{post: newPost(ctx, in, o, "ocsf", "/services/collector/event"), token: in.Secret(ctx, "token", true), index: in.Text("index", ""), stype: in.Text("sourcetype", "slipway:audit")}
	return func() (sink, error) { return h, nil }
}

func (h *hec) send(ctx context.Context, events []audit.Receipt) error {
	var body bytes.Buffer
	for _, r := range events {
		raw, err := h.format(h.origin, r)
		if err != nil {
			return err
		}
		var event any = json.RawMessage(raw)
		if !json.Valid(raw) {
			event = string(raw) // CEF is a line of text
		}
		entry := map[string]any{
			"time":       json.Number(strconv.FormatFloat(float64(r.Event.Timestamp.UnixMilli())/1000, 'f', 3, 64)),
			"source":     h.origin,
			"sourcetype": h.stype,
			"event":      event,
		}
		if h.index != "" {
			entry["index"] = h.index
		}
		line, err := json.Marshal(entry)
		if err != nil {
			return err
		}
		body.Write(line)
		body.WriteByte('\n')
	}
	answer, err := h.post.send(ctx, body.Bytes(), map[string]string{"Authorization": "Splunk " + h.token.Reveal()})
	if err != nil {
		return err
	}
	var said struct {
		Text string `json:"text"`
		Code *int   `json:"code"`
	}
	if err := json.Unmarshal(answer, &said); err != nil || said.Code == nil || *said.Code != 0 {
		return fmt.Errorf("%s did not take the events: %.200q", h.url, answer)
	}
	return nil
}

// hook posts batches that are signed as the Standard Webhooks specification has it.
type hook struct {
	post
	key []byte
	now func() time.Time
}

func openWebhook(ctx context.Context, in *part.Reader, o Options) func() (sink, error) {
	w := &hook{post: newPost(ctx, in, o, "event", "/"), now: time.Now}
	key, err := webhook.Key(in.Secret(ctx, "secret", true).Reveal())
	if err != nil {
		in.Fail("secret", "%w", err)
	}
	w.key = key
	return func() (sink, error) { return w, nil }
}

// delivery is the body of a webhook.
type delivery struct {
	Origin string            `json:"origin"`
	Events []json.RawMessage `json:"events"`
}

func (w *hook) send(ctx context.Context, events []audit.Receipt) error {
	d := delivery{Origin: w.origin}
	for _, r := range events {
		raw, err := w.format(w.origin, r)
		if err != nil {
			return err
		}
		if !json.Valid(raw) {
			if raw, err = json.Marshal(string(raw)); err != nil {
				return err
			}
		}
		d.Events = append(d.Events, raw)
	}
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	// The same events always have the same ID, so that a receiver knows a repetition.
	id := "msg_" + events[0].Event.EventID + "_" + strconv.Itoa(len(events))
	stamp := strconv.FormatInt(w.now().Unix(), 10)
	_, err = w.post.send(ctx, body, map[string]string{webhook.ID: id, webhook.Timestamp: stamp, webhook.Signature: webhook.Sign(w.key, id, stamp, body)})
	return err
}
