package cert

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"
)

// TestMeanings sees that every error type of RFC 8555 says in plain words what to do.
func TestMeanings(t *testing.T) {
	for kind, m := range meanings {
		p := &Problem{Authority: "public", Type: kind, Name: "a.example"}
		text := p.Error()
		if strings.ContainsAny(text, "{}") || len(text) < 20 || strings.HasSuffix(text, ".") {
			t.Errorf("%s: %q", kind, text)
		}
		if errors.Is(p, ErrRefused) != m.final {
			t.Errorf("%s: refused is %v", kind, !m.final)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"-5":                            0,
		"120":                           2 * time.Minute,
		"99999999":                      maxRetryAfter,
		"soon":                          0,
		"Sun, 01 Mar 2026 09:30:00 GMT": 30 * time.Minute,
		"Sun, 01 Mar 2026 08:30:00 GMT": 0,
		"Mon, 01 Mar 2066 08:30:00 GMT": maxRetryAfter,
	} {
		if got := retryAfter(header, start); got != want {
			t.Errorf("%q is %s, want %s", header, got, want)
		}
	}
}

func FuzzProblem(f *testing.F) {
	f.Add([]byte(problemJSON("caa", "no")), 403)
	f.Add([]byte(`{"type":"urn:ietf:params:acme:error:compound","subproblems":[{"type":"urn:ietf:params:acme:error:dns","identifier":{"type":"dns","value":"a.example"}}]}`), 400)
	f.Add([]byte(`{"type":"about:blank","instance":"https://ca.example/x","detail":"\u0000\u202e"}`), 500)
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		p := parseProblem(body, status, true)
		p.Authority = "public"
		text := p.Error()
		if len(text) > 8*maxDetail+1000 {
			t.Fatalf("%d bytes of text", len(text))
		}
		if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) }) {
			t.Fatalf("control characters in %q", text)
		}
	})
}
