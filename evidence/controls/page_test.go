package controls_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/audit"
	"slipway/evidence/controls"
)

var update = flag.Bool("update", false, "write the pages anew")

// mark is where what is made begins in docs/controls.md; what is above is written by hand.
const mark = "<!-- made by go test ./evidence/controls -run Page -update -->\n"

func TestPage(t *testing.T) {
	t.Parallel()
	page := filepath.Join("..", "..", "docs", "controls.md")
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	written, _, found := strings.Cut(string(got), mark)
	if !found {
		t.Fatalf("%s has no line %q", page, mark)
	}
	var want bytes.Buffer
	want.WriteString(written + mark + "\n")
	if err := builtIn(t).Tables(&want, all(t)); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(page, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(got, want.Bytes()) {
		t.Error("docs/controls.md is not what the mapping says; run go test ./evidence/controls -run Page -update")
	}
}

// The example that people copy must be one that can be read.
func TestTheExampleOfThePageCanBeRead(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile(filepath.Join("..", "..", "docs", "controls.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(src), "```yaml\n")
	example, _, ended := strings.Cut(example, "```")
	if !found || !ended {
		t.Fatal("there is no example")
	}
	if _, err := builtIn(t).Extend(controls.Path, []byte(example)); err != nil {
		t.Error(err)
	}
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	m, err := builtIn(t).Extend(controls.Path, []byte("controls:\n  SOC2:A1.3: {title: 'a | b <script>', checks: [own/none]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	c := m.Cover(nil, map[audit.Action]int{audit.EraseDocument: 3}, &controls.Period{From: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}).Only("soc2")
	if err := c.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Events were counted since 1 June 2026, 00:00 UTC.", "## SOC 2, Trust Services Criteria (2017)", "### No evidence",
		`| SOC2:A1.3 | a \| b &lt;script&gt; |`, "| SOC2:C1.2 | Confidential information is disposed of | Documents that may not be kept were erased, by whom and why (3) |",
		"own/none, and no rule in force is called so",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "ISO27001") || strings.Index(b.String(), "### No evidence") > strings.Index(b.String(), "### Evidence is here") {
		t.Error("what is without evidence does not come first, or another framework is shown")
	}
}

func TestPeriods(t *testing.T) {
	t.Parallel()
	a, b := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	for want, p := range map[string]*controls.Period{
		"nothing was counted": nil, "all that was ever recorded": {}, "since 1 June 2026, 00:00 UTC": {From: a}, "until 1 July 2026, 00:00 UTC": {To: b},
		"from 1 June 2026, 00:00 UTC to 1 July 2026, 00:00 UTC": {From: a, To: b},
	} {
		if got := p.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
