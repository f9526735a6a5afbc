package main

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// run parses the arguments, runs one command and returns the exit code.
func (t *tool) run(ctx context.Context, args []string) int {
	t.arguments = args
	root := t.root()
	root.SetArgs(args)
	root.SetIn(t.stdin)
	root.SetOut(t.stdout)
	root.SetErr(t.stderr)
	command, err := root.ExecuteContextC(ctx)
	return t.report(command.CommandPath(), err)
}

const (
	groupCheck  = "check"
	groupAsk    = "ask"
	groupLook   = "look"
	groupSet    = "set"
	exitCodes   = "exit-codes"
	environment = "environment"
)

func (t *tool) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "slipway",
		Short: "Launch micro apps on company domains, with DNS, approvals and evidence in order",
		Long: `Slipway takes a micro app live on a company domain. What you ask for becomes a
change to a Git repository of DNS zones. The change is checked by rules, approved by
the right people (or by the rules alone), applied, and written down for good.

Without a server you can check a repository and verify a log. With one you can ask,
approve and look things up.`,
		Example: `  slipway init zones                    make a first zones repository
  slipway check                         would my edits be allowed?
  slipway login --server https://…      sign in at your company's server
  slipway request new                   ask for an app; it asks you what it needs to know
  slipway inbox                         what waits for my decision?`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArguments,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = false
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usage{what: err.Error()} })
	root.SetVersionTemplate("{{.Version}}\n")
	root.Version = version()

	p := root.PersistentFlags()
	p.BoolVar(&t.noColour, "no-color", false, "no colours (also: set NO_COLOR)")
	p.StringVar(&t.server, "server", "", "server's address (default $SLIPWAY_SERVER, then the one you signed in at last)")
	p.BoolVar(&t.plainHTTP, "plain-http", false, "allow an http:// server on another machine")

	root.AddGroup(
		&cobra.Group{ID: groupCheck, Title: "Without a server:"},
		&cobra.Group{ID: groupAsk, Title: "Ask and decide:"},
		&cobra.Group{ID: groupLook, Title: "Look:"},
		&cobra.Group{ID: groupSet, Title: "Set up:"},
	)
	root.AddCommand(
		t.initCommand(), t.checkCommand(), t.rulesCommand(), t.diffCommand(), t.planCommand(), t.exportCommand(), t.importCommand(), t.inventoryCommand(), t.fmtCommand(), t.policyCommand(), t.packCommand(), t.riskCommand(),
		t.requestCommand(), t.approveCommand(), t.rejectCommand(), t.inboxCommand(), t.rollbackCommand(),
		t.appsCommand(), t.certCommand(), t.driftCommand(), t.auditCommand(), t.controlsCommand(), t.evidenceCommand(), t.verifyCommand(),
		t.loginCommand(), t.tokenCommand(), t.accountCommand(), t.witnessCommand(), t.versionCommand(),
		exitCodesTopic(), environmentTopic(),
	)
	root.SetHelpCommandGroupID(groupSet)
	root.SetCompletionCommandGroupID(groupSet)
	return root
}

func (t *tool) versionCommand() *cobra.Command {
	var out *format
	c := &cobra.Command{
		Use: "version", Short: "Print Slipway's version", GroupID: groupSet, Args: noArguments,
		Example: `  slipway version`,
		RunE: func(*cobra.Command, []string) error {
			if *out == asJSON {
				return t.printJSON(map[string]string{"version": version()})
			}
			_, err := fmt.Fprintln(t.stdout, version())
			return err
		},
	}
	out = formatFlag(c)
	return c
}

// version is what Go recorded in the binary: the module's version or the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "slipway (version unknown)"
	}
	v, commit, dirty := info.Main.Version, "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			commit = " commit " + s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			if s.Value == "true" {
				dirty = " with local edits"
			}
		}
	}
	if v == "" {
		v = "(devel)"
	}
	return "slipway " + v + commit + dirty + " " + info.GoVersion
}

// userAgent is how the server knows the command line from other programs.
func userAgent() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return "slipway/" + info.Main.Version
	}
	return "slipway"
}

// exitCodesTopic is read by `slipway help exit-codes`.
func exitCodesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   exitCodes,
		Short: "What the exit codes mean, for scripts",
		Long: `Every command ends with one of three exit codes.

  0  It worked, and the answer is yes: nothing denied, nothing found.
  1  It worked, and the answer is no: a change is denied or refused, a log does not
     verify, a zone has drifted, a file is not laid out as slipway fmt --check wants it,
     a file would be overwritten, a plan does not hold any more, or an app that you
     waited for did not go live.
  2  There is no answer: arguments that make no sense, a file that cannot be read
     (the message begins with file and line), or a server that cannot be reached.

slipway plan --detailed-exitcode has those of terraform plan -detailed-exitcode instead.

What was found goes to standard output; what is wrong with the call or its input goes
to standard error.

  slipway check --base origin/main || exit 1     in a pipeline: stop on 1 and on 2
  slipway check; [ $? -eq 1 ] && echo denied     only when it is denied`,
	}
}

// environmentTopic is read by `slipway help environment`.
func environmentTopic() *cobra.Command {
	return &cobra.Command{
		Use:   environment,
		Short: "Environment variables and files",
		Long: `  SLIPWAY_SERVER   address of the server, for example https://slipway.example.com
  SLIPWAY_TOKEN    personal token; wins over the one stored by slipway login
  SLIPWAY_CACHE    folder in which checks remember what files speak of, or off;
                   without it, slipway-cache below the Git directory. No verdict
                   depends on it, and it may be deleted at any time.
  SLIPWAY_KEY_PASSPHRASE
                   seals the key of slipway witness
  NO_COLOR         when set to anything, no colours (https://no-color.org)

  ~/.config/slipway/token   one line a server: its address and your token for it.
                            Readable by you alone; the last line is the default server.
                            XDG_CONFIG_HOME moves ~/.config elsewhere.`,
	}
}

// Argument checks speak in the tool's own words instead of cobra's.

func noArguments(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if c.HasSubCommands() {
		return unknownCommand(c, args[0])
	}
	return &usage{what: fmt.Sprintf("%q is one argument too many", args[0])}
}

func unknownCommand(c *cobra.Command, name string) error {
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(name); len(near) > 0 {
		return &usage{what: fmt.Sprintf("there is no command %q; did you mean %q?", name, near[0])}
	}
	return &usage{what: fmt.Sprintf("there is no command %q", name)}
}

// one takes exactly one argument, and names it when it is missing.
func one(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return &usage{what: name + " is missing"}
		case len(args) > 1:
			return &usage{what: fmt.Sprintf("%q is one argument too many", args[1])}
		}
		return nil
	}
}

func atMostOne(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return &usage{what: fmt.Sprintf("%q is one argument too many", args[1])}
	}
	return nil
}

// group is a command that only holds others.
func group(use, short, long, id string, sub ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Long: long, GroupID: id, Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(sub...)
	return c
}
