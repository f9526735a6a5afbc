package servers_test

import (
	"testing"

	"slipway/nameserver"
	"slipway/provider/providertest/servers"
	"slipway/zone"
)

func TestServersAnswer(t *testing.T) {
	const z = zone.Name("apps.finmicro.example")
	for name, start := range map[string]func(t *testing.T) string{
		"BIND":     func(t *testing.T) string { return servers.StartBIND(t, z).Address },
		"Knot":     func(t *testing.T) string { return servers.StartKnot(t, z).Address },
		"PowerDNS": func(t *testing.T) string { return servers.StartPowerDNS(t, z).Address },
	} {
		t.Run(name, func(t *testing.T) {
			got, err := nameserver.Resolve(t.Context(), start(t), z, "NS", 10e9)
			if err != nil || len(got) != 1 || got[0] != "ns.invalid." {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}
