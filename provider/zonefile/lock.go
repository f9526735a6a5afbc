package zonefile

import (
	"context"
	"fmt"
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
	release, err := filelock.Take(ctx, filepath.Join(p.o.Dir, lockDir, stem))
	if err != nil {
		return nil, fmt.Errorf("zone %s: another apply may be changing it: %w", z, err)
	}
	return func() { release() }, nil
}
