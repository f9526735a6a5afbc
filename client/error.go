package client

import (
	"errors"
	"net/http"
)

// The codes of an Error, as the API names them.
const (
	Invalid         = "invalid"
	Unauthenticated = "unauthenticated"
	Forbidden       = "forbidden"
	NotFound        = "not-found"
	Conflict        = "conflict"
	Refused         = "refused"
	Unavailable     = "unavailable"
)

// Error is what the server, or the way to it, has to say to a person.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`           // what is wrong and why it matters
	Help    string `json:"help,omitempty"`    // what to do
	Refusal string `json:"refusal,omitempty"` // the rule of voting that said no, as approval names it; "" for anything else
	Status  int    `json:"-"`                 // HTTP status; 0 when there was no answer
	Detail  error  `json:"-"`                 // for whoever looks for the cause
}

func (e *Error) Error() string {
	if e.Help == "" {
		return e.Message
	}
	return e.Message + " " + e.Help
}

func (e *Error) Unwrap() error { return e.Detail }

// Is reports whether err is an Error with that code.
func Is(err error, code string) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

func codeOf(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return Unauthenticated
	case http.StatusForbidden:
		return Forbidden
	case http.StatusNotFound:
		return NotFound
	case http.StatusConflict:
		return Conflict
	case http.StatusUnprocessableEntity:
		return Refused
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		return Invalid
	}
	return Unavailable
}
