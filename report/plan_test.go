package report

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"slipway/provider"
	"slipway/provider/planfile"
	"slipway/zone"
)

func livePlan(t *testing.T, n int) *planfile.File {
	t.Helper()
	sets := make([]zone.RRSet, n)
	for i := range sets {
		sets[i] = zone.RRSet{Name: zone.Name(fmt.Sprintf("h%d.finmicro.example", i)), Type: "A", TTL: 3600, Values: []string{"192.0.2.1"}}
	}
	live := &provider.Live{Zone: "finmicro.example", Exists: true, Sets: sets}
	p := planfile.Of(provider.NewPlan("finmicro.example", sets[:n/2], live, "", ""), "main", "rfc2136", live, provider.Limits{Deletes: 30, Updates: 30, From: 10})
	f, err := planfile.New("", "", nil, []planfile.Plan{p}, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestPlan(t *testing.T) {
	for _, tt := range []struct {
		name   string
		f      *planfile.File
		failed []string
		want   []string
	}{
		{"edits", livePlan(t, 12), nil, []string{"## Slipway: plan\n", "### `finmicro.example` at `main`", "0 to create, 0 to change, 6 to delete", "⚠️ In zone finmicro.example it would delete 6 of its 12",
			"ℹ️ Old answers may", "\n- h11.finmicro.example 3600 A 192.0.2.1\n"}},
		{"too many edits", livePlan(t, 5000), nil, []string{"record sets more: run `slipway plan`", "<details>"}},
		{"nothing to do", livePlan(t, 0), nil, []string{"Nothing is to be done"}},
		{"failures", livePlan(t, 0), make([]string, 30), []string{"What there is no plan for", "… and 10 more"}},
	} {
		var b bytes.Buffer
		if err := Plan(&b, tt.f, tt.failed); err != nil {
			t.Fatal(err)
		}
		for _, want := range append(tt.want, tt.f.Digest) {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: it lacks %q:\n%.3000s", tt.name, want, b.String())
			}
		}
		if b.Len() > 60_000 {
			t.Errorf("%s: %d bytes, more than a comment holds", tt.name, b.Len())
		}
	}
}
