package lint

import (
	"strings"
	"testing"

	"slipway/check/finding"
)

// Severities and waivers of the settings in force, and of no others.
func TestSettingsWeighFindings(t *testing.T) {
	const (
		settings = "slipway.yaml --\ndomain: finmicro.example\nrestricted-types: {}\nzones:\n  finmicro.example: {visibility: external}\n  other.example: {visibility: external, owner: finmicro.example}\n"
		shop     = "-- zones/finmicro.example.yaml --\n'*.shop': {type: A, ttl: 300, value: 9.9.9.10}\n"
		other    = "-- zones/other.example.yaml --\n'*.shop': {type: A, ttl: 300, value: 9.9.9.10}\n"
		waiver   = "waivers:\n  - {rule: wildcard, record: '*.shop.finmicro.example A', reason: The shop names its branches., by: ivy@finmicro.example, expires: "
	)
	w := world(t)
	for _, c := range []struct{ name, settings, change, want string }{
		{"as the rule has it", "", shop, "warn wildcard"},
		{"raised everywhere", "rules: {wildcard: {severity: deny}}\n", shop + other, "deny wildcard, deny wildcard"},
		{"lowered in one zone", "rules: {wildcard: {severity: info, zones: [other.example]}}\n", shop + other, "warn wildcard, info wildcard"},
		{"a zone before all zones", "rules: {wildcard: [{severity: info, zones: [other.example]}, {severity: deny}]}\n", shop + other, "deny wildcard, info wildcard"},
		{"waived", waiver + "2026-10-01}\n", shop + other, "warn wildcard, info waiver-used"},
		{"waived until yesterday", waiver + "2026-09-30}\n", shop, "warn wildcard, info waiver-expired"},
		{"waived for another record", strings.Replace(waiver, "example A", "example AAAA", 1) + "2026-10-01}\n", shop, "warn wildcard"},
		{"waived by another rule", strings.Replace(waiver, "rule: wildcard", "rule: no-ttl", 1) + "2026-10-01}\n", shop, "warn wildcard"},
		{"an unknown rule in force", "rules: {wildcrad: {severity: deny}}\n", shop, "warn wildcard, info rule-unknown"},
		{"a waiver that the change itself brings", "", shop + "-- " + settings + waiver + "2026-10-01}\n", "warn wildcard"},
		{"an ended waiver that the change removes", waiver + "2026-09-30}\n", "-- " + settings, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, f := range notOfApex(judge(t, w, omar, "-- in-force/"+settings+c.settings+c.change)) {
				got = append(got, string(f.Severity)+" "+f.Rule)
				if f.Rule == waiverUsed && (!strings.Contains(f.Message, "ivy@finmicro.example waived wildcard here until 2026-10-01: The shop names its branches. What") || f.Severity != finding.Info) {
					t.Errorf("it says %q", f.Message)
				}
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
