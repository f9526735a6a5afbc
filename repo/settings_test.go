package repo

import (
	"errors"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/zone"
)

// designSettings is the documentation's example, with the groups that it leaves out.
const designSettings = `organisation: Fin Micro Ltd
brands: [finmicro, FinPay]
zones:
  directory: zones
  apps.finmicro.example:   {visibility: internal, owner: finmicro.example, provider: local}
  finmicro.example:        {visibility: external, owner: finmicro.example, provider: route53-main, dnssec: required}
groups:                    # members, or a claim of the identity provider
  infosec: {members: [Ivy@finmicro.example]}
  platform-ops: {members: [omar@finmicro.example]}
  legal: {members: []}
  security: {}
  product: {}
  brand: {}
approvals:
  yellow: {any_of: [infosec, platform-ops], count: 1, expires: 7d}
  red:    {all_of: [legal, security, product], expires: 14d, ticket: required}
  new-domain: {all_of: [legal, brand]}
providers:
  local: {type: zonefile}
  route53-main: {type: route53, region: eu-west-1, retries: 3}
`

func TestParseSettings(t *testing.T) {
	s, err := ParseSettings("slipway.yaml", []byte(designSettings))
	if err != nil {
		t.Fatal(err)
	}
	day := 24 * time.Hour
	certificates := defaultCertificates()
	certificates.Managers = []string{"infosec", "platform-ops"} // those of the usual managers that are defined
	want := &Settings{
		Certificates:   certificates,
		Organisation:   "Fin Micro Ltd",
		Domain:         "finmicro.example", // what all zones agree on
		Brands:         []string{"finmicro", "finpay"},
		ZonesDirectory: "zones",
		Zones: map[zone.Name]Zone{
			"apps.finmicro.example": {Visibility: "internal", Owner: "finmicro.example", Provider: "local", Providers: []string{"local"}},
			"finmicro.example":      {Visibility: "external", Owner: "finmicro.example", Provider: "route53-main", Providers: []string{"route53-main"}, DNSSEC: "required"},
		},
		Groups: map[string]Group{
			"infosec": {Members: []string{"ivy@finmicro.example"}}, "platform-ops": {Members: []string{"omar@finmicro.example"}},
			"legal": {}, "security": {}, "product": {}, "brand": {},
		},
		Approvals: map[string]ApprovalRule{
			"yellow":     {AnyOf: []string{"infosec", "platform-ops"}, Count: 1, Expires: 7 * day},
			"red":        {AllOf: []string{"legal", "security", "product"}, Expires: 14 * day, Ticket: true},
			"new-domain": {AllOf: []string{"legal", "brand"}, Expires: 7 * day},
		},
		Providers: map[string]Provider{
			"local":        {Type: "zonefile", Params: map[string]string{}},
			"route53-main": {Type: "route53", Params: map[string]string{"region": "eu-west-1", "retries": "3"}},
		},
		RestrictedTypes: defaultSettings().RestrictedTypes,
		TTL:             TTLBounds{60, 86400},
		Drift:           DriftSettings{Interval: 5 * time.Minute, Delegation: time.Hour},
		Apply:           ApplyLimits{Deletes: 30, Updates: 30, From: 10},
		Raw:             []byte(designSettings),
		Path:            "slipway.yaml",
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
}

func TestSettingsFaults(t *testing.T) {
	tests := []struct {
		name, src, want string
	}{
		{"unknown key", "organisation: x\nbrnads: [x]\n", `slipway.yaml:2: unknown key "brnads" in slipway.yaml (did you mean "brands"? allowed are: organisation, domain,`},
		{"other spelling", "allowed_external: []\n", `did you mean "allowed-external"?`},
		{"unknown key of a zone", "zones:\n  x.example:\n    visibilty: internal\n", `slipway.yaml:3: unknown key "visibilty" in zone x.example`},
		{"key twice", "domain: a.example\ndomain: b.example\n", `slipway.yaml:2: key "domain" stands twice`},
		{"zone twice", "zones:\n  x.example: {}\n  X.example.: {}\n", `slipway.yaml:3: zone x.example stands twice`},
		{"not YAML", "zones: [\n", "this is not YAML"},
		{"two documents", "domain: a.example\n---\ndomain: b.example\n", "second YAML document"},
		{"wrong type", "zones: [x.example]\n", "zones must be a mapping"},
		{"list for a value", "domain: [x.example]\n", "domain must be a single value"},
		{"bad visibility", "zones:\n  x.example: {visibility: public}\n", `visibility cannot be "public" (write internal or external or unclassified)`},
		{"bad name", "domain: -..-\n", "slipway.yaml:1: domain:"},
		{"directory outside", "zones: {directory: ../other}\n", "is not a folder of the repository"},
		{"absolute directory", "zones: {directory: /etc}\n", "is not a folder of the repository"},
		{"unknown group", "groups: {legal: {}}\napprovals:\n  red: {all_of: [lega]}\n", `slipway.yaml:3: group "lega" is not defined, so nobody could approve for it (did you mean "legal"?`},
		{"unknown group of a type", "restricted-types: {MX: [mailers]}\n", `group "mailers" is not defined`},
		{"rule for nobody", "approvals:\n  red: {expires: 7d}\n", "names no group"},
		{"count of none", "groups: {legal: {}}\napprovals:\n  red: {any_of: [legal], count: 0}\n", `red count: "0" is not such a number (write a number from 1 to 100)`},
		{"bad duration", "drift: {interval: soon}\n", `"soon" is not a usable length of time`},
		{"unknown provider", "zones:\n  x.example: {provider: nowhere}\n", `names provider "nowhere", which is not defined`},
		{"provider without type", "providers:\n  local: {}\n", "provider local has no type"},
		{"bad address", "administrators: [ana]\n", `administrators: "ana" is not an e-mail address`},
		{"provider twice in a zone", "providers: {a: {type: x}}\nzones:\n  x.example: {provider: [a, a]}\n", "names provider a twice"},
		{"second provider unknown", "providers: {a: {type: x}}\nzones:\n  x.example: {provider: [a, b]}\n", `names provider "b", which is not defined`},
		{"several that would sign", "providers: {a: {type: x}, b: {type: x}}\nzones:\n  x.example: {provider: [a, b], dnssec: required}\n", "each would sign with keys of its own"},
		{"no provider in the list", "zones:\n  x.example: {provider: []}\n", "names 0 providers"},
		{"share without a sign", "apply: {max-deletes: 30}\n", `apply max-deletes: "30" is not a share between 1% and 100%`},
		{"auto-revert of anything", "zones:\n  x.example: {auto-revert: {a-day: 2}}\n", "does not say how many record sets"},
		{"quorum too large", "record:\n  quorum: 2\n  witnesses: {w: {type: witness}}\n", "slipway.yaml:2: record quorum: 2 of 1 witnesses can never cosign"},
		{"mirror without type", "record:\n  mirrors: {vault: {bucket: b}}\n", "record mirrors vault has no type"},
		{"mirror with its secret", "record:\n  mirrors: {vault: {type: s3, secret-key: hunter2hunter2}}\n", "record mirrors vault: secret-key is not where a credential is kept"},
		{"member twice", "groups:\n  legal: {members: [a@x.example, A@x.example]}\n", "stands twice"},
		{"ttl turned round", "ttl: {min: 60, max: 5}\n", "is above the highest"},
		{"ttl too high", "ttl: {max: 2147483648}\n", "is not such a number"},
		{"aliases", "brands: &a [x]\nthird-parties: *a\nzones: *a\n", "zones must be a mapping"},
		{"too large", "organisation: " + strings.Repeat("x", maxSettings), "at most"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseSettings("slipway.yaml", []byte(tt.src))
			var ze *zone.Error
			if !errors.As(err, &ze) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %q", err, tt.want)
			}
		})
	}
}

