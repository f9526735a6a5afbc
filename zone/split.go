package zone

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// split cuts the source at its top-level keys. It returns why it cannot, when a
// line is there whose meaning only a YAML parser can tell; every line of what
// it does cut lies in exactly one block, which is parsed on its own later, so
// that nothing can hide between two of them.
func (f *File) split(src string) (why string, err error) {
	if lineSeparator(src) {
		return "it has a Unicode line separator in it", nil
	}
	if cr := strings.IndexByte(src, '\r'); cr >= 0 {
		if strings.Count(src, "\r") != strings.Count(src, "\r\n") {
			return "it has a carriage return in the middle of a line", nil
		}
		f.crlf = true
	}
	f.src = src
	if emptyMapping(src) {
		f.parts = &parts{}
		return f.checkHead(), nil
	}
	guess := strings.Count(src, "\n") / 4
	f.parts = &parts{starts: make([]uint32, 0, guess), lines: make([]uint32, 0, guess), names: newNames(guess)}
	if why, err = f.cutLines(0, len(src), 1); why != "" || err != nil {
		return why, err
	}
	if why := f.checkHead(); why != "" {
		return why, nil
	}
	if f.hasAnchors(0, f.length()) {
		return "it uses YAML anchors, so that one name's lines can mean something under another name", nil
	}
	return "", nil
}

// lineSeparator says whether YAML 1.1 breaks a line of the source where no line ends, which
// would let a key hide in it.
func lineSeparator(src string) bool {
	return strings.Contains(src, "\u0085") || strings.Contains(src, "\u2028") || strings.Contains(src, "\u2029")
}

// cutLines notes the blocks that begin in a part of the source, which starts with the
// given line. A part that is not the first begins with a key.
func (f *File) cutLines(pos, to, line int) (why string, err error) {
	src := f.src
	open := pos > 0     // a block is open
	document := pos > 0 // "---" was seen
	for ; pos < to; line++ {
		next, end := to, to
		if n := strings.IndexByte(src[pos:to], '\n'); n >= 0 {
			end = pos + n
			next = end + 1
		}
		if end-pos > maxLine {
			return "", f.fault(line, fmt.Sprintf("the line is %d bytes long; %d are allowed", end-pos, maxLine), "shorten it")
		}
		text := strings.TrimSuffix(src[pos:end], "\r")
		if line == 1 {
			text = strings.TrimPrefix(text, bom)
		}
		switch {
		case text == "", text[0] == '#':
		case text[0] == ' ':
			if !open && strings.TrimLeft(text, " ") != "" && !comment(text) {
				return "its first key is indented", nil
			}
		case text == "-", strings.HasPrefix(text, "- "):
			if !open {
				return "it is a list and not a mapping", nil
			}
		case strings.HasPrefix(text, "---") && !open && !document && (len(text) == 3 || comment(text[3:])):
			document = true
		default:
			k, ok := keyOf(text)
			if !ok {
				return "a line starts with something other than a plain key", nil
			}
			if err := f.add(k, pos, line); err != nil {
				return "", err
			}
			open = true
		}
		pos = next
	}
	return "", nil
}

// checkHead has the lines before the first key parsed, which no block's parsing covers.
func (f *File) checkHead() string {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(f.top()), &doc); err != nil {
		return "the lines before its first key are not YAML"
	}
	for _, n := range doc.Content {
		if n.ShortTag() != "!!null" && (n.Kind != yaml.MappingNode || len(n.Content) > 0) {
			return "there is more than comments before its first key"
		}
	}
	return ""
}

// emptyMapping says whether the source is a zone without records as octoDNS dumps it.
func emptyMapping(src string) bool {
	if len(src) > 4096 || strings.Contains(src, "\t") {
		return false
	}
	var words []string
	for l := range strings.Lines(src) {
		if l = strings.TrimRight(l, "\r\n"); !blankOrComment(l) {
			words = append(words, strings.Fields(l)...)
		}
	}
	s := strings.Join(words, " ")
	return s == "{}" || s == "--- {}"
}

// anchorLike says whether a line may define an anchor.
func anchorLike(line string) bool {
	for i := strings.IndexByte(line, '&'); i >= 0; {
		if i == 0 || strings.IndexByte(" ,[{", line[i-1]) >= 0 {
			return true
		}
		j := strings.IndexByte(line[i+1:], '&')
		if j < 0 {
			return false
		}
		i += 1 + j
	}
	return false
}

// hasAnchors says whether the blocks from..to define an anchor. It parses those that may.
func (f *File) hasAnchors(from, to int) bool {
	for from < to {
		next := strings.IndexByte(f.src[f.parts.starts[from]:], '&')
		if next < 0 {
			return false
		}
		if from = f.blockWith(int(f.parts.starts[from]) + next); from >= to {
			return false
		}
		b := f.blockAt(from)
		for l := range strings.Lines(b.text) {
			if !anchorLike(l) {
				continue
			}
			if body, err := f.body(b); err != nil || anchors(body) {
				return true
			}
			break
		}
		from++
	}
	return false
}

func anchors(n *yaml.Node) bool {
	if n.Anchor != "" || n.Kind == yaml.AliasNode {
		return true
	}
	return slices.ContainsFunc(n.Content, anchors)
}

func comment(s string) bool {
	t := strings.TrimLeft(s, " ")
	return t != "" && t[0] == '#' && (len(t) < len(s) || s == t)
}

func blankOrComment(s string) bool { return strings.TrimLeft(s, " ") == "" || comment(s) }

// keyOf reads the key that a line opens with: plain or quoted, followed by a
// colon. It is deliberately narrower than YAML.
func keyOf(line string) (string, bool) {
	if line[0] == '\'' || line[0] == '"' {
		end := closing(line)
		if end < 0 {
			return "", false
		}
		rest := strings.TrimLeft(line[end+1:], " ")
		if rest == "" || rest[0] != ':' || len(rest) > 1 && rest[1] != ' ' {
			return "", false
		}
		var key string
		if err := yaml.Unmarshal([]byte(line[:end+1]), &key); err != nil {
			return "", false
		}
		return key, true
	}
	if strings.IndexByte("?:,[]{}#&*!|>%@`-", line[0]) >= 0 && (strings.IndexByte("?:-", line[0]) < 0 || len(line) < 2 || line[1] == ' ') {
		return "", false
	}
	if strings.HasPrefix(line, "---") || strings.HasPrefix(line, "...") {
		return "", false
	}
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\t' || line[i] == ' ' && i+1 < len(line) && line[i+1] == '#':
			return "", false
		case line[i] == ':' && (i+1 == len(line) || line[i+1] == ' '):
			key := strings.TrimRight(line[:i], " ")
			return key, key != "<<" && !unclearKey(key)
		}
	}
	return "", false
}

// closing finds the end of the quoted text that a line opens with.
func closing(line string) int {
	q := line[0]
	for i := 1; i < len(line); i++ {
		switch {
		case line[i] == '\\' && q == '"':
			i++
		case line[i] == q && q == '\'' && i+1 < len(line) && line[i+1] == q:
			i++
		case line[i] == q:
			return i
		}
	}
	return -1
}
