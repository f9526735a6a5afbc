package exchange

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"slipway/zone"
)

// TerraformProviders are whose resources WriteTerraform writes.
func TerraformProviders() []string { return []string{"route53", "google"} }

// WriteTerraform writes all zones as one configuration in JSON syntax, zones.tf.json, for the
// resources of a provider. Every text is escaped, so that no record can have Terraform evaluate
// an expression.
func WriteTerraform(zones []Zone, provider string) (files []File, losses []Loss, err error) {
	if !slices.Contains(TerraformProviders(), provider) {
		return nil, nil, fmt.Errorf("there are no resources of %q; use %s", provider, strings.Join(TerraformProviders(), " or "))
	}
	w := &terraformWriter{resources: map[string]map[string]attributes{}}
	for _, z := range zones {
		sets, lost := valid(z)
		losses = append(losses, lost...)
		switch provider {
		case "route53":
			w.route53(z.Name, sets)
		case "google":
			w.google(z.Name, sets)
		}
	}
	src, err := marshal(map[string]any{"resource": w.resources})
	if err != nil {
		return nil, nil, err
	}
	return []File{{"zones.tf.json", src}}, append(losses, w.losses...), nil
}

type terraformWriter struct {
	resources map[string]map[string]attributes
	losses    []Loss
}

// put adds a resource under a name that Terraform takes, and that no other has.
func (w *terraformWriter) put(typ, name string, a attributes) string {
	name = identifier(name)
	if w.resources[typ] == nil {
		w.resources[typ] = map[string]attributes{}
	}
	for base, n := name, 2; w.resources[typ][name] != nil; n++ {
		name = fmt.Sprintf("%s_%d", base, n)
	}
	w.resources[typ][name] = a
	return name
}

// identifier makes a resource's name: letters, digits and underscores, with a letter in front.
func identifier(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '_'
	}, s)
	return "z_" + s
}

// fit says whether a set can be a resource, and notes what is lost.
func (w *terraformWriter) fit(z zone.Name, r zone.RRSet) bool {
	if r.Extra != "" {
		w.losses = append(w.losses, Loss{z, label(r), "its other settings have no place in this resource"})
	}
	if r.InDNS() || r.Type == aliasType {
		return true
	}
	w.losses = append(w.losses, Loss{z, label(r), "left out: the provider has no such type"})
	return false
}

func (w *terraformWriter) route53(z zone.Name, sets []zone.RRSet) {
	id := w.put("aws_route53_zone", string(z), attributes{"name": template(string(z))})
	ref := "${aws_route53_zone." + id + ".zone_id}"
	for _, r := range sets {
		if !w.fit(z, r) {
			continue
		}
		base := attributes{"zone_id": ref, "name": template(string(r.Name))}
		if r.Type == aliasType {
			w.alias(z, r, base)
			continue
		}
		values := make([]string, len(r.Values))
		for i, v := range r.Values {
			if r.Type == "TXT" || r.Type == "SPF" {
				parts, err := zone.Fields(v)
				if err != nil {
					continue // a valid value has parts
				}
				v = route53Quote(strings.Join(parts, ""))
			}
			values[i] = template(v)
		}
		base["type"], base["records"], base["ttl"] = template(r.Type), values, ttlOr(r, 300)
		if r.TTL == zone.NoTTL {
			w.losses = append(w.losses, Loss{z, label(r), "it has no TTL, and Route 53 wants one: 300 seconds"})
		}
		w.put("aws_route53_record", string(r.Name)+"_"+r.Type, base)
	}
}

func ttlOr(r zone.RRSet, otherwise int) int {
	if r.TTL == zone.NoTTL {
		return otherwise
	}
	return r.TTL
}

// alias writes one resource a value of octoDNS's alias.
func (w *terraformWriter) alias(z zone.Name, r zone.RRSet, base attributes) {
	for _, v := range r.Values {
		var a route53Alias
		if err := json.Unmarshal([]byte(v), &a); err != nil || a.Name == "" || a.ZoneID == "" {
			w.losses = append(w.losses, Loss{z, label(r), "left out: it does not say its target and the target's zone"})
			continue
		}
		if a.Type == "" {
			a.Type = "A" // octoDNS's default
		}
		w.put("aws_route53_record", string(r.Name)+"_alias_"+a.Type, attributes{
			"zone_id": base["zone_id"], "name": base["name"], "type": template(a.Type),
			"alias": []attributes{{"name": template(a.Name), "zone_id": template(a.ZoneID), "evaluate_target_health": a.Evaluate}},
		})
	}
}

func (w *terraformWriter) google(z zone.Name, sets []zone.RRSet) {
	id := w.put("google_dns_managed_zone", string(z), attributes{"name": strings.ReplaceAll(identifier(string(z)), "_", "-"), "dns_name": template(z.FQDN())})
	ref := "${google_dns_managed_zone." + id + ".name}"
	for _, r := range sets {
		if r.Type == aliasType {
			w.losses = append(w.losses, Loss{z, label(r), "left out: it is an alias of Route 53"})
			continue
		}
		if !w.fit(z, r) {
			continue
		}
		values := make([]string, len(r.Values))
		for i, v := range r.Values {
			values[i] = template(v)
		}
		a := attributes{"managed_zone": ref, "name": template(r.Name.FQDN()), "type": template(r.Type), "rrdatas": values}
		if r.TTL != zone.NoTTL {
			a["ttl"] = r.TTL
		}
		w.put("google_dns_record_set", string(r.Name)+"_"+r.Type, a)
	}
}
