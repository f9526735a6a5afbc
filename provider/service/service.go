// Package service owns what all providers that speak to a DNS service over its API have
// in common: an apply that can be killed at any instruction and run again, although the
// service itself remembers nothing of who asked for what. It knows no service and opens
// no connection; route53, clouddns, azuredns, cloudflare and libdns give it a Service and
// keep to reading and writing. Read this file first, then apply.go and journal.go.
package service

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/provider"
	"slipway/zone"
)

// Zone is one zone as the service had it when it was read, with whatever the provider
// needs to change just that version: identifiers, entity tags.
type Zone interface {
	// Live is the zone's content, its digest included.
	Live() *provider.Live

	// Unmanaged is what else is in it, and stays as it is. Write is never asked for its place.
	Unmanaged() []Unmanaged

	// Write makes the edits, part by part as provider.Order has them, and makes the zone
	// when it does not exist. It returns the service's own name for what it did. It may
	// fail in the middle, and may fail although everything was done: Apply finds out by
	// reading.
	Write(ctx context.Context, parts [][]zone.Edit) (change string, err error)
}

// Service is one provider to Apply.
type Service struct {
	Name       string // what slipway.yaml calls the provider, for receipts
	DefaultTTL int    // seconds, for zone.NoTTL; 0 means provider.DefaultTTL
	Journal    *Journal
	Read       func(ctx context.Context, z zone.Name) (Zone, error)

	// Check refuses record sets that the service cannot hold, before anything is
	// changed. nil checks nothing.
	Check func(z zone.Name, set zone.RRSet) error

	// Settle are the pauses between reading the zone again after a write, for services
	// that show a change only some time after they have taken it.
	Settle []time.Duration

	Now   func() time.Time                                 // default time.Now
	Sleep func(ctx context.Context, d time.Duration) error // default Pause

	shared bool // others change the zone too, and count its serial up
}

// Provider is what every provider of a service does in the same way: it reads and applies by a
// Service. Each of them embeds one.
type Provider struct{ service Service }

// New makes the part of a provider that s describes.
func New(s Service) Provider { return Provider{s} }

// Read implements provider.Provider.
func (p Provider) Read(ctx context.Context, z zone.Name) (*provider.Live, error) {
	now, err := p.service.Read(ctx, z)
	if err != nil {
		return nil, Fault(z, err)
	}
	return now.Live(), nil
}

// Unmanaged lists what is in the zone and stays as it is, whatever a plan says.
func (p Provider) Unmanaged(ctx context.Context, z zone.Name) ([]Unmanaged, error) {
	now, err := p.service.Read(ctx, z)
	if err != nil {
		return nil, Fault(z, err)
	}
	return now.Unmanaged(), nil
}

// Apply implements provider.Provider. See Service.Apply.
func (p Provider) Apply(ctx context.Context, plan provider.Plan) (*provider.Receipt, error) {
	return p.service.Apply(ctx, plan)
}

// Check refuses a record set that the service cannot hold, without asking it.
func (p Provider) Check(z zone.Name, set zone.RRSet) error {
	if p.service.Check == nil {
		return nil
	}
	return p.service.Check(z, set)
}

// Resumes implements provider.Resumer.
func (p Provider) Resumes(plan provider.Plan, live, before *provider.Live) (bool, error) {
	return p.service.Resumes(plan, live, before)
}

// Unmanaged is something in a live zone that is not Slipway's business.
type Unmanaged = provider.Unmanaged

// Fault names the zone in an error, once.
func Fault(z zone.Name, err error) error {
	if err == nil || strings.HasPrefix(err.Error(), "zone ") {
		return err
	}
	return fmt.Errorf("zone %s: %w", z, err)
}

// Pause waits for d or until ctx ends.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// NewLive fills in a provider.Live from its sets. The services keep name servers of their
// own at the top of every zone, so the NS set there is the zone's own.
func NewLive(z zone.Name, sets []zone.RRSet, serial uint32, defaultTTL int) *provider.Live {
	live := &provider.Live{Zone: z, Sets: sets, Serial: serial, Exists: true, DefaultTTL: defaultTTL}
	slices.SortFunc(sets, func(a, b zone.RRSet) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
	live.Digest = provider.Digest(sets)
	for _, set := range sets {
		if set.Name == z && set.Type == "NS" {
			live.ApexNS = &set
		}
	}
	return live
}

// Absent is a zone that the service does not have.
func Absent(z zone.Name, defaultTTL int) *provider.Live {
	return &provider.Live{Zone: z, Digest: provider.Digest(nil), DefaultTTL: defaultTTL}
}

// MaxZones bounds the zones that are listed of one provider.
const MaxZones = 100_000

// Names sorts zones' names and drops repeats.
func Names(names []zone.Name) []zone.Name {
	slices.Sort(names)
	return slices.Compact(names)
}

// CheckZone refuses a name that is not a zone's in canonical form.
func CheckZone(z zone.Name) error {
	canonical, err := zone.ParseName(string(z))
	if err != nil {
		return fmt.Errorf("zone %q: %w", string(z), err)
	}
	if canonical != z {
		return fmt.Errorf("zone %q: the name is not in canonical form, which is %q", string(z), string(canonical))
	}
	return nil
}
