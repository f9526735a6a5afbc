//go:build integration

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"slipway/lifecycle"
)

// BenchmarkRequestToLive is the time from a green app's request to its name
// answering, over the API of a real server on embedded defaults.
func BenchmarkRequestToLive(b *testing.B) {
	w := newWorld(b)
	const cora = "cora@finmicro.example"
	token := w.token(cora)
	var took, checked []time.Duration
	for i := 0; b.Loop(); i++ {
		name := fmt.Sprintf("bench-%d", i)
		began := time.Now()
		var made answer
		w.api(token, "POST", "/api/v1/changes", map[string]any{"app": map[string]any{
			"name": name, "owner": cora, "team": "testing", "purpose": "Measures", "exposure": "internal", "data": []string{"none"},
			"expires": time.Now().AddDate(0, 6, 0).Format(time.DateOnly), "hostname": name + ".apps.finmicro.example",
			"records": []map[string]any{{"name": name + ".apps.finmicro.example", "type": "A", "ttl": 300, "values": []string{"192.0.2.9"}}},
		}}, &made)
		checked = append(checked, time.Since(began))
		var a answer
		w.api(token, "GET", "/api/v1/changes/"+made.Change.ID+"/wait?phase=live&timeout=30s", nil, &a)
		if a.Change.Phase != lifecycle.Live {
			b.Fatalf("%s: %s", a.Change.Phase, a.Change.Problem)
		}
		took = append(took, time.Since(began))
	}
	b.ReportMetric(median(took).Seconds(), "p50-s")
	b.ReportMetric(median(checked).Seconds(), "p50-s-to-verdict")
	b.ReportMetric(slices.Max(took).Seconds(), "max-s")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// BenchmarkServerStart is the time from exec to "up" on existing data.
func BenchmarkServerStart(b *testing.B) {
	w := newWorld(b)
	for b.Loop() {
		w.stop()
		w.start()
	}
}
