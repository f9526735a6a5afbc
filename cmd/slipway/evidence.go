package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"slipway/audit"
	"slipway/evidence"
	"slipway/evidence/present"
	"slipway/repo"
)

func (t *tool) evidenceCommand() *cobra.Command {
	return group("evidence", "Take out what an auditor needs, as one file that proves itself",
		`A bundle of evidence has everything on record about an app, a change, a zone or a period:
events with the proof that each is in the log, requests, verdicts, rules, approvals, commits,
receipts, zones before and after, certificates. slipway verify checks it without a server.`, groupLook,
		t.evidenceExport())
}

// exportAsk is what a run of slipway evidence export asks for.
type exportAsk struct {
	subject       evidence.Subject
	from, to      string
	data, out     string
	keys, signers string
	force         bool
}

func (t *tool) evidenceExport() *cobra.Command {
	var a exportAsk
	var out *format
	c := &cobra.Command{
		Use:   "export",
		Short: "Write a bundle of evidence",
		Long: `Writes one zip file with everything on record about one app, change, zone or period.

From a server: auditors, approvers and administrators may take anything out, the owner of an
app that app. It goes on record that you did, and the bundle is sealed by that.

With --data from a server's data directory, or a copy of it, without the server: nothing is
recorded, and the bundle has no seal. It may run while the server does.

With --complete the bundle also has every other event since the first one about the subject,
so that its reader can see that none was left out. A period is complete as it is.

Exit code 0: the bundle is there. 1: you may not have it, or the file is there already.
2: it could not be made.`,
		Example: `  slipway evidence export --app expense-tracker --out bundle.zip
  slipway evidence export --change c-0197d2b4 --out bundle.zip
  slipway evidence export --from 2027-01-01 --to 2027-04-01 --out quarter.zip
  slipway evidence export --zone finmicro.example --complete --out zone.zip
  slipway evidence export --data slipway-data --app expense-tracker --out bundle.zip`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if a.subject.From, err = t.moment("--from", a.from); err != nil {
				return err
			}
			if a.subject.To, err = t.moment("--to", a.to); err != nil {
				return err
			}
			if a.out == "" {
				return &usage{what: "--out is missing: the file to write, for example bundle.zip"}
			}
			m := t.busy("Taking evidence out")
			defer m.end()
			var made *evidence.Exported
			err = writeNew(a.out, a.force, func(w io.Writer) (err error) {
				made, err = t.export(c.Context(), a, w)
				return err
			})
			m.end()
			var asked *evidence.SubjectError
			switch {
			case errors.As(err, &asked):
				return &usage{what: asked.What}
			case errors.Is(err, evidence.ErrNothing):
				return &refusal{what: fmt.Sprintf("There is nothing on record about %s.", a.subject), help: "Check the name; slipway audit log shows what is on record."}
			case err != nil:
				return err
			}
			if *out == asJSON {
				return t.printJSON(struct {
					File string `json:"file"`
					*evidence.Exported
				}{a.out, made})
			}
			return t.showExported(a.out, made)
		},
	}
	p := c.Flags()
	p.StringVar(&a.subject.App, "app", "", "everything about this app")
	p.StringVar(&a.subject.Change, "change", "", "everything about this change")
	p.StringVar(&a.subject.Zone, "zone", "", "everything about this zone")
	p.StringVar(&a.from, "from", "", "everything that was recorded not before this time")
	p.StringVar(&a.to, "to", "", "and before this one")
	p.BoolVar(&a.subject.Complete, "complete", false, "with all other events since, to show that none was left out")
	p.StringVar(&a.out, "out", "", "file to write")
	p.BoolVar(&a.force, "force", false, "overwrite the file")
	p.StringVar(&a.data, "data", "", "take it from this data directory, without the server")
	p.StringVar(&a.keys, "keys", "", "with --data: the log's public keys (default DIR/audit/keys.json)")
	p.StringVar(&a.signers, "allowed-signers", "", "with --data: who signs commits (default: as DIR/keys/commits.pub says)")
	out = formatFlag(c)
	return c
}

// writeNew writes a file beside its place, and puts it there when it is whole.
func writeNew(path string, force bool, write func(io.Writer) error) error {
	if _, err := os.Lstat(path); err == nil && !force {
		return &refusal{what: path + " is there already.", help: "Give another name, or --force to overwrite it."}
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".slipway-evidence-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	err = write(f)
	if err == nil {
		err = f.Chmod(0o600) // it names people
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func (t *tool) export(ctx context.Context, a exportAsk, w io.Writer) (*evidence.Exported, error) {
	if a.data != "" {
		return exportFiles(ctx, a, w)
	}
	cl, err := t.client()
	if err != nil {
		return nil, err
	}
	return nil, cl.Evidence(ctx, a.subject, w)
}

// exportFiles takes a bundle out of a data directory.
func exportFiles(ctx context.Context, a exportAsk, w io.Writer) (_ *evidence.Exported, err error) {
	if info, err := os.Stat(a.data); err != nil || !info.IsDir() {
		return nil, &usage{what: fmt.Sprintf("--data %s: there is no such directory", a.data)}
	}
	dir := filepath.Join(a.data, "audit")
	if a.keys == "" {
		a.keys = filepath.Join(dir, "keys.json")
	}
	src := evidence.Source{}
	if src.Keys, err = readKeys(a.keys); err != nil {
		return nil, err
	}
	if src.Log, err = audit.OpenReader(ctx, dir); err != nil {
		return nil, err
	}
	defer src.Log.Close()
	zones := filepath.Join(a.data, "zones.git")
	if _, err := os.Stat(zones); err == nil {
		if src.Repo, err = repo.Open(ctx, zones); err != nil {
			return nil, err
		}
		defer src.Repo.Close()
	}
	if src.AllowedSigners, err = allowedSigners(a); err != nil {
		return nil, err
	}
	return evidence.Export(ctx, w, src, evidence.Options{Subject: a.subject, Extra: present.Extra(src.Repo)})
}

// allowedSigners is who signs commits, as it is given or as the public half of the server's key says.
func allowedSigners(a exportAsk) ([]byte, error) {
	if a.signers != "" {
		return os.ReadFile(a.signers)
	}
	path := filepath.Join(a.data, "keys", "commits.pub")
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil // the bundle says that it has none
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(bytes.TrimSpace(raw))
	if block == nil {
		return nil, fmt.Errorf("%s: it is not a public key", path)
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	signer, err := ssh.NewPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return repo.AllowedSigners("slipway", signer), nil
}

func (t *tool) showExported(file string, made *evidence.Exported) error {
	if made == nil {
		_, err := fmt.Fprintf(t.stdout, "%s. Verify it with: slipway verify %s --trust keys.pub\n", file, file)
		return err
	}
	for _, g := range made.Missing {
		fmt.Fprintf(t.stdout, "Not in it: %s %s\n", flat(g.What), flat(g.Why))
	}
	_, err := fmt.Fprintf(t.stdout, "%s: %s and %s.\n", file, plural(made.Events, "event"), plural(made.Documents, "document"))
	return err
}
