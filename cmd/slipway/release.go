package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slipway/client"
	"slipway/lifecycle"
)

func (t *tool) requestRelease() *cobra.Command {
	var zone, plan, reason string
	var yes bool
	var out *format
	c := &cobra.Command{
		Use:   "release CHANGE",
		Short: "Let an apply go ahead that was stopped because it takes too much of a zone",
		Long: `An apply that would delete or change more of a zone than its settings allow (apply: in
slipway.yaml, 30% each where nothing is set) stops until a person has looked at it. This
shows what it would do, asks, and releases just that: should the live zone become another
one, the apply stops again.

Members of the groups that the rule yellow names may do this, and nobody who asked for the
change or wrote a part of it. --reason is kept with the release. What nobody releases stays
as it is; slipway rollback takes the change back.

A script that releases what was looked at elsewhere names it with --plan.

Exit code 0: it is released. 1: it was refused, or nothing waits for a release.`,
		Example: `  slipway request release c-0a1b2c3d4e5f6g7h --zone finmicro.example --reason "The old office is closed, OPS-12"
  slipway request release c-0a1b2c3d4e5f6g7h --reason "Looked at in OPS-12" --yes --plan sha256:…`,
		Args: one("CHANGE"),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case strings.TrimSpace(reason) == "":
				return &usage{what: "--reason is missing", help: "Say why it may go ahead: your reason is kept with the release."}
			case *out == asJSON && !yes:
				return &usage{what: "--format json needs --yes: a program cannot be asked", help: "Name what was looked at with --plan."}
			}
			cl, err := t.client()
			if err != nil {
				return err
			}
			d, err := cl.Change(c.Context(), args[0])
			if err != nil {
				return err
			}
			h, err := waiting(d.Change, zone)
			if err != nil {
				return err
			}
			if plan == "" {
				plan = h.Plan
			}
			if *out != asJSON {
				t.showHeldPlan(d, h)
			}
			if !yes {
				on, err := t.confirm("\nRelease this?")
				if err != nil {
					return err
				}
				if !on {
					fmt.Fprintln(t.stderr, "Nothing was released.")
					return errAnswerIsNo
				}
			}
			s, err := cl.Release(c.Context(), args[0], h.Zone, plan, reason)
			if err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(client.Detail{Change: s})
			}
			_, err = fmt.Fprintf(t.stdout, "\nReleased. The change is now: %s\n", flat(phaseText(s)))
			return err
		},
	}
	c.Flags().StringVar(&zone, "zone", "", "the zone, where several of the change wait")
	c.Flags().StringVar(&plan, "plan", "", "release only this plan (default: the one that is shown)")
	c.Flags().StringVar(&reason, "reason", "", "why it may go ahead")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "release without being asked")
	out = formatFlag(c)
	return c
}

// waiting finds the apply that somebody wants to release.
func waiting(s lifecycle.State, zone string) (lifecycle.Hold, error) {
	waits := s.Waits()
	switch {
	case zone != "":
		if h, ok := s.Hold(zone); ok && h.Release == nil {
			return h, nil
		}
		return lifecycle.Hold{}, &refusal{what: "Nothing of this change waits for a release in the zone " + zone + "."}
	case len(waits) == 0:
		return lifecycle.Hold{}, &refusal{what: "Nothing of this change waits for a release."}
	case len(waits) > 1:
		return lifecycle.Hold{}, &usage{what: "several zones of this change wait", help: "Name one with --zone: " + strings.Join(waits, ", ")}
	}
	h, _ := s.Hold(waits[0])
	return h, nil
}

// showHeldPlan prints what an apply would do that was stopped.
func (t *tool) showHeldPlan(d client.Detail, h lifecycle.Hold) {
	fmt.Fprintf(t.stdout, "%s\n", t.paint(bold, flat(h.Zone)))
	for _, p := range d.Plans {
		if p.Zone != h.Zone || p.Digest != h.Plan {
			continue
		}
		for _, e := range p.Edits {
			t.showEdit(e)
		}
		if p.More > 0 {
			fmt.Fprintf(t.stdout, "  and %d more\n", p.More)
		}
	}
	fmt.Fprintf(t.stdout, "\nIt was stopped because %s. %s\n", flat(h.Why), t.paint(dim, flat(h.Plan)))
}

// showHeld says which applies of a change were stopped.
func (t *tool) showHeld(s lifecycle.State) {
	for _, h := range s.Held {
		text := h.Why
		if h.Release != nil {
			text = "released by " + h.Release.By + reason(h.Release.Reason)
		}
		fmt.Fprintf(t.stdout, "  %-11s %s\n", "stopped", flat(h.Zone+": "+text))
	}
}

// progress is a change's phase for somebody who waits, with how far it has come where it takes a while.
func progress(s lifecycle.State) string {
	if s.Phase == lifecycle.Merged {
		return "merged, " + applying(s)
	}
	return string(s.Phase)
}

func applying(s lifecycle.State) string {
	if done, all := s.Progress(); all > 1 {
		return fmt.Sprintf("being applied: %d of %d zones", done, all)
	}
	return "being applied"
}
