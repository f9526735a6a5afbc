package main

import (
	"context"

	"github.com/spf13/cobra"

	"slipway/change"
	"slipway/report"
)

func (t *tool) diffCommand() *cobra.Command {
	var o comparison
	var out *format
	c := &cobra.Command{
		Use:   "diff",
		Short: "Show what a change would do to each zone, without judging it",
		Long: `Compares two versions of the zones repository and shows the record sets that would
be created (+), changed (~) and deleted (-) in each zone as it is served: zone files
and apps together. It asks nobody: what is live at the providers is compared by
slipway plan.`,
		Example: `  slipway diff                            the files on disk, since main
  slipway diff --head origin/new-app      somebody's branch`,
		GroupID: groupCheck,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			difference, err := t.compare(c.Context(), o)
			if err != nil {
				return err
			}
			switch *out {
			case asJSON:
				return t.printJSON(difference)
			case report.Markdown:
				return report.Diff(t.stdout, difference)
			}
			return t.showChanges(difference)
		},
	}
	o.flags(c)
	out = formatFlag(c, report.Markdown)
	return c
}

func (t *tool) compare(ctx context.Context, o comparison) (*change.Change, error) {
	m := t.busy("Comparing")
	defer m.end()
	r, base, head, err := o.open(ctx, t)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return change.Compute(ctx, r, base, head)
}
