package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slipway/check"
	"slipway/check/policy"
	"slipway/repo"
	"slipway/starter"
	"slipway/zone"
)

func (t *tool) policyCommand() *cobra.Command {
	return group("policy", "Look at, explain and test the policies that judge changes",
		`Policies are Rego files that say what a change may do: those that Slipway ships, and
the zones repository's own in policies/. These commands need no server and change
nothing but what --out names.`,
		groupCheck,
		t.policyListCommand(), t.policyShowCommand(), t.policyExplainCommand(),
		t.policyTestCommand(), t.policyDocsCommand(), t.policyBenchCommand(),
	)
}

// policies compiles what is in force in the files on disk, or what Slipway ships when
// the folder is no repository.
func policies(ctx context.Context, dir string) (*policy.Policies, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, &usage{what: fmt.Sprintf("--repo %s: there is no such folder", dir)}
	}
	r, err := repo.Open(ctx, dir)
	if errors.Is(err, repo.ErrNotFound) {
		shipped, err := policy.Starter(starter.Policies())
		if err != nil {
			return nil, err
		}
		return policy.Compile(ctx, shipped)
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	head, err := r.WorkTree(ctx)
	if err != nil {
		return nil, err
	}
	return engine().Policies(ctx, head)
}

func (t *tool) policyListCommand() *cobra.Command {
	var dir string
	var out *format
	c := &cobra.Command{
		Use:   "list",
		Short: "List every rule that policies ask",
		Long: `Lists the rules in force: what each is called in findings, whether it stops a change
(hard-mandatory), stops it unless somebody overrides it (soft-mandatory) or only shows
approvers something (advisory), and what it says.`,
		Example: `  slipway policy list
  slipway policy list --repo zones --format json`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := policies(c.Context(), dir)
			if err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(p.Rules())
			}
			var rows [][]string
			for _, r := range p.Rules() {
				rows = append(rows, []string{r.ID, string(r.Enforcement), dash(r.Title)})
			}
			return t.table([]string{"RULE", "BINDING", "SAYS"}, rows)
		},
	}
	c.Flags().StringVar(&dir, "repo", ".", "the zones repository; elsewhere, the policies that Slipway ships")
	out = formatFlag(c)
	return c
}

func (t *tool) policyShowCommand() *cobra.Command {
	var dir string
	var out *format
	c := &cobra.Command{
		Use:   "show NAME",
		Short: "Show what one rule, or all rules of one package, are for",
		Example: `  slipway policy show dns.policy
  slipway policy show dns.policy/zone-owner`,
		Args: one("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := policies(c.Context(), dir)
			if err != nil {
				return err
			}
			shown := []policy.Rule{}
			for _, r := range p.Rules() {
				if r.ID == args[0] || r.Package == args[0] || r.Package+"/"+r.Name == args[0] {
					shown = append(shown, r)
				}
			}
			all := p.Packages()
			at := slices.IndexFunc(all, func(p policy.Package) bool { return p.Name == args[0] })
			if len(shown) == 0 && at < 0 {
				return &usage{what: fmt.Sprintf("there is no rule or package %q", args[0]), help: "slipway policy list names them all."}
			}
			if *out == asJSON {
				return t.printJSON(shown)
			}
			if at >= 0 {
				t.paragraph(all[at].Title, all[at].Name, all[at].Place, all[at].Description, "", all[at].Controls)
			}
			for _, r := range shown {
				binding := string(r.Enforcement)
				if r.Override != "" {
					binding += ", may be overridden by approval rule " + r.Override
				}
				t.paragraph(r.Title, r.ID+"  "+binding, r.Place, r.Description, r.Help, r.Controls)
			}
			return nil
		},
	}
	c.Flags().StringVar(&dir, "repo", ".", "the zones repository; elsewhere, the policies that Slipway ships")
	out = formatFlag(c)
	return c
}

