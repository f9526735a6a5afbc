package audit

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/transparency-dev/tessera/client"

	"slipway/audit/witness"
	"slipway/key"
)

// watched is a log with a witness elsewhere, and whoever runs both honestly.
type watched struct {
	o      Options
	vkey   string
	policy *witness.Policy
	url    string
	told   error // of the last attempt at the witness
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	w := &watched{o: options(t)}
	l := openLog(t, w.o)
	w.vkey = l.PublicKeys().Log
	closeLog(t, l)
	dir := t.TempDir()
	vkey, err := witness.Init(t.Context(), dir, "legal.example/w1", []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := witness.NewServer(t.Context(), witness.ServerOptions{Dir: dir, Passphrase: []byte("p"), Logs: []string{w.vkey}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Handler())
	t.Cleanup(func() { web.Close(); s.Close() })
	w.url = web.URL
	w.policy, err = witness.NewPolicy(1, witness.Witness{Name: "legal", Key: vkey, URL: web.URL})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// run writes n events as a server would that starts, takes the checkpoint to the witness
// and stops.
func (w *watched) run(t *testing.T, o Options, n int) {
	t.Helper()
	l := openLog(t, o)
	fill(t, l, n)
	closeLog(t, l)
	if err := w.keeper(t, o).Round(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// keeper takes the checkpoints of a log to the witness, as its server does.
func (w *watched) keeper(t *testing.T, o Options) *witness.Keeper {
	t.Helper()
	w.told = fmt.Errorf("the witness was not asked")
	files := client.FileFetcher{Root: filepath.Join(o.Dir, logDir)}
	k, err := witness.NewKeeper(witness.KeeperOptions{
		Log: w.vkey, Policy: w.policy, Dir: CosignedDir(o.Dir), Checkpoint: files.ReadCheckpoint, Tile: files.ReadTile,
		Report: func(_ context.Context, _ string, problem error) { w.told = problem },
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (w *watched) keys(t *testing.T, o Options) Keys {
	t.Helper()
	keys, err := publicKeys(o)
	if err != nil {
		t.Fatal(err)
	}
	keys.Witnesses = &Witnesses{Policy: w.policy}
	return keys
}

// accused are the places that the check "witnesses" names; every other check must be content.
func accused(t *testing.T, r *Report) []string {
	t.Helper()
	var places []string
	for _, p := range r.Problems {
		if p.Check != CheckWitnesses {
			t.Errorf("%+v", p)
		}
		places = append(places, p.File+": "+p.What)
	}
	return places
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func TestWitnessedLogVerifies(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.run(t, w.o, 300)
	if w.told != nil {
		t.Fatal(w.told)
	}
	keys := w.keys(t, w.o)
	report := wantSound(t, w.o.Dir, keys)
	if s := report.Witnessed; s == nil || s.Size != 301 || s.Waiting != 0 || len(s.By) != 1 || s.By[0].Witness != "legal" || time.Since(s.By[0].Time) > time.Hour {
		t.Errorf("%+v", s)
	}

	// With another witness that is asked for and has not signed, it is named.
	other, err := witness.Init(t.Context(), t.TempDir(), "board.example/w1", nil)
	if err != nil {
		t.Fatal(err)
	}
	both, err := witness.NewPolicy(2, w.policy.Witnesses()[0], witness.Witness{Name: "board", Key: other})
	if err != nil {
		t.Fatal(err)
	}
	keys.Witnesses.Policy = both
	if found := accused(t, verify(t, w.o.Dir, keys)); len(found) != 1 || !strings.Contains(found[0], "missing: board") {
		t.Errorf("%q", found)
	}

	// Events that nobody has cosigned are named from the first one on, unless they are young.
	before := time.Now()
	l := openLog(t, w.o)
	fill(t, l, 3)
	closeLog(t, l)
	keys.Witnesses = &Witnesses{Policy: w.policy}
	report = verify(t, w.o.Dir, keys)
	if found := accused(t, report); len(found) != 1 || !strings.Contains(found[0], "The last 3 events") || *report.Problems[0].Index != 301 {
		t.Errorf("%q", found)
	}
	keys.Witnesses.Until = before.Add(-time.Second)
	if report = wantSound(t, w.o.Dir, keys); report.Witnessed.Waiting != 3 {
		t.Errorf("%+v", report.Witnessed)
	}
	keys.Witnesses.Until = time.Now().Add(time.Minute)
	if found := accused(t, verify(t, w.o.Dir, keys)); len(found) != 1 {
		t.Errorf("%q", found)
	}

	// Without what they signed there is nothing to believe.
	if err := os.RemoveAll(CosignedDir(w.o.Dir)); err != nil {
		t.Fatal(err)
	}
	if found := accused(t, verify(t, w.o.Dir, keys)); len(found) != 1 || !strings.Contains(found[0], "No witness has cosigned this log (missing: legal)") {
		t.Errorf("%q", found)
	}
	none, err := witness.NewPolicy(0)
	if err != nil {
		t.Fatal(err)
	}
	keys.Witnesses.Policy = none
	wantSound(t, w.o.Dir, keys)
}

// A log that is being written and witnessed meanwhile verifies at any moment.
func TestWitnessedWhileWritten(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	l := openLog(t, w.o)
	keys := w.keys(t, w.o)
	keys.Witnesses.Until = time.Now().Add(-time.Hour)
	fill(t, l, 10)
	k := w.keeper(t, w.o)
	if err := k.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		for ctx.Err() == nil {
			if err := k.Round(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	all.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			e := submitted(fmt.Sprint("live", i))
			e.ArtifactRefs = nil
			if _, err := l.Append(ctx, e); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	for range 15 {
		wantSound(t, w.o.Dir, keys)
	}
	stop()
	all.Wait()
}

// Somebody has the server, the log's key and the event key, and writes another history from
// the 50th event on. All that a log can prove by itself is in order; the witness does not
// sign, and who asks for its signature sees why.
func TestForkedHistory(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.run(t, w.o, 50)
	forged := w.o
	forged.Dir = filepath.Join(t.TempDir(), "forged")
	copyDir(t, w.o.Dir, forged.Dir)
	w.run(t, w.o, 30) // the history that the witness sees
	if w.told != nil {
		t.Fatal(w.told)
	}
	seen, err := os.ReadFile(filepath.Join(CosignedDir(w.o.Dir), witness.File))
	if err != nil {
		t.Fatal(err)
	}

	w.run(t, forged, 40)
	if w.told == nil || !strings.Contains(w.told.Error(), "two histories") {
		t.Errorf("the witness: %v", w.told)
	}
	keys := w.keys(t, w.o)
	wantSound(t, w.o.Dir, keys)
	wantSound(t, forged.Dir, Keys{Origin: keys.Origin, Log: keys.Log, Events: keys.Events})
	if found := accused(t, verify(t, forged.Dir, keys)); len(found) != 1 || !strings.Contains(found[0], "The last 40 events") {
		t.Errorf("without its signature: %q", found)
	}
	// With what the witness has signed, put there or given, the two histories are named.
	keys.Witnesses.Checkpoints = [][]byte{seen}
	if found := accused(t, verify(t, forged.Dir, keys)); len(found) != 2 || !strings.Contains(found[1], "two histories") {
		t.Errorf("with what it signed: %q", found)
	}
	keys.Witnesses.Checkpoints = nil
	if err := os.WriteFile(filepath.Join(CosignedDir(forged.Dir), witness.File), seen, 0o600); err != nil {
		t.Fatal(err)
	}
	found := accused(t, verify(t, forged.Dir, keys))
	if len(found) != 2 || !strings.HasPrefix(found[1], "cosigned/checkpoint: ") || !strings.Contains(found[1], "two histories") {
		t.Errorf("put beside the forged log: %q", found)
	}
}

// The server is started again on an older copy of its disk.
func TestRolledBackDisk(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.run(t, w.o, 20)
	older := w.o
	older.Dir = filepath.Join(t.TempDir(), "older")
	copyDir(t, w.o.Dir, older.Dir)
	w.run(t, w.o, 20)
	seen, err := os.ReadFile(filepath.Join(CosignedDir(w.o.Dir), witness.File))
	if err != nil {
		t.Fatal(err)
	}
	w.run(t, older, 0)
	if w.told == nil || !strings.Contains(w.told.Error(), "it has signed a checkpoint of 41 events, and this log has only 21") {
		t.Errorf("the witness: %v", w.told)
	}
	keys := w.keys(t, older)
	wantSound(t, older.Dir, keys) // alone, an older state is whole
	keys.Witnesses.Checkpoints = [][]byte{seen}
	if found := accused(t, verify(t, older.Dir, keys)); len(found) != 1 || !strings.Contains(found[0], "events were taken off its end") {
		t.Errorf("%q", found)
	}
}

// Whoever changes a byte of what witnesses have signed gains nothing.
func TestEveryFlippedByteOfACosignedCheckpoint(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.run(t, w.o, 5)
	keys := w.keys(t, w.o)
	path := filepath.Join(CosignedDir(w.o.Dir), witness.File)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		altered := bytes.Clone(raw)
		altered[i] ^= 1
		if err := os.WriteFile(path, altered, 0o600); err != nil {
			t.Fatal(err)
		}
		if found := accused(t, verify(t, w.o.Dir, keys)); len(found) == 0 {
			t.Errorf("byte %d: nothing was found", i)
		}
	}
}

func TestKeysWithWitnesses(t *testing.T) {
	t.Parallel()
	store, err := key.OpenStore(filepath.Join(t.TempDir(), "keys"), nil)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := publicKeys(optionsIn(t, t.TempDir(), store))
	if err != nil {
		t.Fatal(err)
	}
	vkey, err := witness.Init(t.Context(), t.TempDir(), "legal.example/w1", nil)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := witness.NewPolicy(1, witness.Witness{Name: "legal", Key: vkey})
	if err != nil {
		t.Fatal(err)
	}
	keys.Witnesses = &Witnesses{Policy: policy}
	var b bytes.Buffer
	if err := keys.Write(&b); err != nil {
		t.Fatal(err)
	}
	again, err := ReadKeys(bytes.NewReader(b.Bytes()))
	if err != nil || again.Witnesses == nil || again.Witnesses.Policy.String() != policy.String() {
		t.Errorf("%+v, %v\n%s", again, err, &b)
	}
	broken := strings.Replace(b.String(), "quorum all-witnesses", "quorum nobody", 1)
	if _, err := ReadKeys(strings.NewReader(broken)); err == nil {
		t.Error("a policy that makes no sense was read")
	}
	keys.Witnesses = &Witnesses{}
	if err := keys.Write(&b); err == nil {
		t.Error("keys with witnesses and no policy were written")
	}
}
