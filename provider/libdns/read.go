package libdns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	lib "github.com/libdns/libdns"

	"slipway/provider"
	"slipway/provider/service"
	"slipway/zone"
)

// made are types that a service makes itself.
var made = []string{"SOA", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "DNSKEY", "CDS", "CDNSKEY", "ZONEMD"}

// state is a zone as it was read.
type state struct {
	p         *Provider
	client    Client
	zone      zone.Name
	live      *provider.Live
	unmanaged []service.Unmanaged

	// raw are the records of every managed set by their values, as the service gave them:
	// some need their own data to find a record again.
	raw map[zone.Key]map[string]lib.Record
}

func (s *state) Live() *provider.Live           { return s.live }
func (s *state) Unmanaged() []service.Unmanaged { return s.unmanaged }

func (p *Provider) read(ctx context.Context, z zone.Name) (*state, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := service.CheckZone(z); err != nil {
		return nil, err
	}
	client, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	s := &state{p: p, client: client, zone: z}
	there, err := s.exists(ctx)
	if err != nil {
		return nil, err
	}
	if !there {
		s.live = service.Absent(z, p.s.DefaultTTL)
		return s, nil
	}
	return s, s.load(ctx)
}

// exists asks services that list their zones; of the others, a zone that is not there is
// an error of the first call.
func (s *state) exists(ctx context.Context) (bool, error) {
	names, err := s.p.Zones(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		return true, nil
	}
	return slices.Contains(names, s.zone), err
}

// load reads the records.
func (s *state) load(ctx context.Context) error {
	var records []lib.Record
	err := s.call(ctx, "list the records", func(ctx context.Context) (err error) {
		records, err = s.client.GetRecords(ctx, s.zone.FQDN())
		return err
	})
	if err != nil {
		return err
	}
	if len(records) > maxRecords {
		return fmt.Errorf("it has more than %d records: it is too large for this kind of service", maxRecords)
	}
	s.raw, s.unmanaged = map[zone.Key]map[string]lib.Record{}, nil
	sets := map[zone.Key]*zone.RRSet{}
	for _, r := range records {
		rr := r.RR()
		if slices.Contains(made, strings.ToUpper(rr.Type)) {
			continue
		}
		set, err := s.recordSet(rr)
		if err != nil {
			s.unmanaged = append(s.unmanaged, service.Unmanaged{Name: set.Name, Type: rr.Type, Why: err.Error()})
			continue
		}
		key := set.Key()
		if sets[key] == nil {
			sets[key], s.raw[key] = &set, map[string]lib.Record{}
		}
		// RFC 2181 section 5.2: records of one set have one TTL; the lowest counts.
		sets[key].TTL = min(sets[key].TTL, set.TTL)
		if _, twice := s.raw[key][set.Values[0]]; !twice {
			s.raw[key][set.Values[0]] = r
			if len(s.raw[key]) > 1 {
				sets[key].Values = append(sets[key].Values, set.Values[0])
			}
		}
	}
	list := make([]zone.RRSet, 0, len(sets))
	for _, set := range sets {
		slices.Sort(set.Values)
		list = append(list, *set)
	}
	s.live = service.NewLive(s.zone, list, 0, s.p.s.DefaultTTL)
	return nil
}

// recordSet is one record as a set of its own. Names are relative to the zone; data is as
// in a zone file, but for TXT, which is the text itself.
func (s *state) recordSet(rr lib.RR) (zone.RRSet, error) {
	name, err := zone.ParseName(lib.AbsoluteName(rr.Name, s.zone.FQDN()))
	if err != nil || !name.In(s.zone) {
		return zone.RRSet{Name: zone.Name(rr.Name)}, fmt.Errorf("its name is not one of this zone")
	}
	none := zone.RRSet{Name: name}
	data := rr.Data
	if (rr.Type == "TXT" || rr.Type == "SPF") && !s.p.about.quoted {
		data = zone.QuoteText(data)
	}
	ttl := int(rr.TTL / time.Second)
	if s.p.about.noTTL {
		ttl = s.p.s.DefaultTTL
	}
	set, err := zone.NewRRSet(name, rr.Type, ttl, []string{data})
	if err != nil {
		return none, err
	}
	if !set.InDNS() && set.Type != "ALIAS" {
		return none, fmt.Errorf("its type is the service's own")
	}
	return set, nil
}

// libRecords writes values of a set in libdns's form.
func (s *state) libRecords(set zone.RRSet, values []string) ([]lib.Record, error) {
	name := "@"
	if set.Name != s.zone {
		name = set.Name.Relative(s.zone)
	}
	out := make([]lib.Record, 0, len(values))
	for _, v := range values {
		rr := lib.RR{Name: name, Type: set.Type, TTL: time.Duration(set.TTL) * time.Second, Data: v}
		if set.Type == "TXT" || set.Type == "SPF" {
			parts, err := zone.Fields(v)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", set.Type, set.Name, err)
			}
			rr.Data = strings.Join(parts, "")
		}
		// The packages take every form, and are tested most with the parsed one.
		parsed, err := rr.Parse()
		if err != nil {
			parsed = rr
		}
		out = append(out, parsed)
	}
	return out, nil
}

// Zones lists the zones that the credentials see. Not every service tells; the error is
// then errors.ErrUnsupported.
func (p *Provider) Zones(ctx context.Context) ([]zone.Name, error) {
	client, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	lister, ok := client.(lib.ZoneLister)
	if !ok {
		return nil, fmt.Errorf("%s does not tell which zones there are: %w", p.s.Service, errors.ErrUnsupported)
	}
	var out []zone.Name
	s := &state{p: p}
	err = s.call(ctx, "list the zones", func(ctx context.Context) error {
		found, err := lister.ListZones(ctx)
		for _, l := range found {
			if name, err := zone.ParseName(l.Name); err == nil && len(out) < service.MaxZones {
				out = append(out, name)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return service.Names(out), nil
}
