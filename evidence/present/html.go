package present

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"

	"slipway/evidence"
)

//go:embed report.html
var reportTemplate string

// HTML is the report as one file that needs nothing else: no script, nothing from the network,
// and a policy that forbids both in case something of them came in after all.
func HTML(d *evidence.Data, a *Assessment) ([]byte, error) {
	t, err := template.New("report").Funcs(template.FuncMap{
		"visible": visible,
		"when":    when,
		"stamp":   func(p *page) string { return p.Made.UTC().Format("2006-01-02T15:04:05Z") },
		"svg":     func(w *way, section, block int) template.HTML { return w.SVG(fmt.Sprintf("w%d-%d", section, block)) },
		"parts":   contents,
	}).Parse(reportTemplate)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, report(d, a)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// entry is a line of the table of contents.
type entry struct {
	Index int
	Title string
}

// contents are the parts of a report, with the place of each among all sections.
func contents(p *page) []entry {
	var out []entry
	for i, s := range p.Sections {
		if s.Level == 1 {
			out = append(out, entry{i, s.Title})
		}
	}
	return out
}
