package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/exchange"
	"slipway/inventory"
	"slipway/provider"
	"slipway/provider/catalog"
	"slipway/repo"
)

func (t *tool) inventoryCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "inventory",
		Short:   "Take stock of the zones that you have, and begin a zones repository with them",
		GroupID: groupCheck,
		Args:    noArguments,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(t.inventoryTake(), t.inventoryGaps())
	return c
}

// stock are the flags of slipway inventory take.
type stock struct {
	into, history, registry string
	out                     *format
}

func (t *tool) inventoryTake() *cobra.Command {
	var o stock
	var look outside
	c := &cobra.Command{
		Use:   "take SETTINGS --into DIR",
		Short: "List all zones that your credentials see, and write a first repository",
		Long: `Asks every provider that SETTINGS names for its zones, reads each, and writes a zones
repository: the zones as they are served, and a slipway.yaml in which every zone is
unclassified, with a guess beside it who owns it. It shows what is missing: zones without
an owner, names that point at nothing, mail that anybody could send, domains that expire.
Nothing outside DIR is changed.

SETTINGS is the beginning of a slipway.yaml, with credentials as references:

  organisation: Fin Micro Ltd
  domain: finmicro.example
  providers:
    aws:  {type: route53, access-key-id: AKIA…, secret-key: env:AWS_SECRET_ACCESS_KEY}
    bind: {type: rfc2136, server: 192.0.2.53, key-name: slipway, key-secret: file:/etc/slipway/tsig}
  zones:                                   # of providers that cannot list theirs
    corp.finmicro.example: {provider: bind}

Owners are guessed from tags and labels, RP and TXT records, who gets the DMARC reports,
and, with --history, from who made the commits in the repository of your present tool.
With --registry the registries are asked by RDAP when domains expire and whether they
are locked; with --online the DNS is asked whether what zones point at exists.

Exit code 0: done. 1: DIR is not empty. 2: nothing could be read.`,
		Example: `  slipway inventory take settings.yaml --into zones --history ~/octodns --registry iana --online
  slipway inventory gaps zones`,
		Args: one("SETTINGS"),
		RunE: func(c *cobra.Command, args []string) error { return t.takeStock(c.Context(), o, look, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&o.into, "into", "", "the folder for the repository; it must be new or empty")
	f.StringVar(&o.history, "history", "", "folder with the Git repository of your present tool: its commits tell who looks after which zone")
	f.StringVar(&o.registry, "registry", "off", "ask when domains expire: iana (each at its registry), the address of one RDAP server, or off")
	look.flags(c)
	o.out = formatFlag(c)
	return c
}

func (t *tool) takeStock(ctx context.Context, o stock, look outside, file string) error {
	if o.into == "" {
		return &usage{what: "--into is missing", help: "Name a new folder for the repository, such as --into zones."}
	}
	if entries, err := os.ReadDir(o.into); err == nil && len(entries) > 0 {
		return &refusal{what: o.into + " is not empty, and nothing was written.", help: "Choose a new folder."}
	}
	src, err := readBounded(file, 1<<20)
	if err != nil {
		return err
	}
	settings, err := repo.ParseSettings(filepath.Base(file), src)
	if err != nil {
		return err
	}
	registry, err := registryOf(o.registry)
	if err != nil {
		return err
	}
	var seen comparison
	asOf, err := look.open(t, &seen, t.now())
	if err != nil {
		return err
	}
	m := t.busy("Reading zones")
	defer m.end()
	opened := catalog.New(catalog.Options{Now: t.now})
	inv, err := inventory.Take(ctx, inventory.Options{
		Settings: settings, History: o.history, Registry: registry, Now: t.now(),
		Open: func(ctx context.Context, name string) (provider.Provider, error) {
			set := settings.Providers[name]
			return opened.Open(ctx, name, set.Type, set.Params)
		},
		Progress: func(done, total int) { m.count(uint64(done), uint64(total)) },
	})
	if err != nil {
		return err
	}
	if len(inv.Zones) == 0 {
		var why []string
		for _, p := range inv.Providers {
			why = append(why, fmt.Sprintf("%s: %s", p.Name, p.Problem))
		}
		return fmt.Errorf("no zone was found, and nothing was written (%s)", strings.Join(why, "; "))
	}
	files, losses, err := inv.Files()
	if err != nil {
		return err
	}
	if err := t.writeRepository(ctx, o.into, files); err != nil {
		return err
	}
	found, err := t.judgeStock(ctx, o.into, &seen, asOf)
	if err != nil {
		return err
	}
	if err := look.keep(&seen); err != nil {
		return err
	}
	m.end()
	gaps := append(inv.Gaps(), found...)
	inventory.Sort(gaps)
	return t.showStock(o, inv, gaps, losses)
}

func registryOf(s string) (*inventory.Registry, error) {
	switch s {
	case "off":
		return nil, nil
	case "iana":
		return &inventory.Registry{}, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, &usage{what: fmt.Sprintf("--registry %s is not iana, off, or the address of an RDAP server", s)}
	}
	return &inventory.Registry{Server: u}, nil
}

// writeRepository makes the repository with the files as its first commit.
func (t *tool) writeRepository(ctx context.Context, dir string, files map[string][]byte) error {
	kit, err := os.MkdirTemp("", "slipway-inventory-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(kit)
	for name, content := range files {
		path := filepath.Join(kit, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	by := repo.Person{Name: gitSays(ctx, ".", "config", "user.name"), Email: gitSays(ctx, ".", "config", "user.email")}
	if by.Email == "" {
		by = repo.Person{Name: "Slipway", Email: "slipway@localhost"}
	}
	_, err = repo.InitWorkTree(ctx, dir, os.DirFS(kit), by, t.now())
	var broken *fs.PathError
	if err != nil && !errors.As(err, &broken) && ctx.Err() == nil {
		return &refusal{what: err.Error()}
	}
	return err
}

func (t *tool) showStock(o stock, inv *inventory.Inventory, gaps []inventory.Gap, losses []exchange.Loss) error {
	if *o.out == asJSON {
		if losses == nil {
			losses = []exchange.Loss{}
		}
		return t.printJSON(struct {
			*inventory.Inventory
			Gaps   []inventory.Gap `json:"gaps"`
			Losses []exchange.Loss `json:"losses"`
			Into   string          `json:"into"`
		}{inv, gaps, losses, o.into})
	}
	records := 0
	for _, z := range inv.Zones {
		records += z.Records
	}
	fmt.Fprintf(t.stdout, "%s with %s at %s.\n\n", plural(len(inv.Zones), "zone"), plural(records, "record"), plural(len(inv.Providers), "provider"))
	for _, z := range inv.Zones {
		owner := "nobody known"
		if len(z.Owners) > 0 {
			owner = z.Owners[0].Owner + " (" + z.Owners[0].Why + ")"
		}
		fmt.Fprintf(t.stdout, "  %s  %s at %s, owner: %s\n", z.Name.Unicode(), plural(z.Records, "record"), strings.Join(z.Providers, " and "), flat(owner))
	}
	t.showGaps(gaps)
	fmt.Fprintf(t.stderr, "\nNext: look through %s, say for each zone whether it is internal or external and who may approve, then\n  slipway inventory gaps %s\n  slipwayd serve --repository %s\n",
		filepath.Join(o.into, repo.SettingsPath), o.into, o.into)
	return nil
}

// What the kinds of gaps are called.
var gapWords = map[inventory.Kind]string{
	inventory.Unread: "Could not be read", inventory.Expiring: "Domains that expire", inventory.Dangling: "Point at what is gone, or what others could take",
	inventory.Mail: "Others could send mail in their name", inventory.NoOwner: "No owner known", inventory.Unlocked: "Domains that are not locked",
	inventory.Unclassified: "Not classified yet", inventory.Other: "Other findings",
}

const mostGaps = 10 // of one kind, as text

func (t *tool) showGaps(gaps []inventory.Gap) {
	for _, kind := range inventory.Kinds() {
		var some []inventory.Gap
		for _, g := range gaps {
			if g.Kind == kind {
				some = append(some, g)
			}
		}
		if len(some) == 0 {
			continue
		}
		fmt.Fprintf(t.stdout, "\n%s (%d)\n", gapWords[kind], len(some))
		for i, g := range some {
			if i == mostGaps {
				fmt.Fprintf(t.stdout, "  … and %d more; --format json lists them all\n", len(some)-i)
				break
			}
			where := g.Name
			if where == "" {
				where = g.Zone.Unicode()
			}
			if where != "" {
				where += ": "
			}
			fmt.Fprintln(t.stdout, "  "+flat(where+g.Text))
		}
	}
}

func (t *tool) inventoryGaps() *cobra.Command {
	var look outside
	var strict []string
	var out *format
	c := &cobra.Command{
		Use:   "gaps [DIR]",
		Short: "Show what a zones repository still lacks",
		Long: `Lets every rule look at the whole repository, and lists what is missing or wrong in order
of urgency, with the zones that nobody has classified yet. Run it again and again while
you work through the list.

Exit code 0: shown. 1: with --fail, a gap of that kind is there. 2: the repository cannot be read.`,
		Example: `  slipway inventory gaps
  slipway inventory gaps zones --online --format json
  slipway inventory gaps --fail dangling,mail        for a pipeline`,
		Args: atMostOne,
		RunE: func(c *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			for _, kind := range strict {
				if !slices.Contains(inventory.Kinds(), inventory.Kind(kind)) {
					return &usage{what: fmt.Sprintf("--fail %s: there is no such kind of gap", kind), help: fmt.Sprintf("The kinds are %v.", inventory.Kinds())}
				}
			}
			var seen comparison
			asOf, err := look.open(t, &seen, t.now())
			if err != nil {
				return err
			}
			gaps, err := t.judgeStock(c.Context(), dir, &seen, asOf)
			if err == nil {
				err = look.keep(&seen)
			}
			if err != nil {
				return err
			}
			inventory.Sort(gaps)
			if *out == asJSON {
				err = t.printJSON(map[string]any{"gaps": gaps})
			} else if t.showGaps(gaps); len(gaps) == 0 {
				fmt.Fprintln(t.stdout, "Nothing is missing that the rules know of.")
			}
			if err == nil && slices.ContainsFunc(gaps, func(g inventory.Gap) bool { return slices.Contains(strict, string(g.Kind)) }) {
				return errAnswerIsNo
			}
			return err
		},
	}
	c.Flags().StringSliceVar(&strict, "fail", nil, "exit with 1 when there is a gap of this kind; may be repeated")
	look.flags(c)
	out = formatFlag(c)
	return c
}

// judgeStock lets the rules look at all of a repository.
func (t *tool) judgeStock(ctx context.Context, dir string, seen *comparison, asOf time.Time) ([]inventory.Gap, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, &usage{what: dir + ": there is no such folder"}
	}
	r, err := t.repository(ctx, dir, "off") // it is looked at once
	if err != nil {
		return nil, err
	}
	defer r.Close()
	tree, err := r.WorkTree(ctx)
	if err != nil {
		return nil, err
	}
	return inventory.Judge(ctx, r, tree, seen.seen, asOf)
}
