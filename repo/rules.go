package repo

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"slipway/zone"
)

// RuleSetting changes how heavily a lint rule weighs, everywhere or in some zones.
// Lowering a rule that denies is a change of settings, which the strictest tier judges.
type RuleSetting struct {
	Rule     string
	Severity string      // "deny", "warn" or "info"
	Zones    []zone.Name // and no others; empty: all
	Line     int         `json:"-"`
}

// Waiver lets one record pass one rule until a day, for a reason, on somebody's word. For what a rule finds
// in no record it names a zone or a file, such as an app's manifest, instead.
type Waiver struct {
	Rule    string
	Record  zone.Key
	Zone    zone.Name
	File    string
	Reason  string
	By      string    // e-mail address of who answers for it
	Expires time.Time // the day's end: the midnight, UTC, after the day that is written
	Line    int       `json:"-"`
}

// Target is what the waiver is for, in words.
func (w Waiver) Target() string {
	switch {
	case w.Record.Type != "":
		return w.Record.Name.Unicode() + " " + w.Record.Type
	case w.Zone != "":
		return w.Zone.Unicode()
	}
	return w.File
}

// MailTemplates are what the mail records of external zones must at least say.
type MailTemplates struct {
	SPF   string // an SPF record; every term of it must stand in a zone's record
	DMARC string // a DMARC record; every tag of it must stand in a zone's record, or a stricter policy

	Senders []MailSender // what the SPF records must let pass
}

// MailSender is the machines that send an organisation's mail as one domain.
type MailSender struct {
	Domain    zone.Name
	Addresses []netip.Addr
	Line      int `json:"-"`
}

// PolicyLimits are what one rule of the policies may take on one zone. 0 is the default.
type PolicyLimits struct {
	Time   time.Duration
	Memory int64 // bytes
}

// Bounds of PolicyLimits: room for a rule to do its work, and none to stop the gate.
const (
	MinPolicyTime   = 100 * time.Millisecond
	MaxPolicyTime   = 30 * time.Second
	MinPolicyMemory = 16 << 20
	MaxPolicyMemory = 1 << 30
)

const (
	maxWaivers     = 10000
	maxReason      = 1000
	minReason      = 10 // characters; "ok" is no reason
	maxMailPattern = 2000
	maxSenders     = 100 // domains, and addresses of each
)

// severities are those of package check's findings, which must not be imported from here.
var severities = []string{"deny", "warn", "info"}

// readRules reads the severities of lint rules: `rule: {severity: warn, zones: [a.example]}`, or a
// list of such where zones differ.
func (p *settingsParser) readRules(f field) {
	for _, r := range p.fields(f.value, "rules", nil) {
		items := []*yaml.Node{r.value}
		if n := follow(r.value); n != nil && n.Kind == yaml.SequenceNode {
			items = n.Content
		}
		for _, item := range items {
			s := RuleSetting{Rule: r.name, Line: r.key.Line}
			for _, k := range p.fields(item, "rule "+r.name, []string{"severity", "zones"}) {
				switch k.name {
				case "severity":
					s.Severity = p.oneOf(k.value, "severity", severities...)
				case "zones":
					for _, n := range p.list(k.value, "zones") {
						s.Zones = append(s.Zones, p.name(n, "zones"))
					}
					if len(s.Zones) == 0 {
						p.fail(k.key, "name zones, or leave zones out for all of them", "rule %s names no zone", r.name)
					}
				}
			}
			if s.Severity == "" {
				p.fail(r.key, "add for example `severity: warn`", "rule %s has no severity", r.name)
			}
			p.s.Rules = append(p.s.Rules, s)
		}
	}
}

// readWaivers reads the list of waivers. Each must say everything: who lets pass what, why, until when.
func (p *settingsParser) readWaivers(f field) {
	list := follow(f.value)
	if list == nil || isNull(list) {
		return
	}
	if list.Kind != yaml.SequenceNode {
		p.fail(list, "write a list: each waiver begins with a hyphen", "waivers must be a list")
		return
	}
	if len(list.Content) > maxWaivers {
		p.fail(list, "remove those that are no longer needed", "there are %d waivers; at most %d are read", len(list.Content), maxWaivers)
		return
	}
	lines := map[Waiver]int{} // by what it is for
	keys := []string{"rule", "record", "zone", "file", "reason", "by", "expires"}
	for _, item := range list.Content {
		w := Waiver{Line: item.Line}
		seen := map[string]bool{}
		for _, k := range p.fields(item, "waiver", keys) {
			seen[k.name] = true
			switch k.name {
			case "rule":
				w.Rule = p.text(k.value, "rule")
			case "record":
				w.Record = p.record(k.value)
			case "zone":
				w.Zone = p.name(k.value, "zone")
			case "file":
				if w.File = p.text(k.value, "file"); checkPath(w.File) != nil {
					p.fail(k.value, "write the file as findings do: apps/menu.yaml", "file: %q is no file of the repository", w.File)
				}
			case "reason":
				w.Reason = p.text(k.value, "reason")
				if n := len([]rune(w.Reason)); n < minReason || n > maxReason {
					p.fail(k.value, "write in a sentence why the record may pass", "the reason has %d characters; it needs %d to %d", n, minReason, maxReason)
				}
			case "by":
				if who := p.emails(k.value, "by"); len(who) == 1 {
					w.By = who[0]
				} else {
					p.fail(k.value, "name the one person who answers for it", "by must be one e-mail address")
				}
			case "expires":
				day, err := time.Parse(time.DateOnly, p.text(k.value, "expires"))
				if err != nil {
					p.fail(follow(k.value), "write a day such as 2027-01-31", "expires: this is not a day")
				}
				w.Expires = day.AddDate(0, 0, 1)
			}
		}
		for _, k := range []string{"rule", "reason", "by", "expires"} {
			if !seen[k] {
				p.fail(item, "a waiver names rule, record, reason, by and expires", "the waiver has no %s", k)
			}
		}
		targets := 0
		for _, k := range []string{"record", "zone", "file"} {
			if seen[k] {
				targets++
			}
		}
		if targets != 1 {
			p.fail(item, "name the record; or the zone or file, for what the rule finds in no record", "the waiver has %d of record, zone and file, where one is needed", targets)
		}
		what := Waiver{Rule: w.Rule, Record: w.Record, Zone: w.Zone, File: w.File}
		if first, twice := lines[what]; twice {
			p.fail(item, "remove one of the two", "rule %s is waived twice for %s; the first is in line %d", w.Rule, w.Target(), first)
		}
		lines[what] = w.Line
		if p.err != nil {
			return
		}
		p.s.Waivers = append(p.s.Waivers, w)
	}
}

