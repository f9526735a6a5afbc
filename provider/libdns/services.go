package libdns

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/libdns/alidns"
	"github.com/libdns/desec"
	"github.com/libdns/gandi"
	"github.com/libdns/godaddy"
	"github.com/libdns/hetzner"
	"github.com/libdns/infomaniak"
	"github.com/libdns/inwx"
	"github.com/libdns/ionos"
	"github.com/libdns/linode"
	"github.com/libdns/luadns"
	"github.com/libdns/mailinabox"
	"github.com/libdns/namecheap"
	"github.com/libdns/netcup"
	"github.com/libdns/ovh"
	"github.com/libdns/porkbun"
	"github.com/libdns/simplydotcom"
	"github.com/libdns/tencentcloud"

	"slipway/secret"
)

// about is what is known of one service.
type about struct {
	texts    []string // plain settings that must be set
	optional []string // plain settings that may be set
	refs     []string // credentials that must be set
	maybe    []string // credentials that may be set
	minTTL   int      // seconds; a lower one would be raised without a word
	noTTL    bool     // records have no TTL of their own
	quoted   bool     // texts come in quotes, against libdns's contract
	open     func(v map[string]string) Client
}

// services are the packages that can list a zone, which is what drift and idempotent
// applies rest on. libdns's package for Hurricane Electric is not among them: its API can
// only be written to.
var services = map[string]about{
	"alidns": {texts: []string{"access-key-id"}, refs: []string{"access-key-secret"}, optional: []string{"region-id"}, maybe: []string{"security-token"}, minTTL: 600,
		open: func(v map[string]string) Client {
			return &alidns.Provider{CredentialInfo: alidns.CredentialInfo{AccessKeyID: v["access-key-id"], AccessKeySecret: v["access-key-secret"], RegionID: v["region-id"], SecurityToken: v["security-token"]}}
		}},
	"desec": {refs: []string{"token"}, minTTL: 3600,
		open: func(v map[string]string) Client { return &desec.Provider{Token: v["token"]} }},
	"gandi": {refs: []string{"token"}, minTTL: 300, quoted: true,
		open: func(v map[string]string) Client { return &gandi.Provider{BearerToken: v["token"]} }},
	"godaddy": {refs: []string{"token"}, minTTL: 600,
		open: func(v map[string]string) Client { return &godaddy.Provider{APIToken: v["token"]} }},
	"hetzner": {refs: []string{"token"},
		open: func(v map[string]string) Client { return &hetzner.Provider{AuthAPIToken: v["token"]} }},
	"infomaniak": {refs: []string{"token"},
		open: func(v map[string]string) Client { return &infomaniak.Provider{APIToken: v["token"]} }},
	"inwx": {texts: []string{"username"}, refs: []string{"password"}, maybe: []string{"shared-secret"}, minTTL: 300,
		open: func(v map[string]string) Client {
			return &inwx.Provider{Username: v["username"], Password: v["password"], SharedSecret: v["shared-secret"]}
		}},
	"ionos": {refs: []string{"token"},
		open: func(v map[string]string) Client { return &ionos.Provider{AuthAPIToken: v["token"]} }},
	"linode": {refs: []string{"token"},
		open: func(v map[string]string) Client { return &linode.Provider{APIToken: v["token"]} }},
	"luadns": {texts: []string{"email"}, refs: []string{"api-key"},
		open: func(v map[string]string) Client { return &luadns.Provider{Email: v["email"], APIKey: v["api-key"]} }},
	"mailinabox": {texts: []string{"api-url", "email"}, refs: []string{"password"}, maybe: []string{"totp-secret"}, noTTL: true,
		open: func(v map[string]string) Client {
			return &mailinabox.Provider{APIURL: v["api-url"], EmailAddress: v["email"], Password: v["password"], TOTPSecret: v["totp-secret"]}
		}},
	"namecheap": {texts: []string{"user", "client-ip"}, refs: []string{"api-key"}, minTTL: 60,
		open: func(v map[string]string) Client {
			return &namecheap.Provider{User: v["user"], ClientIP: v["client-ip"], APIKey: v["api-key"]}
		}},
	"netcup": {texts: []string{"customer-number"}, refs: []string{"api-key", "api-password"},
		open: func(v map[string]string) Client {
			return &netcup.Provider{CustomerNumber: v["customer-number"], APIKey: v["api-key"], APIPassword: v["api-password"]}
		}},
	"ovh": {texts: []string{"endpoint"}, refs: []string{"application-key", "application-secret", "consumer-key"}, minTTL: 60,
		open: func(v map[string]string) Client {
			return &ovh.Provider{Endpoint: v["endpoint"], ApplicationKey: v["application-key"], ApplicationSecret: v["application-secret"], ConsumerKey: v["consumer-key"]}
		}},
	"porkbun": {refs: []string{"api-key", "secret-key"}, minTTL: 600,
		open: func(v map[string]string) Client {
			return &porkbun.Provider{APIKey: v["api-key"], APISecretKey: v["secret-key"]}
		}},
	"simplydotcom": {texts: []string{"account"}, refs: []string{"api-key"},
		open: func(v map[string]string) Client {
			return &simplydotcom.Provider{AccountName: v["account"], APIKey: v["api-key"]}
		}},
	"tencentcloud": {texts: []string{"secret-id"}, refs: []string{"secret-key"}, optional: []string{"region"}, maybe: []string{"session-token"},
		open: func(v map[string]string) Client {
			return &tencentcloud.Provider{SecretId: v["secret-id"], SecretKey: v["secret-key"], Region: v["region"], SessionToken: v["session-token"]}
		}},
}

