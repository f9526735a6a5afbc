package repo

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"slipway/zone"
)

// App is one micro app: apps/<name>.yaml.
type App struct {
	Name        string            `json:"name"` // the file's base name
	Owner       string            `json:"owner"`
	Team        string            `json:"team"`
	Purpose     string            `json:"purpose"`
	Exposure    string            `json:"exposure"`          // internal | external
	Data        []string          `json:"data"`              // none | pii | financial | health
	Expires     string            `json:"expires,omitempty"` // RFC 3339 full-date
	Hostname    zone.Name         `json:"hostname"`
	Certificate bool              `json:"certificate"`
	Upstream    string            `json:"upstream,omitempty"`    // http or https address that the gateway passes requests on to
	MTLS        bool              `json:"mtls,omitempty"`        // mtls: required; the gateway lets in nobody without a certificate of the organisation
	ThirdParty  string            `json:"third_party,omitempty"` // name of a third party that runs or asked for it
	Records     []zone.RRSet      `json:"records"`
	Artifacts   map[string]string `json:"artifacts,omitempty"`
	Path        string            `json:"path"`
	Lines       map[string]int    `json:"-"` // line of each top-level key, for findings
}

// AppsDirectory is the folder of app manifests.
const AppsDirectory = "apps"

const (
	maxApp        = 1 << 20
	maxAppRecords = 1000
	maxAppValues  = 1000 // of one record set
)

// appName is what apps and groups may be called: it becomes a file name, and a part of URLs.
var appName = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

// ValidAppName reports whether an app may have this name.
func ValidAppName(name string) bool { return appName.MatchString(name) }

// AppPath returns the path of an app's manifest.
func AppPath(name string) string { return AppsDirectory + "/" + name + ".yaml" }

var appKeys = []string{
	"owner", "team", "purpose", "exposure", "data", "expires", "hostname", "certificate",
	"upstream", "mtls", "third_party", "records", "artifacts",
}

// ParseApp reads an app's manifest; path gives the app its name. What is left
// out stays empty, for checks to report. What cannot be understood (broken YAML,
// an unknown key, a value of the wrong type) is a *zone.Error with its line.
func ParseApp(file string, src []byte) (*App, error) {
	d := &document{path: file}
	a := &App{Name: strings.TrimSuffix(path.Base(file), ".yaml"), Path: file, Lines: map[string]int{}}
	if !ValidAppName(a.Name) || path.Ext(file) != ".yaml" {
		d.fail(nil, "rename it to small letters, digits and hyphens, such as "+AppPath("expense-tracker"),
			"the file name cannot be an app's name")
	}
	for _, f := range d.fields(d.parse(src, maxApp), "an app's manifest", appKeys) {
		a.Lines[f.name] = f.key.Line
		switch f.name {
		case "owner":
			a.Owner = strings.ToLower(strings.TrimSpace(d.text(f.value, "owner")))
		case "team":
			a.Team = d.text(f.value, "team")
		case "purpose":
			a.Purpose = strings.TrimSpace(d.text(f.value, "purpose"))
		case "exposure":
			a.Exposure = d.oneOf(f.value, "exposure", "internal", "external")
		case "data":
			for _, n := range d.list(f.value, "data") {
				a.Data = append(a.Data, d.oneOf(n, "data", "none", "pii", "financial", "health"))
			}
		case "expires":
			a.Expires = d.text(f.value, "expires")
			if _, err := time.Parse(time.DateOnly, a.Expires); err != nil && a.Expires != "" {
				d.fail(f.value, "write the date as 2027-06-30", "expires: %q is not a date", a.Expires)
			}
		case "hostname":
			a.Hostname = d.name(f.value, "hostname")
		case "certificate":
			a.Certificate = d.boolean(f.value, "certificate")
		case "upstream":
			a.Upstream = d.text(f.value, "upstream")
			if _, err := a.UpstreamURL(); err != nil {
				d.fail(f.value, "write where the app answers, for example http://10.1.2.3:8080", "upstream: %q is not an http or https address without a password, query or fragment", a.Upstream)
			}
		case "mtls":
			a.MTLS = d.oneOf(f.value, "mtls", "required", "none") == "required"
		case "third_party":
			a.ThirdParty = d.text(f.value, "third_party")
		case "records":
			a.Records = d.records(f.value)
		case "artifacts":
			a.Artifacts = map[string]string{}
			for _, k := range d.fields(f.value, "artifacts", nil) {
				a.Artifacts[k.name] = d.text(k.value, "artifact "+k.name)
			}
		}
	}
	if err := d.result(); err != nil {
		return nil, err
	}
	return a, nil
}

func (d *document) records(n *yaml.Node) []zone.RRSet {
	n = follow(n)
	if n == nil || isNull(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		d.fail(n, "write `- {name: app.example.org, type: A, ttl: 300, values: [192.0.2.10]}` lines", "records must be a list")
		return nil
	}
	if len(n.Content) > maxAppRecords {
		d.fail(n, "split the app", "an app has at most %d records", maxAppRecords)
		return nil
	}
	var out []zone.RRSet
	lines := map[zone.Key]int{}
	for _, item := range n.Content {
		r := d.record(item)
		if d.err != nil {
			return nil
		}
		if first, ok := lines[r.Key()]; ok {
			d.fail(item, "put all values into one entry", "the record set %s %s stands twice; the first is in line %d", r.Name, r.Type, first)
			return nil
		}
		lines[r.Key()] = r.Place.Line
		out = append(out, r)
	}
	return out
}

