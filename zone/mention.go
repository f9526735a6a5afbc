package zone

import (
	"bytes"
	"slices"
	"strings"
)

// This file finds what may speak of a name without a parser. It never passes over
// text that does: what it finds is read properly by whoever asks. So it makes no
// difference to an answer whether it is asked of a file, of a block, or of a Digest
// that was made of the file long ago.

// Search looks for names in source text: YAML, or anything in which a name stands as people
// write one.
type Search struct {
	plain [][]byte // in small letters; U-labels are found as text outside ASCII
	words []uint32 // of each of plain
	all   bool     // a name can be written in too many ways to look for
}

// NewSearch returns a search for any of these names.
func NewSearch(names map[Name]bool) *Search {
	s := &Search{}
	for n := range names {
		w, clear := lastWord(string(n))
		if !clear {
			s.all = true
		}
		s.plain, s.words = append(s.plain, []byte(n)), append(s.words, w)
	}
	return s
}

// lastWord is the digest of a name. clear is false unless the name is one word with a dot and a letter
// in it, which text that names it must then hold as it is.
func lastWord(name string) (digest uint32, clear bool) {
	words := 0
	eachWord(name, func(w string, d uint32) {
		digest = d
		words++
		clear = w == name
	})
	return digest, clear && words == 1
}

// In says whether the text may hold one of the names.
func (s *Search) In(text string) bool {
	return s.all || len(s.plain) > 0 && (unclear(text) >= 0 || slices.ContainsFunc(s.plain, func(n []byte) bool { return indexFold(text, n) >= 0 }))
}

// Digest is what a text speaks of, small enough to keep: of each word in it that a name
// could be, four bytes. Texts that can be read in several ways are nil, and may speak of anything.
type Digest []uint32

// NewDigest reads a text.
func NewDigest(text string) Digest {
	if unclear(text) >= 0 {
		return nil
	}
	d := Digest{}
	eachWord(text, func(_ string, w uint32) { d = append(d, w) })
	slices.Sort(d)
	return slices.Clip(slices.Compact(d))
}

// InDigest says whether the text that the digest is of may hold one of the names.
func (s *Search) InDigest(d Digest) bool {
	return s.all || d == nil && len(s.plain) > 0 || slices.ContainsFunc(s.words, func(w uint32) bool {
		_, found := slices.BinarySearch(d, w)
		return found
	})
}

// Mentioning returns the record sets of every name under which text may hold one of the names
// searched for, sorted by name, then type. Nothing else is parsed.
func (f *File) Mentioning(s *Search) ([]RRSet, error) {
	if f.parts == nil || s.all {
		return f.RRSets()
	}
	var found []int
	begin := len(f.top())
	text := f.src[begin:]
	for at := 0; ; { // blocks that can be read in several ways
		next := unclear(text[at:])
		if next < 0 {
			break
		}
		b := f.blockWith(begin + at + next)
		found = append(found, b)
		if b+1 == f.length() {
			break
		}
		at = int(f.parts.starts[b+1]) - begin
	}
	for _, n := range s.plain {
		for at := 0; ; {
			next := indexFold(text[at:], n)
			if next < 0 {
				break
			}
			b := f.blockWith(begin + at + next)
			found = append(found, b)
			if b+1 == f.length() {
				break
			}
			at = int(f.parts.starts[b+1]) - begin
		}
	}
	slices.Sort(found)
	var sets []RRSet
	for _, i := range slices.Compact(found) {
		got, err := f.readBlock(f.blockAt(i))
		if err != nil {
			return nil, err
		}
		sets = append(sets, got...)
	}
	sortSets(sets)
	return sets, nil
}

// unclear returns where text begins that can stand for a name without looking like it, or -1:
// an escape (RFC 1035 section 5.1, or YAML's own), a character outside ASCII (RFC 5890), a YAML tag
// that has the text read otherwise. An escaped semicolon or quote, as TXT records have, is in no plain name.
func unclear(text string) int {
	at := notASCII(text)
	for from := 0; ; {
		n := strings.IndexByte(text[from:], '\\')
		if n < 0 {
			break
		}
		n += from
		if n+1 >= len(text) || strings.IndexByte(`;"`, text[n+1]) < 0 {
			at = first(at, n)
			break
		}
		from = n + 2
	}
	return first(at, strings.Index(text, "!!"))
}

func first(a, b int) int {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}

func notASCII(s string) int {
	for from := 0; from < len(s); from += 64 {
		var all byte // of a stretch at a time, which the compiler makes fast
		stretch := s[from:min(from+64, len(s))]
		for i := 0; i < len(stretch); i++ {
			all |= stretch[i]
		}
		if all < 0x80 {
			continue
		}
		for i := 0; i < len(stretch); i++ {
			if stretch[i] >= 0x80 {
				return from + i
			}
		}
	}
	return -1
}

// wordByte has, for each byte that is part of a word, what it is in small letters.
var wordByte = func() (t [256]byte) {
	for c := range 256 {
		switch c := byte(c); {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '*', c == '.':
			t[c] = c
		case 'A' <= c && c <= 'Z':
			t[c] = lower(c)
		}
	}
	return t
}()

// eachWord calls use with every word that has a dot and a letter in it, without dots at
// its ends, and with the word's digest: FNV-1a of its small letters, 32 bits.
func eachWord(text string, use func(word string, digest uint32)) {
	for i := 0; i < len(text); i++ {
		if wordByte[text[i]] == 0 {
			continue
		}
		start, letter, dot := i, false, false
		for ; i < len(text) && wordByte[text[i]] != 0; i++ {
			letter = letter || text[i] >= 'A' && text[i] != '_'
			dot = dot || text[i] == '.'
		}
		if !letter || !dot {
			continue
		}
		w := strings.Trim(text[start:i], ".")
		if strings.IndexByte(w, '.') < 0 {
			continue
		}
		h := uint32(2166136261)
		for j := 0; j < len(w); j++ {
			h = (h ^ uint32(wordByte[w[j]])) * 16777619
		}
		use(w, h)
	}
}

// indexFold returns where a name with a dot stands in text, in letters of any case, or -1.
func indexFold(text string, name []byte) int {
	dot := bytes.IndexByte(name, '.')
	for at := dot; at < len(text); at++ {
		n := strings.IndexByte(text[at:], '.')
		if n < 0 {
			return -1
		}
		at += n
		if from := at - dot; from+len(name) <= len(text) && equalFold(text[from:from+len(name)], name) {
			return from
		}
	}
	return -1
}

func equalFold(text string, small []byte) bool {
	for i, c := range small {
		if lower(text[i]) != c {
			return false
		}
	}
	return true
}
