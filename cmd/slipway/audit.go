package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"slipway/audit"
)

func (t *tool) auditCommand() *cobra.Command {
	return group("audit", "Read and verify the record of everything that happened",
		`Every step of every change is a signed event in a log that cannot be rewritten. These
commands read it from the server, or from its files without a server.`, groupLook,
		t.auditLog(), t.auditTail(), t.auditVerify(), t.auditFsck(), t.auditMirror(), t.auditKeys())
}

func (t *tool) auditLog() *cobra.Command {
	var q audit.Query
	var dir, action, from, to string
	var after int64
	var out *format
	c := &cobra.Command{
		Use:   "log",
		Short: "Show events",
		Long: `Shows the events of the log, oldest first. With --dir they come from the log's files as
they are; slipway audit verify says whether those can be trusted. Without, they come from
the server, as far as you may see them.

With --format json every line is one event with its place in the log.`,
		Example: `  slipway audit log --app expense-tracker
  slipway audit log --action approve-change --from 2027-01-01
  slipway audit log --commit "$(git rev-parse HEAD)"
  slipway audit log --dir slipway-data/audit --format json | jq .event.actor.id`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			q.Action = audit.Action(action)
			var err error
			if q.From, err = t.moment("--from", from); err != nil {
				return err
			}
			if q.To, err = t.moment("--to", to); err != nil {
				return err
			}
			if c.Flags().Changed("after") {
				if after < 0 {
					return &usage{what: "--after must be 0 or more"}
				}
				q.After, q.HasAfter = uint64(after), true
			}
			if q.Limit < 1 {
				return &usage{what: "--limit must be 1 or more"}
			}
			show := t.showEvent
			if *out == asJSON {
				show = showEventJSON
			}
			source, err := t.events(c.Context(), dir, q)
			if err != nil {
				return err
			}
			backwards := q.Newest && dir != "" // files are read from their start
			return t.showEvents(source, q, backwards, show)
		},
	}
	p := c.Flags()
	p.StringVar(&dir, "dir", "", "read the log's files here instead of asking the server")
	selectEvents(p, &q, &action)
	p.StringVar(&from, "from", "", "not before this time")
	p.StringVar(&to, "to", "", "before this time")
	p.Int64Var(&after, "after", 0, "only events after this place in the log")
	p.BoolVar(&q.Newest, "newest", false, "newest first")
	p.IntVar(&q.Limit, "limit", 1000, "how many at most")
	out = formatFlag(c)
	return c
}

// selectEvents adds the flags that select events by what they are about.
func selectEvents(p *pflag.FlagSet, q *audit.Query, action *string) {
	p.StringVar(&q.Change, "change", "", "only events of this change")
	p.StringVar(&q.App, "app", "", "only events of this app")
	p.StringVar(&q.Zone, "zone", "", "only events of this zone")
	p.StringVar(&q.Record, "record", "", "only events of this name")
	p.StringVar(&q.Actor, "actor", "", "only what this person did")
	p.StringVar(action, "action", "", "only this action, for example approve-change")
	p.StringVar(&q.Commit, "commit", "", "only events that name this commit of the zones repository, in full")
	p.StringVar(&q.Document, "document", "", "only events that refer to the document with this digest, sha256:…")
}

// events are the log's: from its files, oldest first, or from the server as the query says.
func (t *tool) events(ctx context.Context, dir string, q audit.Query) (iter.Seq2[audit.Receipt, error], error) {
	if dir == "" {
		cl, err := t.client()
		if err != nil {
			return nil, err
		}
		return cl.Events(ctx, q), nil
	}
	if err := needDir(dir); err != nil {
		return nil, err
	}
	start := uint64(0)
	if q.HasAfter {
		start = q.After + 1
	}
	return audit.Read(ctx, dir, start), nil
}

// showEvents shows those that the query selects. To show them backwards it keeps as many as the limit in memory.
func (t *tool) showEvents(source iter.Seq2[audit.Receipt, error], q audit.Query, backwards bool, show func(io.Writer, audit.Receipt) error) error {
	m := t.busy("Reading")
	defer m.end()
	var kept []audit.Receipt
	shown := 0
	for r, err := range source {
		if err != nil {
			return err
		}
		if !q.Selects(&r.Event) {
			continue
		}
		if backwards {
			if kept = append(kept, r); len(kept) > q.Limit {
				kept = kept[1:]
			}
			continue
		}
		m.end() // the lines themselves show that it goes on
		if err := show(t.stdout, r); err != nil {
			return err
		}
		if shown++; shown == q.Limit {
			return nil
		}
	}
	m.end()
	for _, r := range slices.Backward(kept) {
		if err := show(t.stdout, r); err != nil {
			return err
		}
	}
	return nil
}

