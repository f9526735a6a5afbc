package audit

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
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
