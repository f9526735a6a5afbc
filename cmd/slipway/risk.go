package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"slipway/check/risk"
	"slipway/repo"
	"slipway/zone"
)

func (t *tool) riskCommand() *cobra.Command {
	return group("risk", "Find out how risky a name is",
		`Risk is measured from facts, such as how much a name resembles a brand. What each fact
weighs is decided by the policy slipway.tier. These commands need no server and change nothing.`,
		groupCheck, t.riskExplainCommand())
}

// resemblance is what `risk explain` answers.
type resemblance struct {
	Name     zone.Name      `json:"name"`
	Shown    string         `json:"shown"`          // as people read it
	Zone     zone.Name      `json:"zone,omitempty"` // of ours, that it would stand in
	Score    float64        `json:"score"`
	Reason   string         `json:"reason"`
	Measures []risk.Measure `json:"measures"`
}

func (t *tool) riskExplainCommand() *cobra.Command {
	var dir string
	var brands []string
	var out *format
	c := &cobra.Command{
		Use:   "explain NAME",
		Short: "Show how much a name resembles the organisation's brands, and in which way",
		Long: `Measures a name against every brand and domain of the organisation, in every way that
people are fooled by: the brand itself, beside a word that forged sites use, inside a
longer word, letters that look alike, slips on the keyboard, flipped bits, changed
letters, another ending. Each way has a score from 0 (no likeness) to 1, and the
strongest counts. The brands are those of slipway.yaml.

Exit code 0: it was measured, whatever came out. 2: the name or the settings are unusable.`,
		Example: `  slipway risk explain login-finmicro.finmicro.example
  slipway risk explain finmicro.net --repo zones --format json
  slipway risk explain paypa1.example --brand paypal`,
		Args: one("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			name, err := zone.ParseName(args[0])
			if err != nil || name == "." || name == "" {
				return &usage{what: fmt.Sprintf("%q is not a name", args[0]), help: "Write it as people would: shop.example.com"}
			}
			r, err := measure(c.Context(), dir, name, brands)
			if err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(r)
			}
			return t.showResemblance(r)
		},
	}
	c.Flags().StringVar(&dir, "repo", ".", "the zones repository")
	c.Flags().StringSliceVar(&brands, "brand", nil, "measure against this brand instead of those of slipway.yaml; may be repeated")
	out = formatFlag(c)
	return c
}

// measure compares a name with the brands of the settings on disk, or with those given.
func measure(ctx context.Context, dir string, name zone.Name, brands []string) (resemblance, error) {
	against, apex := risk.NewBrands(brands), zone.Name("")
	if len(brands) == 0 {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return resemblance{}, &usage{what: fmt.Sprintf("--repo %s: there is no such folder", dir)}
		}
		r, err := repo.Open(ctx, dir)
		if errors.Is(err, repo.ErrNotFound) {
			return resemblance{}, &usage{what: fmt.Sprintf("--repo %s is not a zones repository", dir), help: "Name the folder of one with --repo, or a brand with --brand."}
		}
		if err != nil {
			return resemblance{}, err
		}
		defer r.Close()
		head, err := r.WorkTree(ctx)
		if err != nil {
			return resemblance{}, err
		}
		settings, err := head.Settings(ctx)
		if err != nil {
			return resemblance{}, err
		}
		against = risk.OfOrganisation(settings)
		apex, _ = settings.ZoneOf(name)
	}
	out := resemblance{Name: name, Shown: name.Unicode(), Zone: apex, Measures: against.Explain(name, apex), Reason: "it resembles no brand"}
	if best, ok := against.Match(name, apex); ok {
		out.Score, out.Reason = best.Value, best.Reason
	}
	return out, nil
}

func (t *tool) showResemblance(r resemblance) error {
	fmt.Fprintf(t.stdout, "%s  %s: %s\n", t.paint(bold, flat(r.Shown)), fmt.Sprintf("%.2f", r.Score), flat(r.Reason))
	if r.Shown != string(r.Name) {
		fmt.Fprintf(t.stdout, "  in the DNS it is written %s\n", plain(string(r.Name)))
	}
	if r.Zone != "" {
		fmt.Fprintf(t.stdout, "  it would stand in our zone %s, whose own name is not measured\n", flat(r.Zone.Unicode()))
	}
	if len(r.Measures) == 0 {
		fmt.Fprintln(t.stdout, "  there is no brand to measure it against: slipway.yaml lists none under brands")
		return nil
	}
	fmt.Fprintln(t.stdout)
	var rows [][]string
	for _, m := range r.Measures {
		reason := "no"
		if m.Score > 0 {
			reason = m.Reason
		}
		rows = append(rows, []string{m.Brand, strings.ToLower(m.Name), fmt.Sprintf("%.2f", m.Score), reason})
	}
	return t.table([]string{"AGAINST", "MEASURE", "SCORE", "WHY"}, rows)
}
