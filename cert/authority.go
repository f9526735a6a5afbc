package cert

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-acme/lego/v5/acme"
)

// Authority is one ACME server with our account there. Safe for concurrent use.
type Authority struct {
	config Config
	client *http.Client
	signer accountKey
	thumb  string // RFC 7638, of the account key
	dir    acme.Directory
	nonces nonces

	mu      sync.Mutex // held over making the account, so that it is made once
	account string     // its URL
}

// Config is how an authority is reached. Whoever sets one up agrees to its terms of service.
type Config struct {
	Name       string
	Directory  string        // https URL of the ACME directory
	Contact    []string      // mailto: URLs
	EABKeyID   string        // external account binding (RFC 8555 section 7.3.4); "" for none
	EABHMAC    []byte        // decoded
	RootsPEM   []byte        // trusted for TLS to the directory; nil for the system's
	AccountKey crypto.Signer // ECDSA P-256 or P-384, RSA, or Ed25519 where the authority takes it

	Now   func() time.Time                                 // default time.Now
	Sleep func(ctx context.Context, d time.Duration) error // between two looks at an order; default a timer
}

// Bounds on one conversation with an authority.
const (
	requestTimeout = time.Minute
	maxNonces      = 64
	maxContacts    = 10
)

// Connect finds or makes the account (RFC 8555 section 7.3: the same key finds the same account).
func Connect(ctx context.Context, c Config) (*Authority, error) {
	a, err := newAuthority(c)
	if err != nil {
		return nil, fmt.Errorf("certificate authority %s: %w", c.Name, err)
	}
	if err := a.open(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Authority) open(ctx context.Context) error {
	if err := a.discover(ctx); err != nil {
		return fmt.Errorf("certificate authority %s: %w", a.config.Name, err)
	}
	if err := a.register(ctx, ""); err != nil {
		return fmt.Errorf("certificate authority %s: account: %w", a.config.Name, err)
	}
	return nil
}

func newAuthority(c Config) (*Authority, error) {
	if c.Name == "" {
		return nil, errors.New("it has no name")
	}
	if u, err := url.Parse(c.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is not the https address of an ACME directory", c.Directory)
	}
	if len(c.Contact) > maxContacts {
		return nil, fmt.Errorf("it has %d contacts; %d are enough", len(c.Contact), maxContacts)
	}
	if (c.EABKeyID == "") != (len(c.EABHMAC) == 0) {
		return nil, errors.New("an external account binding has a key ID and a key, and one of them is missing")
	}
	if c.AccountKey == nil {
		return nil, errors.New("there is no account key")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Sleep == nil {
		c.Sleep = sleep
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.RootsPEM != nil {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(c.RootsPEM) {
			return nil, errors.New("its roots hold no certificate in PEM")
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	a := &Authority{config: c, client: &http.Client{
		Transport: transport,
		Timeout:   requestTimeout,
		// A request is signed for one URL (RFC 8555 section 6.4), so it cannot follow to another.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	var err error
	if a.signer, err = newAccountKey(c.AccountKey); err != nil {
		return nil, err
	}
	if a.thumb, err = a.signer.thumbprint(); err != nil {
		return nil, err
	}
	return a, nil
}

// Name is what the settings call the authority.
func (a *Authority) Name() string { return a.config.Name }

// Account is the account URL, as CAA's accounturi names it (RFC 8657).
func (a *Authority) Account() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.account
}

// CAA is what a CAA record has to name so that this authority may issue (RFC 8555
// section 7.1.1, caaIdentities). Empty when the authority does not say.
func (a *Authority) CAA() []string { return slices.Clone(a.dir.Meta.CaaIdentities) }

// Profiles are the authority's, each with its description.
func (a *Authority) Profiles() map[string]string { return maps.Clone(a.dir.Meta.Profiles) }

// discover reads the directory (RFC 8555 section 7.1.1).
func (a *Authority) discover(ctx context.Context) error {
	var dir acme.Directory
	if _, err := a.get(ctx, a.config.Directory, &dir); err != nil {
		return fmt.Errorf("directory %s: %w", a.config.Directory, err)
	}
	for field, u := range map[string]string{"newNonce": dir.NewNonceURL, "newAccount": dir.NewAccountURL, "newOrder": dir.NewOrderURL, "revokeCert": dir.RevokeCertURL} {
		if !strings.HasPrefix(u, "https://") {
			return fmt.Errorf("directory %s: it has no https address for %s, so this is no ACME server", a.config.Directory, field)
		}
	}
	a.dir = dir
	return nil
}

// register finds our account, or makes it, unless somebody else has done so since
// the account was stale.
func (a *Authority) register(ctx context.Context, stale string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.account != stale {
		return nil
	}
	// Asking first keeps an external account binding, which may be good for one use only.
	err := a.newAccount(ctx, acme.Account{OnlyReturnExisting: true})
	var p *Problem
	if !errors.As(err, &p) || p.Type != "accountDoesNotExist" {
		return err
	}
	account := acme.Account{Contact: a.config.Contact, TermsOfServiceAgreed: true}
	if a.config.EABKeyID != "" {
		if account.ExternalAccountBinding, err = a.signer.bind(a.dir.NewAccountURL, a.config.EABKeyID, a.config.EABHMAC); err != nil {
			return err
		}
	} else if a.dir.Meta.ExternalAccountRequired {
		return &Problem{Type: "externalAccountRequired", Authority: a.config.Name}
	}
	return a.newAccount(ctx, account)
}

func (a *Authority) newAccount(ctx context.Context, account acme.Account) error {
	var got acme.Account
	r, err := a.send(ctx, a.dir.NewAccountURL, "", account, &got)
	if err != nil {
		return err
	}
	if got.Status != "" && got.Status != acme.StatusValid {
		return fmt.Errorf("%w: our account there is %.40q, so it issues nothing to us any more. Make a new account key, or ask the authority why", ErrRefused, got.Status)
	}
	if !strings.HasPrefix(r.location, "https://") {
		return errors.New("the authority does not say at which address our account is")
	}
	a.account = r.location
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
