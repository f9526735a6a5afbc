package zonefile

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"slipway/filelock"
	"slipway/zone"
)

// lockDir holds one empty file a zone. They are never removed: removing a lock file
// while another process waits for it would let two hold "the" lock.
const lockDir = ".lock"

// lock makes this the one Apply of zone z, in this process and among all others on
// the machine. The kernel releases it when its holder dies, however it dies.
func (p *Provider) lock(ctx context.Context, z zone.Name) (unlock func(), err error) {
	stem, err := Stem(z)
	if err != nil {
		return nil, err
	}
	// Made with the first lock, so that who only reads needs to write nothing. It is not for others to hold.
	dir := filepath.Join(p.o.Dir, lockDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("zone %s: %w", z, err)
	}
	release, err := filelock.Take(ctx, filepath.Join(dir, stem))
	if err != nil {
		return nil, fmt.Errorf("zone %s: another apply may be changing it: %w", z, err)
	}
	return func() { release() }, nil
}
