package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"slipway/audit"
	"slipway/key"
)

// The keys that sign events are named events, events-2, events-3 and so on, in the order
// of their turns. Which one's turn it is, the log says.
const (
	eventsKey  = "events"
	maxBecause = 500 // characters
)

func keyCommand(s *settings) *cobra.Command {
	var because string
	rotate := &cobra.Command{
		Use:   "rotate",
		Short: "Let another key sign events from here on",
		Long: `rotate makes a new key for events and puts it on record: the key so far signs a last
event that names the new one, and is then destroyed. Whoever trusts the first key still
verifies the whole log; nobody has to be given another keys file. The server must be
stopped. Keep a backup of the new key as you kept one of the old.

Killed at any moment, it leaves a server that starts. Run again, it finishes what was
begun instead of rotating twice.

Exit codes: 0 rotated, or finished an earlier rotation, 1 failed, 2 unusable arguments.`,
		Example: `  slipwayd key rotate --because "Yearly change of keys" --data ./slipway-data`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return rotateKey(cmd.Context(), *s, because, cmd.OutOrStdout())
		},
	}
	rotate.Flags().StringVar(&because, "because", "", "why, for the record")
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
	turn, _ := turnOf(r.old.Name())
	r.new, err = r.srv.keys.Signer(ctx, eventsKeyName(turn+1), true)
	return err
}

func (r *rotation) handOver(ctx context.Context) (err error) {
	r.receipt, err = r.srv.record.Rotate(ctx, audit.Actor{ID: itself.ID, Role: "system"}, r.new, r.because)
	return err
}

// destroyOld comes when the event is durable, which it is once there is a receipt.
func (r *rotation) destroyOld(ctx context.Context) (err error) {
	r.retired, err = r.srv.retireKeys(ctx, r.new.Name())
	return err
}

// rotateKey replaces the key that signs the events of a stopped server.
func rotateKey(ctx context.Context, s settings, because string, out io.Writer) (err error) {
	because = strings.TrimSpace(because)
	switch {
	case because == "":
		return usageError{errors.New(`--because is missing: say why the key is changed, for example --because "Yearly change of keys"; it is put on record`)}
	case utf8.RuneCountInString(because) > maxBecause:
		return usageError{fmt.Errorf("--because is longer than %d characters", maxBecause)}
	}
	r := &rotation{srv: &server{settings: s}, because: because}
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
	_, err = fmt.Fprintf(out, `Event %d hands over: events are signed by a new key from here on.
  new key    %s, ID %s
  destroyed  %s, ID %s
Keys files from before verify the whole log as they are. Back up the directory %s now:
without the new key the server cannot start.
`, r.receipt.Index, r.new.Name(), r.new.ID(), strings.Join(r.retired, ", "), r.old.ID(), s.path("keys"))
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

// eventKey is the key whose turn it is to sign events, as the log says; a new log gets the
// first one. For a log that is there no key is ever made: it could not go on with it.
func (srv *server) eventKey(ctx context.Context) (*key.Signer, error) {
	current, err := audit.CurrentKey(ctx, srv.settings.path("audit"))
	if err != nil {
		return nil, err
	}
	if current == "" {
		return srv.keys.Signer(ctx, eventsKey, true)
	}
	names, err := srv.keys.Names()
	if err != nil {
		return nil, err
	}
	var unusable []error
	for _, name := range names {
		if _, ok := turnOf(name); !ok {
			continue
		}
		// One that is damaged may be a replaced one whose destruction was interrupted.
		signer, err := srv.keys.Signer(ctx, name, false)
		if err == nil && signer.ID() == current {
			return signer, nil
		}
		if err != nil {
			unusable = append(unusable, err)
		}
	}
	missing := fmt.Errorf("the log's events are signed by the key with the ID %s, and it is not in %s. Restore that directory from a backup that is as new as the log", current, srv.settings.path("keys"))
	return nil, errors.Join(append([]error{missing}, unusable...)...)
}

// retireKeys destroys the event keys whose turn was before that of the current one, which
// must have been found on record.
func (srv *server) retireKeys(ctx context.Context, current string) (retired []string, err error) {
	now, ok := turnOf(current)
	if !ok {
		return nil, fmt.Errorf("the key %s is none that signs events", current)
	}
	names, err := srv.keys.Names()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if turn, ok := turnOf(name); !ok || turn >= now {
			continue
		}
		if err := srv.keys.Destroy(ctx, name); err != nil {
			return retired, err
		}
		retired = append(retired, name)
	}
	return retired, nil
}

func eventsKeyName(turn int) string {
	if turn == 1 {
		return eventsKey
	}
	return eventsKey + "-" + strconv.Itoa(turn)
}

// turnOf reads an event key's name, in the one spelling that eventsKeyName has.
func turnOf(name string) (turn int, ok bool) {
	if name == eventsKey {
		return 1, true
	}
	turn, err := strconv.Atoi(strings.TrimPrefix(name, eventsKey+"-"))
	return turn, err == nil && turn > 1 && name == eventsKeyName(turn)
}
