// Package stepca is the certificate authority that comes with Slipway: step-ca's
// authority as a library, in this process, spoken to over ACME (RFC 8555) on
// loopback like any other. It owns the authority's own certificates, its database
// and which names it may certify. It never holds a private key: those of the root
// and the intermediate are made in, and used through, a key.Manager. Nobody gets a
// certificate here but by proving a name with dns-01. Read this file first, then
// issuer.go for root and intermediate, ledger.go for what is on disk, serve.go for
// what is asked over the network and renewal.go for when to renew.
package stepca

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/smallstep/certificates/authority"
	"github.com/smallstep/certificates/authority/config"
	"github.com/smallstep/certificates/authority/provisioner"

	"slipway/key"
	"slipway/zone"
)

// DefaultLifetime is how long a certificate is good when nobody says otherwise.
const DefaultLifetime = 30 * 24 * time.Hour

// Bounds on Options.Lifetime. The upper one is what browsers accept of any
// certificate that was made before March 2026 (CA/Browser Forum, Baseline Requirements 6.3.2).
const (
	minLifetime = time.Hour
	maxLifetime = 398 * 24 * time.Hour
)

// A lookup or a shutdown that takes longer is given up.
const (
	lookupTimeout = 10 * time.Second
	closeTimeout  = 5 * time.Second
)

// Options is what an authority needs to start.
type Options struct {
	Dir  string      // of the data directory, for this authority alone
	Keys key.Manager // has the keys of root and intermediate; made here at first start
	Name string      // of the organisation, as it stands in the root; used at first start

	// Resolve answers with the TXT records of a name (RFC 8555 section 8.4). It must ask the
	// name server that Slipway writes to: nobody else knows internal zones.
	Resolve func(ctx context.Context, name string) ([]string, error)

	Lifetime time.Duration // of a certificate at most, and when its order asks for no shorter one; 0: DefaultLifetime
	Names    []zone.Name   // only these names and such below them are certified; empty: all. See SetNames

	// Listen is an address on loopback. "" is a port that is chosen at first start and kept
	// in Dir: account and order URLs, which have it in them, are on record elsewhere.
	Listen string

	// CRLURL is where the server publishes CRL, for all who check certificates (RFC 5280
	// section 4.2.1.13). "": certificates do not say where, and it is to be had on loopback alone.
	CRLURL string

	Logger *slog.Logger // nil: slog.Default()
}

// CA is a running authority.
type CA struct {
	address   string
	root      *x509.Certificate
	issuer    *x509.Certificate
	authority *authority.Authority
	ledger    *ledger
	server    *http.Server
	served    chan error
	names     atomic.Pointer[[]zone.Name]
	closing   sync.Once
	closed    error
}

// Start opens the authority in o.Dir, makes it there when there is none, and
// serves it until Close. ctx is for the start alone.
func Start(ctx context.Context, o Options) (*CA, error) {
	ca, err := start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("embedded certificate authority: %w", err)
	}
	return ca, nil
}

func start(ctx context.Context, o Options) (*CA, error) {
	if o.Lifetime == 0 {
		o.Lifetime = DefaultLifetime
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	// The database's lock comes first: of two servers on one directory only one goes on.
	ledger, err := openLedger(filepath.Join(o.Dir, "ca.db"))
	if err != nil {
		return nil, err
	}
	ca := &CA{ledger: ledger, served: make(chan error, 1)}
	ca.SetNames(o.Names)
	listener, err := ca.open(ctx, o)
	if err != nil {
		ca.release()
		return nil, err
	}
	go func() { ca.served <- ca.server.ServeTLS(listener, "", "") }()
	return ca, nil
}

func (o *Options) check() error {
	switch {
	case o.Dir == "" || o.Keys == nil || o.Resolve == nil:
		return errors.New("a directory, a key store and a resolver are needed")
	case o.Lifetime < minLifetime || o.Lifetime > maxLifetime:
		return fmt.Errorf("a certificate's lifetime of %v is not possible. Give one between %v and %v", o.Lifetime, minLifetime, maxLifetime)
	}
	if o.Listen != "" {
		host, _, err := net.SplitHostPort(o.Listen)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			return fmt.Errorf("the address %q is not one of this machine alone, such as 127.0.0.1:9443. The authority answers nobody else", o.Listen)
		}
	}
	if o.CRLURL != "" {
		u, err := url.Parse(o.CRLURL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("the address for revocations %q is not an http or https URL", o.CRLURL)
		}
	}
	return nil
}

func (ca *CA) open(ctx context.Context, o Options) (net.Listener, error) {
	state, err := readState(ctx, o)
	if err != nil {
		return nil, err
	}
	pair, err := state.certificates(ctx, o, time.Now())
	if err != nil {
		return nil, err
	}
	listener, err := state.listen(ctx, o)
	if err != nil {
		return nil, err
	}
	ca.root, ca.issuer, ca.address = pair.root, pair.issuer, listener.Addr().String()
	crl := o.CRLURL
	if crl == "" {
		crl = "https://" + ca.address + crlPath
	}
	ca.authority, err = authority.NewEmbedded(
		authority.WithConfig(&config.Config{
			CommonName: "Slipway certificate authority",
			DNSNames:   []string{listener.Addr().(*net.TCPAddr).IP.String()},
			CRL:        &config.CRLConfig{Enabled: true, GenerateOnRevoke: true, IDPurl: crl},
			AuthorityConfig: &config.AuthConfig{
				Provisioners: provisioner.List{acmeProvisioner(o)},
			},
		}),
		authority.WithQuietInit(),
		authority.WithDatabase(ca.ledger),
		authority.WithX509RootCerts(pair.root),
		authority.WithX509Signer(pair.issuer, pair.signer),
		authority.WithX509Enforcers(onlyNames{ca}),
	)
	if err != nil {
		listener.Close()
		return nil, err
	}
	ca.server = ca.newServer(o)
	return listener, nil
}

// Directory is the URL of the ACME directory (RFC 8555 section 7.1.1). Its TLS
// certificate is checked with Root.
func (ca *CA) Directory() string { return ca.base() + "directory" }

// Root is the certificate that everybody is to trust, PEM.
func (ca *CA) Root() []byte { return toPEM(ca.root) }

// Intermediate is the certificate that signs, PEM. Every chain holds it.
func (ca *CA) Intermediate() []byte { return toPEM(ca.issuer) }

// CRL is the list of revoked certificates now, DER (RFC 5280 section 5). It is new
// after each revocation, and at least once a day.
func (ca *CA) CRL() ([]byte, error) {
	info, err := ca.authority.GetCertificateRevocationList()
	if err != nil {
		return nil, fmt.Errorf("embedded certificate authority: revocations: %w", err)
	}
	return info.Data, nil
}

// SetNames says which names, with all below them, are certified from now on;
// none: all are. Orders that are under way are judged by it too.
func (ca *CA) SetNames(names []zone.Name) {
	kept := append([]zone.Name(nil), names...)
	ca.names.Store(&kept)
}

// Close ends the authority. What it was asked before is still answered.
func (ca *CA) Close() error {
	ca.closing.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		err := ca.server.Shutdown(ctx)
		if err != nil {
			ca.server.Close() // a request that hangs must not keep the database open
		}
		if served := <-ca.served; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		if err = errors.Join(err, ca.release()); err != nil {
			ca.closed = fmt.Errorf("embedded certificate authority: close: %w", err)
		}
	})
	return ca.closed
}

func (ca *CA) release() error {
	if ca.authority != nil {
		return ca.authority.Shutdown() // closes the database as well
	}
	return ca.ledger.Shutdown()
}

func toPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
