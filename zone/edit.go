package zone

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Put creates the record set, or replaces the one of its name and type. Only
// that record set's lines change. A set equal to the one that is there
// changes nothing. A set that is not valid is refused.
func (f *File) Put(r RRSet) error {
	r.Values = sortedSet(slices.Clone(r.Values))
	r.Place = Place{Path: f.path}
	if err := f.editable(); err != nil {
		return err
	}
	if !r.Name.In(f.zone) {
		return r.fault("it is not in the zone "+string(f.zone), "put it in the file of its zone")
	}
	if err := r.Validate(); err != nil {
		return err
	}
	f.unfold()
	b := f.blockOf(r.Name)
	if b == nil {
		return f.insert(r)
	}
	want, err := f.readBlock(b)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(want, func(o RRSet) bool { return o.Type == r.Type })
	if i >= 0 && want[i].Equal(r) {
		return nil
	}
	if i >= 0 {
		want[i] = r
	} else {
		want = append(want, r)
	}
	return f.rewrite(b, want, func(p *plan) ([]string, error) { return p.put(r) })
}

// Remove takes the record set out and says whether it was there.
func (f *File) Remove(k Key) (bool, error) {
	f.unfold()
	b := f.blockOf(k.Name)
	if f.isWhole {
		sets, err := f.At(k.Name)
		if err != nil || !slices.ContainsFunc(sets, func(r RRSet) bool { return r.Type == k.Type }) {
			return false, err
		}
		return false, f.editable()
	}
	if b == nil {
		return false, nil
	}
	want, err := f.readBlock(b)
	if err != nil {
		return false, err
	}
	n := len(want)
	want = slices.DeleteFunc(want, func(r RRSet) bool { return r.Type == k.Type })
	switch {
	case len(want) == n:
		return false, nil
	case len(want) == 0:
		err = f.cut(b)
	default:
		err = f.rewrite(b, want, func(p *plan) ([]string, error) { return p.remove(k.Type) })
	}
	return err == nil, err
}

func (f *File) editable() error {
	if f.isWhole {
		return f.fault(1, "this file cannot be edited without touching other lines: "+f.uncut, "edit it by hand, or write it in the plain style that octoDNS dumps")
	}
	return nil
}

func (f *File) eol() string {
	if f.crlf {
		return "\r\n"
	}
	return "\n"
}

// style is the layout of the file around a block.
func (f *File) style(near *block) style {
	const sample = 64
	var src strings.Builder
	if near != nil {
		src.WriteString(near.text)
	}
	for _, b := range f.list[:min(sample, len(f.list))] {
		src.WriteString(b.text)
	}
	return layout(src.String(), f.eol())
}

// rewrite replaces a block's text by what edit makes of it, after reading that
// back: an edit that does not say exactly what was meant is never kept.
func (f *File) rewrite(b *block, want []RRSet, edit func(*plan) ([]string, error)) error {
	p, err := f.plan(b)
	if err != nil {
		return err
	}
	for _, p.coarse = range []bool{false, true} {
		lines, err := edit(p)
		if err != nil {
			return err
		}
		text := p.join(lines)
		if f.reads(b, text, want) {
			b.text = text
			f.renumber(f.position(b))
			return nil
		}
	}
	return f.fault(b.line, fmt.Sprintf("the records of %s are laid out in a way that cannot be edited without touching others", p.name), "edit them by hand")
}

// reads says whether text, in b's place, is one block that holds exactly these sets.
func (f *File) reads(b *block, text string, want []RRSet) bool {
	t := &File{zone: f.zone, path: f.path}
	if why, err := t.split(text); why != "" || err != nil || t.length() != 1 || t.top() != "" || t.blockAt(0).key != b.key {
		return false
	}
	got, err := f.readBlock(&block{text: text, line: b.line, key: b.key})
	if err != nil || len(got) != len(want) {
		return false
	}
	want = slices.Clone(want)
	sortSets(got)
	sortSets(want)
	return slices.EqualFunc(got, want, RRSet.Equal)
}

// position returns where b is in the file's order.
func (f *File) position(b *block) int {
	return sort.Search(len(f.list), func(i int) bool { return f.list[i].line >= b.line })
}

