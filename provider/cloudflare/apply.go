package cloudflare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/cloudflare/cloudflare-go/v6/dns"
	"github.com/cloudflare/cloudflare-go/v6/option"

	"slipway/provider/service"
	"slipway/zone"
)

// batch is the body of a batch request, which Cloudflare makes in this order: deletes,
// patches, posts. The SDK's own type has one Go type for every record type; the API has not.
type batch struct {
	Deletes []identified `json:"deletes,omitempty"`
	Patches []patch      `json:"patches,omitempty"`
	Posts   []record     `json:"posts,omitempty"`
}

type identified struct {
	ID string `json:"id"`
}

// patch changes what is beside a record's data. Comments and tags stay.
type patch struct {
	ID      string `json:"id"`
	TTL     int    `json:"ttl"`
	Proxied *bool  `json:"proxied,omitempty"`
}

// Write implements service.Zone.
func (s *state) Write(ctx context.Context, parts [][]zone.Edit) (string, error) {
	if s.id == "" {
		return "", service.Refused(errors.New("there is no such zone at Cloudflare that the token may see: add it there, and give the token access to it"))
	}
	var ids []string
	for _, edits := range service.Batches(parts, s.p.s.Batch, cost) {
		b, err := s.batch(edits)
		if err != nil {
			return strings.Join(ids, ","), err
		}
		body, err := json.Marshal(b)
		if err != nil {
			return strings.Join(ids, ","), err
		}
		var in dns.RecordBatchParams
		in.ZoneID.Value, in.ZoneID.Present = s.id, true
		var resp *http.Response
		_, err = s.p.records.Batch(ctx, in, option.WithRequestBody("application/json", body), option.WithResponseInto(&resp))
		if err != nil {
			return strings.Join(ids, ","), fmt.Errorf("change zone %s: %w", s.id, err)
		}
		if ray := resp.Header.Get("CF-Ray"); ray != "" {
			ids = append(ids, "cf-ray "+ray)
		}
	}
	if len(ids) == 0 {
		return "zone " + s.id, nil
	}
	return strings.Join(ids, ","), nil
}

// cost counts the records that an edit changes at most.
func cost(e zone.Edit) int {
	n := 0
	for _, set := range []*zone.RRSet{e.Before, e.After} {
		if set != nil {
			n += len(set.Values)
		}
	}
	return n
}

// batch turns edits into one request. A record that keeps its data keeps its identity, and
// with it the comment and the tags that somebody gave it.
func (s *state) batch(edits []zone.Edit) (batch, error) {
	var b batch
	for _, e := range edits {
		old := s.raw[zone.Key{Name: e.Name, Type: e.Type}]
		var keep []string
		if e.After != nil {
			keep = e.After.Values
			next, err := records(*e.After)
			if err != nil {
				return b, err
			}
			for i, r := range next {
				was, there := old[e.After.Values[i]]
				switch {
				case !there:
					b.Posts = append(b.Posts, r)
				case was.TTL != r.TTL || r.Proxied != nil && (was.Proxied == nil || *was.Proxied != *r.Proxied):
					b.Patches = append(b.Patches, patch{ID: was.ID, TTL: r.TTL, Proxied: r.Proxied})
				}
			}
		}
		for value, was := range old {
			if !slices.Contains(keep, value) {
				b.Deletes = append(b.Deletes, identified{was.ID})
			}
		}
	}
	slices.SortFunc(b.Deletes, func(x, y identified) int { return strings.Compare(x.ID, y.ID) })
	return b, nil
}
