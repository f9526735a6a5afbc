// Command slipway is the command-line tool: it makes a zones repository, judges changes
// to it without a server, and asks, approves and looks things up at one. It
// starts in milliseconds, so it never imports the workflow engine or the portal.
// It owns words and exit codes; every decision is made in the packages below.
// Read main.go for what a run is given, then root.go for the commands.
package main

import (
	"context"
	"crypto/rand"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/term"
)

func main() {
	growFirst(os.Getenv)
	os.Exit(run())
}

// growFirst lets the heap grow to 16 MB before it is looked through for the first time:
// most runs need little more, and would spend a fifth of their time on looking. From
// then on all is as Go has it by default.
func growFirst(getenv func(string) string) {
	if getenv("GOGC") != "" {
		return
	}
	before := debug.SetGCPercent(400) // of the 4 MB that Go starts with
	runtime.AddCleanup(&struct{ unreachable [64]byte }{}, func(percent int) { debug.SetGCPercent(percent) }, before)
}

// run is main with a return value, for the test scripts.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	t := &tool{
		stdin: newInput(os.Stdin), stdout: os.Stdout, stderr: os.Stderr,
		getenv: os.Getenv, now: time.Now, random: rand.Reader,
		asks:     term.IsTerminal(int(os.Stdin.Fd())),
		colours:  term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		progress: term.IsTerminal(int(os.Stderr.Fd())) && os.Getenv("TERM") != "dumb",
	}
	t.prompts = t.stderr
	if t.asks {
		// Questions must be seen even where both outputs are redirected.
		if terminal, err := os.OpenFile("/dev/tty", os.O_WRONLY, 0); err == nil {
			defer terminal.Close()
			t.prompts = terminal
		}
	}
	return t.run(ctx, os.Args[1:])
}

// tool is everything that a run is given from outside, and the flags that all commands share.
type tool struct {
	stdin          *input
	stdout, stderr io.Writer
	prompts        io.Writer // where a person is asked
	getenv         func(string) string
	now            func() time.Time
	random         io.Reader

	asks     bool // a person sits at the terminal and can be asked
	colours  bool // standard output is a terminal that shows colours
	progress bool // standard error is a terminal

	arguments []string // of the whole call

	noColour  bool
	server    string
	plainHTTP bool
}

func (t *tool) colour() bool { return t.colours && !t.noColour }
