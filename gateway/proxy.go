package gateway

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// Headers by which an app learns who its client is. Only the gateway sets them.
const (
	clientCertHeader = "Client-Cert" // RFC 9440
	identityHeader   = "X-Slipway-Client"
	requestIDHeader  = "X-Request-Id"
)

type contextKey struct{}

// exchange is one request on its way.
type exchange struct {
	backend *backend
	id      string
	writer  *writer
	close   bool // the connection, after the answer
}

// serveHTTP is every request over TLS.
func (g *Gateway) serveHTTP(w http.ResponseWriter, r *http.Request) {
	begun := g.o.Now()
	x := &exchange{id: rand.Text(), writer: &writer{ResponseWriter: w, control: http.NewResponseController(w)}}
	g.counters.Requests.Add(1)
	defer func() { g.account(r, x, begun) }()

	host := hostname(r.Host)
	x.backend = g.table.Load().find(host)
	switch {
	case x.backend == nil || host != hostname(r.TLS.ServerName) || !x.backend.admits(r.TLS, begun):
		// The connection was made for another name, or before the route was as it is now: the
		// client is to make a new one (RFC 9110 section 15.5.20).
		g.counters.Misdirected.Add(1)
		if host == hostname(r.TLS.ServerName) {
			x.close = true // on this connection it will be no different next time
		}
		problemPage(x, r, http.StatusMisdirectedRequest)
		return
	case r.ContentLength > g.o.MaxBody:
		problemPage(x, r, http.StatusRequestEntityTooLarge)
		return
	case r.Method == http.MethodConnect || r.Method == http.MethodTrace:
		problemPage(x, r, http.StatusMethodNotAllowed)
		return
	}
	if g.o.HSTS > 0 {
		x.writer.Header().Set("Strict-Transport-Security", fmt.Sprintf("max-age=%d", int(g.o.HSTS.Seconds())))
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &body{ReadCloser: http.MaxBytesReader(w, r.Body, g.o.MaxBody), control: x.writer.control}
	}
	g.proxy.ServeHTTP(x.writer, r.WithContext(context.WithValue(r.Context(), contextKey{}, x)))
}

func (g *Gateway) newProxy() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite:      rewrite,
		Transport:    g.newTransport(),
		ErrorHandler: g.upstreamFailed,
		BufferPool:   new(buffers),
		ModifyResponse: func(r *http.Response) error {
			if g.o.HSTS > 0 {
				r.Header.Del("Strict-Transport-Security") // two of them are one of them to a browser: the first
			}
			return nil
		},
		ErrorLog: log.New(io.Discard, "", 0), // what goes wrong is in upstreamFailed, or in the counters
	}
}

// rewrite makes the request that the app gets. Whatever says who the client is comes
// from the connection, never from the client.
func rewrite(p *httputil.ProxyRequest) {
	x := p.In.Context().Value(contextKey{}).(*exchange)
	p.SetURL(x.backend.Upstream)
	p.Out.Host = p.In.Host
	for name := range p.Out.Header {
		if fromGateway(name) {
			delete(p.Out.Header, name)
		}
	}
	p.Out.Trailer = nil // headers that come when nobody looks any more
	h := p.Out.Header
	client := "unknown" // RFC 7239 section 6.2
	if peer, err := netip.ParseAddrPort(p.In.RemoteAddr); err == nil {
		addr := peer.Addr().Unmap().WithZone("")
		client = addr.String()
		h.Set("X-Forwarded-For", client)
		if addr.Is6() {
			client = `"[` + client + `]"`
		}
	}
	h.Set("X-Forwarded-Host", p.In.Host)
	h.Set("X-Forwarded-Proto", "https")
	h.Set("Forwarded", fmt.Sprintf("for=%s;host=%q;proto=https", client, p.In.Host))
	h.Set(requestIDHeader, x.id)
	if x.backend.ClientAuth {
		leaf := p.In.TLS.PeerCertificates[0]
		h.Set(clientCertHeader, ":"+base64.StdEncoding.EncodeToString(leaf.Raw)+":")
		h.Set(identityHeader, identity(leaf))
	}
}

