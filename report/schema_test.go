package report

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// schemaModule carries the official JSON schema of SARIF 2.1.0 (OASIS, with errata 01) as a constant, and
// validatorModule is what holds documents against it. Neither is a part of Slipway: the test downloads them.
const (
	schemaModule    = "github.com/owenrumney/go-sarif/v3@v3.3.1"
	validatorModule = "github.com/xeipuuv/gojsonschema@v1.2.0"
)

const validator = `package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/xeipuuv/gojsonschema"
)

func main() {
	src, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	schema, err := gojsonschema.NewSchema(gojsonschema.NewBytesLoader(src))
	if err != nil {
		panic(err)
	}
	for _, name := range os.Args[2:] {
		src, err := os.ReadFile(name)
		if err != nil {
			panic(err)
		}
		result, err := schema.Validate(gojsonschema.NewBytesLoader(src))
		if err != nil {
			panic(err)
		}
		for _, e := range result.Errors() {
			fmt.Println(filepath.Base(name)+":", e)
		}
		fmt.Println("validated", filepath.Base(name))
	}
}
`

// goIn runs the go tool in a module of its own.
func goIn(t *testing.T, dir string, args ...string) ([]byte, error) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "go", args...)
	c.Dir, c.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	return c.Output()
}

// TestSARIFSchema holds what is rendered, and two documents that are wrong, against SARIF's own schema.
func TestSARIFSchema(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("go.mod", "module validate\n\ngo 1.24\n")
	out, err := goIn(t, dir, "mod", "download", "-json", schemaModule)
	var module struct{ Dir string }
	if err != nil || json.Unmarshal(out, &module) != nil || module.Dir == "" {
		t.Skipf("%s, which carries the schema, cannot be downloaded: %v", schemaModule, err)
	}
	if out, err := goIn(t, dir, "get", validatorModule); err != nil {
		t.Skipf("%s cannot be downloaded: %v %s", validatorModule, err, out)
	}
	write("main.go", validator)
	args := []string{"run", ".", write("schema.json", schemaOf(t, filepath.Join(module.Dir, "pkg/report/v210/sarif/schema.go")))}
	for name, v := range verdicts() {
		args = append(args, write(name+".sarif", render(t, SARIF, v)))
	}
	right := render(t, SARIF, verdicts()["denied"])
	args = append(args, write("wrong-level.sarif", strings.Replace(right, `"level": "error"`, `"level": "deny"`, 1)),
		write("wrong-key.sarif", strings.Replace(right, `"results":`, `"result":`, 1)))
	if out, err = goIn(t, dir, args...); err != nil {
		t.Fatalf("validate: %v\n%s", err, out)
	}
	found := map[string]bool{}
	validated := 0
	for line := range strings.Lines(string(out)) {
		name, problem, isProblem := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case !isProblem:
			validated++
		case strings.HasPrefix(name, "wrong-"):
			found[name] = true
		default:
			t.Errorf("%s: %s", name, problem)
		}
	}
	if validated != len(verdicts())+2 || len(found) != 2 {
		t.Errorf("%d documents were validated, and of those that are wrong %v:\n%s", validated, found, out)
	}
}

// schemaOf reads the constant.
func schemaOf(t *testing.T, path string) string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Skipf("the schema is not where it was: %v", err)
	}
	var schema string
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil {
				schema += s
			}
		}
		return true
	})
	if !strings.Contains(schema, "Static Analysis Results Format (SARIF) Version 2.1.0 JSON Schema") {
		t.Fatal("this is not the schema of SARIF 2.1.0")
	}
	return schema
}
