package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slipway/exchange"
	"slipway/repo"
	"slipway/zone"
)

// outgoing are the flags of slipway export.
type outgoing struct {
	to, into, dir, head string
	provider            string
	zones               []string
	force               bool
	out                 *format
}

func (t *tool) exportCommand() *cobra.Command {
	var o outgoing
	c := &cobra.Command{
		Use:   "export --to FORM --into DIR",
		Short: "Take zones out to BIND, octoDNS, DNSControl or Terraform",
		Long: `Writes the zones as they are served, zone files and apps together, for another tool. You
are never locked in: what comes out can be brought in again with slipway import, and
whatever the other tool cannot represent is named.

  bind        one zone file a zone, which named-checkzone accepts
  octodns     one octoDNS YAML file a zone
  dnscontrol  dnscontrol.json, for dnscontrol preview --ir
  terraform   zones.tf.json, with the resources of --provider route53 or google

Exit code 0: done. 1: a file would be overwritten. 2: the zones cannot be read.`,
		Example: `  slipway export --to bind --into out
  slipway export --to terraform --provider google --zone example.org --into out
  slipway export --to octodns --head v2 --into out     as of a tag`,
		GroupID: groupCheck,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return t.takeOut(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.to, "to", "", "what to write: bind, octodns, dnscontrol or terraform")
	f.StringVar(&o.into, "into", "", "the folder for the files")
	f.StringVar(&o.dir, "repo", ".", "the zones repository")
	f.StringVar(&o.head, "head", workTree, "a commit, branch or tag, or worktree for the files on disk")
	f.StringSliceVar(&o.zones, "zone", nil, "only this zone; may be repeated")
	f.StringVar(&o.provider, "provider", "route53", "whose Terraform resources: "+strings.Join(exchange.TerraformProviders(), " or "))
	f.BoolVar(&o.force, "force", false, "overwrite files that are there")
	c.RegisterFlagCompletionFunc("to", cobra.FixedCompletions([]string{"bind", "octodns", "dnscontrol", "terraform"}, cobra.ShellCompDirectiveNoFileComp))
	o.out = formatFlag(c)
	return c
}

func (t *tool) takeOut(ctx context.Context, o outgoing) error {
	if o.into == "" {
		return &usage{what: "--into is missing", help: "Name the folder for the files, such as --into out."}
	}
	if !slices.Contains([]string{"bind", "octodns", "dnscontrol", "terraform"}, o.to) {
		return &usage{what: fmt.Sprintf("--to %s: there is no such form", o.to), help: "Use bind, octodns, dnscontrol or terraform."}
	}
	if !slices.Contains(exchange.TerraformProviders(), o.provider) {
		return &usage{what: fmt.Sprintf("--provider %s: there are no resources of it", o.provider), help: "Use " + strings.Join(exchange.TerraformProviders(), " or ") + "."}
	}
	wanted, err := zoneNames(o.zones)
	if err != nil {
		return err
	}
	m := t.busy("Reading")
	defer m.end()
	zones, err := o.read(ctx, wanted)
	if err != nil {
		return err
	}
	files, losses, err := o.write(zones, t)
	if err != nil {
		return err
	}
	m.end()
	if err := writeOut(o.into, files, o.force); err != nil {
		return err
	}
	return t.showExchange(*o.out, o.into, files, zones, losses)
}

func (o outgoing) read(ctx context.Context, wanted []zone.Name) ([]exchange.Zone, error) {
	if noFile(o.dir) {
		return nil, &usage{what: fmt.Sprintf("--repo %s: there is no such folder", o.dir)}
	}
	r, err := repo.Open(ctx, o.dir)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var head *repo.Tree
	if o.head == workTree {
		head, err = r.WorkTree(ctx)
	} else {
		head, err = tree(ctx, r, "--head", o.head)
	}
	if err != nil {
		return nil, err
	}
	names, err := head.ZoneNames(ctx)
	if err != nil {
		return nil, err
	}
	if len(wanted) > 0 {
		names = wanted
	}
	var zones []exchange.Zone
	for _, n := range names {
		sets, err := head.Served(ctx, n)
		if errors.Is(err, repo.ErrNotFound) {
			return nil, &usage{what: fmt.Sprintf("--zone %s: the repository has no such zone", n)}
		}
		if err != nil {
			return nil, err
		}
		zones = append(zones, exchange.Zone{Name: n, Sets: sets})
	}
	return zones, nil
}

func (o outgoing) write(zones []exchange.Zone, t *tool) ([]exchange.File, []exchange.Loss, error) {
	switch o.to {
	case "bind":
		return exchange.WriteBIND(zones, exchange.BINDOptions{Now: t.now(), DefaultTTL: 3600})
	case "octodns":
		return exchange.WriteOctoDNS(zones)
	case "dnscontrol":
		return exchange.WriteDNSControl(zones)
	}
	return exchange.WriteTerraform(zones, o.provider)
}
