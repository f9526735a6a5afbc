package present

import (
	"fmt"
	"strings"

	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
)

// The fonts of the PDF: Go's own, which have Latin, Greek and Cyrillic letters.
const (
	fontFamily = "Go"
	regular    = ""
	bold       = "B"
)

// glyphs says what the fonts can show.
type glyphs struct {
	font   *sfnt.Font
	buffer sfnt.Buffer
	known  map[rune]bool
}

func loadGlyphs() (*glyphs, error) {
	font, err := sfnt.Parse(goregular.TTF)
	if err != nil {
		return nil, fmt.Errorf("font: %w", err)
	}
	return &glyphs{font: font, known: map[rune]bool{'\n': true}}, nil
}

func fontFiles() map[string][]byte {
	return map[string][]byte{regular: goregular.TTF, bold: gobold.TTF}
}

// has reports whether a letter can be shown. Both fonts have the same letters.
func (g *glyphs) has(r rune) bool {
	if can, asked := g.known[r]; asked {
		return can
	}
	index, err := g.font.GlyphIndex(&g.buffer, r)
	g.known[r] = err == nil && index != 0 && r <= 0xFFFF
	return g.known[r]
}

// show writes a letter that the fonts lack as its code point, so that it is not lost.
func (g *glyphs) show(s string) string {
	s = visible(s)
	if !strings.ContainsFunc(s, func(r rune) bool { return !g.has(r) }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if g.has(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(codePoint(r))
		}
	}
	return b.String()
}
