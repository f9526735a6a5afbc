package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/audit/witness"
)

func (t *tool) witnessCommand() *cobra.Command {
	return group("witness", "Run a witness: a second pair of eyes on a log, somewhere else",
		`A witness signs that each state of a log goes on from the one that it saw before. Whoever
has the server and the log's key can write another history, but has no witness for it. So a
witness belongs on a machine that the log's administrators cannot touch.

  1. Here, elsewhere:   slipway witness key --dir witness --name witness.legal.example.com
  2. In slipway.yaml:   record: {witnesses: {legal: {type: witness, url: https://…, key: "what 1. printed"}}}
  3. Here:              slipway witness serve --dir witness --log keys.json
                        keys.json is what slipway audit keys prints

SLIPWAY_KEY_PASSPHRASE seals the witness's key. docs/witness.md says more.`, groupSet,
		t.witnessKey(), t.witnessServe(), t.witnessStatus())
}

func (t *tool) passphrase() []byte { return []byte(t.getenv("SLIPWAY_KEY_PASSPHRASE")) }

func (t *tool) witnessKey() *cobra.Command {
	var dir, name string
	var out *format
	c := &cobra.Command{
		Use:   "key",
		Short: "Print the witness's verifier key, and make the witness the first time",
		Long: `Prints the key that others check this witness's signatures with (C2SP signed-note, for
cosignatures). The first time it needs a name, which is in every signature, and makes the key
pair; the private half stays in the directory, sealed with SLIPWAY_KEY_PASSPHRASE.`,
		Example: `  slipway witness key --dir witness --name witness.legal.example.com
  slipway witness key --dir witness`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if dir == "" {
				return &usage{what: "--dir is missing: where the witness keeps its key and what it has signed"}
			}
			vkey, err := witness.Init(c.Context(), dir, name, t.passphrase())
			if errors.Is(err, fs.ErrNotExist) {
				return &usage{what: "--name is missing: there is no witness in " + dir + " yet", help: "Give it a name that says whose it is, for example --name witness.legal.example.com."}
			}
			if err != nil {
				return err
			}
			if *out == asJSON {
				made, _, _ := strings.Cut(vkey, "+")
				return t.printJSON(map[string]string{"name": made, "key": vkey})
			}
			_, err = fmt.Fprintln(t.stdout, vkey)
			return err
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "directory of the witness")
	c.Flags().StringVar(&name, "name", "", "what the witness is called; given once")
	out = formatFlag(c)
	return c
}

func (t *tool) witnessServe() *cobra.Command {
	var dir, listen, cert, certKey string
	var logs []string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Witness logs until stopped",
		Long: `Takes checkpoints of the logs that are named (POST /add-checkpoint, C2SP tlog-witness),
signs those that go on from what it signed before, and refuses all others. What it signed is
on disk before anybody gets the signature, so no crash makes it sign two histories.

A log is named by the verifier key in "log" of what slipway audit keys prints, or by the file
with that. Give several keys of one log while its key is being changed.

Without --tls-cert it speaks plain HTTP, for a proxy in front of it or a network of your own.`,
		Example: `  slipway witness serve --dir witness --log keys.json --listen 127.0.0.1:8093
  slipway witness serve --dir witness --log keys.json --listen :8093 --tls-cert cert.pem --tls-key key.pem`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case dir == "":
				return &usage{what: "--dir is missing: the directory that slipway witness key made"}
			case len(logs) == 0:
				return &usage{what: "--log is missing: which log to witness", help: "Give the file that slipway audit keys printed, or the verifier key in it."}
			case (cert == "") != (certKey == ""):
				return &usage{what: "--tls-cert and --tls-key belong together"}
			}
			vkeys, err := logKeys(logs)
			if err != nil {
				return err
			}
			return t.serveWitness(c.Context(), witness.ServerOptions{
				Dir: dir, Passphrase: t.passphrase(), Logs: vkeys, Now: t.now, Logger: slog.New(slog.NewTextHandler(t.stderr, nil)),
			}, listen, cert, certKey)
		},
	}
	p := c.Flags()
	p.StringVar(&dir, "dir", "", "directory of the witness")
	p.StringVar(&listen, "listen", "127.0.0.1:8093", "address to listen on")
	p.StringArrayVar(&logs, "log", nil, "log to witness: its verifier key, or the file that slipway audit keys printed; repeat for more")
	p.StringVar(&cert, "tls-cert", "", "file with the certificate chain, to speak HTTPS")
	p.StringVar(&certKey, "tls-key", "", "file with the certificate's private key")
	return c
}

