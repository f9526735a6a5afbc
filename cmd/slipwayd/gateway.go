package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"slipway/flow"
	"slipway/gateway"
	"slipway/key"
	"slipway/key/kms"
	"slipway/repo"
)

func (s settings) routes() string { return s.path("gateway", "routes.json") }

// serveApps writes down what gateways are to serve. They take it up by themselves.
func (srv *server) serveApps(_ context.Context, _ *repo.Tree, apps []flow.Certified) error {
	routes := make([]gateway.Route, 0, len(apps))
	for _, a := range apps {
		upstream, err := a.App.UpstreamURL()
		if err != nil {
			return err
		}
		r := gateway.Route{
			Hosts: a.Certificate.Names, Upstream: upstream, Chain: a.Chain, KeyRef: a.Certificate.KeyRef, App: a.App.Name,
		}
		if a.App.MTLS {
			// Whoever has a certificate of the organisation's own authority. Without one, nobody gets in.
			r.ClientAuth, r.ClientCAs = true, srv.authorities.root()
			if r.ClientCAs == nil {
				srv.log.Warn("an app wants certificates of its visitors, and there is no authority of our own to issue them: it is not served", "app", a.App.Name)
				continue
			}
		}
		routes = append(routes, r)
	}
	path := srv.settings.routes()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return gateway.WriteRoutes(path, routes)
}

// gatewayOptions are those of the gateway in this process and of one by itself.
func (srv *server) gatewayOptions(listen, redirect string, keys key.Manager) gateway.Options {
	o := gateway.Options{Listen: listen, RedirectListen: redirect, RoutesFile: srv.settings.routes(), Keys: keys, Logger: srv.log}
	for _, address := range []string{srv.settings.listen, srv.settings.dns} {
		if a, err := netip.ParseAddrPort(address); err == nil {
			o.Forbidden = append(o.Forbidden, a) // an app must not be a way to the server itself
		}
	}
	return o
}

// startGateway serves apps from this process, if --gateway says where.
func (srv *server) startGateway(ctx context.Context) error {
	if srv.settings.gateway == "" {
		return nil
	}
	if _, err := os.Stat(srv.settings.routes()); errors.Is(err, os.ErrNotExist) {
		if err := srv.serveApps(ctx, nil, nil); err != nil { // none yet; the first look at the certificates says more
			return err
		}
	}
	g, err := gateway.Listen(ctx, srv.gatewayOptions(srv.settings.gateway, srv.settings.gatewayRedirect, srv.authorities.keys))
	if err != nil {
		return fmt.Errorf("%w (choose another with --gateway)", err)
	}
	srv.gateway = g.Addr()
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- g.Serve(ctx) }()
	srv.onClose(func(context.Context) error { stop(); return <-done })
	return nil
}

// gatewayCommand is the gateway as a process of its own, which nothing but keys and routes is open to.
func gatewayCommand(s *settings) *cobra.Command {
	var listen, redirect, status, routes, store string
	var hsts time.Duration
	c := &cobra.Command{
		Use:   "gateway",
		Short: "Serve apps over TLS, with keys that stay in the key store",
		Long: `gateway ends TLS for the apps that have "certificate: true" and an "upstream:", and passes their requests on. It
reads which apps these are from a file that the server keeps up to date, goes over to new certificates without losing a
request, and uses private keys where they are kept. It needs no database and no log: give it a copy of the routes
file and a key store of its own (--routes, --key-store) and it runs on another machine.`,
		Example: `  slipwayd gateway --data ./slipway-data --gateway-listen :443 --redirect :80
  slipwayd gateway --routes /srv/routes.json --key-store 'pkcs11:module-path=/usr/lib/softhsm/libsofthsm2.so;token=slipway?pin-source=file:/run/pin'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			log, err := s.logger()
			if err != nil {
				return err
			}
			srv := &server{settings: *s, log: log}
			defer srv.close(context.WithoutCancel(ctx))
			keys, err := srv.gatewayKeys(ctx, store)
			if err != nil {
				return err
			}
			o := srv.gatewayOptions(listen, redirect, keys)
			o.StatusListen, o.HSTS = status, hsts
			if routes != "" {
				o.RoutesFile = routes
			}
			return runGateway(ctx, o, cmd.OutOrStdout())
		},
	}
	f := c.Flags()
	f.StringVar(&listen, "gateway-listen", "127.0.0.1:8443", "address for HTTPS")
	f.StringVar(&redirect, "redirect", "", "address for HTTP, which sends everybody to HTTPS (default: none)")
	f.StringVar(&status, "status", "", "address on loopback that counters can be read from (default: none)")
	f.StringVar(&routes, "routes", "", "file that says which apps are served (default DATA/gateway/routes.json)")
	f.StringVar(&store, "key-store", "", "key store, as below certificates in slipway.yaml (default: those that it names)")
	f.DurationVar(&hsts, "hsts", 0, "tell browsers to use HTTPS only, for so long (RFC 6797)")
	return c
}

// gatewayKeys opens the keys that a gateway by itself uses: one store that is named, or those of the zones repository's settings.
func (srv *server) gatewayKeys(ctx context.Context, uri string) (key.Manager, error) {
	if err := srv.openSecrets(ctx); err != nil {
		return nil, err
	}
	if uri != "" {
		keys, closer, err := kms.Open(ctx, uri, kms.Options{Dir: srv.settings.data, Secret: srv.secrets.Resolve})
		if err != nil {
			return nil, usageError{err}
		}
		srv.onClose(func(context.Context) error { return closer.Close() })
		return keys, nil
	}
	if _, err := os.Stat(srv.settings.path("zones.git")); err != nil {
		return nil, usageError{fmt.Errorf("--data %s: no server has run there yet (or give --routes and --key-store)", srv.settings.data)}
	}
	if err := srv.openZones(ctx); err != nil {
		return nil, err
	}
	keys, err := srv.openKeyring()
	if err != nil {
		return nil, err
	}
	srv.onClose(func(context.Context) error { return keys.close() })
	return keys, nil
}

func runGateway(ctx context.Context, o gateway.Options, out io.Writer) error {
	g, err := gateway.Listen(ctx, o)
	if err != nil {
		if errors.Is(err, os.ErrPermission) {
			return fmt.Errorf("%w (ports below 1024 need a permission of their own)", err)
		}
		return err
	}
	fmt.Fprintf(out, "Serving apps at https://%s (%s).\nPress Ctrl-C to stop.\n", g.Addr(), o.RoutesFile)
	return g.Serve(ctx)
}
