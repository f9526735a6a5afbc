package route53

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"slipway/provider"
	"slipway/provider/service"
	"slipway/zone"
)

// AliasType is octoDNS's type for alias records of Route 53, and aliasTTL the TTL that it
// writes for them: Route 53 has none for an alias, and this is not a TTL that anybody means.
const (
	AliasType = "Route53Provider/ALIAS"
	aliasTTL  = 942942942
)

// maxSets bounds what is read of one zone; Route 53 itself stops at 10,000 unless asked.
const maxSets = 1_000_000

// managed are the types that are read and written; Route 53 knows no others but SOA.
var managed = []string{"A", "AAAA", "CAA", "CNAME", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SPF", "SRV", "SSHFP", "SVCB", "TLSA", "TXT"}

// state is a hosted zone as it was read.
type state struct {
	p         *Provider
	zone      zone.Name
	id        string // of the hosted zone; "" when there is none
	live      *provider.Live
	unmanaged []service.Unmanaged

	// raw are the values of every managed set as Route 53 spells them: a deletion has to
	// name them just so.
	raw map[zone.Key][]types.ResourceRecordSet
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
	s := &state{p: p, zone: z, raw: map[zone.Key][]types.ResourceRecordSet{}}
	var err error
	if s.id, err = p.find(ctx, z); err != nil {
		return nil, err
	}
	if s.id == "" {
		s.live = service.Absent(z, p.s.DefaultTTL)
		return s, nil
	}
	var sets []zone.RRSet
	aliases := map[zone.Name][]string{}
	pages := route53.NewListResourceRecordSetsPaginator(p.api, &route53.ListResourceRecordSetsInput{HostedZoneId: &s.id})
	for n := 0; pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the record sets of hosted zone %s: %w", s.id, err)
		}
		if n += len(page.ResourceRecordSets); n > maxSets {
			return nil, fmt.Errorf("hosted zone %s has more than %d record sets: it is too large for one zone", s.id, maxSets)
		}
		for _, r := range page.ResourceRecordSets {
			name, err := zone.ParseName(fromAWS(aws.ToString(r.Name)))
			if err != nil || !name.In(z) {
				s.keep(zone.Name(aws.ToString(r.Name)), string(r.Type), "its name is not one of this zone")
				continue
			}
			switch why := unusual(r); {
			case r.Type == types.RRTypeSoa:
				// Not ours, and its serial is no version: Route 53 never counts it up.
			case why != "":
				s.keep(name, string(r.Type), why)
			case r.AliasTarget != nil && p.s.Aliases == KeepAliases:
				s.keep(name, string(r.Type), "it is an alias of "+strings.TrimSuffix(aws.ToString(r.AliasTarget.DNSName), "."))
			case r.AliasTarget != nil:
				v, err := s.alias(r)
				if err != nil {
					return nil, err
				}
				aliases[name] = append(aliases[name], v)
				key := zone.Key{Name: name, Type: AliasType}
				s.raw[key] = append(s.raw[key], r)
			default:
				set, err := recordSet(name, r)
				if err != nil {
					s.keep(name, string(r.Type), err.Error())
					continue
				}
				sets = append(sets, set)
				s.raw[set.Key()] = []types.ResourceRecordSet{r}
			}
		}
	}
	for name, values := range aliases {
		set, err := zone.NewRRSet(name, AliasType, aliasTTL, values)
		if err != nil {
			return nil, err
		}
		sets = append(sets, set)
	}
	s.live = service.NewLive(z, sets, 0, p.s.DefaultTTL)
	return s, nil
}

func (s *state) keep(name zone.Name, typ, why string) {
	s.unmanaged = append(s.unmanaged, service.Unmanaged{Name: name, Type: typ, Why: why})
}

// unusual says why a record set has no form in a zones repository, "" if it has one.
func unusual(r types.ResourceRecordSet) string {
	switch {
	case r.SetIdentifier != nil || r.Weight != nil || r.Failover != "" || r.Region != "" || r.GeoLocation != nil ||
		r.GeoProximityLocation != nil || r.CidrRoutingConfig != nil || aws.ToBool(r.MultiValueAnswer):
		return "it has a routing policy"
	case r.TrafficPolicyInstanceId != nil:
		return "it belongs to a traffic policy"
	case r.HealthCheckId != nil:
		return "it has a health check"
	}
	return ""
}

func recordSet(name zone.Name, r types.ResourceRecordSet) (zone.RRSet, error) {
	if !slices.Contains(managed, string(r.Type)) {
		return zone.RRSet{}, fmt.Errorf("its type %s is not one that Slipway knows of Route 53", r.Type)
	}
	values := make([]string, len(r.ResourceRecords))
	for i, v := range r.ResourceRecords {
		values[i] = fromAWS(aws.ToString(v.Value))
	}
	return zone.NewRRSet(name, string(r.Type), int(aws.ToInt64(r.TTL)), values)
}

