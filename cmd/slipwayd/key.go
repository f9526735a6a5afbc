package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"slipway/audit"
	"slipway/key"
)

const maxBecause = 500 // characters

func keyCommand(s *settings) *cobra.Command {
	var because, to string
	rotate := &cobra.Command{
		Use:   "rotate",
		Short: "Let another key sign events from here on",
		Long: `rotate makes a new key for events and puts it on record: the key so far signs a last
event that names the new one, and is then destroyed. Whoever trusts the first key still
verifies the whole log; nobody has to be given another keys file. The server must be
stopped. Keep a backup of the new key as you kept one of the old.

With --to the new key is made in another place: an HSM (pkcs11:…), a key service (awskms:…,
cloudkms:…, azurekms:…), Vault (vault:…), or the server's own sealed files again (file:).

Killed at any moment, it leaves a server that starts. Run again, it finishes what was
begun instead of rotating twice.

Exit codes: 0 rotated, or finished an earlier rotation, 1 failed, 2 unusable arguments.`,
		Example: `  slipwayd key rotate --because "Yearly change of keys" --data ./slipway-data
  slipwayd key rotate --because "Into the HSM" \
    --to 'pkcs11:module-path=/usr/lib/softhsm/libsofthsm2.so;token=slipway?pin-source=/run/secrets/pin'
  slipwayd key rotate --because "The HSM is sold" --to file:`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return rotateKey(cmd.Context(), *s, because, to, cmd.OutOrStdout())
		},
	}
	rotate.Flags().StringVar(&because, "because", "", "why, for the record")
	rotate.Flags().StringVar(&to, "to", "", "URI of the store to make the new key in (default: where the current one is; see docs/keys.md)")
	c := &cobra.Command{
		Use:   "key",
		Short: "Change the keys of the record",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(rotate)
	return c
}

// rotation is one change of the key that signs events. Its steps can be killed between any
// two and within each: what is on record decides, and the next start follows it.
type rotation struct {
	srv      *server
	because  string
	to       string // URI of the store; "" is where the old key is
	old, new *key.Signer
	receipt  audit.Receipt
	retired  []string
}

type rotationStep struct {
	what string
	run  func(context.Context) error
}

func (r *rotation) steps() []rotationStep {
	return []rotationStep{
		{"make the new key", r.makeKey},
		{"put it on record", r.handOver},
		{"publish the keys", func(context.Context) error { return r.srv.publishKeys() }},
		{"destroy the old key", r.destroyOld},
	}
}

// makeKey takes the key that an earlier rotation may have made and not put on record: it
// has signed nothing.
func (r *rotation) makeKey(ctx context.Context) (err error) {
	if r.old, err = r.srv.eventKey(ctx); err != nil {
		return err
	}
	if r.to == "" {
		notes, err := r.srv.keyNotes()
		if err != nil {
			return err
		}
		r.to = notes[r.old.Name()].Store // none: in the keys directory
	}
	turn, _ := turnOf(r.old.Name())
	r.new, err = r.srv.makeEventKey(ctx, turn+1, r.to)
	return err
}

func (r *rotation) handOver(ctx context.Context) (err error) {
	r.receipt, err = r.srv.record.Rotate(ctx, audit.Actor{ID: itself.ID, Role: "system"}, r.new, r.because)
	return err
}

// destroyOld comes when the event is durable, which it is once there is a receipt.
func (r *rotation) destroyOld(ctx context.Context) error {
	retired, elsewhere, err := r.srv.retireKeys(ctx, r.new.Name())
	r.retired = retired
	return errors.Join(err, elsewhere)
}

// rotateKey replaces the key that signs the events of a stopped server.
func rotateKey(ctx context.Context, s settings, because, to string, out io.Writer) (err error) {
	because = strings.TrimSpace(because)
	switch {
	case because == "":
		return usageError{errors.New(`--because is missing: say why the key is changed, for example --because "Yearly change of keys"; it is put on record`)}
	case utf8.RuneCountInString(because) > maxBecause:
		return usageError{fmt.Errorf("--because is longer than %d characters", maxBecause)}
	}
	if to == "" {
		to = s.eventKeys
	}
	r := &rotation{srv: &server{settings: s, rotating: true}, because: because, to: to}
	if err := r.open(ctx); err != nil {
		return errors.Join(err, r.srv.close(context.WithoutCancel(ctx)))
	}
	defer func() { err = errors.Join(err, r.srv.close(context.WithoutCancel(ctx))) }()
	if len(r.srv.retired) > 0 {
		_, err := fmt.Fprintf(out, "Finished an earlier rotation that was interrupted: destroyed %s, which had been replaced on record.\nNo key was changed now. Run the command again to change it.\n", strings.Join(r.srv.retired, ", "))
		return err
	}
	for _, step := range r.steps() {
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	backup := "without the new key the server cannot start"
	if r.to != "" && r.to != ownFiles {
		backup = "without its note of where the new key is the server cannot start.\nWhere the server is started with --event-keys, it has to name that store from now on"
	}
	_, err = fmt.Fprintf(out, `Event %d hands over: events are signed by a new key from here on.
  new key    %s, ID %s
  kept in    %s
  destroyed  %s, ID %s
Keys files from before verify the whole log as they are. Back up the directory %s now:
%s.
`, r.receipt.Index, r.new.Name(), r.new.ID(), r.new.URI(), strings.Join(r.retired, ", "), r.old.ID(), s.path("keys"), backup)
	return err
}

// open opens what a rotation needs, and finishes an earlier one on the way (openRecord).
func (r *rotation) open(ctx context.Context) (err error) {
	s := r.srv.settings
	if _, err := os.Stat(s.path("audit")); errors.Is(err, fs.ErrNotExist) {
		return usageError{fmt.Errorf("--data %s: no server has run there yet, so there is no key to replace", s.data)}
	}
	if r.srv.log, err = s.logger(); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{r.srv.lock, r.srv.openKeys, r.srv.openRecord} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}
