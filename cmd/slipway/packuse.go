package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"slipway/pack"
	"slipway/pack/fetch"
)

// workspace opens the packs of a zones repository's work tree.
func workspace(dir string) (*pack.Workspace, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, &usage{what: fmt.Sprintf("--repo %s: there is no such folder", dir)}
	}
	w, err := pack.OpenWorkspace(dir)
	return w, packFault(err)
}

// trustingWorkspace opens a workspace that trusts the keys of --trust beside those of packs.lock.
func trustingWorkspace(dir string, trust []string) (*pack.Workspace, error) {
	keys, err := trusted(trust)
	if err != nil {
		return nil, err
	}
	w, err := workspace(dir)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if err := w.Trust(k); err != nil {
			w.Close()
			return nil, &usage{what: err.Error()}
		}
	}
	return w, nil
}

func repoFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "repo", ".", "the zones repository")
}

// listedPack is a pack in lists, as JSON.
type listedPack struct {
	pack.Pin
	Title       string `json:"title"`
	Description string `json:"description"`
}

func (t *tool) packListCommand() *cobra.Command {
	var dir string
	var available bool
	var out *format
	c := &cobra.Command{
		Use:   "list",
		Short: "List the packs that are pinned, or those that come with Slipway",
		Example: `  slipway pack list
  slipway pack list --available`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			list := []listedPack{}
			if available {
				names, err := pack.BuiltinNames()
				if err != nil {
					return err
				}
				for _, name := range names {
					_, p, err := pack.Builtin(name)
					if err != nil {
						return err
					}
					list = append(list, listedPack{Pin: pack.Pin{Name: p.Name, Version: p.Version, Digest: p.Digest, Source: "builtin:" + name}, Title: p.Title, Description: p.Description})
				}
			} else {
				w, err := workspace(dir)
				if err != nil {
					return err
				}
				defer w.Close()
				for _, pin := range w.Lock.Packs {
					p, err := w.Pack(pin)
					if err != nil {
						return packFault(err)
					}
					list = append(list, listedPack{Pin: pin, Title: p.Title, Description: p.Description})
				}
			}
			if *out == asJSON {
				return t.printJSON(list)
			}
			if len(list) == 0 {
				fmt.Fprintln(t.stdout, "No packs are pinned. slipway pack list --available shows those that come with Slipway.")
				return nil
			}
			var rows [][]string
			for _, p := range list {
				if available {
					rows = append(rows, []string{p.Name, p.Version, flat(p.Title), flat(p.Description)})
					continue
				}
				signed := p.Key
				if p.Unsigned != "" {
					signed = "unsigned: " + p.Unsigned
				}
				rows = append(rows, []string{p.Name, p.Version, p.Digest[:19], flat(signed), flat(p.Source)})
			}
			if available {
				return t.table([]string{"PACK", "VERSION", "TITLE", "DOES"}, rows)
			}
			return t.table([]string{"PACK", "VERSION", "DIGEST", "SIGNED BY", "SOURCE"}, rows)
		},
	}
	repoFlag(c, &dir)
	c.Flags().BoolVar(&available, "available", false, "list the packs that come with Slipway")
	out = formatFlag(c)
	return c
}

func (t *tool) packShowCommand() *cobra.Command {
	var dir string
	var from sourceFlags
	var out *format
	c := &cobra.Command{
		Use:   "show PACK",
		Short: "Say in plain words what a pack does",
		Long:  `Shows the rules of a pinned pack, or of one from a source, as a page in Markdown.`,
		Example: `  slipway pack show builtin:exposure
  slipway pack show mine > docs/mine.md`,
		Args: one("PACK"),
		RunE: func(c *cobra.Command, args []string) error {
			w, err := workspace(dir)
			if err != nil {
				return err
			}
			defer w.Close()
			p, err := t.packNamed(c.Context(), w, args[0], from)
			if err != nil {
				return packFault(err)
			}
			if p == nil {
				return &usage{what: "none is no pack"}
			}
			if *out == asJSON {
				return t.printJSON(p)
			}
			page, err := p.Page(c.Context())
			if err == nil {
				_, err = fmt.Fprint(t.stdout, plain(page))
			}
			return err
		},
	}
	repoFlag(c, &dir)
	from.flags(c)
	out = formatFlag(c)
	return c
}

