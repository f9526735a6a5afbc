package powerdns

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"slipway/provider"
	"slipway/provider/service"
	"slipway/zone"
)

// own opens the types that PowerDNS alone knows, such as PowerDNS/LUA; their values are
// the API's text as JSON strings.
const own = "PowerDNS/"

// made are the types that are not people's: the SOA record is PowerDNS's to count up,
// the others come of signing.
var made = map[string]bool{
	"SOA": true, "RRSIG": true, "DNSKEY": true, "NSEC": true, "NSEC3": true, "NSEC3PARAM": true, "CDS": true, "CDNSKEY": true, "ZONEMD": true,
}

// The API's own forms.
type (
	wholeZone struct {
		ID           string  `json:"id,omitempty"`
		Name         string  `json:"name"`
		Kind         string  `json:"kind,omitempty"`
		EditedSerial uint32  `json:"edited_serial,omitempty"`
		RRSets       []rrset `json:"rrsets,omitempty"`
		// "DEFAULT" counts the serial up at every change by the API.
		SOAEditAPI  string   `json:"soa_edit_api,omitempty"`
		NameServers []string `json:"nameservers"`
	}
	rrset struct {
		Name       string   `json:"name"`
		Type       string   `json:"type"`
		TTL        int      `json:"ttl"`
		ChangeType string   `json:"changetype,omitempty"`
		Records    []record `json:"records"`
	}
	record struct {
		Content  string `json:"content"`
		Disabled bool   `json:"disabled"`
	}
)

// version is a zone as the API handed it over.
type version struct {
	p        *Provider
	live     *provider.Live
	disabled map[zone.Key][]record // not served, and kept when their set is changed
}

// Live implements service.Zone.
func (v *version) Live() *provider.Live { return v.live }

// Unmanaged is nothing: whatever DNS has, a zones repository can say.
func (v *version) Unmanaged() []service.Unmanaged { return nil }

// read gets a zone. With brief, a zone that is the same as the last time comes without
// its sets.
func (p *Provider) read(ctx context.Context, z zone.Name, brief bool) (*version, error) {
	if err := service.CheckZone(z); err != nil {
		return nil, err
	}
	body, err := p.api.call(ctx, http.MethodGet, zonePath(z), nil)
	if errors.Is(err, errNotFound) {
		return &version{p: p, live: service.Absent(z, p.s.DefaultTTL)}, nil
	}
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	if brief {
		p.mu.Lock()
		k, ok := p.seen[z]
		p.mu.Unlock()
		if ok && k.answer == sum {
			return &version{p: p, live: &k.live}, nil
		}
	}
	var whole wholeZone
	if err := json.Unmarshal(body, &whole); err != nil {
		return nil, fmt.Errorf("the API's answer cannot be read: %w", err)
	}
	v := &version{p: p, disabled: map[zone.Key][]record{}}
	sets, err := v.sets(z, whole.RRSets)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", provider.ErrDamaged, err)
	}
	v.live = service.NewLive(z, sets, whole.EditedSerial, p.s.DefaultTTL)
	short := *v.live
	short.Sets = nil
	p.mu.Lock()
	p.seen[z] = known{sum, short}
	p.mu.Unlock()
	return v, nil
}

// sets turns the API's sets into ours.
func (v *version) sets(z zone.Name, in []rrset) ([]zone.RRSet, error) {
	out := make([]zone.RRSet, 0, len(in))
	for _, r := range in {
		if made[r.Type] {
			continue
		}
		name, err := zone.ParseName(r.Name)
		if err != nil {
			return nil, err
		}
		if !name.In(z) {
			return nil, fmt.Errorf("%s is not in the zone", name)
		}
		typ := r.Type
		if !ordinary(typ) {
			typ = own + typ
		}
		var values []string
		for _, rec := range r.Records {
			if rec.Disabled {
				key := zone.Key{Name: name, Type: typ}
				v.disabled[key] = append(v.disabled[key], rec)
				continue
			}
			value := rec.Content
			if strings.HasPrefix(typ, own) {
				text, err := json.Marshal(value)
				if err != nil {
					return nil, fmt.Errorf("%s %s: %w", r.Type, name, err)
				}
				value = string(text)
			}
			values = append(values, value)
		}
		if len(values) == 0 {
			continue
		}
		set, err := zone.NewRRSet(name, typ, r.TTL, values)
		if err != nil {
			return nil, err
		}
		out = append(out, set)
	}
	return out, nil
}

// ordinary says whether package zone knows a type by itself.
func ordinary(typ string) bool {
	return typ == "ALIAS" || zone.RRSet{Name: "x", Type: typ}.InDNS()
}

// check refuses what PowerDNS has no form for.
func check(_ zone.Name, set zone.RRSet) error {
	if set.Extra != "" || !ordinary(set.Type) && !strings.HasPrefix(set.Type, own) {
		return fmt.Errorf("%s %s: PowerDNS has no form for another provider's record type or settings; write it as records that DNS knows, or serve the zone by the provider that it is meant for",
			set.Type, set.Name)
	}
	return nil
}

