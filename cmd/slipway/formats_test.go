package main

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// plainCommands answer in one form, and why.
var plainCommands = map[string]string{
	"slipway help":                  "the manual, for people",
	"slipway audit keys":            "a file for slipway audit verify, which is JSON",
	"slipway policy docs":           "pages in Markdown; slipway policy list --format json holds what they say",
	"slipway witness serve":         "a server; slipway witness status --format json says what it has signed",
	"slipway completion bash":       "a script for a shell",
	"slipway completion zsh":        "a script for a shell",
	"slipway completion fish":       "a script for a shell",
	"slipway completion powershell": "a script for a shell",
}

// Every command that answers something answers in JSON too, for programs.
func TestEveryCommandSpeaksJSON(t *testing.T) {
	root := (&tool{stdout: io.Discard, stderr: io.Discard}).root()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	known := map[string]bool{}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if c.HasSubCommands() || !c.Runnable() {
			return
		}
		path := c.CommandPath()
		known[path] = true
		f := c.Flags().Lookup("format")
		if why := plainCommands[path]; why != "" {
			if f != nil {
				t.Errorf("%s has --format, and is excepted from it (%s)", path, why)
			}
			return
		}
		if f == nil || !strings.Contains(f.Value.Type(), "json") {
			t.Errorf("%s has no --format json", path)
		}
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s has no help with an example", path)
		}
	}
	walk(root)
	for path := range plainCommands {
		if !known[path] {
			t.Errorf("%s is excepted, and there is no such command", path)
		}
	}
}
