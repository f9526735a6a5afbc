package zone

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// plan is one block opened for an edit: its lines, without their ends, and
// where its record sets lie in them. All line numbers are indexes into lines.
type plan struct {
	style
	name    Name
	lines   []string
	body    *yaml.Node
	scalars bool // a block scalar (| or >) is in it
	end     int  // after the last line that is the block's own
	noEOL   bool // the last line has no end
	coarse  bool // write a record set anew instead of editing inside it
}

func (f *File) plan(b *block) (*plan, error) {
	body, err := f.body(b)
	if err != nil {
		return nil, err
	}
	p := &plan{style: f.style(b), body: body, noEOL: !strings.HasSuffix(b.text, "\n")}
	if p.name, err = f.nameOf(b.key, b.line); err != nil {
		return nil, err
	}
	p.lines = strings.Split(strings.ReplaceAll(strings.TrimSuffix(b.text, "\n"), "\r\n", "\n"), "\n")
	for i := range p.lines {
		p.lines[i] = strings.TrimSuffix(p.lines[i], "\r")
	}
	p.scalars = blockScalar(body)
	p.end = p.trim(1, len(p.lines))
	return p, nil
}

func (p *plan) join(lines []string) string {
	text := strings.Join(lines, p.eol)
	if !p.noEOL {
		text += p.eol
	}
	return text
}

// trim takes the blank lines and comments off the end of [from, to).
func (p *plan) trim(from, to int) int {
	for to > from && blankLine(p.lines[to-1], p.scalars) {
		to--
	}
	return to
}

func blockScalar(n *yaml.Node) bool {
	return n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 || slices.ContainsFunc(n.Content, blockScalar)
}

// splice returns the lines with [from, to) replaced.
func (p *plan) splice(from, to int, with ...string) []string {
	return slices.Concat(p.lines[:from], with, p.lines[to:])
}

// put writes r into the block.
func (p *plan) put(r RRSet) ([]string, error) {
	rec, err := recordNode(r)
	if err != nil {
		return nil, err
	}
	if p.body.Kind != yaml.SequenceNode {
		if typeOf(p.body) == r.Type {
			return p.putMapping(r, rec)
		}
		return p.toList(r, rec)
	}
	if p.body.Style&yaml.FlowStyle != 0 {
		return p.lines, nil // does not read back; refused
	}
	items := p.items(p.body, p.end)
	for i, it := range items {
		if typeOf(p.body.Content[i]) == r.Type {
			if !p.coarse {
				if lines, ok := p.editRecord(p.body.Content[i], it, r); ok {
					return lines, nil
				}
			}
			return p.splice(it.from, it.to, nested(it.prefix, p.style.lines(rec))...), nil
		}
	}
	return p.addItem(p.body, items, 1, r, rec), nil
}

// addItem puts a record set into a list at its type's place; first is the line
// where the list begins.
func (p *plan) addItem(list *yaml.Node, items []span, first int, r RRSet, rec *yaml.Node) []string {
	i := sortedPlace(len(items), func(i int) int { return strings.Compare(r.Type, typeOf(list.Content[i])) })
	at, prefix := first, strings.Repeat(" ", p.dash)+"- "
	if len(items) > 0 {
		dash := strings.IndexByte(p.lines[items[0].from], '-')
		prefix = strings.Repeat(" ", dash) + "- "
	}
	if i > 0 {
		at = items[i-1].to
	}
	return p.splice(at, at, nested(prefix, p.style.lines(rec))...)
}

func (p *plan) remove(typ string) ([]string, error) {
	if p.body.Kind == yaml.SequenceNode && p.body.Style&yaml.FlowStyle == 0 {
		items := p.items(p.body, p.end)
		for i, it := range items {
			if typeOf(p.body.Content[i]) == typ {
				return p.splice(it.from, it.to), nil
			}
		}
	}
	return p.lines, nil
}

// inline says whether the body begins on the key's line, as {…} does.
func (p *plan) inline() bool { return p.body.Line == 1 }

// putMapping replaces the one record set of a block.
func (p *plan) putMapping(r RRSet, rec *yaml.Node) ([]string, error) {
	key := p.keyText()
	if !p.coarse && !p.inline() && p.body.Style&yaml.FlowStyle == 0 {
		it := span{from: 1, to: p.end}
		if lines, ok := p.editRecord(p.body, it, r); ok {
			return lines, nil
		}
	}
	indent := p.step
	if !p.inline() {
		indent = p.body.Column - 1
		key = p.lines[0]
	}
	body := nested(strings.Repeat(" ", indent), p.style.lines(rec))
	return p.splice(0, p.end, append([]string{key}, body...)...), nil
}

// keyText is the block's key with its colon.
func (p *plan) keyText() string {
	if !p.inline() {
		return p.lines[0]
	}
	return strings.TrimRight(p.lines[0][:p.body.Column-1], " ")
}

// toList turns a single record set into a list of two.
func (p *plan) toList(r RRSet, rec *yaml.Node) ([]string, error) {
	dash := strings.Repeat(" ", p.dash)
	var old []string
	if p.inline() {
		old = append([]string{dash + "- " + p.lines[0][p.body.Column-1:]}, p.lines[1:p.end]...)
	} else {
		have := p.body.Column - 1
		first := p.body.Line - 1
		for i, l := range p.lines[1:p.end] {
			switch {
			case strings.TrimLeft(l, " ") == "":
			case 1+i == first:
				l = dash + "- " + l[have:]
			case len(l)-len(strings.TrimLeft(l, " ")) >= have:
				l = dash + "  " + l[have:]
			}
			old = append(old, l)
		}
	}
	fresh := nested(dash+"- ", p.style.lines(rec))
	both := slices.Concat(old, fresh)
	if r.Type < typeOf(p.body) {
		both = slices.Concat(fresh, old)
	}
	return p.splice(0, p.end, append([]string{p.keyText()}, both...)...), nil
}

// typeOf reads the type of a record set's mapping.
func typeOf(n *yaml.Node) string {
	n = resolve(n)
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		if n.Content[i].Value == "type" {
			return n.Content[i+1].Value
		}
	}
	return ""
}

// span is where one list item lies: its lines and what its first one opens with ("  - ").
type span struct {
	from, to int
	prefix   string
}

// items finds a block list's items. Comments above an item belong to it but are
// outside its span, so that they stay when it goes.
func (p *plan) items(list *yaml.Node, end int) []span {
	spans := make([]span, len(list.Content))
	for i, n := range list.Content {
		at := n.Line - 1
		dash := list.Column - 1
		for at > 0 && (len(p.lines[at]) <= dash || p.lines[at][dash] != '-' || strings.TrimLeft(p.lines[at][:dash], " -") != "") {
			at-- // the dash stands alone on a line above
		}
		spans[i].from = at
		spans[i].prefix = p.lines[at][:min(dash+2, len(p.lines[at]))]
		if n.Line-1 != at {
			spans[i].prefix = strings.Repeat(" ", dash) + "- "
		}
	}
	for i := range spans {
		to := end
		if i+1 < len(spans) {
			to = spans[i+1].from
		}
		spans[i].to = p.trim(spans[i].from+1, to)
	}
	return spans
}
