package zone

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	maxFile = 256 << 20 // bytes of one zone file
	maxLine = 1 << 20   // bytes of one line
)

// File is one octoDNS YAML zone file, kept as written. Its source is cut at
// the top-level keys into blocks without a YAML parser; a block is parsed only
// when its records are asked for. A File may be read by several goroutines, but
// not while one edits it.
type File struct {
	zone Name
	path string

	// As parsed: the source, and where its blocks begin. Unset by the first edit.
	src   string
	parts *parts

	// As edited: blocks that can be changed one by one (unfold).
	head string   // everything before the first key: "---", comments
	list []*block // in the order of the file
	at   map[string]*block

	// A file that cannot be cut safely is read whole, and not edited.
	whole   string
	uncut   string // why it cannot be cut
	isWhole bool
	crlf    bool
}

// block is one top-level key with all lines up to the next one.
type block struct {
	text string
	line int    // of its first line, 1-based
	key  string // as YAML reads it
}

// ParseYAML cuts the source of a zone into blocks. What is inside them is
// checked when it is read. A source of bytes is copied.
func ParseYAML[Source string | []byte](zone Name, path string, src Source) (*File, error) {
	f := &File{zone: zone, path: path}
	if len(src) > maxFile {
		return nil, f.fault(1, fmt.Sprintf("the file is %d bytes long; %d are allowed", len(src), maxFile), "split the zone")
	}
	text := string(src)
	why, err := f.split(text)
	if err != nil {
		return nil, err
	}
	if why != "" {
		f.src, f.parts = "", nil
		f.whole, f.uncut, f.isWhole = text, why, true
		if _, err := f.readWhole(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Clone returns a copy that can be edited on its own. What is not edited is shared.
func (f *File) Clone() *File {
	g := *f
	if f.list != nil {
		g.list, g.at = make([]*block, len(f.list)), make(map[string]*block, len(f.at))
		twin := make(map[*block]*block, len(f.list))
		for i, b := range f.list {
			own := *b
			g.list[i], twin[b] = &own, &own
		}
		for rel, b := range f.at {
			g.at[rel] = twin[b]
		}
	}
	return &g
}

// Zone returns the zone's name.
func (f *File) Zone() Name { return f.zone }

// Path returns where the file stands in the zones repository.
func (f *File) Path() string { return f.path }

// Bytes returns the file's content: what was parsed, but for the edits since.
func (f *File) Bytes() []byte {
	if f.isWhole {
		return []byte(f.whole)
	}
	if f.parts != nil {
		return []byte(f.src)
	}
	n := len(f.head)
	for _, b := range f.list {
		n += len(b.text)
	}
	out := append(make([]byte, 0, n), f.head...)
	for _, b := range f.list {
		out = append(out, b.text...)
	}
	return out
}

// RRSets returns every record set, sorted by name, then type. The error
// is the first fault in the file, an *Error with its line.
func (f *File) RRSets() ([]RRSet, error) {
	if f.isWhole {
		return f.readWhole()
	}
	sets := make([]RRSet, 0, f.length()+f.length()/8)
	var rest []*block // that only a YAML parser understands
	for _, b := range f.blocks() {
		if r, ok := f.plainSet(b); ok {
			sets = append(sets, r)
		} else {
			rest = append(rest, b)
		}
	}
	for len(rest) > 0 {
		n := batch(rest)
		got, err := f.readBatch(rest[:n])
		if err != nil {
			return nil, err
		}
		sets = append(sets, got...)
		rest = rest[n:]
	}
	sortSets(sets)
	return sets, nil
}

// At returns the record sets of one name. It parses no other.
func (f *File) At(name Name) ([]RRSet, error) {
	if f.isWhole {
		all, err := f.readWhole()
		if err != nil {
			return nil, err
		}
		return slices.DeleteFunc(all, func(r RRSet) bool { return r.Name != name }), nil
	}
	b := f.blockOf(name)
	if b == nil {
		return nil, nil
	}
	sets, err := f.readBlock(b)
	if err != nil {
		return nil, err
	}
	sortSets(sets)
	return sets, nil
}

func byKey(a, b RRSet) int { return a.Key().compare(b.Key()) }

func sortSets(sets []RRSet) {
	if !slices.IsSortedFunc(sets, byKey) {
		slices.SortFunc(sets, byKey)
	}
}

func (k Key) compare(o Key) int {
	if c := strings.Compare(string(k.Name), string(o.Name)); c != 0 {
		return c
	}
	return strings.Compare(k.Type, o.Type)
}

// readWhole parses all of the source as one YAML document.
func (f *File) readWhole() ([]RRSet, error) {
	dec := yaml.NewDecoder(strings.NewReader(f.whole))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, f.yamlFault(err, 1)
	}
	if err := dec.Decode(&more); err == nil {
		return nil, f.fault(more.Line, "the file holds more than one YAML document", "keep one zone in one document")
	} else if !errors.Is(err, io.EOF) {
		return nil, f.yamlFault(err, 1)
	}
	if len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null" {
		return nil, nil
	}
	ps, err := pairs(doc.Content[0])
	if err != nil {
		return nil, f.place(err, 0)
	}
	var sets []RRSet
	size := 0
	seen := make(map[Name]bool, len(ps))
	for _, p := range ps {
		if plain := p.key.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0; plain && p.key.Value != "" && unclearKey(p.key.Value) {
			return nil, f.fault(p.key.Line, fmt.Sprintf("octoDNS takes the key %s for a number or a truth value and not for a name", p.key.Value), "put it in quotes")
		}
		name, err := f.nameOf(p.key.Value, p.key.Line)
		if err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, f.twice(name, p.key.Line)
		}
		seen[name] = true
		got, err := f.sets(name, p.key.Line, p.val, 0)
		if err != nil {
			return nil, err
		}
		for _, r := range got {
			size += len(r.Extra)
			for _, v := range r.Values {
				size += len(v)
			}
		}
		if size > maxFile {
			return nil, f.fault(p.key.Line, "the file's aliases make it too large", "write fewer of them")
		}
		sets = append(sets, got...)
	}
	sortSets(sets)
	return sets, nil
}

