package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slipway/approval"
	"slipway/client"
)

func (t *tool) approveCommand() *cobra.Command {
	var yes, withdraw bool
	var reason string
	var seen seen
	var out *format
	c := &cobra.Command{
		Use:   "approve ID",
		Short: "Approve a change",
		Long: `Shows what a change does, how it was judged and why, asks whether you approve it, and
records your decision.

You approve exactly what you saw: if the change or the rules become different, your
approval does not count any more. Nobody approves their own change, and nobody counts
for two groups on one change. Where a change goes against a rule that you may override,
--reason is needed, and is kept with your approval.

A script that approves what was looked at elsewhere names it with --change-digest and
--policy-digest: then anything else is refused.`,
		Example: `  slipway inbox                      what waits for you
  slipway approve 01J…               look, then decide
  slipway approve 01J… --withdraw    take your approval back`,
		GroupID: groupAsk,
		Args:    one("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			if withdraw {
				return t.vote(c, args[0], client.Vote{Decision: approval.Withdraw}, seen, true, "", *out)
			}
			return t.vote(c, args[0], client.Vote{Decision: approval.Approve, Reason: reason}, seen, yes, "Approve this change?", *out)
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "approve without being asked")
	c.Flags().StringVar(&reason, "reason", "", "why; needed to override a rule")
	c.Flags().BoolVar(&withdraw, "withdraw", false, "take back your own earlier vote")
	c.MarkFlagsMutuallyExclusive("yes", "withdraw")
	seen.register(c)
	out = formatFlag(c)
	return c
}

func (t *tool) rejectCommand() *cobra.Command {
	var yes bool
	var reason string
	var seen seen
	var out *format
	c := &cobra.Command{
		Use:     "reject ID",
		Short:   "Reject a change, which ends it",
		Long:    `Shows a change, asks, and rejects it. One rejection by anyone who may decide ends the change.`,
		Example: `  slipway reject 01J… --reason "The name looks like our bank's; use another"`,
		GroupID: groupAsk,
		Args:    one("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return &usage{what: "--reason is missing", help: "Say why: whoever asked needs to know what to do differently."}
			}
			return t.vote(c, args[0], client.Vote{Decision: approval.Reject, Reason: reason}, seen, yes, "Reject this change?", *out)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why; the requester will read it")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "reject without being asked")
	seen.register(c)
	out = formatFlag(c)
	return c
}

// seen is what was looked at elsewhere, by its digests.
type seen struct{ change, policy string }

func (s *seen) register(c *cobra.Command) {
	c.Flags().StringVar(&s.change, "change-digest", "", "decide only if this is still the content (default: what is shown)")
	c.Flags().StringVar(&s.policy, "policy-digest", "", "decide only if it was judged by these rules (default: as shown)")
}

// vote shows the change and sends the decision with the digests of what was seen. A program that reads JSON is shown
// and asked nothing.
func (t *tool) vote(c *cobra.Command, id string, v client.Vote, seen seen, yes bool, question string, out format) error {
	if out == asJSON && !yes {
		return &usage{what: "--format json needs --yes: a program cannot be asked", help: "Name what was looked at with --change-digest and --policy-digest."}
	}
	ctx := c.Context()
	cl, err := t.client()
	if err != nil {
		return err
	}
	d, err := cl.Change(ctx, id)
	if err != nil {
		return err
	}
	v.ChangeDigest = cmp.Or(seen.change, d.Change.Subject.ChangeDigest)
	v.PolicyDigest = cmp.Or(seen.policy, d.Change.Subject.PolicyDigest)
	if d.Verdict != nil && d.Verdict.Change != nil &&
		(d.Verdict.Change.Digest != d.Change.Subject.ChangeDigest || d.Verdict.PolicyDigest != d.Change.Subject.PolicyDigest) && v.Decision != approval.Withdraw {
		return &refusal{what: "The change is being judged anew at this moment.", help: "Try again in a while, so that you decide on what you see."}
	}
	if v.Decision != approval.Withdraw && out != asJSON {
		if err := t.showChange(d); err != nil {
			return err
		}
	}
	if !yes {
		on, err := t.confirm("\n" + question)
		if err != nil {
			return err
		}
		if !on {
			fmt.Fprintln(t.stderr, "Nothing was decided.")
			return errAnswerIsNo
		}
	}
	s, err := cl.Vote(ctx, id, v)
	if err != nil {
		return err
	}
	if out == asJSON {
		return t.printJSON(client.Detail{Change: s})
	}
	done := map[approval.Decision]string{approval.Approve: "Approved.", approval.Reject: "Rejected.", approval.Withdraw: "Taken back."}[v.Decision]
	fmt.Fprintf(t.stdout, "\n%s The change is now: %s\n", done, flat(phaseText(s)))
	for _, m := range s.Missing {
		fmt.Fprintln(t.stdout, "It waits for "+flat(m.Text))
	}
	return nil
}

func (t *tool) inboxCommand() *cobra.Command {
	var out *format
	c := &cobra.Command{
		Use:     "inbox",
		Short:   "What waits for your decision",
		Example: `  slipway inbox --format json | jq -r '.changes[].id'`,
		GroupID: groupAsk,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := t.client()
			if err != nil {
				return err
			}
			states, err := cl.Inbox(c.Context())
			if err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(map[string]any{"changes": states})
			}
			return t.showStates(states, "Nothing waits for you.")
		},
	}
	out = formatFlag(c)
	return c
}