func showEventJSON(w io.Writer, r audit.Receipt) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// showEvent prints one event on one line.
func (t *tool) showEvent(w io.Writer, r audit.Receipt) error {
	e := r.Event
	var about []string
	switch {
	case e.Resource.Record != "":
		about = append(about, e.Resource.Record, e.Resource.Type)
	case e.Resource.Zone != "":
		about = append(about, e.Resource.Zone)
	}
	for _, s := range []string{e.Resource.App, e.Resource.Name, e.Change} {
		if s != "" {
			about = append(about, s)
		}
	}
	if e.GitCommit != "" {
		about = append(about, "commit "+e.GitCommit[:min(12, len(e.GitCommit))])
	}
	_, err := fmt.Fprintf(w, "%6d  %s  %-18s  %s  %s\n", r.Index, e.Timestamp.UTC().Format(time.RFC3339), flat(string(e.Action)), flat(e.Actor.ID), flat(strings.Join(about, " ")))
	return err
}

func (t *tool) auditVerify() *cobra.Command {
	var dir, keysFile string
	var outside outsideFlags
	var out *format
	c := &cobra.Command{
		Use:   "verify",
		Short: "Verify a whole log from its files, without a server",
		Long: `Checks every file of a log: the signed checkpoint, every hash, every entry, every
event's signature and form, and the documents. One changed, missing, added or moved
byte is found and its place is named.

The keys say whose signatures to believe. Take them from somewhere else than the log:
who can change the log can change the keys that lie beside it.

Whoever has the log's key can write another history that verifies. Witnesses do not sign
that: --witness-policy asks for their signatures on all of the log, and the check “witnesses”
names what is missing. --checkpoint holds the log to a state that was seen elsewhere, and
--timestamp-roots to what timestamp authorities have signed.

Exit code 0: all is as it was written. 1: it is not; each problem is named.`,
		Example: `  slipway audit verify --dir slipway-data/audit --keys keys-from-the-auditor.json
  slipway audit verify --dir slipway-data/audit --keys keys.json --witness-policy witnesses.txt
  slipway audit keys > keys.json        what the server says its keys are`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if dir == "" {
				return &usage{what: "--dir is missing: the directory of the log, for example slipway-data/audit"}
			}
			if err := needDir(dir); err != nil {
				return err
			}
			if keysFile == "" {
				keysFile = filepath.Join(dir, "keys.json")
				fmt.Fprintf(t.stderr, "Warning: trusting the keys that lie beside the log (%s). Take them from elsewhere, and give them with --keys.\n", keysFile)
			}
			keys, err := readKeys(keysFile)
			if err != nil {
				return err
			}
			if err := outside.add(&keys, t.now()); err != nil {
				return err
			}
			m := t.busy("Verifying")
			report, err := audit.Verify(c.Context(), dir, keys, m.count)
			m.end()
			if err != nil {
				return err
			}
			if *out == asJSON {
				err = t.printJSON(report)
			} else {
				err = t.showReport(report)
			}
			if err == nil && len(report.Problems) > 0 {
				err = errAnswerIsNo
			}
			return err
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "directory of the log")
	c.Flags().StringVar(&keysFile, "keys", "", "file with the public keys to trust (default DIR/keys.json, which proves less)")
	outside.flags(c)
	out = formatFlag(c)
	return c
}

func needDir(dir string) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return &usage{what: fmt.Sprintf("--dir %s: there is no such directory", dir)}
	}
	return nil
}

func readKeys(file string) (audit.Keys, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return audit.Keys{}, &usage{what: fmt.Sprintf("%s: there is no such file, so there are no keys to trust", file), help: "Give the log's public keys with --keys; slipway audit keys asks the server for them."}
	}
	if err != nil {
		return audit.Keys{}, err
	}
	defer f.Close()
	keys, err := audit.ReadKeys(io.LimitReader(f, 1<<20))
	if err != nil {
		return audit.Keys{}, fmt.Errorf("%s: %w", file, err)
	}
	return keys, nil
}

// showProblems prints each problem on one line, its place first.
func (t *tool) showProblems(r *audit.Report) {
	for _, p := range r.Problems {
		place := p.File
		if p.Index != nil {
			place += fmt.Sprintf(" entry %d", *p.Index)
		}
		fmt.Fprintf(t.stdout, "%s: %s %s\n", flat(place), flat(p.What), t.paint(dim, "["+flat(string(p.Check))+"]"))
	}
}

func (t *tool) showReport(r *audit.Report) error {
	t.showProblems(r)
	if len(r.Problems) > 0 {
		_, err := fmt.Fprintf(t.stdout, "\n%s. This log is not as it was written.\n", t.paint(red, plural(len(r.Problems), "problem")))
		return err
	}
	_, err := fmt.Fprintf(t.stdout, "%s: %s and %s, %s.\nroot %s\n",
		t.paint(green, "Verified"), plural(r.Events, "event"), plural(r.Documents, "document"), fmt.Sprintf("log of size %d", r.Size), flat(r.Root))
	t.showOutside(r)
	return err
}

func (t *tool) auditKeys() *cobra.Command {
	return &cobra.Command{
		Use:   "keys",
		Short: "Print the public keys that the server says its log is signed with",
		Long: `Prints the server's public keys, for slipway audit verify --keys. Keep them somewhere
safe from the start: keys fetched after the fact prove less.`,
		Example: `  slipway audit keys --server https://slipway.finmicro.example > keys.json`,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := t.client()
			if err != nil {
				return err
			}
			keys, err := cl.Keys(c.Context())
			if err != nil {
				return err
			}
			return keys.Write(t.stdout)
		},
	}
}
