package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"slipway/audit/audittest"
	"slipway/key/keytest"
)

func rotateTo(t *testing.T, s settings, to string) string {
	t.Helper()
	var out bytes.Buffer
	if err := rotateKey(t.Context(), s, "To another place.", to, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	return out.String()
}

// keysIn are the event keys in the keys directory, and the notes about those elsewhere.
func keysIn(t *testing.T, data string) string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"events*.key", "events*" + noteSuffix} {
		files, err := filepath.Glob(filepath.Join(data, "keys", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			found = append(found, filepath.Base(f))
		}
	}
	return strings.Join(found, " ")
}

// From a sealed file into an HSM, to another key there, and back; whoever trusts the
// first key alone verifies all of it.
func TestEventKeyIntoAnHSMAndBack(t *testing.T) {
	hsm := keytest.SoftHSM(t)
	data := filepath.Join(audittest.TempDir(t), "data")
	s := recordSettings(data)
	signers := []string{startAndStop(t, data)}
	before := trustedKeys(t, data)
	for _, step := range []struct{ to, keys, kept string }{
		{hsm.URI(), "events-2.ref", "pkcs11:id="},
		{"", "events-3.ref", "pkcs11:id="}, // where it is
		{ownFiles, "events-4.key", "file:///"},
	} {
		if out := rotateTo(t, s, step.to); !strings.Contains(out, "kept in    "+step.kept) || strings.Contains(out, hsm.PIN) {
			t.Errorf("to %q it says:\n%s", step.to, out)
		}
		if have := keysIn(t, data); have != step.keys {
			t.Errorf("to %q: the keys are %q, want %q", step.to, have, step.keys)
		}
		signers = append(signers, startAndStop(t, data))
		wantVerified(t, data, before)
		wantVerified(t, data, trustedKeys(t, data))
	}
	for i, id := range signers[1:] {
		if id == signers[i] {
			t.Errorf("rotation %d changed no key", i+1)
		}
	}
	if n := len(trustedKeys(t, data).Events); n != 4 {
		t.Errorf("keys.json has %d event keys", n)
	}
}

// The record of a new server begins with a key in an HSM, when the settings say so; for a
// record that is there a setting changes no key.
func TestRecordBeginsWithAKeyInAnHSM(t *testing.T) {
	hsm := keytest.SoftHSM(t)
	data := filepath.Join(audittest.TempDir(t), "data")
	s := recordSettings(data)
	s.eventKeys = hsm.URI()
	first := appendAndStop(t, openLogWith(t, s))
	if have := keysIn(t, data); have != "events.ref" {
		t.Errorf("the keys are %q", have)
	}
	wantVerified(t, data, trustedKeys(t, data))
	// With and without the setting it is the same key.
	if again := appendAndStop(t, openLogWith(t, s)); again != first {
		t.Errorf("signed by %s and by %s", first, again)
	}
	if again := startAndStop(t, data); again != first {
		t.Errorf("signed by %s, without the setting by %s", first, again)
	}
	refused := func(eventKeys string) {
		t.Helper()
		s := recordSettings(data)
		s.eventKeys = eventKeys
		srv := &server{settings: s, log: slog.New(slog.DiscardHandler)}
		var err error
		for _, step := range []func(context.Context) error{srv.lock, srv.openKeys, srv.openRecord} {
			if err == nil {
				err = step(t.Context())
			}
		}
		srv.close(t.Context())
		if unusable := (usageError{}); !errors.As(err, &unusable) || !strings.Contains(err.Error(), "slipwayd key rotate --to") {
			t.Errorf("--event-keys %s: %v", eventKeys, err)
		}
	}
	refused(ownFiles)
	refused("vault:https://vault.example:8200/transit?token=env:TOKEN")

	// The setting also says where a rotation leads.
	s.eventKeys = ownFiles
	rotateTo(t, s, "")
	if have := keysIn(t, data); have != "events-2.key" {
		t.Errorf("the keys are %q", have)
	}
	refused(hsm.URI())
	wantVerified(t, data, trustedKeys(t, data))

	// The note about a key is a part of the keys.
	rotateTo(t, s, hsm.URI())
	note := filepath.Join(data, "keys", "events-3.ref")
	raw, err := os.ReadFile(note)
	if err != nil || bytes.Contains(raw, []byte(hsm.PIN)) {
		t.Fatalf("%s (%v)", raw, err)
	}
	// The PIN is kept elsewhere by now: the settings say where, and then the note does.
	pin := filepath.Join(t.TempDir(), "pin")
	if err := errors.Join(os.WriteFile(pin, []byte(hsm.PIN), 0o600),
		os.WriteFile(note, bytes.ReplaceAll(raw, []byte("pin-source="), []byte("pin-source=/nowhere")), 0o600)); err != nil {
		t.Fatal(err)
	}
	s.eventKeys = "pkcs11:module-path=" + hsm.Module + ";token=" + hsm.Label + "?pin-source=" + pin
	moved := appendAndStop(t, openLogWith(t, s))
	if again := startAndStop(t, data); again != moved {
		t.Errorf("signed by %s and by %s", moved, again)
	}
}

