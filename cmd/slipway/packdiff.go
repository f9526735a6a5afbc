package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"slipway/check"
	"slipway/pack"
	"slipway/pack/trial"
	"slipway/repo"
)

// defaultLast is how many changes diff looks back.
const defaultLast = 20

// packDiff is the answer of diff in JSON.
type packDiff struct {
	Old   *pack.Pack   `json:"old"` // null for none
	New   *pack.Pack   `json:"new"`
	Rules *trial.Rules `json:"rules"`
	*trial.Report
}

func (t *tool) packDiffCommand() *cobra.Command {
	var dir string
	var last int
	var from sourceFlags
	var out *format
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show what another version of a pack would decide differently",
		Long: `Judges the repository as it is, and its last changes, twice: with OLD among the pinned
packs, and with NEW in its place. Each is the name of a pinned pack, a source, or none.
Every past change is judged as of its time, by the settings and policies before it.
It changes nothing.

Exit code 0: nothing would be decided differently. 1: something would. 2: one of the
two cannot be read.`,
		Example: `  slipway pack diff mine oci://registry.example/packs/mine:1.3.0
  slipway pack diff none builtin:exposure --last 100      before it is pinned at all`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return &usage{what: "give two packs: the old one and the new one"}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if last < 0 || last > trial.MaxLast {
				return &usage{what: fmt.Sprintf("--last is from 0 to %d", trial.MaxLast)}
			}
			d, err := t.packDiff(c.Context(), dir, args[0], args[1], last, from)
			if err != nil {
				return packFault(err)
			}
			if *out == asJSON {
				err = t.printJSON(d)
			} else {
				t.showPackDiff(d)
			}
			if err == nil && d.Differs() {
				err = errAnswerIsNo
			}
			return err
		},
	}
	repoFlag(c, &dir)
	from.flags(c)
	c.Flags().IntVar(&last, "last", defaultLast, "how many past changes to judge")
	out = formatFlag(c)
	return c
}

func (t *tool) packDiff(ctx context.Context, dir, oldName, newName string, last int, from sourceFlags) (*packDiff, error) {
	w, err := workspace(dir)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	r, err := t.repository(ctx, dir, "")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	d := &packDiff{}
	if d.Old, err = t.packNamed(ctx, w, oldName, from); err != nil {
		return nil, err
	}
	if d.New, err = t.packNamed(ctx, w, newName, from); err != nil {
		return nil, err
	}
	if d.Rules, err = trial.CompareRules(ctx, d.Old, d.New); err != nil {
		return nil, err
	}
	revision := repo.Main
	if _, err := r.Resolve(ctx, revision); errors.Is(err, repo.ErrNotFound) {
		revision = "HEAD"
	}
	if _, err := r.Resolve(ctx, revision); errors.Is(err, repo.ErrNotFound) {
		return nil, &usage{what: fmt.Sprintf("--repo %s: the repository has no commit to judge", dir)}
	}
	head, err := r.Tree(ctx, revision)
	if err != nil {
		return nil, err
	}
	pinned, err := pack.Pinned(ctx, head)
	if err != nil {
		return nil, err
	}
	before, after := trial.Exchange(pinned, d.Old, d.New)
	for _, packs := range [][]*pack.Pack{before, after} {
		if err := pack.Check(ctx, packs); err != nil {
			return nil, err
		}
	}
	m := t.busy("Judging twice")
	defer m.end()
	d.Report, err = trial.Trial{
		Repo: r, Revision: revision, Before: before, After: after, Last: last, Now: t.now(),
		Progress: func(done, total int) { m.count(uint64(done), uint64(total)) },
	}.Run(ctx)
	return d, err
}

// packNamed opens a pinned pack by its name, or any by its source. A trial puts nothing in
// force, so it asks for no signature; one that is there and does not hold is refused.
func (t *tool) packNamed(ctx context.Context, w *pack.Workspace, name string, from sourceFlags) (*pack.Pack, error) {
	if name == "none" {
		return nil, nil
	}
	if pin, ok := w.Lock.Pin(name); ok {
		return w.Pack(pin)
	}
	src, err := t.get(ctx, name, from)
	if err != nil {
		return nil, err
	}
	return pack.Open(src, nil)
}

func (t *tool) showPackDiff(d *packDiff) {
	label := func(p *pack.Pack) string {
		if p == nil {
			return "no pack"
		}
		return p.Name + " " + p.Version
	}
	fmt.Fprintf(t.stdout, "%s → %s\n", label(d.Old), label(d.New))
	for _, r := range d.Rules.Added {
		fmt.Fprintf(t.stdout, "  + %s  %s\n", r.ID, flat(r.Title))
	}
	for _, r := range d.Rules.Removed {
		fmt.Fprintf(t.stdout, "  - %s  %s\n", r.ID, flat(r.Title))
	}
	for _, f := range d.Rules.Changed {
		fmt.Fprintf(t.stdout, "  ~ %s\n", flat(f))
	}
	fmt.Fprintf(t.stdout, "\n%s\n", t.paint(bold, "The repository as it is"))
	t.showCase(d.AsItIs)
	fmt.Fprintf(t.stdout, "\n%s\n", t.paint(bold, fmt.Sprintf("The last %d changes, of which %d would be decided differently", d.Judged, len(d.Cases))))
	for i := range d.Cases {
		one := &d.Cases[i]
		fmt.Fprintf(t.stdout, "%s  %s  %s\n", one.Commit[:min(12, len(one.Commit))], one.When.Format("2006-01-02"), flat(one.Subject))
		t.showCase(one)
	}
	for _, u := range d.Unjudged {
		fmt.Fprintf(t.stdout, "%s  cannot be judged: %s\n", u.Commit[:min(12, len(u.Commit))], flat(u.Why))
	}
}

// maxShown is how many findings of one case the text shows; JSON has all.
const maxShown = 20

func (t *tool) showCase(c *trial.Case) {
	if c.Before == c.After && len(c.Appear)+len(c.Vanish)+c.Controls == 0 {
		fmt.Fprintln(t.stdout, "  nothing is decided differently")
		return
	}
	say := func(d trial.Decision) string {
		s := string(d.Tier)
		if d.Denied {
			s += ", denied"
		}
		return s
	}
	if before, after := say(c.Before), say(c.After); before != after {
		fmt.Fprintf(t.stdout, "  %s → %s\n", before, after)
	}
	findings := func(sign, colour string, list []check.Finding) {
		for i, f := range list {
			if i == maxShown {
				fmt.Fprintf(t.stdout, "  %s and %d more (--format json has all)\n", sign, len(list)-i)
				break
			}
			at := ""
			if f.Path != "" {
				at = fmt.Sprintf("%s:%d: ", f.Path, f.Line)
			}
			fmt.Fprintf(t.stdout, "  %s %s %s%s  %s\n", t.paint(colour, sign), f.Severity, at, flat(f.Message), f.Rule)
		}
	}
	findings("+", yellow, c.Appear)
	findings("-", green, c.Vanish)
	if c.Controls > 0 {
		fmt.Fprintf(t.stdout, "  %d findings have other control IDs\n", c.Controls)
	}
}
