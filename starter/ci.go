package starter

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

//go:embed all:ci
var ci embed.FS

// Pipelines are the names that Pipeline knows.
func Pipelines() []string { return []string{"github", "gitlab", "pre-commit"} }

// Pipeline returns the files that have a zones repository checked by GitHub Actions, by GitLab CI,
// or before each commit. They are the same for every organisation.
func Pipeline(name string) (fs.FS, error) {
	if !slices.Contains(Pipelines(), name) {
		return nil, fmt.Errorf("there is no pipeline for %q; use %s", name, strings.Join(Pipelines(), ", "))
	}
	return fs.Sub(ci, "ci/"+name)
}
