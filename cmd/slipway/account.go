package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slipway/approval"
)

func (t *tool) accountCommand() *cobra.Command {
	return group("account", "Let people sign in, or stop them (administrators)",
		`Administrators let people in and stop them. What somebody may decide comes from the groups
in slipway.yaml, not from here. Whoever signs in by your link cannot decide on what you
ask for: it could be you.`, groupSet,
		t.accountList(), t.accountLink(), t.accountDisable(), t.accountEnable())
}

func (t *tool) accountList() *cobra.Command {
	var out *format
	c := &cobra.Command{
		Use:     "list",
		Short:   "Everyone who may sign in",
		Example: `  slipway account list --format json | jq -r '.accounts[] | select(.disabled) | .id'`,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := t.client()
			if err != nil {
				return err
			}
			accounts, err := cl.Accounts(c.Context())
			if err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(map[string]any{"accounts": accounts})
			}
			rows := make([][]string, len(accounts))
			for i, p := range accounts {
				kind := "employee"
				switch {
				case p.Admin:
					kind = "administrator"
				case p.ThirdParty:
					kind = "third party"
				}
				state := "active"
				if p.Disabled {
					state = "disabled"
				}
				groups := slices.Clone(p.Groups)
				for i := range groups {
					groups[i] = approval.GroupName(groups[i])
				}
				rows[i] = []string{p.ID, p.Role, kind, state, strings.Join(groups, ", ")}
			}
			return t.table([]string{"PERSON", "ROLE", "KIND", "STATE", "GROUPS"}, rows)
		},
	}
	out = formatFlag(c)
	return c
}

func (t *tool) accountLink() *cobra.Command {
	var role string
	var out *format
	c := &cobra.Command{
		Use:   "link PERSON",
		Short: "Make a one-time sign-in link for somebody",
		Long: `Makes a link that signs somebody in once, within a day. An account is made if there is
none. Give the link to them in a way that only they can read. It is on record that you
made it.`,
		Example: `  slipway account link new@finmicro.example --role product-manager`,
		Args:    one("PERSON"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := t.client()
			if err != nil {
				return err
			}
			link, err := cl.Link(c.Context(), args[0], role)
			if err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(map[string]string{"person": args[0], "url": link})
			}
			fmt.Fprintln(t.stderr, "It works once, and is not shown again.")
			_, err = fmt.Fprintln(t.stdout, plain(link))
			return err
		},
	}
	c.Flags().StringVar(&role, "role", "", "the person's role, such as product-manager (default: as it is)")
	out = formatFlag(c)
	return c
}

func (t *tool) accountDisable() *cobra.Command {
	var reason string
	var out *format
	c := &cobra.Command{
		Use:   "disable PERSON",
		Short: "Stop somebody at once",
		Long: `Ends a person's sessions, tokens and unused links at once, and keeps them from getting new
ones. What they asked for and decided stays as it is. You cannot disable yourself.`,
		Example: `  slipway account disable ivy@finmicro.example --reason "left the company"`,
		Args:    one("PERSON"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := t.client()
			if err != nil {
				return err
			}
			if err := cl.DisableAccount(c.Context(), args[0], reason); err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(map[string]any{"person": args[0], "disabled": true})
			}
			_, err = fmt.Fprintf(t.stdout, "Disabled %s. Their sessions and tokens have ended.\n", flat(args[0]))
			return err
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why; it goes on record")
	out = formatFlag(c)
	return c
}

func (t *tool) accountEnable() *cobra.Command {
	var out *format
	c := &cobra.Command{
		Use:     "enable PERSON",
		Short:   "Let somebody sign in again",
		Long:    `Lets a disabled account be used again. Nothing that ended comes back: make a new link.`,
		Example: `  slipway account enable ivy@finmicro.example && slipway account link ivy@finmicro.example`,
		Args:    one("PERSON"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := t.client()
			if err != nil {
				return err
			}
			if err := cl.EnableAccount(c.Context(), args[0]); err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(map[string]any{"person": args[0], "disabled": false})
			}
			_, err = fmt.Fprintf(t.stdout, "Enabled %s.\n", flat(args[0]))
			return err
		},
	}
	out = formatFlag(c)
	return c
}
