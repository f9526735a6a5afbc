package zone

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// part is one field of a record set as written: its lines, the first without
// what stands before the key, and the comments above it.
type part struct {
	key   string
	lead  []string
	lines []string
	val   *yaml.Node
	at    int // index of the first line in the block
}

// editRecord changes what differs between the record set at it and r, field by
// field, and within values item by item. It says no when the layout is one that
// it does not know; the record set is then written anew.
func (p *plan) editRecord(n *yaml.Node, it span, r RRSet) ([]string, bool) {
	if n.Kind != yaml.MappingNode || n.Style&yaml.FlowStyle != 0 || len(n.Content) == 0 {
		return nil, false
	}
	indent := n.Content[0].Column - 1
	prefix := p.lines[n.Content[0].Line-1][:indent]
	var parts []part
	at := it.from
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		first, to := k.Line-1, it.to
		if i+2 < len(n.Content) {
			to = p.trim(first+1, n.Content[i+2].Line-1)
		}
		if k.Column-1 != indent || first < at {
			return nil, false
		}
		lines := slices.Clone(p.lines[first:to])
		lines[0] = lines[0][indent:]
		parts = append(parts, part{key: k.Value, lead: p.lines[at:first], lines: lines, val: n.Content[i+1], at: first})
		at = to
	}
	f := &File{zone: p.name}
	old, err := f.set(p.name, n, 0)
	if err != nil || old.Extra != r.Extra {
		return nil, false
	}
	if old.TTL != r.TTL {
		parts = p.editTTL(parts, r.TTL)
	}
	if !slices.Equal(old.Values, r.Values) {
		var ok bool
		if parts, ok = p.editValues(parts, r, indent); !ok {
			return nil, false
		}
	}
	var out []string
	for i, f := range parts {
		out = append(out, f.lead...)
		pre := strings.Repeat(" ", indent)
		if i == 0 {
			pre = prefix
		}
		out = append(out, pre+f.lines[0])
		out = append(out, f.lines[1:]...)
	}
	return p.splice(it.from, it.to, out...), true
}

// editTTL changes, adds or takes out the ttl field.
func (p *plan) editTTL(parts []part, ttl int) []part {
	i := slices.IndexFunc(parts, func(f part) bool { return f.key == "ttl" })
	text := strconv.Itoa(ttl)
	switch {
	case ttl == NoTTL:
		return dropPart(parts, i)
	case i < 0:
		fresh := part{key: "ttl", lines: []string{"ttl: " + text}}
		return insertPart(parts, fresh)
	}
	if line, ok := replaceScalar(parts[i], text); ok {
		parts[i].lines[0] = line
	} else {
		parts[i].lines = []string{"ttl: " + text}
	}
	return parts
}

// editValues changes the value or values field.
func (p *plan) editValues(parts []part, r RRSet, indent int) ([]part, bool) {
	i := slices.IndexFunc(parts, func(f part) bool { return f.key == "value" || f.key == "values" })
	list, err := valuesNode(r)
	if err != nil {
		return nil, false
	}
	if len(list.Content) == 0 {
		return dropPart(parts, i), true
	}
	if i >= 0 && parts[i].val.Kind == yaml.SequenceNode && parts[i].val.Style&yaml.FlowStyle == 0 && len(parts[i].val.Content) > 0 {
		return parts, p.editItems(&parts[i], r, list)
	}
	if i >= 0 && len(list.Content) == 1 && list.Content[0].Kind == yaml.ScalarNode {
		if line, ok := replaceScalar(parts[i], scalar(list.Content[0])); ok {
			parts[i].lines[0] = line
			return parts, true
		}
	}
	fresh := part{key: "value", lines: p.style.field("value", list.Content[0])}
	if len(list.Content) > 1 {
		fresh = part{key: "values", lines: p.style.field("values", list)}
	}
	for j := 1; j < len(fresh.lines); j++ {
		fresh.lines[j] = strings.Repeat(" ", indent) + fresh.lines[j]
	}
	if i < 0 {
		return insertPart(parts, fresh), true
	}
	fresh.lead = parts[i].lead
	parts[i] = fresh
	return parts, true
}

// editItems keeps the lines of the values that stay, in their order.
func (p *plan) editItems(f *part, r RRSet, list *yaml.Node) bool {
	base := f.at // f.lines[k] is the block's line base+k
	spans := p.items(f.val, base+len(f.lines))
	if len(spans) == 0 || spans[0].from == base {
		return false // the first dash is on the key's line
	}
	type item struct {
		value string
		lines []string
	}
	var items []item
	have := map[string]bool{}
	sorted := true
	last := ""
	from := base + 1
	for i, s := range spans {
		v, err := valueOf(r.Type, f.val.Content[i])
		if err != nil {
			return false
		}
		sorted = sorted && last <= v
		last = v
		lead := slices.Clone(p.lines[from:s.from])
		from = s.to
		if _, stays := slices.BinarySearch(r.Values, v); !stays {
			// A comment above a value that goes stays behind, before the next.
			if len(lead) > 0 {
				items = append(items, item{v, lead})
			}
			continue
		}
		have[v] = true
		items = append(items, item{v, append(lead, p.lines[s.from:s.to]...)})
	}
	prefix := strings.Repeat(" ", f.val.Column-1) + "- "
	for i, v := range r.Values {
		if have[v] {
			continue
		}
		at := len(items)
		if sorted {
			at = sortedPlace(len(items), func(i int) int { return strings.Compare(v, items[i].value) })
		}
		items = slices.Insert(items, at, item{v, nested(prefix, p.style.lines(list.Content[i]))})
	}
	tail := slices.Clone(p.lines[from : base+len(f.lines)])
	f.lines = f.lines[:1]
	for _, it := range items {
		f.lines = append(f.lines, it.lines...)
	}
	f.lines = append(f.lines, tail...)
	return true
}

// replaceScalar writes text over the scalar on the field's own line, so that a
// comment behind it stays.
func replaceScalar(f part, text string) (string, bool) {
	line := f.lines[0]
	if f.val.Kind != yaml.ScalarNode || f.val.Line-1 != f.at || len(f.lines) != 1 {
		return "", false
	}
	_, rest, found := strings.Cut(line, ":")
	if !found {
		return "", false
	}
	spaces := len(rest) - len(strings.TrimLeft(rest, " "))
	start := len(line) - len(rest) + spaces
	old := line[start:]
	var width int
	switch {
	case old == "":
		return strings.TrimRight(line, " ") + " " + text, true
	case old[0] == '\'' || old[0] == '"':
		width = closing(old) + 1
	default:
		width = len(old)
		if i := strings.Index(old, " #"); i >= 0 {
			width = i
		}
		width = len(strings.TrimRight(old[:width], " "))
		if old[:width] != f.val.Value {
			return "", false
		}
	}
	if width == 0 {
		return "", false
	}
	return line[:start] + text + old[width:], true
}

// insertPart puts a new field at its natural place among the others.
func insertPart(parts []part, fresh part) []part {
	i := sortedPlace(len(parts), func(i int) int { return natural(fresh.key, parts[i].key) })
	if i == 0 && len(parts) > 0 {
		// What stands above all fields stays there; it may be the list's dash.
		fresh.lead, parts[0].lead = parts[0].lead, nil
	}
	return slices.Insert(parts, i, fresh)
}

// dropPart takes a field out and leaves the comments above it.
func dropPart(parts []part, i int) []part {
	if i < 0 {
		return parts
	}
	if i+1 < len(parts) {
		parts[i+1].lead = slices.Concat(parts[i].lead, parts[i+1].lead)
	}
	return slices.Delete(parts, i, i+1)
}
