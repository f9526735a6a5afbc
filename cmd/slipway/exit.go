package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"slipway/client"
	"slipway/zone"
)

// Exit codes are an interface for scripts. `slipway help exit-codes` documents them.
const (
	exitOK       = 0
	exitNo       = 1 // denied, refused, or a problem was found
	exitUnusable = 2 // could not be judged or done: arguments, input, connection
)

// errAnswerIsNo ends a command whose output has said everything with exit code 1.
var errAnswerIsNo = errors.New("the answer is no")

// refusal is a no that has to be explained.
type refusal struct{ what, help string }

func (r *refusal) Error() string { return r.what }

// usage is a mistake in how the command was called.
type usage struct{ what, help string }

func (u *usage) Error() string { return u.what }

// exit ends a command with a code that is not this tool's own. err, if there is one, is told.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// report tells a person what went wrong and returns the exit code. command is the path that was called, "slipway check".
func (t *tool) report(command string, err error) int {
	if err == nil {
		return exitOK
	}
	var as *exit
	if errors.As(err, &as) {
		t.report(command, as.err)
		return as.code
	}
	// Several faults at once are one message each.
	var many interface{ Unwrap() []error }
	if errors.As(err, &many) {
		code := exitNo
		for _, e := range many.Unwrap() {
			code = max(code, t.report(command, e))
		}
		return code
	}

	var (
		place   *zone.Error
		server  *client.Error
		refused *refusal
		misuse  *usage
	)
	switch {
	case errors.Is(err, errAnswerIsNo):
		return exitNo
	case errors.As(err, &place):
		// The place first, alone and in the form that editors jump to.
		t.say(fmt.Sprintf("%s: %s", place.Place, place.What), place.Help)
		return exitUnusable
	case errors.As(err, &server):
		help := server.Help
		if server.Refusal != "" {
			help = strings.TrimSpace(help + "\nRule: " + server.Refusal)
		}
		t.say(server.Message, help)
		switch server.Code {
		case client.Refused, client.Forbidden, client.Conflict, client.Unauthenticated:
			return exitNo
		}
		return exitUnusable
	case errors.As(err, &refused):
		t.say(refused.what, refused.help)
		return exitNo
	case errors.As(err, &misuse):
		help := misuse.help
		if help == "" {
			help = command + " --help shows how it is used."
		}
		t.say(command+": "+misuse.what, help)
		return exitUnusable
	case errors.Is(err, context.Canceled):
		t.say("Stopped.", "")
		return exitUnusable
	}
	t.say(command+": "+err.Error(), "")
	return exitUnusable
}

func (t *tool) say(what, help string) {
	fmt.Fprintln(t.stderr, plain(what))
	if help != "" {
		fmt.Fprintln(t.stderr, "  "+strings.ReplaceAll(plain(help), "\n", "\n  "))
	}
}
