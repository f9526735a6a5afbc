package zone

import "strings"

// natural compares two keys in the order that octoDNS enforces: runs of digits
// by their value, all else by code point.
func natural(a, b string) int {
	for {
		ta, tb := digitsAt(a), digitsAt(b)
		if c := strings.Compare(a[:ta], b[:tb]); c != 0 {
			return c
		}
		a, b = a[ta:], b[tb:]
		if a == "" || b == "" {
			return len(a) - len(b)
		}
		na, nb := digits(a), digits(b)
		if c := compareNumbers(a[:na], b[:nb]); c != 0 {
			return c
		}
		a, b = a[na:], b[nb:]
		if a == "" || b == "" {
			return len(a) - len(b)
		}
	}
}

// digitsAt returns where the first digit is, or the length.
func digitsAt(s string) int {
	for i := 0; i < len(s); i++ {
		if '0' <= s[i] && s[i] <= '9' {
			return i
		}
	}
	return len(s)
}

// digits returns how many digits s opens with.
func digits(s string) int {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return i
		}
	}
	return len(s)
}

func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// sortedPlace returns where among n items a new one belongs, given how it
// compares with each: the place with the fewest items on the wrong side of it.
// In a sorted list that is its sorted place; in one with a few items astray it
// is where a person would put it.
func sortedPlace(n int, compare func(i int) int) int {
	after := 0 // items from i on that should come before the new one
	for i := range n {
		if compare(i) >= 0 {
			after++
		}
	}
	best, at, before := after, 0, 0
	for i := range n {
		if compare(i) >= 0 {
			after--
		} else {
			before++
		}
		if after+before < best {
			best, at = after+before, i+1
		}
	}
	return at
}
