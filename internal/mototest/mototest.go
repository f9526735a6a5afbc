// Package mototest starts moto, the stand-in for Amazon's services, for tests. It is
// installed once from PyPI into a virtual environment in the user's cache directory. It
// is no part of any program.
package mototest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/filelock"
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
	python, err := install()
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

// install makes the virtual environment, once for all test processes of this user.
func install() (python string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "slipway-test")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	unlock, err := filelock.Take(ctx, filepath.Join(dir, "moto.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	venv := filepath.Join(dir, "moto-"+version)
	python = filepath.Join(venv, "bin", "python")
	done := filepath.Join(venv, "complete")
	if _, err := os.Stat(done); err == nil {
		return python, nil
	}
	if err := os.RemoveAll(venv); err != nil {
		return "", err
	}
	for _, args := range [][]string{
		{"python3", "-m", "venv", venv},
		{python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "moto[server]==" + version},
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w: %.500s", strings.Join(args, " "), err, out)
		}
	}
	return python, os.WriteFile(done, nil, 0o600)
}
