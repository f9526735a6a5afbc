package observe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"slipway/zone"
)

// patience is how long fetching one page may take (RFC 8461 section 3.3 suggests one minute for mail servers,
// which nobody is looking at).
const patience = 15 * time.Second

// Fetcher gets pages over HTTPS.
type Fetcher struct {
	client *http.Client
}

// Dial connects to a host and port, as http.Transport.DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// NewFetcher trusts the roots, nil for those of the system, and connects by dial, such as Resolver.DialPublic.
func NewFetcher(roots *x509.CertPool, dial Dial) *Fetcher {
	return &Fetcher{client: &http.Client{
		Timeout: patience,
		// RFC 8461 section 3.3: redirects must not be followed.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            dial,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    patience,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: MaxPage,
		},
	}}
}

// DialPublic finds hosts through the resolver that is asked for everything else. It connects to public
// addresses alone: what names of a repository lead to must not be a way into the network that checks run in.
func (r *Resolver) DialPublic(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	a, err := r.public(ctx, host)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	return d.DialContext(ctx, network, net.JoinHostPort(a.String(), port))
}

// public is the first public address of a host.
func (r *Resolver) public(ctx context.Context, host string) (netip.Addr, error) {
	name, err := zone.ParseName(host)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, typ := range []string{"A", "AAAA"} {
		answer, err := r.Ask(ctx, Question{Name: name, Type: typ})
		if err != nil {
			return netip.Addr{}, &unusable{err}
		}
		set, _ := answer.Set()
		for _, v := range set.Values {
			if a, err := netip.ParseAddr(v); err == nil && isPublic(a.Unmap()) {
				return a, nil
			}
		}
	}
	return netip.Addr{}, fmt.Errorf("%s has no public address", host)
}

// unusable says that the resolver cannot be asked at all: no fault of the page.
type unusable struct{ err error }

func (u *unusable) Error() string { return u.err.Error() }
func (u *unusable) Unwrap() error { return u.err }

// shared is between a provider and its customers (RFC 6598), private for all that one can tell from here.
var shared = netip.MustParsePrefix("100.64.0.0/10")

func isPublic(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a)
}

// Get fetches a page. That it cannot be had is a Page too; errors are a URL that is not asked for,
// a resolver that cannot be used, and a context that ends.
func (f *Fetcher) Get(ctx context.Context, url string) (Page, error) {
	p := Page{Body: []byte{}, URL: url}
	if err := checkURL(url); err != nil {
		return p, fmt.Errorf("fetch: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return p, fmt.Errorf("fetch %s: %w", url, err)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return p, ctx.Err()
		}
		var resolver *unusable
		if errors.As(err, &resolver) {
			return p, resolver.err
		}
		p.Status = Unreachable
		if errors.As(err, new(*tls.CertificateVerificationError)) {
			p.Status = BadCertificate
		}
		return p, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxPage+1))
	switch {
	case ctx.Err() != nil:
		return p, ctx.Err()
	case err != nil:
		p.Status = Unreachable
	case len(body) > MaxPage:
		p.Status = TooLong
	case resp.StatusCode < 200 || resp.StatusCode > 599:
		p.Status = Unreachable
	default:
		p.Status, p.Type, p.Body = strconv.Itoa(resp.StatusCode), mediaType(resp.Header.Get("Content-Type")), body
	}
	return p, nil
}
