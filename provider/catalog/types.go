package catalog

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

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
		Server:       in.must("server"),
		KeyName:      in.domain("key-name"),
		KeyAlgorithm: in.text("key-algorithm"),
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
		URL:         in.must("url"),
		APIKey:      in.secret(ctx, "api-key"),
		ServerID:    in.text("server-id"),
		DNS:         in.must("dns"),
		PlainHTTP:   in.word("plain-http", "allowed"),
		Kind:        in.text("kind"),
		NameServers: in.domains("name-servers"),
		DefaultTTL:  in.number("default-ttl"),
		Journal:     in.journal(),
		Now:         in.catalog.o.Now,
	}
	return func() (provider.Provider, error) { return powerdns.New(ctx, s) }
}

// settings reads one provider's settings. The first fault found is kept; done returns it.
type settings struct {
	catalog *Catalog
	name    string
	params  map[string]string
	used    map[string]bool
	secrets hash.Hash // of the credentials, to notice when one is replaced
	err     error
}

func (in *settings) fail(key, format string, args ...any) {
	if in.err == nil {
		in.err = fmt.Errorf("provider %s: %s: %w", in.name, key, fmt.Errorf(format, args...))
	}
}

// done refuses what no reader has asked for: a misspelt key would be a setting that
// does nothing.
func (in *settings) done() error {
	for _, key := range slices.Sorted(maps.Keys(in.params)) {
		if !in.used[key] {
			in.fail(key, "there is no such setting; those of this type are: %s", strings.Join(slices.Sorted(maps.Keys(in.used)), ", "))
		}
	}
	return in.err
}

func (in *settings) text(key string) string {
	in.used[key] = true
	return in.params[key]
}

func (in *settings) must(key string) string {
	v := in.text(key)
	if v == "" {
		in.fail(key, "it must be set")
	}
	return v
}

func (in *settings) word(key, word string) bool {
	v := in.text(key)
	if v != "" && v != word {
		in.fail(key, "write %s, or leave it out", word)
	}
	return v == word
}

func (in *settings) number(key string) int {
	v := in.text(key)
	if v == "" {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > 1<<31-1 {
		in.fail(key, "%q is not a number of seconds", v)
	}
	return n
}

func (in *settings) domain(key string) zone.Name {
	v := in.must(key)
	n, err := zone.ParseName(v)
	if err != nil && v != "" {
		in.fail(key, "%w", err)
	}
	return n
}

// domains reads names with spaces or commas between them.
func (in *settings) domains(key string) []zone.Name {
	var out []zone.Name
	for _, v := range strings.FieldsFunc(in.text(key), func(r rune) bool { return r == ' ' || r == ',' }) {
		n, err := zone.ParseName(v)
		if err != nil {
			in.fail(key, "%w", err)
		}
		out = append(out, n)
	}
	return out
}

// secret fetches the credential that a setting refers to.
func (in *settings) secret(ctx context.Context, key string) secret.Value {
	v := in.text(key)
	if v == "" {
		in.fail(key, "it must be set, to where the credential is kept: env:NAME, file:/path or another reference")
	}
	if in.err != nil {
		return secret.Value{}
	}
	ref, err := secret.Parse(v)
	if err != nil {
		in.fail(key, "%w", err)
		return secret.Value{}
	}
	got, err := in.catalog.o.Secrets.Resolve(ctx, ref)
	if err != nil {
		in.fail(key, "%w", err)
		return secret.Value{}
	}
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
