package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/check"
	"slipway/check/finding"
	"slipway/check/policy"
	"slipway/starter"
)

// This file holds the commands that run policies: explain, test and bench.

func (t *tool) policyExplainCommand() *cobra.Command {
	var s subject
	var out *format
	c := &cobra.Command{
		Use:   "explain",
		Short: "Say which policies speak against a change, and what made them",
		Long: `Judges a change as slipway check does, watching the policies while they decide. For
everything that a policy says it shows the rule, where it stands, and the parts of the
policies' input that the rule looked at: docs/policy-input.md describes those.

Exit code 0: no policy stops the change. 1: one does. 2: it cannot be judged.`,
		Example: `  slipway policy explain
  slipway policy explain --base HEAD~1 --head HEAD --format json`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			var found []policy.Explanation
			err := t.about(c.Context(), s, func(in check.Input) (err error) {
				found, err = engine().Explain(c.Context(), in)
				return err
			})
			if err != nil {
				return err
			}
			if *out == asJSON {
				err = t.printJSON(found)
			} else {
				t.showExplanations(found)
			}
			for _, e := range found {
				if e.Finding.Stops() && err == nil {
					err = errAnswerIsNo
				}
			}
			return err
		},
	}
	s.flags(c)
	out = formatFlag(c)
	return c
}

func (t *tool) showExplanations(found []policy.Explanation) {
	if len(found) == 0 {
		fmt.Fprintln(t.stdout, "No policy has anything to say about this change.")
	}
	for i, e := range found {
		if i > 0 {
			fmt.Fprintln(t.stdout)
		}
		word := t.paint(yellow, "look")
		switch {
		case e.Finding.Stops():
			word = t.paint(red, "stop")
		case e.Finding.Severity == finding.Deny:
			word = t.paint(yellow, "rule")
		}
		fmt.Fprintf(t.stdout, "%s  %s\n", word, flat(e.Finding.Message))
		fmt.Fprintf(t.stdout, "  said by  %s (%s), %s, at %s\n", plain(e.Finding.Rule), plain(dash(e.Rule.Title)), e.Rule.Enforcement, plain(e.Rule.Place.String()))
		if e.Zone != "" {
			fmt.Fprintf(t.stdout, "  asked about zone  %s\n", plain(e.Zone.Unicode()))
		}
		for i, b := range e.Because {
			head := "because"
			if i > 0 {
				head = "       "
			}
			fmt.Fprintf(t.stdout, "  %s  %s\n", head, flat(b.String()))
		}
	}
}

func (t *tool) policyTestCommand() *cobra.Command {
	var atLeast float64
	var out *format
	c := &cobra.Command{
		Use:   "test [DIR]",
		Short: "Run the tests of policies, and say which lines they leave out",
		Long: `Runs every rule named test_… in the *_test.rego files of a folder (default policies),
beside the policies that Slipway ships, and measures how many lines of the folder's
policies the tests run.

Exit code 0: all pass. 1: a test fails, or the coverage is below --min-coverage.
2: a policy or test is not valid.`,
		Example: `  slipway policy test
  slipway policy test zones/policies --min-coverage 90`,
		Args: atMostOne,
		RunE: func(c *cobra.Command, args []string) error {
			dir := "policies"
			if len(args) == 1 {
				dir = args[0]
			}
			if atLeast < 0 || atLeast > 100 {
				return &usage{what: "--min-coverage is a percentage from 0 to 100"}
			}
			own, err := regoFolder(dir)
			if err != nil {
				return err
			}
			shipped, err := policy.Starter(starter.Policies())
			if err != nil {
				return err
			}
			r, err := policy.Test(c.Context(), own.Files, shipped, own)
			if err != nil {
				return err
			}
			if *out == asJSON {
				err = t.printJSON(r)
			} else {
				t.showTests(r)
			}
			if err == nil && (r.Failed > 0 || r.Coverage < atLeast) {
				err = errAnswerIsNo
			}
			return err
		},
	}
	c.Flags().Float64Var(&atLeast, "min-coverage", 0, "lines, in percent, that the tests must run")
	out = formatFlag(c)
	return c
}

func (t *tool) showTests(r *policy.TestReport) {
	for _, one := range r.Tests {
		if one.Passed {
			continue
		}
		word := t.paint(red, "FAIL")
		if one.Skipped {
			word = t.paint(yellow, "skip")
		}
		fmt.Fprintf(t.stdout, "%s  %s: %s.%s\n", word, plain(one.Place.String()), plain(one.Package), plain(one.Name))
		if one.Problem != "" {
			fmt.Fprintf(t.stdout, "      %s\n", flat(one.Problem))
		}
	}
	fmt.Fprintf(t.stdout, "%d passed, %d failed", r.Passed, r.Failed)
	if r.Skipped > 0 {
		fmt.Fprintf(t.stdout, ", %d skipped", r.Skipped)
	}
	fmt.Fprintln(t.stdout)
	if len(r.Files) == 0 {
		return
	}
	fmt.Fprintf(t.stdout, "coverage %.1f%%\n", r.Coverage)
	for _, f := range r.Files {
		if len(f.Uncalled) > 0 {
			fmt.Fprintf(t.stdout, "  %5.1f%%  %s  no test runs line %s\n", f.Percent, plain(f.Path), ranges(f.Uncalled))
		}
	}
}

// ranges writes 3, 4, 5, 9 as "3-5, 9".
func ranges(lines []int) string {
	var out []string
	for i := 0; i < len(lines); {
		j := i
		for j+1 < len(lines) && lines[j+1] == lines[j]+1 {
			j++
		}
		one := fmt.Sprint(lines[i])
		if j > i {
			one = fmt.Sprintf("%d-%d", lines[i], lines[j])
		}
		out = append(out, one)
		i = j + 1
	}
	return strings.Join(out, ", ")
}

func (t *tool) policyBenchCommand() *cobra.Command {
	var s subject
	var rounds int
	var out *format
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure how long each policy takes over a change",
		Long: `Asks every rule about a change many times, and shows the shortest and the average
time, slowest first. Policies that take too long make a change impossible to judge.`,
		Example: `  slipway policy bench
  slipway policy bench --head big-change --rounds 100`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if rounds < 1 || rounds > 100_000 {
				return &usage{what: "--rounds is a number from 1 to 100000"}
			}
			var times []policy.Timing
			err := t.about(c.Context(), s, func(in check.Input) (err error) {
				m := t.busy("Measuring")
				defer m.end()
				times, err = engine().Time(c.Context(), in, rounds, time.Now)
				return err
			})
			if err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(times)
			}
			var rows [][]string
			for _, one := range times {
				rows = append(rows, []string{one.Rule, one.Best.Round(100 * time.Nanosecond).String(), one.Mean.Round(100 * time.Nanosecond).String()})
			}
			return t.table([]string{"RULE", "SHORTEST", "AVERAGE"}, rows)
		},
	}
	s.flags(c)
	c.Flags().IntVar(&rounds, "rounds", 20, "how often to ask each rule")
	out = formatFlag(c)
	return c
}