// target is an alias as octoDNS writes it: one of the same zone has no hosted-zone-id, and
// a name relative to the zone without a dot at its end.
type target struct {
	EvaluateTargetHealth *bool   `json:"evaluate-target-health"`
	HostedZoneID         *string `json:"hosted-zone-id"`
	Name                 string  `json:"name"`
	Type                 string  `json:"type"`
}

func (s *state) alias(r types.ResourceRecordSet) (string, error) {
	t := target{
		EvaluateTargetHealth: &r.AliasTarget.EvaluateTargetHealth, HostedZoneID: r.AliasTarget.HostedZoneId,
		Name: aws.ToString(r.AliasTarget.DNSName), Type: string(r.Type),
	}
	name, err := zone.ParseName(fromAWS(t.Name))
	if err != nil {
		return "", fmt.Errorf("the alias %s: %w", aws.ToString(r.Name), err)
	}
	t.Name = name.FQDN()
	if aws.ToString(t.HostedZoneID) == s.id {
		t.HostedZoneID, t.Name = nil, name.Relative(s.zone)
	}
	data, err := json.Marshal(t)
	return string(data), err
}

// find returns the ID of the hosted zone, "" if there is none.
func (p *Provider) find(ctx context.Context, z zone.Name) (string, error) {
	if id := p.s.ZoneIDs[z]; id != "" {
		got, err := p.api.GetHostedZone(ctx, &route53.GetHostedZoneInput{Id: &id})
		if err != nil {
			return "", fmt.Errorf("look up hosted zone %s: %w", id, err)
		}
		name, err := zone.ParseName(fromAWS(aws.ToString(got.HostedZone.Name)))
		if err != nil || name != z {
			return "", fmt.Errorf("hosted zone %s is that of %s, not of %s: correct its ID in the settings", id, aws.ToString(got.HostedZone.Name), z)
		}
		return bare(got.HostedZone.Id), nil
	}
	var found []string
	in := &route53.ListHostedZonesByNameInput{DNSName: aws.String(toAWS(z.FQDN(), true))}
	for range 1000 {
		page, err := p.api.ListHostedZonesByName(ctx, in)
		if err != nil {
			return "", fmt.Errorf("look up the hosted zone: %w", err)
		}
		past := false
		for _, h := range page.HostedZones {
			name, err := zone.ParseName(fromAWS(aws.ToString(h.Name)))
			if err != nil || name != z {
				past = true // they come in the order of their names
				break
			}
			if (h.Config != nil && h.Config.PrivateZone) == p.s.Private {
				found = append(found, bare(h.Id))
			}
		}
		if past || !page.IsTruncated {
			break
		}
		in.DNSName, in.HostedZoneId = page.NextDNSName, page.NextHostedZoneId
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("there are %d hosted zones of this name (%s): say in the settings which of them is meant, by its ID", len(found), provider.Listing(found))
}

func bare(id *string) string { return strings.TrimPrefix(aws.ToString(id), "/hostedzone/") }

// Zones lists the hosted zones that the credentials see, of the visibility that is set.
func (p *Provider) Zones(ctx context.Context) ([]zone.Name, error) {
	var out []zone.Name
	for pages := route53.NewListHostedZonesPaginator(p.api, &route53.ListHostedZonesInput{}); pages.HasMorePages() && len(out) < service.MaxZones; {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the hosted zones: %w", err)
		}
		for _, h := range page.HostedZones {
			if name, err := zone.ParseName(fromAWS(aws.ToString(h.Name))); err == nil && (h.Config != nil && h.Config.PrivateZone) == p.s.Private {
				out = append(out, name)
			}
		}
	}
	return service.Names(out), nil
}

// Tags are those of the zone's hosted zone.
func (p *Provider) Tags(ctx context.Context, z zone.Name) (map[string]string, error) {
	id, err := p.find(ctx, z)
	if err != nil || id == "" {
		return nil, err
	}
	found, err := p.api.ListTagsForResource(ctx, &route53.ListTagsForResourceInput{ResourceType: types.TagResourceTypeHostedzone, ResourceId: aws.String(id)})
	if err != nil {
		return nil, fmt.Errorf("read the tags of the hosted zone: %w", err)
	}
	out := map[string]string{}
	if found.ResourceTagSet != nil {
		for _, t := range found.ResourceTagSet.Tags {
			out[aws.ToString(t.Key)] = aws.ToString(t.Value)
		}
	}
	return out, nil
}
