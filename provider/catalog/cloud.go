package catalog

import (
	"context"
	"slices"
	"strings"
	"time"

	"slipway/provider"
	"slipway/provider/azuredns"
	"slipway/provider/clouddns"
	"slipway/provider/cloudflare"
	"slipway/provider/libdns"
	"slipway/provider/route53"
	"slipway/secret"
	"slipway/zone"
)

func route53Zones(ctx context.Context, in *settings) func() (provider.Provider, error) {
	s := route53.Settings{
		Name:         in.name,
		AccessKeyID:  in.Text("access-key-id", ""),
		SecretKey:    in.reference(ctx, "secret-key"),
		SessionToken: in.reference(ctx, "session-token"),
		Secrets:      in.catalog.o.Secrets.Resolve,
		Role:         in.Text("role", ""),
		ExternalID:   in.Text("external-id", ""),
		Private:      in.private(),
		ZoneIDs:      in.zoneIDs(),
		Aliases:      in.Text("aliases", ""),
		CreateZones:  in.word("create-zones", "allowed"),
		DefaultTTL:   in.number("default-ttl"),
		Sync:         time.Duration(in.number("sync")) * time.Second,
		Journal:      in.journal(),
		Now:          in.catalog.o.Now,
	}
	return func() (provider.Provider, error) { return route53.New(ctx, s) }
}

func cloudDNS(ctx context.Context, in *settings) func() (provider.Provider, error) {
	s := clouddns.Settings{
		Name:        in.name,
		Project:     in.Must("project"),
		Credentials: in.reference(ctx, "credentials"),
		Secrets:     in.catalog.o.Secrets.Resolve,
		Private:     in.private(),
		ZoneIDs:     in.zoneIDs(),
		CreateZones: in.word("create-zones", "allowed"),
		DefaultTTL:  in.number("default-ttl"),
		Sync:        time.Duration(in.number("sync")) * time.Second,
		Journal:     in.journal(),
		Now:         in.catalog.o.Now,
	}
	return func() (provider.Provider, error) { return clouddns.New(ctx, s) }
}

func azureDNS(ctx context.Context, in *settings) func() (provider.Provider, error) {
	s := azuredns.Settings{
		Name:          in.name,
		Subscription:  in.Must("subscription"),
		ResourceGroup: in.Must("resource-group"),
		Tenant:        in.Text("tenant", ""),
		ClientID:      in.Text("client-id", ""),
		ClientSecret:  in.reference(ctx, "client-secret"),
		Secrets:       in.catalog.o.Secrets.Resolve,
		CreateZones:   in.word("create-zones", "allowed"),
		DefaultTTL:    in.number("default-ttl"),
		Journal:       in.journal(),
		Now:           in.catalog.o.Now,
	}
	return func() (provider.Provider, error) { return azuredns.New(ctx, s) }
}

func cloudflareZones(ctx context.Context, in *settings) func() (provider.Provider, error) {
	in.Must("token")
	s := cloudflare.Settings{
		Name:       in.name,
		Account:    in.Text("account", ""),
		Token:      in.reference(ctx, "token"),
		Secrets:    in.catalog.o.Secrets.Resolve,
		ZoneIDs:    in.zoneIDs(),
		Batch:      in.number("batch"),
		DefaultTTL: in.number("default-ttl"),
		Journal:    in.journal(),
		Now:        in.catalog.o.Now,
	}
	return func() (provider.Provider, error) { return cloudflare.New(ctx, s) }
}

func longTail(ctx context.Context, in *settings) func() (provider.Provider, error) {
	s := libdns.Settings{
		Name:       in.name,
		Service:    in.Must("service"),
		Texts:      map[string]string{},
		Refs:       map[string]secret.Ref{},
		Secrets:    in.catalog.o.Secrets.Resolve,
		DefaultTTL: in.number("default-ttl"),
		Journal:    in.journal(),
		Now:        in.catalog.o.Now,
	}
	texts, refs, ok := libdns.Fields(s.Service)
	if !ok {
		in.Fail("service", "it must be one of: %s", strings.Join(libdns.Services(), ", "))
	}
	for _, key := range texts {
		if v := in.Text(key, ""); v != "" {
			s.Texts[key] = v
		}
	}
	for _, key := range refs {
		if ref := in.reference(ctx, key); ref != "" {
			s.Refs[key] = ref
		}
	}
	return func() (provider.Provider, error) { return libdns.New(ctx, s) }
}

// reference reads a reference that may be left out, and fetches the credential once, so
// that a wrong one is found now.
func (in *settings) reference(ctx context.Context, key string) secret.Ref {
	v := in.Text(key, "")
	if v == "" {
		return ""
	}
	if in.secret(ctx, key).Reveal() == "" {
		return "" // why is kept
	}
	return secret.Ref(v)
}

// private reads which of two zones of one name is meant.
func (in *settings) private() bool {
	v := in.Text("visibility", "")
	if !slices.Contains([]string{"", "public", "private"}, v) {
		in.Fail("visibility", "write public or private")
	}
	return v == "private"
}

// zoneIDs reads a service's own names of zones, as zone=ID with spaces between.
func (in *settings) zoneIDs() map[zone.Name]string {
	out := map[zone.Name]string{}
	for _, pair := range strings.Fields(in.Text("zone-ids", "")) {
		name, id, ok := strings.Cut(pair, "=")
		z, err := zone.ParseName(name)
		if !ok || err != nil || id == "" {
			in.Fail("zone-ids", "write zone=ID, with spaces between several")
			continue
		}
		out[z] = id
	}
	return out
}
