package witness

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// With this variable set, the test binary is a witness that runs until it is killed.
const crashDir = "SLIPWAY_WITNESS_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := witnessUntilKilled(dir, os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func witnessUntilKilled(dir, logKey string) error {
	s, err := NewServer(context.Background(), ServerOptions{Dir: dir, Passphrase: passphrase, Logs: []string{logKey}, Rate: Rate{1e9, 1 << 30}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, s.Handler())
}

// signedRoot is what a cosignature is about.
type signedRoot struct {
	size uint64
	root string
}

// Killed at any moment while two histories of one log ask for its signature, which part
// anew after each start from what it remembers, a witness signs only one of them.
func TestKilledWitnessSignsOneHistory(t *testing.T) {
	t.Parallel()
	kills := 40
	if testing.Short() {
		kills = 10
	}
	dir := t.TempDir()
	if _, err := Init(t.Context(), dir, "legal.example/w1", passphrase); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	all := map[signedRoot]bool{}
	var truth []string // the entries of the history that the witness has signed
	for kill := range kills {
		var branches [2][]string
		for b := range branches {
			branches[b] = slices.Clone(truth)
			for i := range 400 {
				branches[b] = append(branches[b], fmt.Sprint(kill, b, i))
			}
		}
		histories := []*history{newHistory(t, branches[0]...), newHistory(t, branches[1]...)}
		signed := runWitnessAndKill(t, dir, histories, uint64(len(truth)), time.Duration(random.IntN(60))*time.Millisecond)

		_, logs, err := Status(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(logs) == 1 {
			which := slices.IndexFunc(histories, func(h *history) bool { return bytes.Equal(h.tree.HashAt(logs[0].Size), logs[0].Root) })
			if which < 0 || logs[0].Size < uint64(len(truth)) {
				t.Fatalf("after %d kills it remembers none of the two histories, or less than before: %+v", kill, logs[0])
			}
			truth = branches[which][:logs[0].Size]
		}
		maps.Copy(all, signed)
	}
	remembered := newHistory(t, truth...)
	for s := range all {
		if s.size > remembered.tree.Size() || string(remembered.tree.HashAt(s.size)) != s.root {
			t.Errorf("a checkpoint of %d events was signed that is not of the history that the witness remembers", s.size)
		}
	}
	if len(all) == 0 {
		t.Error("nothing was signed")
	}
	t.Logf("%d kills, %d checkpoints signed, %d events", kills, len(all), len(truth))
}

// runWitnessAndKill lets both histories ask until the witness is killed, and returns what
// it signed.
func runWitnessAndKill(t *testing.T, dir string, histories []*history, from uint64, after time.Duration) map[signedRoot]bool {
	t.Helper()
	c := exec.Command(os.Args[0], histories[0].vkey)
	c.Env = append(os.Environ(), crashDir+"="+dir)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(errors.Join(err, c.Wait()))
	}
	url := "http://" + strings.TrimSpace(address)
	kill := time.AfterFunc(after, func() { c.Process.Kill() })
	defer kill.Stop()
	signed := map[signedRoot]bool{}
	var mu sync.Mutex // held while histories and signed are used
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			h := histories[i%2]
			client := &http.Client{Timeout: 5 * time.Second}
			seen := from
			for {
				to := min(seen+1+uint64(i), h.tree.Size())
				mu.Lock()
				body := h.request(t, seen, to)
				mu.Unlock()
				resp, err := client.Post(url+"/add-checkpoint", "", strings.NewReader(string(body)))
				if err != nil {
					return // it was killed
				}
				raw, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil {
					return
				}
				switch resp.StatusCode {
				case http.StatusOK:
					mu.Lock()
					signed[signedRoot{to, string(h.tree.HashAt(to))}] = true
					mu.Unlock()
					seen = to
				case http.StatusConflict:
					if n, err := parseSize(strings.TrimSpace(string(raw))); err == nil && n <= h.tree.Size() {
						seen = n
					}
				}
			}
		})
	}
	all.Wait()
	c.Wait() // killed, as it was meant to be
	return signed
}
