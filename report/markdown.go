package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"slipway/approval"
	"slipway/change"
	"slipway/check"
	"slipway/check/finding"
	"slipway/zone"
)

// Marker is the first line of the Markdown of a verdict. Whoever posts it as a comment finds
// the last one by it, and edits that instead of adding another.
const Marker = "<!-- slipway-check -->"

// What one comment may hold: GitHub takes 65,536 characters, and people read less.
const (
	maxDiff     = 30 << 10 // bytes of the record diff
	maxFindings = 20 << 10 // bytes of the findings
	maxCell     = 500      // characters of one message, name or value
	openDiff    = 40       // lines of a diff that is shown without being asked for
)

func writeMarkdown(w io.Writer, v *check.Verdict) error {
	var b strings.Builder
	b.WriteString(Marker + "\n")
	mark := map[check.Tier]string{check.Green: "🟢", check.Yellow: "🟡", check.Red: "🔴"}[v.Tier]
	if v.Denied {
		mark = "⛔"
	}
	fmt.Fprintf(&b, "## %s Slipway: %s\n\n", mark, answer(v))
	fmt.Fprintf(&b, "**Tier %s**, score %d of 100.\n", prose(string(v.Tier)), v.Score)
	for _, r := range v.TierReasons {
		fmt.Fprintf(&b, "- %s\n", prose(r))
	}
	markdownFindings(&b, v.Findings)
	markdownChange(&b, v.Change)
	if !v.Denied {
		markdownApprovals(&b, v)
	}
	markdownSignals(&b, v.Signals)
	b.WriteString("\n<sub>")
	if v.Change != nil && v.Change.Digest != "" {
		fmt.Fprintf(&b, "Change %s. ", code(v.Change.Digest))
	}
	fmt.Fprintf(&b, "Policy %s. As of %s.</sub>\n", code(v.PolicyDigest), v.AsOf.UTC().Format("2006-01-02 15:04 MST"))
	_, err := io.WriteString(w, b.String())
	return err
}

