package zonefile_test

import (
	"context"
	"testing"
	"time"

	"slipway/nameserver"
	"slipway/provider/providertest/servers"
	"slipway/provider/zonefile"
	"slipway/zone"
)

// Knot and NSD read the directory that this provider writes, and answer what was applied
// once they are told to read it again.
func TestServersReadTheDirectory(t *testing.T) {
	for name, start := range map[string]func(t *testing.T, dir string) (address string, reload func(zone.Name)){
		"Knot": func(t *testing.T, dir string) (string, func(zone.Name)) {
			s := servers.StartKnotOn(t, dir, z)
			return s.Address, s.Reload
		},
		"NSD": func(t *testing.T, dir string) (string, func(zone.Name)) {
			s := servers.StartNSDOn(t, dir, z)
			return s.Address, s.Reload
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p := open(t, zonefile.Options{Dir: dir})
			sets := func(generation int) []zone.RRSet {
				return append(another(20, generation),
					zone.RRSet{Name: "txt." + z, Type: "TXT", TTL: 300, Values: []string{`"say \"hi\" \\ there; \195\169"`}},
					zone.RRSet{Name: "*.wild." + z, Type: "AAAA", TTL: 60, Values: []string{"2001:db8::1"}},
					zone.RRSet{Name: "svc." + z, Type: "HTTPS", TTL: 60, Values: []string{`1 . alpn="h2,h3"`}},
					zone.RRSet{Name: z, Type: "ALIAS", TTL: 60, Values: []string{"app.example.net."}}, // a comment to others
				)
			}
			apply(t, p, "first", sets(1))
			address, reload := start(t, dir)
			for generation := 1; generation <= 3; generation++ {
				if generation > 1 {
					apply(t, p, "next", sets(generation))
					reload(z)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				skipped, err := nameserver.Verify(ctx, address, sets(generation), nil)
				cancel()
				if err != nil {
					t.Fatalf("generation %d: %v", generation, err)
				}
				if len(skipped) != 1 || skipped[0].Type != "ALIAS" {
					t.Errorf("generation %d: not asked for: %v", generation, skipped)
				}
			}
		})
	}
}
