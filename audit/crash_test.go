package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"slipway/audit/audittest"
	"slipway/key"
)

// With this variable set, the test binary is a server that appends until it is killed.
const crashDir = "SLIPWAY_AUDIT_CRASH_DIR"

// With this one as well, none of its files can grow beyond so many bytes.
const crashFileSize = "SLIPWAY_AUDIT_CRASH_FILE_SIZE"

// With this one, that many servers are killed instead of a few: make crash.
const crashKills = "SLIPWAY_AUDIT_KILLS"

const (
	crashCallers = 8
	killsPerLog  = 50 // after each, all of the log is verified
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := appendUntilKilled(dir, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// appendUntilKilled appends the events of each caller from the given one on, and
// prints which were acknowledged.
func appendUntilKilled(dir string, from []string) error {
	ctx := context.Background()
	store, err := key.OpenStore(filepath.Join(dir, "keys"), []byte("p"))
	if err != nil {
		return err
	}
	if text := os.Getenv(crashFileSize); text != "" {
		size, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return err
		}
		signal.Ignore(syscall.SIGXFSZ) // so that the write fails instead
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: size}); err != nil {
			return err
		}
	}
	o := Options{Dir: filepath.Join(dir, "audit"), Origin: "crash.example/log", Logger: slog.New(slog.DiscardHandler)}
	if o.Events, err = store.Signer(ctx, "events", true); err != nil {
		return err
	}
	if o.Log, err = store.Signer(ctx, "log", true); err != nil {
		return err
	}
	l, err := Open(ctx, o)
	if err != nil {
		return err
	}
	failed := make(chan error)
	for caller, first := range from {
		next, err := strconv.Atoi(first)
		if err != nil {
			return err
		}
		go func() {
			for ; ; next++ {
				e := submitted("c")
				e.ArtifactRefs, e.Once = nil, fmt.Sprintf("%d/%d", caller, next)
				r, err := l.Append(ctx, e)
				if err != nil {
					failed <- err
					return
				}
				fmt.Printf("%d %d %d %s\n", caller, next, r.Index, r.Event.EventID)
			}
		}()
	}
	return <-failed
}

// acknowledged is what the killed servers have answered, by Once key.
type acknowledged struct {
	index uint64
	id    string
}

// Killed at any moment, the log loses nothing it has acknowledged, records nothing
// twice, and verifies both as it was left and when it goes on.
func TestKilledWriterLosesNothing(t *testing.T) {
	t.Parallel()
	kills := killsPerLog
	if testing.Short() {
		kills = 10
	}
	if text := os.Getenv(crashKills); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", crashKills, err)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	total := crashed{}
	for done := 0; done < kills && !t.Failed(); done += killsPerLog {
		of := newCrashing(t)
		of.survive(t, min(killsPerLog, kills-done), random)
		total.add(of.crashed)
	}
	t.Logf("%d servers killed while they appended, and %d others as they started; %d events acknowledged, %d in the logs, %d asked for again after they were acknowledged",
		total.appending, total.kills-total.appending, total.acknowledged, total.recorded, total.again)
}

// crashed counts.
type crashed struct{ kills, appending, acknowledged, recorded, again int }

func (c *crashed) add(d crashed) {
	c.kills, c.appending, c.again = c.kills+d.kills, c.appending+d.appending, c.again+d.again
	c.acknowledged, c.recorded = c.acknowledged+d.acknowledged, c.recorded+d.recorded
}

// crashing is one log whose servers are killed.
type crashing struct {
	crashed
	dir  string
	o    Options
	acks map[string]acknowledged
	next [crashCallers]int // what each caller asks for at first
}

