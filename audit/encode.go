package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/gowebpki/jcs"
)

const lowerHex = "0123456789abcdef"

// canonicalEvent appends the RFC 8785 form of an event to b, without its signature, and
// says where the signature's member belongs. It writes what Canonical would, in one go,
// because every event is written in this form; a test holds the two together.
func canonicalEvent(b []byte, e *Event) (_ []byte, signature int, err error) {
	w := writer{b: append(b, '{')}
	w.member("action", string(e.Action))
	w.b = append(w.b, `,"actor":{`...)
	w.member("id", e.Actor.ID)
	w.b = append(w.b, ',')
	w.member("role", e.Actor.Role)
	w.b = append(w.b, `},"approval_chain":[`...)
	for i, approver := range e.ApprovalChain {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.text(approver)
	}
	w.b = append(w.b, `],"artifact_refs":`...)
	w.refs(e.ArtifactRefs)
	w.optional("change", e.Change)
	w.details(e.Details)
	w.b = append(w.b, ',')
	w.member("event_id", e.EventID)
	w.b = append(w.b, ',')
	w.member("git_commit", e.GitCommit)
	w.b = append(w.b, ',')
	w.member("key_id", e.KeyID)
	w.optional("once", e.Once)
	w.b = append(w.b, `,"resource":`...)
	w.resource(e.Resource)
	signature = len(w.b)
	if year := e.Timestamp.Year(); year < 0 || year > 9999 {
		w.fail(fmt.Errorf("timestamp: the year %d has no RFC 3339 form", year))
	}
	w.b = append(w.b, `,"timestamp":"`...)
	w.b = e.Timestamp.AppendFormat(w.b, time.RFC3339Nano)
	w.b = append(w.b, `"}`...)
	return w.b, signature, w.err
}

// writer appends canonical JSON.
type writer struct {
	b   []byte
	err error // the first
}

func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *writer) member(name, value string) {
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, `":`...)
	w.text(value)
}

func (w *writer) optional(name, value string) {
	if value != "" {
		w.b = append(w.b, ',')
		w.member(name, value)
	}
}

// text escapes what has to be escaped and nothing else (RFC 8785 section 3.2.2.2).
func (w *writer) text(s string) {
	if !utf8.ValidString(s) {
		w.fail(fmt.Errorf("%.64q is not valid UTF-8", s))
		return
	}
	w.b = append(w.b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		w.b = append(w.b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			w.b = append(w.b, '\\', c)
		case '\b':
			w.b = append(w.b, `\b`...)
		case '\f':
			w.b = append(w.b, `\f`...)
		case '\n':
			w.b = append(w.b, `\n`...)
		case '\r':
			w.b = append(w.b, `\r`...)
		case '\t':
			w.b = append(w.b, `\t`...)
		default:
			w.b = append(w.b, `\u00`...)
			w.b = append(w.b, lowerHex[c>>4], lowerHex[c&15])
		}
	}
	w.b = append(w.b, s[from:]...)
	w.b = append(w.b, '"')
}

// refs writes an object whose names are anybody's, so that their order may be one of
// UTF-16 code units: for the rare name that is not ASCII the full algorithm is asked.
func (w *writer) refs(refs map[string]string) {
	for name := range refs {
		if ascii(name) {
			continue
		}
		canonical, err := Canonical(refs)
		if err != nil {
			w.fail(fmt.Errorf("artifact_refs: %w", err))
		}
		w.b = append(w.b, canonical...)
		return
	}
	w.b = append(w.b, '{')
	for i, name := range slices.Sorted(maps.Keys(refs)) {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.text(name)
		w.b = append(w.b, ':')
		w.text(refs[name])
	}
	w.b = append(w.b, '}')
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func (w *writer) details(details json.RawMessage) {
	if len(details) == 0 {
		return
	}
	if !surelyCanonical(details) {
		if !json.Valid(details) {
			w.fail(errors.New("details: not JSON"))
			return
		}
		var err error
		if details, err = jcs.Transform(details); err != nil {
			w.fail(fmt.Errorf("details: %w", err))
			return
		}
	}
	w.b = append(w.b, `,"details":`...)
	w.b = append(w.b, details...)
}

func (w *writer) resource(r Resource) {
	w.b = append(w.b, '{')
	first := true
	for _, m := range [...]struct{ name, value string }{
		{"app", r.App}, {"name", r.Name}, {"record", r.Record}, {"type", r.Type}, {"zone", r.Zone},
	} {
		if m.value == "" {
			continue
		}
		if !first {
			w.b = append(w.b, ',')
		}
		first = false
		w.member(m.name, m.value)
	}
	w.b = append(w.b, '}')
}
