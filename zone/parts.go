package zone

import (
	"hash/maphash"
	"sort"
	"strings"
)

// parts says where the blocks of a source begin, and which name is in which. It
// is a few numbers a block, so that cutting a file of a hundred thousand names
// costs little more than reading it. Once made it is not written to, and
// versions of a file may share it.
type parts struct {
	starts []uint32 // offset of each block's first line
	lines  []uint32 // its number, 1-based
	names  names
}

// names is a hash table from a name, relative to its zone, to its block: open
// addressing, with half of a name's hash beside the block's number, so that hardly
// ever a block is looked at that is not the one.
type names struct {
	seed  maphash.Seed
	slots []uint64 // hash<<32 | number of the block + 1; 0 is free
	used  int
}

func newNames(guess int) names {
	size := 16
	for size < 2*guess {
		size *= 2
	}
	return names{seed: maphash.MakeSeed(), slots: make([]uint64, size)}
}

func (n *names) hash(rel string) uint64 { return maphash.String(n.seed, rel) &^ 0xffffffff }

// slot finds where a name is, or would be put. same says whether a block is that name's.
func (n *names) slot(hash uint64, same func(block int) bool) (at int, found bool) {
	mask := len(n.slots) - 1
	for at = int(hash>>32) & mask; n.slots[at] != 0; at = (at + 1) & mask {
		if s := n.slots[at]; s&^0xffffffff == hash && same(int(uint32(s))-1) {
			return at, true
		}
	}
	return at, false
}

// put adds a name that is not there.
func (n *names) put(hash uint64, block int) {
	at, _ := n.slot(hash, func(int) bool { return false })
	n.slots[at] = hash | uint64(block+1)
	n.used++
}

// find returns the block of a name.
func (n *names) find(rel string, same func(block int) bool) (block int, found bool) {
	if n.used == 0 {
		return 0, false
	}
	at, found := n.slot(n.hash(rel), same)
	return int(uint32(n.slots[at])) - 1, found
}

// add notes a name's block. It is false when the name has one already.
func (n *names) add(rel string, block int, same func(block int) bool) bool {
	if 2*(n.used+1) > len(n.slots) {
		old := n.slots
		*n = names{seed: n.seed, slots: make([]uint64, max(16, 2*len(old)))}
		for _, s := range old {
			if s != 0 {
				n.put(s&^0xffffffff, int(uint32(s))-1)
			}
		}
	}
	hash := n.hash(rel)
	at, taken := n.slot(hash, same)
	if taken {
		return false
	}
	n.slots[at] = hash | uint64(block+1)
	n.used++
	return true
}

// without is the table when blocks from..to are gone, and those after them moved by some places.
func (n *names) without(from, to, by int) names {
	out := names{seed: n.seed, slots: make([]uint64, len(n.slots))}
	for _, s := range n.slots {
		b := int(uint32(s)) - 1
		switch {
		case s == 0 || from <= b && b < to:
			continue
		case b >= to:
			b += by
		}
		out.put(s&^0xffffffff, b)
	}
	return out
}

// length is how many blocks a file has.
func (f *File) length() int {
	if f.parts != nil {
		return len(f.parts.starts)
	}
	return len(f.list)
}

// blockWith is the block that holds the source's byte at pos, which no head does.
func (f *File) blockWith(pos int) int {
	return sort.Search(len(f.parts.starts), func(i int) bool { return int(f.parts.starts[i]) > pos }) - 1
}

// textOf is a block's text.
func (f *File) textOf(i int) string {
	if f.parts == nil {
		return f.list[i].text
	}
	if i+1 < len(f.parts.starts) {
		return f.src[f.parts.starts[i]:f.parts.starts[i+1]]
	}
	return f.src[f.parts.starts[i]:]
}

// blockAt returns a block. It may be changed only if the file is unfolded.
func (f *File) blockAt(i int) *block {
	if f.parts == nil {
		return f.list[i]
	}
	text := f.textOf(i)
	return &block{text: text, line: int(f.parts.lines[i]), key: firstKey(text, f.parts.starts[i] == 0)}
}

// firstKey is the key of a block, which split found to be one.
func firstKey(text string, first bool) string {
	line, _, _ := strings.Cut(text, "\n")
	line = strings.TrimSuffix(line, "\r")
	if first {
		line = strings.TrimPrefix(line, bom)
	}
	key, _ := keyOf(line)
	return key
}

func (f *File) blocks() []*block {
	if f.parts == nil {
		return f.list
	}
	slab, list := make([]block, f.length()), make([]*block, f.length())
	for i := range list {
		slab[i] = *f.blockAt(i)
		list[i] = &slab[i]
	}
	return list
}

// unfold makes blocks that can be edited of the parts of a source.
func (f *File) unfold() {
	if f.parts == nil {
		return
	}
	list := f.blocks()
	f.head, f.at = f.top(), make(map[string]*block, len(list))
	for _, b := range list {
		f.at[f.relativeOf(b.key, b.line)] = b
	}
	f.src, f.parts, f.list = "", nil, list
}

// top is everything before the first block.
func (f *File) top() string {
	switch {
	case f.parts == nil:
		return f.head
	case len(f.parts.starts) == 0:
		return f.src
	}
	return f.src[:f.parts.starts[0]]
}

// relativeOf is what a block's key says as a name of the zone. Keys that say nothing are not indexed.
func (f *File) relativeOf(key string, line int) string {
	if f.plainKey(key) {
		return key
	}
	name, err := f.nameOf(key, line)
	if err != nil {
		return ""
	}
	return name.Relative(f.zone)
}

// plainKey says whether a key is a name relative to the zone as it is written.
func (f *File) plainKey(key string) bool {
	return plainName(key) && key[len(key)-1] != '.' && len(key)+len(f.zone) <= maxWire-2
}

// blockOf returns the block of a name, nil when there is none.
func (f *File) blockOf(name Name) *block {
	if !name.In(f.zone) {
		return nil
	}
	rel := name.Relative(f.zone)
	if f.parts == nil {
		return f.at[rel]
	}
	i, found := f.parts.names.find(rel, func(i int) bool { return f.isOf(i, rel) })
	if !found {
		return nil
	}
	return f.blockAt(i)
}

// isOf says whether a block is that of a name of the zone.
func (f *File) isOf(i int, rel string) bool {
	text := f.textOf(i)
	// Nearly every key is a plain name right before its colon.
	if rest, ok := strings.CutPrefix(text, rel); ok && len(rest) > 1 && rest[0] == ':' && (rest[1] == '\n' || rest[1] == ' ') && rel != "" && f.plainKey(rel) {
		return true
	}
	return f.relativeOf(firstKey(text, f.parts.starts[i] == 0), 0) == rel
}

// add notes a block that begins at pos.
func (f *File) add(key string, pos, line int) error {
	rel := key
	if !f.plainKey(key) {
		name, err := f.nameOf(key, line)
		if err != nil {
			return err
		}
		rel = name.Relative(f.zone)
	}
	p := f.parts
	i := len(p.starts)
	p.starts, p.lines = append(p.starts, uint32(pos)), append(p.lines, uint32(line))
	if !p.names.add(rel, i, func(b int) bool { return f.isOf(b, rel) }) {
		return f.twice(f.zone.below(rel), line)
	}
	return nil
}
