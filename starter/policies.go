package starter

import (
	"embed"
	"io/fs"
)

//go:embed policies
var policies embed.FS

// Policies returns the Rego policies that are in force in every zones
// repository, with their tests, at paths such as "dns/policy.rego". A file of
// the repository's own policies/ replaces those of the same Rego package.
func Policies() fs.FS {
	sub, err := fs.Sub(policies, "policies")
	if err != nil {
		panic(err) // "policies" is a valid path: fs.Sub has no other error for an embed.FS
	}
	return sub
}
