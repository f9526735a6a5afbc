package zone

import (
	"slices"
	"strings"
)

// This file cuts a new version of a file that is known, at the cost of what differs.

// Revised is what ParseYAML makes of src, the source of another version of f's zone at the same
// or another path. Only lines that f does not have are looked at: whatever is around
// them is cut where it was.
func (f *File) Revised(path, src string) (*File, error) {
	if min(len(f.src), len(src)) >= worthwhile {
		if g := f.revised(path, src); g != nil {
			return g, nil
		}
	}
	return ParseYAML(f.zone, path, src)
}

// worthwhile is how long a source must be for what it has in common with another to be looked for.
const worthwhile = 16 << 10

// revised is nil where the whole of src has to be looked at, faults included: they
// are told in one way only.
func (f *File) revised(path, src string) *File {
	if f.parts == nil || len(f.parts.starts) == 0 || len(src) > maxFile || f.crlf {
		return nil
	}
	same := commonPrefix(f.src, src)
	// The block before the first difference: lines that come right after it may become its own.
	from := f.blockWith(same)
	if from < 0 {
		return nil
	}
	from = max(0, from-1)
	begin := int(f.parts.starts[from])
	tail := commonSuffix(f.src[begin:], src[begin:])
	// The first block that stands as a whole, with the line end before it, in what both end with.
	to := f.blockWith(len(f.src)-tail) + 1
	delta := len(src) - len(f.src)
	end := len(src)
	if to < len(f.parts.starts) {
		end = int(f.parts.starts[to]) + delta
	}
	if begin == 0 || end <= begin {
		return nil
	}
	if strings.Contains(src[begin:end], "\r") || lineSeparator(src[begin:end]) {
		return nil
	}
	g := &File{zone: f.zone, path: path, src: src}
	old := f.parts
	g.parts = &parts{starts: slices.Clone(old.starts[:from]), lines: slices.Clone(old.lines[:from]), names: newNames(0)}
	if why, err := g.cutLines(begin, end, int(old.lines[from])); why != "" || err != nil {
		return nil
	}
	fresh := g.length()
	if fresh == from || int(g.parts.starts[from]) != begin {
		return nil // what is left of the first block belongs to the top
	}
	below := int(old.lines[from]) + strings.Count(src[begin:end], "\n")
	for i := to; i < len(old.starts); i++ {
		g.parts.starts = append(g.parts.starts, uint32(int(old.starts[i])+delta))
		g.parts.lines = append(g.parts.lines, uint32(below+int(old.lines[i]-old.lines[to])))
	}
	if g.hasAnchors(from, fresh) {
		return nil
	}
	// Held against each other they are; now against those that stay.
	g.parts.names = old.names.without(from, to, fresh-to)
	for i := from; i < fresh; i++ {
		b := g.blockAt(i)
		rel := g.relativeOf(b.key, b.line)
		if !g.parts.names.add(rel, i, func(b int) bool { return g.isOf(b, rel) }) {
			return nil
		}
	}
	return g
}

// commonPrefix is how many bytes two sources begin with in common.
func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	at := 0
	for step := 4096; step > 0; { // whole pages are compared at once
		switch {
		case at+step <= n && a[at:at+step] == b[at:at+step]:
			at += step
		default:
			step /= 4
		}
	}
	return at
}

// commonSuffix is how many bytes they end with in common.
func commonSuffix(a, b string) int {
	n := min(len(a), len(b))
	at := 0
	for step := 4096; step > 0; {
		switch {
		case at+step <= n && a[len(a)-at-step:len(a)-at] == b[len(b)-at-step:len(b)-at]:
			at += step
		default:
			step /= 4
		}
	}
	return at
}
