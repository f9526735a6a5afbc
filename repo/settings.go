package repo

import (
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"slipway/zone"
)

// Settings is slipway.yaml.
type Settings struct {
	Organisation    string      // display name
	Domain          zone.Name   // the organisation's domain: owner of zones, e-mail domain of its people
	Brands          []string    // words that only Legal may let out in a public name
	AllowedExternal []zone.Name // external zone names that may be changed (seed policy); empty: every external zone listed in Zones
	ZonesDirectory  string      // default "zones"; "." for an octoDNS repository with zones at the root
	Zones           map[zone.Name]Zone
	Groups          map[string]Group
	Approvals       map[string]ApprovalRule // by rule name: yellow, red, new-domain, …
	Providers       map[string]Provider
	RestrictedTypes map[string][]string // record type -> groups that may edit it; default MX, TXT, CAA, NS, DS, DNSKEY: platform-ops
	ThirdParties    []string            // e-mail domains of known third parties; anyone outside Domain counts too
	Administrators  []string            // may manage accounts; approve nothing by that
	TTL             TTLBounds
	TTLOfType       map[string]TTLBounds // by record type, where they differ from TTL
	Drift           DriftSettings
	SOA             map[string]string // mname, rname overrides; optional
	Rules           []RuleSetting     // severities of lint rules where they differ from the rules' own
	Waivers         []Waiver          // of lint rules, each for one record
	Mail            MailTemplates     // what external zones with mail must say
	PolicyLimits    PolicyLimits      // what one rule of the policies may take
	Certificates    Certificates
	Apply           ApplyLimits    // of every zone that has none of its own
	Record          RecordSettings // what guards the record, who is told of it and what it is told
	Raw             []byte         // the file as read
	Path            string
}

type Group struct {
	Members []string // e-mail addresses, lower case
}

type ApprovalRule struct {
	AnyOf, AllOf []string
	Count        int           // distinct people; for AnyOf, default 1
	Expires      time.Duration // default 7 days; "7d", "36h"
	Ticket       bool          // ticket: required
}

// Provider is where zones are served. Package provider/catalog opens it.
type Provider = Part

type TTLBounds struct{ Min, Max int } // seconds

// DriftSettings say how often live zones are compared with what was approved.
type DriftSettings struct {
	Interval   time.Duration // default DefaultDriftInterval
	Delegation time.Duration // of NS and DS at the parents; default DefaultDelegationInterval
}

// SettingsPath is where the settings of a zones repository stand.
const SettingsPath = "slipway.yaml"

// Defaults of what slipway.yaml leaves out.
const (
	DefaultZonesDirectory = "zones"
	DefaultYellowExpiry   = 7 * 24 * time.Hour  // also of every rule that names none
	DefaultRedExpiry      = 14 * 24 * time.Hour // of the built-in red rule
	DefaultDriftInterval  = 5 * time.Minute

	DefaultDelegationInterval = time.Hour
	DefaultMinTTL             = 60
	DefaultMaxTTL             = 86400
)

const maxSettings = 1 << 20

// defaultSettings are in force where slipway.yaml is silent: yellow needs one of
// infosec or platform-ops, red needs legal, security and product, and record
// types that can take mail, trust or a subtree elsewhere belong to platform-ops.
func defaultSettings() *Settings {
	s := &Settings{
		ZonesDirectory: DefaultZonesDirectory,
		Zones:          map[zone.Name]Zone{},
		Groups:         map[string]Group{},
		Approvals: map[string]ApprovalRule{
			"yellow": {AnyOf: []string{"infosec", "platform-ops"}, Count: 1, Expires: DefaultYellowExpiry},
			"red":    {AllOf: []string{"legal", "security", "product"}, Expires: DefaultRedExpiry},
		},
		Providers:       map[string]Provider{},
		RestrictedTypes: map[string][]string{},
		TTL:             TTLBounds{Min: DefaultMinTTL, Max: DefaultMaxTTL},
		Drift:           DriftSettings{Interval: DefaultDriftInterval, Delegation: DefaultDelegationInterval},
		Apply:           ApplyLimits{Deletes: 30, Updates: 30, From: 10},
		Certificates:    defaultCertificates(),
		Path:            SettingsPath,
	}
	for _, t := range []string{"MX", "TXT", "CAA", "NS", "DS", "DNSKEY"} {
		s.RestrictedTypes[t] = []string{"platform-ops"}
	}
	return s
}

// ParseSettings reads slipway.yaml. What the file leaves out has its default:
// a zone without visibility is external; one without owner belongs to Domain if
// it is Domain or below it, else to nobody known; without domain, Domain is the
// owner that all zones agree on. A fault is a *zone.Error.
func ParseSettings(path string, src []byte) (*Settings, error) {
	s := defaultSettings()
	s.Path, s.Raw = path, slices.Clone(src)
	p := settingsParser{document: &document{path: path}, s: s}
	p.all(p.parseZones(src, maxSettings))
	if err := p.result(); err != nil {
		return nil, err
	}
	return s, nil
}