// Write implements service.Zone. PowerDNS makes each request whole or not at all.
func (v *version) Write(ctx context.Context, parts [][]zone.Edit) (change string, err error) {
	z := v.live.Zone
	// One change at a time: with SQLite behind it, PowerDNS answers a second one that it
	// cannot lock the database.
	select {
	case v.p.writing <- struct{}{}:
		defer func() { <-v.p.writing }()
	case <-ctx.Done():
		return "", service.Refused(ctx.Err())
	}
	var serial uint32
	if !v.live.Exists {
		serial, err = v.create(ctx, parts)
	} else {
		serial, err = v.change(ctx, parts)
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s:%s:%d", Type, z, serial), nil
}

// create makes the zone with everything in it.
func (v *version) create(ctx context.Context, parts [][]zone.Edit) (uint32, error) {
	z := v.live.Zone
	whole := wholeZone{Name: z.FQDN(), Kind: kinds[v.p.s.Kind], SOAEditAPI: "DEFAULT", NameServers: []string{}}
	ns := false
	for _, part := range parts {
		for _, e := range part {
			set, err := v.form(e)
			if err != nil {
				return 0, service.Refused(err)
			}
			set.ChangeType = ""
			whole.RRSets = append(whole.RRSets, set)
			ns = ns || e.Name == z && e.Type == "NS"
		}
	}
	if !ns {
		for _, n := range v.p.s.NameServers {
			whole.NameServers = append(whole.NameServers, n.FQDN())
		}
	}
	body, err := v.p.api.call(ctx, http.MethodPost, "/zones?rrsets=false", whole)
	if err != nil {
		return 0, err
	}
	var made wholeZone
	if err := json.Unmarshal(body, &made); err != nil {
		return 0, fmt.Errorf("the API's answer cannot be read: %w", err)
	}
	return made.EditedSerial, nil
}

// maxBatch is how many bytes of sets go into one request, about: PowerDNS takes 2 MB
// when nobody has told it otherwise (webserver-max-bodysize).
const maxBatch = 1 << 20

func (v *version) change(ctx context.Context, parts [][]zone.Edit) (uint32, error) {
	serial := v.live.Serial
	for _, batch := range service.Batches(parts, maxBatch, size) {
		now, err := v.serial(ctx)
		if err != nil {
			return 0, err
		}
		if now != serial {
			return 0, errors.New("somebody has changed the zone meanwhile: its serial is another one")
		}
		patch := wholeZone{Name: v.live.Zone.FQDN()}
		for _, e := range batch {
			set, err := v.form(e)
			if err != nil {
				return 0, service.Refused(err)
			}
			patch.RRSets = append(patch.RRSets, set)
		}
		if _, err := v.p.api.call(ctx, http.MethodPatch, zonePath(v.live.Zone), struct {
			RRSets []rrset `json:"rrsets"`
		}{patch.RRSets}); err != nil {
			return 0, err
		}
		if serial, err = v.serial(ctx); err != nil {
			return 0, err
		}
	}
	return serial, nil
}

func size(e zone.Edit) int {
	n := 200
	if e.After != nil {
		for _, value := range e.After.Values {
			n += 2*len(value) + 40
		}
	}
	return n
}

func (v *version) serial(ctx context.Context) (uint32, error) {
	body, err := v.p.api.call(ctx, http.MethodGet, zonePath(v.live.Zone)+"?rrsets=false", nil)
	if err != nil {
		return 0, err
	}
	var whole wholeZone
	if err := json.Unmarshal(body, &whole); err != nil {
		return 0, fmt.Errorf("the API's answer cannot be read: %w", err)
	}
	return whole.EditedSerial, nil
}

// spelling is a value as PowerDNS wants it. It takes only the form that it would write
// itself: SVCB and HTTPS parameters without the quotes that RFC 9460 section 2.1 allows
// around them, and every decimal of a LOC record.
func spelling(typ, value string) string {
	switch typ {
	case "SVCB", "HTTPS":
		words := strings.Fields(value)
		// An escape, or a space between quotes, needs them.
		if strings.Contains(value, `\\`) || slices.ContainsFunc(words, func(w string) bool { return strings.Count(w, `"`)%2 != 0 }) {
			return value
		}
		return strings.ReplaceAll(strings.Join(words, " "), `"`, "")
	case "LOC":
		words := strings.Fields(value) // d m s N d m s E altitude size horizontal vertical
		for i, w := range words {
			n, err := strconv.ParseFloat(strings.TrimSuffix(w, "m"), 64)
			switch {
			case err != nil:
			case i == 2 || i == 6:
				words[i] = fmt.Sprintf("%.3f", n)
			case i >= 8:
				words[i] = fmt.Sprintf("%.2fm", n)
			}
		}
		return strings.Join(words, " ")
	}
	return value
}

// form is an edit in the API's form.
func (v *version) form(e zone.Edit) (rrset, error) {
	key := zone.Key{Name: e.Name, Type: e.Type}
	out := rrset{Name: e.Name.FQDN(), Type: strings.TrimPrefix(e.Type, own), ChangeType: "REPLACE", Records: []record{}}
	if e.After != nil {
		out.TTL = e.After.TTL
		for _, value := range e.After.Values {
			if strings.HasPrefix(e.Type, own) {
				var text string
				if err := json.Unmarshal([]byte(value), &text); err != nil {
					return rrset{}, fmt.Errorf("%s %s: its values must be texts as the API of PowerDNS has them", e.Type, e.Name)
				}
				value = text
			}
			out.Records = append(out.Records, record{Content: spelling(e.Type, value)})
		}
	} else if e.Before != nil {
		out.TTL = e.Before.TTL
	}
	out.Records = append(out.Records, v.disabled[key]...)
	if len(out.Records) == 0 {
		out.ChangeType = "DELETE"
	}
	return out, nil
}

// Zones lists the zones that the server has.
func (p *Provider) Zones(ctx context.Context) ([]zone.Name, error) {
	body, err := p.api.call(ctx, http.MethodGet, "/zones", nil)
	if err != nil {
		return nil, fmt.Errorf("list the zones: %w", err)
	}
	var all []wholeZone
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, fmt.Errorf("list the zones: the API's answer cannot be read: %w", err)
	}
	var out []zone.Name
	for _, z := range all {
		if name, err := zone.ParseName(z.Name); err == nil && len(out) < service.MaxZones {
			out = append(out, name)
		}
	}
	return service.Names(out), nil
}