// renumber sets the lines of the blocks after the i-th.
func (f *File) renumber(i int) {
	for i++; i < len(f.list); i++ {
		var line int
		if i == 0 {
			line = 1 + strings.Count(f.head, "\n")
		} else {
			line = f.list[i-1].line + strings.Count(f.list[i-1].text, "\n")
		}
		if f.list[i].line == line && i > 0 {
			return
		}
		f.list[i].line = line
	}
}

// insert adds a block for a name that the file does not have.
func (f *File) insert(r RRSet) error {
	st := f.style(nil)
	body, err := recordNode(r)
	if err != nil {
		return err
	}
	b := &block{key: r.Name.Relative(f.zone)}
	eol := st.eol
	text := strings.Join(st.field(b.key, body), eol) + eol
	if !f.reads(b, text, []RRSet{r}) {
		return r.fault("it cannot be written as octoDNS YAML", "")
	}
	i := sortedPlace(len(f.list), func(i int) int { return natural(b.key, f.list[i].key) })
	if len(f.list) == 0 && strings.TrimSpace(f.head) == "" {
		if !strings.HasSuffix(f.head, "\n") {
			f.head = ""
		}
		f.head += "---" + eol
	}
	// What stands between two blocks (comments, blank lines) stays before the second.
	before := &f.head
	if i > 0 {
		before = &f.list[i-1].text
	} else if emptyMapping(f.head) {
		f.head = strings.Replace(strings.Replace(f.head, "--- {}", "---", 1), "{}", "", 1)
	}
	kept, gap := *before, ""
	if i > 0 {
		kept, gap = splitGap(*before)
	}
	if kept != "" && !strings.HasSuffix(kept, "\n") {
		// The file's last line has no end; its new last line has none either.
		kept += eol
		text = strings.TrimSuffix(text, eol)
	}
	if first, _, _ := strings.Cut(gap, "\n"); gap != "" && strings.TrimRight(first, " \r") == "" && i < len(f.list) {
		kept += gap[:len(first)+1] // blocks are set apart by a blank line
	}
	if i > 0 {
		if err := f.unchanged(f.list[i-1], kept); err != nil {
			return err
		}
	}
	*before = kept
	b.text = text + gap
	f.list = slices.Insert(f.list, i, b)
	f.at[b.key] = b
	f.renumber(i - 1)
	return nil
}

// cut takes a whole block out, but leaves what stands after it.
func (f *File) cut(b *block) error {
	_, gap := splitGap(b.text)
	i := f.position(b)
	if i > 0 && gap != "" {
		if err := f.unchanged(f.list[i-1], f.list[i-1].text+gap); err != nil {
			return err
		}
	}
	for rel, at := range f.at {
		if at == b {
			delete(f.at, rel)
		}
	}
	f.list = slices.Delete(f.list, i, i+1)
	if i == 0 {
		f.head += gap
	} else {
		f.list[i-1].text += gap
	}
	f.renumber(i - 1)
	return nil
}

// unchanged says whether a block means the same with text, which differs from
// its own only in the blank lines and comments at the end: they are content to
// a block scalar (|) that ends there.
func (f *File) unchanged(b *block, text string) error {
	if text == b.text {
		return nil
	}
	if want, err := f.readBlock(b); err == nil && f.reads(b, text, want) {
		return nil
	}
	return f.fault(b.line, "the records under this key end in a way that an edit below them would change", "end the file with a line break and write the last value in quotes")
}

// splitGap separates a block's own lines from the blank lines and comments
// after them that belong to what comes next.
func splitGap(text string) (own, gap string) {
	lines := strings.SplitAfter(text, "\n")
	end := len(lines)
	for end > 1 && blankLine(lines[end-1], false) {
		end--
	}
	// An indented comment right below the block's own lines is about them.
	for end < len(lines) && strings.HasPrefix(lines[end], " ") && strings.TrimRight(lines[end], " \r\n") != "" {
		end++
	}
	own = strings.Join(lines[:end], "")
	return own, text[len(own):]
}

// blankLine says whether a line is blank or a comment. Where a block scalar (|)
// may be, only a comment at the start of the line is certainly one.
func blankLine(l string, scalars bool) bool {
	l = strings.TrimRight(l, "\r\n")
	if scalars && strings.HasPrefix(l, " ") && comment(l) {
		return false
	}
	return blankOrComment(l)
}