func (d *document) record(item *yaml.Node) zone.RRSet {
	r := zone.RRSet{TTL: zone.NoTTL}
	for _, f := range d.fields(item, "a record", []string{"name", "type", "ttl", "values", "value"}) {
		switch f.name {
		case "name":
			r.Name = d.name(f.value, "a record's name")
		case "type":
			r.Type = d.text(f.value, "a record's type")
		case "ttl":
			r.TTL = d.number(f.value, "ttl", 0, 1<<31-1) // RFC 2181 section 8
		case "values", "value":
			if r.Values != nil {
				d.fail(f.key, "keep values", "a record has both value and values")
			}
			r.Values = d.texts(f.value, "a record's values")
		}
	}
	switch {
	case d.err != nil:
		return r
	case r.Name == "":
		d.fail(item, "add name, for example `name: app.example.org`", "a record has no name")
	case r.Type == "":
		d.fail(item, "add type, for example `type: A`", "the record %s has no type", r.Name)
	case len(r.Values) == 0:
		d.fail(item, "add values, for example `values: [192.0.2.10]`", "the record %s %s has no value", r.Name, r.Type)
	case len(r.Values) > maxAppValues:
		d.fail(item, "", "the record %s %s has more than %d values", r.Name, r.Type, maxAppValues)
	default:
		set, err := zone.NewRRSet(r.Name, r.Type, r.TTL, r.Values)
		if err != nil {
			// Kept as written: Validate says what is wrong, as a finding among others.
			set = r
			if !strings.Contains(r.Type, "/") {
				set.Type = strings.ToUpper(r.Type)
			}
			for i, v := range set.Values {
				set.Values[i] = strings.TrimSpace(v)
			}
			slices.Sort(set.Values)
			set.Values = slices.Compact(set.Values)
		}
		set.Place = zone.Place{Path: d.path, Line: follow(item).Line}
		return set
	}
	return r
}

// Marshal writes the manifest in its canonical layout: keys in the order of the
// documentation, one record a line, empty keys left out.
func (a *App) Marshal() ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	put := func(key string, value *yaml.Node) {
		root.Content = append(root.Content, scalar(key), value)
	}
	putText := func(key, value string) {
		if value != "" {
			put(key, scalar(value))
		}
	}
	putText("owner", a.Owner)
	putText("team", a.Team)
	putText("purpose", a.Purpose)
	putText("exposure", a.Exposure)
	if len(a.Data) > 0 {
		put("data", flow(yaml.SequenceNode, scalars(a.Data)...))
	}
	if a.Expires != "" {
		put("expires", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!timestamp", Value: a.Expires})
	}
	putText("hostname", string(a.Hostname))
	put("certificate", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(a.Certificate)})
	putText("upstream", a.Upstream)
	if a.MTLS {
		putText("mtls", "required")
	}
	putText("third_party", a.ThirdParty)
	if len(a.Records) > 0 {
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for _, r := range a.Records {
			list.Content = append(list.Content, recordNode(r))
		}
		put("records", list)
	}
	if len(a.Artifacts) > 0 {
		m := flow(yaml.MappingNode)
		keys := slices.SortedFunc(maps.Keys(a.Artifacts), func(x, y string) int {
			return cmp.Or(artifactRank(x)-artifactRank(y), strings.Compare(x, y))
		})
		for _, k := range keys {
			m.Content = append(m.Content, scalar(k), scalar(a.Artifacts[k]))
		}
		put("artifacts", m)
	}
	var buf bytes.Buffer
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("app %s: %w", a.Name, err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("app %s: %w", a.Name, err)
	}
	// What is written must be what is read, whatever a field holds.
	if _, err := ParseApp(AppPath(a.Name), buf.Bytes()); err != nil {
		return nil, fmt.Errorf("app %s: %w", a.Name, err)
	}
	return buf.Bytes(), nil
}

// recordNode is one record set on one line.
func recordNode(r zone.RRSet) *yaml.Node {
	m := flow(yaml.MappingNode, scalar("name"), scalar(string(r.Name)), scalar("type"), scalar(r.Type))
	if r.TTL != zone.NoTTL {
		m.Content = append(m.Content, scalar("ttl"), &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: fmt.Sprint(r.TTL)})
	}
	m.Content = append(m.Content, scalar("values"), flow(yaml.SequenceNode, scalars(r.Values)...))
	return m
}

// artifactRank puts the two artifacts that every build has before all others.
func artifactRank(key string) int {
	switch key {
	case "sbom":
		return 0
	case "provenance":
		return 1
	}
	return 2
}

func scalar(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

func scalars(list []string) []*yaml.Node {
	out := make([]*yaml.Node, len(list))
	for i, s := range list {
		out[i] = scalar(s)
	}
	return out
}

func flow(kind yaml.Kind, content ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: kind, Style: yaml.FlowStyle, Content: content}
}

// clone returns a copy that shares nothing a caller would change.
func (a *App) clone() *App {
	c := *a
	c.Data = slices.Clone(a.Data)
	c.Records = slices.Clone(a.Records)
	for i := range c.Records {
		c.Records[i].Values = slices.Clone(c.Records[i].Values)
	}
	c.Artifacts = maps.Clone(a.Artifacts)
	c.Lines = maps.Clone(a.Lines)
	return &c
}
