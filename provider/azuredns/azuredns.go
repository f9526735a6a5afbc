// Package azuredns is the provider for Azure DNS, public zones. Azure changes one record
// set at a time, so a plan is not made as a whole: each set is written only if it is still
// the version that was read (entity tags), in an order that breaks no name, and an apply
// that stopped goes on where it was. It creates no zone unless told to, and never touches
// the SOA record or alias record sets. Read this file first, then read.go and apply.go.
package azuredns

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/dns/armdns"

	"slipway/provider"
	"slipway/provider/service"
	"slipway/secret"
	"slipway/zone"
)

// Type is the provider's type in slipway.yaml.
const Type = "azuredns"

// Defaults.
const (
	DefaultAttempts = 6               // of one request, when it is throttled or fails for a moment
	DefaultBackoff  = 2 * time.Minute // the longest pause between two of them; told to wait longer, it gives up
)

// refetch is after how long the client secret is fetched again from where it is kept.
const refetch = 10 * time.Minute

// Settings say which zones of which resource group.
type Settings struct {
	Name          string // what slipway.yaml calls this provider, for receipts; default Type
	Subscription  string
	ResourceGroup string

	// Credentials: without ClientID the identity of the platform is used (workload or
	// managed identity, the Azure CLI's login), which is better where there is one.
	Tenant, ClientID string
	ClientSecret     secret.Ref
	Secrets          func(ctx context.Context, ref secret.Ref) (secret.Value, error) // default secret.Resolve

	CreateZones bool   // make a zone that does not exist; it is billed, and not delegated yet
	DefaultTTL  int    // seconds; default provider.DefaultTTL
	Journal     string // directory for the journal; "" keeps it in memory

	Endpoint   string                 // default: Azure's public cloud
	Client     *http.Client           // default: the SDK's own
	Credential azcore.TokenCredential // instead of all of the above
	Attempts   int                    // default DefaultAttempts
	Backoff    time.Duration          // default DefaultBackoff

	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
}

// Provider implements provider.Provider. It is safe for concurrent use.
type Provider struct {
	service.Provider

	s     Settings
	zones *armdns.ZonesClient
	sets  *armdns.RecordSetsClient
}

var (
	subscription = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	group        = regexp.MustCompile(`^[\w().-]{1,90}$`)
)

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
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Attempts == 0 {
		s.Attempts = DefaultAttempts
	}
	if s.Backoff == 0 {
		s.Backoff = DefaultBackoff
	}
	switch {
	case s.DefaultTTL < 0:
		return nil, fmt.Errorf("azuredns: a default TTL of %d seconds is not possible", s.DefaultTTL)
	case !subscription.MatchString(s.Subscription):
		return nil, fmt.Errorf("azuredns: %q is not the ID of a subscription, which is written like 00000000-0000-0000-0000-000000000000", s.Subscription)
	case !group.MatchString(s.ResourceGroup):
		return nil, fmt.Errorf("azuredns: %q is not the name of a resource group", s.ResourceGroup)
	case (s.ClientID == "") != (s.ClientSecret == "") || (s.ClientID == "") != (s.Tenant == ""):
		return nil, errors.New("azuredns: tenant, client-id and client-secret go together; without all three, the server's own identity at Azure is used")
	}
	core := policy.ClientOptions{Retry: policy.RetryOptions{MaxRetries: int32(s.Attempts) - 1, MaxRetryDelay: s.Backoff, RetryDelay: min(s.Backoff, time.Second)}}
	if s.Attempts == 1 {
		core.Retry.MaxRetries = -1
	}
	if s.Client != nil {
		core.Transport = s.Client
	}
	credential := s.Credential
	switch {
	case credential != nil:
	case s.ClientID != "":
		credential = &application{s: s, core: core}
	default:
		var err error
		if credential, err = azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: core}); err != nil {
			return nil, fmt.Errorf("azuredns: this machine has no identity at Azure, and no credentials are set: %w", err)
		}
	}
	if s.Endpoint != "" {
		core.Cloud = cloud.Configuration{
			ActiveDirectoryAuthorityHost: cloud.AzurePublic.ActiveDirectoryAuthorityHost,
			Services:                     map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Endpoint: s.Endpoint, Audience: "https://management.core.windows.net/"}},
		}
	}
	options := &arm.ClientOptions{ClientOptions: core, DisableRPRegistration: true}
	zones, err := armdns.NewZonesClient(s.Subscription, credential, options)
	if err != nil {
		return nil, fmt.Errorf("azuredns: %w", err)
	}
	sets, err := armdns.NewRecordSetsClient(s.Subscription, credential, options)
	if err != nil {
		return nil, fmt.Errorf("azuredns: %w", err)
	}
	journal, err := service.OpenJournal(s.Journal)
	if err != nil {
		return nil, fmt.Errorf("azuredns: %w", err)
	}
	p := &Provider{s: s, zones: zones, sets: sets}
	p.Provider = service.New(service.Service{
		Name: s.Name, DefaultTTL: s.DefaultTTL, Journal: journal, Check: check, Now: s.Now, Sleep: s.Sleep,
		Read: func(ctx context.Context, z zone.Name) (service.Zone, error) { return p.read(ctx, z) },
	})
	return p, nil
}

// application signs in as an application with a secret that is fetched from where it is
// kept, again after a while, so that one that was replaced is used without a restart.
type application struct {
	s    Settings
	core policy.ClientOptions

	// mu guards the rest, while a secret is fetched too.
	mu      sync.Mutex
	fetched time.Time
	inner   *azidentity.ClientSecretCredential
}

// GetToken implements azcore.TokenCredential.
func (a *application) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	inner, err := a.sign(ctx)
	if err != nil {
		return azcore.AccessToken{}, err
	}
	return inner.GetToken(ctx, o)
}

func (a *application) sign(ctx context.Context) (*azidentity.ClientSecretCredential, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.inner != nil && a.s.Now().Before(a.fetched.Add(refetch)) {
		return a.inner, nil
	}
	key, err := a.s.Secrets(ctx, a.s.ClientSecret)
	if err != nil {
		return nil, err
	}
	inner, err := azidentity.NewClientSecretCredential(a.s.Tenant, a.s.ClientID, key.Reveal(), &azidentity.ClientSecretCredentialOptions{ClientOptions: a.core})
	if err != nil {
		return nil, err
	}
	a.inner, a.fetched = inner, a.s.Now()
	return inner, nil
}
