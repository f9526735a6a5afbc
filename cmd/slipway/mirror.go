package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/audit"
	"slipway/audit/mirror"
	"slipway/repo"
)

func (t *tool) auditMirror() *cobra.Command {
	return group("mirror", "Copy the log to write-once storage, and verify the copy alone",
		`A mirror is a copy of the log where nobody can change it: a bucket with Object Lock in
COMPLIANCE mode, or a directory on a write-once mount. The server keeps the mirrors of
slipway.yaml (record: mirrors:) up with the log by itself. These commands need no server.

--mirror names one in three ways:
  vault                      the mirror of that name in slipway.yaml (see --repo)
  ./worm                     a directory; with a slash, so that it is not taken for a name
  s3://bucket/prefix?region=eu-central-1&access-key=env:KEY&secret-key=env:SECRET
                             a bucket; without keys with the identity that the AWS tools use`, "",
		t.mirrorVerify(), t.mirrorStatus(), t.mirrorCopy())
}

// mirrorPlace is where a mirror is, as flags say it.
type mirrorPlace struct{ mirror, repo, keys string }

func (p *mirrorPlace) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&p.mirror, "mirror", "", "the mirror: a name in slipway.yaml, a directory, or s3://BUCKET/PREFIX?region=REGION")
	f.StringVar(&p.repo, "repo", ".", "folder of the zones repository whose slipway.yaml names the mirror")
	f.StringVar(&p.keys, "keys", "", "file with the public keys to trust")
}

func (p *mirrorPlace) open(ctx context.Context) (mirror.Settings, error) {
	var s mirror.Settings
	if p.mirror == "" {
		return s, &usage{what: "--mirror is missing: which mirror", help: "slipway help audit mirror shows the three ways to name one."}
	}
	name, typ, params := "--mirror", "", map[string]string(nil)
	if strings.ContainsAny(p.mirror, "/\\") {
		var err error
		if typ, params, err = mirror.ParsePlace(p.mirror); err != nil {
			return s, &usage{what: err.Error()}
		}
	} else {
		named, err := p.named(ctx)
		if err != nil {
			return s, err
		}
		name, typ, params = p.mirror, named.Type, named.Params
	}
	s, err := mirror.Open(ctx, name, typ, params, nil)
	if err != nil {
		return s, &usage{what: err.Error()}
	}
	return s, nil
}

// named finds the mirror in slipway.yaml.
func (p *mirrorPlace) named(ctx context.Context) (repo.Part, error) {
	r, err := repo.Open(ctx, p.repo)
	if errors.Is(err, repo.ErrNotFound) {
		return repo.Part{}, &usage{what: fmt.Sprintf("--mirror %s: %s is no zones repository that could name it", p.mirror, p.repo), help: "Name the repository with --repo, or write a directory with a slash: ./" + p.mirror}
	}
	if err != nil {
		return repo.Part{}, err
	}
	defer r.Close()
	tree, err := r.WorkTree(ctx)
	if err != nil {
		return repo.Part{}, err
	}
	settings, err := tree.Settings(ctx)
	if err != nil {
		return repo.Part{}, err
	}
	named, ok := settings.Record.Mirrors[p.mirror]
	if !ok {
		return repo.Part{}, &usage{what: fmt.Sprintf("--mirror %s: slipway.yaml names no such mirror under record: mirrors:", p.mirror), help: "Write a directory with a slash: ./" + p.mirror}
	}
	return named, nil
}

// trusted reads the keys of --keys, or else those in the mirror, and says what that is worth.
func (p *mirrorPlace) trusted(ctx context.Context, t *tool, s mirror.Store) (audit.Keys, error) {
	if p.keys != "" {
		return readKeys(p.keys)
	}
	keys, err := mirror.Keys(ctx, s)
	if err != nil {
		return keys, &usage{what: err.Error(), help: "Give the log's public keys with --keys; slipway audit keys asks the server for them."}
	}
	fmt.Fprintln(t.stderr, "Warning: trusting the keys that lie in the mirror. Take them from elsewhere, and give them with --keys.")
	return keys, nil
}

