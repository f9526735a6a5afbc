// Package gateway terminates TLS for apps that cannot speak to a key store: a reverse
// proxy whose private keys are used through a key.Manager and never seen. It owns
// the routes file, which the server writes and the gateway follows, and what is
// passed on to apps. It decides nothing about who gets a certificate or a route, and goes
// nowhere but to the upstreams of that file. Read this file first, then routes.go
// and table.go for what is served, proxy.go and stream.go for how, and
// docs/gateway.md for the reasons.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"slipway/key"
)

// Defaults of Options, and bounds that are not settings.
const (
	DefaultPoll     = time.Second
	DefaultAnswer   = time.Minute
	DefaultGrace    = 20 * time.Second
	DefaultMaxBody  = 64 << 20
	DefaultMaxConns = 10_000
	DefaultPerPeer  = 512 // a whole office may come from one address

	maxHeader     = 32 << 10
	headerTimeout = 10 * time.Second // for a handshake, and for the headers of a request
	idleTimeout   = 2 * time.Minute
	stallTimeout  = 30 * time.Second // without one byte of a body, in either direction
	retryBroken   = 30               // polls until a route that was not ready is tried again
)

// Options is what a gateway needs.
type Options struct {
	Listen         string // for HTTPS
	RedirectListen string // for HTTP, which sends everybody to HTTPS; "": none
	StatusListen   string // on loopback, for Counters as JSON and for Prometheus; "": none
	RoutesFile     string
	Keys           key.Manager

	HSTS      time.Duration    // Strict-Transport-Security (RFC 6797) for so long; 0: none
	Answer    time.Duration    // for an app to begin its answer; 0: DefaultAnswer
	MaxBody   int64            // of a request; 0: DefaultMaxBody
	MaxConns  int              // at a time; 0: DefaultMaxConns
	PerPeer   int              // connections of one address at a time; 0: DefaultPerPeer
	Poll      time.Duration    // of the routes file; 0: DefaultPoll
	Grace     time.Duration    // for requests under way when it ends; 0: DefaultGrace
	Forbidden []netip.AddrPort // where no upstream may be, such as the server's own listeners

	Logger *slog.Logger     // nil: slog.Default()
	Now    func() time.Time // nil: time.Now
}

// Gateway is one that listens.
type Gateway struct {
	o        Options
	log      *slog.Logger
	counters Counters
	table    atomic.Pointer[table]
	proxy    http.Handler
	servers  []*listening

	// Owned by the goroutine that follows the routes file.
	builder *builder
	seen    os.FileInfo // of the routes file when it was last read
	broken  int         // polls until routes that were not ready are tried again; 0: none is
	missing bool        // that there is no routes file has been said
}

// listening is a server with its listener.
type listening struct {
	server   *http.Server
	listener net.Listener
	tls      bool
}

// Run listens and serves until ctx ends, then lets requests under way come to
// their end.
func Run(ctx context.Context, o Options) error {
	g, err := Listen(ctx, o)
	if err != nil {
		return err
	}
	return g.Serve(ctx)
}

// Listen opens the listeners and reads the routes file, if it is there yet.
func Listen(ctx context.Context, o Options) (*Gateway, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	orDefault(&o.Answer, DefaultAnswer)
	orDefault(&o.MaxBody, DefaultMaxBody)
	orDefault(&o.MaxConns, DefaultMaxConns)
	orDefault(&o.PerPeer, DefaultPerPeer)
	orDefault(&o.Poll, DefaultPoll)
	orDefault(&o.Grace, DefaultGrace)
	g := &Gateway{o: o, log: o.Logger}
	g.builder = newBuilder(o.Keys, g.handshaken)
	g.table.Store(&table{})
	g.proxy = g.newProxy()
	if err := g.listen(ctx); err != nil {
		for _, l := range g.servers {
			l.listener.Close()
		}
		return nil, fmt.Errorf("gateway: %w", err)
	}
	g.follow(ctx)
	return g, nil
}

func orDefault[T int | int64 | time.Duration](v *T, byDefault T) {
	if *v == 0 {
		*v = byDefault
	}
}

func (g *Gateway) listen(ctx context.Context) error {
	if g.o.RoutesFile == "" || g.o.Keys == nil {
		return errors.New("a routes file and a key store are needed")
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", g.o.Listen)
	if err != nil {
		return err
	}
	server := g.newServer(http.HandlerFunc(g.serveHTTP))
	server.TLSConfig = g.newTLS()
	g.servers = append(g.servers, &listening{server, newBounded(l, g.o.MaxConns, g.o.PerPeer, &g.counters), true})
	if g.o.RedirectListen != "" {
		plain, err := config.Listen(ctx, "tcp", g.o.RedirectListen)
		if err != nil {
			return err
		}
		g.servers = append(g.servers, &listening{g.newServer(g.redirect(port(l))), newBounded(plain, g.o.MaxConns, g.o.PerPeer, &g.counters), false})
	}
	if g.o.StatusListen != "" {
		status, err := config.Listen(ctx, "tcp", g.o.StatusListen)
		if err != nil {
			return err
		}
		g.servers = append(g.servers, &listening{g.newServer(g.status()), status, false})
		if !status.Addr().(*net.TCPAddr).IP.IsLoopback() {
			return fmt.Errorf("the address for the status, %s, is not one of this machine alone, such as 127.0.0.1:9090. It shows what goes on to whoever asks", g.o.StatusListen)
		}
	}
	return nil
}

func (g *Gateway) newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 128, SendPingTimeout: idleTimeout},
		// Failed handshakes, most of them: counted, and not worth a line each.
		ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
}

