package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"slipway/exchange"
	"slipway/zone"
)

// incoming are the flags of slipway import.
type incoming struct {
	from, into            string
	zones                 []string
	force                 bool
	keyName, keyAlgorithm string
	keyFile               string
	out                   *format
}

func (t *tool) importCommand() *cobra.Command {
	var o incoming
	c := &cobra.Command{
		Use:   "import --from FORM SOURCE --into DIR",
		Short: "Bring zones in from BIND, a nameserver, octoDNS, DNSControl or Terraform",
		Long: `Reads zones from another tool and writes them as octoDNS zone files, for you to look at
and commit. Nothing that is there is overwritten, unless you say --force. Whatever could not
be represented is named; it is never left out in silence.

  bind        a zone file, or a folder of them
  axfr        a nameserver's address; it must allow the transfer of each --zone
  octodns     a folder of zone files, or one of them
  dnscontrol  the JSON of dnscontrol print-ir
  terraform   a state file, the JSON of terraform show -json, or *.tf.json, with the records of
              Route 53, Cloudflare, Google Cloud DNS and Azure DNS

Exit code 0: done, also when something could not be represented. 1: a file would be overwritten.
2: the source cannot be read.`,
		Example: `  slipway import --from bind /etc/bind/zones --into zones
  slipway import --from axfr ns1.example.net --zone example.org --into zones
  slipway import --from axfr 192.0.2.53:5353 --zone example.org --tsig-file mirror.key --into zones
  slipway import --from terraform terraform.tfstate --into zones`,
		GroupID: groupCheck,
		Args:    one("SOURCE"),
		RunE: func(c *cobra.Command, args []string) error {
			return t.bringIn(c.Context(), o, args[0])
		},
	}
	f := c.Flags()
	f.StringVar(&o.from, "from", "", "where the zones come from: bind, axfr, octodns, dnscontrol or terraform")
	f.StringVar(&o.into, "into", "", "the folder for the zone files")
	f.StringSliceVar(&o.zones, "zone", nil, "the zone: which to transfer, or whose the source is when it does not say; may be repeated")
	f.BoolVar(&o.force, "force", false, "overwrite zone files that are there")
	f.StringVar(&o.keyFile, "tsig-file", "", "file with the TSIG key: its secret alone, or as tsig-keygen writes it")
	f.StringVar(&o.keyName, "tsig-key", "", "name of the TSIG key (default: the file's)")
	f.StringVar(&o.keyAlgorithm, "tsig-algorithm", "", "algorithm of the TSIG key (default: the file's, or hmac-sha256)")
	c.RegisterFlagCompletionFunc("from", cobra.FixedCompletions([]string{"bind", "axfr", "octodns", "dnscontrol", "terraform"}, cobra.ShellCompDirectiveNoFileComp))
	o.out = formatFlag(c)
	return c
}

func (t *tool) bringIn(ctx context.Context, o incoming, source string) error {
	if o.into == "" {
		return &usage{what: "--into is missing", help: "Name the folder for the zone files, such as --into zones."}
	}
	zones, err := zoneNames(o.zones)
	if err != nil {
		return err
	}
	m := t.busy("Reading")
	defer m.end()
	found, err := o.read(ctx, source, zones)
	if err != nil {
		return err
	}
	files, losses, err := exchange.WriteOctoDNS(found.Zones)
	if err != nil {
		return err
	}
	m.end()
	if err := writeOut(o.into, files, o.force); err != nil {
		return err
	}
	return t.showExchange(*o.out, o.into, files, found.Zones, append(found.Losses, losses...))
}

