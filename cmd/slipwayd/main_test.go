package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"slipway/audit/audittest"
)

// run runs the command as a person would, on fresh data.
func run(ctx context.Context, t *testing.T, args ...string) (string, error) {
	t.Helper()
	return runOn(ctx, t, filepath.Join(audittest.TempDir(t), "data"), args...)
}

func runOn(ctx context.Context, t *testing.T, data string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	root := newRoot()
	root.SetOut(&out)
	root.SetArgs(append(args, "--data", data))
	err := root.ExecuteContext(ctx)
	return out.String(), err
}

func TestUnusableArguments(t *testing.T) {
	for name, args := range map[string][]string{
		"unknown flag":     {"--nonsense"},
		"no port":          {"--listen", "127.0.0.1"},
		"no nameserver":    {"--dns", "here"},
		"log level":        {"--log-level", "loud"},
		"log format":       {"--log-format", "xml"},
		"bad organisation": {"--domain", "acme", "--listen", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--dns-external", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := run(t.Context(), t, args...)
			var usage usageError
			if !errors.As(err, &usage) {
				t.Errorf("error %v; a mistake of the caller's ends with exit code %d", err, exitUnusable)
			}
		})
	}
}

func TestTakenPortNamesTheFlag(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = run(t.Context(), t, "--listen", l.Addr().String())
	if err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("error %v; it should name the flag", err)
	}
}

func TestDemo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := &stopAt{word: "Press Ctrl-C", stop: cancel}
	root := newRoot()
	root.SetOut(done)
	data := filepath.Join(audittest.TempDir(t), "data")
	root.SetArgs([]string{"demo", "--data", data, "--listen", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--dns-external", "127.0.0.1:0"})
	if err := root.ExecuteContext(ctx); err != nil {
		t.Fatalf("%v\n%s", err, done)
	}
	for _, want := range []string{"green", "go-live", "The nameserver answers", "yellow", "waits for one approver", "/sign-in/"} {
		if !strings.Contains(done.String(), want) {
			t.Errorf("the demonstration does not show %q:\n%s", want, done)
		}
	}
	if out, err := runOn(t.Context(), t, data, "reindex"); err != nil || !strings.Contains(out, "Rebuilt the index") {
		t.Errorf("reindex: %v\n%s", err, out)
	}
}

// stopAt is an output that calls stop when a word has been written.
type stopAt struct {
	bytes.Buffer
	word string
	stop func()
}

func (w *stopAt) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if strings.Contains(w.String(), w.word) {
		w.stop()
	}
	return n, err
}
