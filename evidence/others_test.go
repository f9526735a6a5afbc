package evidence_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/transparency-dev/tessera/client"

	"slipway/audit"
	"slipway/audit/timestamp"
	"slipway/audit/timestamp/tsatest"
	"slipway/audit/witness"
	"slipway/evidence"
	"slipway/evidence/evidencetest"
)

// watch starts a witness of a world's log.
func watch(t *testing.T, w *evidencetest.World, name string) *witness.Policy {
	t.Helper()
	dir := t.TempDir()
	vkey, err := witness.Init(t.Context(), dir, name+".example/w1", []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := witness.NewServer(t.Context(), witness.ServerOptions{Dir: dir, Passphrase: []byte("p"), Logs: []string{w.PublicKeys.Log}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Handler())
	t.Cleanup(func() { web.Close(); s.Close() })
	p, err := witness.NewPolicy(1, witness.Witness{Name: name, Key: vkey, URL: web.URL})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// cosign takes what a closed log has published to its witnesses.
func cosign(t *testing.T, w *evidencetest.World, p *witness.Policy) {
	t.Helper()
	dir := filepath.Join(w.Dir, "audit")
	files := client.FileFetcher{Root: filepath.Join(dir, "log")}
	k, err := witness.NewKeeper(witness.KeeperOptions{Log: w.PublicKeys.Log, Policy: p, Dir: audit.CosignedDir(dir), Checkpoint: files.ReadCheckpoint, Tile: files.ReadTile,
		Report: func(_ context.Context, name string, problem error) {
			if problem != nil {
				t.Errorf("witness %s: %v", name, problem)
			}
		}})
	if err == nil {
		err = k.Round(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// stamp has the log's checkpoint timestamped, on record.
func stamp(t *testing.T, w *evidencetest.World) *timestamp.Authority {
	t.Helper()
	tsa := tsatest.New(t, tsatest.Settings{})
	roots, err := timestamp.ReadRoots(tsa.Root)
	if err != nil {
		t.Fatal(err)
	}
	a := &timestamp.Authority{URL: tsa.URL, Roots: roots}
	snapshot, err := w.Log.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token, at, signer, err := a.Stamp(t.Context(), snapshot.Checkpoint())
	if err != nil {
		t.Fatal(err)
	}
	tree := snapshot.Tree()
	w.Append(audit.Event{Actor: evidencetest.System, Action: audit.TimestampCheckpoint, Resource: audit.Resource{Name: "timestamps/office"},
		ArtifactRefs: map[string]string{"timestamp": w.Put(token), "checkpoint": w.Put(snapshot.Checkpoint())}},
		audit.TimestampDetails{Size: tree.Size, Root: tree.Root, Time: at, Signer: signer.Subject.String()})
	return a
}

// TestOthers holds bundles to what witnesses and a timestamp authority have signed of the log.
func TestOthers(t *testing.T) {
	t.Parallel()
	w, _ := evidencetest.Sample(t)
	w.Close()
	policy := watch(t, w, "legal")
	cosign(t, w, policy)
	w.ReopenWith("events-2")
	a := stamp(t, w)
	w.Noise(2)
	src := source(t, w)
	stranger := watch(t, w, "stranger")
	bundle, _ := export(t, src, evidence.Options{Subject: evidence.Subject{App: evidencetest.App}})
	other, err := timestamp.ReadRoots(tsatest.New(t, tsatest.Settings{}).Root)
	if err != nil {
		t.Fatal(err)
	}
	said := func(list []evidence.Statement, check evidence.Check, text string) bool {
		return slices.ContainsFunc(list, func(s evidence.Statement) bool { return s.Check == check && strings.Contains(s.Text, text) })
	}

	r := verify(t, bundle, evidence.VerifyOptions{Trust: trust(src.Keys), Witnesses: policy, TimestampRoots: a.Roots})
	if !r.OK() || !said(r.Proven, evidence.CheckWitness, "legal signed that the log had these first") || !said(r.Proven, evidence.CheckTimestamp, "events were there on") {
		t.Errorf("%+v", r)
	}
	if !said(r.NotProven, evidence.CheckWitness, "had not signed so far yet") {
		t.Errorf("the timestamp's event came after the witness: %+v", r.NotProven)
	}
	r = verify(t, bundle, evidence.VerifyOptions{Trust: trust(src.Keys)})
	if !r.OK() || !said(r.NotProven, evidence.CheckWitness, "you named none to trust") || !said(r.NotProven, evidence.CheckTimestamp, "you named none to trust") {
		t.Errorf("trusting neither: %+v", r)
	}
	r = verify(t, bundle, evidence.VerifyOptions{Trust: trust(src.Keys), Witnesses: stranger, TimestampRoots: other})
	if len(r.Problems) != 2 || r.Problems[0].Check != evidence.CheckWitness || r.Problems[1].Check != evidence.CheckTimestamp {
		t.Errorf("trusting others: %+v", r.Problems)
	}

	// Another log's witnessed state, a history that does not lead to the bundle's, and none at all.
	foreign, _ := evidencetest.Sample(t)
	foreign.Close()
	cosign(t, foreign, watch(t, foreign, "legal"))
	theirs, err := os.ReadFile(filepath.Join(audit.CosignedDir(filepath.Join(foreign.Dir, "audit")), witness.File))
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(files map[string][]byte){
		"another log's":    func(files map[string][]byte) { files["cosigned"] = theirs },
		"another history":  func(files map[string][]byte) { files["consistency.jsonl"] = files["consistency.jsonl"][:1] },
		"no history":       func(files map[string][]byte) { delete(files, "consistency.jsonl") },
		"no cosignatures":  func(files map[string][]byte) { delete(files, "cosigned") },
		"cosignatures off": func(files map[string][]byte) { files["cosigned"] = files["checkpoint"] },
	} {
		forged := rewrite(t, bundle, edit)
		r := verify(t, forged, evidence.VerifyOptions{Trust: trust(src.Keys), Witnesses: policy, TimestampRoots: a.Roots})
		if r.OK() || !slices.ContainsFunc(r.Problems, func(p evidence.Problem) bool { return p.Check == evidence.CheckWitness }) {
			t.Errorf("%s: %+v", name, r.Problems)
		}
	}
}
