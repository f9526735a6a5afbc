package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"slipway/client"
	"slipway/lifecycle"
	"slipway/repo"
)

func (t *tool) requestCommand() *cobra.Command {
	return group("request", "Ask for an app, and follow what you asked for",
		`Asks for a micro app or a change to one, and follows the change until it is live.`, groupAsk,
		t.requestNew(), t.requestRevise(), t.requestList(), t.requestShow(),
		t.requestCancel(), t.requestSchedule(), t.requestRetry(), t.requestRelease())
}

// order is how a request is made, beside what it asks for.
type order struct {
	title, ticket, notBefore string
	yes, wait                bool
	out                      *format
}

func (o *order) register(c *cobra.Command) {
	p := c.Flags()
	p.StringVar(&o.title, "title", "", "one line that says what the change does")
	p.StringVar(&o.ticket, "ticket", "", "reference of a ticket, where your rules ask for one")
	p.StringVar(&o.notBefore, "not-before", "", "do not go live before this time")
	p.BoolVarP(&o.yes, "yes", "y", false, "send without asking")
	p.BoolVar(&o.wait, "wait", false, "wait until it is live; exit code 1 if it does not get there without a person")
	o.out = formatFlag(c)
}

func (t *tool) requestNew() *cobra.Command {
	var f appFlags
	var o order
	c := &cobra.Command{
		Use:   "new",
		Short: "Ask for a micro app",
		Long: `Asks for a micro app. On a terminal it asks you for whatever you did not give. It shows
how the change would be judged before anything is sent.

Data classes are none, pii (about people), financial and health. They and the exposure
decide who must approve: an internal app without such data goes live by itself.`,
		Example: `  slipway request new
  slipway request new --hostname expenses.apps.finmicro.example --a 192.0.2.10 \
      --purpose "Tracks team expenses" --team finance --exposure internal --data none --wait
  slipway request new --file apps/expense-tracker.yaml --yes`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return t.submit(c, &f, o, repo.App{}, client.Request{})
		},
	}
	f.register(c)
	o.register(c)
	return c
}

func (t *tool) requestRevise() *cobra.Command {
	var f appFlags
	var o order
	c := &cobra.Command{
		Use:   "revise ID",
		Short: "Send a mended version of your open change",
		Long: `Replaces the content of your own open change. It is judged again, and approvals of the
earlier content do not count any more. What you do not give stays as it was.`,
		Example: `  slipway request revise 01J… --purpose "Tracks expenses of all teams"`,
		Args:    one("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := t.client()
			if err != nil {
				return err
			}
			was, err := cl.Change(c.Context(), args[0])
			if err != nil {
				return err
			}
			app, err := appOf(was)
			if err != nil && f.file == "" {
				return err
			}
			return t.submit(c, &f, o, app, client.Request{Revises: args[0], Title: was.Change.Title, Ticket: was.Change.Ticket, NotBefore: was.Change.NotBefore})
		},
	}
	f.register(c)
	o.register(c)
	return c
}

// appOf returns the app that a change asks for.
func appOf(d client.Detail) (repo.App, error) {
	if d.Verdict != nil && d.Verdict.Change != nil && len(d.Verdict.Change.Apps) == 1 {
		if app := d.Verdict.Change.Apps[0].After; app != nil {
			return *app, nil
		}
	}
	return repo.App{}, &refusal{what: "This change is not of one app, so it cannot be revised by flags.", help: "Push a new version with git, or give the manifest with --file."}
}

// submit builds, previews, asks and sends.
func (t *tool) submit(c *cobra.Command, f *appFlags, o order, app repo.App, r client.Request) error {
	ctx := c.Context()
	cl, err := t.client()
	if err != nil {
		return err
	}
	if o.notBefore != "" {
		if r.NotBefore, err = t.moment("--not-before", o.notBefore); err != nil {
			return err
		}
	}
	owner := ""
	if !c.Flags().Changed("owner") {
		me, err := cl.Me(ctx)
		if err != nil {
			return err
		}
		owner = me.ID
	}
	if r.App, err = t.build(c, f, app, owner); err != nil {
		return err
	}
	if o.title != "" {
		r.Title = o.title
	}
	if r.Title == "" {
		r.Title = "App " + r.App.Name
	}
	if o.ticket != "" {
		r.Ticket = o.ticket
	}
	if !o.yes {
		if on, err := t.preview(ctx, cl, r); err != nil || !on {
			return err
		}
	}
	if r.RequestID, err = t.requestID(); err != nil {
		return err
	}
	m := t.busy("Sending")
	d, err := cl.Submit(ctx, r)
	m.end()
	if err != nil {
		return err
	}
	return t.follow(ctx, cl, d, o)
}

// preview shows how the request would be judged, and asks whether to send it.
func (t *tool) preview(ctx context.Context, cl *client.Client, r client.Request) (bool, error) {
	if !t.asks {
		_, err := t.confirm("")
		return false, err
	}
	v, err := cl.Preview(ctx, r)
	if err != nil {
		return false, err
	}
	if err := t.showVerdict(v); err != nil {
		return false, err
	}
	if v.Denied {
		return false, &refusal{what: "It would be denied, so nothing was sent.", help: "Mend what is named above. With --yes it is sent all the same, and the denial goes on record."}
	}
	on, err := t.confirm("Send it?")
	if err == nil && !on {
		fmt.Fprintln(t.stderr, "Nothing was sent.")
	}
	return on, err
}

// requestID makes a key by which the server knows a repeated submission.
func (t *tool) requestID() (string, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(t.random, b); err != nil {
		return "", fmt.Errorf("randomness: %w", err)
	}
	return hex.EncodeToString(b), nil
}

