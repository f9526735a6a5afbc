package zonefile

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func FuzzHeader(f *testing.F) {
	f.Add([]byte("; Zone x, written by Slipway\n; applied: {\"change\":\"1\",\"serial\":7,\"apex_ns\":\"ns.invalid\"}\n$ORIGIN x.\n"))
	f.Add([]byte("; applied: {}\n"))
	f.Add([]byte("; applied: {"))
	f.Add([]byte("; applied: {\"apex_ns\":\"a\\nb\"}\n"))
	f.Add([]byte(";\n;\n;\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, file []byte) {
		h := parseHeader(file)
		if strings.ContainsAny(string(h.ApexNS), "\n ;") {
			t.Errorf("name server %q", h.ApexNS)
		}
	})
}

// A header comes back as it was written, whatever is in it, and is nothing but
// comments to whoever reads the zone.
func FuzzHeaderRoundTrip(f *testing.F) {
	f.Add("change-1", "0123abcd", uint32(7))
	f.Add("a\nb IN A 192.0.2.1", "\r\n$INCLUDE /etc/passwd", uint32(0))
	f.Add("\xff\u2028;", "\"", uint32(1<<32-1))
	f.Fuzz(func(t *testing.T, change, commit string, serial uint32) {
		if len(change) > maxID || len(commit) > maxID {
			return
		}
		h := header{Change: strings.ToValidUTF8(change, "?"), Commit: strings.ToValidUTF8(commit, "?"), Serial: serial, At: time.Unix(0, 0).UTC(), ApexNS: "ns.invalid"}
		var buf bytes.Buffer
		if err := h.write(&buf, "apps.finmicro.example"); err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(buf.Bytes()) {
			if line[0] != ';' {
				t.Errorf("not a comment: %q", line)
			}
		}
		if bytes.ContainsRune(buf.Bytes(), '\r') {
			t.Errorf("a carriage return, which some readers end a line at: %q", buf.Bytes())
		}
		if got := parseHeader(buf.Bytes()); got != h {
			t.Errorf("wrote %+v, read %+v", h, got)
		}
	})
}
