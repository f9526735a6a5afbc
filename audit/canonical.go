package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/gowebpki/jcs"
)

// Canonical is the RFC 8785 form of a value's JSON: the one spelling over which
// signatures and digests are made. Numbers are IEEE 754 doubles there (section
// 3.2.2.3), so integers beyond 2^53 belong in strings.
func Canonical(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return jcs.Transform(raw)
}

// entry is an event as it lies in the log.
type entry struct {
	event   Event
	payload []byte // what the signature is over: all but the signature
}

// parseEntry reads the bytes of a log entry. It accepts only the canonical form, so
// that one event has exactly one spelling, and keeps members that this version
// does not know within the signed payload.
func parseEntry(raw []byte) (entry, error) {
	if !surelyCanonical(raw) {
		canonical, err := jcs.Transform(raw)
		if err != nil {
			return entry{}, fmt.Errorf("not JSON as RFC 8785 wants it: %w", err)
		}
		if !bytes.Equal(canonical, raw) {
			return entry{}, errors.New("not in the canonical form of RFC 8785")
		}
	}
	var e entry
	if err := decodeEvent(raw, &e.event); err != nil {
		return entry{}, fmt.Errorf("not an event: %w", err)
	}
	// As it is spelt: a signature is of characters that need no escapes, and one that is
	// not is none.
	member, ok := findMember(raw, "signature", []byte(`"`+e.event.Signature+`"`))
	if !ok {
		return entry{}, errors.New("no signature among the members")
	}
	e.payload = member.removed()
	return e, nil
}

// member is a place in a canonical object.
type member struct {
	object   []byte
	from, to int
}

// findMember finds the member of the outermost object that has this name and this
// value, as the two are spelt there.
func findMember(object []byte, name string, value []byte) (member, bool) {
	text := slices.Concat([]byte(`"`+name+`":`), value)
	// The same text can also occur inside another value, so it is looked for only
	// where members of the outermost object begin.
	for at, depth, quoted := 0, 0, false; at < len(object); at++ {
		switch c := object[at]; {
		case quoted && c == '\\':
			at++
		case c == '"':
			begins := !quoted && depth == 1 && (object[at-1] == '{' || object[at-1] == ',')
			if begins && bytes.HasPrefix(object[at:], text) {
				return member{object, at, at + len(text)}, true
			}
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
	}
	return member{}, false
}

// removed is the object without the member. What is left is canonical as it stands.
func (m member) removed() []byte {
	switch {
	case m.object[m.from-1] == ',':
		return slices.Concat(m.object[:m.from-1], m.object[m.to:])
	case m.object[m.to] == ',':
		return slices.Concat(m.object[:m.from], m.object[m.to+1:])
	default:
		return slices.Concat(m.object[:m.from], m.object[m.to:])
	}
}
