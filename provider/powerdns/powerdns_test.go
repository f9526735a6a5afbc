package powerdns_test

import (
	"regexp"
	"testing"

	"slipway/provider"
	"slipway/provider/powerdns"
	"slipway/provider/providertest"
	"slipway/provider/providertest/servers"
	"slipway/zone"
)

const z = zone.Name("apps.finmicro.example")

func open(t testing.TB, s powerdns.Settings) *powerdns.Provider {
	t.Helper()
	p, err := powerdns.New(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func settings(s *servers.PowerDNS, journal string) powerdns.Settings {
	return powerdns.Settings{Name: "test", URL: s.URL, APIKey: s.APIKey, DNS: s.Address, Journal: journal}
}

// taken are the names that the API of PowerDNS takes.
var taken = regexp.MustCompile(`^[a-z0-9_/.*-]+$`)

func TestPowerDNS(t *testing.T) {
	s := servers.StartPowerDNS(t)
	providertest.Suite{
		Backend: func(t *testing.T) func() provider.Provider {
			dir := t.TempDir()
			return func() provider.Provider { return open(t, settings(s, dir)) }
		},
		// It makes zones itself; those of the test before go.
		Prepare: func(_ *testing.T, z zone.Name) bool { s.Remove(z); return true },
		Holds:   func(n zone.Name) bool { return taken.MatchString(string(n)) },
	}.Run(t)
}

func TestZones(t *testing.T) {
	s := servers.StartPowerDNS(t)
	p := open(t, settings(s, t.TempDir()))
	for _, z := range []zone.Name{"b.example", "a.example"} {
		live, err := p.Read(t.Context(), z)
		if err == nil {
			_, err = p.Apply(t.Context(), provider.NewPlan(z, nil, live, "first", "commit"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if names, err := p.Zones(t.Context()); err != nil || len(names) != 2 || names[0] != "a.example" {
		t.Errorf("%v, %v", names, err)
	}
}