func (t *tool) mirrorVerify() *cobra.Command {
	var p mirrorPlace
	var to, dir string
	var out *format
	c := &cobra.Command{
		Use:   "verify",
		Short: "Read a mirror back and verify the log from it alone",
		Long: `Reads every object of the mirror as it was first written, and checks what slipway audit
verify checks of a log: signatures, hashes, entries, documents. It also checks that
every object is locked, that nobody has written over or deleted one, and that all
checkpoints ever put there are of one history. No server and no index is needed.

With --dir the server's own log is compared with it: whoever has changed or rolled back
the server's log cannot have done so in the mirror.

With --to what was read stays in a new directory, which a server can be started on.

Exit code 0: all is as it was written. 1: it is not; each problem is named. 2: the mirror
could not be read.`,
		Example: `  slipway audit mirror verify --mirror vault --keys keys-from-the-auditor.json
  slipway audit mirror verify --mirror 's3://acme-vault/record?region=eu-central-1' --keys keys.json --dir slipway-data/audit
  slipway audit mirror verify --mirror /mnt/worm/record --keys keys.json --to restored`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := p.open(c.Context())
			if err != nil {
				return err
			}
			keys, err := p.trusted(c.Context(), t, s.Store)
			if err != nil {
				return err
			}
			if dir != "" {
				if err := needDir(dir); err != nil {
					return err
				}
			}
			o := mirror.VerifyOptions{Store: s.Store, Keys: keys, To: to, Log: dir}
			if to == "" {
				temporary, err := os.MkdirTemp("", "slipway-mirror-")
				if err != nil {
					return err
				}
				defer os.RemoveAll(temporary)
				o.To = filepath.Join(temporary, "audit")
			}
			m := t.busy("Reading the mirror")
			o.Progress = func(_ string, done, total uint64) { m.count(done, total) }
			report, err := mirror.Verify(c.Context(), o)
			m.end()
			if err != nil {
				return err
			}
			if to != "" && len(report.Problems) == 0 {
				if err := writeKeys(filepath.Join(to, "keys.json"), keys); err != nil {
					return err
				}
			}
			if *out == asJSON {
				err = t.printJSON(report)
			} else {
				err = t.showMirror(report)
			}
			if err == nil && (len(report.Problems) > 0 || report.Stopped != "") {
				err = errAnswerIsNo
			}
			return err
		},
	}
	p.flags(c)
	c.Flags().StringVar(&dir, "dir", "", "also compare with the server's log in this directory")
	c.Flags().StringVar(&to, "to", "", "keep what was read in this new directory")
	out = formatFlag(c)
	return c
}

func writeKeys(file string, keys audit.Keys) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(keys.Write(f), f.Close())
}

func (t *tool) showMirror(r *mirror.Report) error {
	t.showProblems(&audit.Report{Problems: r.Problems})
	if len(r.Problems) > 0 {
		_, err := fmt.Fprintf(t.stdout, "\n%s. This mirror is not as it was written, or the server's log is not the one in it.\n", t.paint(red, plural(len(r.Problems), "problem")))
		return err
	}
	fmt.Fprintf(t.stdout, "%s: %s and %s, %s of one history, the newest of size %d from %s.\nroot %s\n",
		t.paint(green, "Verified"), plural(r.Events, "event"), plural(r.Documents, "document"), plural(r.Checkpoints, "checkpoint"),
		r.Size, r.At.UTC().Format(time.RFC3339), flat(r.Root))
	if !r.Locked.IsZero() {
		fmt.Fprintf(t.stdout, "Nothing in it can be deleted before %s.\n", r.Locked.UTC().Format(time.RFC3339))
	}
	if r.Behind != nil {
		fmt.Fprintf(t.stdout, "The server's log is the same, and has %s more.\n", plural(*r.Behind, "event"))
	}
	return nil
}

// mirrorStatus is what slipway audit mirror status says.
type mirrorState struct {
	Size   uint64    `json:"size"`
	At     time.Time `json:"at"`
	Log    *uint64   `json:"log,omitempty"`
	Behind *uint64   `json:"behind,omitempty"`
}

