package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/audit"
	"slipway/evidence/controls"
	"slipway/repo"
	"slipway/report"
)

// controlsAsk is what a run of slipway controls asks for.
type controlsAsk struct {
	repo, framework, dir, from, to string
	count, strict                  bool
}

func (t *tool) controlsCommand() *cobra.Command {
	var a controlsAsk
	var out *format
	c := &cobra.Command{
		Use:   "controls [ID]",
		Short: "Show what is evidence for which control, and which have none",
		Long: `Shows the controls of SOC 2, ISO/IEC 27001, SOX, NIST SP 800-53 and PCI DSS: what
Slipway keeps that is evidence for each, and which have none. With an ID it shows one
control with every event, document and check.

The mapping is the built-in one, as changed by controls.yaml of the zones repository. With
--dir or --count it also says how many events of each kind there are: in the log's files, or
at the server, in the period of --from and --to. At the server the mapping is that of its
main branch.

Exit code 0; with --strict 1 when a control has no evidence. 2 when controls.yaml cannot be
read; the message names file and line.`,
		Example: `  slipway controls --framework soc2
  slipway controls SOC2:CC8.1
  slipway controls --dir slipway-data/audit --from 2027-01-01 --format markdown > coverage.md
  slipway controls --count --from 2027-01-01 --to 2027-04-01
  slipway controls --strict --framework iso27001     for a pipeline`,
		GroupID: groupLook,
		Args:    atMostOne,
		RunE: func(c *cobra.Command, args []string) error {
			coverage, err := t.coverage(c.Context(), a, c.Flags().Changed("repo"))
			if err != nil {
				return err
			}
			if a.framework != "" {
				if coverage, err = onlyFramework(coverage, a.framework); err != nil {
					return err
				}
			}
			if len(args) == 1 {
				row, err := rowOf(coverage, args[0])
				if err != nil {
					return err
				}
				coverage.Controls = []controls.Row{row}
				if *out == asText {
					t.showControl(row, coverage.Period)
					return t.strictly(a.strict, coverage)
				}
			}
			switch *out {
			case asJSON:
				err = t.printJSON(coverage)
			case report.Markdown:
				err = coverage.Markdown(t.stdout)
			default:
				err = t.showCoverage(coverage)
			}
			if err != nil {
				return err
			}
			return t.strictly(a.strict, coverage)
		},
	}
	p := c.Flags()
	p.StringVar(&a.framework, "framework", "", "only this one: soc2, iso27001, sox, nist-800-53, pci-dss, or one of controls.yaml")
	p.StringVar(&a.repo, "repo", ".", "the zones repository; elsewhere, the mapping that is built in")
	p.StringVar(&a.dir, "dir", "", "count the events in the log's files here")
	p.BoolVar(&a.count, "count", false, "count the events at the server")
	p.StringVar(&a.from, "from", "", "count events not before this time")
	p.StringVar(&a.to, "to", "", "count events before this time")
	p.BoolVar(&a.strict, "strict", false, "exit code 1 when a control has no evidence")
	out = formatFlag(c, report.Markdown)
	return c
}

// coverage is the server's, or that of the files here.
func (t *tool) coverage(ctx context.Context, a controlsAsk, repoGiven bool) (*controls.Coverage, error) {
	from, err := t.moment("--from", a.from)
	if err != nil {
		return nil, err
	}
	to, err := t.moment("--to", a.to)
	if err != nil {
		return nil, err
	}
	switch {
	case a.dir == "" && !a.count && (!from.IsZero() || !to.IsZero()):
		return nil, &usage{what: "--from and --to say which events to count, and nothing says where those are", help: "Add --dir with the log's directory, or --count to ask the server."}
	case a.count && (a.dir != "" || repoGiven):
		return nil, &usage{what: "--count asks the server, which has its own log and repository", help: "Leave --dir and --repo out, or leave --count out."}
	case !from.IsZero() && !to.IsZero() && !from.Before(to):
		return nil, &usage{what: "the period ends before it begins"}
	case a.count:
		cl, err := t.client()
		if err != nil {
			return nil, err
		}
		return cl.Controls(ctx, from, to)
	}
	mapping, checks, err := mappingIn(ctx, a.repo)
	if err != nil {
		return nil, err
	}
	if a.dir == "" {
		return mapping.Cover(checks, nil, nil), nil
	}
	counts, err := t.countEvents(ctx, a.dir, from, to)
	if err != nil {
		return nil, err
	}
	return mapping.Cover(checks, counts, &controls.Period{From: from, To: to}), nil
}

// mappingIn reads what is in force in the files on disk, or what is built in when the folder is no
// repository.
func mappingIn(ctx context.Context, dir string) (*controls.Mapping, []controls.Check, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, nil, &usage{what: fmt.Sprintf("--repo %s: there is no such folder", dir)}
	}
	r, err := repo.Open(ctx, dir)
	if errors.Is(err, repo.ErrNotFound) {
		mapping, err := controls.Default()
		if err != nil {
			return nil, nil, err
		}
		checks, err := controls.Shipped(ctx)
		return mapping, checks, err
	}
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	head, err := r.WorkTree(ctx)
	if err != nil {
		return nil, nil, err
	}
	mapping, err := controls.In(ctx, head)
	if err != nil {
		return nil, nil, err
	}
	checks, err := controls.InForce(ctx, engine(), head)
	return mapping, checks, err
}

