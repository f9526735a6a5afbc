package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"slipway/audit"
	"slipway/client"
)

// How often a follower asks, and how long it waits for a server that does not answer.
const (
	tailEvery   = time.Second
	tailSoonest = 100 * time.Millisecond // the server serves others too
	tailLongest = 30 * time.Second
	maxTail     = 1000 // events that it begins with; they are kept in memory
)

func (t *tool) auditTail() *cobra.Command {
	var q audit.Query
	var action string
	var follow bool
	var every time.Duration
	var out *format
	c := &cobra.Command{
		Use:   "tail",
		Short: "Show the newest events, and with -f those that come",
		Long: `Shows the newest events of the server's log, as far as you may see them, the newest
last. With -f it then waits for those that come, until you press Ctrl-C. When the
server does not answer it says so once, and goes on where it was as soon as it can:
no event is left out or shown twice.

With --format json every line is one event with its place in the log.

Exit code 0 also when it was ended by Ctrl-C; 1 when you may not see the log.`,
		Example: `  slipway audit tail
  slipway audit tail -f --zone finmicro.example
  slipway audit tail -f --action approve-change --format json | jq .event.actor.id`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if q.Limit < 0 || q.Limit > maxTail {
				return &usage{what: "--lines must be 0 to 1000", help: "slipway audit log shows more."}
			}
			if every < tailSoonest {
				return &usage{what: "--every must be 100ms or more"}
			}
			q.Action = audit.Action(action)
			cl, err := t.client()
			if err != nil {
				return err
			}
			f := follower{tool: t, client: cl, every: every, after: time.After, show: t.showEvent}
			if *out == asJSON {
				f.show = showEventJSON
			}
			err = f.newest(c.Context(), &q)
			if follow && err == nil {
				err = f.follow(c.Context(), q)
			}
			if follow && c.Context().Err() != nil {
				return nil // Ctrl-C is how following ends
			}
			return err
		},
	}
	p := c.Flags()
	p.BoolVarP(&follow, "follow", "f", false, "wait for events that come, and show them")
	p.IntVarP(&q.Limit, "lines", "n", 10, "how many of the newest to begin with")
	p.DurationVar(&every, "every", tailEvery, "how long to wait before asking again")
	selectEvents(p, &q, &action)
	out = formatFlag(c)
	return c
}

// follower shows events as they come.
type follower struct {
	tool   *tool
	client *client.Client
	every  time.Duration
	after  func(time.Duration) <-chan time.Time
	show   func(io.Writer, audit.Receipt) error
}

// newest shows the newest events that q selects, and makes q go on after them.
func (f *follower) newest(ctx context.Context, q *audit.Query) error {
	wanted := q.Limit
	look := *q
	look.Newest, look.Limit = true, max(wanted, 1) // with none wanted, one says where to go on
	found := make([]audit.Receipt, 0, look.Limit)
	for r, err := range f.client.Events(ctx, look) {
		if err != nil {
			return err
		}
		found = append(found, r)
	}
	q.Limit = 0
	if len(found) > 0 {
		q.Next(found[0])
	}
	for _, r := range slices.Backward(found[:min(wanted, len(found))]) {
		if err := f.show(f.tool.stdout, r); err != nil {
			return err
		}
	}
	return nil
}

// follow shows what comes after q until ctx ends. It holds one page of the server's answer at
// a time.
func (f *follower) follow(ctx context.Context, q audit.Query) error {
	wait, silent := f.every, false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.after(wait):
		}
		err := f.catchUp(ctx, &q)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			if silent {
				f.tool.say("The server answers again.", "")
			}
			wait, silent = f.every, false
			continue
		case !client.Is(err, client.Unavailable):
			return err
		}
		if !silent {
			var e *client.Error
			errors.As(err, &e)
			f.tool.say(e.Message, "Waiting for it. Ctrl-C ends.")
		}
		wait, silent = max(f.every, min(2*wait, tailLongest)), true
	}
}

// catchUp shows what is there by now.
func (f *follower) catchUp(ctx context.Context, q *audit.Query) error {
	for r, err := range f.client.Events(ctx, *q) {
		if err != nil {
			return err
		}
		if err := f.show(f.tool.stdout, r); err != nil {
			return err
		}
		q.Next(r)
	}
	return nil
}
