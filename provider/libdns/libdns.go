// Package libdns is the provider for the long tail: DNS services that libdns
// (github.com/libdns) speaks to, chosen by name. Most of them change one record at a time,
// know no conditions and give no names to changes, so what Slipway promises elsewhere is
// made here from the outside: a plan is made in an order that breaks no name, journalled,
// read back, and gone on with where it stopped. What cannot be made is said: an edit that
// somebody makes in the console at the very moment of an apply may be lost, and receipts
// name no change and no serial. Read this file first, then services.go, read.go and
// apply.go.
package libdns

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	lib "github.com/libdns/libdns"

	"slipway/provider"
	"slipway/provider/service"
	"slipway/secret"
	"slipway/zone"
)

// Type is the provider's type in slipway.yaml.
const Type = "libdns"

// Client is what a libdns package has to be able to do. It has four methods because libdns
// cuts them into one interface each.
type Client interface {
	lib.RecordGetter
	lib.RecordAppender
	lib.RecordSetter
	lib.RecordDeleter
}

// Limits.
const (
	DefaultTimeout = 2 * time.Minute // of one call
	maxRecords     = 200_000         // of one zone
	refetch        = 10 * time.Minute
)

// Settings say which service, and where its credentials are kept.
type Settings struct {
	Name    string // what slipway.yaml calls this provider, for receipts; default Type
	Service string // one of Services

	// Texts and Refs are the service's own settings, the plain ones and the credentials;
	// Fields says which there are.
	Texts   map[string]string
	Refs    map[string]secret.Ref
	Secrets func(ctx context.Context, ref secret.Ref) (secret.Value, error) // default secret.Resolve

	DefaultTTL int    // seconds; default provider.DefaultTTL
	Journal    string // directory for the journal; it must be set

	// Settle are the pauses between reading again after a change, until it shows;
	// default 1, 2 and 4 seconds.
	Settle  []time.Duration
	Timeout time.Duration // of one call; default DefaultTimeout

	// Client is used instead of a service that is known by name.
	Client Client

	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
}

// Provider implements provider.Provider. It is safe for concurrent use.
type Provider struct {
	service.Provider

	s     Settings
	about about

	// mu guards the rest, while credentials are fetched too.
	mu     sync.Mutex
	client Client
	made   time.Time
	hidden []secret.Value // what the client was made with
}

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
	if s.Sleep == nil {
		s.Sleep = service.Pause
	}
	if s.Settle == nil {
		s.Settle = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}
	}
	if s.Timeout == 0 {
		s.Timeout = DefaultTimeout
	}
	var a about
	if s.Client == nil {
		var err error
		if a, err = lookUp(s); err != nil {
			return nil, fmt.Errorf("libdns: %w", err)
		}
	}
	switch {
	case s.DefaultTTL < 0:
		return nil, fmt.Errorf("libdns: a default TTL of %d seconds is not possible", s.DefaultTTL)
	case s.Journal == "":
		return nil, errors.New("libdns: a directory for the journal must be set: these services make no change as a whole, and without a journal one that stopped half-way cannot be told from somebody's edit")
	}
	journal, err := service.OpenJournal(s.Journal)
	if err != nil {
		return nil, fmt.Errorf("libdns: %w", err)
	}
	p := &Provider{s: s, about: a}
	p.Provider = service.New(service.Service{
		Name: s.Name, DefaultTTL: s.DefaultTTL, Journal: journal, Check: p.check, Settle: s.Settle, Now: s.Now, Sleep: s.Sleep,
		Read: func(ctx context.Context, z zone.Name) (service.Zone, error) { return p.read(ctx, z) },
	})
	return p, nil
}
