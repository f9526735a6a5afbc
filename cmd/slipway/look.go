package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slipway/repo"
)

func (t *tool) appsCommand() *cobra.Command {
	var out *format
	c := &cobra.Command{
		Use:   "apps [NAME]",
		Short: "List the apps, or show one with its past",
		Example: `  slipway apps
  slipway apps expense-tracker`,
		GroupID: groupLook,
		Args:    atMostOne,
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := t.client()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				apps, err := cl.Apps(c.Context())
				if err != nil {
					return err
				}
				if *out == asJSON {
					return t.printJSON(map[string]any{"apps": apps})
				}
				return t.showApps(apps)
			}
			d, err := cl.App(c.Context(), args[0])
			if err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(d)
			}
			t.showApp(d.App)
			fmt.Fprintln(t.stdout)
			return t.showStates(d.Changes, "No changes.")
		},
	}
	out = formatFlag(c)
	return c
}

func (t *tool) showApps(apps []repo.App) error {
	if len(apps) == 0 {
		_, err := fmt.Fprintln(t.stdout, "No apps yet. Ask for one with slipway request new.")
		return err
	}
	rows := make([][]string, len(apps))
	for i, a := range apps {
		rows[i] = []string{a.Name, a.Hostname.Unicode(), a.Exposure, dash(strings.Join(a.Data, ",")), dash(a.Expires), a.Owner}
	}
	return t.table([]string{"NAME", "HOST NAME", "EXPOSURE", "DATA", "ENDS", "OWNER"}, rows)
}

func (t *tool) showApp(a repo.App) {
	fmt.Fprintln(t.stdout, t.paint(bold, flat(a.Name)))
	for _, line := range [][2]string{
		{"purpose", a.Purpose}, {"owner", a.Owner}, {"team", a.Team}, {"host name", a.Hostname.Unicode()},
		{"exposure", a.Exposure}, {"data", strings.Join(a.Data, ", ")}, {"ends", a.Expires},
		{"upstream", a.Upstream}, {"mTLS", map[bool]string{true: "required"}[a.MTLS]}, {"third party", a.ThirdParty},
	} {
		if line[1] != "" {
			fmt.Fprintf(t.stdout, "  %-11s %s\n", line[0], flat(line[1]))
		}
	}
	for _, r := range a.Records {
		for _, v := range r.Values {
			fmt.Fprintf(t.stdout, "  %-11s %s %s %s\n", "record", flat(r.Name.Unicode()), flat(r.Type), flat(v))
		}
	}
}
