package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock makes sure that one process uses the data directory. The kernel lets go of
// the lock when the process dies, however it dies.
func (srv *server) lock(context.Context) error {
	if err := os.MkdirAll(srv.settings.data, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(srv.settings.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("another server uses %s; stop it, or give another directory with --data", srv.settings.data)
		}
		return err
	}
	srv.onClose(func(context.Context) error { return f.Close() })
	return nil
}
