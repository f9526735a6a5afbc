package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"slipway/check/lint"
)

func (t *tool) rulesCommand() *cobra.Command {
	var out *format
	c := &cobra.Command{
		Use:   "rules [ID]",
		Short: "List the lint rules, or explain one with examples",
		Long: `Lists every rule that slipway check holds a change against, with what it does to a
change that it finds something in: deny, warn or info. With an ID it explains one: why it
matters, what to do, and an example that it finds and one that it does not.

slipway.yaml can change how heavily a rule weighs, everywhere or in some zones, and let one
record pass until a day:

  rules:
    wildcard: {severity: deny}
    ttl-out-of-bounds: {severity: info, zones: [apps.finmicro.example]}
  waivers:
    - rule: wildcard
      record: '*.shop.finmicro.example A'
      reason: The shop names its branches itself
      by: ivy@finmicro.example
      expires: 2027-01-31

For what a rule finds in no record, a waiver names a zone or a file instead. Both hold for
rules of policies too (slipway policy list), but a mandatory one only if its author allows it.`,
		Example: `  slipway rules                             all of them
  slipway rules spf-too-many-lookups        one, with examples
  slipway rules --format json | jq '.[].id' for a program`,
		GroupID: groupCheck,
		Args:    atMostOne,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var ids []string
			for _, r := range lint.Rules() {
				ids = append(ids, r.ID)
			}
			return ids, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			rules := lint.Rules()
			if len(args) == 0 {
				if *out == asJSON {
					return t.printJSON(rules)
				}
				return t.listRules(rules)
			}
			for _, r := range rules {
				if r.ID != args[0] {
					continue
				}
				if *out == asJSON {
					return t.printJSON(r)
				}
				return t.showRule(r)
			}
			return &usage{what: fmt.Sprintf("there is no rule %q", args[0]), help: "slipway rules lists them."}
		},
	}
	out = formatFlag(c)
	return c
}

func (t *tool) listRules(rules []lint.Rule) error {
	w := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', 0)
	for _, r := range rules {
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.ID, r.Severity, r.Title)
	}
	return w.Flush()
}

func (t *tool) showRule(r lint.Rule) error {
	_, err := fmt.Fprintf(t.stdout, "%s (%s)\n%s\n\nWhy:  %s\nDo:   %s\nControls: %s\n\nFound in:\n\n%s\nNot found in:\n\n%s",
		r.ID, r.Severity, r.Title, r.Why, r.Help, strings.Join(r.Controls, ", "), indent(r.Bad), indent(r.Good))
	return err
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n  ") + "\n"
}
