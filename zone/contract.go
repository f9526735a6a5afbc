package zone

import "io"

// CONTRACT: signatures that other packages build on. Replace this file by the real code.

func ParseName(s string) (Name, error)                                        { panic("contract") } // accepts U-labels, upper case, trailing dot; RFC 1035 limits
func (n Name) Unicode() string                                                { panic("contract") } // U-label form, for people
func (n Name) FQDN() string                                                   { panic("contract") } // with trailing dot
func (n Name) In(zone Name) bool                                              { panic("contract") } // n is zone or below it
func (n Name) Parent() Name                                                   { panic("contract") }
func (n Name) Labels() []string                                               { panic("contract") }
func (n Name) Relative(zone Name) string                                      { panic("contract") } // "" at the apex
func (n Name) Wildcard() bool                                                 { panic("contract") } // leftmost label is "*"
func (r RRSet) Equal(o RRSet) bool                                            { panic("contract") } // content, not place
func (r RRSet) Validate() error                                               { panic("contract") } // values are well formed for the type (RFC syntax); *Error with r.Place
func NewRRSet(name Name, typ string, ttl int, values []string) (RRSet, error) { panic("contract") } // canonicalises lenient presentation forms; an app manifest's records come through here

// File is one octoDNS YAML zone file, kept as written.
type File struct{}

func ParseYAML(zone Name, path string, src []byte) (*File, error) { panic("contract") } // splits into blocks; parses lazily
func (f *File) Zone() Name                                        { panic("contract") }
func (f *File) Path() string                                      { panic("contract") }
func (f *File) Bytes() []byte                                     { panic("contract") }
func (f *File) RRSets() ([]RRSet, error)                          { panic("contract") } // all, sorted by name then type
func (f *File) At(name Name) ([]RRSet, error)                     { panic("contract") } // parses one block only
func (f *File) Put(rr RRSet) error                                { panic("contract") } // creates or replaces; touches only that record set's lines
func (f *File) Remove(k Key) (bool, error)                        { panic("contract") }

// DiffFiles compares two versions of one zone's file and parses only blocks that differ. Either may be nil.
func DiffFiles(base, head *File) ([]Edit, error) { panic("contract") }

// Diff compares two lists of record sets of one zone.
func Diff(zone Name, base, head []RRSet) []Edit { panic("contract") }

// SOA holds the timers of a zone's SOA record (RFC 1035 section 3.3.13), all in seconds but Serial.
type SOA struct {
	MName, RName                            Name
	Serial, Refresh, Retry, Expire, Minimum uint32
}

// WriteMaster writes a zone in RFC 1035 form. Provider-specific types are written as comments. defaultTTL in seconds is used for NoTTL.
func WriteMaster(w io.Writer, zone Name, soa SOA, sets []RRSet, defaultTTL int) error {
	panic("contract")
}

// ReadMaster reads RFC 1035 text ($ORIGIN, $TTL, $INCLUDE refused). path is for errors.
func ReadMaster(r io.Reader, zone Name, path string) (*SOA, []RRSet, error) { panic("contract") }