// Diff writes what a change does, without a verdict, as Markdown.
func Diff(w io.Writer, c *change.Change) error {
	var b strings.Builder
	b.WriteString("## Slipway: diff\n")
	markdownChange(&b, c)
	if c != nil && c.Digest != "" {
		fmt.Fprintf(&b, "\n<sub>Change %s.</sub>\n", code(c.Digest))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func answer(v *check.Verdict) string {
	switch {
	case v.Denied:
		return "this cannot go ahead yet"
	case len(v.Approvals) > 0:
		return "this needs approval"
	}
	return "nobody needs to approve this"
}

func markdownFindings(b *strings.Builder, fs []finding.Finding) {
	if len(fs) == 0 {
		b.WriteString("\nThe checks found nothing.\n")
		return
	}
	b.WriteString("\n### What the checks found\n\n")
	size := 0
	for i, f := range fs {
		item := markdownFinding(f)
		if size += len(item); size > maxFindings {
			fmt.Fprintf(b, "- … and %d more: run `slipway check` to see them.\n", len(fs)-i)
			return
		}
		b.WriteString(item)
	}
}

func markdownFinding(f finding.Finding) string {
	mark := map[check.Severity]string{check.Deny: "⛔ **stop**", check.Warn: "⚠️ **look**"}[f.Severity]
	if mark == "" {
		mark = "ℹ️ **note**"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "- %s  %s", mark, prose(sentence(strings.TrimSpace(f.Message))))
	if f.Help != "" {
		fmt.Fprintf(&b, " *%s*", prose(strings.TrimSpace(f.Help)))
	}
	b.WriteString("<br>")
	if f.Path != "" {
		b.WriteString(code(zone.Place{Path: f.Path, Line: f.Line}.String()) + " ")
	}
	b.WriteString(code(f.Rule))
	for _, c := range f.Controls {
		b.WriteString(" " + code(c))
	}
	b.WriteString("\n")
	return b.String()
}

func markdownChange(b *strings.Builder, c *change.Change) {
	if c == nil || c.Empty() {
		b.WriteString("\nNothing changes.\n")
		return
	}
	fmt.Fprintf(b, "\n### What changes\n\n%d to create, %d to change, %d to delete.\n", c.Creates, c.Updates, c.Deletes)
	lines, left := diffLines(c.Edits)
	markdownLines(b, lines)
	if left > 0 {
		fmt.Fprintf(b, "\n… and %d record sets more: run `slipway diff` to see them.\n", left)
	}
	const maxFiles = 100
	list := make([]string, 0, len(c.Apps)+len(c.Files))
	for _, a := range c.Apps {
		list = append(list, fmt.Sprintf("- %s app %s", verb(a.Op), code(a.Name)))
	}
	for _, f := range c.Files {
		list = append(list, fmt.Sprintf("- %s %s (%s)", verb(f.Op), code(f.Path), prose(f.Kind)))
	}
	if len(list) > 0 {
		b.WriteString("\n" + strings.Join(list[:min(len(list), maxFiles)], "\n") + "\n")
	}
	if len(list) > maxFiles {
		fmt.Fprintf(b, "- … and %d files more.\n", len(list)-maxFiles)
	}
}

// markdownLines shows a diff, folded when it is long.
func markdownLines(b *strings.Builder, lines []string) {
	if len(lines) == 0 {
		return
	}
	fold := len(lines) > openDiff
	if fold {
		fmt.Fprintf(b, "\n<details><summary>%d lines of records</summary>\n", len(lines))
	}
	fence := fenceFor(lines)
	fmt.Fprintf(b, "\n%sdiff\n%s\n%s\n", fence, strings.Join(lines, "\n"), fence)
	if fold {
		b.WriteString("\n</details>\n")
	}
}

func verb(op zone.Op) string {
	switch op {
	case zone.Create:
		return "new:"
	case zone.Delete:
		return "gone:"
	}
	return "changed:"
}

// diffLines are the edits as a diff of zone-file lines, and how many edits did not fit.
func diffLines(edits []zone.Edit) (lines []string, left int) {
	size := 0
	var last zone.Name
	for i, e := range edits {
		var edit []string
		if i == 0 || e.Zone != last {
			edit = append(edit, "@@ "+short(e.Zone.Unicode())+" @@")
			last = e.Zone
		}
		before, after := records(e.Before), records(e.After)
		for _, r := range before {
			if !slices.Contains(after, r) {
				edit = append(edit, "- "+r)
			}
		}
		for _, r := range after {
			sign := "+ "
			if slices.Contains(before, r) {
				sign = "  "
			}
			edit = append(edit, sign+r)
		}
		for _, l := range edit {
			size += len(l) + 1
		}
		if size > maxDiff {
			return lines, len(edits) - i
		}
		lines = append(lines, edit...)
	}
	return lines, 0
}

// records are a set's records, one a line.
func records(r *zone.RRSet) []string {
	if r == nil {
		return nil
	}
	const most = 50
	ttl := "-"
	if r.TTL != zone.NoTTL {
		ttl = strconv.Itoa(r.TTL)
	}
	head := short(r.Name.Unicode()) + " " + ttl + " " + short(r.Type) + " "
	var out []string
	for i, v := range r.Values {
		if i == most {
			out = append(out, head+fmt.Sprintf("… %d values in all", len(r.Values)))
			break
		}
		out = append(out, head+short(v))
	}
	if r.Extra != "" {
		out = append(out, head+short(r.Extra))
	}
	return out
}

func markdownApprovals(b *strings.Builder, v *check.Verdict) {
	if len(v.Approvals) == 0 {
		return
	}
	b.WriteString("\n### Who must approve\n\n")
	for _, r := range v.Approvals {
		fmt.Fprintf(b, "- %s (rule %s)%s\n", prose(r.Text()), code(r.Rule), ticket(r))
		for _, why := range r.Why {
			if !slices.Contains(v.TierReasons, why) {
				fmt.Fprintf(b, "  - %s\n", prose(why))
			}
		}
	}
}

func ticket(r approval.Requirement) string {
	if r.Ticket {
		return "; a ticket must be named"
	}
	return ""
}

func markdownSignals(b *strings.Builder, signals []check.Signal) {
	const most = 20
	if len(signals) == 0 {
		return
	}
	b.WriteString("\n<details><summary>What bears on the risk</summary>\n\n")
	for i, s := range signals {
		if i == most {
			fmt.Fprintf(b, "- … and %d more\n", len(signals)-i)
			break
		}
		fmt.Fprintf(b, "- %s, weight %d: %s\n", code(s.Name), s.Weight, prose(s.Reason))
	}
	b.WriteString("\n</details>\n")
}

// short is text on one line, cut where it is too long to be read in a comment.
func short(s string) string {
	s = strings.Join(strings.Fields(check.Clean(s)), " ")
	if r := []rune(s); len(r) > maxCell {
		return string(r[:maxCell-1]) + "…"
	}
	return s
}

// prose makes text that others wrote into Markdown that shows exactly that text. A backslash
// takes the meaning from ASCII punctuation (CommonMark section 2.4); but mentions, references
// and bare links are found in the rendered text, so an empty comment is put where they would
// begin: a record must not be able to page a team, or to put a link into a reviewer's way.
func prose(s string) string {
	const split = "<!-- -->"
	var b strings.Builder
	runes := []rune(short(s))
	number := true // nothing but digits so far, which could begin a list
	for i, r := range runes {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case strings.ContainsRune("\\`*_{}[]()#!|~$^", r), i == 0 && strings.ContainsRune("-+=", r), number && r == '.':
			b.WriteRune('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
		number = number && '0' <= r && r <= '9'
		followed := i+1 < len(runes) && runes[i+1] != ' '
		if followed && (strings.ContainsRune("@#!~$%&:", r) || r == '/' && runes[i+1] == '/' || r == '.' && i >= 3 && strings.EqualFold(string(runes[i-3:i]), "www")) {
			b.WriteString(split)
		}
	}
	return b.String()
}

// code makes a code span, with a fence longer than any run of backticks in it (CommonMark section 6.1).
func code(s string) string {
	s = short(s)
	if s == "" {
		return ""
	}
	fence := strings.Repeat("`", longestRun(s)+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return fence + s + fence
}

// fenceFor is a code fence that no line can close (CommonMark section 4.5).
func fenceFor(lines []string) string {
	n := 2
	for _, l := range lines {
		n = max(n, longestRun(l))
	}
	return strings.Repeat("`", n+1)
}

func longestRun(s string) int {
	longest, run := 0, 0
	for _, r := range s {
		if r != '`' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}
