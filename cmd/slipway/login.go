package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"slipway/client"
)

// client connects to the server that was asked for, as whoever the token stands for.
//
// A stored token belongs to one server and is sent to no other: --server with a
// stranger's address must not hand it out.
func (t *tool) client() (*client.Client, error) {
	server, token := t.server, t.getenv("SLIPWAY_TOKEN")
	if server == "" {
		server = t.getenv("SLIPWAY_SERVER")
	}
	if server == "" || token == "" {
		stored, err := t.credentials()
		if err != nil {
			return nil, err
		}
		if server == "" && len(stored) > 0 {
			server = stored[len(stored)-1].server
		}
		for _, s := range stored {
			if token == "" && s.server == strings.TrimRight(server, "/") {
				token = s.token
			}
		}
	}
	return t.connect(server, token)
}

func (t *tool) connect(server, token string) (*client.Client, error) {
	return client.New(server, token, client.PlainHTTP(t.plainHTTP), client.UserAgent(userAgent()))
}

// credential is one line of the token file: a server and the token for it.
type credential struct{ server, token string }

// maxTokenFile bounds the token file; a line is some hundred bytes.
const maxTokenFile = 1 << 20

func (t *tool) tokenFile() (string, error) {
	dir := t.getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) { // the XDG base directory specification says to ignore others
		home := t.getenv("HOME")
		if home == "" {
			return "", errors.New("neither HOME nor XDG_CONFIG_HOME is set, so there is no place for the token; set SLIPWAY_TOKEN instead")
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "slipway", "token"), nil
}

// credentials reads the token file. No file is no credentials.
func (t *tool) credentials() ([]credential, error) {
	file, err := t.tokenFile()
	if err != nil {
		return nil, nil // a machine without a home still works with the environment
	}
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, &refusal{what: file + " can be read by others, and it holds your token.", help: "Close it with: chmod 600 " + file + "\nThen revoke the token and sign in again, if others use this machine."}
	}
	if info.Size() > maxTokenFile {
		return nil, &usage{what: file + " is too large to be a token file"}
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var out []credential
	for i, line := range strings.Split(string(content), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 2 {
			return nil, &usage{what: fmt.Sprintf("%s:%d: a line is a server and a token", file, i+1), help: "Sign in again with slipway login --server https://…"}
		}
		out = append(out, credential{fields[0], fields[1]})
	}
	return out, nil
}

// store keeps a token as the last line, and replaces the file in one step.
func (t *tool) store(c credential) (string, error) {
	file, err := t.tokenFile()
	if err != nil {
		return "", err
	}
	known, err := t.credentials()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, k := range known {
		if k.server != c.server {
			fmt.Fprintf(&b, "%s %s\n", k.server, k.token)
		}
	}
	fmt.Fprintf(&b, "%s %s\n", c.server, c.token)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), "token-*") // made with mode 0600
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(b.String())
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return "", err
	}
	return file, os.Rename(tmp.Name(), file)
}

func (t *tool) loginCommand() *cobra.Command {
	var out *format
	c := &cobra.Command{
		Use:   "login",
		Short: "Sign in at a server with a personal token",
		Long: `Reads a personal token, checks it at the server and keeps it in a file that only you can
read. Make a token on the portal's account page. The server becomes the default one.`,
		Example: `  slipway login --server https://slipway.finmicro.example
  pass show slipway | slipway login --server https://slipway.finmicro.example`,
		GroupID: groupSet,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			server := t.server
			if server == "" {
				server = t.getenv("SLIPWAY_SERVER")
			}
			if _, err := t.connect(server, ""); err != nil {
				return err // before the person types a secret
			}
			token, err := t.secret("Personal token for " + server)
			if err != nil {
				return err
			}
			if token == "" {
				return &usage{what: "the token is empty"}
			}
			cl, err := t.connect(server, token)
			if err != nil {
				return err
			}
			me, err := cl.Me(c.Context())
			if err != nil {
				return err
			}
			file, err := t.store(credential{cl.Server(), token})
			if err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(map[string]string{"person": me.ID, "role": me.Role, "server": cl.Server(), "file": file})
			}
			_, err = fmt.Fprintf(t.stdout, "Signed in as %s. The token is kept in %s\n", flat(who(me.ID, me.Role)), file)
			return err
		},
	}
	out = formatFlag(c)
	return c
}

func (t *tool) tokenCommand() *cobra.Command {
	return group("token", "Make, list and revoke your personal tokens",
		`Personal tokens stand for you on the command line, in Git and in programs.`, groupSet,
		t.tokenNew(), t.tokenList(), t.tokenRevoke())
}

func (t *tool) tokenNew() *cobra.Command {
	var label string
	var days int
	var out *format
	c := &cobra.Command{
		Use:     "new",
		Short:   "Make a token; it is shown this once",
		Example: `  slipway token new --label "build server" --days 30`,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if strings.TrimSpace(label) == "" {
				return &usage{what: "--label is missing", help: "Say what the token is for, so that you know later which one to revoke."}
			}
			if days < 1 {
				return &usage{what: "--days must be 1 or more"}
			}
			cl, err := t.client()
			if err != nil {
				return err
			}
			token, err := cl.NewToken(c.Context(), label, days)
			if err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(map[string]string{"token": token})
			}
			fmt.Fprintln(t.stderr, "Keep it now; it is not shown again.")
			_, err = fmt.Fprintln(t.stdout, plain(token))
			return err
		},
	}
	c.Flags().StringVar(&label, "label", "", "what it is for")
	c.Flags().IntVar(&days, "days", 90, "for how many days it is good")
	out = formatFlag(c)
	return c
}

func (t *tool) tokenList() *cobra.Command {
	var out *format
	c := &cobra.Command{
		Use:     "list",
		Short:   "List your tokens, without their secrets",
		Example: `  slipway token list --format json | jq -r '.tokens[].id'`,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := t.client()
			if err != nil {
				return err
			}
			tokens, err := cl.Tokens(c.Context())
			if err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(map[string]any{"tokens": tokens})
			}
			if len(tokens) == 0 {
				_, err := fmt.Fprintln(t.stdout, "No tokens.")
				return err
			}
			rows := make([][]string, len(tokens))
			for i, k := range tokens {
				rows[i] = []string{k.ID, day(k.Issued), day(k.Expires), k.Label}
			}
			return t.table([]string{"ID", "MADE", "ENDS", "LABEL"}, rows)
		},
	}
	out = formatFlag(c)
	return c
}

func (t *tool) tokenRevoke() *cobra.Command {
	var out *format
	c := &cobra.Command{
		Use:   "revoke ID",
		Short: "End a token at once",
		Example: `  slipway token list            which one?
  slipway token revoke tok-3f`,
		Args: one("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := t.client()
			if err != nil {
				return err
			}
			if err := cl.RevokeToken(c.Context(), args[0]); err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(map[string]any{"id": args[0], "revoked": true})
			}
			_, err = fmt.Fprintln(t.stdout, "Revoked.")
			return err
		},
	}
	out = formatFlag(c)
	return c
}
