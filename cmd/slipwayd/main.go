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
  slipwayd reindex --data ./slipway-data            # rebuilds the index from the log alone`,
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
	return root
}