func (t *tool) mirrorStatus() *cobra.Command {
	var p mirrorPlace
	var dir string
	var out *format
	c := &cobra.Command{
		Use:   "status",
		Short: "Show how far a mirror is",
		Long: `Shows the newest checkpoint in a mirror that the log's key has signed, and with --dir how
many events of the server's log it does not cover yet. It verifies nothing else; slipway
audit mirror verify does.

Exit code 0: there is a checkpoint. 1: there is none, or the mirror is ahead of the
server's log. 2: the mirror could not be read.`,
		Example: `  slipway audit mirror status --mirror vault --dir slipway-data/audit`,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := p.open(c.Context())
			if err != nil {
				return err
			}
			keys, err := p.trusted(c.Context(), t, s.Store)
			if err != nil {
				return err
			}
			status, err := mirror.Newest(c.Context(), s.Store, keys)
			if err != nil {
				return err
			}
			if status.Size == 0 {
				return &refusal{what: "There is no checkpoint in this mirror that these keys have signed.", help: "It was never copied to, or it is the mirror of another log."}
			}
			state := mirrorState{Size: status.Size, At: status.At.UTC()}
			if dir != "" {
				tip, err := audit.ReadTip(dir, keys)
				if err != nil {
					return err
				}
				state.Log = &tip.Size
				if tip.Size < status.Size {
					return &refusal{what: fmt.Sprintf("The mirror has %d events, and the server's log only %d: its end was lost, removed, or restored from an old copy.", status.Size, tip.Size), help: "slipway audit mirror verify --to brings back what the mirror has."}
				}
				behind := tip.Size - status.Size
				state.Behind = &behind
			}
			if *out == asJSON {
				return t.printJSON(state)
			}
			fmt.Fprintf(t.stdout, "The newest checkpoint covers %s and was put there at %s.\n", plural(state.Size, "event"), state.At.Format(time.RFC3339))
			if state.Behind != nil {
				fmt.Fprintf(t.stdout, "The server's log has %s more.\n", plural(*state.Behind, "event"))
			}
			return nil
		},
	}
	p.flags(c)
	c.Flags().StringVar(&dir, "dir", "", "also look at the server's log in this directory")
	out = formatFlag(c)
	return c
}

func (t *tool) mirrorCopy() *cobra.Command {
	var p mirrorPlace
	var dir string
	var out *format
	c := &cobra.Command{
		Use:   "copy",
		Short: "Bring a mirror up to a log once, for logs that no server keeps",
		Long: `Copies what the log in a directory has and the mirror has not, up to the log's newest
checkpoint. It can be stopped and started again at any time. Nothing that the log's own
checkpoint does not cover is copied, and nothing is written over.

Exit code 0: the mirror covers all of the log's checkpoint. 1: the mirror contradicts the
log, and nothing was copied. 2: it could not be done.`,
		Example: `  slipway audit mirror copy --dir slipway-data/audit --mirror /mnt/worm/record`,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if dir == "" {
				return &usage{what: "--dir is missing: the directory of the log, for example slipway-data/audit"}
			}
			if err := needDir(dir); err != nil {
				return err
			}
			s, err := p.open(c.Context())
			if err != nil {
				return err
			}
			if p.keys == "" {
				p.keys = filepath.Join(dir, "keys.json")
			}
			keys, err := readKeys(p.keys)
			if err != nil {
				return err
			}
			m, err := mirror.New(mirror.Options{Dir: dir, Keys: func() audit.Keys { return keys }, Store: s.Store, Documents: s.Documents})
			if err != nil {
				return err
			}
			meter := t.busy("Copying")
			status, err := m.Pass(c.Context(), true)
			meter.end()
			var other *mirror.Contradiction
			if errors.As(err, &other) {
				return &refusal{what: err.Error()}
			}
			if err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(status)
			}
			fmt.Fprintf(t.stdout, "The mirror covers %s.\n", plural(status.Size, "event"))
			for _, digest := range status.Missing {
				fmt.Fprintf(t.stdout, "Not there to be copied: document %s\n", flat(digest))
			}
			return nil
		},
	}
	p.flags(c)
	c.Flags().StringVar(&dir, "dir", "", "directory of the log")
	out = formatFlag(c)
	return c
}