// countEvents reads a log's files from first to last. Whether they can be trusted, slipway audit
// verify says.
func (t *tool) countEvents(ctx context.Context, dir string, from, to time.Time) (map[audit.Action]int, error) {
	if err := needDir(dir); err != nil {
		return nil, err
	}
	m := t.busy("Counting")
	defer m.end()
	counts, period := map[audit.Action]int{}, audit.Query{From: from, To: to}
	for r, err := range audit.Read(ctx, dir, 0) {
		if err != nil {
			return nil, err
		}
		if period.Selects(&r.Event) {
			counts[r.Event.Action]++
		}
	}
	return counts, nil
}

func onlyFramework(c *controls.Coverage, name string) (*controls.Coverage, error) {
	var known []string
	for _, f := range c.Frameworks {
		if f.Name == name {
			return c.Only(name), nil
		}
		known = append(known, f.Name)
	}
	return nil, &usage{what: fmt.Sprintf("there is no framework %q", name), help: "There are " + strings.Join(known, ", ") + "."}
}

func rowOf(c *controls.Coverage, id string) (controls.Row, error) {
	for _, r := range c.Controls {
		if strings.EqualFold(r.ID, id) {
			return r, nil
		}
	}
	return controls.Row{}, &usage{what: fmt.Sprintf("there is no control %q", id), help: "slipway controls lists them, with their frameworks' prefixes: SOC2:CC8.1."}
}

func (t *tool) strictly(strict bool, c *controls.Coverage) error {
	if strict && c.Count("")[controls.None] > 0 {
		return errAnswerIsNo
	}
	return nil
}

var stateColours = map[controls.State]string{controls.None: red, controls.Silent: yellow, controls.Elsewhere: dim, controls.Covered: green}

// showCoverage lists the controls, those that need somebody's eye first.
func (t *tool) showCoverage(c *controls.Coverage) error {
	if c.Period != nil {
		fmt.Fprintf(t.stdout, "Events counted %s.\n\n", c.Period)
	}
	for _, f := range c.Frameworks {
		n := c.Count(f.Name)
		fmt.Fprintln(t.stdout, t.paint(bold, flat(f.Title)))
		for _, s := range controls.States() {
			if n[s] == 0 {
				continue
			}
			fmt.Fprintf(t.stdout, "\n  %s\n", t.paint(stateColours[s], fmt.Sprintf("%s: %d", s.Words(), n[s])))
			for _, r := range c.Of(f.Name, s) {
				says := ""
				switch s {
				case controls.Elsewhere:
					says = "  " + t.paint(dim, flat(r.Elsewhere))
				case controls.Covered:
					says = "  " + t.paint(dim, flat(evidenceInShort(r, c.Period != nil)))
				}
				fmt.Fprintf(t.stdout, "    %-18s  %s%s\n", flat(r.ID), flat(r.Title), says)
			}
		}
		fmt.Fprintln(t.stdout)
	}
	for _, w := range c.Warnings {
		fmt.Fprintln(t.stderr, "Warning: "+flat(w))
	}
	return nil
}

// evidenceInShort names the pieces of evidence, and how often they were there.
func evidenceInShort(r controls.Row, counted bool) string {
	var parts []string
	for _, p := range r.Pieces {
		parts = append(parts, p.Name)
	}
	if len(r.Checks) > 0 {
		parts = append(parts, plural(len(r.Checks), "check"))
	}
	s := "[" + strings.Join(parts, ", ") + "]"
	if counted {
		s += " " + plural(r.Events, "event")
	}
	return s
}

// showControl shows one control with all that is evidence for it.
func (t *tool) showControl(r controls.Row, counted *controls.Period) {
	fmt.Fprintf(t.stdout, "%s  %s\n%s\n", t.paint(bold, flat(r.ID)), flat(r.Title), t.paint(stateColours[r.State], r.State.Words()))
	for _, line := range []string{r.Note, r.Elsewhere} {
		if line != "" {
			fmt.Fprintln(t.stdout, "  "+flat(line))
		}
	}
	if counted != nil {
		fmt.Fprintf(t.stdout, "  %s, %s\n", plural(r.Events, "event"), counted)
	}
	for _, p := range r.Pieces {
		fmt.Fprintf(t.stdout, "\n%s  %s\n", t.paint(bold, flat(p.Name)), flat(p.Title))
		var events []string
		for _, a := range p.Events {
			s := string(a)
			if counted != nil && !p.OnlyWithDocuments {
				s += fmt.Sprintf(" (%d)", p.Counts[a])
			}
			events = append(events, s)
		}
		for _, list := range []struct {
			what  string
			names []string
		}{{"events", events}, {"documents", p.Documents}} {
			if len(list.names) > 0 {
				fmt.Fprintf(t.stdout, "  %-10s %s\n", list.what, flat(strings.Join(list.names, ", ")))
			}
		}
	}
	if len(r.Checks) > 0 {
		fmt.Fprintf(t.stdout, "\n%s\n", t.paint(bold, "checks"))
		for _, k := range r.Checks {
			fmt.Fprintf(t.stdout, "  %s  %s  %s\n", flat(k.ID), flat(k.Title), t.paint(dim, "["+flat(k.From)+"]"))
		}
	}
}
