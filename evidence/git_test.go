package evidence_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"slipway/evidence"
	"slipway/evidence/evidencetest"
)

// TestGitAlone runs what docs/evidence.md says of reading the commits with git.
func TestGitAlone(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("ssh-keygen is not installed (Debian: apt install openssh-client), so git cannot verify signatures here")
	}
	page, err := os.ReadFile("../docs/evidence.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("(?s)```\n(git init [^`]*)```").FindSubmatch(page)
	if commands == nil {
		t.Fatal("the page has no commands")
	}
	w, app := evidencetest.Sample(t)
	bundle, _ := export(t, source(t, w), evidence.Options{Subject: evidence.Subject{Change: app.ID}})
	files, _ := unzip(t, bundle)
	dir := t.TempDir()
	for _, name := range []string{"git/zones.bundle", "git/allowed_signers"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, files[name], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command("sh", "-ec", strings.NewReplacer("COMMIT", app.Commit, "BASE", app.Base).Replace(string(commands[1])))
	c.Dir = dir
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "+++ b/apps/expense-tracker.yaml") || !strings.Contains(string(out), `Good "git" signature for slipway@finmicro.example`) {
		t.Errorf("%v\n%s", err, out)
	}
}
