package repo

import (
	"context"
	"io"
	"net/http"
)

// CONTRACT: replaced below.

// HostOptions wires the smart-HTTP host to the server.
type HostOptions struct {
	// Authenticate returns the person behind a request (HTTP basic: user, token). Refusal is 401.
	Authenticate func(r *http.Request) (Person, error)
	// Receive handles `git push origin HEAD:refs/for/main`: lines written to progress reach the pusher at once.
	// A nil error accepts the push.
	Receive      func(ctx context.Context, by Person, commit string, options []string, progress io.Writer) error
	MaxPackBytes int64 // default 64 MiB
}

// Host serves the repository at the handler's root. Pushes to anything but refs/for/main are refused with a sentence.
func (r *Repo) Host(o HostOptions) (http.Handler, error) { panic("contract") }