func (p *settingsParser) all(root *yaml.Node) {
	for _, f := range p.fields(root, SettingsPath, settingsKeys) {
		p.top(f)
	}
	p.finish()
}

var settingsKeys = []string{
	"organisation", "domain", "brands", "allowed-external", "zones", "groups", "approvals", "providers",
	"restricted-types", "third-parties", "administrators", "ttl", "drift", "soa",
	"rules", "waivers", "mail", "policies", "certificates", "apply", "record",
}

type settingsParser struct {
	*document
	s         *Settings
	zones     []field
	groupRefs []*yaml.Node // group names used by approvals and restricted-types
}

func (p *settingsParser) top(f field) {
	s := p.s
	switch f.name {
	case "organisation":
		s.Organisation = p.text(f.value, "organisation")
	case "domain":
		s.Domain = p.name(f.value, "domain")
	case "brands":
		for _, b := range p.texts(f.value, "brands") {
			s.Brands = append(s.Brands, strings.ToLower(b))
		}
	case "allowed-external":
		for _, n := range p.list(f.value, "allowed-external") {
			s.AllowedExternal = append(s.AllowedExternal, p.name(n, "allowed-external"))
		}
	case "zones":
		p.readZones(f)
	case "groups":
		for _, g := range p.fields(f.value, "groups", nil) {
			p.groupName(g.key, g.name)
			var group Group
			for _, m := range p.fields(g.value, "group "+g.name, []string{"members"}) {
				group.Members = p.emails(m.value, "members of "+g.name)
			}
			s.Groups[g.name] = group
		}
	case "approvals":
		for _, r := range p.fields(f.value, "approvals", nil) {
			s.Approvals[r.name] = p.rule(r)
		}
	case "providers":
		for _, v := range p.fields(f.value, "providers", nil) {
			s.Providers[v.name] = p.part(v, "provider "+v.name, "zonefile")
		}
	case "restricted-types":
		s.RestrictedTypes = map[string][]string{}
		for _, t := range p.fields(f.value, "restricted-types", nil) {
			s.RestrictedTypes[strings.ToUpper(t.name)] = p.groups(t.value, "restricted-types of "+t.name)
		}
	case "third-parties":
		for _, n := range p.list(f.value, "third-parties") {
			s.ThirdParties = append(s.ThirdParties, string(p.name(n, "third-parties")))
		}
	case "administrators":
		s.Administrators = p.emails(f.value, "administrators")
	case "ttl":
		p.readTTL(f)
	case "drift":
		for _, b := range p.fields(f.value, "drift", []string{"interval", "delegation"}) {
			switch b.name {
			case "interval":
				s.Drift.Interval = p.duration(b.value, "drift interval", time.Second, 31*24*time.Hour)
			case "delegation":
				s.Drift.Delegation = p.duration(b.value, "drift delegation", time.Second, 31*24*time.Hour)
			}
		}
	case "apply":
		s.Apply = p.applyLimits(f.value, "apply", s.Apply)
	case "record":
		p.readRecord(f)
	case "rules":
		p.readRules(f)
	case "waivers":
		p.readWaivers(f)
	case "mail":
		p.readMail(f)
	case "policies":
		p.readPolicies(f)
	case "certificates":
		p.readCertificates(f)
	case "soa":
		s.SOA = map[string]string{}
		for _, b := range p.fields(f.value, "soa", []string{"mname", "rname"}) {
			s.SOA[b.name] = string(p.name(b.value, "soa "+b.name))
		}
	}
}

func (p *settingsParser) rule(f field) ApprovalRule {
	what := "approvals " + f.name
	r := ApprovalRule{Expires: DefaultYellowExpiry}
	count := false
	for _, k := range p.fields(f.value, what, []string{"any_of", "all_of", "count", "expires", "ticket"}) {
		switch k.name {
		case "any_of":
			r.AnyOf = p.groups(k.value, what+" any_of")
		case "all_of":
			r.AllOf = p.groups(k.value, what+" all_of")
		case "count":
			r.Count, count = p.number(k.value, what+" count", 1, 100), true
		case "expires":
			r.Expires = p.duration(k.value, what+" expires", time.Second, 366*24*time.Hour)
		case "ticket":
			r.Ticket = p.oneOf(k.value, what+" ticket", "required", "optional") == "required"
		}
	}
	if len(r.AnyOf)+len(r.AllOf) == 0 {
		p.fail(f.key, "name groups in any_of or all_of", "%s names no group, so nobody could approve", what)
	}
	if !count && len(r.AnyOf) > 0 {
		r.Count = 1 // of any_of; every group of all_of is one person anyway
	}
	return r
}

func (p *settingsParser) groups(n *yaml.Node, what string) []string {
	p.groupRefs = append(p.groupRefs, p.list(n, what)...)
	return p.texts(n, what)
}

