package mirror_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/transparency-dev/tessera/client"

	"slipway/audit"
	"slipway/audit/mirror"
	"slipway/audit/witness"
)

// What witnesses have signed is in the mirror too, so that their quorum can be asked for
// with nothing but the mirror.
func TestMirrorOfAWitnessedLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := t.TempDir()
	vkey, err := witness.Init(t.Context(), dir, "legal.example/w1", nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := witness.NewServer(t.Context(), witness.ServerOptions{Dir: dir, Logs: []string{w.keys.Log}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	web := httptest.NewServer(s.Handler())
	defer web.Close()
	policy, err := witness.NewPolicy(1, witness.Witness{Name: "legal", Key: vkey, URL: web.URL})
	if err != nil {
		t.Fatal(err)
	}
	files := client.FileFetcher{Root: filepath.Join(w.dir, "log")}
	k, err := witness.NewKeeper(witness.KeeperOptions{
		Log: w.keys.Log, Policy: policy, Dir: audit.CosignedDir(w.dir), Checkpoint: files.ReadCheckpoint, Tile: files.ReadTile,
		Report: func(_ context.Context, _ string, problem error) {
			if problem != nil {
				t.Error(problem)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.event(nil)
	w.close() // so that the checkpoint covers the event

	vault := t.TempDir()
	store, err := mirror.OpenDirectory(vault)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mirror.New(mirror.Options{Dir: w.dir, Keys: func() audit.Keys { return w.keys }, Store: store, Every: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	keys := w.keys
	keys.Witnesses = &audit.Witnesses{Policy: policy}
	verify := func() *mirror.Report {
		t.Helper()
		r, err := mirror.Verify(t.Context(), mirror.VerifyOptions{Store: store, Keys: keys, To: filepath.Join(t.TempDir(), "copy")})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	pass := func() {
		t.Helper()
		if _, err := m.Pass(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	pass() // before the witness has signed
	if r := verify(); len(r.Problems) != 1 || r.Problems[0].Check != audit.CheckWitnesses {
		t.Errorf("%+v", r.Problems)
	}
	if err := k.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		pass()
		r := verify()
		if len(r.Problems) != 0 {
			t.Errorf("%+v", r.Problems)
		}
		if r.Checkpoints != 2 {
			t.Errorf("%d checkpoints", r.Checkpoints)
		}
	}
}
