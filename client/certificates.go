package client

import (
	"context"
	"net/url"

	"slipway/cert"
)

// Certificate is one certificate with its chain, PEM, leaf first.
type Certificate struct {
	Certificate cert.Certificate `json:"certificate"`
	Chain       string           `json:"chain"`
}

// Certificates lists certificates, the one that expires first in front.
func (c *Client) Certificates(ctx context.Context, q cert.Query) ([]cert.Certificate, error) {
	v := url.Values{}
	for name, s := range map[string]string{
		"app": q.App, "name": q.Name, "serial": q.Serial, "issuer": q.Issuer, "authority": q.Authority, "change": q.Change, "status": string(q.Status),
	} {
		text(v, name, s)
	}
	moment(v, "before", q.Before)
	number(v, "limit", q.Limit)
	var out struct {
		Certificates []cert.Certificate `json:"certificates"`
	}
	err := c.json(ctx, call{method: get, path: api("certificates"), query: v, repeat: true}, &out)
	return out.Certificates, err
}

// Certificate returns one by ID, the beginning of its ID, or serial number.
func (c *Client) Certificate(ctx context.Context, id string) (Certificate, error) {
	var out Certificate
	err := c.json(ctx, call{method: get, path: api("certificates", id), repeat: true}, &out)
	return out, err
}

// RenewCertificate gets another certificate with another key in its place, now. Asked twice, it gives the same one.
func (c *Client) RenewCertificate(ctx context.Context, id string) (Certificate, error) {
	var out Certificate
	err := c.json(ctx, call{method: post, path: api("certificates", id, "renew"), body: struct{}{}, timeout: SubmitTimeout}, &out)
	return out, err
}

// RevokeCertificate revokes one, for one of cert.Reasons and in the person's own words.
func (c *Client) RevokeCertificate(ctx context.Context, id, reason, why string) (Certificate, error) {
	var out Certificate
	err := c.json(ctx, call{method: post, path: api("certificates", id, "revoke"), body: map[string]string{"reason": reason, "why": why}, timeout: SubmitTimeout}, &out)
	return out, err
}

// SignRequest gets a short-lived certificate of an app for a key that never leaves the caller. csr is PEM (RFC 2986, RFC 7468).
func (c *Client) SignRequest(ctx context.Context, app string, csr []byte) (Certificate, error) {
	var out Certificate
	err := c.json(ctx, call{method: post, path: api("apps", app, "certificate"), body: map[string]string{"csr": string(csr)}, timeout: SubmitTimeout, repeat: true}, &out)
	return out, err
}

// Strays lists certificates for the organisation's names that did not come from here.
func (c *Client) Strays(ctx context.Context) ([]cert.Stray, error) {
	var out struct {
		Strays []cert.Stray `json:"strays"`
	}
	err := c.json(ctx, call{method: get, path: api("strays"), repeat: true}, &out)
	return out.Strays, err
}

// AcceptStray records why one of them may be.
func (c *Client) AcceptStray(ctx context.Context, id, reason string) error {
	return c.json(ctx, call{method: post, path: api("strays", id, "accept"), body: map[string]string{"reason": reason}}, nil)
}

// Root is the root certificate of the server's own authority, PEM.
func (c *Client) Root(ctx context.Context) ([]byte, error) {
	return c.do(ctx, call{method: get, path: []string{"ca", "root.pem"}, repeat: true})
}
