package flow

import (
	"context"
	"testing"

	"slipway/lifecycle"
)

func TestEngineStartsAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 3 {
		e, err := embed(context.Background(), dir, "slipway", testLogger(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := e.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCluster drives a change by a Temporal that is not the service's own.
func TestCluster(t *testing.T) {
	t.Parallel()
	cluster, err := embed(context.Background(), t.TempDir(), "elsewhere", testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.stop()
	w := &world{t: t, dir: t.TempDir(), logger: testLogger(t), cluster: cluster}
	w.open()
	st := w.submit(green("remote", "192.0.2.80"))
	w.reaches(st.ID, lifecycle.Live)
	w.liveOnce(st.ID)
	w.stop()
}
