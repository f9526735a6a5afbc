// Package clouddns is the provider for Google Cloud DNS. A plan is applied in changes that
// Cloud DNS makes whole or not at all, with every old value named, so that a set which
// somebody changed meanwhile stops the change instead of being overwritten. It creates no
// managed zone unless told to, and never touches the SOA record or routing policies. Read
// this file first, then read.go and apply.go.
package clouddns

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"google.golang.org/api/dns/v1"
	"google.golang.org/api/option"

	"slipway/provider"
	"slipway/provider/service"
	"slipway/secret"
	"slipway/zone"
)

// Type is the provider's type in slipway.yaml.
const Type = "clouddns"

// DefaultSync is how long to wait until all name servers have a change.
const DefaultSync = 2 * time.Minute

// Settings say which zones of which project.
type Settings struct {
	Name    string // what slipway.yaml calls this provider, for receipts; default Type
	Project string // Google Cloud project ID

	// Credentials is where a service account's key file (JSON) is kept. Without it the
	// identity of the platform is used (workload identity, instance, gcloud's login), which
	// is better where there is one.
	Credentials secret.Ref
	Secrets     func(ctx context.Context, ref secret.Ref) (secret.Value, error) // default secret.Resolve

	// Private chooses the private managed zone where there is also a public one of the
	// same name. Nothing is ever guessed from which of them exists.
	Private bool
	ZoneIDs map[zone.Name]string // managed zones' names or IDs where a DNS name alone is not enough

	CreateZones bool   // make a public managed zone that does not exist; it is billed, and not delegated yet
	DefaultTTL  int    // seconds; default provider.DefaultTTL
	Journal     string // directory for the journal; "" keeps it in memory

	Endpoint string        // default: Google's
	Client   *http.Client  // authenticated already, instead of Credentials
	Attempts int           // of one request when it is throttled; default service.DefaultAttempts
	Sync     time.Duration // default DefaultSync

	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
}

// Provider implements provider.Provider. It is safe for concurrent use.
type Provider struct {
	service.Provider

	s   Settings
	api *dns.Service
}

var projectID = regexp.MustCompile(`^([a-z0-9.-]{1,63}:)?[a-z0-9-]{4,63}$`)

// New makes the provider. It reaches no server but the platform's own for its identity.
func New(ctx context.Context, s Settings) (*Provider, error) {
	if s.Name == "" {
		s.Name = Type
	}
	if s.DefaultTTL == 0 {
		s.DefaultTTL = provider.DefaultTTL
	}
	if s.Secrets == nil {
		s.Secrets = secret.Resolve
	}
	if s.Sleep == nil {
		s.Sleep = service.Pause
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Sync == 0 {
		s.Sync = DefaultSync
	}
	switch {
	case s.DefaultTTL < 0:
		return nil, fmt.Errorf("clouddns: a default TTL of %d seconds is not possible", s.DefaultTTL)
	case !projectID.MatchString(s.Project):
		return nil, fmt.Errorf("clouddns: %q is not the ID of a Google Cloud project", s.Project)
	case s.CreateZones && s.Private:
		return nil, errors.New("clouddns: a private zone belongs to networks, which Slipway does not know: create it at Google and leave create-zones away")
	}
	client, err := s.client(ctx)
	if err != nil {
		return nil, fmt.Errorf("clouddns: %w", err)
	}
	options := []option.ClientOption{option.WithHTTPClient(client)}
	if s.Endpoint != "" {
		options = append(options, option.WithEndpoint(s.Endpoint))
	}
	api, err := dns.NewService(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("clouddns: %w", err)
	}
	journal, err := service.OpenJournal(s.Journal)
	if err != nil {
		return nil, fmt.Errorf("clouddns: %w", err)
	}
	p := &Provider{s: s, api: api}
	p.Provider = service.New(service.Service{
		Name: s.Name, DefaultTTL: s.DefaultTTL, Journal: journal, Check: check, Now: s.Now, Sleep: s.Sleep,
		Read: func(ctx context.Context, z zone.Name) (service.Zone, error) { return p.read(ctx, z) },
	})
	return p, nil
}

// client is an HTTP client that authenticates, and waits when it is throttled.
func (s Settings) client(ctx context.Context) (*http.Client, error) {
	retry := &service.Retry{Attempts: s.Attempts, Sleep: s.Sleep, Throttled: throttled}
	if s.Client != nil {
		c := *s.Client
		retry.Base = c.Transport
		c.Transport = retry
		return &c, nil
	}
	tokens := oauth2.TokenSource(nil)
	if s.Credentials != "" {
		tokens = &account{ctx: context.WithoutCancel(ctx), s: s}
		tokens = oauth2.ReuseTokenSource(nil, tokens)
	} else {
		found, err := google.FindDefaultCredentials(context.WithoutCancel(ctx), dns.NdevClouddnsReadwriteScope)
		if err != nil {
			return nil, fmt.Errorf("this machine has no identity at Google, and no credentials are set: %w", err)
		}
		tokens = found.TokenSource
	}
	retry.Base = &oauth2.Transport{Source: tokens}
	return &http.Client{Transport: retry, Timeout: time.Minute}, nil
}

// account signs in as a service account, with its key fetched from where it is kept each
// time a token runs out.
type account struct {
	ctx context.Context
	s   Settings
}

// Token implements oauth2.TokenSource.
func (a *account) Token() (*oauth2.Token, error) {
	key, err := a.s.Secrets(a.ctx, a.s.Credentials)
	if err != nil {
		return nil, err
	}
	// Of all kinds of key files only this one: others name programs to run and addresses
	// to ask. Its parser's errors may quote it, and are not passed on.
	config, err := google.JWTConfigFromJSON([]byte(key.Reveal()), dns.NdevClouddnsReadwriteScope)
	if err != nil {
		return nil, fmt.Errorf("what %s holds is not the key file of a Google service account (JSON)", a.s.Credentials)
	}
	token, err := config.TokenSource(a.ctx).Token()
	if err != nil {
		return nil, fmt.Errorf("sign in at Google as %s: %w", config.Email, err)
	}
	return token, nil
}

// throttled recognises Google's other way to say "later": 403 with a reason.
func throttled(r *http.Response) bool {
	if r.StatusCode != http.StatusForbidden {
		return false
	}
	body, _ := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	r.Body.Close()
	r.Body = io.NopCloser(bytes.NewReader(body))
	var e struct {
		Error struct {
			Errors []struct{ Reason string }
		}
	}
	if json.Unmarshal(body, &e) != nil {
		return false
	}
	for _, reason := range e.Error.Errors {
		if reason.Reason == "rateLimitExceeded" || reason.Reason == "userRateLimitExceeded" {
			return true
		}
	}
	return false
}
