// Package audittest helps tests that keep an audit log.
package audittest

import (
	"os"
	"testing"
	"time"
)

// removeWithin is how long a log that was closed may take to let go of its files.
const removeWithin = 5 * time.Second

// TempDir is like testing's, for a directory with a log in it. The log's publisher
// looks at its lock file ten times a second, and one such look may still be under
// way when Close returns: it makes a file while the directory is being removed.
func TempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "slipway-log-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		deadline := time.Now().Add(removeWithin)
		for {
			err := os.RemoveAll(dir)
			if err == nil {
				return
			}
			if time.Now().After(deadline) {
				t.Errorf("the log's directory: %v", err)
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	return dir
}
