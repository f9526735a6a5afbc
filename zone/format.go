package zone

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Format lays a zone file out as octoDNS dumps one: names and keys in natural
// order, record sets by type, one value as value and several, sorted, as values,
// quotes only where they are needed, lines that end in LF. What the file says does not
// change, which is checked, and comments stay: those above a name go where it goes. The
// records of a name that cannot be laid out without losing a comment stay as they are. A
// file that cannot be cut by name (see ParseYAML) is an *Error.
func Format(zone Name, path string, src []byte) ([]byte, error) {
	f, err := ParseYAML(zone, path, src)
	if err != nil {
		return nil, err
	}
	want, err := f.RRSets()
	if err != nil {
		return nil, err
	}
	if f.isWhole {
		return nil, f.fault(1, "this file cannot be laid out: "+f.uncut, "write it in the plain style that octoDNS dumps")
	}
	if f.crlf {
		if f, err = ParseYAML(zone, path, []byte(strings.ReplaceAll(string(src), "\r\n", "\n"))); err != nil {
			return nil, err
		}
	}
	f.unfold()
	if len(f.list) == 0 {
		return f.Bytes(), nil
	}
	// What has no comment is first laid out without a look at each name: the whole is read back
	// anyway, which costs less. Only if that comes out otherwise is every name looked at.
	for _, careful := range []bool{false, true} {
		out := []byte(f.laidOut(careful))
		if g, err := ParseYAML(zone, path, out); err == nil {
			if got, err := g.RRSets(); err == nil && slices.EqualFunc(got, want, RRSet.Equal) {
				return out, nil
			}
		}
	}
	return nil, f.fault(1, "this file cannot be laid out without changing what it says", "leave it as it is")
}

// laidOut puts the blocks in order, each with the lines that stand above it.
func (f *File) laidOut(careful bool) string {
	type piece struct{ key, lead, own string }
	pieces := make([]piece, len(f.list))
	head, lead := splitHead(f.head)
	for i, b := range f.list {
		own, gap := splitGap(b.text)
		if !strings.HasSuffix(own, "\n") {
			own += "\n"
		}
		pieces[i] = piece{b.key, tidyGap(lead), f.laidOutBlock(b, own, careful || strings.Contains(own, "#"))}
		lead = gap
	}
	slices.SortStableFunc(pieces, func(a, b piece) int { return natural(a.key, b.key) })
	var out strings.Builder
	out.WriteString(head)
	for i, p := range pieces {
		if i == 0 {
			p.lead = strings.TrimLeft(p.lead, "\n")
		}
		out.WriteString(p.lead + p.own)
	}
	out.WriteString(strings.TrimRight(tidyGap(lead), "\n"))
	if s := out.String(); !strings.HasSuffix(s, "\n") {
		out.WriteByte('\n')
	}
	return out.String()
}

// splitHead separates what is above the first name from the comment that is about it:
// the lines right above.
func splitHead(head string) (top, lead string) {
	lines := strings.SplitAfter(strings.TrimPrefix(head, bom), "\n")
	at := len(lines)
	for at > 0 && (lines[at-1] == "" || comment(strings.TrimRight(lines[at-1], "\n"))) {
		at--
	}
	lead = strings.Join(lines[at:], "")
	top = strings.TrimLeft(tidyGap(strings.Join(lines[:at], "")), "\n")
	if !slices.ContainsFunc(lines[:at], func(l string) bool { return strings.HasPrefix(l, "---") }) {
		// A file's own comment stays above the mark that begins it.
		top = strings.TrimRight(top, "\n")
		if top != "" {
			top += "\n"
		}
		top += "---\n"
	}
	return top, lead
}

// tidyGap takes spaces off the ends of lines, and makes several blank lines one.
func tidyGap(gap string) string {
	var b strings.Builder
	blank := false
	for l := range strings.Lines(gap) {
		l = strings.TrimRight(l, " \r\n")
		if l == "" && blank {
			continue
		}
		blank = l == ""
		b.WriteString(l + "\n")
	}
	return b.String()
}

// laidOutBlock is the block's own lines in their canonical layout, or as they are
// where that would change what they say or lose a comment. Who is not careful checks the whole file.
func (f *File) laidOutBlock(b *block, own string, careful bool) string {
	before, err := parse(own)
	if err != nil || len(before.Content) != 2 {
		return own
	}
	key, body := before.Content[0], before.Content[1]
	key.Tag = "!!str"
	lines := noted(key, canonicalBody(body))
	text := strings.Join(lines, "\n") + "\n"
	if !careful {
		return text
	}
	want, err := f.readBlock(b)
	if err != nil || !f.reads(b, text, want) || !SameComments(own, text) {
		return own
	}
	return text
}

// SameComments says whether two YAML texts have the same comments, in whatever order: what
// lays a file out anew must not lose one. When in doubt, it says no.
func SameComments(before, after string) bool {
	var b, a yaml.Node
	if yaml.Unmarshal([]byte(before), &b) != nil || yaml.Unmarshal([]byte(after), &a) != nil {
		return false
	}
	return slices.Equal(commentsOf(&b), commentsOf(&a)) && hashes(before, &b) == hashes(after, &a)
}