// Killed after any step on the way into an HSM or out of it, the next start signs with the
// key that is on record, and a rotation that is run again finishes what was begun.
func TestRotationThroughAnHSMKilled(t *testing.T) {
	hsm := keytest.SoftHSM(t)
	const onRecord = 2 // see TestRotationKilled
	for _, way := range []struct{ name, from, to, old, fresh string }{
		{"in", ownFiles, hsm.URI(), "events.key", "events-2.ref"},
		{"out", hsm.URI(), ownFiles, "events.ref", "events-2.key"},
	} {
		for n := range len((&rotation{}).steps()) + 1 {
			t.Run(way.name+" "+strconv.Itoa(n), func(t *testing.T) {
				data := filepath.Join(audittest.TempDir(t), "data")
				s := recordSettings(data)
				s.eventKeys = way.from
				first := appendAndStop(t, openLogWith(t, s))
				before := trustedKeys(t, data)
				child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRotationKilled$")
				child.Env = append(os.Environ(), killAfter+"="+strconv.Itoa(n), killData+"="+data, killTo+"="+way.to)
				out, err := child.CombinedOutput()
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
					t.Fatalf("the child was not killed: %v\n%s", err, out)
				}
				if signer := startAndStop(t, data); (signer == first) != (n < onRecord) {
					t.Errorf("events are signed by %s; the first key is %s", signer, first)
				}
				if n < onRecord {
					if n == 1 && !strings.Contains(keysIn(t, data), way.fresh) {
						t.Errorf("the keys are %q: the new one is not prepared", keysIn(t, data))
					}
					rotateTo(t, recordSettings(data), way.to)
				}
				if have := keysIn(t, data); have != way.fresh {
					t.Errorf("the keys are %q, want %q", have, way.fresh)
				}
				startAndStop(t, data)
				wantVerified(t, data, before)
				wantVerified(t, data, trustedKeys(t, data))
			})
		}
	}
}

// A key that was prepared in one place and is then wanted in another one goes.
func TestRotationElsewhereAfterAll(t *testing.T) {
	hsm := keytest.SoftHSM(t)
	data := filepath.Join(audittest.TempDir(t), "data")
	startAndStop(t, data)
	prepare := func(to string) {
		r := &rotation{srv: &server{settings: recordSettings(data)}, because: "x", to: to}
		err := r.open(t.Context())
		if err == nil {
			err = r.makeKey(t.Context())
		}
		if err := errors.Join(err, r.srv.close(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct{ to, keys string }{
		{hsm.URI(), "events.key events-2.ref"}, {ownFiles, "events-2.key events.key"}, {hsm.URI(), "events.key events-2.ref"},
	} {
		prepare(step.to)
		if have := keysIn(t, data); have != step.keys {
			t.Errorf("prepared in %s: %q, want %q", scheme(step.to), have, step.keys)
		}
	}
}

// A replaced key in a store that cannot be reached keeps no server from starting.
func TestReplacedKeyOutOfReach(t *testing.T) {
	hsm := keytest.SoftHSM(t)
	data := filepath.Join(audittest.TempDir(t), "data")
	startAndStop(t, data)
	rotateTo(t, recordSettings(data), hsm.URI())
	note := filepath.Join(data, "keys", "events-2.ref")
	raw, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	rotateTo(t, recordSettings(data), ownFiles)
	gone := bytes.ReplaceAll(raw, []byte("token=slipway"), []byte("token=sold"))
	if err := os.WriteFile(note, gone, 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	srv := &server{settings: recordSettings(data), log: slog.New(slog.NewTextHandler(&said, nil))}
	for _, step := range []func(context.Context) error{srv.lock, srv.openKeys, srv.openRecord} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	appendAndStop(t, srv)
	if !strings.Contains(said.String(), "could not be destroyed") {
		t.Errorf("it says:\n%s", &said)
	}
	if have := keysIn(t, data); have != "events-3.key events-2.ref" {
		t.Errorf("the keys are %q", have)
	}
}

func FuzzParseKeyNote(f *testing.F) {
	f.Add([]byte(`{"store":"pkcs11:token=slipway","ref":"pkcs11:id=%01;object=x","id":"abc"}`))
	f.Add([]byte(`{"store":1}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if note, err := parseKeyNote(raw); err == nil && (note.Store == "" || note.Ref == "" || note.ID == "") {
			t.Errorf("%q was taken as %+v", raw, note)
		}
	})
}
