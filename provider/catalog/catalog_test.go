package catalog_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/provider"
	"slipway/provider/catalog"
	"slipway/provider/providertest/servers"
	"slipway/provider/zonefile"
	"slipway/repo"
	"slipway/zone"
)

const z = zone.Name("apps.finmicro.example")

func TestOpen(t *testing.T) {
	t.Setenv("TEST_KEY", "MDEyMzQ1Njc4OWFiY2RlZg==")
	files, err := zonefile.New(zonefile.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	c := catalog.New(catalog.Options{Files: files, Dir: t.TempDir()})
	for _, tt := range []struct {
		name, typ, params string
		want              string // in the error
	}{
		{"local", "zonefile", "", ""},
		{"bind", "rfc2136", "server=192.0.2.1 key-name=slipway key-secret=env:TEST_KEY", ""},
		{"bind", "rfc2136", "server=192.0.2.1:5353 key-name=slipway key-algorithm=hmac-sha512 key-secret=env:TEST_KEY default-ttl=60", ""},
		{"pdns", "powerdns", "url=https://dns.example:8081 api-key=env:TEST_KEY dns=192.0.2.1 kind=primary name-servers=ns1.example,ns2.example", ""},
		{"pdns", "powerdns", "url=http://dns.example:8081 api-key=env:TEST_KEY dns=192.0.2.1 plain-http=allowed", ""},
		{"x", "nosuch", "", "none of:"},
		{"x", "", "", "none of:"},
		{"local", "zonefile", "directory=/etc", "no such setting"},
		{"bind", "rfc2136", "key-name=slipway key-secret=env:TEST_KEY", "server: it must be set"},
		{"bind", "rfc2136", "server=192.0.2.1 key-secret=env:TEST_KEY", "key-name"},
		{"bind", "rfc2136", "server=192.0.2.1 key-name=slipway", "where the credential is kept"},
		{"bind", "rfc2136", "server=192.0.2.1 key-name=slipway key-secret=MDEyMzQ1Njc4OWFiY2RlZg==", "where the secret is kept"},
		{"bind", "rfc2136", "server=192.0.2.1 key-name=slipway key-secret=env:TEST_ABSENT", "no such variable"},
		{"bind", "rfc2136", "server=192.0.2.1 key-name=slipway key-secret=env:TEST_KEY key-algorithm=hmac-md5", "hmac-sha256"},
		{"bind", "rfc2136", "server=192.0.2.1 key-name=slipway key-secret=env:TEST_KEY default-ttl=-1", "default-ttl"},
		{"bind", "rfc2136", "server=192.0.2.1 key-name=slipway key-secret=env:TEST_KEY sever=x", "sever: there is no such setting"},
		{"pdns", "powerdns", "url=http://dns.example:8081 api-key=env:TEST_KEY dns=192.0.2.1", "plain-http"},
		{"pdns", "powerdns", "url=https://dns.example api-key=env:TEST_KEY", "dns: it must be set"},
		{"pdns", "powerdns", "url=https://dns.example api-key=env:TEST_KEY dns=192.0.2.1 kind=slave", "native or primary"},
	} {
		params := map[string]string{}
		for _, p := range strings.Fields(tt.params) {
			k, v, _ := strings.Cut(p, "=")
			params[k] = v
		}
		p, err := c.Open(t.Context(), tt.name, tt.typ, params)
		if tt.want == "" && (err != nil || p == nil) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s %s: %v, want %q", tt.typ, tt.params, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "MDEy") {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
	if !slices.Contains(catalog.Types(), "zonefile") {
		t.Errorf("types: %v", catalog.Types())
	}
}

// A provider is kept, and opened anew when its settings or its secret change.
func TestKept(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	file := filepath.Join(t.TempDir(), "key")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("MDEyMzQ1Njc4OWFiY2RlZg==")
	c := catalog.New(catalog.Options{Now: func() time.Time { return now }})
	params := map[string]string{"server": "192.0.2.1", "key-name": "slipway", "key-secret": "file:" + file}
	open := func() provider.Provider {
		t.Helper()
		p, err := c.Open(t.Context(), "bind", "rfc2136", params)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := open()
	if open() != first {
		t.Error("opened twice")
	}
	write("ZmVkY2JhOTg3NjU0MzIxMA==")
	if open() != first {
		t.Error("the secret was fetched again at once")
	}
	now = now.Add(2 * time.Minute)
	second := open()
	if second == first {
		t.Error("the old secret is still used")
	}
	now = now.Add(2 * time.Minute)
	if open() != second {
		t.Error("opened anew with the same secret")
	}
	params = map[string]string{"server": "192.0.2.2", "key-name": "slipway", "key-secret": "file:" + file}
	if open() == second {
		t.Error("the old settings are still used")
	}
}

// From the words of slipway.yaml to a changed zone on a real server.
func TestServers(t *testing.T) {
	bind, pdns := servers.StartBIND(t, z), servers.StartPowerDNS(t)
	t.Setenv("TEST_TSIG", bind.TSIG.Secret.Reveal())
	t.Setenv("TEST_API_KEY", pdns.APIKey.Reveal())
	c := catalog.New(catalog.Options{Dir: t.TempDir()})
	for _, tt := range []struct {
		name, typ, address string
		params             map[string]string
	}{
		{"bind", "rfc2136", bind.Address, map[string]string{"server": bind.Address, "key-name": string(bind.TSIG.Name), "key-secret": "env:TEST_TSIG"}},
		{"pdns", "powerdns", pdns.Address, map[string]string{"url": pdns.URL, "api-key": "env:TEST_API_KEY", "dns": pdns.Address}},
	} {
		p, err := c.Open(t.Context(), tt.name, tt.typ, tt.params)
		if err != nil {
			t.Fatal(err)
		}
		live, err := p.Read(t.Context(), z)
		if err != nil {
			t.Fatal(err)
		}
		desired := []zone.RRSet{{Name: "expenses." + z, Type: "A", TTL: 300, Values: []string{"192.0.2.10"}}}
		r, err := p.Apply(t.Context(), provider.NewPlan(z, desired, live, "change", "commit"))
		if err != nil || !r.Applied || r.Provider != tt.name {
			t.Errorf("%s: %+v, %v", tt.name, r, err)
		}
		if at, err := catalog.Servers(t.Context(), p, z); err != nil || !slices.Equal(at, []string{tt.address}) {
			t.Errorf("%s: servers %v, %v", tt.name, at, err)
		}
	}
}

// A zone of two providers is opened as one of both, and killed between them it goes on.
func TestOpenZone(t *testing.T) {
	files, err := zonefile.New(zonefile.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	bind := servers.StartBIND(t, z)
	t.Setenv("TEST_KEY", bind.TSIG.Secret.Reveal())
	s := &repo.Settings{
		Zones: map[zone.Name]repo.Zone{
			z:                  {Provider: "local", Providers: []string{"local", "bind"}},
			"alone.example":    {Provider: "local", Providers: []string{"local"}},
			"nobodys.example":  {},
			"unknown.example":  {Provider: "gone", Providers: []string{"gone"}},
			"unknown2.example": {Provider: "local", Providers: []string{"local", "gone"}},
		},
		Providers: map[string]repo.Provider{
			"local": {Type: "zonefile"},
			"bind": {Type: "rfc2136", Params: map[string]string{
				"server": bind.Address, "key-name": string(bind.TSIG.Name), "key-algorithm": bind.TSIG.Algorithm, "key-secret": "env:TEST_KEY",
			}},
		},
	}
	c := catalog.New(catalog.Options{Files: files, Dir: t.TempDir()})
	if p, err := c.OpenZone(t.Context(), s, "alone.example"); err != nil || p != provider.Provider(files) {
		t.Errorf("%v, %v", p, err)
	}
	for _, z := range []zone.Name{"nobodys.example", "unknown.example", "unknown2.example", "other.example"} {
		if p, err := c.OpenZone(t.Context(), s, z); err == nil {
			t.Errorf("%s: %v", z, p)
		}
	}
	open := func() provider.Provider {
		t.Helper()
		p, err := c.OpenZone(t.Context(), s, z)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	live, err := open().Read(t.Context(), z)
	if err != nil || !live.Empty() {
		t.Fatalf("%+v, %v", live, err)
	}
	want := []zone.RRSet{{Name: "www." + z, Type: "A", TTL: 300, Values: []string{"192.0.2.1"}}}
	plan := provider.NewPlan(z, want, live, "change", "commit")
	r, err := open().Apply(t.Context(), plan)
	if err != nil || len(r.Parts) != 2 || r.Parts[1].Provider != "bind" {
		t.Fatalf("%+v, %v", r, err)
	}
	if again, err := open().Apply(t.Context(), plan); err != nil || !again.At.Equal(r.At) {
		t.Errorf("%+v, %v", again, err)
	}
}
