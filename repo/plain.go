package repo

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// This file reads the list of zones in slipway.yaml without a YAML parser where it is
// written plainly, one zone a line: with thousands of zones, nearly all of the time that
// a check took went into parsing it.

// plainAfter is how many zones a list has before it is worth while.
const plainAfter = 64

// parseZones is parse for a mapping with a key zones. It gives what parse gives, but for the
// columns of nodes.
func (d *document) parseZones(src []byte, limit int) *yaml.Node {
	if len(src) <= limit {
		if root := plainZones(src, plainAfter); root != nil {
			return root
		}
	}
	return d.parse(src, limit)
}

// plainZones returns nil where the source has to be parsed as a whole, faults included.
func plainZones(src []byte, atLeast int) *yaml.Node {
	const key = "zones:\n"
	start := bytes.Index(src, []byte("\n"+key)) + 1
	if start == 0 && !bytes.HasPrefix(src, []byte(key)) {
		return nil
	}
	from := start + len(key)
	line := 1 + bytes.Count(src[:from], []byte("\n"))
	zones := line - 1
	var content []*yaml.Node
	to := from
	for ; ; line++ {
		n := bytes.IndexByte(src[to:], '\n')
		if n < 0 {
			break
		}
		entry := plainEntry(string(src[to:to+n]), line)
		if entry == nil {
			break
		}
		content = append(content, entry...)
		to += n + 1
	}
	if len(content) < 2*atLeast {
		return nil
	}
	// The rest is parsed with empty lines in their place. If zones is a key there, and not for
	// example within a quoted text, then they were the first lines below it.
	rest := bytes.Join([][]byte{src[:from], bytes.Repeat([]byte("\n"), line-zones-1), src[to:]}, nil)
	d := &document{}
	root := d.parse(rest, len(rest))
	if d.err != nil || root == nil || root.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		k, v := root.Content[i], root.Content[i+1]
		if k.Value != "zones" || k.Line != zones || k.Kind != yaml.ScalarNode {
			continue
		}
		switch {
		case isNull(v) && v.Value == "":
			root.Content[i+1] = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: content, Line: zones + 1, Column: 3}
		case v.Kind == yaml.MappingNode && v.Style&yaml.FlowStyle == 0 && v.Anchor == "" && v.Column == 3:
			v.Content = append(content, v.Content...)
			v.Line = zones + 1
		default:
			return nil
		}
		return root
	}
	return nil
}

// plainEntry reads a line such as "  example.org: {visibility: external, owner: example.org}", or
// "  directory: zones": letters, digits, dots, hyphens and underscores only, so that YAML can take it
// for one thing only.
func plainEntry(line string, number int) []*yaml.Node {
	rest, ok := strings.CutPrefix(line, "  ")
	if !ok {
		return nil
	}
	name, rest, ok := strings.Cut(rest, ": ")
	if !ok || !plainScalar(name) {
		return nil
	}
	pairs := strings.Count(rest, ", ") + 1
	slab := make([]yaml.Node, 0, 2+2*pairs) // never more, so that nodes stay where they are
	node := func(value string) *yaml.Node {
		slab = append(slab, yaml.Node{Kind: yaml.ScalarNode, Value: value, Line: number, Column: 3})
		n := &slab[len(slab)-1]
		n.Tag = n.ShortTag()
		return n
	}
	if name == "directory" && plainScalar(rest) {
		return []*yaml.Node{node(name), node(rest)}
	}
	if len(rest) < 2 || rest[0] != '{' || rest[len(rest)-1] != '}' {
		return nil
	}
	list := make([]*yaml.Node, 0, 2+2*pairs)
	list = append(list, node(name), nil)
	for pair := range strings.SplitSeq(rest[1:len(rest)-1], ", ") {
		k, v, ok := strings.Cut(pair, ": ")
		if !ok || !plainScalar(k) || !plainScalar(v) {
			return nil
		}
		list = append(list, node(k), node(v))
	}
	slab = append(slab, yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Style: yaml.FlowStyle, Line: number, Column: 3, Content: list[2:]})
	list[1] = &slab[len(slab)-1]
	return list[:2:2]
}

// plainScalar says whether a text begins with a letter or digit and holds nothing that YAML
// gives a meaning.
func plainScalar(s string) bool {
	if s == "" || s[0] == '-' || s[0] == '.' || s[0] == '_' {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return true
}
