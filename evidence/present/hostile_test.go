package present_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"slipway/approval"
	"slipway/audit"
	"slipway/check/finding"
	"slipway/evidence"
	"slipway/evidence/present"
	"slipway/lifecycle"
)

// evil is what somebody might write into a title to be more than text.
const evil = `</title><script>alert(1)</script>"><img src=x onerror=alert(2)> 'a' {{.}} [x](javascript:alert(3)) **b** ` + "\u202egpj.exe\u202c \x1b[31m 名前 Ωμέγα Привет 😀\n# line"

// hostile has it everywhere that people can write.
func hostile(t testing.TB) *evidence.Data {
	s := newTale(t)
	s.title = evil
	s.submit().check("yellow", "", []approval.Requirement{{Rule: "yellow", AnyOf: []string{evil}, Count: 1, Why: []string{evil}}},
		finding.Finding{Rule: "own/" + evil, Severity: finding.Warn, Message: evil, Help: evil, Controls: []string{"SOC2:CC8.1", evil}})
	s.step(audit.RefuseVote, ana, audit.Resource{}, lifecycle.RefusalDetails{Code: evil, Text: evil})
	s.vote(audit.Actor{ID: evil, Role: evil}, audit.ApproveChange, evil, evil)
	s.finish()
	s.add(audit.Event{Action: audit.CreateDNSRecord, Change: change, Resource: audit.Resource{Zone: zone, Record: evil, Type: evil, App: app, Name: evil}}, lifecycle.RecordDetails{After: &lifecycle.Record{Values: []string{evil, strings.Repeat("x", 9000)}}})
	s.add(audit.Event{Action: audit.DetectOutOfBand, Actor: audit.Actor{ID: evil, Role: evil}, Resource: audit.Resource{Zone: evil, Record: evil, Name: evil}}, map[string]any{"source": evil, evil: []any{evil, nil, 3.5, map[string]any{"a": evil}}})
	d := s.tell()
	d.Missing = append(d.Missing, evidence.Gap{What: evil, Why: evil})
	return d
}

func TestHostileTextStaysText(t *testing.T) {
	t.Parallel()
	made := files(t, hostile(t), mapping(t))
	doc, err := html.Parse(bytes.NewReader(made[present.HTMLFile]))
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{"html": true, "head": true, "meta": true, "title": true, "style": true, "body": true, "a": true, "header": true, "h1": true, "h2": true, "h3": true, "p": true, "time": true, "nav": true, "ul": true, "li": true,
		"main": true, "dl": true, "dt": true, "dd": true, "div": true, "table": true, "caption": true, "thead": true, "tbody": true, "tr": true, "th": true, "td": true, "svg": true, "desc": true, "path": true, "circle": true, "rect": true, "text": true}
	level, headings := 0, 0
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if !allowed[n.Data] {
			t.Errorf("there is an element %s", n.Data)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "src" || a.Key == "href" && !strings.HasPrefix(a.Val, "#") || strings.Contains(a.Val, "url(") {
				t.Errorf("%s has %s=%q", n.Data, a.Key, a.Val)
			}
		}
		if len(n.Data) == 2 && n.Data[0] == 'h' && n.Data[1] >= '1' && n.Data[1] <= '6' {
			headings++
			if now := int(n.Data[1] - '0'); now > level+1 {
				t.Errorf("a heading of level %d comes after one of level %d", now, level)
			} else {
				level = now
			}
		}
		if n.Data == "table" && (n.FirstChild == nil || !strings.Contains(render(t, n), "<caption>")) {
			t.Error("a table has no caption")
		}
	}
	if headings < 10 {
		t.Errorf("%d headings", headings)
	}
	page := string(made[present.HTMLFile])
	for _, never := range []string{"\u202e", "\x1b", "<script", "<img"} {
		if strings.Contains(page, never) {
			t.Errorf("%q is in the page", never)
		}
	}
	for _, want := range []string{"[U+202E]gpj.exe", "&lt;script&gt;", "名前", "[U+001B]"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	oscal := string(made[present.OSCALFile])
	if strings.Contains(oscal, "<script") || strings.Contains(oscal, `\u003cscript`) || strings.Contains(oscal, "[x](javascript") {
		t.Error("OSCAL's markup holds markup that somebody wrote")
	}
}

func render(t *testing.T, n *html.Node) string {
	t.Helper()
	var b bytes.Buffer
	if err := html.Render(&b, n); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// text is what a reader of the PDF can select, by poppler's pdftotext.
func text(t *testing.T, pdf []byte) string {
	t.Helper()
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		t.Skip("pdftotext (poppler-utils) is not installed")
	}
	file := filepath.Join(t.TempDir(), "report.pdf")
	if err := os.WriteFile(file, pdf, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), tool, "-layout", "-enc", "UTF-8", file, "-").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestPDFCanBeRead(t *testing.T) {
	t.Parallel()
	for story, wants := range map[string][]string{
		"green":  {"the rules alone", "Live since", "serial-2026070101", "CM:3", "192.0.2.10 (TTL 300)"},
		"yellow": {"ivy@finmicro.example", "I looked at it.", "You asked for this change, so somebody else", "ttl-out-of-bounds"},
		"red":    {"pia@finmicro.example", "no longer, since event 49"},
		"denied": {"The checks denied it, so nothing was changed", "spf-allows-everyone", "Denied: stopped, by the checks"},
		"drift":  {"Put back to what was approved", "olga", "Who did it"},
	} {
		got := text(t, files(t, stories[story](t), small(t))[present.PDFFile])
		for _, want := range append(wants, "Evidence: the ", "page 1 of", "slipway verify bundle.zip") {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q", story, want)
			}
		}
		if strings.Contains(got, "{pages}") {
			t.Errorf("%s: pages are not counted", story)
		}
	}
}

func TestPDFShowsEveryLetterOrItsCode(t *testing.T) {
	t.Parallel()
	got := strings.Join(strings.Fields(text(t, files(t, hostile(t), small(t))[present.PDFFile])), "")
	for _, want := range []string{"Ωμέγα", "Привет", "[U+540D][U+524D]", "[U+1F600]", "[U+202E]gpj.exe", "[U+001B][31m", "<script>alert(1)</script>"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q", want)
		}
	}
}
