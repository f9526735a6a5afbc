package exchange

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"slipway/zone"
)

// zoneResources are the resources and data sources that are zones, with the attributes of their names.
var zoneResources = map[string][]string{
	"aws_route53_zone":         {"name"},
	"cloudflare_zone":          {"zone", "name"},
	"google_dns_managed_zone":  {"dns_name"},
	"azurerm_dns_zone":         {"name"},
	"azurerm_private_dns_zone": {"name"},
}

// recordKind says how the record resources of one provider are read. read fills in type, values
// and settings; what it returns is a loss.
type recordKind struct {
	zones   []string
	zoneKey string
	read    func(*zone.RRSet, resource) string
}

func recordResource(typ string) (recordKind, bool) {
	switch typ {
	case "aws_route53_record":
		return recordKind{[]string{"aws_route53_zone"}, "zone_id", readRoute53}, true
	case "cloudflare_record", "cloudflare_dns_record":
		return recordKind{[]string{"cloudflare_zone"}, "zone_id", readCloudflare}, true
	case "google_dns_record_set":
		return recordKind{[]string{"google_dns_managed_zone"}, "managed_zone", readGoogle}, true
	}
	for _, prefix := range []string{"azurerm_dns_", "azurerm_private_dns_"} {
		if t, ok := strings.CutPrefix(typ, prefix); ok && strings.HasSuffix(t, "_record") {
			return recordKind{[]string{prefix + "zone"}, "zone_name", readAzure}, true
		}
	}
	return recordKind{}, false
}

// What octoDNS calls Route 53's alias, and the TTL that it dumps one with: an alias has none of its own.
const (
	aliasType = "Route53Provider/ALIAS"
	aliasTTL  = 942942942
)

// route53Alias is octoDNS's value of one; its keys are in the order of RFC 8785.
type route53Alias struct {
	Evaluate bool   `json:"evaluate-target-health"`
	ZoneID   string `json:"hosted-zone-id,omitempty"`
	Name     string `json:"name,omitempty"`
	Type     string `json:"type"`
}

func readRoute53(set *zone.RRSet, r resource) string {
	set.Type = strings.ToUpper(r.a.text("type"))
	if id := r.a.text("set_identifier"); id != "" {
		return fmt.Sprintf("left out: it is one answer of several (routing policy, set identifier %q)", id)
	}
	for _, alias := range r.a.blocks("alias") {
		v, err := json.Marshal(route53Alias{alias["evaluate_target_health"] == true, alias.text("zone_id"), strings.TrimSuffix(alias.text("name"), ".") + ".", set.Type})
		if err != nil {
			return "left out: " + err.Error()
		}
		set.Type, set.TTL = aliasType, aliasTTL
		set.Values = append(set.Values, string(v))
	}
	why := ""
	for _, v := range r.a.texts("records") {
		switch set.Type {
		case "TXT", "SPF":
			octets, err := route53Text(v)
			if err != nil {
				why = "one value is left out: " + err.Error()
				continue
			}
			v = text(octets)
		}
		set.Values = append(set.Values, v)
	}
	return why
}

// route53Text reads a TXT value as the provider has it: without its outer quotes, with "" where one
// string ends and the next begins, and Route 53's octal escapes.
func route53Text(s string) (string, error) {
	if !strings.HasPrefix(s, `"`) || len(s) == 1 {
		s = `"` + s + `"`
	}
	var b strings.Builder
	inside := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			inside = !inside
		case !inside && s[i] == ' ':
		case !inside:
			return "", fmt.Errorf("text stands between two strings")
		case s[i] == '\\' && i+3 < len(s) && strings.Trim(s[i+1:i+4], "01234567") == "":
			n, err := strconv.ParseUint(s[i+1:i+4], 8, 8)
			if err != nil {
				return "", fmt.Errorf("%s is no octal escape of one octet", s[i:i+4])
			}
			b.WriteByte(byte(n))
			i += 3
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	if inside {
		return "", fmt.Errorf("a quotation mark is opened and never closed")
	}
	return b.String(), nil
}