// follow waits, if asked to, and says where the change stands.
func (t *tool) follow(ctx context.Context, cl *client.Client, d client.Detail, o order) error {
	if o.wait {
		var err error
		if d, err = t.waitLive(ctx, cl, d); err != nil {
			return err
		}
	}
	if *o.out == asJSON {
		if err := t.printJSON(d); err != nil {
			return err
		}
	} else {
		if err := t.showChange(d); err != nil {
			return err
		}
		fmt.Fprintf(t.stdout, "\nFollow it with: slipway request show %s\n", flat(d.Change.ID))
	}
	p := d.Change.Phase
	if (d.Verdict != nil && d.Verdict.Denied) || p == lifecycle.Denied || (o.wait && p != lifecycle.Live) {
		return errAnswerIsNo
	}
	return nil
}

// waitLive waits as long as the server moves the change by itself: a person's decision may take days.
func (t *tool) waitLive(ctx context.Context, cl *client.Client, d client.Detail) (client.Detail, error) {
	m := t.busy("Waiting")
	defer m.end()
	for {
		switch p := d.Change.Phase; {
		case p.Ended(), p == lifecycle.Denied, p == lifecycle.Scheduled, p == lifecycle.Held, p == lifecycle.Failed, forPeople(d.Change):
			return d, nil
		default:
			m.note(progress(d.Change))
		}
		next, err := cl.Wait(ctx, d.Change.ID, lifecycle.Live, 20*time.Second)
		if err != nil {
			return d, err
		}
		if next.Verdict == nil {
			next.Verdict = d.Verdict
		}
		d = next
	}
}

// forPeople reports whether a change waits for somebody. One that the rules approve is waiting too, for a moment.
func forPeople(s lifecycle.State) bool {
	return s.Phase == lifecycle.Waiting && len(s.Subject.Requirements) > 0
}

func (t *tool) requestList() *cobra.Command {
	var q client.ChangesQuery
	var all bool
	var out *format
	c := &cobra.Command{
		Use:   "list",
		Short: "List changes: yours, or all that you may see",
		Example: `  slipway request list --open
  slipway request list --all --app expense-tracker`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			q.Mine = !all
			cl, err := t.client()
			if err != nil {
				return err
			}
			states, err := cl.Changes(c.Context(), q)
			if err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(map[string]any{"changes": states})
			}
			return t.showStates(states, "No changes. Ask for an app with slipway request new.")
		},
	}
	c.Flags().BoolVar(&all, "all", false, "not only those that you asked for")
	c.Flags().BoolVar(&q.Open, "open", false, "only those that are not finished")
	c.Flags().StringVar(&q.App, "app", "", "only those of this app")
	c.Flags().IntVar(&q.Limit, "limit", 50, "how many at most")
	c.Flags().IntVar(&q.Offset, "offset", 0, "how many to skip")
	out = formatFlag(c)
	return c
}

func (t *tool) requestShow() *cobra.Command {
	var out *format
	c := &cobra.Command{
		Use:     "show ID",
		Short:   "Show one change: where it stands, why, and what happened",
		Example: `  slipway request show 01J… --format json | jq .change.phase`,
		Args:    one("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := t.client()
			if err != nil {
				return err
			}
			d, err := cl.Change(c.Context(), args[0])
			if err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(d)
			}
			if err := t.showChange(d); err != nil {
				return err
			}
			return t.showTimeline(d)
		},
	}
	out = formatFlag(c)
	return c
}

func (t *tool) requestCancel() *cobra.Command {
	var reason string
	var out *format
	c := &cobra.Command{
		Use:     "cancel ID",
		Short:   "Stop a change that you asked for",
		Example: `  slipway request cancel 01J… --reason "not needed any more"`,
		Args:    one("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			return t.act(c.Context(), *out, func(cl *client.Client) (lifecycle.State, error) {
				return cl.Cancel(c.Context(), args[0], reason)
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the record")
	out = formatFlag(c)
	return c
}

func (t *tool) requestSchedule() *cobra.Command {
	var notBefore string
	var out *format
	c := &cobra.Command{
		Use:     "schedule ID",
		Short:   "Keep a change back until a time",
		Example: `  slipway request schedule 01J… --not-before "2027-01-31 09:00"`,
		Args:    one("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			at, err := t.moment("--not-before", notBefore)
			if err != nil {
				return err
			}
			if at.IsZero() {
				return &usage{what: "--not-before is missing"}
			}
			return t.act(c.Context(), *out, func(cl *client.Client) (lifecycle.State, error) {
				return cl.Schedule(c.Context(), args[0], at)
			})
		},
	}
	c.Flags().StringVar(&notBefore, "not-before", "", "do not go live before this time")
	out = formatFlag(c)
	return c
}

func (t *tool) requestRetry() *cobra.Command {
	var out *format
	c := &cobra.Command{
		Use:     "retry ID",
		Short:   "Try a step again that could not go on",
		Example: `  slipway request retry 01J…`,
		Args:    one("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			return t.act(c.Context(), *out, func(cl *client.Client) (lifecycle.State, error) {
				return cl.Retry(c.Context(), args[0])
			})
		},
	}
	out = formatFlag(c)
	return c
}

// act does one thing to a change and says where it stands then.
func (t *tool) act(ctx context.Context, out format, do func(*client.Client) (lifecycle.State, error)) error {
	cl, err := t.client()
	if err != nil {
		return err
	}
	s, err := do(cl)
	if err != nil {
		return err
	}
	if out == asJSON {
		return t.printJSON(client.Detail{Change: s})
	}
	return t.showChange(client.Detail{Change: s})
}
