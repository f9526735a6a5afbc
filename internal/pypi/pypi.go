// Package pypi installs Python programs that tests compare Slipway with or speak to,
// each once, in a virtual environment of its own in the user's cache directory. It is
// no part of any program.
package pypi

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"slipway/filelock"
)

// Python makes the virtual environment of one program, such as ("moto", "5.2.5", "[server]"),
// once for all test processes of this user, and returns its interpreter. The version is
// pinned, so that a new one breaks no test that nobody touched.
func Python(name, version, extras string) (python string, err error) {
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
	unlock, err := filelock.Take(ctx, filepath.Join(dir, name+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	venv := filepath.Join(dir, name+"-"+version)
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
		{python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", name + extras + "==" + version},
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w: %.500s", strings.Join(args, " "), err, out)
		}
	}
	return python, os.WriteFile(done, nil, 0o600)
}
