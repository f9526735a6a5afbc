package catalog

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"path/filepath"
	"strconv"

	"slipway/internal/part"
	"slipway/provider"
	"slipway/provider/azuredns"
	"slipway/provider/clouddns"
	"slipway/provider/cloudflare"
	"slipway/provider/libdns"
	"slipway/provider/powerdns"
	"slipway/provider/rfc2136"
	"slipway/provider/route53"
	"slipway/provider/zonefile"
	"slipway/secret"
	"slipway/zone"
)

// maker reads a provider's settings and returns what opens it with them.
type maker func(ctx context.Context, in *settings) func() (provider.Provider, error)

// types are all providers, by what slipway.yaml calls their type. docs/providers has a
// page for each.
var types = map[string]maker{
	zonefile.Type:   embedded,
	rfc2136.Type:    server,
	powerdns.Type:   powerDNS,
	route53.Type:    route53Zones,
	clouddns.Type:   cloudDNS,
	azuredns.Type:   azureDNS,
	cloudflare.Type: cloudflareZones,
	libdns.Type:     longTail,
}

func embedded(_ context.Context, in *settings) func() (provider.Provider, error) {
	return func() (provider.Provider, error) {
		if in.catalog.o.Files == nil {
			return nil, fmt.Errorf("provider %s: this server keeps no zone files", in.name)
		}
		return in.catalog.o.Files, nil
	}
}

func server(ctx context.Context, in *settings) func() (provider.Provider, error) {
	s := rfc2136.Settings{
		Name:         in.name,
		Server:       in.Must("server"),
		KeyName:      in.domain("key-name"),
		KeyAlgorithm: in.Text("key-algorithm", ""),
		KeySecret:    in.secret(ctx, "key-secret"),
		DefaultTTL:   in.number("default-ttl"),
		Journal:      in.journal(),
		Now:          in.catalog.o.Now,
	}
	return func() (provider.Provider, error) { return rfc2136.New(ctx, s) }
}

func powerDNS(ctx context.Context, in *settings) func() (provider.Provider, error) {
	s := powerdns.Settings{
		Name:        in.name,
		URL:         in.Must("url"),
		APIKey:      in.secret(ctx, "api-key"),
		ServerID:    in.Text("server-id", ""),
		DNS:         in.Must("dns"),
		PlainHTTP:   in.word("plain-http", "allowed"),
		Kind:        in.Text("kind", ""),
		NameServers: in.domains("name-servers"),
		DefaultTTL:  in.number("default-ttl"),
		Journal:     in.journal(),
		Now:         in.catalog.o.Now,
	}
	return func() (provider.Provider, error) { return powerdns.New(ctx, s) }
}

// settings reads one provider's settings.
type settings struct {
	*part.Reader
	catalog *Catalog
	name    string
	secrets hash.Hash // of the credentials, to notice when one is replaced
}

func (in *settings) word(key, word string) bool {
	v := in.Text(key, "")
	if v != "" && v != word {
		in.Fail(key, "write %s, or leave it out", word)
	}
	return v == word
}

func (in *settings) number(key string) int {
	v := in.Text(key, "")
	if v == "" {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > 1<<31-1 {
		in.Fail(key, "%q is not a number of seconds", v)
	}
	return n
}

func (in *settings) domain(key string) zone.Name {
	v := in.Must(key)
	n, err := zone.ParseName(v)
	if err != nil && v != "" {
		in.Fail(key, "%w", err)
	}
	return n
}

// domains reads names with spaces or commas between them.
func (in *settings) domains(key string) []zone.Name {
	var out []zone.Name
	for _, v := range in.Words(key) {
		n, err := zone.ParseName(v)
		if err != nil {
			in.Fail(key, "%w", err)
		}
		out = append(out, n)
	}
	return out
}

// secret fetches the credential that a setting refers to.
func (in *settings) secret(ctx context.Context, key string) secret.Value {
	got := in.Secret(ctx, key, true)
	fmt.Fprintf(in.secrets, "%q %q\n", key, got.Reveal())
	return got
}

// journal is the directory of the provider's own.
func (in *settings) journal() string {
	if in.catalog.o.Dir == "" {
		return ""
	}
	// A provider's name is free text; a directory's is not.
	sum := sha256.Sum256([]byte(in.name))
	return filepath.Join(in.catalog.o.Dir, fmt.Sprintf("%x", sum[:8]))
}
