package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"slipway/drift"
	"slipway/report"
)

func (t *tool) driftCommand() *cobra.Command {
	var last, all bool
	var out *format
	c := &cobra.Command{
		Use:   "drift [ZONE…]",
		Short: "Compare live zones with what was approved",
		Long: `Asks the server to compare the live zones with the last approved commit, now. Whatever
differs was changed behind Slipway's back. It is named here and goes on record.

What differs and is no drift is named as such: a change that is on its way, what Slipway
leaves alone, a serial that moved, content that the provider spells in its own way. --all
lists all of it.

Exit code 0: all is as approved. 1: something differs.`,
		Example: `  slipway drift                         all zones
  slipway drift finmicro.example        one zone
  slipway drift --all finmicro.example  and what differs, but is no drift
  slipway drift --last                  what the last periodic comparison found
  slipway drift revert finmicro.example    put it back
  slipway drift adopt finmicro.example     ask that what is live be approved
  slipway drift report --month 2026-10     how much of it there was`,
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
				err = t.showDrift(reports, all)
			}
			for _, r := range reports {
				if len(r.Differences) > 0 && err == nil {
					err = errAnswerIsNo
				}
			}
			return err
		},
	}
	c.AddCommand(t.driftRevert(), t.driftAdopt(), t.driftReport())
	c.Flags().BoolVar(&last, "last", false, "do not compare now; show what the last comparison found")
	c.Flags().BoolVar(&all, "all", false, "list what differs and is no drift, too")
	out = formatFlag(c)
	return c
}

// showDrift lists what differs. Of what is no drift, it lists what somebody should know, and the rest with all.
func (t *tool) showDrift(reports []drift.Report, all bool) error {
	differences, hidden := 0, 0
	zones := map[string]bool{}
	for _, r := range reports {
		zones[string(r.Zone)] = true
		var notes []drift.Note
		for _, n := range r.Notes {
			if all || n.Kind == drift.Pending || n.Kind == drift.Attention || n.Kind == drift.Attributed {
				notes = append(notes, n)
			} else {
				hidden++
			}
		}
		if len(r.Differences)+len(notes) == 0 {
			continue
		}
		if r.Scope == drift.Parent {
			fmt.Fprintf(t.stdout, "%s  what the zone above says of it\n", t.paint(bold, flat(r.Zone.Unicode())))
		} else {
			fmt.Fprintf(t.stdout, "%s  serial %d, approved in %s\n", t.paint(bold, flat(r.Zone.Unicode())), r.Serial, flat(r.Commit))
		}
		for _, d := range r.Differences {
			differences++
			t.showDifference(d)
		}
		for _, n := range notes {
			fmt.Fprintf(t.stdout, "  %s: %s\n", t.paint(dim, n.Kind.Words()), flat(n.Sentence()))
		}
	}
	if hidden > 0 {
		fmt.Fprintf(t.stdout, "%s no drift: see --all.\n", map[bool]string{true: "1 thing differs and is", false: plural(hidden, "thing") + " differ and are"}[hidden == 1])
	}
	if differences == 0 {
		_, err := fmt.Fprintf(t.stdout, "%s as approved.\n", are(len(zones)))
		return err
	}
	_, err := fmt.Fprintf(t.stdout, "\n%s in %s compared.\n", plural(differences, "difference"), plural(len(zones), "zone"))
	return err
}

func (t *tool) showDifference(d drift.Difference) {
	at := ""
	if d.Provider != "" {
		at = " at " + flat(d.Provider)
	}
	fmt.Fprintf(t.stdout, "  %s: %s %s%s\n", d.Kind.Words(), flat(d.Name.Unicode()), flat(d.Type), at)
	if d.Detail != "" {
		fmt.Fprintf(t.stdout, "    %s\n", flat(d.Sentence()))
		return
	}
	if d.Approved != nil {
		t.showSet("approved", dim, *d.Approved)
	}
	if d.Live != nil {
		t.showSet("live", red, *d.Live)
	}
}

func are(zones int) string {
	if zones == 1 {
		return "1 zone is"
	}
	return fmt.Sprintf("%d zones are", zones)
}

func (t *tool) driftReport() *cobra.Command {
	var month string
	var out *format
	c := &cobra.Command{
		Use:   "report",
		Short: "Show how much drift there was in a month",
		Long: `Shows a month's drift: how much was found, where, of which kind, by whom where a provider's
log tells, how long it took to mend, and whether it becomes more or less. A month that is
over is on record; of the one that is not, this is what is known so far.

Exit code 0: here it is. 2: there is no record of that month.`,
		Example: `  slipway drift report                               the last month that is over
  slipway drift report --month 2026-10
  slipway drift report --month 2026-10 --format markdown > drift.md`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if month != "" {
				if _, err := drift.ParseMonth(month); err != nil {
					return &usage{what: "--month: " + err.Error()}
				}
			}
			cl, err := t.client()
			if err != nil {
				return err
			}
			m, err := cl.DriftMonth(c.Context(), month)
			if err != nil {
				return err
			}
			switch *out {
			case asJSON:
				return t.printJSON(m)
			case report.Markdown:
				_, err = fmt.Fprint(t.stdout, m.Markdown())
			default:
				_, err = fmt.Fprint(t.stdout, m.Text())
			}
			return err
		},
	}
	c.Flags().StringVar(&month, "month", "", "a month in UTC, such as 2026-10 (the last one that is over)")
	out = formatFlag(c, report.Markdown)
	return c
}
