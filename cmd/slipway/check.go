package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"slipway/check"
	"slipway/check/observe"
	"slipway/repo"
	"slipway/report"
)

// workTree is the value of --head that stands for the files on disk.
const workTree = "worktree"

// comparison is what `check` and `diff` compare.
type comparison struct {
	dir, base, head string
	cache           string
	seen            *observe.Log // nil unless the command looks outside
}

func (o *comparison) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.dir, "repo", ".", "the zones repository")
	f.StringVar(&o.base, "base", "", "what is in force: a commit, branch or tag (default: where the head left origin/main or main)")
	f.StringVar(&o.head, "head", workTree, "what is proposed: a commit, branch or tag, or worktree for the files on disk")
	f.StringVar(&o.cache, "cache", "", "folder that remembers what files speak of, or off (default $"+cacheVariable+", then below the Git directory)")
}

// cacheVariable names the environment variable that stands for --cache.
const cacheVariable = "SLIPWAY_CACHE"

// repository opens a repository with the cache that the flag or the environment names.
func (t *tool) repository(ctx context.Context, dir, cache string) (*repo.Repo, error) {
	r, err := repo.Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	what := "--cache"
	if cache == "" {
		what, cache = cacheVariable, t.getenv(cacheVariable)
	}
	switch cache {
	case "":
	case "off":
		err = r.SetCache("")
	default:
		if err = r.SetCache(cache); err != nil {
			err = &usage{what: fmt.Sprintf("%s: %v", what, err), help: "Name a folder of your own, or off."}
		}
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// open opens the repository and finds the two sides. The caller closes the repository.
func (o *comparison) open(ctx context.Context, t *tool) (r *repo.Repo, base, head *repo.Tree, err error) {
	if info, err := os.Stat(o.dir); err != nil || !info.IsDir() {
		return nil, nil, nil, &usage{what: fmt.Sprintf("--repo %s: there is no such folder", o.dir)}
	}
	if r, err = t.repository(ctx, o.dir, o.cache); err != nil {
		return nil, nil, nil, err
	}
	if base, head, err = o.sides(ctx, r); err != nil {
		return nil, nil, nil, errors.Join(err, r.Close())
	}
	return r, base, head, nil
}

func (o *comparison) sides(ctx context.Context, r *repo.Repo) (base, head *repo.Tree, err error) {
	if o.head == workTree {
		head, err = r.WorkTree(ctx)
	} else {
		head, err = tree(ctx, r, "--head", o.head)
	}
	if err != nil {
		return nil, nil, err
	}
	if o.base != "" {
		base, err = tree(ctx, r, "--base", o.base)
	} else {
		base, err = o.defaultBase(ctx, r)
	}
	return base, head, err
}

func tree(ctx context.Context, r *repo.Repo, flag, rev string) (*repo.Tree, error) {
	commit, err := r.Resolve(ctx, rev)
	if errors.Is(err, repo.ErrNotFound) {
		return nil, &usage{what: fmt.Sprintf("%s %s: the repository has no such commit, branch or tag", flag, rev)}
	}
	if err != nil {
		return nil, err
	}
	return r.Tree(ctx, commit)
}

// mains are where main is looked for. The first that is there counts.
var mains = []string{"refs/remotes/origin/main", "refs/heads/main"}

// defaultBase is where the head left main: what a merge would compare with. Before the
// first commit it is the empty tree.
func (o *comparison) defaultBase(ctx context.Context, r *repo.Repo) (*repo.Tree, error) {
	rev := o.head
	if rev == workTree {
		rev = "HEAD"
	}
	head, err := r.Resolve(ctx, rev)
	if errors.Is(err, repo.ErrNotFound) {
		return r.EmptyTree(), nil
	}
	if err != nil {
		return nil, err
	}
	for _, main := range mains {
		commit, err := r.Resolve(ctx, main)
		if errors.Is(err, repo.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if commit, err = r.MergeBase(ctx, commit, head); errors.Is(err, repo.ErrNotFound) {
			return nil, &usage{what: "the head has no history in common with main", help: "Say with --base what to compare it with."}
		}
		if err != nil {
			return nil, err
		}
		return r.Tree(ctx, commit)
	}
	return r.Tree(ctx, head)
}

func (t *tool) checkCommand() *cobra.Command {
	var o comparison
	var as, asOf string
	var out *format
	var reports also
	var look outside
	c := &cobra.Command{
		Use:   "check",
		Short: "Judge a change: would it be allowed, and who must approve it?",
		Long: `Compares two versions of the zones repository and judges the difference: what is
wrong with it, how risky it is, and who must approve it. It needs no server and
changes nothing.

The rules, groups and policies are those of the base: a change is judged by the rules
in force, not by its own.

By itself it looks at nothing but the repository. With --online, rules also ask the DNS:
where SPF records lead, whether targets outside exist, whether signed zones hold; and they
fetch the MTA-STS policies of mail domains over HTTPS, from public addresses alone.
--record keeps the answers in a file, and --replay judges by such a file, as of the time
when it was recorded, so that the verdict comes out the same years later.

What each zone file speaks of is remembered in the folder slipway-cache below the Git
directory, so that the next check reads only what changed. The verdict is the same
without it; delete it whenever you like, or switch it off with --cache off.

Exit code 0: nothing is denied. 1: something is denied. 2: it cannot be judged; the
message begins with the file and line to mend.`,
		Example: `  slipway check                                      the files on disk, since main
  slipway check --base HEAD~1 --head HEAD            the last commit
  slipway check --format json | jq .tier             for a pipeline
  slipway check --format github --also sarif=slipway.sarif --also markdown=comment.md
                                                     annotations, code scanning and a comment
  slipway check --as ana@finmicro.example            as if Ana had asked
  slipway check --as-of 2026-01-31T12:00:00Z         as it was judged then
  slipway check --cache ~/.cache/slipway             for a Git directory that is made anew each time
  slipway check --online --record seen.json          with what the DNS says now
  slipway check --replay seen.json                   with what it said then`,
		GroupID: groupCheck,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := reports.check(); err != nil {
				return err
			}
			when, err := t.moment("--as-of", asOf)
			if err != nil {
				return err
			}
			if when, err = look.open(t, &o, when); err != nil {
				return err
			}
			v, err := t.judge(c.Context(), o, as, when)
			if err != nil {
				return err
			}
			if *out == asText {
				err = t.showVerdict(v)
			} else {
				err = report.Write(t.stdout, *out, v)
			}
			if err == nil {
				err = reports.write(v)
			}
			if err == nil {
				err = look.keep(&o)
			}
			if err == nil && v.Denied {
				err = errAnswerIsNo
			}
			return err
		},
	}
	o.flags(c)
	look.flags(c)
	c.Flags().StringVar(&as, "as", "", "e-mail address of who asks (default: the head's author, or Git's user.email)")
	c.Flags().StringVar(&asOf, "as-of", "", "judge as of this time (default now)")
	c.Flags().StringArrayVar((*[]string)(&reports), "also", nil, "write another report of the same verdict to a file, FORMAT=FILE; may be repeated")
	out = formatFlag(c, report.Formats()[2:]...)
	return c
}

func (t *tool) judge(ctx context.Context, o comparison, as string, when time.Time) (*check.Verdict, error) {
	m := t.busy("Checking")
	defer m.end()
	var v *check.Verdict
	err := t.question(ctx, o, as, when, func(in check.Input) (err error) {
		v, err = engine().Run(ctx, in)
		return err
	})
	return v, err
}

// engine judges for every command that needs no server.
func engine() *check.Engine { return check.NewEngine() }

// question opens what is compared, and gives ask all that a verdict depends on.
func (t *tool) question(ctx context.Context, o comparison, as string, when time.Time, ask func(check.Input) error) error {
	r, base, head, err := o.open(ctx, t)
	if err != nil {
		return err
	}
	defer r.Close()
	settings, err := base.Settings(ctx)
	if err != nil {
		return err
	}
	if as == "" && o.head == workTree {
		as = gitSays(ctx, o.dir, "config", "user.email")
	} else if as == "" {
		as = gitSays(ctx, o.dir, "show", "--no-patch", "--format=%ae", head.Commit())
	}
	return ask(check.Input{
		Repo: r, Base: base, Head: head, AsOf: when.UTC(), Observed: o.seen,
		Requester: check.Requester{ID: as, Groups: settings.GroupsOf(as), ThirdParty: settings.ThirdParty(as)},
	})
}

// moment reads a time as people write it. The empty string is the zero time.
func (t *tool) moment(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return at, nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return at, nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil {
		return t.now().Add(d), nil
	}
	return time.Time{}, &usage{what: fmt.Sprintf("%s %s is not a time", flag, s),
		help: "Write 2027-01-31T09:00:00Z, 2027-01-31 09:00 (your time zone), 2027-01-31, or 3h for three hours from now."}
}
