package zonefile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"slipway/zone"
)

// header is what stands in comments at the top of a zone file. It exists so that an
// apply that was killed after the file was in place, and is run again, returns the
// receipt of the first run. Nothing else is believed of it: what the zone's content
// is, is always read from the records below.
type header struct {
	Change       string    `json:"change"`
	Commit       string    `json:"commit"`
	Serial       uint32    `json:"serial"`
	SerialBefore uint32    `json:"serial_before,omitempty"`
	Before       string    `json:"before"` // content digests
	After        string    `json:"after"`
	At           time.Time `json:"at"`

	// ApexNS is the name server that Slipway put into the file because the approved
	// zone has no NS records and servers do not load a zone without any. "" when
	// the zone has its own.
	ApexNS zone.Name `json:"apex_ns,omitempty"`
}

const (
	headerMark = "; applied: "

	// maxHeader bounds how far the header is looked for, in bytes.
	maxHeader = 8 << 10
)

// write begins a zone file. JSON on one line: whatever is in a change ID, it cannot
// end the comment.
func (h header) write(w io.Writer, z zone.Name) error {
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "; Zone %s, written by Slipway from commit %q for change %q.\n"+
		"; Do not edit: the zones repository says what belongs here, and any change made in\n"+
		"; this file is found and reported as drift.\n"+
		"%s%s\n", z, h.Commit, h.Change, headerMark, data)
	return err
}

// parseHeader reads the header of a zone file; a file without one, or with one that
// makes no sense, has the zero header.
func parseHeader(file []byte) header {
	rest := file[:min(len(file), maxHeader)]
	for len(rest) > 0 && rest[0] == ';' {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		if data, ok := bytes.CutPrefix(line, []byte(headerMark)); ok && whole {
			var h header
			if json.Unmarshal(data, &h) != nil {
				return header{}
			}
			if n, err := zone.ParseName(string(h.ApexNS)); h.ApexNS != "" && (err != nil || n != h.ApexNS) {
				return header{}
			}
			return h
		}
		rest = after
	}
	return header{}
}
