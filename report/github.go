package report

import (
	"fmt"
	"io"
	"strings"

	"slipway/check"
)

// writeGitHub writes workflow commands, which GitHub Actions shows as annotations on the
// lines of a pull request. Everything else on a job's output that looks like a command is one
// too, so each line here is a command, and nothing from the change stands outside its escaping.
func writeGitHub(w io.Writer, v *check.Verdict) error {
	var b strings.Builder
	for _, f := range v.Findings {
		command := map[check.Severity]string{check.Deny: "error", check.Warn: "warning"}[f.Severity]
		if command == "" {
			command = "notice"
		}
		fmt.Fprintf(&b, "::%s ", command)
		if f.Path != "" {
			fmt.Fprintf(&b, "file=%s,line=%d,", property(f.Path), max(f.Line, 1))
		}
		title := f.Rule
		if f.Record != "" {
			title += ": " + f.Record
		}
		data := text(f)
		if len(f.Controls) > 0 {
			data += " (" + check.Clean(strings.Join(f.Controls, ", ")) + ")"
		}
		fmt.Fprintf(&b, "title=%s::%s\n", property(title), commandData(data))
	}
	fmt.Fprintf(&b, "::notice title=Slipway::%s\n", commandData(headline(v)))
	_, err := io.WriteString(w, b.String())
	return err
}

// commandData escapes a workflow command's message. The percent sign comes first, since it
// begins every escape.
func commandData(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

// property escapes a workflow command's property, in which a colon or a comma would end it.
func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(check.Clean(s))
}
