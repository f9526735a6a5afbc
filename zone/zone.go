// Package zone owns DNS data: names, record sets, the octoDNS YAML and RFC 1035
// forms of a zone, and the difference between two of them. It never reads Git,
// the network or settings. Read name.go first, then file.go: a File is one
// octoDNS YAML file that is edited without touching any other line.
package zone

import "fmt"

// Name is a domain name in canonical form: lower case, A-labels (RFC 5890),
// RFC 1035 escapes kept, no trailing dot. The root is ".".
type Name string

// Place says where something stands in the zones repository.
type Place struct {
	Path string `json:"path,omitempty"` // slash-separated, from the repository's root
	Line int    `json:"line,omitempty"` // 1-based
}

func (p Place) String() string {
	if p.Line == 0 {
		return p.Path
	}
	return fmt.Sprintf("%s:%d", p.Path, p.Line)
}

// Key names a record set: one name and one type (RFC 9499 RRset).
type Key struct {
	Name Name   `json:"name"`
	Type string `json:"type"`
}

// NoTTL is the TTL of a record set whose source gives none.
const NoTTL = -1

// RRSet is a record set: all records of one name and type.
type RRSet struct {
	Name Name   `json:"name"`
	Type string `json:"type"` // as octoDNS spells it: "A", "Route53Provider/ALIAS"
	TTL  int    `json:"ttl"`  // seconds, or NoTTL

	// Values holds each record's data in RFC 1035 presentation form, absolute
	// names with their trailing dot, sorted, without repeats. For a type that
	// is a provider's own, each value is the RFC 8785 form of its YAML value.
	Values []string `json:"values"`

	// Extra is the RFC 8785 form of every other key that octoDNS allows beside
	// ttl, type and value(s) (octodns, dynamic, geo, …). Empty when there is none.
	Extra string `json:"extra,omitempty"`

	Place Place `json:"-"`
}

// Key returns the name and type that identify r.
func (r RRSet) Key() Key { return Key{r.Name, r.Type} }

// Op is what an edit does to a record set.
type Op string

const (
	Create Op = "create"
	Update Op = "update"
	Delete Op = "delete"
)

// Edit is the change of one record set. Before is nil for Create, After for Delete.
type Edit struct {
	Op     Op     `json:"op"`
	Zone   Name   `json:"zone"`
	Name   Name   `json:"name"`
	Type   string `json:"type"`
	Before *RRSet `json:"before,omitempty"`
	After  *RRSet `json:"after,omitempty"`
	Place  Place  `json:"place"` // in the head, or in the base for Delete
}

// Error is a fault in a zone's source, with the place and the way out.
type Error struct {
	Place Place
	What  string // what is wrong, in plain words
	Help  string // what to do
}

func (e *Error) Error() string {
	s := e.What
	if e.Place.Path != "" {
		s = fmt.Sprintf("%s: %s", e.Place, e.What)
	}
	if e.Help != "" {
		s += " (" + e.Help + ")"
	}
	return s
}