// route53Quote is the inverse of route53Text.
func route53Quote(octets string) string {
	var parts []string
	for first := true; first || octets != ""; first = false {
		n := min(255, len(octets))
		var b strings.Builder
		for i := range n {
			switch c := octets[i]; {
			case c == '"' || c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c < ' ' || c >= 0x7f:
				fmt.Fprintf(&b, `\%03o`, c)
			default:
				b.WriteByte(c)
			}
		}
		parts = append(parts, b.String())
		octets = octets[n:]
	}
	return strings.Join(parts, `""`)
}

func readGoogle(set *zone.RRSet, r resource) string {
	set.Type = strings.ToUpper(r.a.text("type"))
	if len(r.a.blocks("routing_policy")) > 0 {
		return "left out: it has a routing policy"
	}
	set.Values = r.a.texts("rrdatas")
	return ""
}

// cloudflareData are the fields of the types that Cloudflare keeps in parts, in the order of the
// presentation form; a q before the name means a quoted string.
var cloudflareData = map[string][]string{
	"SRV":   {"priority", "weight", "port", "target"},
	"CAA":   {"flags", "tag", "qvalue"},
	"TLSA":  {"usage", "selector", "matching_type", "certificate"},
	"SSHFP": {"algorithm", "type", "fingerprint"},
	"DS":    {"key_tag", "algorithm", "digest_type", "digest"},
	"NAPTR": {"order", "preference", "qflags", "qservice", "qregex", "replacement"},
	"HTTPS": {"priority", "target", "value"},
	"SVCB":  {"priority", "target", "value"},
}

func readCloudflare(set *zone.RRSet, r resource) string {
	set.Type = strings.ToUpper(r.a.text("type"))
	if set.TTL == 1 { // Cloudflare's "automatic"
		set.TTL = zone.NoTTL
	}
	if r.a["proxied"] == true {
		set.Extra = `{"octodns":{"cloudflare":{"proxied":true}}}`
	}
	value := r.a.text("content", "value")
	fields, inParts := cloudflareData[set.Type]
	data := r.a.blocks("data")
	switch {
	case inParts && len(data) > 0:
		var parts []string
		for _, f := range fields {
			if key, quoted := strings.CutPrefix(f, "q"); quoted {
				parts = append(parts, text(data[0].text(key)))
				continue
			}
			v := data[0].text(f)
			if v == "" && f != "value" {
				return fmt.Sprintf("left out: its %s is missing", f)
			}
			parts = append(parts, v)
		}
		value = strings.TrimSpace(strings.Join(parts, " "))
	case set.Type == "TXT" && !strings.HasPrefix(value, `"`):
		value = text(value)
	case set.Type == "MX":
		value = r.a.text("priority") + " " + value
	}
	if value == "" {
		return ""
	}
	set.Values = []string{value}
	return ""
}

func readAzure(set *zone.RRSet, r resource) string {
	parts := strings.Split(strings.TrimSuffix(r.typ, "_record"), "_")
	set.Type = strings.ToUpper(parts[len(parts)-1])
	if r.a.text("target_resource_id") != "" {
		return "left out: it is an alias of an Azure resource"
	}
	set.Values = r.a.texts("records")
	if v := r.a.text("record"); v != "" {
		set.Values = append(set.Values, v)
	}
	for _, b := range r.a.blocks("record") {
		v := ""
		switch set.Type {
		case "MX":
			v = b.text("preference") + " " + b.text("exchange")
		case "SRV":
			v = strings.Join([]string{b.text("priority"), b.text("weight"), b.text("port"), b.text("target")}, " ")
		case "CAA":
			v = b.text("flags") + " " + b.text("tag") + " " + text(b.text("value"))
		case "TXT":
			v = text(b.text("value"))
		default:
			return "left out: this kind of record is not understood"
		}
		set.Values = append(set.Values, v)
	}
	return ""
}
