package cloudflare

import (
	"context"
	"fmt"
	"slices"

	"github.com/cloudflare/cloudflare-go/v6/dns"
	"github.com/cloudflare/cloudflare-go/v6/zones"

	"slipway/provider"
	"slipway/provider/service"
	"slipway/zone"
)

const (
	maxRecords = 1_000_000 // of one zone
	pageSize   = 1000
)

// mixed marks a set whose records differ in what they should share.
const mixed = `{"cloudflare":"the records differ in TTL or proxying"}`

// state is a zone as it was read.
type state struct {
	p         *Provider
	zone      zone.Name
	id        string // "" when there is none
	live      *provider.Live
	unmanaged []service.Unmanaged

	// raw are the records of every managed set by their values.
	raw map[zone.Key]map[string]record
}

func (s *state) Live() *provider.Live           { return s.live }
func (s *state) Unmanaged() []service.Unmanaged { return s.unmanaged }

// read pages through the zone's records.
func (p *Provider) read(ctx context.Context, z zone.Name) (*state, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := service.CheckZone(z); err != nil {
		return nil, err
	}
	s := &state{p: p, zone: z, raw: map[zone.Key]map[string]record{}, live: service.Absent(z, p.s.DefaultTTL)}
	var err error
	if s.id, err = p.find(ctx, z); err != nil || s.id == "" {
		return s, err
	}
	sets := map[zone.Key]*zone.RRSet{}
	var order []zone.Key
	// Set field by field: the SDK's helper for that would link all of Cloudflare's API.
	var in dns.RecordListParams
	in.ZoneID.Value, in.ZoneID.Present = s.id, true
	in.PerPage.Value, in.PerPage.Present = pageSize, true
	pages := p.records.ListAutoPaging(ctx, in)
	for n := 0; pages.Next(); n++ {
		if n == maxRecords {
			return nil, fmt.Errorf("it has more than %d records: it is too large for one zone", maxRecords)
		}
		r, err := decode(pages.Current().JSON.RawJSON())
		if err != nil {
			return nil, fmt.Errorf("read the records: %w", err)
		}
		one, err := s.recordSet(r)
		if err != nil {
			s.unmanaged = append(s.unmanaged, service.Unmanaged{Name: one.Name, Type: r.Type, Why: err.Error()})
			continue
		}
		key := one.Key()
		if sets[key] == nil {
			sets[key], s.raw[key] = &one, map[string]record{}
			order = append(order, key)
		} else if set := sets[key]; set.TTL != one.TTL || set.Extra != one.Extra {
			// Half of a set proxied, or two TTLs: no zones repository can ask for that.
			// What nobody can have approved makes it differ from whatever was.
			set.TTL, set.Extra = min(set.TTL, one.TTL), mixed
		}
		sets[key].Values = append(sets[key].Values, one.Values[0])
		s.raw[key][one.Values[0]] = r
	}
	if err := pages.Err(); err != nil {
		return nil, fmt.Errorf("read the records: %w", err)
	}
	list := make([]zone.RRSet, 0, len(order))
	for _, key := range order {
		set := *sets[key]
		slices.Sort(set.Values)
		set.Values = slices.Compact(set.Values)
		list = append(list, set)
	}
	s.live = service.NewLive(z, list, 0, p.s.DefaultTTL)
	return s, nil
}

// recordSet is a record as a set of one.
func (s *state) recordSet(r record) (zone.RRSet, error) {
	name, err := zone.ParseName(r.Name)
	if err != nil || !name.In(s.zone) {
		return zone.RRSet{Name: zone.Name(r.Name)}, fmt.Errorf("its name is not one of this zone")
	}
	typ, ttl := r.Type, r.TTL
	if typ == "CNAME" && name == s.zone {
		typ = "ALIAS"
	}
	none := zone.RRSet{Name: name}
	if !slices.Contains(managed, typ) {
		return none, fmt.Errorf("its type is not one that Slipway knows of Cloudflare")
	}
	var e extra
	if e.OctoDNS.Cloudflare.Proxied = r.Proxied != nil && *r.Proxied; r.TTL == automatic {
		ttl = autoTTL
		e.OctoDNS.Cloudflare.AutoTTL = !e.OctoDNS.Cloudflare.Proxied
	}
	v, err := r.value()
	if err != nil {
		return none, err
	}
	set, err := zone.NewRRSet(name, typ, ttl, []string{v})
	if err != nil {
		return none, err
	}
	set.Extra = e.String()
	return set, nil
}

// find returns the zone's ID, "" if there is none.
func (p *Provider) find(ctx context.Context, z zone.Name) (string, error) {
	if id := p.s.ZoneIDs[z]; id != "" {
		var in zones.ZoneGetParams
		in.ZoneID.Value, in.ZoneID.Present = id, true
		got, err := p.zones.Get(ctx, in)
		if err != nil {
			return "", fmt.Errorf("look up the zone %s: %w", id, err)
		}
		if name, err := zone.ParseName(got.Name); err != nil || name != z {
			return "", fmt.Errorf("%s is the ID of %s, not of %s: correct it in the settings", id, got.Name, z)
		}
		return id, nil
	}
	in := p.list()
	in.Name.Value, in.Name.Present = string(z), true
	var found []string
	pages := p.zones.ListAutoPaging(ctx, in)
	for pages.Next() && len(found) < 100 {
		if name, err := zone.ParseName(pages.Current().Name); err == nil && name == z {
			found = append(found, pages.Current().ID)
		}
	}
	if err := pages.Err(); err != nil {
		return "", fmt.Errorf("look up the zone: %w", err)
	}
	switch {
	case len(found) == 0:
		return "", nil
	case len(found) == 1 && identifier.MatchString(found[0]):
		return found[0], nil
	}
	return "", fmt.Errorf("there are %d zones of this name (%s): say in the settings which account or which of them is meant", len(found), provider.Listing(found))
}

// Zones lists the zones that the token sees, in the account if one is set.
func (p *Provider) Zones(ctx context.Context) ([]zone.Name, error) {
	var out []zone.Name
	pages := p.zones.ListAutoPaging(ctx, p.list())
	for pages.Next() && len(out) < service.MaxZones {
		if name, err := zone.ParseName(pages.Current().Name); err == nil {
			out = append(out, name)
		}
	}
	if err := pages.Err(); err != nil {
		return nil, fmt.Errorf("list the zones: %w", err)
	}
	return service.Names(out), nil
}

// list asks for all zones that are meant.
func (p *Provider) list() zones.ZoneListParams {
	var in zones.ZoneListParams
	in.PerPage.Value, in.PerPage.Present = 50, true
	if p.s.Account != "" {
		in.Account.Present = true
		in.Account.Value.ID.Value, in.Account.Value.ID.Present = p.s.Account, true
	}
	return in
}
