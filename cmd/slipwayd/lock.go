package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"slipway/filelock"
)

// lockWait is how long to wait for a server that has just been told to stop.
const lockWait = time.Second

// lock makes sure that one process uses the data directory.
func (srv *server) lock(ctx context.Context) error {
	if err := os.MkdirAll(srv.settings.data, 0o700); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	unlock, err := filelock.Take(ctx, srv.settings.path("lock"))
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("another server uses %s; stop it, or give another directory with --data", srv.settings.data)
	}
	if err != nil {
		return err
	}
	srv.onClose(func(context.Context) error { return unlock() })
	return nil
}
