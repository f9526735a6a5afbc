package portal

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"slipway/approval"
	"slipway/flow"
	"slipway/identity"
	"slipway/zone"
)

// Codes of refusals that only an HTTP server knows.
const (
	unauthenticated  = "unauthenticated"
	methodNotAllowed = "method-not-allowed"
)

// statusOf maps the codes of flow.Error; anything else is our own fault.
var statusOf = map[string]int{
	flow.Invalid:     http.StatusBadRequest,
	unauthenticated:  http.StatusUnauthorized,
	flow.Forbidden:   http.StatusForbidden,
	flow.NotFound:    http.StatusNotFound,
	methodNotAllowed: http.StatusMethodNotAllowed,
	flow.Conflict:    http.StatusConflict,
	flow.Refused:     http.StatusUnprocessableEntity,
	flow.Unavailable: http.StatusServiceUnavailable,
}

// explain turns any error into the one kind that people see. What it does not
// know becomes "unavailable": its text is for the operator, not for the asker.
func explain(err error) *flow.Error {
	var (
		known     *flow.Error
		refusal   *approval.Refusal
		throttled *identity.ThrottledError
		tooMany   *tooManyError
		tooLarge  *http.MaxBytesError
		source    *zone.Error
	)
	switch {
	case errors.As(err, &known):
		if _, ok := statusOf[known.Code]; ok {
			return known
		}
	case errors.As(err, &source):
		return &flow.Error{Code: flow.Invalid, Message: plainReason(source, "This cannot be used."), Detail: source}
	case errors.As(err, &refusal):
		return &flow.Error{Code: flow.Refused, Message: refusal.Text}
	case errors.As(err, &throttled):
		return &flow.Error{Code: flow.Unavailable, Message: "Too many attempts with a wrong secret came from your network.", Help: "Wait a little and try again; nobody is locked out for long.", Detail: err}
	case errors.As(err, &tooMany):
		return &flow.Error{Code: flow.Unavailable, Message: "You have asked for many previews in a short time.", Help: "Wait a few seconds and try again. Sending the request is not held up by this."}
	case errors.As(err, &tooLarge):
		return &flow.Error{Code: flow.Invalid, Message: "What was sent is too large.", Help: "Split it into smaller requests, or send it by Git.", Detail: err}
	case errors.Is(err, identity.ErrNoToken):
		return &flow.Error{Code: unauthenticated, Message: "The personal token is not known, has expired or was revoked.", Help: "Make a new one on the account page of the portal."}
	case errors.Is(err, identity.ErrNoSession), errors.Is(err, identity.ErrNoCredentials):
		return &flow.Error{Code: unauthenticated, Message: "You are not signed in, or your session has ended.", Help: "Open the sign-in link that an administrator gave you, or ask for a new one. Programs send a personal token."}
	case errors.Is(err, identity.ErrNoLink):
		return &flow.Error{Code: flow.NotFound, Message: "This sign-in link is not known.", Help: "Check that the whole address was copied, or ask an administrator for a new link."}
	case errors.Is(err, identity.ErrLinkUsed):
		return &flow.Error{Code: flow.Conflict, Message: "This sign-in link has already been used.", Help: "Each link works once. Ask an administrator for a new one; if it was not you who used it, say so."}
	case errors.Is(err, identity.ErrLinkExpired):
		return &flow.Error{Code: flow.Conflict, Message: "This sign-in link has expired.", Help: "Ask an administrator for a new one."}
	case errors.Is(err, identity.ErrNoAccount):
		return &flow.Error{Code: flow.NotFound, Message: "There is no account of that name.", Help: "Look at the list of accounts; one is made with a person’s first sign-in link.", Detail: err}
	case errors.Is(err, identity.ErrInvalid):
		return &flow.Error{Code: flow.Invalid, Message: sentence(err.Error()), Detail: err}
	case errors.Is(err, identity.ErrForbidden):
		return &flow.Error{Code: flow.Forbidden, Message: sentence(err.Error()), Detail: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &flow.Error{Code: flow.Unavailable, Message: "This took too long.", Help: "Try again in a minute.", Detail: err}
	}
	return &flow.Error{Code: flow.Unavailable, Message: "Something went wrong on our side.", Help: "Try again in a minute. If it stays so, tell the platform team when it happened.", Detail: err}
}

// fail answers with an error, as a page or as JSON, and tells the operator what people are not told.
func (s *server) fail(w http.ResponseWriter, r *request, rt route, err error) {
	if r.Context().Err() != nil {
		return // nobody is listening any more
	}
	e := explain(err)
	status := statusOf[e.Code]
	if e.Detail != nil {
		level := s.Logger.Info
		if e.Code == flow.Unavailable {
			level = s.Logger.Error
		}
		level("refused", "method", r.Method, "route", rt.pattern, "person", r.person.ID, "code", e.Code, "error", e.Detail)
	}
	var throttled *identity.ThrottledError
	if errors.As(err, &throttled) {
		w.Header().Set("Retry-After", strconv.Itoa(int(throttled.Wait.Seconds())+1))
	}
	if tooMany, ok := errors.AsType[*tooManyError](err); ok {
		w.Header().Set("Retry-After", strconv.Itoa(int(tooMany.wait.Seconds())+1))
	}
	if rt.face == api {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		type problem struct {
			Code    string `json:"code"`
			Message string `json:"message"`
			Help    string `json:"help"`
			Refusal string `json:"refusal,omitempty"`
		}
		writeJSON(w, status, map[string]problem{"error": {e.Code, e.Message, e.Help, refusal(e)}})
		return
	}
	if status == http.StatusUnauthorized && r.Method == http.MethodGet && rt.who != anyone {
		http.Redirect(w, r.Request, "/sign-in", http.StatusSeeOther)
		return
	}
	if err := s.show(w, r, status, "problem", headings[e.Code], e); err != nil {
		s.Logger.Error("error page", "error", err)
	}
}

// refusal is the code of the rule of voting that said no; "" for any other error.
func refusal(e *flow.Error) string {
	if r, ok := errors.AsType[*approval.Refusal](e.Detail); ok {
		return r.Code
	}
	return ""
}

// headings of error pages.
var headings = map[string]string{
	flow.Invalid:     "This cannot be accepted as it is",
	unauthenticated:  "Please sign in",
	flow.Forbidden:   "You may not do this",
	flow.NotFound:    "Not found",
	methodNotAllowed: "Not possible here",
	flow.Conflict:    "This is no longer possible",
	flow.Refused:     "This was refused",
	flow.Unavailable: "Not available just now",
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		// Only our own types come here; one that cannot be written is a fault in them.
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n')) // a client that has gone is no error of ours
}
