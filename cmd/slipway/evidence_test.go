package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"slipway/evidence/evidencetest"
)

// makeRecord gives a script a data directory with a record in which apps were launched, and the keys to
// trust: makerecord DIR.
func makeRecord(t *testing.T) func(*testscript.TestScript, bool, []string) {
	sample := sync.OnceValue(func() string {
		w, _ := evidencetest.Sample(t)
		w.Close()
		keys, err := os.Create(filepath.Join(w.Dir, "audit", "keys.json"))
		if err == nil {
			err = errors.Join(w.PublicKeys.Write(keys), keys.Close())
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(w.Dir, "keys.pub"), fmt.Appendf(nil, "# the log of Fin Micro\n%s\n", w.PublicKeys.Log), 0o600)
		}
		if err != nil {
			t.Error(err)
		}
		return w.Dir
	})
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 1 {
			ts.Fatalf("usage: makerecord DIR")
		}
		ts.Check(os.CopyFS(ts.MkAbs(args[0]), os.DirFS(sample())))
	}
}
