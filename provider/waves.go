package provider

import "slipway/zone"

// maxDepth bounds the waves of one stage. Resolvers follow no longer chains of aliases.
const maxDepth = 8

// Waves is Order for a zone that is changed at several places, one after the other: all parts
// of one wave are made everywhere before any part of the next. Whoever asks one server for a
// name and another one for what it points at then finds both, whichever has got further.
// Most plans are one wave or two.
func Waves(edits []zone.Edit) [][][]zone.Edit {
	parts, order := ordered(edits)
	at := make(map[zone.Name]int, len(parts))
	for i := range parts {
		at[parts[i].name] = i
	}
	// How many names of the same stage have to be made before it.
	depth := make([]int, len(parts))
	done := make([]bool, len(parts))
	deepen := func(later, earlier int) {
		if done[earlier] && parts[later].stage == parts[earlier].stage {
			depth[later] = max(depth[later], min(depth[earlier]+1, maxDepth-1))
		}
	}
	pointing := make(map[int][]int) // for what goes: who points at it
	for i := range parts {
		if parts[i].stage < distrusting {
			continue
		}
		for _, j := range parts[i].pointsAt(at) {
			pointing[j] = append(pointing[j], i)
		}
	}
	for _, i := range order {
		before := pointing[i]
		if parts[i].stage < distrusting {
			before = parts[i].pointsAt(at)
		}
		for _, j := range before {
			deepen(i, j)
		}
		done[i] = true
	}
	type key struct {
		stage stage
		depth int
	}
	waves := make(map[key][][]zone.Edit)
	for _, i := range order {
		k := key{parts[i].stage, depth[i]}
		waves[k] = append(waves[k], parts[i].edits)
	}
	var out [][][]zone.Edit
	for s := adding; s <= deleting; s++ {
		for d := range maxDepth {
			if w := waves[key{s, d}]; len(w) > 0 {
				out = append(out, w)
			}
		}
	}
	return out
}
