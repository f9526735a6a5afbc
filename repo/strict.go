package repo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/zone"
)

// document decodes one small YAML file strictly: an unknown key, a repeated key
// or a value of the wrong type is a *zone.Error with its line. The first fault
// found is kept; after it every read gives the zero value.
type document struct {
	path string
	err  *zone.Error
}

func (d *document) fail(n *yaml.Node, help, format string, args ...any) {
	if d.err != nil {
		return
	}
	line := 1
	if n != nil && n.Line > 0 {
		line = n.Line
	}
	d.err = &zone.Error{Place: zone.Place{Path: d.path, Line: line}, What: fmt.Sprintf(format, args...), Help: help}
}

// result is the first fault as an error: nil when there is none.
func (d *document) result() error {
	if d.err != nil {
		return d.err
	}
	return nil
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

// parse returns the root mapping of src, or nil when src is empty.
func (d *document) parse(src []byte, limit int) *yaml.Node {
	if len(src) > limit {
		d.fail(nil, "split it, or remove what is not needed", "the file is %d bytes long; at most %d are read", len(src), limit)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var root, second yaml.Node
	err := dec.Decode(&root)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		if err = dec.Decode(&second); err == nil {
			d.fail(&second, "keep one document in the file", "a second YAML document begins here")
			return nil
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		at := &yaml.Node{Line: 1}
		msg := strings.TrimPrefix(err.Error(), "yaml: ")
		if m := yamlLine.FindStringSubmatch(msg); m != nil {
			at.Line, _ = strconv.Atoi(m[1])
			msg = strings.TrimPrefix(msg, m[0]+": ")
		}
		d.fail(at, "check indentation, quotes and brackets near this line", "this is not YAML: %s", msg)
		return nil
	}
	if len(root.Content) == 0 || isNull(root.Content[0]) {
		return nil
	}
	return root.Content[0]
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// field is one key of a mapping with its value.
type field struct {
	name       string
	key, value *yaml.Node
}

// fields returns the pairs of the mapping n in their order. allowed nil lets every key pass.
func (d *document) fields(n *yaml.Node, what string, allowed []string) []field {
	n = follow(n)
	if n == nil || isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, "write `key: value` lines", "%s must be a mapping of keys to values", what)
		return nil
	}
	var out []field
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		name := follow(k).Value
		if follow(k).Kind != yaml.ScalarNode {
			d.fail(k, "", "a key of %s must be a plain word", what)
			return nil
		}
		if first, ok := seen[name]; ok {
			d.fail(k, "remove one of the two", "key %q stands twice in %s; the first is in line %d", name, what, first)
			return nil
		}
		seen[name] = k.Line
		if allowed != nil && !slices.Contains(allowed, name) {
			help := "allowed are: " + strings.Join(allowed, ", ")
			if near := closest(name, allowed); near != "" {
				help = fmt.Sprintf("did you mean %q? %s", near, help)
			}
			d.fail(k, help, "unknown key %q in %s", name, what)
			return nil
		}
		out = append(out, field{name, k, v})
	}
	return out
}

func follow(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// text reads a scalar as a string. Numbers and dates are taken as they are written.
func (d *document) text(n *yaml.Node, what string) string {
	n = follow(n)
	if n == nil || isNull(n) {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		d.fail(n, "write one value", "%s must be a single value", what)
		return ""
	}
	if strings.ContainsFunc(n.Value, func(r rune) bool { return isControl(r) && r != '\n' && r != '\t' }) {
		d.fail(n, "remove the control characters", "%s holds characters that cannot be shown", what)
		return ""
	}
	return n.Value
}

func (d *document) boolean(n *yaml.Node, what string) bool {
	n = follow(n)
	if n == nil || isNull(n) {
		return false
	}
	var b bool
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Decode(&b) != nil {
		d.fail(n, "write true or false", "%s must be true or false", what)
	}
	return b
}

func (d *document) number(n *yaml.Node, what string, low, high int) int {
	s := d.text(n, what)
	i, err := strconv.Atoi(s)
	if d.err == nil && (err != nil || i < low || i > high) {
		d.fail(follow(n), fmt.Sprintf("write a number from %d to %d", low, high), "%s: %q is not such a number", what, s)
	}
	return i
}

// list reads a sequence of scalars; a single scalar is a list of one.
func (d *document) list(n *yaml.Node, what string) []*yaml.Node {
	n = follow(n)
	switch {
	case n == nil || isNull(n):
		return nil
	case n.Kind == yaml.SequenceNode:
		return n.Content
	case n.Kind == yaml.ScalarNode:
		return []*yaml.Node{n}
	}
	d.fail(n, "write [one, two]", "%s must be a list", what)
	return nil
}

func (d *document) texts(n *yaml.Node, what string) []string {
	var out []string
	for _, item := range d.list(n, what) {
		s := d.text(item, "each of "+what)
		if s == "" {
			d.fail(item, "remove it", "an entry of %s is empty", what)
		}
		out = append(out, s)
	}
	return out
}

func (d *document) oneOf(n *yaml.Node, what string, allowed ...string) string {
	s := d.text(n, what)
	if s != "" && !slices.Contains(allowed, s) {
		d.fail(follow(n), "write "+strings.Join(allowed, " or "), "%s cannot be %q", what, s)
	}
	return s
}

func (d *document) name(n *yaml.Node, what string) zone.Name {
	s := d.text(n, what)
	if s == "" {
		return ""
	}
	name, err := zone.ParseName(s)
	if err != nil {
		d.fail(follow(n), "write a domain name such as app.example.org", "%s: %v", what, err)
	}
	return name
}

// closest returns the word of known that is most like s, or "" when none is near.
func closest(s string, known []string) string {
	best, bestAt := "", 3
	if len(s) > 64 {
		return ""
	}
	for _, k := range known {
		if at := distance(strings.ToLower(s), k); at < bestAt && at < len(k) {
			best, bestAt = k, at
		}
	}
	return best
}

// distance is the Levenshtein distance of two short words; - and _ count as equal.
func distance(a, b string) int {
	a, b = strings.ReplaceAll(a, "_", "-"), strings.ReplaceAll(b, "_", "-")
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
