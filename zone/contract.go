package zone

import "io"

// CONTRACT: signatures that other packages build on. Replace this file by the real code.

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
