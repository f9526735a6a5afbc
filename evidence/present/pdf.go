package present

import (
	"bytes"
	"fmt"

	"github.com/go-pdf/fpdf"

	"slipway/evidence"
)

// PDF is the report on A4 pages, with an outline. It says what HTML says.
func PDF(d *evidence.Data, a *Assessment) ([]byte, error) {
	p := report(d, a)
	g, err := loadGlyphs()
	if err != nil {
		return nil, err
	}
	f := fpdf.New("L", "mm", "A4", "")
	w := &writer{Fpdf: f, glyphs: g, widths: map[string]map[rune]float64{regular: {}, bold: {}}}
	for style, font := range fontFiles() {
		f.AddUTF8FontFromBytes(fontFamily, style, font)
	}
	// The same data gives the same bytes.
	f.SetCreationDate(p.Made.UTC())
	f.SetModificationDate(p.Made.UTC())
	f.SetCatalogSort(true)
	f.SetTitle(g.show(p.Title), true)
	f.SetCreator("Slipway", true)
	f.SetProducer("Slipway", true)
	f.SetLang("en")
	f.SetMargins(margin, margin, margin)
	f.SetAutoPageBreak(false, margin)
	f.AliasNbPages("{pages}")
	f.SetFooterFunc(func() {
		f.SetY(-margin + 2)
		w.font(regular, 7, soft)
		f.CellFormat(0, 4, fmt.Sprintf("%s – page %d of {pages}", fit(g.show(p.Title), 150), f.PageNo()), "", 0, "L", false, 0, "")
	})
	w.page()
	w.font(bold, 17, ink)
	w.lines(g.show(p.Title), w.width(), 8)
	w.font(regular, 9, soft)
	w.lines("As of "+when(p.Made)+", the newest event that it is about.", w.width(), 5)
	for _, s := range p.Sections {
		w.section(s)
	}
	var b bytes.Buffer
	if err := f.Output(&b); err != nil {
		return nil, fmt.Errorf("PDF: %w", err)
	}
	return b.Bytes(), nil
}

// Measures in millimetres, text in points.
const (
	margin   = 12.0
	cellPad  = 1.0
	cellSize = 7.5
	cellLine = 3.4
)

type colour struct{ r, g, b int }

var (
	ink      = colour{27, 36, 48}
	soft     = colour{79, 91, 107}
	rule     = colour{201, 209, 219}
	sunken   = colour{243, 245, 248}
	greenInk = colour{23, 102, 58}
	redInk   = colour{156, 28, 28}
)

// writer draws from top to bottom and begins pages by itself.
type writer struct {
	*fpdf.Fpdf
	glyphs *glyphs
	style  string
	size   float64
	widths map[string]map[rune]float64 // of letters at one point, by style
}

func (w *writer) font(style string, size float64, c colour) {
	w.style, w.size = style, size
	w.SetFont(fontFamily, style, size)
	w.SetTextColor(c.r, c.g, c.b)
}

func (w *writer) page() {
	w.AddPage()
	w.SetY(margin)
}

// width is what a line has from margin to margin.
func (w *writer) width() float64 {
	page, _ := w.GetPageSize()
	return page - 2*margin
}

// bottom is where the last line may end.
func (w *writer) bottom() float64 {
	_, page := w.GetPageSize()
	return page - margin - 3
}

// need begins a page if there is not as much room left.
func (w *writer) need(height float64) {
	if w.GetY()+height > w.bottom() {
		style, size := w.style, w.size
		r, g, b := w.GetTextColor()
		w.page()
		w.font(style, size, colour{r, g, b})
	}
}

func (w *writer) letter(r rune) float64 {
	known := w.widths[w.style]
	wide, ok := known[r]
	if !ok {
		wide = w.GetStringWidth(string(r)) / w.size
		known[r] = wide
	}
	return wide * w.size
}

// wrap breaks a text into lines that fit: at spaces, and within words that are too long.
func (w *writer) wrap(s string, width float64) []string {
	var lines []string
	var line, word []rune
	lineWide, wordWide := 0.0, 0.0
	flush := func() {
		lines = append(lines, string(line))
		line, lineWide = nil, 0
	}
	take := func() {
		if lineWide+wordWide > width && len(line) > 0 {
			flush()
		}
		line, lineWide = append(line, word...), lineWide+wordWide
		word, wordWide = nil, 0
	}
	for _, r := range s {
		switch {
		case r == '\n':
			take()
			flush()
			continue
		case r == ' ':
			take()
			if space := w.letter(' '); lineWide+space <= width && len(line) > 0 {
				line, lineWide = append(line, ' '), lineWide+space
			}
			continue
		}
		wide := w.letter(r)
		if wordWide+wide > width {
			take()
			flush()
		}
		word, wordWide = append(word, r), wordWide+wide
	}
	take()
	if len(line) > 0 || len(lines) == 0 {
		flush()
	}
	return lines
}

// lines writes a paragraph in the font that is set.
func (w *writer) lines(s string, width, height float64) {
	for _, line := range w.wrap(s, width) {
		w.need(height)
		w.CellFormat(width, height, line, "", 2, "L", false, 0, "")
		w.SetX(margin)
	}
}

func (w *writer) section(s section) {
	size, before := 13.0, 6.0
	if s.Level > 1 {
		size, before = 10, 3
	}
	w.font(bold, size, ink)
	title := w.glyphs.show(s.Title)
	rows := w.wrap(title, w.width())
	w.need(before + float64(len(rows))*size*0.45 + 14) // not alone at the end of a page
	w.SetY(w.GetY() + before)
	if s.Level == 1 {
		w.SetDrawColor(rule.r, rule.g, rule.b)
		w.SetLineWidth(0.4)
		w.Line(margin, w.GetY()-1, margin+w.width(), w.GetY()-1)
	}
	w.Bookmark(fit(title, 120), s.Level-1, -1)
	w.lines(title, w.width(), size*0.45)
	w.SetY(w.GetY() + 1)
	for _, b := range s.Blocks {
		w.block(b)
	}
}

func (w *writer) block(b block) {
	switch {
	case b.Way != nil:
		w.picture(b.Way)
	case b.Table != nil:
		w.table(b.Table)
	case b.Facts != nil:
		for _, f := range b.Facts {
			w.fact(f)
		}
		w.SetY(w.GetY() + 1.5)
	default:
		c := map[tone]colour{plain: ink, good: greenInk, bad: redInk, quiet: soft}[b.Tone]
		w.font(regular, 9, c)
		w.lines(w.glyphs.show(b.Text), w.width(), 4.3)
		w.SetY(w.GetY() + 1.5)
	}
}

func (w *writer) fact(f fact) {
	const name = 42.0
	w.font(regular, 8.5, ink)
	rows := w.wrap(w.glyphs.show(f.Value), w.width()-name)
	for i, row := range rows {
		w.need(4.2)
		if i == 0 {
			w.font(regular, 8.5, soft)
			w.CellFormat(name, 4.2, f.Name, "", 0, "L", false, 0, "")
			w.font(regular, 8.5, ink)
		}
		w.SetX(margin + name)
		w.CellFormat(w.width()-name, 4.2, row, "", 2, "L", false, 0, "")
		w.SetX(margin)
	}
}