func TestSettingsDefaults(t *testing.T) {
	for name, src := range map[string]string{"empty": "", "comment": "# nothing\n", "null": "---\n~\n"} {
		s, err := ParseSettings("slipway.yaml", []byte(src))
		if err != nil || s.ZonesDirectory != "zones" || s.Approvals["yellow"].Count != 1 || len(s.Approvals["red"].AllOf) != 3 || s.Domain != "" {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	s, err := ParseSettings("slipway.yaml", []byte("domain: finmicro.example\nzones:\n  a.finmicro.example: {}\n  other.example: {}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Zones["a.finmicro.example"]; !reflect.DeepEqual(got, Zone{Visibility: "external", Owner: "finmicro.example"}) {
		t.Errorf("a zone below the domain: %+v", got)
	}
	if got := s.Zones["other.example"]; !reflect.DeepEqual(got, Zone{Visibility: "external"}) {
		t.Errorf("a zone of an unknown owner: %+v", got)
	}
}

func TestSettingsQuestions(t *testing.T) {
	s, err := ParseSettings("slipway.yaml", []byte(designSettings+"third-parties: [agency.finmicro.example]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[zone.Name]zone.Name{
		"x.apps.finmicro.example": "apps.finmicro.example",
		"apps.finmicro.example":   "apps.finmicro.example",
		"xapps.finmicro.example":  "finmicro.example",
		"finmicro.example":        "finmicro.example",
		"example":                 "",
		"notfinmicro.example":     "",
		".":                       "",
	} {
		if got, ok := s.ZoneOf(name); got != want || ok != (want != "") {
			t.Errorf("ZoneOf(%s) = %s, %v; want %s", name, got, ok, want)
		}
	}
	for email, want := range map[string]bool{
		"ana@finmicro.example": false, "ana@it.finmicro.example": false, "ANA@FINMICRO.EXAMPLE": false,
		"bob@agency.finmicro.example": true, "eve@evil.example": true, "eve@finmicro.example@evil.example": true,
		"eve@notfinmicro.example": true, "nobody": true, "": false,
	} {
		if got := s.ThirdParty(email); got != want {
			t.Errorf("ThirdParty(%q) = %v", email, got)
		}
	}
	if got := s.GroupsOf("IVY@finmicro.example"); !slices.Equal(got, []string{"infosec"}) {
		t.Errorf("GroupsOf: %v", got)
	}
	if got := (&Settings{}).ThirdParty("eve@evil.example"); got {
		t.Error("a third party of nobody")
	}
}

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"7d": 168 * time.Hour, "36h": 36 * time.Hour, "1d12h": 36 * time.Hour, "5m": 5 * time.Minute,
		"d": -1, "": -1, "7": -1, "1d-2h": -1, "999999d": -1,
	} {
		got, err := parseDuration(s)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
}

func TestSettingsOfOctodnsRepositories(t *testing.T) {
	zoneFile := "---\nwww:\n  type: A\n  value: 192.0.2.1\n"
	tests := []struct {
		name, archive, directory string
		zones                    []zone.Name
	}{
		{"zones at the root", "-- example.org.yaml --\n" + zoneFile + "-- docker-compose.yaml --\nx: 1\n", ".", []zone.Name{"example.org"}},
		{"in config", "-- config/example.org.yaml --\n" + zoneFile + "-- config/production.yaml --\nx: 1\n", "config", []zone.Name{"example.org"}},
		{"Unicode and dots", "-- zones/bücher.example.yaml --\n" + zoneFile + "-- zones/a.example..yaml --\n" + zoneFile, "zones", []zone.Name{"a.example", "xn--bcher-kva.example"}},
		{"an unlisted zone", "-- slipway.yaml --\nzones:\n  directory: dns\n  localhost: {}\n-- dns/localhost.yaml --\n" + zoneFile + "-- dns/b.example.yaml --\n" + zoneFile, "dns", []zone.Name{"b.example", "localhost"}},
		{"no zones at all", "-- README.md --\nx\n", "zones", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := tree(t, newRepo(t, files(tt.archive)), "main")
			s, err := tr.Settings(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if s.ZonesDirectory != tt.directory || !slices.Equal(slices.Sorted(maps.Keys(s.Zones)), tt.zones) {
				t.Errorf("directory %q, zones %v", s.ZonesDirectory, s.Zones)
			}
			names, err := tr.ZoneNames(t.Context())
			if err != nil || !slices.Equal(names, tt.zones) {
				t.Errorf("zones with files: %v, %v", names, err)
			}
			for _, name := range tt.zones {
				if sets, err := tr.Served(t.Context(), name); err != nil || len(sets) != 1 {
					t.Errorf("served %s: %v, %v", name, sets, err)
				}
				if s.Zones[name].Visibility != "external" || s.Zones[name].Owner != "" {
					t.Errorf("zone %s: %+v", name, s.Zones[name])
				}
			}
		})
	}
	t.Run("two files of one zone", func(t *testing.T) {
		tr := tree(t, newRepo(t, files("-- zones/a.example..yaml --\n"+zoneFile+"-- zones/A.example.yaml --\n"+zoneFile)), "main")
		if _, err := tr.Settings(t.Context()); err == nil || !strings.Contains(err.Error(), "zone a.example has a second file") {
			t.Errorf("got %v", err)
		}
	})
}

// A credential does not belong into Git, and the message that says so does not repeat it.
func TestProviderSecrets(t *testing.T) {
	for setting, good := range map[string]bool{
		"api-key: env:POWERDNS_API_KEY":          true,
		"key-secret: file:/run/secrets/tsig":     true,
		"key-name: slipway.example":              true,
		"api-key: hunter2-hunter2":               false,
		"key-secret: aHVudGVyMi1odW50ZXIyCg==":   false,
		"token: 'hunter2:hunter2'":               false,
		"secret_key: env:SLIPWAY_KEY_PASSPHRASE": false,
	} {
		src := "providers:\n  dns:\n    type: powerdns\n    " + setting + "\n"
		_, err := ParseSettings("slipway.yaml", []byte(src))
		if (err == nil) != good {
			t.Errorf("%s: %v", setting, err)
		}
		if err != nil && (!strings.HasPrefix(err.Error(), "slipway.yaml:4: ") || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "aHVudG")) {
			t.Errorf("%s: %v", setting, err)
		}
	}
}

func TestRecordSettings(t *testing.T) {
	s, err := ParseSettings("slipway.yaml", []byte(`
providers: {a: {type: zonefile}, b: {type: powerdns}}
apply: {max-deletes: 20%, from: 5}
zones:
  x.example: {provider: [a, b], partial: true, apply: {max-deletes: 50%}, auto-revert: {most: 3}}
record:
  witnesses: {legal: {type: witness, url: "https://w.x.example"}, audit: {type: witness}}
  quorum: 1
  mirrors: {vault: {type: s3, secret-key: env:VAULT_KEY}}
`))
	if err != nil {
		t.Fatal(err)
	}
	z := s.Zones["x.example"]
	if z.Provider != "a" || !reflect.DeepEqual(z.Providers, []string{"a", "b"}) || !z.Partial || z.AutoRevert != (AutoRevert{Most: 3, ADay: 1}) {
		t.Errorf("zone: %+v", z)
	}
	if got := s.Limits("x.example"); got != (ApplyLimits{Deletes: 50, Updates: 30, From: 5}) {
		t.Errorf("limits of the zone: %+v", got)
	}
	if got := s.Limits("y.example"); got != (ApplyLimits{Deletes: 20, Updates: 30, From: 5}) {
		t.Errorf("limits of another zone: %+v", got)
	}
	if r := s.Record; r.Quorum != 1 || len(r.Witnesses) != 2 || r.Witnesses["legal"].Params["url"] == "" || r.Mirrors["vault"].Type != "s3" {
		t.Errorf("record: %+v", r)
	}
}

func FuzzParseSettings(f *testing.F) {
	f.Add([]byte(designSettings))
	if src, err := fs.ReadFile(kit(f), SettingsPath); err == nil {
		f.Add(src)
	}
	f.Add([]byte("zones: {a: &x {visibility: internal}, b: *x}"))
	f.Add([]byte("ttl: {min: 1e9}\ndrift: {interval: 99999d}"))
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := ParseSettings("slipway.yaml", src)
		var ze *zone.Error
		if err != nil {
			if !errors.As(err, &ze) || ze.Place.Line < 1 {
				t.Errorf("an error without a place: %v", err)
			}
			return
		}
		s.ZoneOf("a.b.example")
		for name, r := range s.Approvals {
			if len(r.AnyOf)+len(r.AllOf) == 0 || len(r.AnyOf) > 0 && r.Count < 1 || r.Expires <= 0 {
				t.Errorf("rule %s lets nobody approve: %+v", name, r)
			}
		}
	})
}
