package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"slipway/audit"
	"slipway/audit/audittest"
	"slipway/starter"
)

// killAfter makes a child process of TestRotationKilled: after how many steps it kills itself.
const (
	killAfter = "SLIPWAYD_TEST_KILL_AFTER"
	killData  = "SLIPWAYD_TEST_DATA"
	killTo    = "SLIPWAYD_TEST_TO"
)

func recordSettings(data string) settings {
	return settings{data: data, listen: "127.0.0.1:0", logFormat: "text", logLevel: "error", organisation: starter.Sample()}
}

// openLogOf starts as much of a server as has to do with the log.
func openLogOf(t *testing.T, data string) *server {
	t.Helper()
	return openLogWith(t, recordSettings(data))
}

func openLogWith(t *testing.T, s settings) *server {
	t.Helper()
	srv := &server{settings: s, log: slog.New(slog.DiscardHandler)}
	for _, step := range []func(context.Context) error{srv.lock, srv.openKeys, srv.openRecord} {
		if err := step(t.Context()); err != nil {
			srv.close(context.WithoutCancel(t.Context()))
			t.Fatal(err)
		}
	}
	return srv
}

// startAndStop starts the log as a server does, appends an event and stops.
func startAndStop(t *testing.T, data string) (eventKey string) {
	t.Helper()
	return appendAndStop(t, openLogOf(t, data))
}

func appendAndStop(t *testing.T, srv *server) (eventKey string) {
	t.Helper()
	r, err := srv.record.Append(t.Context(), audit.Event{Actor: audit.Actor{ID: itself.ID, Role: "system"}, Action: audit.SignIn, Resource: audit.Resource{Name: "a test"}})
	if err := errors.Join(err, srv.close(t.Context())); err != nil {
		t.Fatal(err)
	}
	return r.Event.KeyID
}

func trustedKeys(t *testing.T, data string) audit.Keys {
	t.Helper()
	f, err := os.Open(filepath.Join(data, "audit", "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	keys, err := audit.ReadKeys(f)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// wantVerified verifies the log as slipway audit verify does.
func wantVerified(t *testing.T, data string, keys audit.Keys) {
	t.Helper()
	report, err := audit.Verify(t.Context(), filepath.Join(data, "audit"), keys, func(uint64, uint64) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		t.Errorf("%s: %s", p.File, p.What)
	}
}

// eventKeys are the names of the private keys for events that are there.
func eventKeys(t *testing.T, data string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "keys", "events*.key"))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".key")
	}
	return strings.Join(files, " ")
}