// nameOf reads a top-level key. octoDNS's keys are relative to the zone; one that
// ends in a dot is absolute and must be inside it.
func (f *File) nameOf(key string, line int) (Name, error) {
	if key == "" {
		return f.zone, nil
	}
	name, err := ParseName(key)
	if err != nil {
		return "", f.place(err, line)
	}
	if key[len(key)-1] != '.' || escapedAt(key, len(key)-1) {
		return f.relative(key, name, line)
	}
	if !name.In(f.zone) {
		return "", f.fault(line, fmt.Sprintf("%s is not in the zone %s", name, f.zone), "move it to the file of its zone")
	}
	return name, nil
}

func (f *File) relative(key string, name Name, line int) (Name, error) {
	full := f.zone.below(string(name))
	if len(full)+2 <= maxWire {
		return full, nil
	}
	full, err := ParseName(string(full))
	if err != nil {
		return "", f.place(err, line)
	}
	return full, nil
}

func (f *File) twice(name Name, line int) *Error {
	shown := name.Relative(f.zone)
	if shown == "" {
		shown = "the zone's own name ('')"
	}
	return f.fault(line, fmt.Sprintf("%s stands twice in this file, and only one of the two can count", shown), "put all its records under one key")
}

func (f *File) fault(line int, what, help string) *Error {
	return &Error{Place: Place{f.path, line}, What: what, Help: help}
}

// place puts a fault at the file's path, and at a line if it has none; offset
// is added to a line counted inside a block.
func (f *File) place(err error, offset int) error {
	var e *Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	c := *e
	c.Place = Place{f.path, e.Place.Line + offset}
	return &c
}

// yamlFault turns the YAML parser's error into one with a place.
func (f *File) yamlFault(err error, line int) *Error {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	var n int
	if _, scan := fmt.Sscanf(msg, "line %d:", &n); scan == nil {
		_, msg, _ = strings.Cut(msg, ": ")
		line += n - 1
	}
	return f.fault(line, "this is not valid YAML: "+msg, "check indentation, quotes and colons near this line")
}

// bom is the mark that some editors put before a file.
const bom = "\ufeff"
