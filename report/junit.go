package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"slipway/check"
	"slipway/check/finding"
	"slipway/zone"
)

// This file writes the XML that Jenkins, GitLab and others show as test results. JUnit
// knows no warning: what only has to be looked at is a test that passes and says so.

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Timestamp  string          `xml:"timestamp,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	File    string        `xml:"file,attr,omitempty"`
	Line    int           `xml:"line,attr,omitempty"`
	Failure *junitFailure `xml:"failure"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitFailure struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func writeJUnit(w io.Writer, v *check.Verdict) error {
	s := junitSuite{
		Name: tool + " check", Timestamp: v.AsOf.UTC().Format("2006-01-02T15:04:05"),
		Properties: []junitProperty{{"tier", string(v.Tier)}, {"score", fmt.Sprint(v.Score)}, {"policy-digest", v.PolicyDigest}},
	}
	for _, f := range v.Findings {
		c := junitCase{Class: check.Clean(f.Rule), Name: caseName(f), File: check.Clean(f.Path), Line: f.Line}
		if f.Severity == check.Deny {
			c.Failure = &junitFailure{Type: c.Class, Message: check.Clean(f.Message), Text: caseText(f)}
			s.Failures++
		} else {
			c.Out = word(f.Severity) + ": " + caseText(f)
		}
		s.Cases = append(s.Cases, c)
	}
	if len(s.Cases) == 0 {
		s.Cases = []junitCase{{Class: tool, Name: "nothing found"}} // a suite without a test looks broken to most readers
	}
	s.Tests = len(s.Cases)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(junitSuites{Name: tool, Tests: s.Tests, Failures: s.Failures, Suites: []junitSuite{s}}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// caseName tells findings of one rule apart: by record, else by place.
func caseName(f finding.Finding) string {
	switch {
	case f.Record != "":
		return check.Clean(f.Record)
	case f.Path != "":
		return check.Clean(zone.Place{Path: f.Path, Line: f.Line}.String())
	}
	return check.Clean(f.Message)
}

func caseText(f finding.Finding) string {
	lines := []string{check.Clean(f.Message)}
	if f.Help != "" {
		lines = append(lines, check.Clean(f.Help))
	}
	if f.Path != "" {
		lines = append(lines, check.Clean(zone.Place{Path: f.Path, Line: f.Line}.String()))
	}
	if len(f.Controls) > 0 {
		lines = append(lines, check.Clean(strings.Join(f.Controls, " ")))
	}
	return strings.Join(lines, "\n")
}