// logKeys takes verifier keys as they are, and out of keys files.
func logKeys(logs []string) ([]string, error) {
	var vkeys []string
	for _, l := range logs {
		if _, err := os.Stat(l); err == nil {
			keys, err := readKeys(l)
			if err != nil {
				return nil, err
			}
			l = keys.Log
		} else if !strings.Contains(l, "+") {
			return nil, &usage{what: fmt.Sprintf("--log %s is neither a file nor a verifier key", l), help: "slipway audit keys prints a file with the key."}
		}
		vkeys = append(vkeys, l)
	}
	return vkeys, nil
}

func (t *tool) serveWitness(ctx context.Context, o witness.ServerOptions, listen, cert, certKey string) error {
	s, err := witness.NewServer(ctx, o)
	if errors.Is(err, fs.ErrNotExist) {
		return &usage{what: "there is no witness in " + o.Dir + " yet", help: "slipway witness key --dir " + o.Dir + " --name NAME makes one."}
	}
	if err != nil {
		return err
	}
	defer s.Close()
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("%w (choose another address with --listen)", err)
	}
	scheme := "http"
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, certKey)
		if err != nil {
			l.Close()
			return fmt.Errorf("--tls-cert: %w", err)
		}
		l, scheme = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}), "https"
	}
	fmt.Fprintf(t.stdout, "Witnessing at %s://%s as\n%s\n", scheme, l.Addr(), s.VerifierKey())
	web := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := web.Shutdown(ending); err != nil {
			web.Close() // whoever has no answer by now asks again
		}
		return nil
	}
}

func (t *tool) witnessStatus() *cobra.Command {
	var dir string
	var out *format
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what the witness has signed, and what it refused",
		Long: `Shows, for each log, the newest state that the witness has signed, and the requests that it
refused although the log's own key had signed them. Two different states of one size are proof
that the log shows two histories, or that its key was stolen; both are kept below logs/ in the
directory. It may be asked while the witness runs.

Exit code 0: nothing was refused. 1: something was; look at it. 2: there is no answer.`,
		Example: `  slipway witness status --dir witness
  slipway witness status --dir witness --format json`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if dir == "" {
				return &usage{what: "--dir is missing: the directory that slipway witness key made"}
			}
			name, logs, err := witness.Status(dir)
			if errors.Is(err, fs.ErrNotExist) {
				return &usage{what: "there is no witness in " + dir, help: "slipway witness key --dir " + dir + " --name NAME makes one."}
			}
			if err != nil {
				return err
			}
			if *out == asJSON {
				err = t.printJSON(struct {
					Name string              `json:"name"`
					Logs []witness.LogStatus `json:"logs"`
				}{name, append([]witness.LogStatus{}, logs...)})
			} else {
				t.showWitness(name, logs)
			}
			for _, l := range logs {
				if len(l.Refused) > 0 && err == nil {
					err = errAnswerIsNo
				}
			}
			return err
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "directory of the witness")
	out = formatFlag(c)
	return c
}

func (t *tool) showWitness(name string, logs []witness.LogStatus) {
	fmt.Fprintf(t.stdout, "Witness %s\n", flat(name))
	if len(logs) == 0 {
		fmt.Fprintln(t.stdout, "It has signed nothing yet.")
	}
	for _, l := range logs {
		fmt.Fprintf(t.stdout, "\n%s\n  signed   %s, root %s, at %s\n", flat(l.Origin), plural(l.Size, "event"), base64.StdEncoding.EncodeToString(l.Root), l.Cosigned.Format(time.RFC3339))
		for _, r := range l.Refused {
			fmt.Fprintf(t.stdout, "  %s  %s: %s\n", t.paint(red, "refused"), r.Time.Format(time.RFC3339), flat(r.Why))
		}
		if len(l.Refused) > 0 {
			fmt.Fprintf(t.stdout, "  %s Keep this directory. Ask whoever runs the log why, and tell its auditors.\n", t.paint(bold, "What to do:"))
		}
	}
}
