package zone

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// This file writes record sets as octoDNS dumps them: keys in natural order,
// one value as value and several as values, quotes only where YAML 1.1, which
// octoDNS reads, would take the text for something else.

// style is how a file is laid out.
type style struct {
	step int    // spaces that a mapping is indented by
	dash int    // spaces that a list's dashes are indented by
	eol  string // "\n" or "\r\n"
}

// layout finds the style of the source, in the lines that come first.
func layout(src string, eol string) style {
	s := style{step: 2, dash: 2, eol: eol}
	var step, dash bool
	prev, prevIndent := "", 0
	for l := range strings.Lines(src) {
		l = strings.TrimRight(l, "\r\n")
		if blankOrComment(l) {
			continue
		}
		indent := len(l) - len(strings.TrimLeft(l, " "))
		if strings.HasSuffix(prev, ":") && !strings.HasPrefix(strings.TrimLeft(prev, " "), "- ") {
			item := strings.HasPrefix(l[indent:], "- ")
			switch d := indent - prevIndent; {
			case item && d >= 0 && d <= 8 && !dash:
				s.dash, dash = d, true
			case !item && d >= 2 && d <= 8 && !step:
				s.step, step = d, true
			}
		}
		if step && dash {
			break
		}
		prev, prevIndent = l, indent
	}
	return s
}

// recordNode is the mapping that octoDNS reads r from.
func recordNode(r RRSet) (*yaml.Node, error) {
	m := &yaml.Node{Kind: yaml.MappingNode}
	if r.Extra != "" {
		extra, err := nodeOfJSON(r.Extra)
		if err != nil || extra.Kind != yaml.MappingNode {
			return nil, r.fault("its other settings are not a JSON object", "")
		}
		for i := 0; i < len(extra.Content); i += 2 {
			if slices.Contains([]string{"ttl", "type", "value", "values"}, extra.Content[i].Value) {
				return nil, r.fault("its other settings repeat "+extra.Content[i].Value, "")
			}
		}
		m.Content = extra.Content
	}
	if r.TTL != NoTTL {
		m.Content = append(m.Content, str("ttl"), number(strconv.Itoa(r.TTL)))
	}
	m.Content = append(m.Content, str("type"), str(r.Type))
	v, err := valuesNode(r)
	if err != nil {
		return nil, err
	}
	switch len(v.Content) {
	case 0:
	case 1:
		m.Content = append(m.Content, str("value"), v.Content[0])
	default:
		m.Content = append(m.Content, str("values"), v)
	}
	return m, nil
}

func valuesNode(r RRSet) (*yaml.Node, error) {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, v := range r.Values {
		n, err := valueNode(r.Type, v)
		if err != nil {
			return nil, r.wrap(v, err)
		}
		list.Content = append(list.Content, n)
	}
	return list, nil
}

// valueNode is the inverse of valueOf.
func valueNode(typ, value string) (*yaml.Node, error) {
	if providerType(typ) {
		return nodeOfJSON(value)
	}
	t, ok := recordTypes[typ]
	switch {
	case !ok:
		return str(value), nil
	case t.fields[0].kind == text:
		s, err := textYAML(value)
		return str(s), err
	case !t.mapping():
		return str(value), nil
	}
	toks, err := tokens(value)
	if err != nil {
		return nil, err
	}
	if len(toks) < len(t.fields) && t.fields[len(t.fields)-1].kind != params {
		return nil, fault("it has too few parts", "write it like "+t.example)
	}
	m := &yaml.Node{Kind: yaml.MappingNode}
	for i, f := range t.fields {
		switch f.kind {
		case params:
			if ps := paramsNode(toks[i:]); len(ps.Content) > 0 {
				m.Content = append(m.Content, str(f.key), ps)
			}
		case u8, u16, degrees:
			m.Content = append(m.Content, str(f.key), number(toks[i].text))
		case decimal, metres:
			m.Content = append(m.Content, str(f.key), number(strings.TrimSuffix(toks[i].text, "m")))
		default:
			m.Content = append(m.Content, str(f.key), str(toks[i].text))
		}
	}
	return m, nil
}

// listParams are the SVCB parameters whose values are lists (RFC 9460 sections 7 and 8).
var listParams = map[string]bool{"alpn": true, "ipv4hint": true, "ipv6hint": true, "mandatory": true}

