// Package route53 is the provider for Amazon Route 53. A plan is applied in batches that
// Route 53 makes whole or not at all, with every old value named, so that a set which
// somebody changed meanwhile stops the batch instead of being overwritten. It creates no
// hosted zone unless told to, and never touches the SOA record, routing policies or,
// unless they are in the zones repository, alias records. Read this file first, then
// read.go, apply.go and text.go, which says how Route 53 spells names and text.
package route53

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"slipway/provider"
	"slipway/provider/service"
	"slipway/secret"
	"slipway/zone"
)

// Type is the provider's type in slipway.yaml.
const Type = "route53"

// What to do with alias records.
const (
	KeepAliases   = "keep"   // they are left as they are, and not read: the default
	ManageAliases = "manage" // they are record sets of the type Route53Provider/ALIAS, as octoDNS writes them
)

// Defaults.
const (
	DefaultAttempts = 8                // of one request, when it is throttled or fails for a moment
	DefaultBackoff  = 20 * time.Second // the longest pause between two of them
	DefaultSync     = 2 * time.Minute  // how long to wait until all name servers have a change
)

// refetch is after how long a credential is fetched again from where it is kept, so that
// one that was replaced is used without a restart.
const refetch = 10 * time.Minute

// Settings say which zones of which account.
type Settings struct {
	Name string // what slipway.yaml calls this provider, for receipts; default Type

	// Credentials: without AccessKeyID the identity of the platform is used (an instance
	// role, a workload identity, the AWS profile), which is better where there is one.
	AccessKeyID  string
	SecretKey    secret.Ref
	SessionToken secret.Ref
	Secrets      func(ctx context.Context, ref secret.Ref) (secret.Value, error) // default secret.Resolve

	// Role is taken on with those credentials: the way into another account.
	Role, ExternalID string

	// Private chooses the private hosted zone where there is also a public one of the
	// same name. Nothing is ever guessed from which of them exists.
	Private bool
	ZoneIDs map[zone.Name]string // hosted zone IDs where a name alone is not enough

	Aliases     string // KeepAliases or ManageAliases
	CreateZones bool   // make a public hosted zone that does not exist; it is billed, and not delegated yet
	DefaultTTL  int    // seconds; default provider.DefaultTTL
	Journal     string // directory for the journal; "" keeps it in memory

	Endpoint string        // default: Amazon's
	Client   *http.Client  // default: the SDK's own
	Attempts int           // default DefaultAttempts
	Backoff  time.Duration // default DefaultBackoff
	Sync     time.Duration // default DefaultSync

	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
}

// Provider implements provider.Provider. It is safe for concurrent use.
type Provider struct {
	service.Provider

	s   Settings
	api *route53.Client
}

// New makes the provider. It reaches no server.
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
	s.Attempts, s.Backoff, s.Sync = cmp.Or(s.Attempts, DefaultAttempts), cmp.Or(s.Backoff, DefaultBackoff), cmp.Or(s.Sync, DefaultSync)
	switch {
	case s.DefaultTTL < 0:
		return nil, fmt.Errorf("route53: a default TTL of %d seconds is not possible", s.DefaultTTL)
	case s.Aliases == "":
		s.Aliases = KeepAliases
	case s.Aliases != KeepAliases && s.Aliases != ManageAliases:
		return nil, fmt.Errorf("route53: aliases is %q; it must be %s or %s", s.Aliases, KeepAliases, ManageAliases)
	}
	if s.CreateZones && s.Private {
		return nil, errors.New("route53: a private zone belongs to a network (VPC), which Slipway does not know: create it at AWS and leave create-zones away")
	}
	if (s.AccessKeyID == "") != (s.SecretKey == "") {
		return nil, errors.New("route53: access-key-id and secret-key go together; without both, the server's own identity at AWS is used")
	}
	if s.Role != "" && !roleARN.MatchString(s.Role) || s.Role == "" && s.ExternalID != "" {
		return nil, fmt.Errorf("route53: role %q is not the ARN of a role, which is written like arn:aws:iam::123456789012:role/slipway-dns", s.Role)
	}
	options := []func(*config.LoadOptions) error{
		config.WithRegion("us-east-1"), // where the API of Route 53 is, wherever the zones are served
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = s.Attempts, s.Backoff })
		}),
	}
	if s.Client != nil {
		options = append(options, config.WithHTTPClient(s.Client))
	}
	if s.AccessKeyID != "" {
		options = append(options, config.WithCredentialsProvider(aws.NewCredentialsCache(aws.CredentialsProviderFunc(s.credentials))))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("route53: %w", err)
	}
	if s.Role != "" {
		guard := sts.NewFromConfig(cfg, func(o *sts.Options) {
			if s.Endpoint != "" {
				o.BaseEndpoint = aws.String(s.Endpoint)
			}
		})
		cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(guard, s.Role, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = "slipway" // in CloudTrail, who did it
			if s.ExternalID != "" {
				o.ExternalID = &s.ExternalID
			}
		}))
	}
	journal, err := service.OpenJournal(s.Journal)
	if err != nil {
		return nil, fmt.Errorf("route53: %w", err)
	}
	api := route53.NewFromConfig(cfg, func(o *route53.Options) {
		if s.Endpoint != "" {
			o.BaseEndpoint = aws.String(s.Endpoint)
		}
	})
	p := &Provider{s: s, api: api}
	p.Provider = service.New(service.Service{
		Name: s.Name, DefaultTTL: s.DefaultTTL, Journal: journal, Check: p.check, Now: s.Now, Sleep: s.Sleep,
		Read: func(ctx context.Context, z zone.Name) (service.Zone, error) { return p.read(ctx, z) },
	})
	return p, nil
}

var roleARN = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,512}$`)

// credentials fetches the keys from where they are kept.
func (s Settings) credentials(ctx context.Context) (aws.Credentials, error) {
	key, err := s.Secrets(ctx, s.SecretKey)
	if err != nil {
		return aws.Credentials{}, err
	}
	c := aws.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: key.Reveal(), Source: "slipway", CanExpire: true, Expires: s.Now().Add(refetch)}
	if s.SessionToken != "" {
		token, err := s.Secrets(ctx, s.SessionToken)
		if err != nil {
			return aws.Credentials{}, err
		}
		c.SessionToken = token.Reveal()
	}
	return c, nil
}