// Services lists the services that are known by name.
func Services() []string { return slices.Sorted(maps.Keys(services)) }

// Fields lists a service's own settings: the plain ones, and the credentials. ok is false
// for a service that is not known.
func Fields(service string) (texts, refs []string, ok bool) {
	a, ok := services[service]
	return slices.Concat(a.texts, a.optional), slices.Concat(a.refs, a.maybe), ok
}

// lookUp checks the settings against what the service wants.
func lookUp(s Settings) (about, error) {
	a, ok := services[s.Service]
	if !ok {
		return a, fmt.Errorf("service is %q; it must be one of: %s", s.Service, strings.Join(Services(), ", "))
	}
	for _, key := range a.texts {
		if s.Texts[key] == "" {
			return a, fmt.Errorf("%s: %s must be set", s.Service, key)
		}
	}
	for _, key := range a.refs {
		if s.Refs[key] == "" {
			return a, fmt.Errorf("%s: %s must say where the credential is kept", s.Service, key)
		}
	}
	texts, refs, _ := Fields(s.Service)
	for _, key := range slices.Sorted(maps.Keys(s.Texts)) {
		if !slices.Contains(texts, key) {
			return a, fmt.Errorf("%s: there is no setting %s; there are: %s", s.Service, key, strings.Join(texts, ", "))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.Refs)) {
		if !slices.Contains(refs, key) {
			return a, fmt.Errorf("%s: there is no credential %s; there are: %s", s.Service, key, strings.Join(refs, ", "))
		}
	}
	if at := s.Texts["api-url"]; at != "" {
		if u, err := url.Parse(at); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			return a, fmt.Errorf("%s: api-url must begin with https://, since a password is sent there", s.Service)
		}
	}
	if at := s.Texts["endpoint"]; strings.ContainsAny(at, ":/") {
		// The client would take a URL, and send the credentials there.
		return a, fmt.Errorf("%s: endpoint must be the name of a region, such as ovh-eu", s.Service)
	}
	return a, nil
}

// connect returns the client, made anew now and then with credentials fetched anew.
func (p *Provider) connect(ctx context.Context) (Client, error) {
	if p.s.Client != nil {
		return p.s.Client, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client != nil && p.s.Now().Before(p.made.Add(refetch)) {
		return p.client, nil
	}
	values := maps.Clone(p.s.Texts)
	if values == nil {
		values = map[string]string{}
	}
	var hidden []secret.Value
	for key, ref := range p.s.Refs {
		v, err := p.s.Secrets(ctx, ref)
		if err != nil {
			return nil, err
		}
		values[key] = v.Reveal()
		hidden = append(hidden, v)
	}
	p.client, p.made, p.hidden = p.about.open(values), p.s.Now(), hidden
	return p.client, nil
}
