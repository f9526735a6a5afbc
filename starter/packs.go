package starter

import (
	"embed"
	"io/fs"
)

//go:embed all:packs
var packs embed.FS

// Packs returns the policy packs that come with Slipway, each in a folder of its
// name, with their tests. None is in force before a zones repository pins it.
func Packs() fs.FS {
	sub, err := fs.Sub(packs, "packs")
	if err != nil {
		panic(err) // "packs" is a valid path: fs.Sub has no other error for an embed.FS
	}
	return sub
}
