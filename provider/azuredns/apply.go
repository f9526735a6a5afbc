package azuredns

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/dns/armdns"

	"slipway/provider/service"
	"slipway/zone"
)

var (
	managed   = []string{"A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"}
	plainName = regexp.MustCompile(`^(\*|[a-z0-9_-]+)(\.[a-z0-9_-]+)*$`)
	plainZone = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)+$`)
)

// maxText bounds the text of one TXT record at Azure.
const maxText = 4096

// check refuses what Azure DNS cannot hold.
func check(_ zone.Name, set zone.RRSet) error {
	switch {
	case !slices.Contains(managed, set.Type):
		return fmt.Errorf("records of the type %s, which %s asks for, cannot be had at Azure DNS: use another type, or serve this name from another provider", set.Type, set.Name)
	case set.Extra != "":
		return fmt.Errorf("%s %s has settings that Slipway cannot make at Azure DNS (%s): take them away, or leave this set out of the zones repository", set.Type, set.Name, set.Extra)
	case set.TTL < 1:
		return fmt.Errorf("%s %s has a TTL of %d; Azure DNS wants 1 second at least", set.Type, set.Name, set.TTL)
	case !plainName.MatchString(string(set.Name)):
		return fmt.Errorf("the name %s has characters that Azure DNS does not take: letters, digits, - and _ are allowed, and * as the first label", set.Name)
	}
	if set.Type != "TXT" {
		return nil
	}
	for _, v := range set.Values {
		parts, err := zone.Fields(v)
		if err != nil {
			return fmt.Errorf("TXT %s: %w", set.Name, err)
		}
		text := strings.Join(parts, "")
		if len(text) > maxText || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			return fmt.Errorf("TXT %s: Azure DNS takes up to %d printable ASCII characters, and this text is longer or has others", set.Name, maxText)
		}
	}
	return nil
}

// Write implements service.Zone. Every request names the version that it replaces, so that
// it is refused (412) when somebody else was there first.
func (s *state) Write(ctx context.Context, parts [][]zone.Edit) (string, error) {
	// The correlation ID finds the requests in Azure's activity log.
	var resp *http.Response
	ctx = policy.WithCaptureResponse(ctx, &resp)
	if !s.exists {
		if err := s.create(ctx); err != nil {
			return "", err
		}
	}
	n := 0
	for _, part := range parts {
		for _, e := range part {
			if err := s.write(ctx, e); err != nil {
				return change(resp, n), fmt.Errorf("%s %s %s: %w", e.Op, e.Type, e.Name, brief(err))
			}
			n++
		}
	}
	return change(resp, n), nil
}

func change(resp *http.Response, n int) string {
	id := ""
	if resp != nil {
		id = resp.Header.Get("X-Ms-Correlation-Request-Id")
	}
	if id == "" {
		id = "without a correlation ID"
	}
	return fmt.Sprintf("%s (the last of %d requests)", id, max(n, 1))
}

func (s *state) write(ctx context.Context, e zone.Edit) error {
	// Also for a set that a zone made just now came with.
	old := s.raw[zone.Key{Name: e.Name, Type: e.Type}]
	name, typ := relative(e.Name, s.zone), armdns.RecordType(e.Type)
	if e.After == nil {
		var o armdns.RecordSetsClientDeleteOptions
		if old != nil {
			o.IfMatch = old.Etag
		}
		_, err := s.p.sets.Delete(ctx, s.p.s.ResourceGroup, string(s.zone), name, typ, &o)
		return err
	}
	p, err := properties(*e.After)
	if err != nil {
		return err
	}
	o := armdns.RecordSetsClientCreateOrUpdateOptions{IfNoneMatch: to.Ptr("*")}
	if old != nil {
		o.IfMatch, o.IfNoneMatch = old.Etag, nil
		p.Metadata = old.Properties.Metadata
	}
	_, err = s.p.sets.CreateOrUpdate(ctx, s.p.s.ResourceGroup, string(s.zone), name, typ, armdns.RecordSet{Properties: p}, &o)
	return err
}

// create makes a zone.
func (s *state) create(ctx context.Context) error {
	if !s.p.s.CreateZones {
		return service.Refused(fmt.Errorf("there is no such zone in the resource group %s: create it there and delegate the name to it, or set create-zones to have it made", s.p.s.ResourceGroup))
	}
	if !plainZone.MatchString(string(s.zone)) {
		return service.Refused(fmt.Errorf("a zone of such a name cannot be had at Azure DNS, which takes two labels at least, of letters, digits, - and _"))
	}
	_, err := s.p.zones.CreateOrUpdate(ctx, s.p.s.ResourceGroup, string(s.zone), armdns.Zone{Location: to.Ptr("global")}, &armdns.ZonesClientCreateOrUpdateOptions{IfNoneMatch: to.Ptr("*")})
	if err != nil && !isStatus(err, http.StatusPreconditionFailed) { // 412: it is there, of a try whose answer was lost
		return fmt.Errorf("create the zone: %w", brief(err))
	}
	s.exists = true
	return s.load(ctx) // for its name servers, which a plan may replace
}

// properties writes a set in Azure's form.
func properties(set zone.RRSet) (*armdns.RecordSetProperties, error) {
	p := &armdns.RecordSetProperties{TTL: to.Ptr(int64(set.TTL))}
	for _, v := range set.Values {
		f, err := zone.Fields(v)
		if err != nil || len(f) == 0 {
			return nil, fmt.Errorf("the value %s: %w", v, err)
		}
		want := map[string]int{"CAA": 3, "MX": 2, "SRV": 4}[set.Type]
		if len(f) < want {
			return nil, fmt.Errorf("the value %s has %d parts where %s has %d", v, len(f), set.Type, want)
		}
		switch set.Type {
		case "A":
			p.ARecords = append(p.ARecords, &armdns.ARecord{IPv4Address: &f[0]})
		case "AAAA":
			p.AaaaRecords = append(p.AaaaRecords, &armdns.AaaaRecord{IPv6Address: &f[0]})
		case "CAA":
			p.CaaRecords = append(p.CaaRecords, &armdns.CaaRecord{Flags: number(f[0]), Tag: &f[1], Value: &f[2]})
		case "CNAME":
			p.CnameRecord = &armdns.CnameRecord{Cname: &f[0]}
		case "MX":
			p.MxRecords = append(p.MxRecords, &armdns.MxRecord{Preference: number(f[0]), Exchange: &f[1]})
		case "NS":
			p.NsRecords = append(p.NsRecords, &armdns.NsRecord{Nsdname: &f[0]})
		case "PTR":
			p.PtrRecords = append(p.PtrRecords, &armdns.PtrRecord{Ptrdname: &f[0]})
		case "SRV":
			p.SrvRecords = append(p.SrvRecords, &armdns.SrvRecord{Priority: number(f[0]), Weight: number(f[1]), Port: number(f[2]), Target: &f[3]})
		case "TXT":
			r := &armdns.TxtRecord{}
			for i := range f {
				r.Value = append(r.Value, &f[i])
			}
			p.TxtRecords = append(p.TxtRecords, r)
		}
	}
	return p, nil
}

func number(s string) *int32 {
	n, _ := strconv.ParseInt(s, 10, 32) // the plan is valid: these are numbers of 16 bits
	return to.Ptr(int32(n))
}
