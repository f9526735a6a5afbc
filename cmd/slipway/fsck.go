package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"slipway/audit"
)

func (t *tool) auditFsck() *cobra.Command {
	var dir, keysFile string
	var out *format
	c := &cobra.Command{
		Use:   "fsck",
		Short: "Say what is wrong with a log's directory, and what to do about it",
		Long: `Looks through a log's directory after a crash, a full disk or a restored backup: torn or
missing files of the log, documents that are missing or not what they were, an index that is
behind or contradicts the log, and what interrupted writes left. It changes nothing: what can be
mended, the server mends at its next start, and the rest has to come from a copy.

It checks the same things as slipway audit verify, whose word on whom to trust holds here too.

Exit code 0: nothing is wrong that the next start does not mend. 1: something is, and is
named. 2: the directory could not be looked through.`,
		Example: `  slipway audit fsck --dir slipway-data/audit
  slipway audit fsck --dir slipway-data/audit --keys keys-from-the-auditor.json --format json`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			found, err := t.fsck(c.Context(), dir, keysFile)
			if err != nil {
				return err
			}
			if *out == asJSON {
				err = t.printJSON(found)
			} else {
				err = t.showFsck(found)
			}
			if err == nil && !found.Sound {
				err = errAnswerIsNo
			}
			return err
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "directory of the log")
	c.Flags().StringVar(&keysFile, "keys", "", "file with the public keys to trust (default DIR/keys.json)")
	out = formatFlag(c)
	return c
}

// fsckResult is what was found in a log's directory.
type fsckResult struct {
	Sound     bool              `json:"sound"`
	Report    *audit.Report     `json:"report"`
	Directory *audit.Inspection `json:"directory,omitempty"` // absent when the log's size is not known
	Advice    []string          `json:"advice,omitempty"`
}

func (t *tool) fsck(ctx context.Context, dir, keysFile string) (*fsckResult, error) {
	if dir == "" {
		return nil, &usage{what: "--dir is missing: the directory of the log, for example slipway-data/audit"}
	}
	if err := needDir(dir); err != nil {
		return nil, err
	}
	if keysFile == "" {
		keysFile = filepath.Join(dir, "keys.json")
	}
	keys, err := readKeys(keysFile)
	if err != nil {
		return nil, err
	}
	m := t.busy("Looking")
	defer m.end()
	found := &fsckResult{}
	if found.Report, err = audit.Verify(ctx, dir, keys, m.count); err != nil {
		return nil, err
	}
	found.Directory, err = audit.Inspect(ctx, dir)
	// Without the writer's note nothing can be compared, and Verify has said so.
	if err != nil && !slices.ContainsFunc(found.Report.Problems, func(p audit.Problem) bool { return p.Check == audit.CheckTreeState }) {
		return nil, err
	}
	found.Sound = len(found.Report.Problems) == 0 && found.Report.Stopped == "" && (found.Directory == nil || found.Directory.Problem == "")
	found.Advice = fsckAdvice(found)
	return found, nil
}

// fsckAdvice says what to do about each kind of thing that was found, once.
func fsckAdvice(found *fsckResult) []string {
	const (
		copies  = "Stop the server and keep this directory as it is, for whoever looks into it. Restore the log from a copy, and run this again on what was restored."
		answers = "An event that its key did not sign, or not in its turn, is no fault of a disk. Treat it as an intrusion: keep the directory, and find out who could write to it."
		papers  = "Restore the documents from a backup; nothing else is touched by that. The log itself does not depend on them."
		forked  = "Witnesses and this log do not agree, or they have not signed all of it. Ask those who run the witnesses what they have signed (slipway witness status). If it is another history, treat it as an intrusion: keep the directory."
		foreign = "Find out who put the files there, and take them out."
	)
	var advice []string
	say := func(what string) {
		if !slices.Contains(advice, what) {
			advice = append(advice, what)
		}
	}
	for _, p := range found.Report.Problems {
		switch p.Check {
		case audit.CheckDocument, audit.CheckDocumentMissing:
			say(papers)
		case audit.CheckUnexpectedFile:
			say(foreign)
		case audit.CheckEventSignature, audit.CheckKeyHistory:
			say(answers)
		case audit.CheckWitnesses:
			say(forked)
		default:
			say(copies)
		}
	}
	if found.Directory != nil && found.Directory.Problem != "" {
		say(copies)
	}
	return advice
}

func (t *tool) showFsck(found *fsckResult) error {
	r := found.Report
	t.showProblems(r)
	var notes []string
	if r.Stopped != "" {
		notes = append(notes, "The rest was not looked at: "+r.Stopped)
	}
	if r.Unpublished > 0 {
		notes = append(notes, fmt.Sprintf("%s without a checkpoint yet: the log is being written, or its writer was killed. The next start publishes one.", plural(r.Unpublished, "event")))
	}
	leftovers := r.Leftovers
	if d := found.Directory; d != nil {
		leftovers = append(slices.Clone(leftovers), d.Leftovers...)
		if d.Problem != "" {
			fmt.Fprintf(t.stdout, "index.db: %s\n", flat(d.Problem))
		}
		if d.Note != "" {
			notes = append(notes, "index.db: "+d.Note)
		}
	}
	for _, file := range leftovers {
		notes = append(notes, file+": left by an interrupted write, and no part of the log. The next start removes it.")
	}
	for _, note := range notes {
		fmt.Fprintln(t.stdout, flat(note))
	}
	for _, what := range found.Advice {
		fmt.Fprintf(t.stdout, "\n%s %s\n", t.paint(bold, "What to do:"), what)
	}
	if !found.Sound {
		_, err := fmt.Fprintf(t.stdout, "\n%s. Nothing was changed.\n", t.paint(red, "This directory is not sound"))
		return err
	}
	_, err := fmt.Fprintf(t.stdout, "%s: %s and %s. Nothing was changed.\n", t.paint(green, "Sound"), plural(r.Events, "event"), plural(r.Documents, "document"))
	return err
}
