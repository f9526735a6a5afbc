package azuredns

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/dns/armdns"

	"slipway/provider"
	"slipway/provider/service"
	"slipway/zone"
)

// maxSets bounds what is read of one zone; Azure itself stops at 10,000 unless asked.
const maxSets = 1_000_000

// state is a zone as it was read.
type state struct {
	p         *Provider
	zone      zone.Name
	exists    bool
	live      *provider.Live
	unmanaged []service.Unmanaged

	// raw are the managed sets as Azure has them, for their entity tags and metadata.
	raw map[zone.Key]*armdns.RecordSet
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
	if !plainZone.MatchString(string(z)) {
		return s, nil // nothing that Azure could have
	}
	_, err := p.zones.Get(ctx, p.s.ResourceGroup, string(z), nil)
	if isStatus(err, http.StatusNotFound) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up the zone in the resource group %s: %w", p.s.ResourceGroup, brief(err))
	}
	s.exists = true
	return s, s.load(ctx)
}

// load reads the record sets.
func (s *state) load(ctx context.Context) error {
	s.raw, s.unmanaged = map[zone.Key]*armdns.RecordSet{}, nil
	var sets []zone.RRSet
	n := 0
	for pages := s.p.sets.NewListAllByDNSZonePager(s.p.s.ResourceGroup, string(s.zone), nil); pages.More(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("read the record sets: %w", brief(err))
		}
		if n += len(page.Value); n > maxSets {
			return fmt.Errorf("it has more than %d record sets: it is too large for one zone", maxSets)
		}
		for _, r := range page.Value {
			if r == nil || r.Name == nil || r.Type == nil || r.Properties == nil {
				return errors.New("read the record sets: Azure sent one without name, type or content")
			}
			typ := (*r.Type)[strings.LastIndexByte(*r.Type, '/')+1:]
			name, err := absolute(*r.Name, s.zone)
			switch {
			case err != nil:
				s.keep(zone.Name(*r.Name), typ, "its name is not one of this zone")
			case typ == "SOA":
				// Azure's own; its serial counts no versions.
			case r.Properties.TargetResource != nil && r.Properties.TargetResource.ID != nil:
				s.keep(name, typ, "it is an alias of "+*r.Properties.TargetResource.ID)
			default:
				set, err := recordSet(name, typ, r.Properties)
				if err != nil {
					s.keep(name, typ, err.Error())
					continue
				}
				sets = append(sets, set)
				s.raw[set.Key()] = r
			}
		}
	}
	s.live = service.NewLive(s.zone, sets, 0, s.p.s.DefaultTTL)
	return nil
}

func (s *state) keep(name zone.Name, typ, why string) {
	s.unmanaged = append(s.unmanaged, service.Unmanaged{Name: name, Type: typ, Why: why})
}

func absolute(relative string, z zone.Name) (zone.Name, error) {
	if relative == "@" {
		return z, nil
	}
	return zone.ParseName(relative + "." + string(z))
}

// relative is the inverse of absolute.
func relative(n, z zone.Name) string {
	if n == z {
		return "@"
	}
	return n.Relative(z)
}

// recordSet reads one set. Azure writes target names with and without their final dot,
// and means the same.
func recordSet(name zone.Name, typ string, p *armdns.RecordSetProperties) (zone.RRSet, error) {
	var values []string
	add := func(format string, args ...any) { values = append(values, fmt.Sprintf(format, args...)) }
	for _, r := range p.ARecords {
		add("%s", str(r.IPv4Address))
	}
	for _, r := range p.AaaaRecords {
		add("%s", str(r.IPv6Address))
	}
	for _, r := range p.CaaRecords {
		add("%d %s %s", num(r.Flags), str(r.Tag), zone.QuoteText(str(r.Value)))
	}
	if p.CnameRecord != nil {
		add("%s", str(p.CnameRecord.Cname))
	}
	for _, r := range p.MxRecords {
		add("%d %s", num(r.Preference), str(r.Exchange))
	}
	for _, r := range p.NsRecords {
		add("%s", str(r.Nsdname))
	}
	for _, r := range p.PtrRecords {
		add("%s", str(r.Ptrdname))
	}
	for _, r := range p.SrvRecords {
		add("%d %d %d %s", num(r.Priority), num(r.Weight), num(r.Port), str(r.Target))
	}
	for _, r := range p.TxtRecords {
		var text strings.Builder
		for _, v := range r.Value {
			text.WriteString(str(v))
		}
		add("%s", zone.QuoteText(text.String()))
	}
	if len(values) == 0 {
		return zone.RRSet{}, errors.New("it is empty")
	}
	ttl := 0
	if p.TTL != nil {
		ttl = int(*p.TTL)
	}
	return zone.NewRRSet(name, typ, ttl, values)
}

func str(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

func num(p *int32) int32 {
	if p == nil {
		return 0
	}
	return *p
}

func isStatus(err error, status int) bool {
	var e *azcore.ResponseError
	return errors.As(err, &e) && e.StatusCode == status
}

// brief makes one line of the SDK's errors, which are whole HTTP exchanges.
func brief(err error) error {
	var e *azcore.ResponseError
	if !errors.As(err, &e) {
		return err
	}
	return &briefError{e}
}

type briefError struct{ e *azcore.ResponseError }

func (b *briefError) Error() string {
	return fmt.Sprintf("Azure answered %d %s", b.e.StatusCode, b.e.ErrorCode)
}
func (b *briefError) Unwrap() error { return b.e }

// Zones lists the zones of the resource group.
func (p *Provider) Zones(ctx context.Context) ([]zone.Name, error) {
	var out []zone.Name
	for pages := p.zones.NewListByResourceGroupPager(p.s.ResourceGroup, nil); pages.More() && len(out) < service.MaxZones; {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the zones of the resource group %s: %w", p.s.ResourceGroup, brief(err))
		}
		for _, found := range page.Value {
			if found == nil {
				continue
			}
			if name, err := zone.ParseName(str(found.Name)); err == nil {
				out = append(out, name)
			}
		}
	}
	return service.Names(out), nil
}

// Tags are those of the zone.
func (p *Provider) Tags(ctx context.Context, z zone.Name) (map[string]string, error) {
	got, err := p.zones.Get(ctx, p.s.ResourceGroup, string(z), nil)
	if err != nil {
		return nil, fmt.Errorf("read the tags of the zone in the resource group %s: %w", p.s.ResourceGroup, brief(err))
	}
	out := map[string]string{}
	for k, v := range got.Tags {
		out[k] = str(v)
	}
	return out, nil
}
