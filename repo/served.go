package repo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"

	"slipway/zone"
)

// ServedKeys names, for each zone of the tree, everything that Served reads for it: the zone's
// file, and the apps with records in it, by their content. Two trees that give a zone the same key
// serve it the same, whatever else differs between them. No zone file is read for it. A tree of
// files on disk has keys too; they hold for as long as nobody writes to the files.
func (t *Tree) ServedKeys(ctx context.Context) (map[zone.Name]string, error) {
	s, err := t.Settings(ctx)
	if err != nil {
		return nil, err
	}
	files, err := t.listZones(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := t.appEntries(ctx)
	if err != nil {
		return nil, err
	}
	apps, err := t.sharedApps(ctx)
	if err != nil {
		return nil, err
	}
	// What an app has in a zone depends on which zones there are: so its records are named one by one.
	blobs := make(map[string]string, len(entries))
	for _, e := range entries {
		blobs[path.Join(AppsDirectory, e.name)] = e.mode + e.oid
	}
	parts := make(map[zone.Name][]byte, len(s.Zones))
	for name := range s.Zones {
		parts[name] = nil
	}
	for _, f := range files {
		parts[f.zone] = fmt.Appendf(parts[f.zone], "file %s %s %s\n", f.path, f.mode, f.oid)
	}
	for _, a := range apps {
		for i := range a.Records {
			if z, ok := s.ZoneOf(a.Records[i].Name); ok {
				parts[z] = fmt.Appendf(parts[z], "app %s %s %d\n", a.Path, blobs[a.Path], i)
			}
		}
	}
	out := make(map[zone.Name]string, len(parts))
	for name, text := range parts {
		sum := sha256.Sum256(append(text, name...))
		out[name] = hex.EncodeToString(sum[:])
	}
	return out, nil
}
