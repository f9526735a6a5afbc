package present

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// What a report says, before it is drawn: HTML and PDF say the same because both are drawn
// from a page.

// page is a whole report.
type page struct {
	Title    string
	Made     time.Time // of the newest event: a report has no clock of its own
	Sections []section
}

// section is a heading with what stands below it.
type section struct {
	Title  string
	Level  int // 1 for parts, 2 below them, 3 below those
	Blocks []block
}

// block is one of its fields.
type block struct {
	Text  string // a paragraph
	Tone  tone   // of the paragraph
	Facts []fact
	Table *table
	Way   *way
}

// tone says how a paragraph wants to be read. It is said in words too.
type tone string

const (
	plain tone = ""
	good  tone = "good"
	bad   tone = "bad"
	quiet tone = "quiet"
)

// fact is a name with what belongs to it.
type fact struct{ Name, Value string }

// table is rows under a caption. The first column heads its row.
type table struct {
	Caption string
	Head    []string
	Widths  []float64 // shares of the page's width, for PDF
	Rows    [][]string
	More    int // rows that are not shown
}

// Bounds on what one report shows. Whoever has more reads data.json, and the report says so.
const (
	maxChanges = 200
	maxRows    = 500
	maxCell    = 2000 // bytes
)

func (s *section) say(t tone, format string, args ...any) {
	s.Blocks = append(s.Blocks, block{Text: fmt.Sprintf(format, args...), Tone: t})
}

func (s *section) facts(pairs ...string) {
	var list []fact
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			list = append(list, fact{pairs[i], shorten(pairs[i+1])})
		}
	}
	s.Blocks = append(s.Blocks, block{Facts: list})
}

func newTable(caption string, columns ...string) *table {
	t := &table{Caption: caption}
	for _, c := range columns {
		// "Name:3" is a column with three shares of the width.
		name, share, _ := strings.Cut(c, ":")
		width := 1.0
		fmt.Sscanf(share, "%g", &width)
		t.Head, t.Widths = append(t.Head, name), append(t.Widths, width)
	}
	return t
}

func (t *table) row(cells ...string) {
	if len(t.Rows) == maxRows {
		t.More++
		return
	}
	for i := range cells {
		cells[i] = shorten(cells[i])
	}
	t.Rows = append(t.Rows, cells)
}

// add puts a table into a section, if it has rows.
func (s *section) add(t *table) {
	if len(t.Rows) > 0 {
		s.Blocks = append(s.Blocks, block{Table: t})
	}
}

// shorten keeps one text from filling a report, and says that it did.
func shorten(s string) string {
	if len(s) <= maxCell {
		return s
	}
	return strings.ToValidUTF8(s[:maxCell], "") + fmt.Sprintf(" … (%d bytes more are in data.json)", len(s)-maxCell)
}

// visible shows what cannot be seen, or would change how what follows is read, as its code
// point: control characters, and those that turn the direction of a text around (UAX #9).
func visible(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if hidden(r) {
			b.WriteString(codePoint(r))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hidden(r rune) bool {
	return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Co, r))
}

func codePoint(r rune) string { return fmt.Sprintf("[U+%04X]", r) }

// when is a moment as a report says it, always in UTC.
func when(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2 Jan 2006, 15:04:05 UTC")
}

func list(items []string) string { return strings.Join(items, ", ") }

// places names events by their place in the log, the first ones when there are many.
func places(at []uint64) string {
	const most = 12
	var b strings.Builder
	for i, index := range at {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(at)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%d", index)
	}
	return b.String()
}

// short is a digest that a person can compare by eye; the whole one is in the list of documents.
func short(digest string) string {
	_, hex, found := strings.Cut(digest, ":")
	if !found {
		hex = digest
	}
	return hex[:min(len(hex), 12)]
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
