package portal

import "net/http"

// The table of routes, for the tests that ask all of them.

func serverOf(h http.Handler) *server { return h.(*server) }

func AccessTable(h http.Handler) []byte { return serverOf(h).accessTable() }

func Patterns(h http.Handler) (out []string) {
	for _, r := range serverOf(h).routes() {
		out = append(out, r.pattern)
	}
	return out
}
