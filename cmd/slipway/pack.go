package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"slipway/check/policy"
	"slipway/pack"
	"slipway/pack/fetch"
)

// maxKeyFile bounds what is read as a key or a token.
const maxKeyFile = 64 << 10

// packCommand holds what makers of packs need (this file) and what their users need (packuse.go).
func (t *tool) packCommand() *cobra.Command {
	return group("pack", "Policy packs: build, sign, pin, update, compare",
		`A policy pack is a versioned, signed bundle of policies and data, as OPA defines
bundles. A zones repository pins packs by digest in policies/packs.lock and holds
their bundles under policies/packs, so that judging a change needs no network.

Packs come from a folder or file, https://, git+https:// (git+ssh://, git+file://),
oci://, or Slipway itself (builtin:NAME). Passwords never stand in an address:
registries take them from Docker's config.json, Git from its credential helpers,
HTTP from --token-from.

Exit code 0: done. 1: the pack is not fit, not signed by a key that counts, or would
decide differently (diff). 2: it cannot be read or fetched.`, groupCheck,
		t.packListCommand(), t.packShowCommand(), t.packAddCommand(), t.packUpdateCommand(), t.packRemoveCommand(), t.packDiffCommand(), t.packVerifyCommand(),
		t.packBuildCommand(), t.packKeyCommand(), t.packSignCommand(), t.packPublishCommand(),
	)
}

// packFault puts what packages pack and fetch say into the tool's own words: a pack
// that is not fit is a no, one that does not come is no answer.
func packFault(err error) error {
	var unfit *pack.Fault
	var absent *fetch.Fault
	switch {
	case errors.As(err, &unfit):
		return &refusal{what: unfit.Error(), help: unfit.Help}
	case errors.As(err, &absent):
		return &usage{what: absent.Error(), help: absent.Help}
	}
	return err
}

// sourceFlags are the flags of commands that fetch.
type sourceFlags struct{ token string }

func (f *sourceFlags) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.token, "token-from", "", "where the bearer token for https:// stands: env:NAME or file:PATH")
}

func (t *tool) fetchOptions(f sourceFlags) (fetch.Options, error) {
	o := fetch.Options{PlainHTTP: t.plainHTTP, UserAgent: userAgent()}
	if f.token != "" {
		token, err := t.secretFrom("--token-from", f.token)
		if err != nil {
			return o, err
		}
		o.Token = strings.TrimSpace(string(token))
	}
	return o, nil
}

// secretFrom reads a secret that is named and not given: env:NAME, file:PATH, or a path.
func (t *tool) secretFrom(flag, reference string) ([]byte, error) {
	if name, ok := strings.CutPrefix(reference, "env:"); ok {
		if v := t.getenv(name); v != "" {
			return []byte(v), nil
		}
		return nil, &usage{what: fmt.Sprintf("%s %s: the environment variable is not set", flag, reference)}
	}
	return readSmall(flag, strings.TrimPrefix(reference, "file:"))
}

func readSmall(flag, name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, &usage{what: fmt.Sprintf("%s: %v", flag, err)}
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(src) > maxKeyFile {
		err = fmt.Errorf("%s is larger than %d KiB", name, maxKeyFile>>10)
	}
	if err != nil {
		return nil, &usage{what: fmt.Sprintf("%s: %v", flag, err)}
	}
	return src, nil
}

// trusted reads --trust NAME=FILE.
func trusted(flags []string) ([]pack.Key, error) {
	var keys []pack.Key
	for _, s := range flags {
		name, file, ok := strings.Cut(s, "=")
		if !ok {
			return nil, &usage{what: fmt.Sprintf("--trust %s: write NAME=FILE", s)}
		}
		src, err := readSmall("--trust", file)
		if err != nil {
			return nil, err
		}
		keys = append(keys, pack.Key{Name: name, Public: string(src)})
	}
	return keys, nil
}

// get fetches a bundle with the meter on.
func (t *tool) get(ctx context.Context, source string, f sourceFlags) ([]byte, error) {
	o, err := t.fetchOptions(f)
	if err != nil {
		return nil, err
	}
	m := t.busy("Fetching")
	defer m.end()
	m.note(source)
	src, err := fetch.Get(ctx, source, o)
	return src, packFault(err)
}

// packResult is what build, sign and publish answer in JSON.
type packResult struct {
	*pack.Pack
	File     string             `json:"file,omitempty"`
	Target   string             `json:"target,omitempty"`
	Manifest string             `json:"manifest,omitempty"` // digest in the registry
	Tests    *policy.TestReport `json:"tests,omitempty"`
}

