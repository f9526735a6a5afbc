package audit

import "unicode/utf8"

// maxScanDepth bounds how deep scanner looks; what is deeper it leaves to others.
const maxScanDepth = 64

// scanner goes over JSON once and knows at every step how RFC 8785 would have spelt it.
// It knows the usual spellings only: integers of up to 15 digits, member names of
// plain ASCII. For all others it says no, and then the full algorithm has to be asked.
type scanner struct {
	text  []byte
	at    int
	depth int
}

// surelyCanonical says whether the text is in the canonical form of RFC 8785, at a
// twentieth of what transforming it would cost. A no means: perhaps.
func surelyCanonical(text []byte) bool {
	s := scanner{text: text}
	return s.value() && s.at == len(text)
}

// next is the byte at hand, or 0, which no JSON has outside of strings and none within.
func (s *scanner) next() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

func (s *scanner) take(c byte) bool {
	if s.next() != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) value() bool {
	switch c := s.next(); c {
	case '{':
		return s.object()
	case '[':
		return s.array()
	case '"':
		return s.str()
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		return s.integer()
	}
}

func (s *scanner) literal(word string) bool {
	if len(s.text)-s.at < len(word) || string(s.text[s.at:s.at+len(word)]) != word {
		return false
	}
	s.at += len(word)
	return true
}

// integer: below 10^15 a double is exact, and is spelt without fraction and exponent
// (RFC 8785 section 3.2.2.3). Zero has no sign.
func (s *scanner) integer() bool {
	if s.take('0') {
		return true
	}
	s.take('-')
	from := s.at
	if c := s.next(); c < '1' || c > '9' {
		return false
	}
	for c := s.next(); c >= '0' && c <= '9'; c = s.next() {
		s.at++
	}
	return s.at-from <= 15
}

// str: only what must be escaped is, in the shortest way (RFC 8785 section 3.2.2.2).
func (s *scanner) str() bool {
	s.at++ // the quotation mark
	from, ascii := s.at, true
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return ascii || utf8.Valid(s.text[from:s.at])
		case c == '\\':
			if !s.escape() {
				return false
			}
		case c < ' ':
			return false
		default:
			ascii = ascii && c < utf8.RuneSelf
			s.at++
		}
	}
	return false
}

func (s *scanner) escape() bool {
	s.at++ // the backslash
	switch s.next() {
	case '"', '\\', 'b', 'f', 'n', 'r', 't':
		s.at++
		return true
	case 'u':
	default:
		return false
	}
	if len(s.text)-s.at < 5 {
		return false
	}
	code := string(s.text[s.at+1 : s.at+5])
	if code[:2] != "00" || code[2] != '0' && code[2] != '1' {
		return false
	}
	switch last := code[3]; {
	case code[2] == '0' && (last == '8' || last == '9' || last == 'a' || last == 'c' || last == 'd'):
		return false // there is a shorter one
	case last >= '0' && last <= '9', last >= 'a' && last <= 'f':
		s.at += 5
		return true
	}
	return false
}

func (s *scanner) array() bool {
	if s.depth++; s.depth > maxScanDepth {
		return false
	}
	s.at++ // the bracket
	if s.take(']') {
		s.depth--
		return true
	}
	for {
		if !s.value() {
			return false
		}
		if s.take(']') {
			s.depth--
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

// object: members by the UTF-16 code units of their names (RFC 8785 section 3.2.3),
// which for names of plain ASCII is the order of their bytes.
func (s *scanner) object() bool {
	if s.depth++; s.depth > maxScanDepth {
		return false
	}
	s.at++ // the brace
	if s.take('}') {
		s.depth--
		return true
	}
	var before []byte
	for first := true; ; first = false {
		name, ok := s.name()
		if !ok || !first && string(before) >= string(name) || !s.take(':') || !s.value() {
			return false
		}
		before = name
		if s.take('}') {
			s.depth--
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

// name is a member's name that is spelt as it is: plain ASCII without escapes.
func (s *scanner) name() (name []byte, ok bool) {
	if !s.take('"') {
		return nil, false
	}
	from := s.at
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return s.text[from : s.at-1], true
		case c < ' ', c >= utf8.RuneSelf, c == '\\':
			return nil, false
		}
		s.at++
	}
	return nil, false
}
