package policy

import (
	"fmt"
	"strings"
)

// This file writes the policies in force down for people who do not read Rego.

// Page is one page of the catalogue.
type Page struct {
	File string // "dns.policy.md"
	Text string
}

// Catalogue renders what the policies say, one page for each package, and an index
// of all. The pages say nothing that does not stand in the policies' METADATA.
func (p *Policies) Catalogue() []Page {
	rules := map[string][]Rule{}
	for _, r := range p.Rules() {
		rules[r.Package] = append(rules[r.Package], r)
	}
	var index strings.Builder
	index.WriteString("# Policies\n\nWhat is asked of every change, in plain words, beside the rules about DNS itself. Made by `slipway policy docs`\n" +
		"from the policies' own descriptions. A rule is *hard-mandatory* when it stops a change, *soft-mandatory* when the people\n" +
		"named for it may override it with a reason, and *advisory* when it only shows approvers something.\n\n")
	index.WriteString("| policy | rule | binding | says |\n|---|---|---|---|\n")
	var pages []Page
	for _, pkg := range p.packages {
		page := Page{File: pkg.Name + ".md", Text: pkg.page(rules[pkg.Name])}
		pages = append(pages, page)
		link := fmt.Sprintf("[%s](%s)", cell(pkg.Title, pkg.Name), page.File)
		if len(rules[pkg.Name]) == 0 {
			fmt.Fprintf(&index, "| %s | | | |\n", link)
		}
		for _, r := range rules[pkg.Name] {
			fmt.Fprintf(&index, "| %s | `%s` | %s | %s |\n", link, r.ID, r.Enforcement, cell(r.Title, r.Name))
		}
	}
	return append([]Page{{File: "README.md", Text: index.String()}}, pages...)
}

func (pkg Package) page(rules []Rule) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", text(pkg.Title, pkg.Name))
	fmt.Fprintf(&b, "Package `%s`, in `%s`.", pkg.Name, pkg.Place.Path)
	if len(pkg.Controls) > 0 {
		fmt.Fprintf(&b, " Controls: %s.", strings.Join(pkg.Controls, ", "))
	}
	b.WriteString("\n")
	if pkg.Description != "" {
		fmt.Fprintf(&b, "\n%s\n", block(pkg.Description))
	}
	for _, r := range rules {
		fmt.Fprintf(&b, "\n## %s\n\n`%s` · %s\n", text(r.Title, r.ID), r.ID, r.binding())
		if r.Description != "" {
			fmt.Fprintf(&b, "\n%s\n", block(r.Description))
		}
		if r.Help != "" && r.Help != r.Description && r.Help != pkg.Description {
			fmt.Fprintf(&b, "\n**What to do.** %s\n", text(r.Help, ""))
		}
		if len(r.Controls) > 0 {
			fmt.Fprintf(&b, "\nControls: %s.\n", strings.Join(r.Controls, ", "))
		}
	}
	return b.String()
}

func (r Rule) binding() string {
	switch r.Enforcement {
	case Advisory:
		return "advisory: shown to approvers, stops nothing"
	case SoftMandatory:
		return fmt.Sprintf("soft-mandatory: stops the change, unless those whom the approval rule `%s` in `slipway.yaml` names override it with a reason", r.Override)
	}
	return "hard-mandatory: stops the change"
}

// text is s on one line, or fallback when there is none, with what Markdown and
// HTML would read as their own made harmless: METADATA may come from a pack.
func text(s, fallback string) string {
	if s = strings.Join(strings.Fields(s), " "); s == "" {
		s = fallback
	}
	return strings.NewReplacer("<", "&lt;", "[", `\[`, "]", `\]`).Replace(s)
}

// block keeps the lines of a description. One that is laid out by its author, by
// indentation, is shown as it is.
func block(s string) string {
	var out []string
	for paragraph := range strings.SplitSeq(strings.TrimSpace(s), "\n\n") {
		if strings.Contains(paragraph, "\n ") || strings.Contains(paragraph, "  ") {
			out = append(out, "```text\n"+strings.ReplaceAll(paragraph, "```", "'''")+"\n```")
		} else {
			out = append(out, text(paragraph, ""))
		}
	}
	return strings.Join(out, "\n\n")
}

// cell is text within a table.
func cell(s, fallback string) string { return strings.ReplaceAll(text(s, fallback), "|", `\|`) }
