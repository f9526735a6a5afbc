// Package filelock owns locks between processes: one holder of a file at a time.
// The kernel lets go of a lock when its holder dies, however it dies, so that
// none is ever left behind (flock(2); Unix only).
package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

const (
	firstPause = time.Millisecond
	lastPause  = 50 * time.Millisecond
)

// Take locks the file at path, which is made with mode 0600 if need be, and waits for
// it until ctx ends; then the error wraps context.Cause(ctx). unlock may be called once.
func Take(ctx context.Context, path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	// Asked for again and again instead of waited for, because a wait in the kernel
	// cannot be ended by ctx.
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f.Close, nil // closing the file is what releases it
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			f.Close()
			return nil, fmt.Errorf("lock %s: held by another: %w", path, context.Cause(ctx))
		case <-timer.C:
		}
	}
}
