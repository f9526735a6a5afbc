package risk

// distance counts the insertions, deletions, substitutions and swaps of
// neighbours that turn a into b (Damerau's distance with adjacent transpositions).
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	older, old, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range old {
		old[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(old[j]+1, row[j-1]+1, old[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], older[j-2]+1)
			}
		}
		older, old, row = old, row, older
	}
	return old[len(y)]
}

// keyRows is a QWERTY keyboard; a key's neighbours are beside it, and above and below with the rows' stagger.
var keyRows = []string{"1234567890-", "qwertyuiop", "asdfghjkl", "zxcvbnm"}

// slipOfKey reports whether a and b differ only by one substituted letter, whose
// keys are neighbours.
func slipOfKey(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] {
			return a[i+1:] == b[i+1:] && neighbours(a[i], b[i])
		}
	}
	return false
}

func neighbours(a, b byte) bool {
	ra, ca, oka := keyAt(a)
	rb, cb, okb := keyAt(b)
	if !oka || !okb || a == b {
		return false
	}
	switch rb - ra {
	case 0:
		return ca-cb == 1 || cb-ca == 1
	case 1: // the row below is shifted half a key to the right
		return cb == ca || cb == ca-1
	case -1:
		return ca == cb || ca == cb-1
	}
	return false
}

func keyAt(c byte) (row, col int, ok bool) {
	for r, keys := range keyRows {
		for i := range len(keys) {
			if keys[i] == c {
				return r, i, true
			}
		}
	}
	return 0, 0, false
}