func paramsNode(toks []token) *yaml.Node {
	m := &yaml.Node{Kind: yaml.MappingNode}
	for i := 0; i < len(toks); i++ {
		key, val, found := strings.Cut(toks[i].text, "=")
		if found && val == "" && i+1 < len(toks) && toks[i+1].quoted {
			i++
			val = toks[i].text
		}
		v := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
		switch {
		case val == "":
		case listParams[key]:
			v = &yaml.Node{Kind: yaml.SequenceNode}
			for _, item := range strings.Split(val, ",") {
				v.Content = append(v.Content, str(item))
			}
		case key == "port":
			v = number(val)
		case found:
			v = str(val)
		}
		m.Content = append(m.Content, str(key), v)
	}
	return m
}

func str(s string) *yaml.Node    { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }
func number(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: s} }

// nodeOfJSON reads RFC 8785 text into YAML nodes.
func nodeOfJSON(s string) (*yaml.Node, error) {
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fault("it is not JSON: "+err.Error(), "")
	}
	return nodeOf(v), nil
}

func nodeOf(v any) *yaml.Node {
	switch v := v.(type) {
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	case string:
		return str(v)
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range v {
			n.Content = append(n.Content, nodeOf(item))
		}
		return n
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for k, item := range v {
			n.Content = append(n.Content, str(k), nodeOf(item))
		}
		return n
	default:
		return number(fmt.Sprint(v)) // a number or a truth value
	}
}

// lines writes a node without indentation.
func (s style) lines(n *yaml.Node) []string {
	var out []string
	switch n.Kind {
	case yaml.MappingNode:
		if len(n.Content) == 0 {
			return []string{"{}"}
		}
		for _, p := range sortedPairs(n) {
			out = append(out, s.field(p.key.Value, p.val)...)
		}
	case yaml.SequenceNode:
		if len(n.Content) == 0 {
			return []string{"[]"}
		}
		for _, item := range n.Content {
			out = append(out, nested("- ", s.lines(item))...)
		}
	default:
		return []string{scalar(n)}
	}
	return out
}

// field writes "key: value", with the value below the key if it has lines of its own.
func (s style) field(key string, v *yaml.Node) []string {
	k := scalar(str(key)) + ":"
	if v.Kind == yaml.ScalarNode || len(v.Content) == 0 {
		return []string{k + " " + s.lines(v)[0]}
	}
	width := s.step
	if v.Kind == yaml.SequenceNode {
		width = s.dash
	}
	pad := strings.Repeat(" ", width)
	out := []string{k}
	for _, l := range s.lines(v) {
		out = append(out, pad+l)
	}
	return out
}

// nested puts prefix before the first line and as many spaces before the others.
func nested(prefix string, lines []string) []string {
	pad := strings.Repeat(" ", len(prefix))
	for i := range lines {
		if i == 0 {
			lines[i] = prefix + lines[i]
		} else {
			lines[i] = pad + lines[i]
		}
	}
	return lines
}

func sortedPairs(n *yaml.Node) []pair {
	var ps []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		ps = append(ps, pair{n.Content[i], n.Content[i+1]})
	}
	slices.SortFunc(ps, func(a, b pair) int {
		if c := natural(a.key.Value, b.key.Value); c != 0 {
			return c
		}
		return strings.Compare(a.key.Value, b.key.Value)
	})
	return ps
}

// notText matches what YAML 1.1 or 1.2 reads as something other than text:
// truth values, null, numbers (with base 60 and underscores), dates, "=", "<<".
var notText = regexp.MustCompile(`^(?i:y|n|yes|no|on|off|true|false|null|~|=|<<|` +
	`[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?|[-+]?0[box][0-9a-f_]+|` +
	`[-+]?[0-9][0-9_]*\.?[0-9_]*(e[-+]?[0-9]+)?|[-+]?\.[0-9_]+(e[-+]?[0-9]+)?|[-+]?\.inf|\.nan|` +
	`[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?)$`)

// scalar writes one scalar, in quotes if it would not read back as the same.
func scalar(n *yaml.Node) string {
	s := n.Value
	if n.Tag != "!!str" {
		return s
	}
	for _, r := range s {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar || r == '\ufeff' {
			return doubleQuoted(s)
		}
	}
	plain := s != "" && s[0] != ' ' && s[len(s)-1] != ' ' && s[len(s)-1] != ':' &&
		strings.IndexByte("?:,[]{}#&*!|>%@`'\"", s[0]) < 0 && (s[0] != '-' || len(s) > 1 && s[1] != ' ') &&
		!strings.HasPrefix(s, "---") && !strings.HasPrefix(s, "...") &&
		!strings.Contains(s, ": ") && !strings.Contains(s, " #") && !notText.MatchString(s)
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// doubleQuoted is JSON's string, which YAML reads the same: every character
// that is not printable is escaped.
func doubleQuoted(s string) string {
	var b bytes.Buffer
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsPrint(r) && r != unicode.ReplacementChar && r != '\ufeff':
			b.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return `"` + b.String() + `"`
}
