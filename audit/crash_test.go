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
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/key"
)

// With this variable set, the test binary is a server that appends until it is killed.
const crashDir = "SLIPWAY_AUDIT_CRASH_DIR"

const crashCallers = 8

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
	kills := 50
	if testing.Short() {
		kills = 10
	}
	dir := t.TempDir()
	store, err := key.OpenStore(filepath.Join(dir, "keys"), []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	o := optionsIn(t, filepath.Join(dir, "audit"), store)
	o.Origin = "crash.example/log"
	closeLog(t, openLog(t, o))
	keys, err := publicKeys(o)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	acks := map[string]acknowledged{}
	next := make([]int, crashCallers)
	for range kills {
		runAndKill(t, dir, time.Duration(random.IntN(300))*time.Millisecond, acks, next)
		wantSound(t, o.Dir, keys)
		if t.Failed() {
			t.FailNow()
		}
	}
	closeLog(t, openLog(t, o))
	report := wantSound(t, o.Dir, keys)
	if report.Unpublished != 0 || len(report.Leftovers) != 0 {
		t.Errorf("after a clean end: %+v", report)
	}
	recorded := map[string]acknowledged{}
	for _, r := range readAll(t, o.Dir) {
		if _, twice := recorded[r.Event.Once]; twice {
			t.Errorf("%s was recorded twice", r.Event.Once)
		}
		recorded[r.Event.Once] = acknowledged{r.Index, r.Event.EventID}
	}
	for once, ack := range acks {
		if recorded[once] != ack {
			t.Errorf("%s was acknowledged as %v, the log has %v", once, ack, recorded[once])
		}
	}
	t.Logf("%d kills, %d events acknowledged, %d in the log", kills, len(acks), report.Size)
}

func runAndKill(t *testing.T, dir string, after time.Duration, acks map[string]acknowledged, next []int) {
	t.Helper()
	var args []string
	for _, n := range next {
		args = append(args, strconv.Itoa(n))
	}
	server := exec.Command(os.Args[0], args...)
	server.Env = append(os.Environ(), crashDir+"="+dir)
	var stderr strings.Builder
	server.Stderr = &stderr
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	var killing sync.WaitGroup
	killing.Go(func() {
		<-time.After(after) // the moment is what is being tried
		server.Process.Kill()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var caller, n int
		var ack acknowledged
		if _, err := fmt.Sscanf(lines.Text(), "%d %d %d %s", &caller, &n, &ack.index, &ack.id); err != nil || len(ack.id) != 36 {
			continue // cut off by the kill
		}
		once := fmt.Sprintf("%d/%d", caller, n)
		if before, again := acks[once]; again && before != ack {
			t.Errorf("%s was acknowledged as %v and then as %v", once, before, ack)
		}
		acks[once] = ack
		next[caller] = n // the next server asks for the last one again
	}
	killing.Wait()
	var exit *exec.ExitError
	if err := server.Wait(); !errors.As(err, &exit) || exit.Exited() {
		t.Errorf("the server ended by itself: %v %s", err, stderr.String())
	}
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
