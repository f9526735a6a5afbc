package flow

import (
	"errors"
	"fmt"
	"strings"

	"slipway/approval"
	"slipway/lifecycle"
	"slipway/repo"
	"slipway/zone"
)

// The codes of an Error. Callers map codes, never messages.
const (
	Invalid     = "invalid"     // the request cannot be understood or used
	NotFound    = "not-found"   // there is no such thing
	Forbidden   = "forbidden"   // somebody else may do this
	Conflict    = "conflict"    // it does not fit what has happened meanwhile
	Refused     = "refused"     // a rule says no
	Unavailable = "unavailable" // Slipway could not do it; trying again may help
)

// Error is what a person sees: code, message, next step.
type Error struct {
	Code    string
	Message string
	Help    string
	Detail  error // for the operator's log; a *approval.Refusal for a refused vote
}

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.Detail }

func fault(code, help, format string, args ...any) *Error {
	return &Error{Code: code, Help: help, Message: fmt.Sprintf(format, args...)}
}

// explain turns any error into one for people. What is an Error already stays as it is.
func explain(what string, err error) error {
	var known *Error
	var source *zone.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.As(err, &source):
		return sourceFault(source)
	case errors.Is(err, lifecycle.ErrNoChange):
		return &Error{Code: NotFound, Message: "There is no such change.", Help: "Look at the list of changes for its ID.", Detail: err}
	}
	return &Error{Code: Unavailable, Message: "Slipway could not " + what + ".",
		Help: "Try again in a moment. If it stays like this, ask whoever runs Slipway: the reason is in its log.", Detail: err}
}

// sourceFault is for a file in the request that cannot be used.
func sourceFault(source *zone.Error) *Error {
	message := source.What
	if source.Place.Path != "" {
		message = source.Place.String() + ": " + message
	}
	return &Error{Code: Invalid, Message: message, Help: source.Help, Detail: source}
}

// conflictWords says which files a change and main disagree on.
func conflictWords(err error) string {
	return "Since this change was made, another one has changed " + conflictPlaces(err) + " on main, and the two do not fit together. " +
		"Rebase yours on the current main and submit it again: git pull --rebase origin main, then push; or fill in the form again."
}

// conflictPlaces names the files that two sides disagree on.
func conflictPlaces(err error) string {
	paths := repo.ConflictPaths(err)
	if len(paths) == 0 {
		return "the same lines"
	}
	more := ""
	if len(paths) > 5 {
		more = fmt.Sprintf(" and %d more", len(paths)-5)
		paths = paths[:5]
	}
	return strings.Join(paths, ", ") + more
}

func refusedVote(r *approval.Refusal) *Error {
	return &Error{Code: Refused, Message: r.Text, Detail: r}
}

// short bounds what an error from elsewhere may put into an event or a page.
func short(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && s[cut]&0xC0 == 0x80 { // not inside a UTF-8 sequence
		cut--
	}
	return s[:cut] + "…"
}
