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
	canonical, err := jcs.Transform(raw)
	if err != nil {
		return entry{}, fmt.Errorf("not JSON as RFC 8785 wants it: %w", err)
	}
	if !bytes.Equal(canonical, raw) {
		return entry{}, errors.New("not in the canonical form of RFC 8785")
	}
	var e entry
	if err := json.Unmarshal(raw, &e.event); err != nil {
		return entry{}, fmt.Errorf("not an event: %w", err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return entry{}, err
	}
	if _, ok := members["signature"]; !ok {
		return entry{}, errors.New("no signature")
	}
	e.payload, err = without(raw, "signature", members)
	return e, err
}

// without is a canonical object less one member. The rest is canonical as it
// stands: members in their order, no white space between them.
func without(canonical []byte, member string, members map[string]json.RawMessage) ([]byte, error) {
	name, err := json.Marshal(member)
	if err != nil {
		return nil, err
	}
	text := slices.Concat(name, []byte(":"), members[member])
	// The member's own text could also occur inside another value, so it is looked
	// for where top-level members begin.
	for at, depth, quoted := 0, 0, false; at < len(canonical); at++ {
		switch c := canonical[at]; {
		case quoted && c == '\\':
			at++
		case c == '"':
			if !quoted && depth == 1 && (canonical[at-1] == '{' || canonical[at-1] == ',') && bytes.HasPrefix(canonical[at:], text) {
				rest := canonical[at+len(text):]
				if canonical[at-1] == ',' {
					return slices.Concat(canonical[:at-1], rest), nil
				}
				return slices.Concat(canonical[:at], bytes.TrimPrefix(rest, []byte(","))), nil
			}
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil, fmt.Errorf("member %q not found", member)
}
