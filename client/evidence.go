package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"slipway/evidence"
)

// EvidenceTimeout is for making a bundle and fetching it.
const EvidenceTimeout = 10 * time.Minute

// Evidence takes a bundle out, and writes it as it comes. It is asked for once: each time goes on record.
func (c *Client) Evidence(ctx context.Context, s evidence.Subject, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, EvidenceTimeout)
	defer cancel()
	v := url.Values{}
	text(v, "app", s.App)
	text(v, "change", s.Change)
	text(v, "zone", s.Zone)
	moment(v, "from", s.From)
	moment(v, "to", s.To)
	flag(v, "complete", s.Complete)
	u := c.base.JoinPath(api("evidence")...)
	u.RawQuery = v.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return fmt.Errorf("request to %s: %w", u.Path, err)
	}
	req.Header.Set("User-Agent", c.userAgent)
	req.Header.Set("Accept", "application/zip, application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		if err != nil {
			return c.unreachable(ctx, err)
		}
		return c.refused(resp, answer)
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/zip") {
		return &Error{Code: Unavailable, Message: c.base.Host + " answered with something that is no bundle of evidence.", Help: "Check the server's address."}
	}
	n, err := io.Copy(w, io.LimitReader(resp.Body, evidence.MaxBundle+1))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return c.unreachable(ctx, err)
	}
	if err != nil || resp.ContentLength >= 0 && n != resp.ContentLength || n > evidence.MaxBundle {
		return &Error{Code: Unavailable, Message: "The connection to " + c.base.Host + " broke off before the bundle was whole.", Help: "Try again."}
	}
	return nil
}
