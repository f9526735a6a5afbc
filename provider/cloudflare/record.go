package cloudflare

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"slipway/zone"
)

// Cloudflare's TTLs in seconds: automatic is written 1, and octoDNS writes 300 with
// auto-ttl for it. Zones of enterprises may go lower than minTTL; then the service decides.
const (
	automatic = 1
	autoTTL   = 300
	minTTL    = 30
	maxTTL    = 86400
)

// record is one record in Cloudflare's form, which is one object for all types: those of a
// single field have it in content, the others in data.
type record struct {
	ID       string         `json:"id,omitempty"`
	Name     string         `json:"name"`
	Type     string         `json:"type"`
	TTL      int            `json:"ttl"`
	Content  string         `json:"content,omitempty"`
	Data     map[string]any `json:"data,omitempty"`
	Priority *int           `json:"priority,omitempty"`
	Proxied  *bool          `json:"proxied,omitempty"`
}

// fields are the parts of data in the order of the presentation form; kinds tell how each
// is written: number, name, word, text (quoted), metres, or rest (all that follows).
var fields = map[string][]struct{ key, kind string }{
	"CAA":   {{"flags", "number"}, {"tag", "word"}, {"value", "text"}},
	"DS":    {{"key_tag", "number"}, {"algorithm", "number"}, {"digest_type", "number"}, {"digest", "word"}},
	"HTTPS": {{"priority", "number"}, {"target", "name"}, {"value", "rest"}},
	"LOC": {{"lat_degrees", "number"}, {"lat_minutes", "number"}, {"lat_seconds", "number"}, {"lat_direction", "word"},
		{"long_degrees", "number"}, {"long_minutes", "number"}, {"long_seconds", "number"}, {"long_direction", "word"},
		{"altitude", "metres"}, {"size", "metres"}, {"precision_horz", "metres"}, {"precision_vert", "metres"}},
	"NAPTR": {{"order", "number"}, {"preference", "number"}, {"flags", "text"}, {"service", "text"}, {"regex", "text"}, {"replacement", "name"}},
	"SRV":   {{"priority", "number"}, {"weight", "number"}, {"port", "number"}, {"target", "name"}},
	"SSHFP": {{"algorithm", "number"}, {"type", "number"}, {"fingerprint", "word"}},
	"SVCB":  {{"priority", "number"}, {"target", "name"}, {"value", "rest"}},
	"TLSA":  {{"usage", "number"}, {"selector", "number"}, {"matching_type", "number"}, {"certificate", "word"}},
	"URI":   {{"weight", "number"}, {"target", "text"}}, // after the priority, which is beside data
}

// managed are the types that are read and written.
var managed = []string{"A", "AAAA", "ALIAS", "CAA", "CNAME", "DS", "HTTPS", "LOC", "MX", "NAPTR", "NS", "OPENPGPKEY", "PTR", "SRV", "SSHFP", "SVCB", "TLSA", "TXT", "URI"}

// extra is what octoDNS writes beside a set for Cloudflare.
type extra struct {
	OctoDNS struct {
		Cloudflare struct {
			AutoTTL bool `json:"auto-ttl,omitempty"`
			Proxied bool `json:"proxied,omitempty"`
		} `json:"cloudflare"`
	} `json:"octodns"`
}

func parseExtra(s string) (extra, error) {
	var e extra
	if s == "" {
		return e, nil
	}
	d := json.NewDecoder(strings.NewReader(s))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return e, errors.New("beside ttl, type and values, only octodns.cloudflare.proxied and octodns.cloudflare.auto-ttl can be made at Cloudflare")
	}
	return e, nil
}

func (e extra) String() string {
	if !e.OctoDNS.Cloudflare.AutoTTL && !e.OctoDNS.Cloudflare.Proxied {
		return ""
	}
	text, err := json.Marshal(e)
	if err != nil { // not reachable: two booleans
		return ""
	}
	return string(text)
}

// plainName are the names that Cloudflare takes.
var plainName = regexp.MustCompile(`^(\*|[a-z0-9_-]+)(\.[a-z0-9_-]+)*$`)

