// Package servers starts real DNS servers for tests: BIND, Knot, PowerDNS and NSD, as
// Debian packages them, each a process of the test's own on a loopback port with a
// directory of its own. Nothing but tests imports it, and it touches no server of the
// machine. Read this file first; one file a server follows.
package servers

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/secret"
	"slipway/zone"
)

// TSIG is the key that the servers let transfer and update every zone.
type TSIG struct {
	Name      zone.Name
	Algorithm string
	Secret    secret.Value // base 64
}

// Server is a running server.
type Server struct {
	Address string // host:port, UDP and TCP
	TSIG    TSIG
	Dir     string

	t   testing.TB
	log *output
}

// Log is what the server has said so far.
func (s *Server) Log() string { return s.log.String() }

// startFor is how long a server may take to come up, on a machine that is busy.
const startFor = 60 * time.Second

// find skips the test where a server is not installed. Debian puts servers into
// /usr/sbin, which is not on everybody's PATH.
func find(t testing.TB, binary, pkg string) string {
	t.Helper()
	if path, err := exec.LookPath(binary); err == nil {
		return path
	}
	path, err := exec.LookPath(filepath.Join("/usr/sbin", binary))
	if err != nil {
		t.Skipf("%s is not installed: it is in Debian's package %s", binary, pkg)
	}
	return path
}

// memory is where Linux keeps files that need no disk. Servers write theirs with care,
// which costs a test more time than everything else.
const memory = "/dev/shm"

// directory makes a short one: sockets have names of at most 107 bytes.
func directory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(memory, "dns")
	if err != nil {
		dir, err = os.MkdirTemp("", "dns")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// port finds one that is free for UDP and TCP. It may be taken before the server is
// there; start then says so.
func port(t testing.TB) int {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p := l.Addr().(*net.TCPAddr).Port
		c, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", p))
		l.Close()
		if err == nil {
			c.Close()
			return p
		}
	}
	t.Fatal("no port is free for UDP and TCP")
	return 0
}

func newTSIG() TSIG {
	return TSIG{Name: "slipway.test", Algorithm: "hmac-sha256", Secret: secret.New(base64.StdEncoding.EncodeToString([]byte("a secret for tests on loopback..")))}
}

// start runs a server until the test ends, and returns once it has said ready.
func (s *Server) start(ready, path string, args ...string) {
	s.t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Dir = s.Dir
	out, err := cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Stdout = cmd.Stderr // one pipe for both
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.log = &output{ready: ready, seen: make(chan struct{}), ended: make(chan struct{})}
	go s.log.follow(out)
	s.t.Cleanup(func() {
		cmd.Process.Kill()
		<-s.log.ended
		cmd.Wait()
		if s.t.Failed() {
			s.t.Logf("%s said at last:\n%s", filepath.Base(path), tail(s.Log(), 20))
		}
	})
	select {
	case <-s.log.seen:
	case <-s.log.ended:
		s.t.Fatalf("%s ended:\n%s", path, s.Log())
	case <-time.After(startFor):
		s.t.Fatalf("%s is not up after %v:\n%s", path, startFor, s.Log())
	}
}

// output collects what a process says, up to a bound.
type output struct {
	ready string
	seen  chan struct{} // closed when ready was said
	ended chan struct{} // closed when the process's output ends

	mu   sync.Mutex // guards text
	text strings.Builder
}

const maxOutput = 4 << 20

func (o *output) follow(r io.Reader) {
	defer close(o.ended)
	open := true
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadString('\n')
		o.mu.Lock()
		if o.text.Len() < maxOutput {
			o.text.WriteString(line)
		}
		o.mu.Unlock()
		if open && strings.Contains(line, o.ready) {
			open = false
			close(o.seen)
		}
		if err != nil {
			return
		}
	}
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func tail(text string, n int) string {
	lines := strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-n):]
	for i, l := range lines {
		lines[i] = l[:min(len(l), 200)]
	}
	return strings.Join(lines, "\n")
}

// run runs a control tool and fails the test when it fails.
func (s *Server) run(path string, args ...string) string {
	s.t.Helper()
	out, err := s.try(path, args...)
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", path, strings.Join(args, " "), err, out)
	}
	return out
}

func (s *Server) try(path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startFor)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	return string(out), err
}

func (s *Server) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.Dir, name)
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, 0o600)); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// Empty is the content of a zone with nothing in it but what a zone must have.
func Empty(z zone.Name) string {
	return fmt.Sprintf("%s 3600 IN SOA ns.invalid. hostmaster.invalid. 1 3600 600 1209600 60\n%s 3600 IN NS ns.invalid.\n", z.FQDN(), z.FQDN())
}