// record reads "shop.example.org A", as findings write it.
func (p *settingsParser) record(n *yaml.Node) zone.Key {
	s := p.text(n, "record")
	owner, typ, found := cutLast(s, " ")
	name, err := zone.ParseName(owner)
	if !found || err != nil || typ == "" {
		p.fail(follow(n), "write the record as findings do: shop.example.org A", "record: %q is not a name and a type", s)
	}
	return zone.Key{Name: name, Type: typ}
}

func (p *settingsParser) readMail(f field) {
	for _, k := range p.fields(f.value, "mail", []string{"spf", "dmarc", "senders"}) {
		if k.name == "senders" {
			p.readSenders(k)
			continue
		}
		s := p.text(k.value, "mail "+k.name)
		if len(s) > maxMailPattern {
			p.fail(k.value, "", "mail %s is longer than %d characters", k.name, maxMailPattern)
		}
		if k.name == "spf" {
			p.s.Mail.SPF = s
		} else {
			p.s.Mail.DMARC = s
		}
	}
}

// readSenders reads who sends mail as which domain: `example.org: [192.0.2.25, 2001:db8::25]`.
func (p *settingsParser) readSenders(f field) {
	seen := map[zone.Name]bool{}
	for _, d := range p.fields(f.value, "mail senders", nil) {
		s := MailSender{Domain: p.name(d.key, "mail senders"), Line: d.key.Line}
		items := p.list(d.value, "senders of "+d.name)
		if len(items) > maxSenders || len(p.s.Mail.Senders) >= maxSenders {
			p.fail(d.key, "name the machines that people rely on most", "mail senders: at most %d domains with %d addresses each are read", maxSenders, maxSenders)
			return
		}
		for _, n := range items {
			text := p.text(n, "each of the senders of "+d.name)
			a, err := netip.ParseAddr(text)
			if err != nil || a.Zone() != "" {
				p.fail(n, "write an address such as 192.0.2.25", "mail senders: %q is not an IP address", text)
				continue
			}
			s.Addresses = append(s.Addresses, a.Unmap())
		}
		if seen[s.Domain] {
			p.fail(d.key, "remove one of the two", "mail senders: %s stands twice", d.name)
		}
		seen[s.Domain] = true
		p.s.Mail.Senders = append(p.s.Mail.Senders, s)
	}
}

// readPolicies reads `policies: {limits: {time: 2s, memory: 96MB}}`.
func (p *settingsParser) readPolicies(f field) {
	for _, k := range p.fields(f.value, "policies", []string{"limits"}) {
		for _, l := range p.fields(k.value, "policies limits", []string{"time", "memory"}) {
			if l.name == "time" {
				p.s.PolicyLimits.Time = p.duration(l.value, "policies limits time", MinPolicyTime, MaxPolicyTime)
				continue
			}
			text := p.text(l.value, "policies limits memory")
			digits, found := strings.CutSuffix(text, "MB")
			n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 32)
			if n <<= 20; !found || err != nil || n < MinPolicyMemory || n > MaxPolicyMemory {
				p.fail(follow(l.value), "write for example 96MB", "policies limits memory: %q is not from %dMB to %dMB", text, MinPolicyMemory>>20, MaxPolicyMemory>>20)
				continue
			}
			p.s.PolicyLimits.Memory = n
		}
	}
}

// readTTL reads `ttl: {min: 60, max: 86400, types: {NS: {min: 3600, max: 604800}}}`. What a type leaves
// out is as for all.
func (p *settingsParser) readTTL(f field) {
	bounds := func(b field, what string, into *TTLBounds) {
		n := p.number(b.value, what+" "+b.name, 0, 1<<31-1) // RFC 2181 section 8
		if b.name == "min" {
			into.Min = n
		} else {
			into.Max = n
		}
	}
	ordered := func(n *yaml.Node, b TTLBounds) {
		if b.Min > b.Max {
			p.fail(n, "swap them", "the lowest allowed TTL, %d, is above the highest, %d", b.Min, b.Max)
		}
	}
	var types []field
	for _, b := range p.fields(f.value, "ttl", []string{"min", "max", "types"}) {
		if b.name == "types" {
			types = p.fields(b.value, "ttl types", nil)
			continue
		}
		bounds(b, "ttl", &p.s.TTL)
	}
	ordered(f.value, p.s.TTL)
	for _, t := range types {
		of := p.s.TTL
		for _, b := range p.fields(t.value, "ttl of "+t.name, []string{"min", "max"}) {
			bounds(b, "ttl of "+t.name, &of)
		}
		ordered(t.value, of)
		if p.s.TTLOfType == nil {
			p.s.TTLOfType = map[string]TTLBounds{}
		}
		p.s.TTLOfType[strings.ToUpper(t.name)] = of
	}
}
