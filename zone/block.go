package zone

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// batchBytes is how much source is given to the YAML parser at once when a
// whole zone is read: enough to forget the parser's set-up cost, little enough
// to keep the node tree small.
const batchBytes = 64 << 10

func batch(blocks []*block) int {
	size := 0
	for i, b := range blocks {
		if size += len(b.text); size > batchBytes && i > 0 {
			return i
		}
	}
	return len(blocks)
}

// readBatch parses neighbouring blocks together. If they do not come out as
// exactly their keys on exactly their lines, each is read alone.
func (f *File) readBatch(blocks []*block) ([]RRSet, error) {
	var src strings.Builder
	for _, b := range blocks {
		src.WriteString(b.text)
	}
	offset := blocks[0].line - 1
	var sets []RRSet
	doc, err := parse(src.String())
	if err == nil && len(doc.Content) == 2*len(blocks) {
		ok := true
		for i, b := range blocks {
			k := doc.Content[2*i]
			ok = ok && k.Line+offset == b.line && k.Value == b.key && k.Tag != "!!merge"
		}
		if ok {
			for i, b := range blocks {
				got, err := f.blockSets(b, doc.Content[2*i+1], offset)
				if err != nil {
					return nil, err
				}
				sets = append(sets, got...)
			}
			return sets, nil
		}
	}
	for _, b := range blocks {
		got, err := f.readBlock(b)
		if err != nil {
			return nil, err
		}
		sets = append(sets, got...)
	}
	return sets, nil
}

// readBlock parses one block.
func (f *File) readBlock(b *block) ([]RRSet, error) {
	body, err := f.body(b)
	if err != nil {
		return nil, err
	}
	return f.blockSets(b, body, b.line-1)
}

// body returns what stands under a block's key.
func (f *File) body(b *block) (*yaml.Node, error) {
	doc, err := parse(b.text)
	if err != nil {
		return nil, f.yamlFault(err, b.line)
	}
	// YAML lets a quoted text or a {…} go on at the start of a line, where it looks
	// like another name's key. Reading it so would be right, and a trap for
	// whoever reviews the change.
	if len(doc.Content) != 2 || doc.Content[0].Line != 1 || doc.Content[0].Value != b.key {
		return nil, f.fault(b.line, "the lines under this key are more, or other, than its records", "indent every line that belongs to a name")
	}
	return doc.Content[1], nil
}

// parse reads source that is one mapping.
func parse(src string) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(src), &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return &yaml.Node{}, nil
	}
	return doc.Content[0], nil
}

func (f *File) blockSets(b *block, body *yaml.Node, offset int) ([]RRSet, error) {
	name, err := f.nameOf(b.key, b.line)
	if err != nil {
		return nil, err
	}
	return f.sets(name, b.line, body, offset)
}

// sets reads the record sets under one name: one mapping, or a list of them.
func (f *File) sets(name Name, line int, body *yaml.Node, offset int) ([]RRSet, error) {
	body = resolve(body)
	if body.Kind != yaml.SequenceNode {
		r, err := f.set(name, body, offset)
		if err != nil {
			return nil, err
		}
		r.Place.Line = line
		return []RRSet{r}, nil
	}
	sets := make([]RRSet, 0, len(body.Content))
	for _, item := range body.Content {
		r, err := f.set(name, resolve(item), offset)
		if err != nil {
			return nil, err
		}
		for _, other := range sets {
			if other.Type == r.Type {
				return nil, f.fault(r.Place.Line, fmt.Sprintf("%s has two record sets of type %s, and only one of them can count", name, r.Type),
					fmt.Sprintf("put all values into the one at line %d", other.Place.Line))
			}
		}
		sets = append(sets, r)
	}
	return sets, nil
}

