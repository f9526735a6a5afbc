package starter

import (
	"io/fs"
	"os/exec"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestPipelines reads every file as its system would: YAML parses, scripts are scripts, and nothing
// from a pull request is put into a shell's text.
func TestPipelines(t *testing.T) {
	for _, name := range Pipelines() {
		files, err := Pipeline(name)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		err = fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			n++
			src, err := fs.ReadFile(files, path)
			if err != nil {
				return err
			}
			if strings.HasSuffix(path, ".sh") {
				if strings.Contains(string(src), "${{") {
					t.Errorf("%s: an expression in a script is an injection", path)
				}
				if _, err := exec.LookPath("bash"); err != nil {
					t.Skip("the pipelines are bash scripts, and bash is not installed")
				}
				c := exec.Command("bash", "-n")
				c.Stdin = strings.NewReader(string(src))
				if out, err := c.CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", path, err, out)
				}
				return nil
			}
			var doc yaml.Node
			if err := yaml.Unmarshal(src, &doc); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			runs(t, path, &doc)
			return nil
		})
		if err != nil || n == 0 {
			t.Errorf("%s: %d files, %v", name, n, err)
		}
	}
	if _, err := Pipeline("../kit"); err == nil {
		t.Error("a pipeline outside the folder is found")
	}
}

// runs looks at every run: of a workflow.
func runs(t *testing.T, path string, n *yaml.Node) {
	for i, m := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && m.Value == "run" && strings.Contains(n.Content[i+1].Value, "${{") {
			t.Errorf("%s:%d: an expression in a script is an injection", path, m.Line)
		}
		runs(t, path, m)
	}
}
