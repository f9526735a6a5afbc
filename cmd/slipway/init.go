package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"slipway/repo"
	"slipway/starter"
)

func (t *tool) initCommand() *cobra.Command {
	o := starter.Sample()
	o.Admin = ""
	c := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a zones repository",
		Long: `Makes a zones repository: the Git repository that says what DNS should be.

In a new or empty folder it writes a starter kit: settings, three zones, one app and
the policies to begin with, as a first commit. In a Git repository of octoDNS zones it
adds slipway.yaml alone, for you to look at and commit. Nothing is ever overwritten.`,
		Example: `  slipway init zones --organisation "Fin Micro Ltd" --domain finmicro.example
  slipway init .             in a repository of octoDNS zones: adds slipway.yaml`,
		GroupID: groupCheck,
		Args:    one("DIR"),
		RunE: func(c *cobra.Command, args []string) error {
			kit, err := starter.Kit(o)
			if err != nil {
				return &usage{what: err.Error()}
			}
			by := repo.Person{Name: gitSays(c.Context(), ".", "config", "user.name"), Email: gitSays(c.Context(), ".", "config", "user.email")}
			if by.Email == "" {
				by = repo.Person{Name: "Slipway", Email: "slipway@localhost"}
			}
			written, err := repo.InitWorkTree(c.Context(), args[0], kit, by, t.now())
			var broken *fs.PathError
			if err != nil && !errors.As(err, &broken) && c.Context().Err() == nil {
				return &refusal{what: err.Error()}
			}
			if err != nil {
				return err
			}
			for _, file := range written {
				fmt.Fprintln(t.stdout, "wrote", file)
			}
			if len(written) == 1 {
				fmt.Fprintf(t.stderr, "\nYour zones stay as they are. Look through %s, say who may approve, then commit it.\n", written[0])
				return nil
			}
			fmt.Fprintf(t.stderr, "\nNext: edit something in %s, then ask whether it would be allowed:\n  slipway check --repo %s\n", args[0], args[0])
			return nil
		},
	}
	c.Flags().StringVar(&o.Name, "organisation", o.Name, "your organisation's name")
	c.Flags().StringVar(&o.Domain, "domain", o.Domain, "its domain: owner of the zones and of its people's addresses")
	c.Flags().StringVar(&o.Admin, "admin", "", "e-mail address of the first administrator (default admin@DOMAIN)")
	return c
}

// gitSays asks git for one line, and takes any failure for no answer.
func gitSays(ctx context.Context, dir string, args ...string) string {
	out, err := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
