package rfc2136_test

import (
	"testing"

	"slipway/provider"
	"slipway/provider/providertest"
	"slipway/provider/providertest/servers"
	"slipway/provider/rfc2136"
	"slipway/zone"
)

const z = zone.Name("apps.finmicro.example")

// server is one of those that the provider speaks to.
type server interface {
	Reset(z zone.Name) bool
}

func settings(s servers.Server, journal string) rfc2136.Settings {
	return rfc2136.Settings{
		Name: "test", Server: s.Address, Journal: journal,
		KeyName: s.TSIG.Name, KeyAlgorithm: s.TSIG.Algorithm, KeySecret: s.TSIG.Secret,
	}
}

func open(t testing.TB, s rfc2136.Settings) *rfc2136.Provider {
	t.Helper()
	p, err := rfc2136.New(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func suite(at servers.Server, s server) providertest.Suite {
	return providertest.Suite{
		Backend: func(t *testing.T) func() provider.Provider {
			dir := t.TempDir()
			return func() provider.Provider { return open(t, settings(at, dir)) }
		},
		Prepare: func(_ *testing.T, z zone.Name) bool { return s.Reset(z) },
	}
}

func TestBIND(t *testing.T) {
	s := servers.StartBIND(t)
	suite(s.Server, s).Run(t)
}

func TestKnot(t *testing.T) {
	s := servers.StartKnot(t, "other.example")
	suite(s.Server, s).Run(t)
}
