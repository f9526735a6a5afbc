package zone

import "slices"

// Diff compares two lists of record sets of one zone. The edits are sorted by
// name, then type.
func Diff(zone Name, base, head []RRSet) []Edit {
	base, head = inOrder(base), inOrder(head)
	var edits []Edit
	for len(base) > 0 || len(head) > 0 {
		c := 0
		switch {
		case len(base) == 0:
			c = 1
		case len(head) == 0:
			c = -1
		default:
			c = base[0].Key().compare(head[0].Key())
		}
		switch {
		case c < 0:
			b := base[0]
			edits = append(edits, Edit{Op: Delete, Zone: zone, Name: b.Name, Type: b.Type, Before: &b, Place: b.Place})
			base = base[1:]
		case c > 0:
			h := head[0]
			edits = append(edits, Edit{Op: Create, Zone: zone, Name: h.Name, Type: h.Type, After: &h, Place: h.Place})
			head = head[1:]
		default:
			if b, h := base[0], head[0]; !b.Equal(h) {
				edits = append(edits, Edit{Op: Update, Zone: zone, Name: h.Name, Type: h.Type, Before: &b, After: &h, Place: h.Place})
			}
			base, head = base[1:], head[1:]
		}
	}
	return edits
}

// inOrder returns sets sorted. Those that are already are not copied.
func inOrder(sets []RRSet) []RRSet {
	if slices.IsSortedFunc(sets, byKey) {
		return sets
	}
	sets = slices.Clone(sets)
	slices.SortFunc(sets, byKey)
	return sets
}

// DiffFiles compares two versions of one zone's file and parses only the blocks
// that differ. Either may be nil. A fault in the head is an error. What cannot be
// read in the base counts as not there, so that a change that mends it can be made:
// all that it then holds shows as created.
func DiffFiles(base, head *File) ([]Edit, error) {
	zone := Name(".")
	for _, f := range []*File{base, head} {
		if f != nil {
			zone = f.zone
		}
	}
	var before, after []RRSet
	var err error
	if base == nil || head == nil || base.isWhole || head.isWhole || base.zone != head.zone {
		if base != nil {
			before = base.readable()
		}
		if head != nil {
			after, err = head.RRSets()
		}
	} else {
		before = base.readableOf(changed(base, head))
		for _, b := range changed(head, base) {
			got, fault := head.readBlock(b)
			if fault != nil {
				return nil, fault
			}
			after = append(after, got...)
		}
	}
	if err != nil {
		return nil, err
	}
	return Diff(zone, before, after), nil
}

// readable returns the record sets of all blocks that have no fault.
func (f *File) readable() []RRSet {
	if sets, err := f.RRSets(); err == nil || f.isWhole {
		return sets
	}
	return f.readableOf(f.blocks())
}

func (f *File) readableOf(blocks []*block) []RRSet {
	var sets []RRSet
	for _, b := range blocks {
		if got, err := f.readBlock(b); err == nil {
			sets = append(sets, got...)
		}
	}
	return sets
}

// changed lists the blocks of f that o has not, or has with another text.
func changed(f, o *File) []*block {
	from, to, last := 0, f.length(), o.length()
	for from < to && from < last && f.textOf(from) == o.textOf(from) {
		from++
	}
	for to > from && last > from && f.textOf(to-1) == o.textOf(last-1) {
		to, last = to-1, last-1
	}
	var out []*block
	for i := from; i < to; i++ {
		// Only a handful is left, unless the order changed.
		b := f.blockAt(i)
		name, err := f.nameOf(b.key, b.line)
		if err != nil {
			out = append(out, b)
			continue
		}
		if twin := o.blockOf(name); twin == nil || twin.text != b.text {
			out = append(out, b)
		}
	}
	return out
}
