// Package observe owns what was seen of the world outside the repository: answers
// of the DNS and pages of web servers, asked once, kept in order, written to a file and read back. Rules that
// look outside ask through it, so that a verdict reached with live answers comes out
// the same from the file years later. It judges nothing and guesses nothing: a
// question that the file does not answer is ErrMissing. Read this file first, then
// page.go (what HTTPS says), log.go (one run's questions), file.go (the file's form), live.go and
// fetch.go (real servers).
package observe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"

	"slipway/zone"
)

// ErrMissing says that nobody recorded the answer to a question.
var ErrMissing = errors.New("no observation of it is recorded")

// Question is one name and record type, for the resolver or for one authoritative server.
type Question struct {
	Name   zone.Name
	Type   string
	Server zone.Name // "" for the resolver
}

func (q Question) String() string {
	if q.Server != "" {
		return q.Name.Unicode() + " " + q.Type + " at " + q.Server.Unicode()
	}
	return q.Name.Unicode() + " " + q.Type
}

func (q Question) compare(o Question) int {
	return cmp.Or(cmp.Compare(q.Name, o.Name), cmp.Compare(q.Type, o.Type), cmp.Compare(q.Server, o.Server))
}

// What an answer's Status can be beside the names of DNS response codes.
const (
	NoError     = "NOERROR"
	NoSuchName  = "NXDOMAIN"
	Failed      = "SERVFAIL"
	Unreachable = "UNREACHABLE" // no answer came at all
)

// Answer is what a resolver said. Its fields stand in the order of the canonical form.
type Answer struct {
	Name    zone.Name `json:"name"`
	Records []string  `json:"records"`          // the answer section in presentation form, TTL 0, sorted; aliases and signatures included
	Server  zone.Name `json:"server,omitempty"` // that was asked instead of the resolver
	Status  string    `json:"status"`
	Type    string    `json:"type"`
}

// Question is what was asked.
func (a Answer) Question() Question { return Question{a.Name, a.Type, a.Server} }

// Definite reports whether the answer says what exists and what does not; the others only say
// that asking failed.
func (a Answer) Definite() bool { return a.Status == NoError || a.Status == NoSuchName }

// RRs returns the answer's records, aliases and signatures included.
func (a Answer) RRs() []dns.RR {
	var out []dns.RR
	for _, s := range a.Records {
		if rr, err := dns.NewRR(s); err == nil && rr != nil {
			out = append(out, rr)
		}
	}
	return out
}

// Set returns the records of the type that was asked for as a record set of the name that
// was asked for. ok is false when there are none.
func (a Answer) Set() (set zone.RRSet, ok bool) {
	var values []string
	for _, rr := range a.RRs() {
		if rr.Header().Rrtype == dns.StringToType[a.Type] {
			values = append(values, strings.TrimPrefix(rr.String(), rr.Header().String()))
		}
	}
	if len(values) == 0 {
		return zone.RRSet{}, false
	}
	set, err := zone.NewRRSet(a.Name, a.Type, 0, values)
	return set, err == nil
}

// Source answers questions: real servers, or a file of recorded answers. A failure to get an
// answer is an Answer or a Page too (Unreachable); errors are ErrMissing, a context that ends, and a
// resolver that cannot be used at all.
type Source interface {
	Ask(ctx context.Context, q Question) (Answer, error)
	Get(ctx context.Context, url string) (Page, error)
}

// Bounds of what is kept. An SPF record asks a dozen questions, a zone's DNSSEC four.
const (
	MaxAnswers = 20000
	MaxPages   = 200
	MaxRecords = 500 // of one answer
	MaxFile    = 32 << 20
)

// record puts one record into the one form in which it is kept: through wire form, so
// that every escape is spelled alike and nothing but ASCII is left.
func record(rr dns.RR) (string, error) {
	buf := make([]byte, dns.MaxMsgSize)
	n, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return "", err
	}
	if rr, _, err = dns.UnpackRR(buf[:n], 0); err != nil {
		return "", err
	}
	h := rr.Header()
	h.Ttl, h.Name = 0, strings.ToLower(h.Name)
	s := strings.Join(strings.Fields(h.String()), " ") + " " + strings.TrimPrefix(rr.String(), h.String())
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return "", fmt.Errorf("%s %s holds characters that cannot be kept", h.Name, dns.TypeToString[h.Rrtype])
		}
	}
	return s, nil
}
