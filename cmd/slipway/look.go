package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slipway/drift"
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

func (t *tool) driftCommand() *cobra.Command {
	var last bool
	var out *format
	c := &cobra.Command{
		Use:   "drift [ZONE…]",
		Short: "Compare live zones with what was approved",
		Long: `Asks the server to compare the live zones with the last approved commit, now. Whatever
differs was changed behind Slipway's back. It is named here and goes on record.

Exit code 0: all is as approved. 1: something differs.`,
		Example: `  slipway drift                         all zones
  slipway drift finmicro.example        one zone
  slipway drift --last                  what the last periodic comparison found
  slipway drift revert finmicro.example    put it back
  slipway drift adopt finmicro.example     ask that what is live be approved`,
		GroupID: groupLook,
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if last && len(args) > 0 {
				return &usage{what: "--last shows all zones; leave the zone names out"}
			}
			cl, err := t.client()
			if err != nil {
				return err
			}
			m := t.busy("Comparing")
			var reports []drift.Report
			if last {
				reports, err = cl.LastDrift(c.Context())
			} else {
				reports, err = cl.Drift(c.Context(), args)
			}
			m.end()
			if err != nil {
				return err
			}
			if *out == asJSON {
				err = t.printJSON(map[string]any{"reports": reports})
			} else {
				err = t.showDrift(reports)
			}
			for _, r := range reports {
				if len(r.Differences) > 0 && err == nil {
					err = errAnswerIsNo
				}
			}
			return err
		},
	}
	c.AddCommand(t.driftRevert(), t.driftAdopt())
	c.Flags().BoolVar(&last, "last", false, "do not compare now; show what the last comparison found")
	out = formatFlag(c)
	return c
}

func (t *tool) showDrift(reports []drift.Report) error {
	differences := 0
	for _, r := range reports {
		if len(r.Differences) == 0 {
			continue
		}
		fmt.Fprintf(t.stdout, "%s  serial %d, approved in %s\n", t.paint(bold, flat(r.Zone.Unicode())), r.Serial, flat(r.Commit))
		for _, d := range r.Differences {
			differences++
			fmt.Fprintf(t.stdout, "  %s: %s %s\n", driftText(d.Kind), flat(d.Name.Unicode()), flat(d.Type))
			if d.Approved != nil {
				t.showSet("approved", dim, *d.Approved)
			}
			if d.Live != nil {
				t.showSet("live", red, *d.Live)
			}
		}
	}
	if differences == 0 {
		_, err := fmt.Fprintf(t.stdout, "%s as approved.\n", are(len(reports)))
		return err
	}
	_, err := fmt.Fprintf(t.stdout, "\n%s in %s compared.\n", plural(differences, "difference"), plural(len(reports), "zone"))
	return err
}

func are(zones int) string {
	if zones == 1 {
		return "1 zone is"
	}
	return fmt.Sprintf("%d zones are", zones)
}

func driftText(k drift.Kind) string {
	switch k {
	case drift.Changed:
		return "not as approved"
	case drift.Missing:
		return "approved, but not live"
	case drift.Extra:
		return "live, but never approved"
	}
	return string(k)
}
