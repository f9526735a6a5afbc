package clouddns

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/api/dns/v1"

	"slipway/provider"
	"slipway/provider/service"
	"slipway/zone"
)

// maxSets bounds what is read of one zone; Cloud DNS itself stops at 10,000 unless asked.
const maxSets = 1_000_000

// managed are the types that are read and written.
var managed = []string{"A", "AAAA", "ALIAS", "CAA", "CNAME", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SPF", "SRV", "SSHFP", "SVCB", "TLSA", "TXT"}

// state is a managed zone as it was read.
type state struct {
	p         *Provider
	zone      zone.Name
	id        string // of the managed zone; "" when there is none
	live      *provider.Live
	unmanaged []service.Unmanaged

	// raw are the managed sets as Cloud DNS spells them: a deletion has to name them just so.
	raw map[zone.Key]*dns.ResourceRecordSet
}

func (s *state) Live() *provider.Live           { return s.live }
func (s *state) Unmanaged() []service.Unmanaged { return s.unmanaged }

// read pages through the zone's record sets.
func (p *Provider) read(ctx context.Context, z zone.Name) (*state, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := service.CheckZone(z); err != nil {
		return nil, err
	}
	s := &state{p: p, zone: z, live: service.Absent(z, p.s.DefaultTTL)}
	var err error
	if s.id, err = p.find(ctx, z); err != nil || s.id == "" {
		return s, err
	}
	return s, s.load(ctx)
}

// load reads the record sets of the managed zone s.id.
func (s *state) load(ctx context.Context) error {
	s.raw, s.unmanaged = map[zone.Key]*dns.ResourceRecordSet{}, nil
	var sets []zone.RRSet
	n := 0
	err := s.p.api.ResourceRecordSets.List(s.p.s.Project, s.id).Pages(ctx, func(page *dns.ResourceRecordSetsListResponse) error {
		if n += len(page.Rrsets); n > maxSets {
			return fmt.Errorf("it has more than %d record sets: it is too large for one zone", maxSets)
		}
		for _, r := range page.Rrsets {
			name, err := zone.ParseName(r.Name)
			switch {
			case err != nil || !name.In(s.zone):
				s.keep(zone.Name(r.Name), r.Type, "its name is not one of this zone")
			case slices.Contains([]string{"SOA", "DNSKEY"}, r.Type) && name == s.zone:
				// The service's own; its serial counts no versions.
			case r.RoutingPolicy != nil:
				s.keep(name, r.Type, "it has a routing policy")
			case !slices.Contains(managed, r.Type):
				s.keep(name, r.Type, "its type is not one that Slipway knows of Cloud DNS")
			default:
				set, err := zone.NewRRSet(name, r.Type, int(r.Ttl), r.Rrdatas)
				if err != nil {
					s.keep(name, r.Type, err.Error())
					continue
				}
				sets = append(sets, set)
				s.raw[set.Key()] = r
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the record sets of managed zone %s: %w", s.id, err)
	}
	s.live = service.NewLive(s.zone, sets, 0, s.p.s.DefaultTTL)
	return nil
}

func (s *state) keep(name zone.Name, typ, why string) {
	s.unmanaged = append(s.unmanaged, service.Unmanaged{Name: name, Type: typ, Why: why})
}

// errEnough ends paging.
var errEnough = errors.New("enough")

// find returns the managed zone's name, "" if there is none.
func (p *Provider) find(ctx context.Context, z zone.Name) (string, error) {
	if id := p.s.ZoneIDs[z]; id != "" {
		got, err := p.api.ManagedZones.Get(p.s.Project, id).Context(ctx).Do()
		if err != nil {
			return "", fmt.Errorf("look up managed zone %s: %w", id, err)
		}
		if name, err := zone.ParseName(got.DnsName); err != nil || name != z {
			return "", fmt.Errorf("managed zone %s is that of %s, not of %s: correct its ID in the settings", id, got.DnsName, z)
		}
		return got.Name, nil
	}
	visibility := "public"
	if p.s.Private {
		visibility = "private"
	}
	var found []string
	err := p.api.ManagedZones.List(p.s.Project).DnsName(z.FQDN()).Pages(ctx, func(page *dns.ManagedZonesListResponse) error {
		for _, m := range page.ManagedZones {
			if m.Visibility == "" {
				m.Visibility = "public"
			}
			if name, err := zone.ParseName(m.DnsName); err == nil && name == z && m.Visibility == visibility {
				found = append(found, m.Name)
			}
		}
		if len(found) > 100 {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return "", fmt.Errorf("look up the managed zone: %w", err)
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("there are %d %s managed zones of this DNS name (%s): say in the settings which of them is meant", len(found), visibility, provider.Listing(found))
}

// Zones lists the DNS names of the managed zones that the credentials see, of the
// visibility that is set.
func (p *Provider) Zones(ctx context.Context) ([]zone.Name, error) {
	var out []zone.Name
	err := p.api.ManagedZones.List(p.s.Project).Pages(ctx, func(page *dns.ManagedZonesListResponse) error {
		for _, m := range page.ManagedZones {
			if name, err := zone.ParseName(m.DnsName); err == nil && (m.Visibility == "private") == p.s.Private {
				out = append(out, name)
			}
		}
		if len(out) >= service.MaxZones {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("list the managed zones: %w", err)
	}
	return service.Names(out), nil
}

// Tags are the labels of the zone's managed zone.
func (p *Provider) Tags(ctx context.Context, z zone.Name) (map[string]string, error) {
	id, err := p.find(ctx, z)
	if err != nil || id == "" {
		return nil, err
	}
	got, err := p.api.ManagedZones.Get(p.s.Project, id).Context(ctx).Do()
	if err != nil {
		return nil, fmt.Errorf("read the labels of managed zone %s: %w", id, err)
	}
	return got.Labels, nil
}
