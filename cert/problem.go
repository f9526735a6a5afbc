package cert

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/go-acme/lego/v5/acme"
)

// Errors that callers branch on.
var (
	ErrNoRenewalInfo = errors.New("the authority gives no renewal information")
	ErrRateLimited   = errors.New("the authority asks to wait")             // *WaitError says until when
	ErrRefused       = errors.New("the authority refuses this certificate") // asking again as it is will not help
)

// WaitError is ErrRateLimited with the time from which asking again makes sense.
type WaitError struct {
	Until time.Time
	Why   string // for people
}

func (e *WaitError) Error() string {
	return fmt.Sprintf("%v until %s: %s", ErrRateLimited, e.Until.UTC().Format(time.RFC3339), e.Why)
}

func (e *WaitError) Unwrap() error { return ErrRateLimited }

// Problem is what an authority said was wrong (RFC 8555 section 6.7), or what is
// wrong with what it did. It is ErrRefused when asking again as it is will not help.
type Problem struct {
	Authority string
	Status    int    // of HTTP
	Type      string // without "urn:ietf:params:acme:error:", for example "caa"; "" when it is none of ACME's
	Detail    string // in the authority's words, shortened
	Name      string // that it is about, where the authority says
	Link      string // where a person can read or do more; "" for none
}

// Bounds on what is kept of a problem document: it goes into events and pages.
const (
	maxDetail      = 500
	maxSubproblems = 10
)

// defaultWait is for an authority that limits and does not say for how long.
const defaultWait = time.Hour

func (p *Problem) Error() string {
	text := p.plain()
	if p.Detail != "" {
		text += fmt.Sprintf(" (%s: %s)", p.Authority, p.Detail)
	}
	if p.Link != "" {
		text += " See " + p.Link
	}
	return text
}

func (p *Problem) Unwrap() error {
	if meanings[p.Type].final {
		return ErrRefused
	}
	return nil
}

// plain says in plain words what is wrong and what to do.
func (p *Problem) plain() string {
	m, ok := meanings[p.Type]
	if !ok {
		return fmt.Sprintf("the certificate authority %s answered with an error (HTTP status %d). It is tried again", p.Authority, p.Status)
	}
	name := p.Name
	if name == "" {
		name = "one of the names"
		if p.Type == "unauthorized" { // of a proof it has a name; this is of the account
			m.text = "{authority} does not let our account do this. It is tried again; if that does not help, ask {authority} whether the account was closed"
		}
	}
	return strings.NewReplacer("{authority}", p.Authority, "{name}", name).Replace(m.text)
}

// meaning is one error type of RFC 8555 section 6.7 for people.
type meaning struct {
	text  string
	final bool // the same again gives the same answer, until a person changes something
}

var meanings = map[string]meaning{
	"accountDoesNotExist":     {"{authority} does not know our account. It is tried again", false},
	"alreadyRevoked":          {"the certificate is revoked already", false},
	"badCSR":                  {"{authority} does not accept the certificate request, for example because the key is too short or of a kind that it does not take. Choose another kind of key, or another authority", true},
	"badNonce":                {"{authority} keeps refusing our requests as out of date. It is tried again", false},
	"badPublicKey":            {"{authority} does not take keys of this kind. Choose another kind of key", true},
	"badRevocationReason":     {"{authority} does not accept this reason for a revocation. Choose another reason", true},
	"badSignatureAlgorithm":   {"{authority} does not take our account key. Use an ECDSA P-256 key for the account", true},
	"caa":                     {"the CAA records of {name} do not let {authority} issue certificates, so it must not. Add a CAA record that names {authority}, or have the certificate from an authority that is named there", true},
	"connection":              {"{authority} could not reach the servers of {name} to check that it is ours. It is tried again", false},
	"dns":                     {"{authority} could not look up {name}, so it could not check that the name is ours. See that its zone is delegated and answers everywhere. It is tried again", false},
	"externalAccountRequired": {"{authority} issues only to customers it knows. Put the key ID and the key that it gave you (external account binding) into the settings of this authority", true},
	"incorrectResponse":       {"{authority} did not find the record that proves that {name} is ours. It is tried again", false},
	"invalidContact":          {"{authority} does not accept the contact addresses in its settings. Correct them", true},
	"invalidProfile":          {"{authority} has no such certificate profile. Choose one that it has", true},
	"malformed":               {"{authority} does not understand the request", false},
	"orderNotReady":           {"{authority} is not ready to issue yet. It is tried again", false},
	"rateLimited":             {"{authority} has issued as much as it wants to for now", false},
	"rejectedIdentifier":      {"{authority} does not issue certificates for {name}. Use another name, or another authority", true},
	"serverInternal":          {"{authority} has a problem of its own. It is tried again", false},
	"tls":                     {"{authority} could not make a secure connection to {name}. It is tried again", false},
	"unauthorized":            {"{authority} could not see that {name} is ours. It is tried again", false},
	"unsupportedContact":      {"{authority} does not accept the kind of contact address in its settings. Use an e-mail address", true},
	"unsupportedIdentifier":   {"{authority} does not issue for this kind of name. Use a DNS name", true},
	"userActionRequired":      {"{authority} wants a person to do something first, such as agreeing to new terms", true},
}

