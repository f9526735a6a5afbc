package service

import "slipway/zone"

// Batches packs the parts of a plan, in their order, into batches that cost at most
// limit each. It never cuts a part: the edits of one name are made together. A part that
// costs more than a whole batch stands alone, and the service will say so.
func Batches(parts [][]zone.Edit, limit int, cost func(zone.Edit) int) [][]zone.Edit {
	var batches [][]zone.Edit
	var batch []zone.Edit
	size := 0
	for _, part := range parts {
		n := 0
		for _, e := range part {
			n += cost(e)
		}
		if len(batch) > 0 && size+n > limit {
			batches, batch, size = append(batches, batch), nil, 0
		}
		batch, size = append(batch, part...), size+n
	}
	if len(batch) > 0 {
		batches = append(batches, batch)
	}
	return batches
}
