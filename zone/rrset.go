package zone

import (
	"fmt"
	"slices"
	"strings"
)

const (
	// maxTTL is the largest TTL (RFC 2181 section 8).
	maxTTL = 1<<31 - 1
	// maxValues bounds the records of one set.
	maxValues = 10_000
)

// NewRRSet makes a record set from values as people write them: an MX as
// "10 mail.example.com", a CNAME with or without its trailing dot (it is
// absolute either way), TXT with or without quotes. The result is canonical and
// valid; the error is an *Error without a place.
func NewRRSet(name Name, typ string, ttl int, values []string) (RRSet, error) {
	if !strings.Contains(typ, "/") {
		typ = strings.ToUpper(typ)
	}
	r := RRSet{Name: name, Type: typ, TTL: ttl}
	if len(values) > maxValues {
		return r, r.fault(fmt.Sprintf("it has %d values; %d are allowed", len(values), maxValues), "split it over several names")
	}
	for _, v := range values {
		c, err := canonical(typ, strings.TrimSpace(v), false)
		if err != nil {
			return r, r.wrap(v, err)
		}
		r.Values = append(r.Values, c)
	}
	r.Values = sortedSet(r.Values)
	return r, r.Validate()
}

// Equal compares content, not place.
func (r RRSet) Equal(o RRSet) bool {
	return r.Name == o.Name && r.Type == o.Type && r.TTL == o.TTL && r.Extra == o.Extra && slices.Equal(r.Values, o.Values)
}

// Validate says whether every value is well formed for its type, as the RFC of
// the type has it. The error is an *Error at r.Place.
func (r RRSet) Validate() error {
	switch {
	case r.Name == "":
		return r.fault("it has no name", "give the full name")
	case r.Type == "":
		return r.fault("it has no type", "give a type such as A or CNAME")
	case r.Type != urlForward && !strings.Contains(r.Type, "/") && !knownType(r.Type):
		return r.fault(fmt.Sprintf("%q is not a record type that can be written into a zone", r.Type), "check its spelling; a provider's own type is written Provider/TYPE")
	case r.TTL < NoTTL || r.TTL > maxTTL:
		return r.fault(fmt.Sprintf("its TTL is %d; it must be from 0 to %d seconds", r.TTL, maxTTL), "300 suits most names")
	case len(r.Values) == 0 && r.Extra == "":
		return r.fault("it has no value", "give at least one value, or remove it")
	case len(r.Values) > maxValues:
		return r.fault(fmt.Sprintf("it has %d values; %d are allowed", len(r.Values), maxValues), "split it over several names")
	}
	t, ok := recordTypes[r.Type]
	if ok && t.single && len(r.Values) > 1 {
		return r.fault(fmt.Sprintf("it has %d values, and a name can have only one %s", len(r.Values), r.Type), "keep one of them")
	}
	for _, v := range r.Values {
		c, err := canonical(r.Type, v, true)
		if err != nil {
			return r.wrap(v, err)
		}
		if ok && !t.certain() {
			if _, err := parseRR(r.Type, c); err != nil {
				return r.wrap(v, withExample(err, t.example))
			}
		}
		if r.Type == "MX" {
			if pref, exchange, _ := strings.Cut(c, " "); exchange == "." && pref != "0" { // RFC 7505 section 3
				return r.fault(fmt.Sprintf("%q says that no mail is accepted, for which the preference must be 0", v), "write 0 .")
			}
		}
	}
	if r.Type == "MX" && len(r.Values) > 1 && slices.Contains(r.Values, "0 .") {
		return r.fault(`"0 ." says that no mail is accepted, beside other MX values that accept it (RFC 7505)`, "keep one or the other")
	}
	return nil
}

// sortedSet sorts values and drops repeats.
func sortedSet(values []string) []string {
	slices.Sort(values)
	return slices.Compact(values)
}

// fault describes what is wrong with the set as a whole.
func (r RRSet) fault(what, help string) *Error {
	return &Error{Place: r.Place, What: fmt.Sprintf("%s of %s: %s", r.Type, r.Name.Unicode(), what), Help: help}
}

// wrap says which value of the set a fault is in.
func (r RRSet) wrap(value string, err error) error {
	e, ok := err.(*Error)
	if !ok {
		return fmt.Errorf("%s of %s: %w", r.Type, r.Name, err)
	}
	if len(value) > 80 {
		value = value[:80] + "…"
	}
	what := e.What
	if !strings.Contains(what, value) {
		what = fmt.Sprintf("%s in the value %s", what, value)
	}
	return r.fault(what, e.Help)
}
