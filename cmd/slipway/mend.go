package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"slipway/client"
	"slipway/drift"
)

func (t *tool) rollbackCommand() *cobra.Command {
	var o order
	c := &cobra.Command{
		Use:   "rollback CHANGE",
		Short: "Ask to undo a change that is on main",
		Long: `Makes the inverse of a change that is on main, against main as it is now, and asks for it
as a new change of yours. What other changes did since stays; where one has changed the same
lines again, the files are named and nothing is sent.

It goes the way of every change: the same checks, the same approvals. If the same is asked
for already, no second change is made.

Exit code 0: it is on record. 1: it was denied or refused.`,
		Example: `  slipway rollback c-0a1b2c3d4e5f6g7h
  slipway rollback c-0a1b2c3d4e5f6g7h --wait`,
		GroupID: groupAsk,
		Args:    one("CHANGE"),
		RunE: func(c *cobra.Command, args []string) error {
			return t.becomesChange(c.Context(), o, func(cl *client.Client) (client.Detail, error) {
				return cl.Rollback(c.Context(), args[0], o.ticket)
			})
		},
	}
	t.changeFlags(c, &o)
	return c
}

// changeFlags are those of a command that makes a change of what is there already.
func (t *tool) changeFlags(c *cobra.Command, o *order) {
	c.Flags().StringVar(&o.ticket, "ticket", "", "the ticket that this belongs to")
	c.Flags().BoolVar(&o.wait, "wait", false, "wait until it is live, or until people have to decide")
	o.out = formatFlag(c)
}

// becomesChange asks the server for a change, and says where it stands.
func (t *tool) becomesChange(ctx context.Context, o order, ask func(*client.Client) (client.Detail, error)) error {
	cl, err := t.client()
	if err != nil {
		return err
	}
	m := t.busy("Asking")
	d, err := ask(cl)
	m.end()
	if err != nil {
		return err
	}
	return t.follow(ctx, cl, d, o)
}

func (t *tool) driftRevert() *cobra.Command {
	var live string
	var yes bool
	var out *format
	c := &cobra.Command{
		Use:   "revert ZONE",
		Short: "Put a live zone back to what was approved",
		Long: `Compares a zone, shows what differs, asks, and makes the live zone what was approved last.
The decision goes on record under your name, with the digest of what you saw: if the zone
changes before you answer, nothing happens.

The groups that approve changes of medium risk may do this.`,
		Example: `  slipway drift revert finmicro.example
  slipway drift revert finmicro.example --yes --live sha256:…    what was looked at elsewhere`,
		Args: one("ZONE"),
		RunE: func(c *cobra.Command, args []string) error {
			if *out == asJSON && !yes {
				return &usage{what: "--format json needs --yes: a program cannot be asked"}
			}
			cl, err := t.client()
			if err != nil {
				return err
			}
			seen, err := t.seenDrift(c.Context(), cl, args[0], live, *out)
			if err != nil {
				return err
			}
			if !yes {
				on, err := t.confirm("\nPut " + flat(args[0]) + " back?")
				if err != nil {
					return err
				}
				if !on {
					fmt.Fprintln(t.stderr, "Nothing was changed.")
					return errAnswerIsNo
				}
			}
			if err := cl.RevertDrift(c.Context(), args[0], seen); err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(map[string]string{"zone": args[0], "state": "as approved"})
			}
			_, err = fmt.Fprintf(t.stdout, "%s is as approved again.\n", flat(args[0]))
			return err
		},
	}
	c.Flags().StringVar(&live, "live", "", "only if this is still what is live (the digest that slipway drift --format json gives)")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "put it back without being asked")
	out = formatFlag(c)
	return c
}

func (t *tool) driftAdopt() *cobra.Command {
	var live string
	var o order
	c := &cobra.Command{
		Use:   "adopt ZONE",
		Short: "Ask that what is live in a zone be approved",
		Long: `Compares a zone, shows what differs, and asks, as a change of yours, that the zone's file say
what is live; what an app's manifest says is changed there. It goes the way of every change:
the same checks, the same approvals.

Exit code 0: it is on record. 1: it was denied or refused, or nothing differs.`,
		Example: `  slipway drift adopt finmicro.example
  slipway drift adopt finmicro.example --ticket OPS-12 --wait`,
		Args: one("ZONE"),
		RunE: func(c *cobra.Command, args []string) error {
			return t.becomesChange(c.Context(), o, func(cl *client.Client) (client.Detail, error) {
				seen, err := t.seenDrift(c.Context(), cl, args[0], live, *o.out)
				if err != nil {
					return client.Detail{}, err
				}
				return cl.AdoptDrift(c.Context(), args[0], seen, o.ticket)
			})
		},
	}
	c.Flags().StringVar(&live, "live", "", "only if this is still what is live (the digest that slipway drift --format json gives)")
	t.changeFlags(c, &o)
	return c
}

// seenDrift shows what differs in a zone and returns the digest of what is live; or the one that was looked at elsewhere.
func (t *tool) seenDrift(ctx context.Context, cl *client.Client, zone, elsewhere string, out format) (string, error) {
	if elsewhere != "" {
		return elsewhere, nil
	}
	reports, err := cl.Drift(ctx, []string{zone})
	if err != nil {
		return "", err
	}
	// What the zone above says is not for us to put back, or to adopt.
	reports = slices.DeleteFunc(reports, func(r drift.Report) bool { return r.Scope != drift.Content })
	var r drift.Report
	if len(reports) == 1 {
		r = reports[0]
	}
	switch {
	case len(reports) != 1, slices.ContainsFunc(r.Notes, func(n drift.Note) bool { return n.Kind == drift.Pending }):
		return "", &refusal{what: "A change to this zone is on its way at this moment.", help: "Wait until it is live, then compare again."}
	case len(r.Differences) == 0:
		return "", &refusal{what: "The zone is as approved: there is nothing to do."}
	case out == asJSON:
		return r.Live, nil
	}
	return r.Live, t.showDrift(reports, false)
}
