// Package rfc2136 is the provider for zones on a DNS server of one's own (BIND, Knot,
// PowerDNS, Windows): they are read by zone transfer (RFC 5936) and changed by dynamic
// update (RFC 2136), both over TCP and signed with TSIG (RFC 8945). Every update names
// what it takes to be there already, so that the server itself refuses one that was
// planned against another zone. The package makes no zones, since the protocol cannot, and
// leaves what DNSSEC signing makes to the server. Read this file first, then transfer.go
// and update.go; known.go asks whether a zone is still the one that was read before, and
// wire.go looks into messages and checks signatures.
package rfc2136

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"slipway/provider"
	"slipway/provider/service"
	"slipway/repo/cache"
	"slipway/secret"
	"slipway/zone"
)

// Type is the provider's type in slipway.yaml.
const Type = "rfc2136"

// timeout bounds one exchange with the server when the caller's context does not: a
// transfer of a large zone takes seconds.
const timeout = 2 * time.Minute

// Settings are a provider of the type in slipway.yaml.
type Settings struct {
	Name         string       // what slipway.yaml calls the provider, for receipts; default Type
	Server       string       // host:port, or host for port 53
	KeyName      zone.Name    // TSIG
	KeyAlgorithm string       // hmac-sha256 (default), hmac-sha384 or hmac-sha512
	KeySecret    secret.Value // base 64
	DefaultTTL   int          // seconds, for zone.NoTTL; default provider.DefaultTTL
	Journal      string       // directory of this provider's own, see package service

	Now  func() time.Time                                                     // default time.Now
	Dial func(ctx context.Context, network, address string) (net.Conn, error) // default a net.Dialer's
}

// Provider implements provider.Provider and provider.Summariser. It is safe for
// concurrent use. Keep one for as long as there is a process: it remembers which
// transfers it has read.
type Provider struct {
	service.Provider

	s   Settings
	key *key

	kept     *cache.Dir  // what transfers said, for the next process
	noSerial atomic.Bool // the server does not answer IXFR

	// mu guards seen, for no longer than a look-up.
	mu   sync.Mutex
	seen map[zone.Name]known
}

// New checks the settings. It does not ask the server.
func New(_ context.Context, s Settings) (*Provider, error) {
	if s.Name == "" {
		s.Name = Type
	}
	fail := func(err error) (*Provider, error) { return nil, fmt.Errorf("provider %s: %w", s.Name, err) }
	if s.Server == "" {
		return fail(errors.New("no server is set: write server: host or host:port"))
	}
	if _, _, err := net.SplitHostPort(s.Server); err != nil {
		s.Server = net.JoinHostPort(s.Server, "53")
	}
	if s.KeyName == "" || s.KeySecret.Empty() {
		return fail(errors.New("no TSIG key is set: without one anybody who can send from this address could change the zones"))
	}
	if s.DefaultTTL < 0 {
		return fail(fmt.Errorf("a default TTL of %d seconds is not possible", s.DefaultTTL))
	}
	if s.DefaultTTL == 0 {
		s.DefaultTTL = provider.DefaultTTL
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Dial == nil {
		s.Dial = new(net.Dialer).DialContext
	}
	k, err := newKey(s.KeyName, s.KeyAlgorithm, s.KeySecret)
	if err != nil {
		return fail(err)
	}
	s.KeySecret = secret.Value{} // the key has it
	journal, err := service.OpenJournal(s.Journal)
	if err != nil {
		return fail(err)
	}
	p := &Provider{s: s, key: k, seen: map[zone.Name]known{}}
	if s.Journal != "" {
		p.kept = cache.Open(filepath.Join(s.Journal, "transfers"), maxKept)
	}
	p.Provider = service.New(service.Service{Name: s.Name, DefaultTTL: s.DefaultTTL, Journal: journal, Read: p.open, Check: check, Now: s.Now})
	return p, nil
}

// Servers are the servers that answer for the zones: the one that is changed.
func (p *Provider) Servers(context.Context, zone.Name) ([]string, error) {
	return []string{p.s.Server}, nil
}

func (p *Provider) open(ctx context.Context, z zone.Name) (service.Zone, error) {
	v, err := p.read(ctx, z, false)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// check refuses what DNS itself has no form for.
func check(_ zone.Name, set zone.RRSet) error {
	if !set.InDNS() || set.Extra != "" {
		return fmt.Errorf("%s %s: a DNS server has no form for a provider's own record type or settings; write it as records that DNS knows, or serve the zone by the provider that it is meant for",
			set.Type, set.Name)
	}
	return nil
}
