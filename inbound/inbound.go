// Package inbound takes in what others report of the world outside: providers' change
// logs, CI, clusters, ticket systems, registrars. It owns who may report (each source has
// a credential of its own), how each sort of report is read, which change a report
// belongs to, and the conclusion when it belongs to none. A report decides nothing: it
// approves no change and alters no zone; it becomes an event, with what was sent kept as
// a document under its digest. Read this file first, then receive.go for the way in,
// parse.go for the sorts of reports, correlate.go and settle.go for what is concluded.
package inbound

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"slipway/zone"
)

// Kind is what a report is about.
type Kind string

const (
	DNSChange   Kind = "dns-change"  // record sets were changed at a provider
	CIResult    Kind = "ci-result"   // a pipeline ended
	Decision    Kind = "decision"    // somebody approved or refused something elsewhere, in a ticket or a chat
	Cluster     Kind = "cluster"     // an object of a cluster that names hosts was changed
	Certificate Kind = "certificate" // an authority issued or revoked
	Domain      Kind = "domain"      // a registrar changed a domain: its servers, its lock, its contacts
)

var kinds = map[Kind]bool{DNSChange: true, CIResult: true, Decision: true, Cluster: true, Certificate: true, Domain: true}

// Report is one act as a source tells it. JSON names are those of the event's details and
// of reports of the type "report".
type Report struct {
	Source         string      `json:"source"` // as slipway.yaml calls it
	Kind           Kind        `json:"kind"`
	ID             string      `json:"id"`           // the source's own, by which a repetition is known
	By             string      `json:"by,omitempty"` // who did it, as the source says
	At             time.Time   `json:"at"`
	Zone           zone.Name   `json:"zone,omitempty"`
	Edits          []Edit      `json:"edits,omitempty"`           // DNSChange: the record sets
	Hosts          []zone.Name `json:"hosts,omitempty"`           // names that the act is about
	Commit         string      `json:"commit,omitempty"`          // of a Git repository
	Ticket         string      `json:"ticket,omitempty"`          //
	ProviderChange string      `json:"provider_change,omitempty"` // the provider's own ID of what it did
	Outcome        string      `json:"outcome,omitempty"`         // success | failure | …
	Text           string      `json:"text,omitempty"`            // for people
	More           int         `json:"more,omitempty"`            // edits and hosts that are only in the document

	beyond *beyond // these, where they are known
}

// beyond is what of a report has no room in an event. It counts all the same: what explains
// the first edits of a report need not explain the others.
type beyond struct {
	edits []Edit
	hosts []zone.Name
}

// edits are all record sets that a report names.
func (r *Report) edits() []Edit {
	if r.beyond == nil {
		return r.Edits
	}
	return slices.Concat(r.Edits, r.beyond.edits)
}

// hosts are all names that a report is about.
func (r *Report) hosts() []zone.Name {
	if r.beyond == nil {
		return r.Hosts
	}
	return slices.Concat(r.Hosts, r.beyond.hosts)
}

// Edit is one record set that a report names.
type Edit struct {
	Name   zone.Name `json:"name"`
	Type   string    `json:"type"` // "" : every type
	Delete bool      `json:"delete,omitempty"`
	Values []string  `json:"values,omitempty"` // zone file form; nil where the source does not say
}

const (
	maxBody    = 1 << 20 // bytes of one delivery
	maxReports = 1000    // in one delivery
	maxEdits   = 50      // in one event; the document has all
	maxHosts   = 20      // in one event
	maxText    = 500     // bytes of a text for people
	maxField   = 256     // bytes of everything else that a source writes
	maxValues  = 2048    // bytes of the values of one edit in an event
)

// errReport is wrong content: the source can do something about it.
var errReport = errors.New("not a report of this type")

// tidy bounds what a source has written, and refuses what no event could be made of.
func (r *Report) tidy() error {
	switch {
	case !kinds[r.Kind]:
		return fmt.Errorf("%w: there is no kind %q", errReport, short(string(r.Kind), 40))
	case r.ID == "" || len(r.ID) > maxField:
		return fmt.Errorf("%w: the report has no ID of at most %d bytes, so a repetition could not be told from a second act", errReport, maxField)
	case r.At.IsZero() || r.At.Year() < 1980 || r.At.Year() > 9999:
		return fmt.Errorf("%w: the report does not say when it happened", errReport)
	}
	r.At = r.At.UTC().Truncate(time.Millisecond)
	for _, s := range []*string{&r.By, &r.Commit, &r.Ticket, &r.ProviderChange, &r.Outcome} {
		*s = short(*s, maxField)
	}
	r.ID, r.Text = valid(r.ID), short(r.Text, maxText)
	rest := beyond{edits: r.Edits[min(len(r.Edits), maxEdits):], hosts: r.Hosts[min(len(r.Hosts), maxHosts):]}
	r.Edits, r.Hosts = r.Edits[:len(r.Edits)-len(rest.edits)], r.Hosts[:len(r.Hosts)-len(rest.hosts)]
	if n := len(rest.edits) + len(rest.hosts); n > 0 {
		r.beyond, r.More = &rest, r.More+n
	}
	for i := range r.Edits {
		e := &r.Edits[i]
		e.Type = short(e.Type, 20)
		size := 0
		for j := range e.Values {
			e.Values[j] = valid(e.Values[j])
			size += len(e.Values[j])
		}
		if size > maxValues {
			e.Values = nil // the document has them
		}
	}
	return nil
}

// short cuts a text at a whole character.
func short(s string, most int) string {
	s = valid(s)
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// name reads a DNS name that may have escapes, or end in a dot; "" when it is none.
func name(s string) zone.Name {
	n, err := zone.ParseName(strings.ReplaceAll(s, `\052`, "*"))
	if err != nil {
		return ""
	}
	return n
}

// names reads those of a list that are names.
func names(list []string) []zone.Name {
	var out []zone.Name
	for _, s := range list {
		if n := name(s); n != "" {
			out = append(out, n)
		}
	}
	return out
}

// stamp reads a time as most services write it.
func stamp(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// decode reads JSON into a shape of which only the needed members are named.
func decode(raw []byte, into any) error {
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%w: %v", errReport, err)
	}
	return nil
}
