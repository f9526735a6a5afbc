// Package zonefile is the provider that keeps zones as RFC 1035 files in a
// directory, for the in-process CoreDNS (package nameserver) or any other server
// that reads files.
package zonefile

import (
	"context"

	"slipway/provider"
	"slipway/zone"
)

// CONTRACT: replace by the real code.
type Provider struct{}

type Options struct {
	Dir          string
	DefaultTTL   int               // seconds, for zone.NoTTL
	MName, RName zone.Name         // SOA names; defaults below the zone
	Applied      func(z zone.Name) // called after a file is in place, so that a server in the same process reloads it at once
}

func New(o Options) (*Provider, error)                                            { panic("contract") }
func (p *Provider) Read(ctx context.Context, z zone.Name) (*provider.Live, error) { panic("contract") }
func (p *Provider) Apply(ctx context.Context, plan provider.Plan) (*provider.Receipt, error) {
	panic("contract")
}
