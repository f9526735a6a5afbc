package inbound

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"
)

const maxLine = 64 << 10

// BIND's category "update", at severity info:
//
//	… client @0x7f02c78f1098 127.0.0.1#36521/key slipway: updating zone 'x.example/IN': adding an RR at 'www.x.example' A 192.0.2.7
//	… : deleting rrset at 'www.x.example' TXT
//	… : deleting an RR at www.x.example A
//	… : delete all rrsets from name 'ns.x.example'
//	… : update rejected: post update name server sanity check failed
var (
	bindUpdate = regexp.MustCompile(`client (?:@0x[0-9a-f]+ )?(\S+?)#(\d+)(?:/key ([^:]+?))?(?: \([^)]*\))?: (?:view \S+: )?updating zone '([^']+)/IN(?:/[^']*)?': (.*)$`)
	bindAdd    = regexp.MustCompile(`^adding an RR at '([^']+)' (\S+) (.*)$`)
	bindDelete = regexp.MustCompile(`^deleting (?:an RR|rrset) at '?([^' ]+)'? (\S+)`)
	bindClear  = regexp.MustCompile(`^delete all rrsets from name '([^']+)'`)
)

// parseBIND reads lines of BIND's log. The lines of one update are one report; lines of
// other matters are none of ours.
func parseBIND(raw []byte, received time.Time) ([]Report, error) {
	var out []Report
	var digest = sha256.New()
	var open, now string
	finish := func() {
		if n := len(out); n > 0 && out[n-1].ID == "" {
			out[n-1].ID = hex.EncodeToString(digest.Sum(nil)[:16])
			if len(out[n-1].Edits) == 0 {
				out = out[:n-1]
			}
		}
		digest.Reset()
		open = ""
	}
	err := lines(raw, func(line string) {
		m := bindUpdate.FindStringSubmatch(line)
		if m == nil {
			return
		}
		at, said := logTime(line, received)
		now = strings.Join([]string{m[1], m[2], m[3], m[4], at.Format(time.RFC3339)}, " ")
		if strings.HasPrefix(m[5], "update rejected") || strings.HasPrefix(m[5], "update failed") {
			if now == open && len(out) > 0 {
				out[len(out)-1].Edits = nil // nothing of it was done
			}
			finish()
			return
		}
		if now != open {
			finish()
			open = now
			by := "address " + m[1]
			if m[3] != "" {
				by = "key " + m[3] + ", " + by
			}
			if !said {
				at = received
			}
			out = append(out, Report{Kind: DNSChange, By: by, At: at, Zone: name(m[4]), Outcome: "success", Text: "dynamic update (RFC 2136)"})
		}
		fmt.Fprintln(digest, line)
		r := &out[len(out)-1]
		if a := bindAdd.FindStringSubmatch(m[5]); a != nil {
			r.Edits = append(r.Edits, Edit{Name: name(a[1]), Type: a[2], Values: []string{a[3]}})
		} else if d := bindDelete.FindStringSubmatch(m[5]); d != nil {
			r.Edits = append(r.Edits, Edit{Name: name(d[1]), Type: d[2], Delete: true})
		} else if c := bindClear.FindStringSubmatch(m[5]); c != nil {
			r.Edits = append(r.Edits, Edit{Name: name(c[1]), Delete: true})
		}
	})
	finish()
	for i := range out {
		out[i].Edits = merged(out[i].Edits)
	}
	return out, err
}

// merged makes one edit of the lines about one record set: an update deletes the old
// values and adds the new ones.
func merged(edits []Edit) []Edit {
	at := map[string]int{}
	var out []Edit
	for _, e := range edits {
		if e.Name == "" {
			continue
		}
		key := string(e.Name) + " " + e.Type
		i, known := at[key]
		if !known {
			at[key] = len(out)
			out = append(out, e)
			continue
		}
		if !e.Delete {
			out[i].Delete, out[i].Values = false, append(out[i].Values, e.Values...)
		}
	}
	return out
}

// PowerDNS's webserver at webserver-loglevel=normal names the zone of a change, not its
// record sets:
//
//	… [webserver] 8f3c… 127.0.0.1:46292 "PATCH /api/v1/servers/localhost/zones/x.example. HTTP/1.1" 204 0
var powerDNSRequest = regexp.MustCompile(`\[webserver\] (\S+) (\S+?)(?::\d+)? "(PATCH|PUT|POST|DELETE) /api/v1/servers/[^/ ]+/zones/?([^ /?"]*)[^"]*" (\d{3}) `)

// parsePowerDNS reads lines of PowerDNS's log: changes by its API.
func parsePowerDNS(raw []byte, received time.Time) ([]Report, error) {
	var out []Report
	err := lines(raw, func(line string) {
		m := powerDNSRequest.FindStringSubmatch(line)
		if m == nil || m[5][0] != '2' {
			return
		}
		z := name(strings.ReplaceAll(m[4], "=2F", "/"))
		if z == "" {
			return // a zone was made; its name is in the request's body only
		}
		at, said := logTime(line, received)
		if !said {
			at = received
		}
		sum := sha256.Sum256([]byte(line))
		out = append(out, Report{Kind: DNSChange, ID: hex.EncodeToString(sum[:16]), By: "address " + m[2], At: at, Zone: z, Outcome: "success", Text: m[3] + " by the API"})
	})
	return out, err
}

// lines hands over each line of a log.
func lines(raw []byte, take func(string)) error {
	s := bufio.NewScanner(bytes.NewReader(raw))
	s.Buffer(nil, maxLine)
	for s.Scan() {
		take(s.Text())
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("%w: %v", errReport, err)
	}
	return nil
}

// How logs write their times: BIND's print-time (local, iso8601, iso8601-utc), RFC 5424,
// and RFC 3164, which leaves the year out.
var logTimes = []struct {
	form   *regexp.Regexp
	layout string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)`), time.RFC3339Nano},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?`), "2006-01-02T15:04:05.999999999"},
	{regexp.MustCompile(`\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d(?:\.\d+)?`), "02-Jan-2006 15:04:05.999999999"},
	{regexp.MustCompile(`^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d`), time.Stamp},
}

// logTime finds the time that a line begins with. Times without a zone are local.
func logTime(line string, received time.Time) (time.Time, bool) {
	head := line[:min(len(line), 80)]
	for _, l := range logTimes {
		found := l.form.FindString(head)
		if found == "" {
			continue
		}
		t, err := time.ParseInLocation(l.layout, found, received.Location())
		if err != nil {
			continue
		}
		if t.Year() == 0 {
			t = t.AddDate(received.Year(), 0, 0)
			if t.After(received.Add(24 * time.Hour)) { // December's line, read in January
				t = t.AddDate(-1, 0, 0)
			}
		}
		return t, true
	}
	return received, false
}
