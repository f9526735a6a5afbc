package repo

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"slipway/zone"
)

const ruleSettings = `domain: finmicro.example
rules:
  wildcard: {severity: deny}
  ttl-out-of-bounds:
    - {severity: info, zones: [apps.finmicro.example]}
    - {severity: warn, zones: [finmicro.example, Other.example.]}
waivers:
  - rule: wildcard
    record: '*.shop.finmicro.example A'
    reason: The shop names its branches itself
    by: Ivy@finmicro.example
    expires: 2027-01-31
mail:
  spf: v=spf1 include:_spf.finmicro.example -all
  dmarc: v=DMARC1; p=reject
  senders:
    Finmicro.example: [192.0.2.25, '2001:db8::25']
policies:
  limits: {time: 5s, memory: 256MB}
ttl: {types: {ns: {min: 3600, max: 604800}, TXT: {min: 300}}, max: 43200}
`

func TestRuleSettings(t *testing.T) {
	s, err := ParseSettings("slipway.yaml", []byte(ruleSettings))
	if err != nil {
		t.Fatal(err)
	}
	rules := []RuleSetting{
		{Rule: "wildcard", Severity: "deny", Line: 3},
		{Rule: "ttl-out-of-bounds", Severity: "info", Zones: []zone.Name{"apps.finmicro.example"}, Line: 4},
		{Rule: "ttl-out-of-bounds", Severity: "warn", Zones: []zone.Name{"finmicro.example", "other.example"}, Line: 4},
	}
	if !reflect.DeepEqual(s.Rules, rules) {
		t.Errorf("got  %+v\nwant %+v", s.Rules, rules)
	}
	waivers := []Waiver{{
		Rule: "wildcard", Record: zone.Key{Name: "*.shop.finmicro.example", Type: "A"}, Reason: "The shop names its branches itself",
		By: "ivy@finmicro.example", Expires: time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC), Line: 8,
	}}
	if !reflect.DeepEqual(s.Waivers, waivers) {
		t.Errorf("got  %+v\nwant %+v", s.Waivers, waivers)
	}
	mail := MailTemplates{SPF: "v=spf1 include:_spf.finmicro.example -all", DMARC: "v=DMARC1; p=reject", Senders: []MailSender{
		{Domain: "finmicro.example", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.25"), netip.MustParseAddr("2001:db8::25")}, Line: 17},
	}}
	if ttl := map[string]TTLBounds{"NS": {3600, 604800}, "TXT": {300, 43200}}; !reflect.DeepEqual(s.TTLOfType, ttl) || s.TTL != (TTLBounds{60, 43200}) {
		t.Errorf("got %+v, %+v", s.TTL, s.TTLOfType)
	}
	if s.PolicyLimits != (PolicyLimits{5 * time.Second, 256 << 20}) {
		t.Errorf("got %+v", s.PolicyLimits)
	}
	if !reflect.DeepEqual(s.Mail, mail) {
		t.Errorf("got %+v", s.Mail)
	}
}

func TestRuleSettingsFaults(t *testing.T) {
	waiver := ruleSettings[strings.Index(ruleSettings, "waivers:"):strings.Index(ruleSettings, "mail:")]
	for _, c := range []struct {
		name, src, what string
		line            int
	}{
		{"no severity", "rules:\n  wildcard: {}\n", "no severity", 2},
		{"a severity that there is not", "rules:\n  wildcard: {severity: off}\n", "severity", 2},
		{"no zone", "rules:\n  wildcard: {severity: warn, zones: []}\n", "names no zone", 2},
		{"a zone that is none", "rules:\n  wildcard: {severity: warn, zones: [a..b]}\n", "zones", 2},
		{"waivers that are no list", "waivers: {rule: wildcard}\n", "must be a list", 1},
		{"no reason", strings.Replace(waiver, "    reason: The shop names its branches itself\n", "", 1), "has no reason", 2},
		{"a poor reason", strings.Replace(waiver, "The shop names its branches itself", "ok", 1), "2 characters", 4},
		{"a type's bounds turned round", "ttl: {types: {NS: {min: 90000}}}\n", "is above the highest", 1},
		{"too long for a policy", "policies: {limits: {time: 1h}}\n", "not a usable length", 1},
		{"too much for a policy", "policies:\n  limits:\n    memory: 2048MB\n", "16MB to 1024MB", 3},
		{"memory without unit", "policies: {limits: {memory: 100}}\n", "16MB to 1024MB", 1},
		{"a sender that is no address", "mail:\n  senders: {a.example: [mail.a.example]}\n", `"mail.a.example" is not an IP address`, 2},
		{"senders twice", "mail:\n  senders:\n    a.example: []\n    A.example: []\n", "A.example stands twice", 4},
		{"nobody", strings.Replace(waiver, "Ivy@finmicro.example", "[]", 1), "one e-mail address", 5},
		{"no end", strings.Replace(waiver, "2027-01-31", "never", 1), "not a day", 6},
		{"no type", strings.Replace(waiver, "example A'", "example'", 1), "not a name and a type", 3},
		{"two targets", strings.Replace(waiver, "    reason:", "    zone: a.example\n    reason:", 1), "2 of record, zone and file", 2},
		{"no target", strings.Replace(waiver, "    record: '*.shop.finmicro.example A'\n", "", 1), "0 of record, zone and file", 2},
		{"a file outside", strings.Replace(waiver, "record: '*.shop.finmicro.example A'", "file: ../x", 1), "no file of the repository", 3},
		{"twice", waiver + strings.TrimPrefix(waiver, "waivers:\n"), "waived twice", 7},
		{"another key", waiver + "    until: x\n", "unknown key", 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseSettings("slipway.yaml", []byte(c.src))
			var fault *zone.Error
			if !errors.As(err, &fault) || !strings.Contains(fault.What, c.what) || fault.Place.Line != c.line {
				t.Errorf("got %v, want %q in line %d", err, c.what, c.line)
			}
		})
	}
}

// Waivers that can be read say everything, whatever was written.
func FuzzWaivers(f *testing.F) {
	f.Add(ruleSettings)
	f.Add("waivers:\n  - &a {rule: x, record: x A, reason: because it is so, by: a@b.c, expires: 0001-01-01}\n  - *a\n")
	f.Add("waivers: [[]]\nrules: {x: [{severity: warn}, [], 1]}\n")
	f.Fuzz(func(t *testing.T, src string) {
		s, err := ParseSettings("slipway.yaml", []byte(src))
		if err != nil {
			return
		}
		for _, w := range s.Waivers {
			if w.Reason == "" || w.By == "" || w.Target() == "" || w.Line == 0 {
				t.Errorf("incomplete: %+v", w)
			}
		}
		for _, r := range s.Rules {
			if r.Severity == "" || r.Line == 0 {
				t.Errorf("incomplete: %+v", r)
			}
		}
	})
}
