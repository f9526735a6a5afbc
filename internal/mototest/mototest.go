// Package mototest starts moto, the stand-in for Amazon's services, for tests. Package
// pypi installs it. It is no part of any program.
package mototest

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"slipway/internal/pypi"
)

// version is pinned so that a new one breaks no test that nobody touched.
const version = "5.2.5"

var shared struct {
	sync.Mutex
	url string
	err error
	cmd *exec.Cmd
}

// Start returns the URL of a moto server, which all tests of a process share; Reset
// empties it. Tests skip where it cannot be installed. Stop ends it, in TestMain.
func Start(t testing.TB) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.url == "" && shared.err == nil {
		shared.url, shared.err = start()
	}
	if shared.err != nil {
		t.Skipf("moto, which stands in for Amazon's services, cannot be started: %v", shared.err)
	}
	return shared.url
}

// Stop ends the server, if there is one.
func Stop() {
	shared.Lock()
	defer shared.Unlock()
	if shared.cmd != nil {
		shared.cmd.Process.Kill()
		shared.cmd.Wait()
	}
}

// Reset removes everything from the server.
func Reset(t testing.TB, url string) {
	t.Helper()
	r, err := http.Post(url+"/moto-api/reset", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, r.Body)
	r.Body.Close()
}

func start() (string, error) {
	python, err := pypi.Python("moto", version, "[server]")
	if err != nil {
		return "", err
	}
	cmd := exec.Command(python, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0")
	out, err := cmd.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	shared.cmd = cmd
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), "Running on "); ok {
			go io.Copy(io.Discard, out)
			return strings.TrimSpace(url), nil
		}
	}
	return "", fmt.Errorf("it ended before it listened")
}
