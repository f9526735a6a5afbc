package powerdns

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"slipway/secret"
	"slipway/zone"
)

const (
	timeout   = 2 * time.Minute // of one request: a large zone takes seconds
	maxAnswer = 512 << 20       // bytes: some five million records
	maxError  = 400             // bytes of the API's own words in an error
)

// api is one server's HTTP API, version 1.
type api struct {
	base   string
	key    secret.Value
	client *http.Client
}

var errNotFound = errors.New("the server does not have the zone")

// zonePath is where a zone is: its name with =XX for what a path cannot hold.
func zonePath(z zone.Name) string {
	var b strings.Builder
	b.WriteString("/zones/")
	for i := range len(z) {
		switch c := z[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	if z != "." {
		b.WriteByte('.')
	}
	return b.String()
}

// call makes one request. in is sent as JSON unless it is nil.
func (a *api) call(ctx context.Context, method, path string, in any) ([]byte, error) {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("PowerDNS: %s %s: %w", method, path, err)
		}
		body = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("PowerDNS: %s %s: %w", method, path, err)
	}
	r.Header.Set("X-API-Key", a.key.Reveal())
	r.Header.Set("Accept", "application/json")
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := a.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("PowerDNS: %w", err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("PowerDNS: %s %s: the answer ended early: %w", method, path, err)
	case len(raw) > maxAnswer:
		return nil, fmt.Errorf("PowerDNS: %s %s: the answer has more than %d bytes", method, path, maxAnswer)
	case answer.StatusCode/100 == 2:
		return raw, nil
	case answer.StatusCode == http.StatusNotFound && method == http.MethodGet:
		return nil, errNotFound
	case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden:
		return nil, fmt.Errorf("PowerDNS refuses the API key (%d): it must be the one that its setting api-key names, and webserver-allow-from must let this machine in", answer.StatusCode)
	}
	return nil, fmt.Errorf("PowerDNS: %s %s: %d: %s", method, path, answer.StatusCode, a.words(raw))
}

// words is what the API says is wrong, short and without the key.
func (a *api) words(raw []byte) string {
	var e struct {
		Error string `json:"error"`
	}
	text := string(raw)
	if json.Unmarshal(raw, &e) == nil && e.Error != "" {
		text = e.Error
	}
	text = strings.ReplaceAll(text, a.key.Reveal(), secret.Mask)
	if len(text) > maxError {
		text = text[:maxError] + "…"
	}
	return strings.ToValidUTF8(text, "?")
}