func (t *tool) packAddCommand() *cobra.Command {
	var dir, unsigned, digest string
	var trust []string
	var from sourceFlags
	var out *format
	c := &cobra.Command{
		Use:   "add SOURCE",
		Short: "Pin a pack: check it, keep its bundle, write packs.lock",
		Long: `Fetches a pack, checks its signature against the keys of policies/packs.lock and those
of --trust, and writes the bundle to policies/packs and the pin to policies/packs.lock.
Nothing is in force before the change is merged, which Legal, Security and Product approve.`,
		Example: `  slipway pack add builtin:email-auth
  slipway pack add oci://registry.example/packs/mine:1.2.0 --trust finmicro=packs.pem.pub
  slipway pack add git+https://git.example/packs.git//mine@v1 --unsigned "our own repository"`,
		Args: one("SOURCE"),
		RunE: func(c *cobra.Command, args []string) error {
			w, err := trustingWorkspace(dir, trust)
			if err != nil {
				return err
			}
			defer w.Close()
			src, err := t.get(c.Context(), args[0], from)
			if err != nil {
				return err
			}
			if digest != "" && digest != pack.Digest(src) {
				return &refusal{what: fmt.Sprintf("%s has the digest %s, not %s", args[0], pack.Digest(src), digest), help: "Do not use it before you know why."}
			}
			if fetch.IsBuiltin(args[0]) && unsigned == "" {
				unsigned = pack.BuiltinUnsigned
			}
			p, err := w.Admit(c.Context(), src, args[0], unsigned)
			if err != nil {
				return packFault(err)
			}
			if err := w.Save(map[string][]byte{p.Name: src}); err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(p)
			}
			fmt.Fprintf(t.stdout, "Pinned %s %s.\n%s  %s\nIt is in force once policies/ is committed and the change is approved.\n", p.Name, p.Version, p.Digest, pack.BundlePath(p.Name))
			return nil
		},
	}
	repoFlag(c, &dir)
	from.flags(c)
	c.Flags().StringArrayVar(&trust, "trust", nil, "let signatures of this public key count, NAME=FILE; may be repeated")
	c.Flags().StringVar(&unsigned, "unsigned", "", "why the pack counts without a signature; stands in packs.lock")
	c.Flags().StringVar(&digest, "digest", "", "refuse any other bundle than the one with this digest, sha256:…")
	out = formatFlag(c)
	return c
}

// updated is one pack in the answer of update.
type updated struct {
	Name    string `json:"name"`
	From    string `json:"from"`
	To      string `json:"to"`
	Digest  string `json:"digest"`
	Changed bool   `json:"changed"`
}

func (t *tool) packUpdateCommand() *cobra.Command {
	var dir, to string
	var from sourceFlags
	var out *format
	c := &cobra.Command{
		Use:   "update [NAME…]",
		Short: "Fetch pinned packs again, and pin what is new",
		Long: `Fetches packs again from where they came and pins newer versions. A pack that was
signed must be signed by a key that counts; an older version, and another bundle under
the same version, are refused. See before what would be decided differently: slipway pack diff.`,
		Example: `  slipway pack update
  slipway pack update mine --to oci://registry.example/packs/mine:1.3.0`,
		RunE: func(c *cobra.Command, args []string) error {
			w, err := workspace(dir)
			if err != nil {
				return err
			}
			defer w.Close()
			if to != "" && len(args) != 1 {
				return &usage{what: "--to needs the name of one pack"}
			}
			names := args
			if len(names) == 0 {
				for _, pin := range w.Lock.Packs {
					names = append(names, pin.Name)
				}
			}
			bundles, list := map[string][]byte{}, []updated{}
			for _, name := range names {
				pin, ok := w.Lock.Pin(name)
				if !ok {
					return &usage{what: fmt.Sprintf("no pack %q is pinned", name), help: "slipway pack list shows those that are."}
				}
				if to != "" {
					pin.Source = to
				}
				src, p, err := t.fetchUpdate(c.Context(), w, pin, from)
				if err != nil {
					return err
				}
				if p == nil {
					list = append(list, updated{Name: name, From: pin.Version, To: pin.Version, Digest: pin.Digest})
					continue
				}
				bundles[name] = src
				list = append(list, updated{Name: name, From: pin.Version, To: p.Version, Digest: p.Digest, Changed: true})
				// Later packs are checked together with this one as it will be.
				if err := w.Save(bundles); err != nil {
					return err
				}
			}
			if *out == asJSON {
				return t.printJSON(list)
			}
			for _, u := range list {
				if u.Changed {
					fmt.Fprintf(t.stdout, "%s %s → %s\n", u.Name, u.From, u.To)
				} else {
					fmt.Fprintf(t.stdout, "%s %s is the newest there is\n", u.Name, u.From)
				}
			}
			return nil
		},
	}
	repoFlag(c, &dir)
	from.flags(c)
	c.Flags().StringVar(&to, "to", "", "where the new version comes from (default: where the pinned one came from)")
	out = formatFlag(c)
	return c
}