func TestKeyRotate(t *testing.T) {
	data := filepath.Join(audittest.TempDir(t), "data")
	rotate := func(because string) (string, error) {
		var out bytes.Buffer
		err := rotateKey(t.Context(), recordSettings(data), because, "", &out)
		return out.String(), err
	}
	var unusable usageError
	if _, err := rotate("Too early."); !errors.As(err, &unusable) {
		t.Errorf("without data: %v", err)
	}
	first := startAndStop(t, data)
	before := trustedKeys(t, data)
	for _, because := range []string{"", " ", strings.Repeat("x", maxBecause+1)} {
		if _, err := rotate(because); !errors.As(err, &unusable) {
			t.Errorf("because %.10q: %v", because, err)
		}
	}

	running := openLogOf(t, data)
	if _, err := rotate("Beside a server."); err == nil || !strings.Contains(err.Error(), "another server uses") {
		t.Errorf("beside a running server: %v", err)
	}
	if err := running.close(t.Context()); err != nil {
		t.Fatal(err)
	}

	signed := []string{first}
	for turn := 2; turn <= 3; turn++ {
		out, err := rotate("Yearly change of keys.")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{eventsKeyName(turn), "destroyed  " + eventsKeyName(turn-1), "Back up"} {
			if !strings.Contains(out, want) {
				t.Errorf("rotation %d does not say %q:\n%s", turn, want, out)
			}
		}
		if have := eventKeys(t, data); have != eventsKeyName(turn) {
			t.Errorf("after rotation %d the keys are %s", turn, have)
		}
		if n := len(trustedKeys(t, data).Events); n != turn {
			t.Errorf("keys.json has %d event keys after rotation %d", n, turn)
		}
		wantVerified(t, data, before)
		signed = append(signed, startAndStop(t, data))
		wantVerified(t, data, before)
		wantVerified(t, data, trustedKeys(t, data))
	}
	slices.Sort(signed)
	if len(slices.Compact(signed)) != 3 {
		t.Errorf("events are signed by %q, not by three keys", signed)
	}

	srv := openLogOf(t, data)
	events, err := srv.record.Index().Events(t.Context(), audit.Query{Action: audit.RotateKey})
	if err := errors.Join(err, srv.close(t.Context())); err != nil {
		t.Fatal(err)
	}
	if len(events) != 2 || !bytes.Contains(events[0].Event.Details, []byte("Yearly change of keys.")) || events[0].Event.Actor.ID != "slipway" {
		t.Errorf("on record: %+v", events)
	}

	// The old key does not come back, and no new one is made for a log that is there.
	if err := os.Remove(filepath.Join(data, "keys", "events-3.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := rotate("Lost."); err == nil || !strings.Contains(err.Error(), "from a backup") {
		t.Errorf("without the current key: %v", err)
	}
	if have := eventKeys(t, data); have != "" {
		t.Errorf("for a log that is there %s was made", have)
	}
}

// Killed after any step, the next start signs with the key that is on record, and so does a
// rotation that is run again; no private key is left that was replaced.
func TestRotationKilled(t *testing.T) {
	if steps := os.Getenv(killAfter); steps != "" {
		n, _ := strconv.Atoi(steps)
		rotateAndDie(t, os.Getenv(killData), n)
	}
	const onRecord = 2 // steps after which the new key's turn has come
	for n := range len((&rotation{}).steps()) + 1 {
		for _, again := range []string{"start", "rotate", "half destroyed"} {
			if again == "half destroyed" && n != 3 {
				continue
			}
			t.Run(strconv.Itoa(n)+" "+again, func(t *testing.T) {
				data := filepath.Join(audittest.TempDir(t), "data")
				first := startAndStop(t, data)
				before := trustedKeys(t, data)
				child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRotationKilled$")
				child.Env = append(os.Environ(), killAfter+"="+strconv.Itoa(n), killData+"="+data)
				out, err := child.CombinedOutput()
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
					t.Fatalf("the child was not killed: %v\n%s", err, out)
				}
				if again == "half destroyed" {
					if err := os.WriteFile(filepath.Join(data, "keys", "events.key"), []byte("overwritten"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				want := "events-2"
				if again == "rotate" {
					var said bytes.Buffer
					if err := rotateKey(t.Context(), recordSettings(data), "Again.", "", &said); err != nil {
						t.Fatal(err)
					}
					finished := strings.HasPrefix(said.String(), "Finished an earlier rotation")
					if left := n == onRecord || n == onRecord+1; finished != left {
						t.Errorf("after %d steps it says:\n%s", n, &said)
					}
					if n == len((&rotation{}).steps()) { // it was finished, so this is another one
						want = "events-3"
					}
				} else if n < onRecord {
					want = "events"
				}
				signer := startAndStop(t, data)
				if (signer == first) != (want == "events") {
					t.Errorf("events are signed by %s; the first key is %s", signer, first)
				}
				if n == 1 && again == "start" {
					want = "events-2 events" // prepared, and taken by the next rotation
				}
				if have := eventKeys(t, data); have != want {
					t.Errorf("the keys are %q, want %q", have, want)
				}
				wantVerified(t, data, before)
				wantVerified(t, data, trustedKeys(t, data))
			})
		}
	}
}

// rotateAndDie carries out the first n steps of a rotation, and kills its process.
func rotateAndDie(t *testing.T, data string, n int) {
	r := &rotation{srv: &server{settings: recordSettings(data)}, because: "Killed on the way.", to: os.Getenv(killTo)}
	if err := r.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, step := range r.steps()[:n] {
		if err := step.run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // until it is dead
}

func TestEventKeyNames(t *testing.T) {
	for name, want := range map[string]int{
		"events": 1, "events-2": 2, "events-10": 10,
		"": 0, "events-1": 0, "events-02": 0, "events-+2": 0, "events--2": 0, "events-": 0, "events-x": 0, "log": 0, "events-99999999999999999999": 0,
	} {
		if turn, ok := turnOf(name); ok != (want > 0) || ok && (turn != want || eventsKeyName(turn) != name) {
			t.Errorf("%q: turn %d, %t", name, turn, ok)
		}
	}
}