func newCrashing(t *testing.T) *crashing {
	t.Helper()
	c := &crashing{dir: audittest.TempDir(t), acks: map[string]acknowledged{}}
	store, err := key.OpenStore(filepath.Join(c.dir, "keys"), []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	c.o = optionsIn(t, filepath.Join(c.dir, "audit"), store)
	c.o.Origin = "crash.example/log"
	closeLog(t, openLog(t, c.o))
	return c
}

func (c *crashing) survive(t *testing.T, kills int, random *rand.Rand) {
	t.Helper()
	keys, err := publicKeys(c.o)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; c.appending < kills; i++ {
		// So many while it appends, and some more at any moment of its start.
		appending := i%5 != 0
		within := 300 * time.Millisecond
		if appending {
			within = 250 * time.Millisecond
		}
		c.runAndKill(t, appending, time.Duration(random.Int64N(int64(within))))
		wantSound(t, c.o.Dir, keys)
		if t.Failed() {
			t.FailNow()
		}
	}
	c.check(t, keys)
}

// check opens the log again, and holds it to what was acknowledged.
func (c *crashing) check(t *testing.T, keys Keys) {
	t.Helper()
	closeLog(t, openLog(t, c.o))
	report := wantSound(t, c.o.Dir, keys)
	if report.Unpublished != 0 || len(report.Leftovers) != 0 {
		t.Errorf("after a clean end: %+v", report)
	}
	if state, err := Inspect(t.Context(), c.o.Dir); err != nil || state.Note != "" || state.Problem != "" || state.Index != state.Log {
		t.Errorf("after a clean end: %+v, %v", state, err)
	}
	recorded := map[string]acknowledged{}
	for _, r := range readAll(t, c.o.Dir) {
		if _, twice := recorded[r.Event.Once]; twice {
			t.Errorf("%s was recorded twice", r.Event.Once)
		}
		recorded[r.Event.Once] = acknowledged{r.Index, r.Event.EventID}
	}
	for once, ack := range c.acks {
		if recorded[once] != ack {
			t.Errorf("%s was acknowledged as %v, the log has %v", once, ack, recorded[once])
		}
	}
	c.acknowledged, c.recorded = len(c.acks), len(recorded)
}

// runAndKill starts a server and kills it a while after its start, or after it has
// acknowledged the first event.
func (c *crashing) runAndKill(t *testing.T, appending bool, after time.Duration) {
	t.Helper()
	killing := false
	kill := func(server *os.Process) {
		if !killing {
			killing = true
			time.AfterFunc(after, func() { server.Kill() }) // the moment is what is being tried
		}
	}
	began := func(*os.Process) {}
	if !appending {
		began = kill
	}
	acks, said, err := c.serve(t, nil, began, kill)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Exited() {
		t.Errorf("the server ended by itself: %v %s", err, said)
	}
	if c.kills++; acks > 0 {
		c.appending++
	}
}

// serve runs a server until it ends, and keeps what it acknowledges.
func (c *crashing) serve(t *testing.T, env []string, began, acknowledges func(*os.Process)) (acks int, said string, ended error) {
	t.Helper()
	var args []string
	for _, n := range c.next {
		args = append(args, strconv.Itoa(n))
	}
	server := exec.Command(os.Args[0], args...)
	server.Env = append(append(os.Environ(), crashDir+"="+c.dir), env...)
	var stderr strings.Builder
	server.Stderr = &stderr
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	began(server.Process)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var caller, n int
		var ack acknowledged
		if _, err := fmt.Sscanf(lines.Text(), "%d %d %d %s", &caller, &n, &ack.index, &ack.id); err != nil || len(ack.id) != 36 {
			continue // cut off by the kill
		}
		acks++
		acknowledges(server.Process)
		once := fmt.Sprintf("%d/%d", caller, n)
		if before, again := c.acks[once]; again {
			if c.again++; before != ack {
				t.Errorf("%s was acknowledged as %v and then as %v", once, before, ack)
			}
		}
		c.acks[once] = ack
		c.next[caller] = n // the next server asks for the last one again
	}
	ended = server.Wait()
	return acks, stderr.String(), ended
}

// A log may be verified and read while it is being written.
func TestVerifyWhileWriting(t *testing.T) {
	t.Parallel()
	o := options(t)
	l := openLog(t, o)
	var writing sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for caller := range 16 {
		writing.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				e := submitted(fmt.Sprint(caller, "-", i))
				e.ArtifactRefs = nil
				if _, err := l.Append(context.WithoutCancel(ctx), e); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 10 {
		wantSound(t, o.Dir, l.PublicKeys())
		readAll(t, o.Dir)
	}
	stop()
	writing.Wait()
}
