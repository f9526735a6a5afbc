package zone

import (
	"strings"

	"github.com/miekg/dns"
)

// plainMaster reads a zone file whose lines are all whole records, as WriteMaster writes them and
// as servers dump zones: name, TTL, class, type and data with tabs between. Data of the
// common types that is canonical already is taken as it stands; that of others goes through the
// parser, a line at a time. ok is false for every other file, and for one with a fault in it,
// which the parser of whole files is to describe.
func plainMaster(text string, zone Name, path string) (soa *SOA, sets []RRSet, ok bool) {
	if strings.IndexByte(text, '\r') >= 0 {
		return nil, nil, false
	}
	m := master{zone: zone, path: path}
	m.sets = make([]RRSet, 0, strings.Count(text, "\n"))
	var kept []keptLine
	var last string // the name of the line before, as it stands there
	var name Name   // and as it was read
	records := 0
	for number := 1; text != ""; number++ {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		switch {
		case line == "":
			continue
		case line[0] == ';':
			if rest, ours := strings.CutPrefix(line, masterMark); ours {
				kept = append(kept, keptLine{rest, number})
			}
			continue
		case strings.HasPrefix(line, "$TTL "):
			if _, ok := plainNumber(line[len("$TTL "):]); !ok {
				return nil, nil, false
			}
			continue // every line has a TTL of its own
		}
		owner, rest, _ := strings.Cut(line, "\t")
		seconds, rest, _ := strings.Cut(rest, "\t")
		data, inClass := strings.CutPrefix(rest, "IN\t")
		typ, value, whole := strings.Cut(data, "\t")
		ttl, hasTTL := plainNumber(seconds)
		if records++; !inClass || !whole || !hasTTL || records > maxRecords {
			return nil, nil, false
		}
		if owner != last || last == "" {
			if len(owner) < 2 || owner[len(owner)-1] != '.' || !plainName(owner) {
				return nil, nil, false
			}
			if name, last = Name(owner[:len(owner)-1]), owner; !name.In(zone) {
				return nil, nil, false
			}
		}
		if plainValue(typ, value) {
			if m.put(Key{name, typ}, ttl, value, number) != nil {
				return nil, nil, false
			}
			continue
		}
		if !closed(value) {
			return nil, nil, false
		}
		zp := dns.NewZoneParser(strings.NewReader(line+"\n"), zone.FQDN(), "")
		rr, found := zp.Next()
		if !found || m.add(rr, number) != nil {
			return nil, nil, false
		}
		if _, more := zp.Next(); more || zp.Err() != nil {
			return nil, nil, false
		}
	}
	if m.finish(kept) != nil {
		return nil, nil, false
	}
	return m.soa, m.sets, true
}

// closed says whether a record ends with its line: no quotes are left open, and there are no
// parentheses outside of them (RFC 1035 section 5.1).
func closed(value string) bool {
	quoted := false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '(' || c == ')'):
			return false
		}
	}
	return !quoted
}