// fetchUpdate fetches what would replace a pin. Nothing new is a nil pack.
func (t *tool) fetchUpdate(ctx context.Context, w *pack.Workspace, pin pack.Pin, from sourceFlags) ([]byte, *pack.Pack, error) {
	src, err := t.get(ctx, pin.Source, from)
	if err != nil {
		return nil, nil, err
	}
	if pack.Digest(src) == pin.Digest {
		return nil, nil, nil
	}
	next, err := pack.Open(src, nil)
	switch {
	case err != nil:
		return nil, nil, packFault(err)
	case next.Name != pin.Name:
		return nil, nil, &refusal{what: fmt.Sprintf("%s is the pack %s, not %s", pin.Source, next.Name, pin.Name)}
	case next.Version == pin.Version:
		return nil, nil, &refusal{what: fmt.Sprintf("%s gives another bundle under the version %s that is pinned", pin.Source, pin.Version), help: "A version is published once. Ask its maker; if it is right, add it anew with slipway pack add."}
	case pack.Older(next.Version, pin.Version):
		return nil, nil, &refusal{what: fmt.Sprintf("%s gives %s, which is older than the pinned %s", pin.Source, next.Version, pin.Version), help: "To go back on purpose, add the old version with slipway pack add."}
	}
	p, err := w.Admit(ctx, src, pin.Source, pin.Unsigned)
	return src, p, packFault(err)
}

func (t *tool) packRemoveCommand() *cobra.Command {
	var dir string
	var out *format
	c := &cobra.Command{
		Use:     "remove NAME",
		Short:   "Take a pack out of packs.lock",
		Example: `  slipway pack remove mine`,
		Args:    one("NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			w, err := workspace(dir)
			if err != nil {
				return err
			}
			defer w.Close()
			if !w.Remove(args[0]) {
				return &usage{what: fmt.Sprintf("no pack %q is pinned", args[0]), help: "slipway pack list shows those that are."}
			}
			if err := w.Save(nil); err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(map[string]any{"name": args[0], "removed": true})
			}
			fmt.Fprintf(t.stdout, "%s is no longer pinned, once the change is approved.\n", flat(args[0]))
			return nil
		},
	}
	repoFlag(c, &dir)
	out = formatFlag(c)
	return c
}

func (t *tool) packVerifyCommand() *cobra.Command {
	var dir string
	var trust []string
	var from sourceFlags
	var out *format
	c := &cobra.Command{
		Use:   "verify [SOURCE]",
		Short: "Check digests and signatures of the pinned packs, or of one pack",
		Long: `Without SOURCE, checks every pinned pack: its bundle has the pinned digest and the
signature that packs.lock asks for, and all of them compile together. With SOURCE, checks
that one of the trusted keys signed that pack.`,
		Example: `  slipway pack verify
  slipway pack verify mine-1.2.0.tar.gz --trust finmicro=packs.pem.pub`,
		Args: atMostOne,
		RunE: func(c *cobra.Command, args []string) error {
			w, err := trustingWorkspace(dir, trust)
			if err != nil {
				return err
			}
			defer w.Close()
			packs := []*pack.Pack{}
			if len(args) == 0 {
				pinned, err := w.Packs()
				if err != nil {
					return packFault(err)
				}
				packs = append(packs, pinned...)
			} else {
				src, err := t.get(c.Context(), args[0], from)
				if err != nil {
					return err
				}
				p, err := pack.Open(src, w.Lock.Keys)
				if err != nil {
					return packFault(err)
				}
				if p.SignedBy == "" {
					return &refusal{what: fmt.Sprintf("pack %s: nobody whose signature counts has signed it", p.Name), help: "Name the key of its maker: --trust NAME=FILE."}
				}
				packs = append(packs, p)
			}
			if err := pack.Check(c.Context(), packs); err != nil {
				return packFault(err)
			}
			if *out == asJSON {
				return t.printJSON(packs)
			}
			for _, p := range packs {
				by := "signed by " + p.SignedBy
				if p.SignedBy == "" {
					pin, _ := w.Lock.Pin(p.Name)
					by = "unsigned: " + pin.Unsigned
				}
				fmt.Fprintf(t.stdout, "%s %s  %s  %s\n", p.Name, p.Version, p.Digest, flat(by))
			}
			if len(packs) == 0 {
				fmt.Fprintln(t.stdout, "No packs are pinned.")
			}
			return nil
		},
	}
	repoFlag(c, &dir)
	from.flags(c)
	c.Flags().StringArrayVar(&trust, "trust", nil, "let signatures of this public key count, NAME=FILE; may be repeated")
	out = formatFlag(c)
	return c
}