// paragraph shows one rule or package.
func (t *tool) paragraph(title, name string, at zone.Place, description, help string, controls []string) {
	if title != "" {
		fmt.Fprintln(t.stdout, t.paint(bold, flat(title)))
	}
	fmt.Fprintf(t.stdout, "  %s\n  %s\n", plain(name), plain(at.String()))
	for _, s := range []string{description, help} {
		if s != "" && (s != description || s == description && help != description) {
			fmt.Fprintln(t.stdout, "  "+strings.ReplaceAll(plain(strings.TrimSpace(s)), "\n", "\n  "))
		}
	}
	if description == help && help != "" {
		fmt.Fprintln(t.stdout, "  "+strings.ReplaceAll(plain(strings.TrimSpace(help)), "\n", "\n  "))
	}
	if len(controls) > 0 {
		fmt.Fprintln(t.stdout, "  "+plain(strings.Join(controls, "  ")))
	}
	fmt.Fprintln(t.stdout)
}

func (t *tool) policyDocsCommand() *cobra.Command {
	var dir, out string
	c := &cobra.Command{
		Use:   "docs",
		Short: "Write the policies down for people who do not read Rego",
		Long: `Renders the catalogue of the policies in force as Markdown, from their METADATA: an
index and a page for each package. Without --out it goes to standard output.`,
		Example: `  slipway policy docs | less
  slipway policy docs --repo zones --out docs/policies`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := policies(c.Context(), dir)
			if err != nil {
				return err
			}
			for i, page := range p.Catalogue() {
				switch {
				case out != "":
					if err := os.MkdirAll(out, 0o755); err != nil {
						return err
					}
					if err := os.WriteFile(filepath.Join(out, page.File), []byte(page.Text), 0o644); err != nil {
						return err
					}
				case i > 0:
					fmt.Fprintf(t.stdout, "\n---\n\n%s", plainLines(page.Text))
				default:
					fmt.Fprint(t.stdout, plainLines(page.Text))
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&dir, "repo", ".", "the zones repository; elsewhere, the policies that Slipway ships")
	c.Flags().StringVar(&out, "out", "", "folder for the pages")
	return c
}

// plainLines keeps the lines of a text and nothing else that a terminal would obey.
func plainLines(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString(plain(strings.TrimSuffix(line, "\n")) + "\n")
	}
	return b.String()
}

// regoFolder reads the policies and tests of a folder, as the organisation's own.
func regoFolder(dir string) (policy.Bundle, error) {
	own := policy.Bundle{Name: dir, Own: true}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return own, &usage{what: fmt.Sprintf("%s: there is no such folder", dir)}
	}
	root, err := os.OpenRoot(dir) // a link in a repository leads nowhere else
	if err != nil {
		return own, err
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".rego" {
			return err
		}
		at := filepath.ToSlash(filepath.Join(dir, name))
		if len(own.Files) >= policy.MaxFiles {
			return &usage{what: fmt.Sprintf("%s: there are more than %d policy files", dir, policy.MaxFiles)}
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() || info.Size() > policy.MaxFileBytes {
			return &zone.Error{Place: zone.Place{Path: at, Line: 1}, What: fmt.Sprintf("the policy is not a plain file of at most %d bytes", policy.MaxFileBytes), Help: "put the file itself there, or split it"}
		}
		src, err := fs.ReadFile(root.FS(), name)
		own.Files = append(own.Files, policy.File{Path: at, Src: bytes.Clone(src)})
		return err
	})
	return own, err
}

// subject is the flags of commands that judge a change by its policies.
type subject struct {
	comparison
	as, asOf string
}

func (s *subject) flags(c *cobra.Command) {
	s.comparison.flags(c)
	c.Flags().StringVar(&s.as, "as", "", "e-mail address of who asks (default: the head's author, or Git's user.email)")
	c.Flags().StringVar(&s.asOf, "as-of", "", "judge as of this time (default now)")
}

// ask runs f with what is compared.
func (t *tool) about(ctx context.Context, s subject, f func(check.Input) error) error {
	when, err := t.moment("--as-of", s.asOf)
	if err != nil {
		return err
	}
	if when.IsZero() {
		when = t.now()
	}
	return t.question(ctx, s.comparison, s.as, when, f)
}
