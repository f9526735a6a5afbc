package witness

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// logSide is a log with its Keeper, and what was reported of each witness.
type logSide struct {
	t         *testing.T
	history   *history
	published uint64
	dir       string
	policy    *Policy
	clock     time.Time
	keeper    *Keeper
	last      map[string]error
	reports   int
}

func newLogSide(t *testing.T, h *history, quorum int, witnesses ...Witness) *logSide {
	t.Helper()
	p, err := NewPolicy(quorum, witnesses...)
	if err != nil {
		t.Fatal(err)
	}
	l := &logSide{t: t, history: h, dir: filepath.Join(t.TempDir(), Dir), policy: p, clock: noon}
	l.restart()
	return l
}

func (l *logSide) restart() {
	l.t.Helper()
	var err error
	l.last = map[string]error{}
	l.keeper, err = NewKeeper(KeeperOptions{
		Log: l.history.vkey, Policy: l.policy, Dir: l.dir, Timeout: 2 * time.Second,
		Checkpoint: func(context.Context) ([]byte, error) { return l.history.at(l.t, l.published), nil },
		Tile: func(_ context.Context, level, index uint64, p uint8) ([]byte, error) {
			if level != 0 || index != 0 || p == 0 {
				return nil, fmt.Errorf("%d/%d.%d: %w", level, index, p, fs.ErrNotExist)
			}
			var tile []byte
			for i := range uint64(p) {
				tile = append(tile, l.history.tree.LeafHash(i)...)
			}
			return tile, nil
		},
		Report: func(_ context.Context, name string, problem error) { l.last[name] = problem; l.reports++ },
		Now:    func() time.Time { return l.clock },
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

// round publishes a size and takes it to the witnesses, an hour later.
func (l *logSide) round(size uint64) {
	l.t.Helper()
	l.published, l.clock = size, l.clock.Add(time.Hour)
	if err := l.keeper.Round(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
}

// newest is the size of the newest checkpoint that meets the quorum, and who signed it.
func (l *logSide) newest() (size uint64, who string) {
	l.t.Helper()
	raw, err := Newest(l.dir, l.policy)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrQuorum) {
		return 0, ""
	}
	if err != nil {
		l.t.Fatal(err)
	}
	h, err := parseHead(bodyOf(l.t, raw))
	if err != nil {
		l.t.Fatal(err)
	}
	names, _, _ := l.policy.Verify(raw)
	return h.size, strings.Join(names, " ")
}

// liveWitness is one that can be taken off the net.
type liveWitness struct {
	Witness
	down  bool
	clock time.Time
	calls int
}

func newLiveWitness(t *testing.T, name string) *liveWitness {
	t.Helper()
	w := &liveWitness{clock: noon}
	dir := t.TempDir()
	vkey, err := Init(t.Context(), dir, name+".example/w1", passphrase)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewServer(t.Context(), ServerOptions{Dir: dir, Passphrase: passphrase, Logs: []string{newTestLog(t, origin).vkey}, Now: func() time.Time { return w.clock }, Rate: Rate{1e6, 1e6}})
	if err != nil {
		t.Fatal(err)
	}
	handler := s.Handler()
	web := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.calls++
		if w.down {
			http.Error(out, "gone for lunch", http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(out, r)
	}))
	t.Cleanup(func() { web.Close(); s.Close() })
	w.Witness = Witness{Name: name, Key: vkey, URL: web.URL + "/"}
	return w
}

func TestKeeper(t *testing.T) {
	legal, board := newLiveWitness(t, "legal"), newLiveWitness(t, "board")
	l := newLogSide(t, grown(t, 200, 200), 0, legal.Witness, board.Witness)
	want := func(size uint64, who string) {
		t.Helper()
		if s, w := l.newest(); s != size || w != who {
			t.Errorf("newest: %d by %q, want %d by %q", s, w, size, who)
		}
	}
	l.round(0)
	want(0, "")
	l.round(1)
	want(1, "legal board")
	l.round(100)
	want(100, "legal board")

	calls := legal.calls
	l.round(100)
	if legal.calls != calls {
		t.Error("a witness was asked for what it has signed")
	}

	// One is down: what it has not signed does not meet the quorum, and nothing stops.
	board.down = true
	l.round(120)
	if l.last["legal"] != nil || l.last["board"] == nil || !strings.Contains(l.last["board"].Error(), "gone for lunch") {
		t.Errorf("%v", l.last)
	}
	want(100, "legal board")
	board.down = false
	l.round(120) // the same checkpoint, for the one who missed it
	if l.last["board"] != nil {
		t.Error(l.last["board"])
	}
	want(120, "legal board")
	if _, err := os.Stat(filepath.Join(l.dir, partialFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was completed is still there in part: %v", err)
	}

	// After a restart it has what was signed before, and asks what sizes they know.
	board.down = true
	l.round(130)
	board.down, legal.down = false, true
	l.restart()
	l.round(130)
	want(130, "legal board")
	legal.down = false
	l.round(131)
	want(131, "legal board")

	// One cosigned checkpoint of each day stays.
	legal.clock, board.clock = noon.AddDate(0, 0, 1), noon.AddDate(0, 0, 1)
	l.round(140)
	l.round(150)
	want(150, "legal board")
	raw, err := os.ReadFile(filepath.Join(l.dir, noon.Format(time.DateOnly)))
	if err != nil || !strings.HasPrefix(string(raw), origin+"\n131\n") {
		t.Errorf("%q, %v", raw, err)
	}
}

// A witness that is down is asked less and less often, and at once when it can be again.
func TestKeeperPauses(t *testing.T) {
	legal := newLiveWitness(t, "legal")
	legal.down = true
	l := newLogSide(t, grown(t, 20, 20), 0, legal.Witness)
	l.published = 5
	for range 600 {
		if err := l.keeper.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.clock = l.clock.Add(time.Second)
	}
	if legal.calls < 10 || legal.calls > 20 {
		t.Errorf("asked %d times in ten minutes", legal.calls)
	}
	legal.down = false
	l.round(6)
	if s, _ := l.newest(); s != 6 {
		t.Errorf("newest %d", s)
	}
}

// A log whose key was stolen, and one whose disk was put back: whatever is shown to the
// witness, it does not sign, and what it has signed is the proof.
func TestKeeperFindsOut(t *testing.T) {
	legal := newLiveWitness(t, "legal")
	l := newLogSide(t, grown(t, 50, 50), 0, legal.Witness)
	l.round(30)
	seen := bodyOf(t, l.history.at(t, 30))
	refused := func(seenSize uint64, says string) {
		t.Helper()
		var c *Contradiction
		if !errors.As(l.last["legal"], &c) || c.Seen != seenSize || !strings.Contains(c.Error(), says) {
			t.Fatalf("%v", l.last["legal"])
		}
		if !strings.HasPrefix(string(c.Checkpoint), seen) {
			t.Errorf("no proof: %q", c.Checkpoint)
		}
		if s, _ := l.newest(); s != 30 {
			t.Errorf("newest %d", s)
		}
	}
	l.round(29) // put back by one event, while the server runs
	refused(30, "older state")
	l.restart()
	l.round(25)
	refused(30, "older state")
	l.history = grown(t, 50, 25) // and goes on from there
	l.round(30)
	refused(30, "two histories")
	l.round(40)
	refused(30, "two histories")
	l.restart()
	l.round(41)
	refused(30, "two histories")
	l.history = grown(t, 50, 50) // the right disk is back
	l.restart()
	l.round(41)
	if l.last["legal"] != nil {
		t.Error(l.last["legal"])
	}
	if s, _ := l.newest(); s != 41 {
		t.Errorf("newest %d", s)
	}
}

// A witness that says nonsense makes no difference, and is told of.
func TestKeeperDistrusts(t *testing.T) {
	h := grown(t, 50, 50)
	other, w := testWitness(t, "other")
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"another's signature": {func(out http.ResponseWriter, _ *http.Request) {
			line, _ := other.cosign(bodyOf(t, h.at(t, 9)), noon)
			fmt.Fprint(out, line)
		}, "does not verify"},
		"nothing":         {func(http.ResponseWriter, *http.Request) {}, "does not verify"},
		"too much":        {func(out http.ResponseWriter, _ *http.Request) { out.Write(make([]byte, maxAnswer+1)) }, "more than"},
		"sizes, in turns": {sizes("7\n", "8\n"), "each time"},
		"a size, always":  {sizes("7\n"), "asks for it"},
		"size of zeroes":  {sizes("007\n"), "a size that is none"},
		"not a size":      {sizes("x\n"), "a size that is none"},
		"forbidden":       {func(out http.ResponseWriter, _ *http.Request) { http.Error(out, "no\x1b[31m", http.StatusForbidden) }, `403 Forbidden: "no\x1b[31m"`},
	} {
		t.Run(name, func(t *testing.T) {
			web := httptest.NewServer(tt.answer)
			defer web.Close()
			l := newLogSide(t, h, 0, Witness{Name: "other", Key: w.Key, URL: web.URL})
			l.round(10)
			if err := l.last["other"]; err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v", err)
			}
			if s, _ := l.newest(); s != 0 {
				t.Errorf("newest %d", s)
			}
		})
	}
}

// sizes answers with one size after the other.
func sizes(texts ...string) http.HandlerFunc {
	n := 0
	return func(out http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			http.NotFound(out, r)
			return
		}
		out.Header().Set("Content-Type", sizeType)
		out.WriteHeader(http.StatusConflict)
		fmt.Fprint(out, texts[n%len(texts)])
		n++
	}
}

