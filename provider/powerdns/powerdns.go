// Package powerdns is the provider for zones of a PowerDNS authoritative server, by
// its HTTP API. It changes record sets and makes zones; keys, metadata, comments and
// disabled records stay as they are. The API cannot be told which version of a zone a
// change is for, so the zone is read again right before and right after. Read this file
// first, then zone.go and api.go.
package powerdns

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"slipway/provider"
	"slipway/provider/service"
	"slipway/secret"
	"slipway/zone"
)

// Type is the provider's type in slipway.yaml.
const Type = "powerdns"

// Settings are a provider of the type in slipway.yaml.
type Settings struct {
	Name        string       // what slipway.yaml calls the provider, for receipts; default Type
	URL         string       // of the API, without /api/v1: https://dns.example:8081
	APIKey      secret.Value // sent as X-API-Key
	ServerID    string       // default localhost, which is every PowerDNS's own name for itself
	DNS         string       // host:port at which the server answers questions
	PlainHTTP   bool         // lets the key go unencrypted to a machine other than this one
	Kind        string       // of zones that are made: native (default) or primary
	NameServers []zone.Name  // of zones that are made without NS records; default ns.invalid
	DefaultTTL  int          // seconds, for zone.NoTTL; default provider.DefaultTTL
	Journal     string       // directory of this provider's own, see package service

	Client *http.Client // default one of its own
	Now    func() time.Time
}

// Provider implements provider.Provider and provider.Summariser. It is safe for
// concurrent use. Keep one for as long as there is a process: it remembers which
// answers it has read.
type Provider struct {
	service.Provider

	s       Settings
	api     *api
	writing chan struct{} // holds one token while a change is sent

	// mu guards seen, for no longer than a look-up.
	mu   sync.Mutex
	seen map[zone.Name]known
}

// known is what was found out about a zone by the digest of the API's answer.
type known struct {
	answer [sha256.Size]byte
	live   provider.Live // without sets
}

// kinds are the API's words for what slipway.yaml may say.
var kinds = map[string]string{"": "Native", "native": "Native", "primary": "Master"}

// New checks the settings. It does not ask the server.
func New(_ context.Context, s Settings) (*Provider, error) {
	if s.Name == "" {
		s.Name = Type
	}
	fail := func(format string, args ...any) (*Provider, error) {
		return nil, fmt.Errorf("provider %s: %w", s.Name, fmt.Errorf(format, args...))
	}
	base, err := baseURL(s.URL, s.PlainHTTP)
	if err != nil {
		return fail("%w", err)
	}
	if s.APIKey.Empty() {
		return fail("no API key is set")
	}
	if s.DNS == "" {
		return fail("no DNS address is set: write dns: host:port, where the server answers questions, so that a change can be seen to have arrived")
	}
	if _, _, err := net.SplitHostPort(s.DNS); err != nil {
		s.DNS = net.JoinHostPort(s.DNS, "53")
	}
	if _, ok := kinds[s.Kind]; !ok {
		return fail("kind %q: write native or primary", s.Kind)
	}
	if s.DefaultTTL < 0 {
		return fail("a default TTL of %d seconds is not possible", s.DefaultTTL)
	}
	if s.DefaultTTL == 0 {
		s.DefaultTTL = provider.DefaultTTL
	}
	if s.ServerID == "" {
		s.ServerID = "localhost"
	}
	if len(s.NameServers) == 0 {
		s.NameServers = []zone.Name{"ns.invalid"} // can never exist (RFC 6761 section 6.4): nobody is sent anywhere
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	client := http.Client{Timeout: timeout}
	if s.Client != nil {
		client = *s.Client
	}
	// The key would go along to wherever it leads.
	client.CheckRedirect = func(*http.Request, []*http.Request) error {
		return errors.New("the API redirects, which it has no reason to")
	}
	journal, err := service.OpenJournal(s.Journal)
	if err != nil {
		return fail("%w", err)
	}
	p := &Provider{s: s, writing: make(chan struct{}, 1), seen: map[zone.Name]known{}, api: &api{base: base + "/api/v1/servers/" + url.PathEscape(s.ServerID), key: s.APIKey, client: &client}}
	p.Provider = service.New(service.Service{Name: s.Name, DefaultTTL: s.DefaultTTL, Journal: journal, Read: p.open, Check: check, Now: s.Now})
	return p, nil
}

func baseURL(text string, plain bool) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Scheme != "https" && u.Scheme != "http") {
		return "", errors.New("no usable URL is set: write url: https://host:port, without a user or password in it")
	}
	ip := net.ParseIP(u.Hostname())
	here := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme == "http" && !here && !plain {
		return "", errors.New("the URL begins with http://, so the API key could be read on its way: put TLS before the API, or write plain-http: allowed if nobody else is on that network")
	}
	return strings.TrimSuffix(u.Scheme+"://"+u.Host+u.EscapedPath(), "/"), nil
}

// Servers are the servers that answer for the zones.
func (p *Provider) Servers(context.Context, zone.Name) ([]string, error) {
	return []string{p.s.DNS}, nil
}

// Summary implements provider.Summariser: the API hands the zone over whole, and it is
// taken apart only when it is another one than the last time.
func (p *Provider) Summary(ctx context.Context, z zone.Name) (*provider.Live, error) {
	v, err := p.read(ctx, z, true)
	if err != nil {
		return nil, service.Fault(z, err)
	}
	live := *v.live
	live.Sets = nil
	return &live, nil
}

func (p *Provider) open(ctx context.Context, z zone.Name) (service.Zone, error) {
	v, err := p.read(ctx, z, false)
	if err != nil {
		return nil, err
	}
	return v, nil
}
