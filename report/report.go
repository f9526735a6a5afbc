// Package report renders a check.Verdict for the places where people and programs
// meet it: SARIF for code scanning, JUnit for test reports, workflow commands for
// GitHub's annotations, Markdown for a comment on a pull request. All of them show
// one and the same verdict; none judges anything. Everything in a verdict that came
// from a change (names, values, file names, messages that quote them) is hostile until
// the format's own escaping has been through it: see each file's escaping
// function. Text and JSON are package check's own.
package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"slipway/check"
	"slipway/check/finding"
)

// Format is how a verdict is written.
type Format string

// The formats.
const (
	Text     Format = "text"
	JSON     Format = "json"
	SARIF    Format = "sarif"
	JUnit    Format = "junit"
	GitHub   Format = "github"
	Markdown Format = "markdown"
)

// Formats are all formats, in the order in which help names them.
func Formats() []Format { return []Format{Text, JSON, SARIF, JUnit, GitHub, Markdown} }

// Write writes the verdict in the format, without colours.
func Write(w io.Writer, f Format, v *check.Verdict) error {
	switch f {
	case Text:
		return check.WriteText(w, v, false)
	case JSON:
		return check.WriteJSON(w, v)
	case SARIF:
		return writeSARIF(w, v)
	case JUnit:
		return writeJUnit(w, v)
	case GitHub:
		return writeGitHub(w, v)
	case Markdown:
		return writeMarkdown(w, v)
	}
	return fmt.Errorf("there is no report format %q", f)
}

// tool is what the reports call their maker.
const tool = "slipway"

// word is what people read for a severity.
func word(s check.Severity) string {
	switch s {
	case check.Deny:
		return "stop"
	case check.Warn:
		return "look"
	}
	return "note"
}

// text is a finding's message and its way out, on one line.
func text(f finding.Finding) string {
	s := strings.TrimSpace(check.Clean(f.Message))
	if f.Help != "" {
		s = sentence(s) + " " + strings.TrimSpace(check.Clean(f.Help))
	}
	return s
}

// sentence ends a text with a full stop where it has no end.
func sentence(s string) string {
	if s == "" || strings.ContainsAny(s[len(s)-1:], ".!?:") {
		return s
	}
	return s + "."
}

// count says how many findings of each severity there are: "1 stop, 2 look".
func count(fs []finding.Finding) string {
	var parts []string
	for _, s := range []check.Severity{check.Deny, check.Warn, check.Info} {
		n := 0
		for _, f := range fs {
			if f.Severity == s {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, word(s)))
		}
	}
	if len(parts) == 0 {
		return "nothing found"
	}
	return strings.Join(parts, ", ")
}

// headline is the verdict in one line.
func headline(v *check.Verdict) string {
	s := fmt.Sprintf("%s, score %d of 100, %s", strings.ToUpper(check.Clean(string(v.Tier))), v.Score, count(v.Findings))
	if v.Denied {
		s = "Denied: " + s
	}
	return s
}

// rules are the rules that found something, sorted, each with the controls of all its findings.
func rules(fs []finding.Finding) []rule {
	var out []rule
	for _, f := range fs {
		i, found := slices.BinarySearchFunc(out, f.Rule, func(r rule, id string) int { return strings.Compare(r.id, id) })
		if !found {
			out = slices.Insert(out, i, rule{id: f.Rule})
		}
		for _, c := range f.Controls {
			if !slices.Contains(out[i].controls, c) {
				out[i].controls = append(out[i].controls, c)
			}
		}
	}
	for i := range out {
		slices.Sort(out[i].controls)
	}
	return out
}

type rule struct {
	id       string
	controls []string
}
