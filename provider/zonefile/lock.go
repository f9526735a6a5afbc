package zonefile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"slipway/zone"
)

// lockDir holds one empty file a zone. They are never removed: removing a lock file
// while another process waits for it would let two hold "the" lock.
const lockDir = ".lock"

const (
	firstLockPause = time.Millisecond
	lastLockPause  = 50 * time.Millisecond
)

// lock makes this the one Apply of zone z, in this process and among all others on
// the machine. The kernel releases it when its holder dies, however it dies.
func (p *Provider) lock(ctx context.Context, z zone.Name) (unlock func(), err error) {
	stem, err := Stem(z)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(p.o.Dir, lockDir, stem), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock zone %s: %w", z, err)
	}
	// Asked for again and again instead of waited for, because a wait in the kernel
	// cannot be ended by ctx.
	for pause := firstLockPause; ; pause = min(2*pause, lastLockPause) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil // closing it is what releases it
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock zone %s: %w", z, err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			f.Close()
			return nil, fmt.Errorf("zone %s is being changed by another apply: %w", z, context.Cause(ctx))
		case <-timer.C:
		}
	}
}
