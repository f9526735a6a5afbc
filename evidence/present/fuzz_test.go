package present_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"golang.org/x/net/html"

	"slipway/audit"
	"slipway/evidence"
	"slipway/evidence/present"
)

// seeds are texts that have been more than text somewhere.
var seeds = []string{"", "New app", evil, "a\nb", "\xff\xfe", "x\u0000", "]]>", "\u202e", "  ", "ﷺ", "e\u0301", "-->", "{pages}", "\U0010ffff"}

// written is a bundle with a text wherever people can write, and the details of a report from outside.
func written(t *testing.T, text string, details []byte) *evidence.Data {
	s := newTale(t)
	s.title = text + "." // a title is never empty
	s.submit().check("yellow", text+".", yellow)
	s.add(audit.Event{Action: audit.DetectOutOfBand, Actor: audit.Actor{ID: text, Role: text}, Resource: audit.Resource{Zone: text + ".", Name: text + "."}}, map[string]any{})
	d := s.tell()
	d.Reports[0].Details = json.RawMessage(details)
	return d
}

// Whatever people wrote, a page is made, and nothing of it becomes markup.
func FuzzPage(f *testing.F) {
	for _, s := range seeds {
		f.Add(s, []byte(`{"by":"olga"}`))
	}
	f.Add("x", []byte(`[[[[{"a":[1,2,null,true,"<b>"]}]]]]`))
	m := small(f)
	elements := func(t *testing.T, page []byte) int {
		doc, err := html.Parse(bytes.NewReader(page))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for d := range doc.Descendants() {
			if d.Type == html.ElementNode {
				n++
			}
		}
		return n
	}
	f.Fuzz(func(t *testing.T, text string, details []byte) {
		if len(text) > 500 || len(details) > 2000 {
			return // bounded in the log
		}
		d := written(t, text, details)
		a := present.Assess(d, m)
		page, err := present.HTML(d, a)
		if err != nil {
			t.Fatal(err)
		}
		harmless, err := present.HTML(written(t, "x", []byte("{}")), a)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := elements(t, page), elements(t, harmless); got != want {
			t.Errorf("the page has %d elements, and with harmless text %d", got, want)
		}
		if raw, err := present.OSCAL(d, a); err != nil || !json.Valid(raw) {
			t.Errorf("what is made is not JSON: %v", err)
		}
	})
}

// Whatever people wrote can be drawn.
func FuzzPDF(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	m := small(f)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 500 {
			return
		}
		d := written(t, text, []byte("{}"))
		if pdf, err := present.PDF(d, present.Assess(d, m)); err != nil || !bytes.HasPrefix(pdf, []byte("%PDF-")) {
			t.Fatalf("no PDF: %v", err)
		}
	})
}
