package partial

import (
	"strings"

	"slipway/provider"
	"slipway/zone"
)

// Scope draws the line through one zone. Slipway's is what is claimed or about to be
// (desired), unless external-dns has marked it as its own; everything else is of others.
// What external-dns has marked and is not there now is of others all the same, so that
// nothing is put in its place.
func Scope(claims Claims, desired []zone.RRSet) provider.Scope {
	asked := KeysOf(desired)
	return func(sets []zone.RRSet) (ours []zone.RRSet, others []provider.Unmanaged) {
		registry := readRegistry(sets, claims.Approved, claims.Applied, asked)
		ours = make([]zone.RRSet, 0, min(len(sets), len(claims.Approved)+len(claims.Applied)+len(asked)))
		live := make(Keys, len(registry.owned))
		for i := range sets {
			key := sets[i].Key()
			why := registry.why(key)
			if why != "" {
				live[key] = struct{}{}
			} else if !claims.Approved.has(key) && !claims.Applied.has(key) && !asked.has(key) {
				why = stranger(key)
			}
			if why == "" {
				ours = append(ours, sets[i])
				continue
			}
			others = append(others, provider.Unmanaged{Name: key.Name, Type: key.Type, Why: why})
		}
		for key := range registry.owned {
			if !live.has(key) {
				others = append(others, provider.Unmanaged{Name: key.Name, Type: key.Type, Why: registry.why(key)})
			}
		}
		return ours, others
	}
}

// stranger says in words why a set that nobody claims is left alone.
func stranger(k zone.Key) string {
	if first, _, _ := strings.Cut(string(k.Name), "."); first == "_acme-challenge" {
		return "it proves a name to a certificate authority, for whoever asked for the certificate"
	}
	return "the zone is shared, and this record was never asked for in Slipway"
}
