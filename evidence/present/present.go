// Package present shows a bundle's evidence to people and to tools: as a page that
// prints well (HTML), as PDF, as OSCAL assessment results and as the controls that it is
// evidence for. It is given the data of package evidence and the mapping of package
// controls, reads nothing else, and decides nothing but what speaks against a control.
// The same data gives the same bytes. Whatever the data holds is shown as text: nothing
// of it becomes markup. What this package makes proves nothing; the bundle's events do.
// Read present.go, then assess.go for controls, page.go and the files after it for what a
// report says, html.go and pdf.go for how it is drawn, oscal.go for tools.
package present

import (
	"encoding/json"
	"fmt"

	"slipway/evidence"
	"slipway/evidence/controls"
)

// The files that Files makes, by their names in a bundle.
const (
	HTMLFile     = "reports/report.html"
	PDFFile      = "reports/report.pdf"
	OSCALFile    = "reports/oscal-assessment-results.json"
	ControlsFile = "controls/controls.json"
)

// Files makes all that goes into a bundle for people and tools. Warnings are what their reader
// should know about the mapping, for example that an organisation's own could not be read.
func Files(d *evidence.Data, m *controls.Mapping, warnings ...string) (map[string][]byte, error) {
	a := Assess(d, m)
	a.Warnings = warnings
	files := map[string][]byte{}
	for name, make := range map[string]func(*evidence.Data, *Assessment) ([]byte, error){
		HTMLFile: HTML, PDFFile: PDF, OSCALFile: OSCAL, ControlsFile: controlsJSON,
	} {
		content, err := make(d, a)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = content
	}
	return files, nil
}

func controlsJSON(_ *evidence.Data, a *Assessment) ([]byte, error) {
	raw, err := json.MarshalIndent(a, "", "  ")
	return append(raw, '\n'), err
}