func (t *tool) packBuildCommand() *cobra.Command {
	var output string
	var out *format
	c := &cobra.Command{
		Use:   "build FOLDER",
		Short: "Make a bundle of a folder of policies, and run its tests",
		Long: `Makes a bundle of a folder that holds .manifest (name, version, roots), Rego files and
data.json. The policies must compile as strictly as the gate compiles them, and their
tests must pass. The same folder gives the same bundle, byte for byte.`,
		Example: `  slipway pack build packs/mine                    writes mine-1.2.0.tar.gz
  slipway pack build packs/mine --output mine.tgz`,
		Args: one("FOLDER"),
		RunE: func(c *cobra.Command, args []string) error {
			if info, err := os.Stat(args[0]); err != nil || !info.IsDir() {
				return &usage{what: args[0] + " is not a folder"}
			}
			src, err := t.get(c.Context(), args[0], sourceFlags{})
			if err != nil {
				return err
			}
			p, err := pack.Open(src, nil)
			if err != nil {
				return packFault(err)
			}
			if err := pack.Check(c.Context(), []*pack.Pack{p}); err != nil {
				return packFault(err)
			}
			tests, err := p.Test(c.Context())
			if err != nil {
				return err
			}
			for _, r := range tests.Tests {
				if !r.Passed && !r.Skipped {
					t.say(fmt.Sprintf("%s: the test %s fails %s", r.Place, r.Name, r.Problem), "")
				}
			}
			if tests.Failed > 0 {
				return &refusal{what: fmt.Sprintf("pack %s: %d of its tests fail", p.Name, tests.Failed), help: "A pack whose own tests fail is not built."}
			}
			if output == "" {
				output = fmt.Sprintf("%s-%s.tar.gz", p.Name, p.Version)
			}
			if err := os.WriteFile(output, src, 0o644); err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(packResult{Pack: p, File: output, Tests: tests})
			}
			fmt.Fprintf(t.stdout, "Built %s %s: %d tests passed.\n%s  %s\n", p.Name, p.Version, tests.Passed, p.Digest, output)
			return nil
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "file to write (default NAME-VERSION.tar.gz)")
	out = formatFlag(c)
	return c
}

func (t *tool) packKeyCommand() *cobra.Command {
	var out *format
	c := &cobra.Command{
		Use:   "key FILE",
		Short: "Make a key pair for signing packs",
		Long: `Writes a private key (ECDSA P-256) to FILE, readable by you alone, and its public half to
FILE.pub. Users of your packs trust the public half: slipway pack add --trust NAME=FILE.pub.
Other ECDSA and RSA keys in PEM form sign as well.`,
		Example: `  slipway pack key packs.pem`,
		Args:    one("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			private, public, err := pack.NewKey(t.random)
			if err != nil {
				return err
			}
			f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if errors.Is(err, os.ErrExist) {
				return &refusal{what: args[0] + " exists already", help: "Another key would make what this one signed worthless. Choose another name."}
			}
			if err != nil {
				return err
			}
			_, err = f.Write(private)
			if err = errors.Join(err, f.Close()); err != nil {
				return err
			}
			if err := os.WriteFile(args[0]+".pub", public, 0o644); err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(map[string]string{"private": args[0], "public": args[0] + ".pub"})
			}
			fmt.Fprintf(t.stdout, "%s signs packs: keep it secret.\n%s.pub is for everybody who shall trust them.\n", args[0], args[0])
			return nil
		},
	}
	out = formatFlag(c)
	return c
}

func (t *tool) packSignCommand() *cobra.Command {
	var key, name, output string
	var out *format
	c := &cobra.Command{
		Use:   "sign BUNDLE",
		Short: "Sign a bundle, as opa sign does",
		Example: `  slipway pack sign mine-1.2.0.tar.gz --key packs.pem --name finmicro
  slipway pack sign mine-1.2.0.tar.gz --key env:PACK_KEY --name finmicro`,
		Args: one("BUNDLE"),
		RunE: func(c *cobra.Command, args []string) error {
			if key == "" || name == "" {
				return &usage{what: "say with --key which key signs, and with --name what its users call it"}
			}
			private, err := t.secretFrom("--key", key)
			if err != nil {
				return err
			}
			src, err := t.get(c.Context(), args[0], sourceFlags{})
			if err != nil {
				return err
			}
			signed, err := pack.Sign(src, name, private)
			if err != nil {
				return packFault(err)
			}
			public, err := pack.PublicKey(private)
			if err != nil {
				return err
			}
			p, err := pack.Open(signed, []pack.Key{{Name: name, Public: string(public)}})
			if err != nil {
				return packFault(err)
			}
			if output == "" {
				output = args[0]
			}
			if err := os.WriteFile(output, signed, 0o644); err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(packResult{Pack: p, File: output})
			}
			fmt.Fprintf(t.stdout, "Signed %s %s as %s.\n%s  %s\n", p.Name, p.Version, p.SignedBy, p.Digest, output)
			return nil
		},
	}
	c.Flags().StringVar(&key, "key", "", "where the private key stands: a file, file:PATH or env:NAME")
	c.Flags().StringVar(&name, "name", "", "the key's name, under which packs.lock lists its public half")
	c.Flags().StringVarP(&output, "output", "o", "", "file to write (default: the bundle itself)")
	out = formatFlag(c)
	return c
}

func (t *tool) packPublishCommand() *cobra.Command {
	var out *format
	c := &cobra.Command{
		Use:   "publish BUNDLE TARGET",
		Short: "Put a bundle into an OCI registry",
		Long: `Puts a bundle into an OCI registry in the form that OPA downloads. The registry's
password is the one that docker login stored.`,
		Example: `  slipway pack publish mine-1.2.0.tar.gz oci://registry.finmicro.example/packs/mine:1.2.0`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return &usage{what: "give a bundle and where to put it"}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			src, err := t.get(c.Context(), args[0], sourceFlags{})
			if err != nil {
				return err
			}
			p, err := pack.Open(src, nil)
			if err != nil {
				return packFault(err)
			}
			o, err := t.fetchOptions(sourceFlags{})
			if err != nil {
				return err
			}
			m := t.busy("Publishing")
			digest, err := fetch.Publish(c.Context(), src, p, args[1], o)
			m.end()
			if err != nil {
				return packFault(err)
			}
			if *out == asJSON {
				return t.printJSON(packResult{Pack: p, Target: args[1], Manifest: digest})
			}
			fmt.Fprintf(t.stdout, "Published %s %s as %s.\nBundle %s, manifest %s\n", p.Name, p.Version, args[1], p.Digest, digest)
			return nil
		},
	}
	out = formatFlag(c)
	return c
}
