package pack

import (
	"fmt"
	"io/fs"
	"strings"

	"slipway/starter"
)

// BuiltinUnsigned is why a pack that comes with Slipway counts without a signature.
const BuiltinUnsigned = "comes with Slipway itself"

// Builtin builds a pack that comes with Slipway.
func Builtin(name string) ([]byte, *Pack, error) {
	names, err := BuiltinNames()
	if err != nil {
		return nil, nil, err
	}
	dir, err := fs.Sub(starter.Packs(), name)
	if err == nil {
		_, err = fs.Stat(dir, ".")
	}
	if err != nil || !namePattern.MatchString(name) {
		return nil, nil, &Fault{Pack: name, What: "no pack of that name comes with Slipway", Help: "These do: " + strings.Join(names, ", ") + "."}
	}
	files, err := ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("pack %s: %w", name, err)
	}
	return Build(files)
}

// BuiltinNames lists the packs that come with Slipway.
func BuiltinNames() ([]string, error) {
	entries, err := fs.ReadDir(starter.Packs(), ".")
	if err != nil {
		return nil, fmt.Errorf("packs that come with Slipway: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