// fromGateway says whether an app takes a header for the gateway's word. Many servers
// make no difference between "-" and "_" in names.
func fromGateway(name string) bool {
	n := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	switch n {
	case "forwarded", "x-real-ip", "true-client-ip", "x-client-ip", "x-cluster-client-ip", "client-cert", "client-cert-chain", "x-request-id":
		return true
	}
	return strings.HasPrefix(n, "x-forwarded-") || strings.HasPrefix(n, "x-slipway-") || strings.HasPrefix(n, "x-ssl-client-")
}

// identity is a client's name in its certificate, in the order of how exactly
// names say who it is. It holds nothing that could end a header.
func identity(c *x509.Certificate) string {
	name := c.Subject.CommonName
	switch {
	case len(c.EmailAddresses) > 0:
		name = c.EmailAddresses[0]
	case len(c.URIs) > 0:
		name = c.URIs[0].String()
	case len(c.DNSNames) > 0:
		name = c.DNSNames[0]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, name)
}

func (g *Gateway) newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, ControlContext: g.mayDial}
	return &http.Transport{
		Proxy:                  nil, // not by way of what the environment says
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // bodies are passed on as they are
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        time.Minute,
		TLSHandshakeTimeout:    5 * time.Second,
		ResponseHeaderTimeout:  g.o.Answer,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

var errForbidden = errors.New("no upstream may be at this address")

// mayDial looks at the address that an upstream's name led to, so that a name cannot
// change its mind. Link-local addresses are where clouds hand out credentials.
func (g *Gateway) mayDial(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := to.Addr().Unmap()
	if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() || ip == netip.MustParseAddr("fd00:ec2::254") {
		return errForbidden
	}
	for _, f := range g.o.Forbidden {
		if to.Port() == f.Port() && (ip == f.Addr().Unmap() || f.Addr().IsUnspecified() && here(ip)) {
			return errForbidden
		}
	}
	return nil
}

// here says whether an address is this machine's.
func here(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return true // not known to be elsewhere
	}
	for _, a := range addresses {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr() == ip {
			return true
		}
	}
	return false
}

func (g *Gateway) upstreamFailed(_ http.ResponseWriter, r *http.Request, err error) {
	x := r.Context().Value(contextKey{}).(*exchange)
	var tooLarge *http.MaxBytesError
	var network net.Error
	switch {
	case errors.As(err, &tooLarge):
		problemPage(x, r, http.StatusRequestEntityTooLarge)
		return
	case errors.Is(err, context.Canceled):
		x.writer.status = statusClientGone // nobody is there to read a page
		return
	case errors.As(err, &network) && network.Timeout():
		problemPage(x, r, http.StatusGatewayTimeout)
	default:
		problemPage(x, r, http.StatusBadGateway)
	}
	g.counters.UpstreamErrors.Add(1)
	g.log.Warn("gateway: an app does not answer", "app", x.backend.App, "upstream", x.backend.Upstream.Host, "request", x.id, "error", err)
}

// redirect sends those who come by HTTP to the same address with HTTPS (308: the method
// stays). Only for hosts that there are: it is no way to anywhere else.
func (g *Gateway) redirect(port int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := hostname(r.Host)
		if g.table.Load().find(host) == nil {
			http.Error(w, "There is no app at this address.", http.StatusNotFound)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			// What was sent has been sent in the clear; it must not look as if that were in order.
			http.Error(w, "This address is served with https:// alone.", http.StatusForbidden)
			return
		}
		if port != 443 {
			host = fmt.Sprintf("%s:%d", host, port)
		}
		to := *r.URL
		to.Scheme, to.Host = "https", host
		w.Header().Set("Connection", "close")
		http.Redirect(w, r, to.String(), http.StatusPermanentRedirect)
	})
}
