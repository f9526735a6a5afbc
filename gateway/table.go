package gateway

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"slipway/key"
)

// table is every route in force. It is never changed: a new one takes its place.
type table struct {
	hosts map[string]*backend
}

// backend is a Route made ready to serve.
type backend struct {
	Route
	digest  [sha256.Size]byte
	config  *tls.Config
	leaf    *x509.Certificate
	clients map[[sha256.Size]byte]bool // who issues the certificates of clients, by digest
}

// find is the route of a host: its own, or that of the wildcard one label up
// (RFC 6125 section 6.4.3).
func (t *table) find(host string) *backend {
	if b := t.hosts[host]; b != nil {
		return b
	}
	if _, rest, ok := strings.Cut(host, "."); ok {
		return t.hosts["*."+rest]
	}
	return nil
}

// hostname is a Host or server name as tables have it; "" for what is none.
func hostname(s string) string {
	if len(s) > 260 {
		return ""
	}
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		s = s[:i]
	}
	return strings.ToLower(strings.TrimSuffix(s, "."))
}

// builder makes tables. It opens each key once, and uses again what has not changed,
// so that one renewed certificate among thousands costs what one costs.
type builder struct {
	keys    key.Manager
	signers map[string]crypto.Signer // by ref; only those in use
	verify  func(tls.ConnectionState) error
}

func newBuilder(keys key.Manager, verify func(tls.ConnectionState) error) *builder {
	return &builder{keys: keys, signers: map[string]crypto.Signer{}, verify: verify}
}

// problem is why a route could not be made ready.
type problem struct {
	route Route
	err   error
	kept  bool // the route as it was before stays in force
}

// build makes the table of routes. What is wrong with one route leaves the others
// alone: it stays as it was in old, or out.
func (b *builder) build(ctx context.Context, routes []Route, old *table, now time.Time) (*table, []problem) {
	made := &table{hosts: make(map[string]*backend, len(routes))}
	signers := make(map[string]crypto.Signer, len(routes))
	var problems []problem
	for _, r := range routes {
		ready, err := b.ready(ctx, r, old)
		if err == nil {
			if now.After(ready.leaf.NotAfter) {
				problems = append(problems, problem{r, fmt.Errorf("its certificate is out of date since %s; browsers refuse it", ready.leaf.NotAfter.Format(time.RFC3339)), false})
			}
			signers[r.KeyRef] = b.signers[r.KeyRef]
			for _, h := range r.Hosts {
				made.hosts[h] = ready
			}
			continue
		}
		p := problem{route: r, err: err}
		for _, h := range r.Hosts {
			// A route that asks more of clients than before must not go on asking less.
			if before := old.hosts[h]; before != nil && (before.ClientAuth || !r.ClientAuth) {
				made.hosts[h] = before
				signers[before.KeyRef] = b.signers[before.KeyRef]
				p.kept = true
			}
		}
		problems = append(problems, p)
	}
	b.signers = signers
	return made, problems
}

func (b *builder) ready(ctx context.Context, r Route, old *table) (*backend, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(raw)
	if before := old.hosts[r.Hosts[0]]; before != nil && before.digest == digest {
		return before, nil
	}
	chain, err := certificates(r.Chain)
	if err != nil {
		return nil, fmt.Errorf("its chain: %w", err)
	}
	for i := range chain[:len(chain)-1] {
		if err := chain[i].CheckSignatureFrom(chain[i+1]); err != nil {
			return nil, fmt.Errorf("its chain does not hang together: %w", err)
		}
	}
	for _, h := range r.Hosts {
		// A wildcard is in the certificate as itself: x509 looks hosts up, not patterns.
		if err := chain[0].VerifyHostname(strings.Replace(h, "*", "wildcard", 1)); err != nil {
			return nil, fmt.Errorf("its certificate is not for %s", h)
		}
	}
	signer, ok := b.signers[r.KeyRef]
	if !ok {
		if signer, err = b.keys.Signer(ctx, r.KeyRef); err != nil {
			return nil, fmt.Errorf("its key: %w", err)
		}
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(chain[0].PublicKey) {
		return nil, errors.New("its certificate is for another key than the one it names")
	}
	b.signers[r.KeyRef] = signer

	made := &backend{Route: r, digest: digest, leaf: chain[0]}
	certificate := key.Certificate(nil, signer)
	certificate.Leaf = chain[0]
	for _, c := range chain {
		certificate.Certificate = append(certificate.Certificate, c.Raw)
	}
	made.config = &tls.Config{
		Certificates:     []tls.Certificate{certificate},
		NextProtos:       []string{"h2", "http/1.1"},
		MinVersion:       tls.VersionTLS12,
		VerifyConnection: b.verify,
	}
	if r.ClientAuth {
		return made, made.requireClients()
	}
	return made, nil
}

func (b *backend) requireClients() error {
	issuers, err := certificates(b.ClientCAs)
	if err != nil {
		return fmt.Errorf("the issuers of its clients: %w", err)
	}
	b.clients = map[[sha256.Size]byte]bool{}
	b.config.ClientAuth = tls.RequireAndVerifyClientCert
	b.config.ClientCAs = x509.NewCertPool()
	for _, c := range issuers {
		b.config.ClientCAs.AddCert(c)
		b.clients[sha256.Sum256(c.Raw)] = true
	}
	// All routes share the keys of session tickets. A ticket from another route, or from
	// before a client was taken off, must not stand for a certificate here.
	b.config.SessionTicketsDisabled = true
	return nil
}

// admits says whether a connection, which may be older than the route, shows a
// certificate that the route asks for.
func (b *backend) admits(s *tls.ConnectionState, now time.Time) bool {
	if !b.ClientAuth {
		return true
	}
	for _, chain := range s.VerifiedChains {
		if b.clients[sha256.Sum256(chain[len(chain)-1].Raw)] && now.Before(chain[0].NotAfter) {
			return true
		}
	}
	return false
}

func certificates(raw []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for len(bytes.TrimSpace(raw)) > 0 {
		block, rest := pem.Decode(raw)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("there is something else than certificates in PEM")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all, raw = append(all, c), rest
	}
	if len(all) == 0 {
		return nil, errors.New("there is no certificate")
	}
	return all, nil
}
