// Package cloudflare is the provider for Cloudflare DNS. A plan is applied in batches that
// Cloudflare makes whole or not at all; a record that is replaced is named by the
// identifier that was read, so that a batch fails when somebody removed it meanwhile. It
// creates no zone. Proxying and automatic TTLs are kept as octoDNS writes them; comments
// and tags stay as they are. Read this file first, then read.go, record.go and apply.go.
package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/cloudflare/cloudflare-go/v6/dns"
	"github.com/cloudflare/cloudflare-go/v6/option"
	"github.com/cloudflare/cloudflare-go/v6/zones"

	"slipway/provider"
	"slipway/provider/service"
	"slipway/secret"
	"slipway/zone"
)

// Type is the provider's type in slipway.yaml.
const Type = "cloudflare"

// DefaultBatch is how many record changes go into one batch: what zones on the free plan take.
const DefaultBatch = 200

// refetch is after how long the token is fetched again from where it is kept.
const refetch = 10 * time.Minute

// Settings say which zones of which account.
type Settings struct {
	Name    string // what slipway.yaml calls this provider, for receipts; default Type
	Account string // account ID, where the token sees the zone's name in several accounts

	// Token is where an API token is kept that may read zones and edit DNS.
	Token   secret.Ref
	Secrets func(ctx context.Context, ref secret.Ref) (secret.Value, error) // default secret.Resolve

	ZoneIDs    map[zone.Name]string // zone IDs where a name alone is not enough
	DefaultTTL int                  // seconds; default provider.DefaultTTL
	Batch      int                  // default DefaultBatch
	Journal    string               // directory for the journal; "" keeps it in memory

	Endpoint string       // default: Cloudflare's
	Client   *http.Client // default: one with a time limit of a minute
	Attempts int          // of one request when it is throttled; default service.DefaultAttempts

	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
}

// Provider implements provider.Provider. It is safe for concurrent use.
type Provider struct {
	service.Provider

	s       Settings
	zones   *zones.ZoneService
	records *dns.RecordService
}

var identifier = regexp.MustCompile(`^[0-9a-f]{32}$`)

// New makes the provider. It reaches no server.
func New(_ context.Context, s Settings) (*Provider, error) {
	if s.Name == "" {
		s.Name = Type
	}
	if s.DefaultTTL == 0 {
		s.DefaultTTL = provider.DefaultTTL
	}
	if s.Secrets == nil {
		s.Secrets = secret.Resolve
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Batch == 0 {
		s.Batch = DefaultBatch
	}
	switch {
	case s.DefaultTTL < minTTL || s.DefaultTTL > maxTTL:
		return nil, fmt.Errorf("cloudflare: the default TTL must be from %d to %d seconds", minTTL, maxTTL)
	case s.Token == "":
		return nil, errors.New("cloudflare: token must say where an API token is kept")
	case s.Account != "" && !identifier.MatchString(s.Account):
		return nil, errors.New("cloudflare: account must be an account ID: 32 hexadecimal digits")
	}
	for z, id := range s.ZoneIDs {
		if !identifier.MatchString(id) {
			return nil, fmt.Errorf("cloudflare: the ID of zone %s must be 32 hexadecimal digits", z)
		}
	}
	client := &http.Client{Timeout: time.Minute}
	if s.Client != nil {
		*client = *s.Client
	}
	client.Transport = &service.Retry{Base: client.Transport, Attempts: s.Attempts, Sleep: s.Sleep}
	token := &service.Credential{Ref: s.Token, Fetch: s.Secrets, Keep: refetch, Now: s.Now}
	options := []option.RequestOption{
		// The SDK's own retries would send a batch again whose answer was lost.
		option.WithEnvironmentProduction(), option.WithMaxRetries(0), option.WithHTTPClient(client),
		option.WithMiddleware(func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
			v, err := token.Get(r.Context())
			if err != nil {
				return nil, err
			}
			r.Header.Set("Authorization", "Bearer "+v.Reveal())
			return next(r)
		}),
	}
	if s.Endpoint != "" {
		options = append(options, option.WithBaseURL(s.Endpoint))
	}
	journal, err := service.OpenJournal(s.Journal)
	if err != nil {
		return nil, fmt.Errorf("cloudflare: %w", err)
	}
	p := &Provider{s: s, zones: zones.NewZoneService(options...), records: dns.NewRecordService(options...)}
	p.Provider = service.New(service.Service{
		Name: s.Name, DefaultTTL: s.DefaultTTL, Journal: journal, Check: check, Now: s.Now, Sleep: s.Sleep,
		Read: func(ctx context.Context, z zone.Name) (service.Zone, error) { return p.read(ctx, z) },
	})
	return p, nil
}
