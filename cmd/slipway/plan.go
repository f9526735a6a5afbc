package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"slipway/internal/durable"
	"slipway/provider/planfile"
	"slipway/report"
	"slipway/zone"
)

// planning are the flags of slipway plan.
type planning struct {
	dir, commit, base, cache string
	zones                    []string
	files                    string
	ownSettings              bool
	save, check              string
	detailed                 bool
	out                      *format
}

const detailedExitCode = "detailed-exitcode"

func (t *tool) planCommand() *cobra.Command {
	var o planning
	c := &cobra.Command{
		Use:   "plan [DIR]",
		Short: "Show what would be done to the live zones for them to be as the repository says",
		Long: `Reads the live zones at the providers that slipway.yaml names, compares them with the
files on disk (or with --commit), and shows each record set that would be created (+),
changed (~) and deleted (-), in the order in which it would be done. Nothing is changed.

Credentials are fetched from where slipway.yaml says that they are kept, by env: and
file: references. Which providers there are, and where their credentials are kept, is
taken from main and not from what is proposed: a change that nobody has approved
cannot have credentials sent anywhere. --own-settings takes them from the files, for
when you have read these.

With --out the plan is kept in a file that is bound to content by digests. --check says
whether that is still what would be done, and what was changed since if it is not.

A zone that cannot be read is named, and the others are shown.

Exit code 0: the plan was made (--check: it still holds). 1: it does not hold any more.
2: there is no plan for some zone. With --detailed-exitcode, as terraform has it, 0:
there is nothing to do, 2: there is something to do, 1: there is no plan for some zone.`,
		Example: `  slipway plan                                       all zones, as the files on disk have them
  slipway plan --zone finmicro.example               one zone
  slipway plan --commit main --out plan.json         what main says, kept in a file
  slipway plan --commit main --check plan.json       is that still so?
  slipway plan --format markdown                     for a comment
  slipway plan --detailed-exitcode; [ $? -eq 2 ]     is there anything to do?
  slipway plan --zone-files slipway-data/zones       with the embedded provider's zone files`,
		GroupID: groupCheck,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 && c.Flags().Changed("repo") {
				return o.exits(&usage{what: "DIR and --repo are the same; give one of them"})
			}
			return o.exits(atMostOne(c, args))
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.dir = args[0]
			}
			if o.check != "" {
				return o.exits(t.checkPlan(c, o))
			}
			return o.exits(t.plan(c, o))
		},
	}
	f := c.Flags()
	f.StringVar(&o.dir, "repo", ".", "the zones repository")
	f.StringVar(&o.commit, "commit", "", "what the zones are to be: a commit, branch or tag (default: the files on disk)")
	f.StringVar(&o.base, "base", "", "what is in force: its providers are asked (default: where the files left origin/main or main)")
	f.StringSliceVar(&o.zones, "zone", nil, "only this zone; may be repeated")
	f.StringVar(&o.files, "zone-files", "", "folder with the zone files of providers of type zonefile")
	f.BoolVar(&o.ownSettings, "own-settings", false, "ask the providers that the proposed slipway.yaml names, with the credentials that it names")
	f.StringVar(&o.save, "out", "", "keep the plan in this file")
	f.StringVar(&o.check, "check", "", "a file that --out has written: is it still what would be done?")
	f.BoolVar(&o.detailed, detailedExitCode, false, "exit code 0: nothing to do, 2: something to do, 1: no plan")
	f.StringVar(&o.cache, "cache", "", "folder that remembers what files hold, or off (default $"+cacheVariable+", then below the Git directory)")
	o.out = formatFlag(c, report.Markdown)
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		// Flags behind the wrong one are not read yet.
		o.detailed = o.detailed || slices.Contains(t.arguments, "--"+detailedExitCode)
		return o.exits(&usage{what: err.Error()})
	})
	return c
}

// errThereIsSomethingToDo ends a plan that has edits, for --detailed-exitcode.
var errThereIsSomethingToDo = errors.New("there is something to do")

// exits gives an outcome the exit code of --detailed-exitcode, if that is wanted.
func (o *planning) exits(err error) error {
	switch {
	case !o.detailed || err == nil:
		if errors.Is(err, errThereIsSomethingToDo) {
			return nil
		}
		return err
	case errors.Is(err, errThereIsSomethingToDo):
		return &exit{code: 2}
	}
	return &exit{code: 1, err: err}
}

func (t *tool) plan(c *cobra.Command, o planning) error {
	made, err := t.makePlan(c.Context(), o)
	if err != nil {
		return err
	}
	if err := t.printPlan(o, made); err != nil {
		return err
	}
	if o.save != "" {
		if len(made.Failed) > 0 {
			return errors.Join(append(made.errs(), &usage{what: fmt.Sprintf("--out %s: not written, because a file without the zones above would read as if there were nothing to do for them", o.save), help: "Mend what is wrong, or name the other zones with --zone."})...)
		}
		if err := t.savePlan(o.save, made.File); err != nil {
			return err
		}
	}
	if len(made.Failed) > 0 {
		return errors.Join(made.errs()...)
	}
	if !made.Empty() {
		return errThereIsSomethingToDo
	}
	return nil
}

func (t *tool) printPlan(o planning, made *livePlan) error {
	switch *o.out {
	case asJSON:
		return t.printJSON(made)
	case report.Markdown:
		return report.Plan(t.stdout, made.File, made.words())
	}
	return t.showPlan(made)
}

func (t *tool) savePlan(path string, f *planfile.File) error {
	b, err := f.Bytes()
	if err != nil {
		return err
	}
	return durable.Write(path, b, 0o644)
}

// checkPlan holds a plan file against what would be done now.
func (t *tool) checkPlan(c *cobra.Command, o planning) error {
	switch {
	case o.save != "":
		return &usage{what: "--check and --out are two questions; ask one"}
	case len(o.zones) > 0:
		return &usage{what: "--check looks at the zones of the plan; leave --zone out"}
	}
	src, err := os.Open(o.check)
	if err != nil {
		return &usage{what: "--check " + err.Error()}
	}
	defer src.Close()
	planned, err := planfile.Parse(src)
	if err != nil {
		return &refusal{what: fmt.Sprintf("--check %s: %v", o.check, err), help: "Do not act on it. Make the plan again with slipway plan --out."}
	}
	for _, z := range planned.Of {
		o.zones = append(o.zones, string(z))
	}
	now, err := t.makePlan(c.Context(), o)
	if err != nil {
		return err
	}
	if len(now.Failed) > 0 {
		return errors.Join(now.errs()...)
	}
	changed := planfile.Changed(planned, now.File)
	if *o.out == asJSON {
		err = t.printJSON(struct {
			Holds   bool                  `json:"holds"`
			Planned string                `json:"planned"`
			Now     string                `json:"now"`
			Changed []planfile.Difference `json:"changed"`
		}{len(changed) == 0, planned.Digest, now.Digest, append([]planfile.Difference{}, changed...)})
	} else {
		err = t.showChanged(planned, changed)
	}
	if err == nil && len(changed) > 0 {
		err = errAnswerIsNo
	}
	return err
}

// named reads the zones of --zone.
func (o *planning) named() ([]zone.Name, error) {
	var out []zone.Name
	for _, s := range o.zones {
		z, err := zone.ParseName(s)
		if err != nil {
			return nil, &usage{what: fmt.Sprintf("--zone %s: %v", s, err)}
		}
		if !slices.Contains(out, z) {
			out = append(out, z)
		}
	}
	return out, nil
}
