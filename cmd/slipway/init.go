package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"slipway/repo"
	"slipway/starter"
)

func (t *tool) initCommand() *cobra.Command {
	o := starter.Sample()
	o.Admin = ""
	var pipelines []string
	var out *format
	c := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a zones repository",
		Long: `Makes a zones repository: the Git repository that says what DNS should be.

In a new or empty folder it writes a starter kit: settings, three zones, one app and
the policies to begin with, as a first commit. In a Git repository of octoDNS zones it
adds slipway.yaml alone, for you to look at and commit. Nothing is ever overwritten.

With --ci it adds to a repository what has it checked by GitHub Actions, by GitLab CI, or
before each commit (pre-commit), for you to look at and commit.`,
		Example: `  slipway init zones --organisation "Fin Micro Ltd" --domain finmicro.example
  slipway init .             in a repository of octoDNS zones: adds slipway.yaml
  slipway init . --ci github --ci pre-commit`,
		GroupID: groupCheck,
		Args:    one("DIR"),
		RunE: func(c *cobra.Command, args []string) error {
			if len(pipelines) > 0 {
				return t.addPipelines(args[0], pipelines, *out)
			}
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
			if *out == asJSON {
				return t.printJSON(map[string]any{"written": written})
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
	c.Flags().StringSliceVar(&pipelines, "ci", nil, "add a pipeline to a repository: "+strings.Join(starter.Pipelines(), ", ")+"; may be repeated")
	out = formatFlag(c)
	c.RegisterFlagCompletionFunc("ci", cobra.FixedCompletions(starter.Pipelines(), cobra.ShellCompDirectiveNoFileComp))
	return c
}

// addPipelines writes pipelines into a repository. Unless all their files are new, it writes none.
func (t *tool) addPipelines(dir string, names []string, out format) error {
	if noFile(dir) {
		return &usage{what: dir + ": there is no such folder", help: "Make the repository first: slipway init " + dir}
	}
	type file struct {
		name    string
		content []byte
	}
	var files []file
	for _, name := range names {
		pipeline, err := starter.Pipeline(name)
		if err != nil {
			return &usage{what: "--ci: " + err.Error()}
		}
		err = fs.WalkDir(pipeline, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if !noFile(filepath.Join(dir, path)) {
				return &refusal{what: path + " is there already, and nothing was written.", help: "Move it away, or take over by hand what you need of " + name + "'s."}
			}
			content, err := fs.ReadFile(pipeline, path)
			files = append(files, file{path, content})
			return err
		})
		if err != nil {
			return err
		}
	}
	written := []string{}
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if strings.HasSuffix(f.name, ".sh") {
			mode = 0o755
		}
		if err := os.WriteFile(path, f.content, mode); err != nil {
			return err
		}
		written = append(written, f.name)
	}
	if out == asJSON {
		return t.printJSON(map[string]any{"written": written})
	}
	for _, name := range written {
		fmt.Fprintln(t.stdout, "wrote", name)
	}
	fmt.Fprintln(t.stderr, "\nLook through them, then commit them.")
	return nil
}

// gitSays asks git for one line, and takes any failure for no answer.
func gitSays(ctx context.Context, dir string, args ...string) string {
	out, err := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
