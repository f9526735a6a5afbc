package ctwatch

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestKilled is run as a process of its own by TestKillsLoseNothing: it makes passes and writes down
// what it is told, until it is killed or done.
func TestKilled(t *testing.T) {
	src := os.Getenv("CTWATCH_KILLED")
	if src == "" {
		t.Skip("a part of TestKillsLoseNothing")
	}
	var o struct {
		Dir, Out string
		Log      Log
	}
	if err := json.Unmarshal([]byte(src), &o); err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(o.Out, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w, err := New(Options{
		Dir: o.Dir, Logs: []Log{o.Log}, Zones: zonesOf("finmicro.example"), From: FromStart, Rate: 1e6, Batch: 5, Stale: 100 * 365 * 24 * time.Hour,
		Found: func(_ context.Context, f Found) error {
			_, err := fmt.Fprintf(out, "%d %s\n", f.Index, f.ID)
			return err
		},
		Problem: func(_ context.Context, p Problem) error { return fmt.Errorf("%s", p.Text) },
	})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("begun")
	if _, err := w.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Killed at any moment and begun again, a watcher tells of every certificate, and of none under two IDs.
func TestKillsLoseNothing(t *testing.T) {
	const n, kills = 400, 6
	a := newAuthority(t)
	l := newJSONLog(t, a)
	for i := range n {
		l.add(a.certificate(a.serial(), nil, fmt.Sprintf("n%d.finmicro.example", i)))
	}
	dir := t.TempDir()
	out := filepath.Join(dir, "told")
	src, err := json.Marshal(map[string]any{"Dir": filepath.Join(dir, "positions"), "Out": out, "Log": l.log()})
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for i := 0; ; i++ {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestKilled$")
		c.Env = append(os.Environ(), "CTWATCH_KILLED="+string(src))
		stdout, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if i < kills {
			// At a moment of its own each time, counted in what the log was asked.
			output := bufio.NewScanner(stdout)
			output.Scan()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for output.Scan() {
				}
			}()
			want, asked := 0, 0
			l.with(func() { want = l.total() + 3 + 7*i })
			for asked < want && !closed(ended) {
				l.with(func() { asked = l.total() })
				runtime.Gosched()
			}
			if err := c.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
			<-ended // before Wait, which closes the pipe
		}
		if err := c.Wait(); err == nil {
			break
		} else if i >= kills {
			t.Fatalf("%v", err)
		}
		killed++
	}
	ids := map[string]string{} // index -> ID
	for _, line := range lines(out) {
		index, id, _ := strings.Cut(line, " ")
		if before, again := ids[index]; again && before != id {
			t.Errorf("entry %s is told as %s and as %s", index, before, id)
		}
		ids[index] = id
	}
	if len(ids) != n || killed == 0 {
		t.Errorf("%d of %d certificates are told after %d kills", len(ids), n, killed)
	}
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (l *jsonLog) total() int {
	n := 0
	for _, asked := range l.asked {
		n += asked
	}
	return n
}

func lines(file string) []string {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(src), "\n"), "\n")
}
