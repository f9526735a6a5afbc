package route53

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"slipway/provider/service"
	"slipway/zone"
)

// A batch of Route 53 has at most 1,000 records and 32,000 characters of values. Counting
// perRecord characters for every record beside its value keeps both limits at once.
const (
	batchLimit = 32_000
	perRecord  = 32
)

// check refuses what Route 53 cannot hold.
func (p *Provider) check(_ zone.Name, set zone.RRSet) error {
	switch {
	case set.Type == AliasType && p.s.Aliases != ManageAliases:
		return fmt.Errorf("%s %s is an alias, and this provider is set to leave aliases alone: set aliases: %s, and every alias of the zone belongs into the zones repository", set.Type, set.Name, ManageAliases)
	case set.Type == AliasType:
		for _, v := range set.Values {
			if _, err := parseTarget(v); err != nil {
				return fmt.Errorf("%s %s: %w", set.Type, set.Name, err)
			}
		}
		if set.TTL != aliasTTL {
			return fmt.Errorf("%s %s: an alias has no TTL of its own at Route 53; octoDNS writes ttl: %d for it", set.Type, set.Name, aliasTTL)
		}
	case !slices.Contains(managed, set.Type):
		return fmt.Errorf("records of the type %s, which %s asks for, cannot be had at Route 53: use another type, or serve this name from another provider", set.Type, set.Name)
	case set.Extra != "":
		return fmt.Errorf("%s %s has settings that Slipway cannot make at Route 53 (%s): take them away, or leave this set out of the zones repository", set.Type, set.Name, set.Extra)
	}
	return nil
}

func parseTarget(v string) (target, error) {
	var t target
	d := json.NewDecoder(strings.NewReader(v))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return t, fmt.Errorf("the alias must have evaluate-target-health, hosted-zone-id, name and type: %w", err)
	}
	if t.EvaluateTargetHealth == nil {
		// octoDNS takes false then; what is live always says it, and would differ for ever.
		return t, errors.New("write out evaluate-target-health: false of the alias")
	}
	if t.Type == "" || (t.HostedZoneID == nil) == strings.HasSuffix(t.Name, ".") {
		return t, fmt.Errorf("the alias must have a type, and either a hosted-zone-id and a name that ends with a dot, or neither for a name of the same zone")
	}
	return t, nil
}

// Write implements service.Zone.
func (s *state) Write(ctx context.Context, parts [][]zone.Edit) (string, error) {
	if s.id == "" {
		if err := s.create(ctx); err != nil {
			return "", err
		}
	}
	var ids []string
	for _, batch := range service.Batches(parts, batchLimit, cost) {
		changes, err := s.changes(batch)
		if err != nil {
			return strings.Join(ids, ","), err
		}
		out, err := s.p.api.ChangeResourceRecordSets(ctx, &route53.ChangeResourceRecordSetsInput{
			HostedZoneId: &s.id, ChangeBatch: &types.ChangeBatch{Changes: changes, Comment: aws.String("Slipway")},
		})
		if err != nil {
			return strings.Join(ids, ","), fmt.Errorf("change hosted zone %s: %w", s.id, err)
		}
		ids = append(ids, strings.TrimPrefix(aws.ToString(out.ChangeInfo.Id), "/change/"))
	}
	if len(ids) == 0 {
		return "hostedzone/" + s.id, nil
	}
	pending, err := s.wait(ctx, ids[len(ids)-1])
	change := strings.Join(ids, ",")
	if pending {
		change += fmt.Sprintf(" (not on all name servers yet after %v)", s.p.s.Sync)
	}
	return change, err
}

func cost(e zone.Edit) int {
	n := 0
	for _, set := range []*zone.RRSet{e.Before, e.After} {
		if set == nil {
			continue
		}
		for _, v := range set.Values {
			n += perRecord + len(toAWS(v, false))
		}
	}
	return n
}

// create makes a hosted zone. The caller reference makes a second try the same request:
// one that timed out and happened leaves no second zone behind.
func (s *state) create(ctx context.Context) error {
	if !s.p.s.CreateZones {
		return service.Refused(fmt.Errorf("there is no such hosted zone at Route 53 in this account: create it there and delegate the name to it, or set create-zones to have it made"))
	}
	day := s.p.s.Now().UTC().Format(time.DateOnly)
	_, err := s.p.api.CreateHostedZone(ctx, &route53.CreateHostedZoneInput{
		Name: aws.String(toAWS(s.zone.FQDN(), true)), CallerReference: aws.String("slipway " + string(s.zone) + " " + day),
	})
	var exists *types.HostedZoneAlreadyExists
	if err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("create the hosted zone: %w", err)
	}
	if s.id, err = s.p.find(ctx, s.zone); err != nil {
		return err
	}
	if s.id == "" {
		return fmt.Errorf("the hosted zone was created and is not there; if it was also deleted today, create it by hand or try again tomorrow")
	}
	return nil
}

// changes turns edits into a batch. What goes is named with its old values, so that Route
// 53 refuses the batch when they are no longer those.
func (s *state) changes(edits []zone.Edit) ([]types.Change, error) {
	var out []types.Change
	for _, e := range edits {
		// The zone's own NS set is never away, not even within a batch.
		create, own := types.ChangeActionCreate, e.Name == s.zone && e.Type == "NS"
		if own {
			create = types.ChangeActionUpsert
		}
		for _, r := range s.raw[zone.Key{Name: e.Name, Type: e.Type}] {
			if own {
				break
			}
			out = append(out, types.Change{Action: types.ChangeActionDelete, ResourceRecordSet: &r})
		}
		if e.After == nil {
			continue
		}
		name := aws.String(toAWS(e.After.Name.FQDN(), true))
		if e.After.Type != AliasType {
			r := types.ResourceRecordSet{Name: name, Type: types.RRType(e.After.Type), TTL: aws.Int64(int64(e.After.TTL))}
			for _, v := range e.After.Values {
				r.ResourceRecords = append(r.ResourceRecords, types.ResourceRecord{Value: aws.String(toAWS(v, false))})
			}
			out = append(out, types.Change{Action: create, ResourceRecordSet: &r})
			continue
		}
		for _, v := range e.After.Values {
			t, err := parseTarget(v)
			if err != nil {
				return nil, err
			}
			if t.HostedZoneID == nil {
				t.HostedZoneID = &s.id
				t.Name = strings.TrimPrefix(t.Name+"."+s.zone.FQDN(), ".")
			}
			out = append(out, types.Change{Action: types.ChangeActionCreate, ResourceRecordSet: &types.ResourceRecordSet{
				Name: name, Type: types.RRType(t.Type),
				AliasTarget: &types.AliasTarget{DNSName: &t.Name, EvaluateTargetHealth: *t.EvaluateTargetHealth, HostedZoneId: t.HostedZoneID},
			}})
		}
	}
	return out, nil
}

// wait asks until all name servers of Route 53 have the change, and says whether it gave up.
func (s *state) wait(ctx context.Context, id string) (pending bool, err error) {
	end := s.p.s.Now().Add(s.p.s.Sync)
	for pause := time.Second; ; pause = min(2*pause, 10*time.Second) {
		out, err := s.p.api.GetChange(ctx, &route53.GetChangeInput{Id: &id})
		if err != nil {
			return true, fmt.Errorf("ask about change %s: %w", id, err)
		}
		if out.ChangeInfo.Status == types.ChangeStatusInsync {
			return false, nil
		}
		if !s.p.s.Now().Add(pause).Before(end) {
			return true, nil
		}
		if err := s.p.s.Sleep(ctx, pause); err != nil {
			return true, err
		}
	}
}