// Addr is where HTTPS is served.
func (g *Gateway) Addr() net.Addr { return g.servers[0].listener.Addr() }

// Serve serves until ctx ends.
func (g *Gateway) Serve(ctx context.Context) error {
	// Requests live on when ctx ends, until their grace does.
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	failed := make(chan error, len(g.servers))
	for _, l := range g.servers {
		l.server.BaseContext = func(net.Listener) context.Context { return base }
		go func() {
			if l.tls {
				failed <- l.server.ServeTLS(l.listener, "", "")
			} else {
				failed <- l.server.Serve(l.listener)
			}
		}()
	}
	g.log.Info("gateway: serving", "address", g.Addr().String(), "hosts", len(g.table.Load().hosts))
	tick := time.NewTicker(g.o.Poll)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.follow(ctx)
		case err := <-failed:
			g.shutdown(cut)
			return fmt.Errorf("gateway: %w", err)
		case <-ctx.Done():
			return g.shutdown(cut)
		}
	}
}

func (g *Gateway) shutdown(cut func()) error {
	ctx, cancel := context.WithTimeout(context.Background(), g.o.Grace)
	defer cancel()
	done := make(chan error, len(g.servers))
	for _, l := range g.servers {
		go func() { done <- l.server.Shutdown(ctx) }()
	}
	var late error
	for range g.servers {
		late = errors.Join(late, <-done)
	}
	cut() // connections that were upgraded are nobody's but ours
	for _, l := range g.servers {
		l.server.Close()
	}
	if late != nil {
		g.log.Warn("gateway: requests were cut off that were not done in time", "grace", g.o.Grace)
	}
	return nil
}

// follow goes over to the routes file as it is now, if it has changed. When it cannot
// be used, the routes stay what they are.
func (g *Gateway) follow(ctx context.Context) {
	info, err := os.Stat(g.o.RoutesFile)
	if err != nil {
		if !g.missing {
			g.missing = true
			if errors.Is(err, fs.ErrNotExist) {
				g.log.Warn("gateway: there is no routes file yet; routes stay as they are", "file", g.o.RoutesFile)
			} else {
				g.log.Error("gateway: the routes file cannot be read; routes stay as they are", "error", err)
			}
		}
		return
	}
	g.missing = false
	same := g.seen != nil && os.SameFile(g.seen, info) && g.seen.Size() == info.Size() && g.seen.ModTime().Equal(info.ModTime())
	if same && g.broken != 1 {
		g.broken = max(g.broken-1, 0)
		return
	}
	g.seen, g.broken = info, 0
	routes, err := ReadRoutes(g.o.RoutesFile)
	if err != nil {
		g.counters.BadRoutes.Add(1)
		g.log.Error("gateway: the routes file cannot be used; the old routes stay in force", "error", err)
		return
	}
	made, problems := g.builder.build(ctx, routes, g.table.Load(), g.o.Now())
	g.table.Store(made)
	g.counters.Reloads.Add(1)
	for _, p := range problems {
		g.broken = retryBroken
		g.log.Error("gateway: a route is not as it should be", "app", p.route.App, "hosts", p.route.Hosts, "error", p.err, "old_route_stays", p.kept)
	}
	if !same || len(problems) == 0 {
		g.log.Info("gateway: routes in force", "routes", len(routes)-len(problems), "problems", len(problems))
	}
}

func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// newTLS is for connections whose server name is not known yet. Each route has its
// own; tickets are sealed with the keys of this one, which Go changes every day.
func (g *Gateway) newTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if b := g.table.Load().find(hostname(hello.ServerName)); b != nil && hello.ServerName != "" {
				return b.config, nil
			}
			g.counters.UnknownNames.Add(1)
			return nil, nil
		},
		// No certificate for a name: crypto/tls answers with the alert unrecognized_name (RFC 6066
		// section 3). There is none for everybody, which would tell of an app to whoever connects.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil },
		NextProtos:     []string{"h2", "http/1.1"},
	}
}

func (g *Gateway) handshaken(s tls.ConnectionState) error {
	g.counters.Handshakes.Add(1)
	if s.DidResume {
		g.counters.Resumed.Add(1)
	}
	return nil
}
