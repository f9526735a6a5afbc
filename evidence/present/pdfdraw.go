package present

import "fmt"

// This file draws what is not running text: tables and the way of a change.

// table draws a table, with its head again on every page that it goes on to.
func (w *writer) table(t *table) {
	total := 0.0
	for _, share := range t.Widths {
		total += share
	}
	widths := make([]float64, len(t.Widths))
	for i, share := range t.Widths {
		widths[i] = share / total * w.width()
	}
	w.font(bold, 8.5, ink)
	w.need(6 + 3*(cellLine+2*cellPad))
	w.lines(w.glyphs.show(t.Caption), w.width(), 5)
	w.row(t.Head, widths, true, nil)
	for _, cells := range t.Rows {
		w.row(cells, widths, false, t.Head)
	}
	w.SetY(w.GetY() + 1)
	if t.More > 0 {
		w.font(regular, 8, soft)
		w.lines(fmt.Sprintf("%d more rows are in data.json.", t.More), w.width(), 4)
	}
	w.SetY(w.GetY() + 2)
}

// row draws one row, over several pages if it is that long. head is drawn again on each.
func (w *writer) row(cells []string, widths []float64, isHead bool, head []string) {
	style := func(column int) string {
		if isHead || column == 0 {
			return bold
		}
		return regular
	}
	columns := make([][]string, len(widths))
	left := 1
	for i := range widths {
		w.font(style(i), cellSize, ink)
		columns[i] = w.wrap(w.glyphs.show(cells[i]), widths[i]-2*cellPad)
		left = max(left, len(columns[i]))
	}
	for at := 0; at < left; {
		room := int((w.bottom() - w.GetY() - 2*cellPad) / cellLine)
		if whole := left - at; room < min(whole, 3) { // no less than three lines of a row at the end of a page
			w.page()
			if head != nil {
				w.row(head, widths, true, nil)
			}
			room = int((w.bottom() - w.GetY() - 2*cellPad) / cellLine)
		}
		n := min(left-at, max(room, 1))
		w.strip(columns, widths, at, n, isHead, style)
		at += n
	}
}

// strip draws n lines of a row from line at on.
func (w *writer) strip(columns [][]string, widths []float64, at, n int, isHead bool, style func(int) string) {
	x, y, height := margin, w.GetY(), float64(n)*cellLine+2*cellPad
	w.SetDrawColor(rule.r, rule.g, rule.b)
	w.SetFillColor(sunken.r, sunken.g, sunken.b)
	w.SetLineWidth(0.2)
	for i, lines := range columns {
		kind := "D"
		if isHead {
			kind = "FD"
		}
		w.Rect(x, y, widths[i], height, kind)
		w.font(style(i), cellSize, ink)
		for j := at; j < min(at+n, len(lines)); j++ {
			w.SetXY(x+cellPad, y+cellPad+float64(j-at)*cellLine)
			w.CellFormat(widths[i]-2*cellPad, cellLine, lines[j], "", 0, "L", false, 0, "")
		}
		x += widths[i]
	}
	w.SetXY(margin, y+height)
}

// picture draws a way: what was reached as a disc with a tick, where it stopped as a square with a cross, the rest as a
// ring. The colour says nothing that the form does not.
func (w *writer) picture(p *way) {
	const step, radius, height = 45.0, 3.2, 24.0
	w.need(height + 6)
	top := w.GetY() + 1
	y := top + radius + 1
	for i, s := range p.Stops {
		x := margin + step*float64(i) + step/2
		if i > 0 {
			w.SetLineWidth(0.8)
			w.SetDrawColor(greenInk.r, greenInk.g, greenInk.b)
			if s.State == ahead {
				w.SetLineWidth(0.4)
				w.SetDrawColor(soft.r, soft.g, soft.b)
				w.SetDashPattern([]float64{1, 1.5}, 0)
			}
			w.Line(x-step+radius+1, y, x-radius-1, y)
			w.SetDashPattern(nil, 0)
		}
		switch s.State {
		case reached:
			w.SetFillColor(greenInk.r, greenInk.g, greenInk.b)
			w.Circle(x, y, radius, "F")
			w.mark([][4]float64{{x - 1.6, y, x - 0.4, y + 1.4}, {x - 0.4, y + 1.4, x + 1.8, y - 1.4}})
		case stopped:
			w.SetFillColor(redInk.r, redInk.g, redInk.b)
			w.Rect(x-radius, y-radius, 2*radius, 2*radius, "F")
			w.mark([][4]float64{{x - 1.5, y - 1.5, x + 1.5, y + 1.5}, {x - 1.5, y + 1.5, x + 1.5, y - 1.5}})
		default:
			w.SetLineWidth(0.4)
			w.SetDrawColor(soft.r, soft.g, soft.b)
			w.Circle(x, y, radius-0.3, "D")
		}
		at := y + radius + 1
		write := func(style string, size float64, c colour, text string) {
			if text == "" {
				return
			}
			w.font(style, size, c)
			w.SetXY(x-step/2, at)
			w.CellFormat(step, 4, text, "", 0, "C", false, 0, "")
			at += 4
		}
		write(bold, 9, ink, s.Name)
		write(regular, 7, soft, fit(w.glyphs.show(s.Who), 30))
		write(regular, 7, soft, stamp(s.At))
	}
	w.SetXY(margin, top+height-2)
	w.font(regular, 7.5, soft)
	w.lines(w.glyphs.show(p.Words()), w.width(), 3.6)
	w.SetY(w.GetY() + 2)
}

func (w *writer) mark(lines [][4]float64) {
	w.SetDrawColor(255, 255, 255)
	w.SetLineWidth(0.7)
	for _, l := range lines {
		w.Line(l[0], l[1], l[2], l[3])
	}
}
