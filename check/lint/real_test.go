package lint

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"slipway/change"
	"slipway/check/finding"
	"slipway/check/internal/scenario"
)

// realZones are the zones of a government department, as they were published.
const realZones = "../../../shared/data/octodns-zones"

// TestRealZones judges real zones as one change from nothing: no rule fails on
// any of them, and what stops a change there is known and was looked at by hand.
func TestRealZones(t *testing.T) {
	paths, err := filepath.Glob(realZones + "/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Skip("the real zones are not beside this checkout")
	}
	files := fstest.MapFS{"slipway.yaml": {Data: []byte("domain: gov.uk\nzones: {directory: zones}\nttl: {min: 60, max: 86400}\n")}}
	for _, p := range paths {
		src, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files["zones/"+filepath.Base(p)] = &fstest.MapFile{Data: src, Mode: 0o644}
	}
	w := scenario.FromFiles(t, files)
	c, err := change.Compute(t.Context(), w.Repo, nil, w.Base)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := w.Base.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found, err := Run(t.Context(), Input{Change: c, Head: w.Base, Settings: settings, Groups: []string{"platform-ops"}, AsOf: scenario.Now})
	if err != nil {
		t.Fatal(err)
	}
	counts, stops := map[string]int{}, map[string]int{}
	for _, f := range found {
		counts[f.Rule]++
		if f.Severity == finding.Deny {
			stops[f.Rule]++
		}
		if f.Path == "" || f.Line == 0 {
			t.Errorf("no place: %+v", f)
		}
	}
	for _, rule := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%5d %s", counts[rule], rule)
	}
	t.Logf("%d record sets", len(c.Edits))
	// A mistyped include, keys published as TXT that should be CNAME, "nv=DMARC1", PTR to an address, addresses of 10/8.
	want := map[string]int{
		"dkim-invalid": 4, "dmarc-invalid": 1, "private-address-in-external-zone": 13,
		"spf-invalid": 1, "target-is-address": 3, "ttl-out-of-bounds": 2,
	}
	if !maps.Equal(stops, want) {
		t.Errorf("what stops the change: %v, want %v", stops, want)
	}
}
