package clouddns

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/api/dns/v1"
	"google.golang.org/api/googleapi"

	"slipway/provider/service"
	"slipway/zone"
)

// A change of Cloud DNS has at most 1,000 additions, 1,000 deletions and 100,000 bytes of
// data. Counting perSet bytes for every set beside its data keeps all of them at once.
const (
	batchLimit = 100_000
	perSet     = 100
)

// check refuses what Cloud DNS cannot hold.
func check(_ zone.Name, set zone.RRSet) error {
	switch {
	case !slices.Contains(managed, set.Type):
		return fmt.Errorf("records of the type %s, which %s asks for, cannot be had at Cloud DNS: use another type, or serve this name from another provider", set.Type, set.Name)
	case set.Extra != "":
		return fmt.Errorf("%s %s has settings that Slipway cannot make at Cloud DNS (%s): take them away, or leave this set out of the zones repository", set.Type, set.Name, set.Extra)
	}
	return nil
}

// Write implements service.Zone.
func (s *state) Write(ctx context.Context, parts [][]zone.Edit) (string, error) {
	if s.id == "" {
		if err := s.create(ctx); err != nil {
			return "", err
		}
	}
	var ids []string
	var last *dns.Change
	for _, batch := range service.Batches(parts, batchLimit, cost) {
		var err error
		last, err = s.p.api.Changes.Create(s.p.s.Project, s.id, s.change(batch)).Context(ctx).Do()
		if err != nil {
			return strings.Join(ids, ","), fmt.Errorf("change managed zone %s: %w", s.id, err)
		}
		ids = append(ids, s.id+"/"+last.Id)
	}
	if last == nil {
		return "managedZones/" + s.id, nil
	}
	pending, err := s.wait(ctx, last)
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
		n += perSet
		for _, v := range set.Values {
			n += len(v)
		}
	}
	return n
}

// change turns edits into one change. What goes is named with its old values, so that
// Cloud DNS refuses the change when they are no longer those.
func (s *state) change(edits []zone.Edit) *dns.Change {
	c := &dns.Change{}
	for _, e := range edits {
		// Also for a set that a zone made just now came with.
		if old := s.raw[zone.Key{Name: e.Name, Type: e.Type}]; old != nil {
			c.Deletions = append(c.Deletions, &dns.ResourceRecordSet{
				Name: old.Name, Type: old.Type, Ttl: old.Ttl, Rrdatas: old.Rrdatas, ForceSendFields: []string{"Ttl"},
			})
		}
		if e.After != nil {
			c.Additions = append(c.Additions, &dns.ResourceRecordSet{
				Name: e.After.Name.FQDN(), Type: e.After.Type, Ttl: int64(e.After.TTL), Rrdatas: e.After.Values, ForceSendFields: []string{"Ttl"},
			})
		}
	}
	return c
}

// create makes a managed zone. Its name follows from the DNS name, so that a second try
// finds what the first one left.
func (s *state) create(ctx context.Context) error {
	if !s.p.s.CreateZones {
		return service.Refused(fmt.Errorf("there is no such managed zone in the project %s: create it there and delegate the name to it, or set create-zones to have it made", s.p.s.Project))
	}
	made, err := s.p.api.ManagedZones.Create(s.p.s.Project, &dns.ManagedZone{
		Name: managedName(s.zone), DnsName: s.zone.FQDN(), Description: "Managed by Slipway", Visibility: "public",
	}).Context(ctx).Do()
	if err != nil && !isStatus(err, http.StatusConflict) {
		return fmt.Errorf("create the managed zone: %w", err)
	}
	s.id = managedName(s.zone)
	if made != nil && made.Name != "" {
		s.id = made.Name
	}
	return s.load(ctx) // for its name servers, which a plan may replace
}

// managedName is a name for a managed zone: lower-case letters, digits and hyphens, at
// most 63 of them.
func managedName(z zone.Name) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, string(z))
	return fmt.Sprintf("z-%.40s-%x", strings.Trim(plain, "-"), sha256.Sum256([]byte(z)))[:min(2+len(strings.Trim(plain, "-")), 42)+9]
}

func isStatus(err error, status int) bool {
	e, ok := err.(*googleapi.Error)
	return ok && e.Code == status
}

// wait asks until all name servers of Cloud DNS have the change, and says whether it
// gave up.
func (s *state) wait(ctx context.Context, c *dns.Change) (pending bool, err error) {
	end := s.p.s.Now().Add(s.p.s.Sync)
	for pause := time.Second; c.Status != "done"; pause = min(2*pause, 10*time.Second) {
		if !s.p.s.Now().Add(pause).Before(end) {
			return true, nil
		}
		if err := s.p.s.Sleep(ctx, pause); err != nil {
			return true, err
		}
		if c, err = s.p.api.Changes.Get(s.p.s.Project, s.id, c.Id).Context(ctx).Do(); err != nil {
			return true, fmt.Errorf("ask about the change: %w", err)
		}
	}
	return false, nil
}
