package zone

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// SOA holds the timers of a zone's SOA record (RFC 1035 section 3.3.13), all in seconds but Serial.
type SOA struct {
	MName, RName                            Name
	Serial, Refresh, Retry, Expire, Minimum uint32
}

const (
	// masterMark opens a comment line that keeps what a zone file cannot hold: record
	// sets of a provider's own type, and the settings beside a set's values.
	masterMark = "; slipway:"

	// maxRecords bounds the records that are read from one zone file.
	maxRecords = 10_000_000
)

// WriteMaster writes a zone in RFC 1035 form: the SOA, then the sets in the order
// of name and type, all names absolute and every TTL written out. defaultTTL is
// used for NoTTL. What DNS does not know (a provider's types, ALIAS, Extra) is written
// as comments that ReadMaster understands. A set that is not valid is an error,
// since no server would load the file.
func WriteMaster(w io.Writer, zone Name, soa SOA, sets []RRSet, defaultTTL int) error {
	if defaultTTL < 0 || defaultTTL > maxTTL {
		return fmt.Errorf("zone %s: the default TTL %d is not between 0 and %d", zone, defaultTTL, maxTTL)
	}
	sets = slices.Clone(sets)
	sortSets(sets)
	b := bufio.NewWriterSize(w, 64<<10)
	fmt.Fprintf(b, "$TTL %d\n%s\t%d\tIN\tSOA\t%s %s %d %d %d %d %d\n", defaultTTL, zone.FQDN(), defaultTTL,
		soa.MName.FQDN(), soa.RName.FQDN(), soa.Serial, soa.Refresh, soa.Retry, soa.Expire, soa.Minimum)
	for i, r := range sets {
		if !r.Name.In(zone) {
			return fmt.Errorf("zone %s: %w", zone, r.fault("it is not in the zone", "put it into its own zone"))
		}
		if i > 0 && r.Key() == sets[i-1].Key() {
			return fmt.Errorf("zone %s: %w", zone, r.fault("it is there twice", "put all values into one record set"))
		}
		if err := r.Validate(); err != nil {
			return fmt.Errorf("zone %s: %w", zone, err)
		}
		kept := r
		if inMaster(r.Type) {
			ttl := r.TTL
			if ttl == NoTTL {
				ttl = defaultTTL
			}
			for _, v := range r.Values {
				fmt.Fprintf(b, "%s\t%d\tIN\t%s\t%s\n", r.Name.FQDN(), ttl, r.Type, v)
			}
			kept.Values = nil
		}
		if !inMaster(r.Type) || r.Extra != "" {
			line, err := json.Marshal(kept)
			if err != nil {
				return fmt.Errorf("zone %s: %w", zone, err)
			}
			fmt.Fprintf(b, "%s%s\n", masterMark, line)
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("zone %s: %w", zone, err)
	}
	return nil
}

// ReadMaster reads a zone in RFC 1035 form and returns its SOA, nil if there is
// none, and its record sets sorted by name and type. $ORIGIN and $TTL are
// understood, $INCLUDE is refused. What DNSSEC signing and zone transfer make is
// dropped (RRSIG, NSEC, NSEC3, NSEC3PARAM, DNSKEY, CDS, CDNSKEY, ZONEMD and their
// forerunners): it is not written by people, and is made anew by whoever serves
// the zone. Where the records of one set have several TTLs, which RFC 2181
// section 5.2 forbids, the lowest counts. path is for errors.
func ReadMaster(r io.Reader, zone Name, path string) (*SOA, []RRSet, error) {
	text, err := readText(r, path)
	if err != nil {
		return nil, nil, err
	}
	if soa, sets, ok := plainMaster(text, zone, path); ok {
		return soa, sets, nil
	}
	return parseMaster(text, zone, path)
}

// parseMaster reads any zone file.
func parseMaster(text string, zone Name, path string) (*SOA, []RRSet, error) {
	src := &masterSource{r: strings.NewReader(text)}
	zp := dns.NewZoneParser(src, zone.FQDN(), "")
	m := master{zone: zone, path: path}
	for records := 0; ; records++ {
		rr, ok := zp.Next()
		if !ok {
			break
		}
		if records == maxRecords {
			return nil, nil, m.fault(src.line(), "the file holds more records than are allowed", "split the zone")
		}
		if err := m.add(rr, src.line()); err != nil {
			return nil, nil, err
		}
	}
	if err := zp.Err(); err != nil {
		return nil, nil, m.syntax(err, src.line())
	}
	if err := m.finish(src.kept); err != nil {
		return nil, nil, err
	}
	return m.soa, m.sets, nil
}

// readText reads a whole zone file.
func readText(r io.Reader, path string) (string, error) {
	var b strings.Builder
	if known, ok := r.(interface{ Len() int }); ok {
		b.Grow(min(known.Len(), maxFile+1))
	}
	switch n, err := io.Copy(&b, io.LimitReader(r, maxFile+1)); {
	case err != nil:
		return "", fmt.Errorf("%s: %w", path, err)
	case n > maxFile:
		return "", (&master{path: path}).fault(1, fmt.Sprintf("the file is larger than %d bytes", maxFile), "split the zone")
	}
	return b.String(), nil
}

// finish puts back what was kept in comments, and the sets into their order.
func (m *master) finish(kept []keptLine) error {
	for _, k := range kept {
		if err := m.restore(k); err != nil {
			return err
		}
	}
	for i := range m.sets {
		if len(m.sets[i].Values) > 1 {
			m.sets[i].Values = sortedSet(m.sets[i].Values)
		}
	}
	sortSets(m.sets)
	return nil
}

// master gathers the records of a zone file into sets.
type master struct {
	zone Name
	path string
	soa  *SOA
	sets []RRSet
	at   map[Key]int // where each set is; nil as long as they came in their order
	ones singles
}

func (m *master) fault(line int, what, help string) *Error {
	return &Error{Place: Place{m.path, line}, What: what, Help: help}
}

// syntax puts the library's error into its place, which it only gives as text.
func (m *master) syntax(err error, line int) error {
	msg := strings.TrimPrefix(err.Error(), "dns: ")
	if i := strings.LastIndex(msg, " at line: "); i >= 0 {
		fmt.Sscanf(msg[i:], " at line: %d", &line)
		msg = msg[:i]
	}
	return m.fault(line, "this is not a zone file that can be read: "+msg, "check this line against RFC 1035 section 5; $INCLUDE is not allowed")
}

func (m *master) add(rr dns.RR, line int) error {
	h := rr.Header()
	name, err := ParseName(h.Name)
	if err != nil {
		return m.place(err, line)
	}
	if h.Class != dns.ClassINET {
		return m.fault(line, fmt.Sprintf("%s has a record of a class other than IN", name), "take it out")
	}
	if !name.In(m.zone) {
		return m.fault(line, fmt.Sprintf("%s is not in the zone %s", name, m.zone), "move it to the file of its zone")
	}
	if soa, ok := rr.(*dns.SOA); ok {
		return m.addSOA(soa, name, line)
	}
	typ := dns.Type(h.Rrtype).String()
	if notData[h.Rrtype] {
		return nil
	}
	value, err := canonical(typ, rdata(rr), false)
	if err != nil {
		return m.place(RRSet{Name: name, Type: typ}.wrap(rdata(rr), err), line)
	}
	return m.put(Key{name, typ}, int(min(h.Ttl, maxTTL)), value, line)
}

// put adds a record to its set.
func (m *master) put(k Key, ttl int, value string, line int) error {
	i, n := -1, len(m.sets)
	switch {
	case n > 0 && m.sets[n-1].Key() == k:
		i = n - 1
	case m.at == nil && (n == 0 || m.sets[n-1].Key().compare(k) < 0):
	default:
		m.index()
		if at, ok := m.at[k]; ok {
			i = at
		}
	}
	if i < 0 {
		if m.at != nil {
			m.at[k] = n
		}
		m.sets = append(m.sets, RRSet{Name: k.Name, Type: k.Type, TTL: ttl, Values: m.ones.of(value), Place: Place{m.path, line}})
		return nil
	}
	s := &m.sets[i]
	if s.TTL = min(s.TTL, ttl); len(s.Values) >= maxValues {
		return m.place(s.fault(fmt.Sprintf("it has more than %d values", maxValues), "split it over several names"), line)
	}
	s.Values = append(s.Values, value)
	return nil
}

// index makes sure that sets are found by their keys.
func (m *master) index() {
	if m.at != nil {
		return
	}
	m.at = make(map[Key]int, len(m.sets))
	for i := range m.sets {
		m.at[m.sets[i].Key()] = i
	}
}

// singles makes the lists of one value that most sets have, many at a time.
type singles struct{ free []string }

func (s *singles) of(value string) []string {
	if len(s.free) == 0 {
		s.free = make([]string, 256)
	}
	one := s.free[:1:1]
	one[0], s.free = value, s.free[1:]
	return one
}

func (m *master) addSOA(s *dns.SOA, name Name, line int) error {
	switch {
	case name != m.zone:
		return m.fault(line, fmt.Sprintf("%s has a SOA record, and only the zone itself can", name), "move it to the file of its zone")
	case m.soa != nil:
		return m.fault(line, "the zone has two SOA records", "keep one of them")
	}
	mname, err := ParseName(s.Ns)
	if err != nil {
		return m.place(err, line)
	}
	rname, err := ParseName(s.Mbox)
	if err != nil {
		return m.place(err, line)
	}
	m.soa = &SOA{mname, rname, s.Serial, s.Refresh, s.Retry, s.Expire, s.Minttl}
	return nil
}

// restore reads back what WriteMaster kept in a comment.
func (m *master) restore(k keptLine) error {
	var r RRSet
	dec := json.NewDecoder(strings.NewReader(k.text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return m.fault(k.line, "this comment of Slipway's cannot be read: "+err.Error(), "remove it, or apply the zone again")
	}
	r.Place = Place{m.path, k.line}
	if r.Extra != "" {
		if extra, err := nodeOfJSON(r.Extra); err != nil || len(extra.Content) == 0 {
			return m.fault(k.line, "this comment of Slipway's holds settings that cannot be read", "remove it, or apply the zone again")
		}
	}
	m.index()
	i, known := m.at[r.Key()]
	switch {
	case known && len(r.Values) == 0 && inMaster(r.Type):
		m.sets[i].Extra = r.Extra
		return nil
	case known:
		return m.fault(k.line, fmt.Sprintf("%s of %s is there twice", r.Type, r.Name), "keep one of them")
	case inMaster(r.Type) && len(r.Values) > 0:
		return m.fault(k.line, fmt.Sprintf("%s of %s stands in a comment, where only what DNS does not know can be", r.Type, r.Name), "write it as a record")
	}
	name, err := ParseName(string(r.Name))
	if err != nil || name != r.Name || !name.In(m.zone) {
		return m.fault(k.line, fmt.Sprintf("%q is not a name of the zone %s", r.Name, m.zone), "move it to the file of its zone")
	}
	if err := r.Validate(); err != nil {
		return err
	}
	m.at[r.Key()] = len(m.sets)
	m.sets = append(m.sets, r)
	return nil
}

func (m *master) place(err error, line int) error {
	var e *Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s: %w", m.path, err)
	}
	return m.fault(line, e.What, e.Help)
}

// masterSource feeds the zone parser byte by byte, so that the line of a record is
// known when it has been read, and picks out our comment lines on the way.
type masterSource struct {
	r     *strings.Reader
	lines int    // complete lines read
	col   int    // bytes of the current line read
	head  []byte // the current line, for as long as it may be one of ours
	kept  []keptLine
}

type keptLine struct {
	text string
	line int
}

func (s *masterSource) line() int {
	if s.col > 0 {
		return s.lines + 1
	}
	return max(s.lines, 1)
}

// ReadByte makes the parser read unbuffered.
func (s *masterSource) ReadByte() (byte, error) {
	c, err := s.r.ReadByte()
	if err != nil {
		s.endLine()
		return 0, err
	}
	if c == '\n' {
		s.endLine()
		s.lines++
		s.col = 0
		return c, nil
	}
	if n := len(s.head); n == s.col && (n >= len(masterMark) || masterMark[n] == c) {
		s.head = append(s.head, c)
	}
	s.col++
	return c, nil
}

func (s *masterSource) endLine() {
	if text, ok := bytes.CutPrefix(s.head, []byte(masterMark)); ok {
		s.kept = append(s.kept, keptLine{string(bytes.TrimRight(text, "\r")), s.lines + 1})
	}
	s.head = s.head[:0]
}

// Read is never called by the zone parser, which prefers ReadByte.
func (s *masterSource) Read(p []byte) (int, error) {
	c, err := s.ReadByte()
	if err != nil || len(p) == 0 {
		return 0, err
	}
	p[0] = c
	return 1, nil
}
