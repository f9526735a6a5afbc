package witness

import (
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cosign "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/note"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"slipway/internal/peer"
)

// Tessera's own client of witnesses takes this one for one, over a log that grows from
// one tile to several.
func TestTesseraAsksForCosignatures(t *testing.T) {
	s, web := newServer(t, t.TempDir(), ServerOptions{Now: time.Now})
	address, err := url.Parse(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	w, err := tessera.NewWitness(s.VerifierKey(), address)
	if err != nil {
		t.Fatal(err)
	}
	driver, err := posix.New(t.Context(), posix.Config{Path: filepath.Join(t.TempDir(), "log")})
	if err != nil {
		t.Fatal(err)
	}
	appender, shutdown, reader, err := tessera.NewAppender(t.Context(), driver, tessera.NewAppendOptions().
		WithCheckpointSigner(newTestLog(t, origin).signer).
		WithCheckpointInterval(100*time.Millisecond).
		WithBatching(256, time.Millisecond).
		WithWitnesses(tessera.NewWitnessGroup(1, w), &tessera.WitnessOptions{Timeout: 5 * time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPolicy(1, Witness{Name: "legal", Key: s.VerifierKey()})
	if err != nil {
		t.Fatal(err)
	}
	await := tessera.NewPublicationAwaiter(t.Context(), reader.ReadCheckpoint, 10*time.Millisecond)
	entry := 0
	for _, n := range []int{1, 7, 300, 500} {
		var last tessera.IndexFuture
		for ; entry < n; entry++ {
			last = appender.Add(t.Context(), tessera.NewEntry(fmt.Append(nil, "entry", entry)))
		}
		_, raw, err := await.Await(t.Context(), last)
		if err != nil {
			t.Fatal(err)
		}
		if who, _, err := p.Verify(raw); err != nil || len(who) != 1 {
			t.Fatalf("at %d: %v, %v\n%s", n, who, err, raw)
		}
	}
	if err := shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// The log's side speaks to other implementations of a witness: they sign what goes on,
// refuse a fork, and say so when the log is older than what they saw.
func TestOtherWitnesses(t *testing.T) {
	for name, run := range map[string]func(*testing.T) Witness{
		"omniwitness, Ed25519":   func(t *testing.T) Witness { return omniwitness(t, "ed25519") },
		"omniwitness, ML-DSA-44": func(t *testing.T) Witness { return omniwitness(t, "mldsa") },
		"litewitness":            litewitness,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := run(t)
			w.Name = "other"
			l := newLogSide(t, grown(t, 200, 200), 0, w)
			for _, size := range []uint64{100, 101, 150} {
				l.round(size)
				if problem := l.last["other"]; problem != nil {
					t.Fatalf("at %d: %v", size, problem)
				}
				if s, who := l.newest(); s != size || who != "other" {
					t.Fatalf("newest %d by %q", s, who)
				}
				l.restart() // and knows nothing of what the witness has seen
			}
			for what, h := range map[string]struct {
				history *history
				size    uint64
			}{
				"older":             {grown(t, 200, 200), 120},
				"forked":            {grown(t, 200, 50), 160},
				"forked, same size": {grown(t, 200, 50), 150},
			} {
				l.history = h.history
				l.restart()
				l.round(h.size)
				var c *Contradiction
				if !errors.As(l.last["other"], &c) {
					t.Errorf("%s: %v", what, l.last["other"])
				}
			}
		})
	}
}

// startPeer runs a program until the test ends and waits until something listens there.
func startPeer(t *testing.T, address string, c *exec.Cmd) {
	t.Helper()
	var out strings.Builder
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { c.Wait(); close(ended) }()
	t.Cleanup(func() {
		c.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(c.Path), &out)
		}
	})
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial(network, address); err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen at %s", c.Path, address)
		}
	}
}

// freePort is one that nobody listened at a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// omniwitness is the witness of github.com/transparency-dev/witness. It signs with all its
// keys at once; which one counts is up to who asks.
func omniwitness(t *testing.T, which string) Witness {
	bin := peer.Find(t, "omniwitness")
	dir, address := t.TempDir(), freePort(t)
	keys := map[string]string{}
	plain, vkey, err := note.GenerateKey(rand.Reader, "omni.example/ed25519")
	if err != nil {
		t.Fatal(err)
	}
	if keys["ed25519"], err = cosign.VKeyToCosignatureV1(vkey); err != nil {
		t.Fatal(err)
	}
	quantum, vkey, err := cosign.GenerateMLDSAKey("omni.example/mldsa")
	if err != nil {
		t.Fatal(err)
	}
	keys["mldsa"] = vkey
	logs := write(t, dir, "logs.yaml", fmt.Sprintf("Logs:\n  - Origin: %s\n    URL: http://127.0.0.1:1/\n    PublicKey: %s\n    Feeder: none\n", origin, newTestLog(t, origin).vkey))
	startPeer(t, address, exec.Command(bin, "-listen", address, "-metrics_listen", freePort(t), "-db_file", filepath.Join(dir, "db"),
		"-additional_logs", logs, "-private_key_path", write(t, dir, "ed25519", plain), "-private_key_path", write(t, dir, "mldsa", quantum)))
	return Witness{Key: keys[which], URL: "http://" + address}
}

// litewitness is the witness of filippo.io/torchwood. It signs with a key in an SSH agent,
// and has its logs in a database.
func litewitness(t *testing.T) Witness {
	bin := peer.Find(t, "litewitness")
	agent, err := exec.LookPath("ssh-agent")
	if err != nil {
		t.Skip("ssh-agent is not installed")
	}
	dir, err := os.MkdirTemp("", "w") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, file, address := filepath.Join(dir, "s"), filepath.Join(dir, "db"), freePort(t)
	startPeer(t, socket, exec.Command(agent, "-D", "-a", socket))
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	sshKey, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	add := exec.Command("ssh-add", "-q", write(t, dir, "key", string(pem.EncodeToMemory(block))))
	add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("ssh-add: %v\n%s", err, out)
	}
	startPeer(t, address, exec.Command(bin, "-db", file, "-ssh-agent", socket, "-name", "lite.example/w", "-listen", address, "-key", ssh.FingerprintSHA256(sshKey)))
	// As its own tool adds a log, which needs a module that is not to be had everywhere.
	db, err := sql.Open("sqlite", file+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)", origin, base64.StdEncoding.EncodeToString(rfc6962.DefaultHasher.EmptyRoot())); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("INSERT INTO key (origin, key) VALUES (?, ?)", origin, newTestLog(t, origin).vkey); err != nil {
		t.Fatal(err)
	}
	plain, err := note.NewEd25519VerifierKey("lite.example/w", public)
	if err != nil {
		t.Fatal(err)
	}
	vkey, err := cosign.VKeyToCosignatureV1(plain)
	if err != nil {
		t.Fatal(err)
	}
	return Witness{Key: vkey, URL: "http://" + address}
}