func (o incoming) read(ctx context.Context, source string, zones []zone.Name) (*exchange.Result, error) {
	if o.from != "axfr" && (o.keyFile != "" || o.keyName != "" || o.keyAlgorithm != "") {
		return nil, &usage{what: "a TSIG key is only for --from axfr"}
	}
	single := func() (zone.Name, error) {
		switch len(zones) {
		case 0:
			return "", nil
		case 1:
			return zones[0], nil
		}
		return "", &usage{what: "--zone can be given once with --from " + o.from}
	}
	switch o.from {
	case "bind":
		z, err := single()
		if err != nil {
			return nil, err
		}
		return exchange.ReadBIND(source, z)
	case "axfr":
		if len(zones) == 0 {
			return nil, &usage{what: "--zone is missing", help: "A nameserver does not list its zones: name each one."}
		}
		key, err := o.key()
		if err != nil {
			return nil, err
		}
		return exchange.ReadAXFR(ctx, exchange.Transfer{Server: source, TSIG: key}, zones)
	case "octodns", "dnscontrol":
		if len(zones) > 0 {
			return nil, &usage{what: "--zone is not for --from " + o.from + ", which names its zones"}
		}
		if o.from == "octodns" {
			return exchange.ReadOctoDNS(source)
		}
		return exchange.ReadDNSControl(source)
	case "terraform":
		z, err := single()
		if err != nil {
			return nil, err
		}
		return exchange.ReadTerraform(source, z)
	case "":
		return nil, &usage{what: "--from is missing", help: "Use bind, axfr, octodns, dnscontrol or terraform."}
	}
	return nil, &usage{what: fmt.Sprintf("--from %s: zones cannot come from there", o.from), help: "Use bind, axfr, octodns, dnscontrol or terraform."}
}

// key reads the TSIG key. Its secret is never an argument, which others on the machine could see.
func (o incoming) key() (*exchange.TSIG, error) {
	if o.keyFile == "" {
		if o.keyName != "" || o.keyAlgorithm != "" {
			return nil, &usage{what: "--tsig-file is missing", help: "Write the key's secret into a file that only you can read, and name it."}
		}
		return nil, nil
	}
	content, err := readBounded(o.keyFile, 64<<10)
	if err != nil {
		return nil, err
	}
	key, err := exchange.ParseTSIG(content, o.keyName, o.keyAlgorithm)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.keyFile, err)
	}
	return key, nil
}

func zoneNames(args []string) ([]zone.Name, error) {
	var out []zone.Name
	for _, s := range args {
		n, err := zone.ParseName(s)
		if err != nil || s == "" {
			return nil, &usage{what: fmt.Sprintf("--zone %s is not a zone's name", s)}
		}
		out = append(out, n)
	}
	return out, nil
}

// writeOut turns the refusal to overwrite into one that says what to do.
func writeOut(dir string, files []exchange.File, force bool) error {
	err := exchange.WriteFiles(dir, files, force)
	var exists *exchange.Exists
	if errors.As(err, &exists) {
		shown := exists.Paths[:min(5, len(exists.Paths))]
		what := strings.Join(shown, ", ")
		if n := len(exists.Paths) - len(shown); n > 0 {
			what += fmt.Sprintf(" and %d more", n)
		}
		return &refusal{what: what + " would be overwritten; nothing was written.", help: "Choose another folder, or add --force."}
	}
	return err
}

// showExchange says what was written and, on standard error, what was lost.
func (t *tool) showExchange(out format, dir string, files []exchange.File, zones []exchange.Zone, losses []exchange.Loss) error {
	paths := []string{}
	for _, f := range files {
		paths = append(paths, filepath.Join(dir, f.Name))
	}
	records := 0
	for _, z := range zones {
		for _, r := range z.Sets {
			records += len(r.Values)
		}
	}
	if out == asJSON {
		if losses == nil {
			losses = []exchange.Loss{}
		}
		return t.printJSON(struct {
			Files   []string        `json:"files"`
			Zones   int             `json:"zones"`
			Records int             `json:"records"`
			Losses  []exchange.Loss `json:"losses"`
		}{paths, len(zones), records, losses})
	}
	for _, p := range paths {
		fmt.Fprintln(t.stdout, "wrote", flat(p))
	}
	fmt.Fprintf(t.stderr, "%s with %s.\n", plural(len(zones), "zone"), plural(records, "record"))
	if len(losses) == 0 {
		return nil
	}
	fmt.Fprintf(t.stderr, "\nNot everything has a place there (%d):\n", len(losses))
	for i, l := range losses {
		if i == mostValues {
			fmt.Fprintf(t.stderr, "  … and %d more; --format json lists them all\n", len(losses)-i)
			break
		}
		fmt.Fprintln(t.stderr, "  "+flat(l.String()))
	}
	return nil
}

// noFile says whether a path names nothing.
func noFile(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}
