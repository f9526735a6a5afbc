package route53_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/provider"
	"slipway/zone"
)

// realZones are zones that octoDNS keeps at Route 53, aliases and all.
const realZones = "../../../shared/data/octodns-zones"

// Real zones come back from Route 53 as they were written.
func TestRealZones(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(realZones, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("the real zones are not at %s", realZones)
	}
	f := newFront(t)
	p := open(t, settings(t, f))
	zones, sets, aliases := 0, 0, 0
	for _, file := range files {
		if zones == 10 {
			break
		}
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := zone.Name(strings.TrimSuffix(filepath.Base(file), ".yaml"))
		parsed, err := zone.ParseYAML(name, file, src)
		if err != nil {
			t.Fatal(err)
		}
		desired, err := parsed.RRSets()
		if err != nil || !strings.Contains(string(src), "Route53Provider/ALIAS") {
			continue
		}
		live, err := p.Read(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		plan := provider.NewPlan(name, desired, live, "import", "commit")
		if err := plan.Validate(); err != nil {
			continue // a fault of the zone, which octoDNS lets through
		}
		if _, err := p.Apply(t.Context(), plan); err != nil {
			if strings.Contains(err.Error(), "write out evaluate-target-health") {
				continue // and said so
			}
			t.Errorf("%s: %v", name, err)
			continue
		}
		if live, err = p.Read(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		for _, e := range provider.NewPlan(name, desired, live, "again", "commit").Edits {
			t.Errorf("%s: %s %s %s: %+v is not %+v", name, e.Op, e.Type, e.Name, e.Before, e.After)
		}
		zones, sets = zones+1, sets+len(desired)
		for _, set := range desired {
			if set.Type == "Route53Provider/ALIAS" {
				aliases++
			}
		}
	}
	t.Logf("%d zones, %d record sets, %d aliases", zones, sets, aliases)
	if zones < 10 || aliases < 10 { // all that was asked for
		t.Errorf("only %d zones with %d aliases were tried", zones, aliases)
	}
}