// set reads one record set from its mapping.
func (f *File) set(name Name, n *yaml.Node, offset int) (RRSet, error) {
	r := RRSet{Name: name, TTL: NoTTL, Place: Place{f.path, n.Line + offset}}
	if n.Kind != yaml.MappingNode {
		return r, f.fault(r.Place.Line, fmt.Sprintf("%s has no records", name), "give it type, ttl and value, or remove it")
	}
	ps, err := pairs(n)
	if err != nil {
		return r, f.place(err, offset)
	}
	var value *yaml.Node
	extra := yaml.Node{Kind: yaml.MappingNode}
	for _, p := range ps {
		v := resolve(p.val)
		switch p.key.Value {
		case "type":
			r.Type = v.Value
		case "ttl":
			if r.TTL, err = ttlOf(v); err != nil {
				return r, f.place(err, offset)
			}
		case "value", "values":
			if value != nil {
				return r, f.fault(p.key.Line+offset, fmt.Sprintf("%s has both value and values, and only one of them can count", name), "keep values")
			}
			value = v
		default:
			extra.Content = append(extra.Content, p.key, p.val)
		}
	}
	if r.Type == "" {
		return r, f.fault(r.Place.Line, fmt.Sprintf("a record set of %s has no type", name), "add a line such as type: A")
	}
	if len(extra.Content) > 0 {
		if r.Extra, err = jsonOf(&extra); err != nil {
			return r, f.place(err, r.Place.Line)
		}
	}
	if value == nil {
		return r, nil
	}
	items := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		items = value.Content
	}
	if len(items) > maxValues {
		return r, f.place(r.fault(fmt.Sprintf("it has %d values; %d are allowed", len(items), maxValues), "split it over several names"), 0)
	}
	r.Values = make([]string, 0, len(items))
	size := 0
	for _, item := range items {
		v, err := valueOf(r.Type, item)
		if err != nil {
			return r, f.place(err, r.Place.Line)
		}
		if size += len(v); size > maxSet {
			return r, r.fault("its values are too long together", "split it over several names")
		}
		r.Values = append(r.Values, v)
	}
	r.Values = sortedSet(r.Values)
	return r, nil
}

// ttlOf reads a TTL, which octoDNS lets be text.
func ttlOf(n *yaml.Node) (int, error) {
	if n.ShortTag() == "!!null" {
		return NoTTL, nil
	}
	ttl, err := strconv.Atoi(strings.ReplaceAll(n.Value, "_", ""))
	if octal(n) {
		return 0, faultAt(n, fmt.Sprintf("the ttl %s begins with a zero, which octoDNS takes for base 8", n.Value), "take the zero away")
	}
	if n.Kind != yaml.ScalarNode || err != nil || ttl < 0 || ttl > maxTTL {
		return 0, faultAt(n, fmt.Sprintf("the ttl is %q; it must be a whole number of seconds from 0 to %d", n.Value, maxTTL), "300 suits most names")
	}
	return ttl, nil
}

// octal says whether octoDNS reads a plain number in base 8, as YAML 1.1 has it,
// and so as another number than a person does.
func octal(n *yaml.Node) bool {
	return n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 &&
		len(n.Value) > 2 && n.Value[0] == '0' && strings.Trim(n.Value, "01234567_") == ""
}

// shortDecimal matches decimals that come out as they were written when they
// have been read as a number, as keys of reverse zones do.
var shortDecimal = regexp.MustCompile(`^(0|[1-9][0-9]{0,3})\.(0|[0-9]{0,3}[1-9])$`)

// unclearKey says whether octoDNS reads a plain top-level key as something other
// than its letters: no as False, 010 as 8.
func unclearKey(key string) bool {
	switch c := key[0]; {
	case c >= '1' && c <= '9' && digits(key) == len(key):
		return false // a number is written as it is read
	case c >= '0' && c <= '9', c == '+', c == '-', c == '.', c == '~', c == '=':
		return key != "0" && !shortDecimal.MatchString(key) && notText.MatchString(key)
	case len(key) > 1 && len(key) <= 5:
		return notText.MatchString(key)
	}
	return false
}