// check refuses what Cloudflare cannot hold.
func check(z zone.Name, set zone.RRSet) error {
	e, err := parseExtra(set.Extra)
	cf := e.OctoDNS.Cloudflare
	switch {
	case !slices.Contains(managed, set.Type):
		return fmt.Errorf("records of the type %s, which %s asks for, cannot be had at Cloudflare: use another type, or serve this name from another provider", set.Type, set.Name)
	case err != nil:
		return fmt.Errorf("%s %s: %w", set.Type, set.Name, err)
	case set.Type == "ALIAS" && set.Name != z:
		return fmt.Errorf("ALIAS %s: below the top of a zone, Cloudflare has CNAME for this", set.Name)
	case set.Type == "CNAME" && set.Name == z:
		return fmt.Errorf("CNAME %s: at the top of a zone write ALIAS, which Cloudflare answers with addresses", set.Name)
	case cf.Proxied && !slices.Contains([]string{"A", "AAAA", "ALIAS", "CNAME"}, set.Type):
		return fmt.Errorf("%s %s: only addresses and aliases can be proxied", set.Type, set.Name)
	case (cf.Proxied || cf.AutoTTL) && set.TTL != autoTTL:
		return fmt.Errorf("%s %s: Cloudflare sets the TTL of a proxied or automatic record itself; write ttl: %d for it", set.Type, set.Name, autoTTL)
	case set.TTL < minTTL || set.TTL > maxTTL:
		return fmt.Errorf("%s %s has a TTL of %d; Cloudflare takes from %d to %d seconds", set.Type, set.Name, set.TTL, minTTL, maxTTL)
	case !plainName.MatchString(string(set.Name)):
		return fmt.Errorf("the name %s has characters that Cloudflare does not take: letters, digits, - and _ are allowed, and * as the first label", set.Name)
	}
	return nil
}

// records writes a set in Cloudflare's form.
func records(set zone.RRSet) ([]record, error) {
	e, err := parseExtra(set.Extra)
	if err != nil {
		return nil, err
	}
	cf := e.OctoDNS.Cloudflare
	out := make([]record, 0, len(set.Values))
	for _, v := range set.Values {
		r := record{Name: string(set.Name), Type: set.Type, TTL: set.TTL}
		if cf.Proxied || cf.AutoTTL {
			r.TTL = automatic
		}
		switch set.Type {
		case "A", "AAAA", "ALIAS", "CNAME":
			r.Proxied = &cf.Proxied
		}
		if set.Type == "ALIAS" {
			r.Type = "CNAME"
		}
		if err := r.fill(v); err != nil {
			return nil, fmt.Errorf("%s %s: %w", set.Type, set.Name, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// fill sets a record's data from its presentation form.
func (r *record) fill(v string) error {
	form, structured := fields[r.Type]
	if r.Type == "MX" || r.Type == "URI" {
		first, rest, _ := strings.Cut(v, " ")
		n, err := strconv.Atoi(first)
		if err != nil {
			return err
		}
		r.Priority, v = &n, rest
	}
	switch {
	case r.Type == "TXT" || r.Type == "OPENPGPKEY" || r.Type == "A" || r.Type == "AAAA":
		r.Content = v
		return nil
	case !structured:
		r.Content = strings.TrimSuffix(v, ".")
		if r.Content == "" {
			r.Content = "." // RFC 7505: no mail
		}
		return nil
	}
	parts, err := zone.Fields(v)
	if err != nil {
		return err
	}
	r.Data = map[string]any{}
	for i, f := range form {
		if f.kind == "rest" {
			r.Data[f.key] = strings.Join(strings.SplitN(v, " ", i+1)[min(i, strings.Count(v, " ")+1):], " ")
			break
		}
		if i >= len(parts) {
			return fmt.Errorf("the value %s has %d parts where %s has %d", v, len(parts), r.Type, len(form))
		}
		switch f.kind {
		case "number", "metres":
			r.Data[f.key] = json.Number(strings.TrimSuffix(parts[i], "m"))
		case "name":
			if r.Data[f.key] = strings.TrimSuffix(parts[i], "."); parts[i] == "." {
				r.Data[f.key] = "."
			}
		default:
			r.Data[f.key] = parts[i]
		}
	}
	return nil
}

// value is the inverse of fill.
func (r *record) value() (string, error) {
	priority := ""
	if r.Type == "MX" || r.Type == "URI" {
		if r.Priority == nil {
			return "", errors.New("it has no priority")
		}
		priority = strconv.Itoa(*r.Priority) + " "
	}
	form, structured := fields[r.Type]
	if !structured {
		return priority + r.Content, nil
	}
	words := make([]string, len(form))
	for i, f := range form {
		v, ok := r.Data[f.key]
		if !ok {
			return "", fmt.Errorf("it has no %s", f.key)
		}
		text := fmt.Sprint(v)
		switch f.kind {
		case "text":
			text = zone.QuoteText(text)
		case "metres":
			text += "m"
		}
		words[i] = text
	}
	return priority + strings.TrimSpace(strings.Join(words, " ")), nil
}

// decode reads a record from the API's JSON.
func decode(raw string) (record, error) {
	var r record
	d := json.NewDecoder(bytes.NewReader([]byte(raw)))
	d.UseNumber()
	err := d.Decode(&r)
	return r, err
}
