package zonefile_test

import (
	"bytes"
	"fmt"
	"testing"

	"slipway/provider"
	"slipway/provider/zonefile"
	"slipway/zone"
)

// BenchmarkPlanOneRecord plans a change of one record against zone files, from nothing: the
// approved zone is read from its YAML, the live one from its file. The zones are those
// that octoDNS and DNSControl were measured with.
func BenchmarkPlanOneRecord(b *testing.B) {
	for _, size := range []struct{ zones, sets int }{{1, 100_000}, {1000, 100}} {
		b.Run(fmt.Sprintf("zones=%d/sets=%d", size.zones, size.sets), func(b *testing.B) {
			dir := b.TempDir()
			names := make([]zone.Name, size.zones)
			yaml := make([][]byte, size.zones)
			writer := open(b, zonefile.Options{Dir: dir})
			for i := range names {
				names[i] = zone.Name(fmt.Sprintf("zone%d.example", i))
				sets := make([]zone.RRSet, size.sets)
				for j := range sets {
					sets[j] = zone.RRSet{Name: zone.Name(fmt.Sprintf("host-%06d.", j)) + names[i], Type: "A", TTL: 300, Values: []string{fmt.Sprintf("192.0.2.%d", j%256)}}
				}
				if _, err := writer.Apply(b.Context(), provider.NewPlan(names[i], sets, nil, "first", "commit")); err != nil {
					b.Fatal(err)
				}
				if i == 0 {
					sets[size.sets/2].Values = []string{"198.51.100.1"}
				}
				var buf bytes.Buffer
				if err := zone.WriteYAML(&buf, names[i], sets); err != nil {
					b.Fatal(err)
				}
				yaml[i] = buf.Bytes()
			}
			b.ReportAllocs()
			for b.Loop() {
				p, edits := open(b, zonefile.Options{Dir: dir}), 0
				for i, z := range names {
					f, err := zone.ParseYAML(z, string(z), yaml[i])
					if err != nil {
						b.Fatal(err)
					}
					desired, err := f.RRSets()
					if err != nil {
						b.Fatal(err)
					}
					live, err := p.Read(b.Context(), z)
					if err != nil {
						b.Fatal(err)
					}
					edits += len(provider.NewPlan(z, desired, live, "change", "commit").Edits)
				}
				if edits != 1 {
					b.Fatalf("%d edits", edits)
				}
			}
		})
	}
}
