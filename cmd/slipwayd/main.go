// Command slipwayd is the Slipway server: the zones repository's host, the
// workflows, the log, the embedded nameserver and the portal in one process.
//
// Run without arguments it starts an organisation's server on ./slipway-data and
// prints a one-time sign-in link for the first administrator. Read serve.go for
// how the parts are wired, demo.go for the guided demonstration.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitFailed   = 1 // the server could not start, or stopped on an error
	exitUnusable = 2 // arguments or settings that cannot be used
)

// usageError marks an error as the caller's to mend.
type usageError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newRoot().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "slipwayd:", err)
		var usage usageError
		if errors.As(err, &usage) {
			os.Exit(exitUnusable)
		}
		os.Exit(exitFailed)
	}
}

func newRoot() *cobra.Command {
	var s settings
	var role string
	root := &cobra.Command{
		Use:   "slipwayd",
		Short: "The Slipway server: launch micro apps on company domains, fast and on the record",
		Long: `slipwayd hosts the zones repository, judges and carries out changes, serves DNS,
keeps the log and shows the portal. Without arguments it starts an empty server
on ./slipway-data and prints a one-time link for the first administrator.

Exit codes: 0 stopped when asked, 1 could not start or failed, 2 unusable arguments.`,
		Example: `  slipwayd                                          # an empty server on ./slipway-data
  slipwayd --organisation "Acme" --domain acme.example --admin you@acme.example
  slipwayd demo                                     # takes a first app live in front of your eyes
  slipwayd reindex --data ./slipway-data            # rebuilds the index from the log alone
  slipwayd link bea@acme.example                    # a sign-in link that rests on no other person
  slipwayd key rotate --because "Yearly change"     # another key signs events from here on`,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), s, cmd.OutOrStdout())
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	s.register(root.PersistentFlags())
	root.AddCommand(
		&cobra.Command{
			Use:   "demo",
			Short: "Start a server and take a first app live in front of your eyes",
			Long: `demo starts the server for a made-up organisation, asks for an internal app as one
of its people, and shows each step until the name answers. A public app waits for
its approver afterwards. The server stays up until you press Ctrl-C.`,
			Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return demo(cmd.Context(), s, cmd.OutOrStdout()) },
		},
		&cobra.Command{
			Use:   "reindex",
			Short: "Rebuild the index from the log's files alone",
			Long: `reindex deletes the index and rebuilds it from the log. Nothing is lost: every page
of the portal comes back as it was. The server must be stopped.`,
			Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return reindex(cmd.Context(), s, cmd.OutOrStdout()) },
		},
	)
	signIn := &cobra.Command{
		Use:   "link PERSON",
		Short: "Print a one-time sign-in link that rests on no other person",
		Long: `link makes a sign-in link in the server's own name. Whoever makes a link could use it
and act as its person, so nobody's change is approved by people whose sign-in goes back to
them. Give every administrator a link of this kind, so that they can let people in
independently of one another. The server must be stopped.`,
		Example: "  slipwayd link bea@acme.example --role administrator --data ./slipway-data",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return link(cmd.Context(), s, args[0], role, cmd.OutOrStdout())
		},
	}
	signIn.Flags().StringVar(&role, "role", "", "the person's role, such as administrator (default: as it is)")
	root.AddCommand(signIn, keyCommand(&s), gatewayCommand(&s))
	return root
}
