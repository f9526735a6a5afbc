package pack

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"slipway/check/policy"
)

// Page says in Markdown what a pack does, for people who do not read Rego. It says
// nothing that does not stand in the pack's own descriptions.
func (p *Pack) Page(ctx context.Context) (string, error) {
	compiled, err := policy.Compile(ctx, p.Bundle())
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Pack %s %s\n\n%s\n", p.Name, p.Version, harmless(p.Description))
	described := map[string]bool{}
	for _, r := range compiled.Packages() {
		described[r.Name+".md"] = r.Title != ""
	}
	for _, page := range compiled.Catalogue() {
		if described[page.File] {
			// One level down: the pack's name is the title here.
			fmt.Fprintf(&b, "\n%s", strings.NewReplacer("\n## ", "\n### ", "\n# ", "\n## ").Replace("\n" + page.Text)[1:])
		}
	}
	raises, err := p.raises()
	if err != nil {
		return "", err
	}
	if len(raises) > 0 {
		b.WriteString("\n## What raises the tier\n\n")
		for _, title := range raises {
			fmt.Fprintf(&b, "- %s\n", harmless(title))
		}
	}
	if len(p.Controls) > 0 {
		b.WriteString("\n## Control IDs\n\n| rule | control IDs that it adds |\n|---|---|\n")
		for _, rule := range slices.Sorted(maps.Keys(p.Controls)) {
			name := "`" + harmless(rule) + "`"
			if rule == policy.EveryRule {
				name = "every rule"
			}
			fmt.Fprintf(&b, "| %s | %s |\n", name, harmless(strings.Join(p.Controls[rule], ", ")))
		}
	}
	return b.String(), nil
}

// raises lists the titles of the rules that ask for a stricter tier.
func (p *Pack) raises() ([]string, error) {
	var titles []string
	for _, f := range p.Policies {
		m, err := ast.ParseModuleWithOpts(f.Path, string(f.Src), ast.ParserOptions{RegoVersion: ast.RegoV1, ProcessAnnotation: true})
		if err != nil {
			return nil, err
		}
		if m == nil {
			continue
		}
		for _, r := range m.Rules {
			if r.Head.Name != "escalate" {
				continue
			}
			title := "A rule without a title"
			if len(r.Annotations) > 0 && r.Annotations[0].Title != "" {
				title = r.Annotations[0].Title
			}
			titles = append(titles, title)
		}
	}
	return titles, nil
}

// harmless is text on one line that Markdown and HTML do not read as their own.
func harmless(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.NewReplacer("<", "&lt;", "[", `\[`, "]", `\]`, "|", `\|`, "`", "'").Replace(s)
}