// problem reads the answer that was no success.
func (a *Authority) problem(r reply) error {
	return a.named(parseProblem(r.body, r.status, r.problem), r.retry)
}

// explain is for the error of an order or of a challenge.
func (a *Authority) explain(d *acme.ProblemDetails, name string) error {
	p := problemOf(d, d.HTTPStatus)
	if p.Name == "" {
		p.Name = name
	}
	return a.named(p, 0)
}

func (a *Authority) named(p *Problem, retry time.Duration) error {
	p.Authority = a.config.Name
	// Let's Encrypt and others limit by 429 or 503 with Retry-After, with or without the type.
	if p.Type == "rateLimited" || p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable && retry > 0 {
		if retry <= 0 {
			retry = defaultWait
		}
		return &WaitError{Until: a.config.Now().Add(retry), Why: p.Error()}
	}
	return p
}

// parseProblem reads a problem document (RFC 7807 and RFC 8555 section 6.7.1), or
// whatever came instead. A compound problem is the most final one of its parts.
func parseProblem(body []byte, status int, isProblem bool) *Problem {
	var d acme.ProblemDetails
	if !isProblem || json.Unmarshal(body, &d) != nil {
		return &Problem{Status: status, Detail: plainText(string(body))}
	}
	return problemOf(&d, status)
}

func problemOf(d *acme.ProblemDetails, status int) *Problem {
	p := &Problem{Status: status, Type: errorType(d.Type), Detail: plainText(d.Detail)}
	if strings.HasPrefix(d.Instance, "https://") {
		p.Link = plainText(d.Instance)
	}
	for _, sub := range d.SubProblems[:min(len(d.SubProblems), maxSubproblems)] {
		kind := errorType(sub.Type)
		if _, known := meanings[kind]; !known {
			continue
		}
		if p.Name == "" || meanings[kind].final && !meanings[p.Type].final {
			p.Type, p.Name = kind, nameText(sub.Identifier.Value)
			if sub.Detail != "" {
				p.Detail = plainText(sub.Detail)
			}
		}
	}
	return p
}

// errorType is the last part of an error's URN. Servers older than RFC 8555 write
// "urn:acme:error:…".
func errorType(urn string) string {
	for _, prefix := range []string{"urn:ietf:params:acme:error:", "urn:acme:error:"} {
		if kind, ok := strings.CutPrefix(urn, prefix); ok {
			return plainText(kind)
		}
	}
	return ""
}

func nameText(s string) string {
	if len(s) > 255 {
		return ""
	}
	return plainText(s)
}

// plainText takes out of somebody else's text what is not text, and shortens it.
func plainText(s string) string {
	if len(s) > 4*maxDetail {
		s = s[:4*maxDetail]
	}
	s = strings.ToValidUTF8(s, "")
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if runes := []rune(s); len(runes) > maxDetail {
		s = string(runes[:maxDetail]) + "…"
	}
	return s
}
