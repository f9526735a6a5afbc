package mirror_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"slipway/audit"
	"slipway/audit/mirror"
)

// The test binary runs itself as a mirror that is then killed.
const (
	copyDir = "SLIPWAY_TEST_MIRROR_LOG"
	copyTo  = "SLIPWAY_TEST_MIRROR_TO"
)

func copyUntilKilled(dir, to string) {
	err := func() error {
		f, err := os.Open(filepath.Join(dir, "keys.json"))
		if err != nil {
			return err
		}
		keys, err := audit.ReadKeys(f)
		if err != nil {
			return err
		}
		store, err := mirror.OpenDirectory(to)
		if err != nil {
			return err
		}
		m, err := mirror.New(mirror.Options{Dir: dir, Keys: func() audit.Keys { return keys }, Store: store})
		if err == nil {
			_, err = m.Pass(context.Background(), true)
		}
		return err
	}()
	fmt.Fprintln(os.Stderr, err)
}

// A mirror that is killed over and over, anywhere, arrives.
func TestKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(20_000)
	w.settle()
	f, err := os.Create(filepath.Join(w.dir, "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.keys.Write(f); err != nil {
		t.Fatal(err)
	}
	f.Close()
	dir := t.TempDir()
	store, err := mirror.OpenDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	kills, most := 0, 25
	for kills < most {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), copyDir+"="+w.dir, copyTo+"="+dir, "GOMAXPROCS="+strconv.Itoa(1))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// From before it has begun to after some hundred files.
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case <-time.After(time.Duration(10+kills*10) * time.Millisecond):
			cmd.Process.Kill()
			<-done
			kills++
		case <-done:
			most = kills // it was through
		}
	}
	t.Logf("killed %d times", kills)
	if s := pass(t, w.mirror(store), true); s.Size != 20_001 {
		t.Errorf("%+v", s)
	}
	w.wantSound(store)
}