// A witness that does not answer at all costs its time and no more.
func TestKeeperTimeout(t *testing.T) {
	legal := newLiveWitness(t, "legal")
	hang := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer web.Close()
	defer close(hang)
	_, w := testWitness(t, "slow")
	w.URL = web.URL
	l := newLogSide(t, grown(t, 20, 20), 1, legal.Witness, w)
	l.keeper.o.Timeout = 50 * time.Millisecond
	l.round(10)
	if l.last["legal"] != nil || !errors.Is(l.last["slow"], context.DeadlineExceeded) {
		t.Errorf("%v", l.last)
	}
	if s, who := l.newest(); s != 10 || who != "legal" {
		t.Errorf("newest %d by %s", s, who)
	}
}

func TestKeeperRun(t *testing.T) {
	legal := newLiveWitness(t, "legal")
	l := newLogSide(t, grown(t, 20, 20), 0, legal.Witness)
	l.published, l.keeper.o.Every = 5, time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	l.keeper.o.Report = func(_ context.Context, _ string, problem error) {
		if problem == nil {
			cancel()
		}
	}
	if err := l.keeper.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if s, _ := l.newest(); s != 5 {
		t.Errorf("newest %d", s)
	}
	w := legal.Witness
	w.URL = ""
	p, err := NewPolicy(1, w)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewKeeper(KeeperOptions{Log: l.history.vkey, Policy: p, Dir: t.TempDir()}); err == nil {
		t.Error("a witness without an address")
	}
	if _, err := NewKeeper(KeeperOptions{Log: "x", Policy: p, Dir: t.TempDir()}); err == nil {
		t.Error("a log without a key")
	}
	l.history.testLog = newTestLog(t, "other.example/log")
	if err := l.keeper.Round(t.Context()); err == nil {
		t.Error("a checkpoint of another log was taken to the witnesses")
	}
}
