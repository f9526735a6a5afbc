package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A full disk is an error for the caller, not a loss: what was acknowledged stays, and
// when there is room again the log goes on.
func TestFullDisk(t *testing.T) {
	o := options(t)
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", o.Dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs the right to mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(o.Dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	l := openLog(t, o)
	acks := map[string]Receipt{}
	attempt := func(i int) error {
		e := submitted("c")
		e.ArtifactRefs, e.Once = nil, fmt.Sprint(i)
		e.Details = json.RawMessage(`{"fill":"` + strings.Repeat("x", 10_000) + `"}`)
		r, err := l.Append(t.Context(), e)
		if err == nil {
			acks[e.Once] = r
		}
		return err
	}
	full := 0
	for full < 1000 && attempt(full) == nil {
		full++
	}
	if full == 1000 {
		t.Fatal("the disk did not get full")
	}
	for range 3 {
		if err := attempt(full); err == nil {
			t.Log("room again: something was tidied up")
			break
		}
	}
	if err := syscall.Mount("tmpfs", o.Dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	for i := full; i < full+5; i++ {
		if err := attempt(i); err != nil {
			t.Errorf("with room again: %v", err)
		}
	}
	closeLog(t, l)
	wantSound(t, o.Dir, l.PublicKeys())
	recorded := map[string]int{}
	for _, r := range readAll(t, filepath.Clean(o.Dir)) {
		recorded[r.Event.Once]++
		if ack, ok := acks[r.Event.Once]; ok && ack.Event.EventID != r.Event.EventID {
			t.Errorf("%s is another event than was acknowledged", r.Event.Once)
		}
	}
	for once := range acks {
		if recorded[once] != 1 {
			t.Errorf("%s is in the log %d times", once, recorded[once])
		}
	}
	t.Logf("full after %d events, %d in the log", full, len(recorded))
}

// The same where no disk can be mounted: a server whose files cannot grow. The index
// fails first, which nobody notices; then the log does, and says so.
func TestFilesThatCannotGrow(t *testing.T) {
	t.Parallel()
	c := newCrashing(t)
	keys, err := publicKeys(c.o)
	if err != nil {
		t.Fatal(err)
	}
	nobody := func(*os.Process) {}
	acks, said, ended := c.serve(t, []string{crashFileSize + "=65536"}, nobody, nobody)
	if ended == nil || acks == 0 || !strings.Contains(said, "was not recorded") || !strings.Contains(said, "file too large") {
		t.Fatalf("%d events were acknowledged, then %v: %s", acks, ended, said)
	}
	wantSound(t, c.o.Dir, keys)
	c.check(t, keys)
	t.Logf("%d events acknowledged", acks)
}

// A disk that nobody can write to is said to be one, and is looked through all the same.
func TestReadOnlyDisk(t *testing.T) {
	o := options(t)
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	mount := func(flags uintptr) error { return syscall.Mount("tmpfs", o.Dir, "tmpfs", flags, "size=16m") }
	if err := mount(0); err != nil {
		t.Skipf("needs the right to mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(o.Dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	l := openLog(t, o)
	add(t, l, submittedAlone("c1"))
	closeLog(t, l)
	if err := mount(syscall.MS_REMOUNT | syscall.MS_RDONLY); err != nil {
		t.Fatal(err)
	}
	before := fingerprint(t, o.Dir)
	if _, err := Open(t.Context(), o); !errors.Is(err, syscall.EROFS) {
		t.Errorf("opened on a read-only disk: %v", err)
	}
	if report := wantSound(t, o.Dir, l.PublicKeys()); report.Events != 2 {
		t.Errorf("%d events were verified", report.Events)
	}
	state, err := Inspect(t.Context(), o.Dir)
	if err != nil || !state.Compared || state.Index != 2 || state.Note != "" || state.Problem != "" {
		t.Errorf("%+v, %v", state, err)
	}
	if !maps.Equal(fingerprint(t, o.Dir), before) {
		t.Error("something has changed")
	}
	if err := mount(syscall.MS_REMOUNT); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, o)
	if r := add(t, l, submittedAlone("c2")); r.Index != 2 {
		t.Errorf("it goes on with event %d", r.Index)
	}
}

// submittedAlone is an event that refers to no document.
func submittedAlone(change string) Event {
	e := submitted(change)
	e.ArtifactRefs = nil
	return e
}

// A file that was cut off or lost its content, as disks leave them that do not keep what
// they promise, is never taken for a shorter log: it is reported, and Open either goes on
// with all events or refuses.
func TestTornFiles(t *testing.T) {
	t.Parallel()
	o := options(t)
	l := openLog(t, o)
	fill(t, l, 300)
	closeLog(t, l)
	whole := filepath.Join(t.TempDir(), "whole")
	if err := os.CopyFS(whole, os.DirFS(o.Dir)); err != nil {
		t.Fatal(err)
	}
	opened := 0
	for _, file := range []string{
		"log/checkpoint", "log/.state/treeState", "log/.state/version", "log/tile/entries/000", "log/tile/entries/001.p/45", "log/tile/0/000", "log/tile/0/001.p/45", "log/tile/1/000.p/1", "index.db",
	} {
		raw, err := os.ReadFile(filepath.Join(whole, file))
		if err != nil {
			t.Fatal(err)
		}
		for name, torn := range map[string][]byte{"emptied": nil, "cut off": raw[:len(raw)/2], "zeroed": make([]byte, len(raw))} {
			if file == "log/.state/version" && name == "cut off" {
				continue // it has one byte
			}
			if err := errors.Join(os.RemoveAll(o.Dir), os.CopyFS(o.Dir, os.DirFS(whole)), os.WriteFile(filepath.Join(o.Dir, file), torn, 0o600)); err != nil {
				t.Fatal(err)
			}
			report := verify(t, o.Dir, l.PublicKeys())
			reported := slices.ContainsFunc(report.Problems, func(p Problem) bool { return p.File == file })
			state, err := Inspect(t.Context(), o.Dir)
			if index := file == indexFile; index && (err != nil || !strings.Contains(state.Note, "anew")) || !index && !reported {
				t.Errorf("%s %s: reported %+v, %+v", file, name, report.Problems, state)
			}
			again, err := Open(t.Context(), o)
			if err != nil {
				continue
			}
			opened++
			r, err := again.Append(t.Context(), submittedAlone("c"))
			if err == nil && r.Index != 301 {
				t.Errorf("%s %s: it goes on with event %d of 301", file, name, r.Index)
			}
			closeLog(t, again)
		}
	}
	t.Logf("%d of the torn logs were opened", opened)
}
