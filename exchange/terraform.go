package exchange

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slipway/zone"
)

// This file reads Terraform: a state file (version 4), the JSON of `terraform show -json`, or a
// configuration in JSON syntax (*.tf.json). terraform_types.go knows the resources.

// attributes are one resource's, as JSON has them.
type attributes map[string]any

func (a attributes) text(keys ...string) string {
	for _, k := range keys {
		switch v := a[k].(type) {
		case string:
			if v != "" {
				return v
			}
		case float64:
			return strconv.FormatFloat(v, 'f', -1, 64)
		case bool:
			return strconv.FormatBool(v)
		}
	}
	return ""
}

func (a attributes) texts(key string) []string {
	var out []string
	list, _ := a[key].([]any)
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// blocks are nested blocks, which JSON has as a list or as one object.
func (a attributes) blocks(key string) []attributes {
	var out []attributes
	switch v := a[key].(type) {
	case map[string]any:
		out = append(out, v)
	case []any:
		for _, m := range v {
			if m, ok := m.(map[string]any); ok {
				out = append(out, m)
			}
		}
	}
	return out
}

func (a attributes) ttl() int {
	n, err := strconv.Atoi(a.text("ttl"))
	if err != nil || n < 0 {
		return zone.NoTTL
	}
	return n
}

// resource is one instance of one resource.
type resource struct {
	typ, name string // "aws_route53_record", "www"
	a         attributes
}

// ReadTerraform reads zones from Terraform. fallback, if given, is the zone of records that
// do not say theirs.
func ReadTerraform(path string, fallback zone.Name) (*Result, error) {
	src, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parseTerraform(path, src, fallback)
}

func parseTerraform(path string, src []byte, fallback zone.Name) (*Result, error) {
	resources, err := resourcesOf(src)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t := &terraform{collector: newCollector(), ids: map[string]zone.Name{}, fallback: fallback}
	for _, r := range resources {
		t.zone(r)
	}
	for _, r := range resources {
		if err := t.record(r); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return t.result(), nil
}

// resourcesOf understands the three forms.
func resourcesOf(src []byte) ([]resource, error) {
	var doc struct {
		Version   int `json:"version"`
		Resources []struct {
			Type      string `json:"type"`
			Name      string `json:"name"`
			Instances []struct {
				Attributes attributes `json:"attributes"`
			} `json:"instances"`
		} `json:"resources"`
		Values *struct {
			Root module `json:"root_module"`
		} `json:"values"`
		Resource map[string]map[string]json.RawMessage `json:"resource"`
	}
	if err := json.Unmarshal(src, &doc); err != nil {
		return nil, fmt.Errorf("it is not Terraform's JSON: %w", err)
	}
	var out []resource
	switch {
	case doc.Values != nil:
		return doc.Values.Root.all(nil, 0)
	case doc.Resource != nil:
		for typ, named := range doc.Resource {
			for name, raw := range named {
				list := []attributes{{}}
				if json.Unmarshal(raw, &list[0]) != nil && json.Unmarshal(raw, &list) != nil {
					return nil, fmt.Errorf("resource %s.%s is not an object", typ, name)
				}
				for _, a := range list {
					out = append(out, resource{typ, name, plainValues(a)})
				}
			}
		}
		slices.SortFunc(out, func(a, b resource) int { return strings.Compare(a.typ+"."+a.name, b.typ+"."+b.name) })
	case doc.Version == 4:
		for _, r := range doc.Resources {
			for _, i := range r.Instances {
				out = append(out, resource{r.Type, r.Name, i.Attributes})
			}
		}
	case doc.Version != 0:
		return nil, fmt.Errorf("it is a state of version %d, and only 4 is read; run terraform state pull with Terraform 0.12 or later", doc.Version)
	default:
		return nil, fmt.Errorf("it is neither a state, nor terraform show -json, nor a configuration in JSON syntax")
	}
	return out, nil
}

// module is a part of what terraform show -json prints.
type module struct {
	Resources []struct {
		Type   string     `json:"type"`
		Name   string     `json:"name"`
		Values attributes `json:"values"`
	} `json:"resources"`
	Children []module `json:"child_modules"`
}

func (m module) all(out []resource, depth int) ([]resource, error) {
	if depth > 100 {
		return nil, fmt.Errorf("its modules are nested too deeply")
	}
	for _, r := range m.Resources {
		out = append(out, resource{r.Type, r.Name, r.Values})
	}
	var err error
	for _, c := range m.Children {
		if out, err = c.all(out, depth+1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// plainValues resolves the escapes of templates in a configuration's text. A reference to another
// resource stays as "${…}".
func plainValues(a attributes) attributes {
	var plain func(any) any
	plain = func(v any) any {
		switch v := v.(type) {
		case string:
			return strings.NewReplacer("$${", "${", "%%{", "%{").Replace(v)
		case []any:
			for i := range v {
				v[i] = plain(v[i])
			}
		case map[string]any:
			for k := range v {
				v[k] = plain(v[k])
			}
		}
		return v
	}
	for k := range a {
		if s, ok := a[k].(string); ok && strings.HasPrefix(s, "${") {
			continue
		}
		a[k] = plain(a[k])
	}
	return a
}

// template escapes text so that Terraform evaluates nothing in it.
func template(s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(s)
}

type terraform struct {
	*collector
	ids      map[string]zone.Name // what records call their zone by
	fallback zone.Name
}

// zone notes a zone resource under all that a record may call it by.
func (t *terraform) zone(r resource) {
	key, ok := zoneResources[r.typ]
	if !ok {
		return
	}
	name := r.a.text(key...)
	z, err := zone.ParseName(name)
	if err != nil || name == "" {
		t.lose("", r.typ+"."+r.name, "left out: %q is not a zone's name", name)
		return
	}
	t.open(z)
	for _, id := range []string{r.a.text("zone_id"), r.a.text("id"), r.a.text("name"), r.typ + "." + r.name} {
		if id == "" {
			continue
		}
		if other, taken := t.ids[r.typ+" "+id]; taken && other != z {
			t.lose(z, r.typ+"."+r.name, "another zone goes by %q, too", id)
			continue
		}
		t.ids[r.typ+" "+id] = z
	}
}

// zoneOf finds a record's zone by what it calls it.
func (t *terraform) zoneOf(zoneTypes []string, called string, names ...string) zone.Name {
	if inner, ok := strings.CutPrefix(called, "${"); ok {
		parts := strings.SplitN(strings.TrimSuffix(inner, "}"), ".", 3)
		called = strings.Join(parts[:min(2, len(parts))], ".")
	}
	for _, typ := range zoneTypes {
		if z, ok := t.ids[typ+" "+called]; ok {
			return z
		}
	}
	for _, name := range names {
		// The closest zone above the record's own full name.
		n, err := zone.ParseName(name)
		for err == nil && name != "" && n != "." {
			if _, ok := t.zones[n]; ok {
				return n
			}
			n = n.Parent()
		}
	}
	return t.fallback
}

func (t *terraform) record(r resource) error {
	kind, ok := recordResource(r.typ)
	if !ok {
		if _, isZone := zoneResources[r.typ]; !isZone && dnsLike(r.typ) {
			t.lose("", r.typ+"."+r.name, "left out: this kind of resource is not understood")
		}
		return nil
	}
	z := t.zoneOf(kind.zones, r.a.text(kind.zoneKey), r.a.text("fqdn", "hostname", "name"))
	if z == "" {
		t.lose("", r.typ+"."+r.name, "left out: its zone is not in the state; name it with --zone")
		return nil
	}
	name, err := below(z, unescapeOctal(r.a.text("name")))
	if err != nil {
		t.lose(z, r.typ+"."+r.name, "left out: %s", err)
		return nil
	}
	set := zone.RRSet{Name: name, TTL: r.a.ttl()}
	why := kind.read(&set, r)
	if set.Type == "SOA" {
		return nil // providers make their own
	}
	if why != "" {
		t.lose(z, label(set), "%s", why)
	}
	if len(set.Values) == 0 {
		if why == "" {
			t.lose(z, label(set), "left out: it has no values")
		}
		return nil
	}
	return t.add(z, set)
}

// dnsLike says whether a resource that is not understood is about DNS, by its name.
func dnsLike(typ string) bool {
	return strings.Contains(typ, "_record") || strings.Contains(typ, "dns_") && !strings.Contains(typ, "policy")
}

// unescapeOctal resolves Route 53's \NNN, which is octal.
func unescapeOctal(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil && n == '*' {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