func (p *settingsParser) groupName(n *yaml.Node, name string) {
	if !appName.MatchString(name) {
		p.fail(n, "use small letters, digits and hyphens", "group name %q cannot be used", name)
	}
}

func (p *settingsParser) emails(n *yaml.Node, what string) []string {
	var out []string
	for _, item := range p.list(n, what) {
		s := strings.ToLower(p.text(item, "each of "+what))
		if a, err := mail.ParseAddress(s); err != nil || a.Address != s {
			p.fail(item, "write an address such as ana@example.org", "%s: %q is not an e-mail address", what, s)
		}
		if slices.Contains(out, s) {
			p.fail(item, "remove one of the two", "%s: %s stands twice", what, s)
		}
		out = append(out, s)
	}
	return out
}

func (p *settingsParser) duration(n *yaml.Node, what string, low, high time.Duration) time.Duration {
	s := p.text(n, what)
	v, err := parseDuration(s)
	if err != nil || v < low || v > high {
		p.fail(follow(n), "write for example 7d, 36h or 5m", "%s: %q is not a usable length of time", what, s)
	}
	return v
}

var days = regexp.MustCompile(`^(\d{1,5})d(.*)$`)

// parseDuration reads Go's durations, with days in front: 7d, 1d12h, 36h.
func parseDuration(s string) (time.Duration, error) {
	m := days.FindStringSubmatch(s)
	if m == nil {
		return time.ParseDuration(s)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || m[2] == "" {
		return time.Duration(n) * 24 * time.Hour, err
	}
	rest, err := time.ParseDuration(m[2])
	if rest < 0 {
		err = errors.New("negative duration")
	}
	return time.Duration(n)*24*time.Hour + rest, err
}

// finish checks what one part of the file says about another.
func (p *settingsParser) finish() {
	if p.err != nil {
		return
	}
	s := p.s
	for _, n := range p.groupRefs {
		name := follow(n).Value
		if _, ok := s.Groups[name]; !ok {
			known := slices.Sorted(maps.Keys(s.Groups))
			help := "add it under groups, or name one of: " + strings.Join(known, ", ")
			if near := closest(name, known); near != "" {
				help = fmt.Sprintf("did you mean %q? %s", near, help)
			}
			p.fail(n, help, "group %q is not defined, so nobody could approve for it", name)
		}
	}
	for _, f := range p.zones {
		z := s.Zones[p.name(f.key, "zone")]
		if len(z.Providers) > 1 && z.DNSSEC == "required" {
			p.fail(f.key, "serve it by one provider, or leave dnssec out",
				"zone %s is signed and names several providers: each would sign with keys of its own, and whoever checks signatures would take the answers of all but one for forged (RFC 8901)", f.name)
		}
		for _, name := range z.Providers {
			if _, ok := s.Providers[name]; !ok {
				p.fail(f.key, "add it under providers, or name one of: "+strings.Join(slices.Sorted(maps.Keys(s.Providers)), ", "),
					"zone %s names provider %q, which is not defined", f.name, name)
			}
		}
	}
	s.finishCertificates()
	if s.Domain == "" {
		s.Domain = s.commonOwner()
	}
	for name, z := range s.Zones {
		if z.Owner == "" && s.Domain != "" && name.In(s.Domain) {
			z.Owner = s.Domain
			s.Zones[name] = z
		}
	}
}

// commonOwner is the owner that all zones with an owner agree on, or "".
func (s *Settings) commonOwner() zone.Name {
	var owner zone.Name
	for _, z := range s.Zones {
		if z.Owner == "" {
			continue
		}
		if owner != "" && owner != z.Owner {
			return ""
		}
		owner = z.Owner
	}
	return owner
}

// ZoneOf returns the most specific zone of s that holds name.
func (s *Settings) ZoneOf(name zone.Name) (zone.Name, bool) {
	for n := name; ; n = n.Parent() {
		if _, ok := s.Zones[n]; ok {
			return n, true
		}
		if n == "" || n == "." {
			return "", false
		}
	}
}

// GroupsOf returns the groups that email is a member of, sorted.
func (s *Settings) GroupsOf(email string) []string {
	email = strings.ToLower(email)
	var out []string
	for name, g := range s.Groups {
		if slices.Contains(g.Members, email) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// ThirdParty reports whether email belongs to somebody outside the organisation:
// its domain is a listed third party, or is neither Domain nor below it. Without
// a Domain only the list counts; an empty email is nobody.
func (s *Settings) ThirdParty(email string) bool {
	if email == "" {
		return false
	}
	_, domain, found := cutLast(email, "@")
	name, err := zone.ParseName(domain)
	if !found || err != nil {
		return s.Domain != ""
	}
	for _, t := range s.ThirdParties {
		if name.In(zone.Name(t)) {
			return true
		}
	}
	return s.Domain != "" && !name.In(s.Domain)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
