package zone

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/gowebpki/jcs"
	"go.yaml.in/yaml/v3"
)

const (
	// maxDepth bounds how deep a value is nested; octoDNS's deepest, dynamic pools, has five levels.
	maxDepth = 32
	// maxMerge bounds the mappings of a merge key, and the nodes of each.
	maxMerge = 64
	// maxSet bounds the text of one record set, and maxFile that of all in a file:
	// aliases can make a small source stand for a large one.
	maxSet = 8 << 20
)

func jsonString(s string) string {
	b, _ := json.Marshal(s) // a string always marshals
	return string(b)
}

// jsonOf gives a YAML node its RFC 8785 form. Numbers that a float64 cannot
// hold exactly, which RFC 8785 cannot either, become strings of their text.
func jsonOf(n *yaml.Node) (string, error) {
	var b strings.Builder
	if err := writeJSON(&b, n, 0); err != nil {
		return "", err
	}
	out, err := jcs.Transform([]byte("[" + b.String() + "]"))
	if err != nil {
		return "", fault("it cannot be written as JSON: "+err.Error(), "simplify the value")
	}
	return string(out[1 : len(out)-1]), nil
}

func writeJSON(b *strings.Builder, n *yaml.Node, depth int) error {
	if depth > maxDepth {
		return fault("it is nested too deeply", "simplify the value")
	}
	if b.Len() > maxSet {
		return fault("it grows too large", "use fewer aliases")
	}
	switch n.Kind {
	case yaml.AliasNode:
		return writeJSON(b, n.Alias, depth+1)
	case yaml.MappingNode:
		ps, err := pairs(n)
		if err != nil {
			return err
		}
		b.WriteByte('{')
		for i, p := range ps {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(jsonString(p.key.Value))
			b.WriteByte(':')
			if err := writeJSON(b, p.val, depth+1); err != nil {
				return err
			}
		}
		b.WriteByte('}')
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeJSON(b, item, depth+1); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	default:
		b.WriteString(jsonScalar(n))
	}
	return nil
}

// jsonScalar keeps a scalar's YAML type when JSON has it, and its text otherwise.
func jsonScalar(n *yaml.Node) string {
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 && n.ShortTag() == "!!str" {
		// Truth values of YAML 1.1, which octoDNS reads.
		switch strings.ToLower(n.Value) {
		case "yes", "on":
			return "true"
		case "no", "off":
			return "false"
		}
	}
	switch n.ShortTag() {
	case "!!null":
		return "null"
	case "!!bool":
		var v bool
		if n.Decode(&v) == nil {
			return strconv.FormatBool(v)
		}
	case "!!int":
		var v int64
		if n.Decode(&v) == nil && v > -(1<<53) && v < 1<<53 {
			return strconv.FormatInt(v, 10)
		}
	case "!!float":
		var v float64
		if n.Decode(&v) == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
			return strconv.FormatFloat(v, 'g', -1, 64)
		}
	}
	return jsonString(n.Value)
}

// pair is one key and value of a YAML mapping.
type pair struct{ key, val *yaml.Node }

// pairs lists a mapping's keys and values, with aliases and merge keys
// ("<<") resolved. A repeated key is an error, since YAML forbids it and every
// reader picks another winner.
func pairs(n *yaml.Node) ([]pair, error) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		return nil, faultAt(n, "a mapping (key: value) was expected here", "")
	}
	var out, merged []pair
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Tag == "!!merge" {
			from := []*yaml.Node{v}
			if r := resolve(v); r.Kind == yaml.SequenceNode {
				from = r.Content
			}
			if len(from) > maxMerge {
				return nil, faultAt(v, "too much is merged (<<) here", "write the keys out")
			}
			for _, m := range from {
				r := resolve(m)
				if len(r.Content) > maxMerge {
					return nil, faultAt(v, "too much is merged (<<) here", "write the keys out")
				}
				if r.Kind != yaml.MappingNode {
					return nil, faultAt(v, "a merge key (<<) must name a mapping", "")
				}
				for j := 0; j+1 < len(r.Content); j += 2 {
					if r.Content[j].Tag == "!!merge" {
						return nil, faultAt(v, "merge keys (<<) inside merged mappings are not read", "write the keys out")
					}
					merged = append(merged, pair{r.Content[j], r.Content[j+1]})
				}
			}
			continue
		}
		if k.Kind != yaml.ScalarNode {
			return nil, faultAt(k, "a key must be plain text", "")
		}
		if seen[k.Value] {
			return nil, faultAt(k, fmt.Sprintf("the key %q is there twice", k.Value), "keep one of them")
		}
		seen[k.Value] = true
		out = append(out, pair{k, v})
	}
	for _, p := range merged {
		if !seen[p.key.Value] {
			seen[p.key.Value] = true
			out = append(out, p)
		}
	}
	return out, nil
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	for i := 0; n.Kind == yaml.AliasNode && i < maxDepth; i++ {
		n = n.Alias
	}
	return n
}

// faultAt is a fault at a node's line.
func faultAt(n *yaml.Node, what, help string) *Error {
	return &Error{Place: Place{Line: n.Line}, What: what, Help: help}
}
