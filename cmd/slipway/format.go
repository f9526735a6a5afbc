package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slipway/check"
	"slipway/report"
)

// format is the value of --format.
type format = report.Format

const (
	asText = report.Text
	asJSON = report.JSON
)

// formatFlag adds --format to a command that knows text, JSON and more.
func formatFlag(c *cobra.Command, more ...format) *format {
	v := &formatValue{chosen: asText, known: append([]format{asText, asJSON}, more...)}
	c.Flags().Var(v, "format", "output as "+v.list())
	c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(strings.Split(v.Type(), "|"), cobra.ShellCompDirectiveNoFileComp))
	return &v.chosen
}

type formatValue struct {
	chosen format
	known  []format
}

func (v *formatValue) names(between string) string {
	names := make([]string, len(v.known))
	for i, f := range v.known {
		names[i] = string(f)
	}
	return strings.Join(names, between)
}

// list names the formats in a sentence: "text, json or sarif".
func (v *formatValue) list() string {
	s := v.names(", ")
	i := strings.LastIndex(s, ", ")
	return s[:i] + " or " + s[i+2:]
}

func (v *formatValue) String() string { return string(v.chosen) }
func (v *formatValue) Type() string   { return v.names("|") }

func (v *formatValue) Set(s string) error {
	if !slices.Contains(v.known, format(s)) {
		return fmt.Errorf("use %s", v.list())
	}
	v.chosen = format(s)
	return nil
}

// also is the value of --also: further reports of one verdict, each to its file, so that
// a pipeline judges once and reports everywhere.
type also []string

func (a also) write(v *check.Verdict) error {
	for _, s := range a {
		f, file, err := a.cut(s)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := report.Write(&b, f, v); err != nil {
			return err
		}
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// check says whether the reports can be written at all, before anything is judged.
func (a also) check() error {
	for _, s := range a {
		if _, _, err := a.cut(s); err != nil {
			return err
		}
	}
	return nil
}

func (also) cut(s string) (format, string, error) {
	f, file, found := strings.Cut(s, "=")
	v := formatValue{known: report.Formats()}
	if !found || file == "" {
		return "", "", &usage{what: fmt.Sprintf("--also %s names no file", s), help: "Write it like --also sarif=results.sarif."}
	}
	if !slices.Contains(v.known, format(f)) {
		return "", "", &usage{what: fmt.Sprintf("--also %s: there is no format %s", s, f), help: "Use " + v.list() + "."}
	}
	return format(f), file, nil
}