// commentsOf are all lines of comments in a tree, sorted.
func commentsOf(n *yaml.Node) []string {
	var out []string
	var walk func(*yaml.Node)
	walk = func(n *yaml.Node) {
		for _, c := range []string{n.HeadComment, n.LineComment, n.FootComment} {
			out = append(out, commentLines(c)...)
		}
		for _, m := range n.Content {
			walk(m)
		}
	}
	walk(n)
	slices.Sort(out)
	return out
}

// hashes counts the # signs outside scalars: comments that the YAML parser did not see
// would be missed by counting its own.
func hashes(text string, n *yaml.Node) int {
	count := strings.Count(text, "#")
	var walk func(*yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			count -= strings.Count(n.Value, "#")
		}
		for _, m := range n.Content {
			walk(m)
		}
	}
	walk(n)
	return count
}

func commentLines(c string) []string {
	var out []string
	for l := range strings.Lines(c) {
		if l = strings.TrimRight(l, " \r\n"); l != "" {
			out = append(out, strings.TrimLeft(l, " "))
		}
	}
	return out
}

func uncommented(n *yaml.Node) bool { return n.HeadComment+n.LineComment+n.FootComment == "" }

// canonicalBody orders what stands under a name.
func canonicalBody(body *yaml.Node) *yaml.Node {
	if body.Kind != yaml.SequenceNode {
		return canonicalRecord(body)
	}
	for _, item := range body.Content {
		canonicalRecord(item)
	}
	slices.SortStableFunc(body.Content, func(a, b *yaml.Node) int { return strings.Compare(typeOf(a), typeOf(b)) })
	if len(body.Content) == 1 && uncommented(body) && uncommented(body.Content[0]) {
		return body.Content[0]
	}
	return body
}

// canonicalRecord orders a record set's keys and values.
func canonicalRecord(n *yaml.Node) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return n
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case k.Value == "ttl" && v.Kind == yaml.ScalarNode && v.Value != "" && digits(v.Value) == len(v.Value):
			v.Tag = "!!int"
		case (k.Value == "value" || k.Value == "values") && v.Kind == yaml.SequenceNode:
			canonicalValues(typeOf(n), k, v)
			if len(v.Content) == 1 && uncommented(v) && uncommented(v.Content[0]) {
				n.Content[i+1] = v.Content[0]
			}
		case k.Value == "values":
			k.Value = "value"
		}
	}
	sortKeys(n)
	return n
}

func canonicalValues(typ string, k, list *yaml.Node) {
	k.Value = "values"
	if len(list.Content) == 1 && uncommented(list) && uncommented(list.Content[0]) {
		k.Value = "value"
	}
	by := make(map[*yaml.Node]string, len(list.Content))
	for _, item := range list.Content {
		v, err := valueOf(typ, item)
		if err != nil {
			return
		}
		by[item] = v
	}
	slices.SortStableFunc(list.Content, func(a, b *yaml.Node) int { return strings.Compare(by[a], by[b]) })
}

// sortKeys puts the keys of a mapping, and of all in it, in natural order. Lists keep theirs.
func sortKeys(n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		sorted := sortedPairs(n)
		n.Content = n.Content[:0]
		for _, p := range sorted {
			n.Content = append(n.Content, p.key, p.val)
		}
	}
	for _, m := range n.Content {
		sortKeys(m)
	}
}

// noted writes "key: value" in octoDNS's layout, as style.field does, with its comments.
func noted(key, v *yaml.Node) []string {
	out := commentLines(key.HeadComment)
	line := scalarOf(key) + ":"
	note := append(commentLines(key.LineComment), commentLines(v.LineComment)...)
	if v.Kind == yaml.ScalarNode || len(v.Content) == 0 {
		if v.Kind == yaml.ScalarNode {
			line += " " + scalarOf(v)
		} else {
			line += " " + dumped.lines(v)[0]
		}
		out = append(append(out, commentLines(v.HeadComment)...), withNote(line, note))
		return append(append(out, commentLines(v.FootComment)...), commentLines(key.FootComment)...)
	}
	out = append(out, withNote(line, note))
	for _, l := range slices.Concat(commentLines(v.HeadComment), notedLines(v), commentLines(v.FootComment)) {
		out = append(out, "  "+l)
	}
	return append(out, commentLines(key.FootComment)...)
}

func withNote(line string, note []string) string {
	if len(note) == 0 {
		return line
	}
	return line + " " + strings.Join(note, " ")
}

// notedLines writes a mapping or a list that is not empty.
func notedLines(n *yaml.Node) []string {
	var out []string
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			out = append(out, noted(n.Content[i], n.Content[i+1])...)
		}
		return out
	}
	for _, item := range n.Content {
		out = append(out, commentLines(item.HeadComment)...)
		lines := []string{withNote(scalarOf(item), commentLines(item.LineComment))}
		if item.Kind != yaml.ScalarNode {
			if lines = notedLines(item); len(item.Content) == 0 {
				lines = dumped.lines(item)
			}
			// A comment above an item's first key stands above its dash.
			for len(lines) > 1 && strings.HasPrefix(lines[0], "#") {
				out = append(out, lines[0])
				lines = lines[1:]
			}
		}
		out = append(out, nested("- ", lines)...)
		out = append(out, commentLines(item.FootComment)...)
	}
	return out
}

// scalarOf writes a scalar that was read: text with the quotes that it needs, all else as it is.
func scalarOf(n *yaml.Node) string {
	if n.ShortTag() == "!!str" {
		return scalar(str(n.Value))
	}
	return scalar(&yaml.Node{Tag: n.ShortTag(), Value: n.Value})
}
